"""Conversations for the report: a small index to filter by, and bodies in compressed chunks.

The page opens with the index alone and unpacks a chunk when one of its conversations is opened.
What was said and judged is packed apart from the solutions, which are most of the text: a search
unpacks the first kind only.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from utils.metrics.conversation import solve_before, solve_rate
from utils.metrics.verdicts import leaked_any, missing, rejected_any
from utils.records import ConversationRecord, Message, Solution, Trajectory
from utils.report.sessions import of_problem, taught_problems, taught_solutions
from utils.runs.read import Run
from utils.seeding import keyed_seed
from utils.thinking import Thinking
from utils.thinking_formats import KNOWN

CHUNK = 32  # conversations in a chunk: opening one unpacks about half a megabyte
MAX_TEXT = 20_000  # characters of one text in the page; the record has all of it
Decode = Callable[[Sequence[int]], str]
TurnCredit = Mapping[tuple[str, int, str, int], Sequence[float]]  # by conversation
_ANY_FORMAT = Thinking(KNOWN)  # a record does not say which one its models have
_BROKEN = "\ufffd"  # what an incomplete UTF-8 sequence decodes to


def choose(runs: Sequence[Run], most: int) -> tuple[list[tuple[int, ConversationRecord]], int]:
    """(run, conversation) pairs for the page, at most `most`, and how many there are in all.

    What an evaluation judged is kept first; of the rest every conversation has the same chance, by
    its address, so that a page can be made again.
    """
    everything = [(i, r) for i, run in enumerate(runs) for r in run.records]
    if len(everything) <= most:
        return everything, len(everything)
    final = [{r.key for r in run.final if r.split == "eval"} for run in runs]
    ranked = sorted(
        range(len(everything)),
        key=lambda at: (
            everything[at][1].key not in final[everything[at][0]],
            keyed_seed("report", *everything[at][1].key),
        ),
    )
    return [everything[at] for at in sorted(ranked[:most])], len(everything)


def index(chosen: Iterable[tuple[int, ConversationRecord]]) -> dict[str, list[Any]]:
    """Columns to filter and sort by, one entry a conversation."""
    rows = [_index_row(run, r) for run, r in chosen]
    asked = any(row["transfer_before"] is not None or row["transfer_after"] is not None
                for row in rows)  # fmt: skip
    names = [n for n in (rows[0] if rows else ()) if asked or not n.startswith("transfer_")]
    return {name: [row[name] for row in rows] for name in names}


def _index_row(run: int, r: ConversationRecord) -> dict[str, Any]:
    before, after = solve_before(r), solve_rate(r.solutions)
    first, then = (solve_rate(found) for found in r.tested("transfer"))
    return {
        "run": run,
        "split": r.split,
        "step": r.step,
        "problem": r.problem_id,
        "sample": r.sample,
        "title": " ".join(r.problem.split())[:160],
        "type": r.type,
        "source": r.source,
        "before": _rounded(before),
        "after": _rounded(after),
        "delta": None if before is None or after is None else _rounded(after - before),
        "transfer_before": _rounded(first),
        "transfer_after": _rounded(then),
        "leaked": leaked_any(r),
        "rejected": rejected_any(r),
        "missing": missing(r),
        "reward": _rounded(r.rewards.get("total")),
        "turns": len(r.messages),
        "stop": r.stop_reason,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def chunks(
    chosen: Sequence[tuple[int, ConversationRecord]],
    decoders: Sequence[Decode | None],
    credit: Sequence[TurnCredit],
) -> Iterator[tuple[str, str]]:
    """(conversations, their solutions), CHUNK at a time, as base64 of gzipped JSON.

    `decoders` and `credit`: of each run.
    """
    for start in range(0, len(chosen), CHUNK):
        part = chosen[start : start + CHUNK]
        yield (
            _packed([body(r, decoders[run], credit[run].get(r.key, ())) for run, r in part]),
            _packed([solutions(r) for _, r in part]),
        )


def _packed(rows: list[dict[str, Any]]) -> str:
    text = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode(
        "ascii"
    )


def body(
    r: ConversationRecord, decode: Decode | None = None, credit: Sequence[float] = ()
) -> dict[str, Any]:
    """Everything the page shows of one conversation but its solutions.

    `credit`: advantages of its tutor turns, if known.
    """
    return {
        "problem": _cut(r.problem),
        "answer": _cut(r.answer),
        "student": r.student_name,
        "persona": r.student_persona,
        "help": r.help,
        "error": r.error,
        "excluded": r.excluded,
        "messages": _messages(r, decode, credit),
        "session": taught_problems(r, _cut),
        "verdicts": {
            rule: [
                {"decision": v.decision, "reasoning": _cut(v.reasoning or v.raw)} | of_problem(r, v)
                for v in verdicts
            ]
            for rule, verdicts in r.verdicts.items()
        },
        "rewards": {name: _rounded(value) for name, value in r.rewards.items()},
        "usage": {
            role: [u.requests, u.prompt_tokens, u.completion_tokens, round(u.cost_usd, 6)]
            for role, u in r.usage.items()
        },
        "timing": r.timing,
    }


def solutions(r: ConversationRecord) -> dict[str, Any]:
    """What the student wrote before and after."""
    return {
        "before": [_solution(s) for s in r.initial_solutions],
        "after": [_solution(s) for s in r.solutions],
        "transfer": _transfer(r),
        "session_solutions": taught_solutions(r, _solution),
    }


def _transfer(r: ConversationRecord) -> dict[str, Any] | None:
    """The test on another problem, where there was one."""
    found = r.transfer
    if found is None:
        return None
    return {
        "problem": _cut(found.problem),
        "answer": _cut(found.answer),
        "tutor_hidden": found.tutor_hidden,
        "before": [_solution(s) for s in found.initial_solutions],
        "after": [_solution(s) for s in found.solutions],
    }


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + " […]"


def _solution(s: Solution) -> dict[str, Any]:
    return {"text": _cut(s.text), "answer": s.answer, "correct": s.correct, "score": s.score}


def _messages(
    r: ConversationRecord, decode: Decode | None, credit: Sequence[float]
) -> list[dict[str, Any]]:
    segments = sampled_segments(r.trajectory) if r.trajectory else []
    own = [m for m in r.messages if m.role == "teacher"]
    # One unbroken run of sampled tokens a turn; anything else cannot be laid beside the text.
    turns = iter(segments if len(segments) == len(own) else [])
    seen = [m for m in own if m.heard]
    earned = iter(credit)
    scores = iter(r.ped_rm if len(r.ped_rm) == len(seen) else [])
    shown = []
    for message in r.messages:
        entry = _message(message)
        if message.role == "teacher":
            segment, score = next(turns, None), next(scores, None) if message.heard else None
            if (advantage := next(earned, None)) is not None:
                entry["credit"] = round(advantage, 3)
            if segment is not None:
                entry |= _tokens(*segment, decode)
            if score is not None:
                entry["ped_rm"] = round(score, 3)
        shown.append(entry)
    return shown


def _message(m: Message) -> dict[str, Any]:
    shown = _ANY_FORMAT.visible(m.content) if m.withheld else m.visible
    entry: dict[str, Any] = {"role": m.role, "text": _cut(shown), "tokens": m.tokens}
    if m.verdicts:
        entry["rules"] = [
            [rule, v.decision if v.counts else "only reported", _cut(v.reasoning or v.raw)]
            for rule, v in m.verdicts.items()
        ]
    for name in ("withheld", "scripted", "cost", "problem"):
        if getattr(m, name):
            entry[name] = getattr(m, name)
    if m.stop_reason == "length":
        entry["cut"] = True
    hidden = hidden_text(m.content, shown) if m.content != shown else ""
    if hidden:
        entry["hidden"] = _cut(hidden)
    return entry


def hidden_text(content: str, visible: str) -> str:
    """The planning in a turn, without its marks; of marks unknown here, all that was not shown."""
    known = _ANY_FORMAT.hidden(content)
    if known or not visible or _ANY_FORMAT.visible(content) == visible:
        return known
    return content.replace(visible, "", 1).strip()


def sampled_segments(row: Trajectory) -> list[tuple[list[int], list[float]]]:
    """(ids, logprobs) of each unbroken run of sampled tokens: the tutor's turns, in order."""
    found = []
    rows = zip(row.completion_ids, row.mask, row.logprobs, strict=True)
    for own, group in groupby(rows, key=lambda entry: entry[1] == 1):
        if own:
            entries = list(group)
            ids = [token for token, _, _ in entries]
            found.append((ids, [p if p is not None else 0.0 for _, _, p in entries]))
    return found


def _tokens(ids: list[int], logprobs: list[float], decode: Decode | None) -> dict[str, Any]:
    """The turn's mean logprob; with a decoder also its tokens as text."""
    mean = {"logprob": round(sum(logprobs) / len(logprobs), 4)}
    if decode is None:
        return mean
    texts, values = token_texts(ids, logprobs, decode)
    return mean | {"pieces": texts, "logprobs": [round(v, 2) for v in values]}


def token_texts(
    ids: Sequence[int], logprobs: Sequence[float], decode: Decode
) -> tuple[list[str], list[float]]:
    """Text and logprob of each token; tokens that share a character become one, logprobs added."""
    texts: list[str] = []
    values: list[float] = []
    waiting: list[int] = []
    carried = 0.0
    for token, logprob in zip(ids, logprobs, strict=True):
        waiting.append(token)
        carried += logprob
        text = decode(waiting)
        if _BROKEN in text and len(waiting) < 4:  # UTF-8 has at most four bytes a character
            continue
        texts.append(text)
        values.append(carried)
        waiting, carried = [], 0.0
    if waiting:
        texts.append(decode(waiting))
        values.append(carried)
    return texts, values
