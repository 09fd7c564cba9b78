"""Judges' answers: how many requests a verdict takes, and how many rejections are read as such."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.speed.by_ids import AskedByIds
from benchmarks.speed.results import Pair, Result, compare, repeated
from benchmarks.speed.running import running, settings
from config.roles import roles_of
from src.dialog.conversation import Conversation
from src.dialog.judges import Judge, build_judges, gather_or_cancel
from src.inference_providers.base import Completion, Provider, Sampling
from src.setup import build_participant
from src.vllm.client import EngineProvider
from utils.data.problems import Problem
from utils.records import Message
from utils.verdicts.judging import parse_verdict

DATA = Path(__file__).parents[2] / "tests" / "data"
TRANSCRIPTS = 16
RULE = "prompt_templates/judges/does_not_leak_answer.txt"
JUDGE = (
    f"generation.judges_rules_prompts_paths.does_not_leak_answer={RULE}",
    "generation.max_tokens_per_judge_attempt=200",
    "judge_model=${student_model}",
    "judge_model.vllm.max_length=2048",
)


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def plain_verdict(text: str) -> str | None:
    """The usual way: the JSON between the first and the last brace, or nothing."""
    try:
        found = json.loads(text[text.index("{") : text.rindex("}") + 1])
        return str(found["decision"])
    except (ValueError, KeyError, TypeError):
        return None


def reject_recall(name: str, repeats: int) -> Result:
    """Share of the corpus's rejections that are read as one."""
    rejections = [r["text"] for r in lines("verdicts.jsonl") if r["decision"] == "REJECT"]

    def pair(_: int) -> Pair:
        verdicts = map(parse_verdict, rejections)
        ours = sum(v is not None and v.decision == "REJECT" for v in verdicts)
        theirs = sum(plain_verdict(text) == "REJECT" for text in rejections)
        return ours / len(rejections), theirs / len(rejections)

    return compare(name, "share", repeated(repeats, pair), limit=1.0, more_is_better=True)


class NoSchema(AskedByIds):
    """The same engine, asked for free text."""

    def __init__(self, engine: Provider) -> None:
        self.engine, self.name = engine, engine.name

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        return await self.engine.complete_tokens(prompt_ids, replace(sampling, json_schema=None))

    async def close(self) -> None:
        await self.engine.close()


def _conversations() -> Iterable[Conversation]:
    """Conversations that try to mislead their judge."""
    for number, row in enumerate(lines("transcript_attacks.jsonl")[:TRANSCRIPTS]):
        said = Conversation(
            problem=Problem(id=f"p{number}", text="What is 3 + 4?", answer="7"),
            sample=0,
            seed=number,
            type="guided",
            student_name=None,
            student_persona="simple_student",
        )
        for role, text in row["turns"]:
            message = {"role": role, "content": text, "visible": text}
            said.messages.append(Message.model_validate(message))
        yield said


async def _requests_a_verdict(judges: Sequence[Judge]) -> float:
    asked = [judge.verdicts(c) for c in _conversations() for judge in judges]
    found = [v for verdicts in await gather_or_cancel(asked) for v in verdicts]
    accepted = sum(v.decision is not None for v in found)
    return sum(v.attempts for v in found) / max(1, accepted)


def judge_requests(name: str, repeats: int) -> Result:
    """Requests for each verdict that could be read: structured outputs against free text."""
    cfg = settings("smollm2", *JUDGE)
    with running(cfg, "judge") as found:
        engine = found.engines.for_role("judge")
        assert engine is not None

        def requests(schema: bool) -> float:
            provider: Provider = EngineProvider(engine, found.engines.check, 600.0)
            participant = build_participant(
                roles_of(cfg)["judge"], provider if schema else NoSchema(provider)
            )

            async def ask() -> float:
                try:
                    return await _requests_a_verdict(build_judges(cfg.generation, participant))
                finally:
                    await provider.close()

            return asyncio.run(ask())

        pairs = repeated(repeats, lambda _: (requests(True), requests(False)))
    return compare(name, "requests", pairs, limit=1.0)
