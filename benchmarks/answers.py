"""Measures how our verdicts on answers agree with suites of labelled pairs, ours beside math-verify
alone, and how long a batch of solutions takes.

    python -m benchmarks.answers [--math-verify CHECKOUT] [--pairs FILE ...] [--golds FILE ...]
                                 [--misses] [--json FILE]

The project's own pairs always.  math-verify's tests come from a checkout of its repository (or
from where MATH_VERIFY_CHECKOUT says).  --pairs: JSON Lines of {solution, answer, right}; with a
column `standing`, only those that say "plain".  --golds: JSON Lines with a column `answer`; each
must equal itself.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from utils.answers import symbolic
from utils.answers.equality import is_correct, last_boxed
from utils.answers.reading.unfinished import is_unfinished

ROOT = Path(__file__).resolve().parents[1]
BATCH = 1024
_ENVIRONMENT = re.compile(
    r"\$\$((?s:.+?))\$\$|(?<!\\)\$((?:\\\$|[^$\n])+?)(?<!\\)\$|\\\(([^\n]+?)\\\)|\\\[((?s:.+?))\\\]"
)
_FINAL = re.compile(r"(?is).*final answer is:?\s*(\$[^$]+\$|\\\(.+?\\\)|[-\d.,/]+)")
_TEST_ARGUMENTS = (["gold", "pred", "expected"], ["gold", "pred", "result"])
_MAX_WORDS = 2  # of a text without mathematics that is the answer itself: "28 percent"


@dataclass(frozen=True, slots=True)
class Pair:
    solution: str
    answer: str
    right: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """How many pairs of a suite got the right verdict, and how many wrong answers were accepted."""

    suite: str
    pairs: int
    ours: int
    theirs: int
    ours_accepted: int
    theirs_accepted: int


def own_pairs() -> list[Pair]:
    """The project's tables; their pairs of equal answers count where neither side is work to do."""
    tables = ((ROOT / "tests/data" / name).read_text() for name in ("answers.jsonl", "boxed.jsonl"))
    equal_, boxed = ([json.loads(line) for line in table.splitlines()] for table in tables)
    pairs = [
        Pair(_box(r["a"]), r["b"], r["equal"]) for r in equal_ if not is_unfinished(r["a"], r["b"])
    ]
    return pairs + [Pair(_box(row["boxed"]), row["answer"], row["right"]) for row in boxed]


def labelled_pairs(path: Path) -> list[Pair]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    plain = [row for row in rows if row.get("standing", "plain") == "plain"]
    return [Pair(row["solution"], row["answer"], row["right"]) for row in plain]


def golds(path: Path) -> list[Pair]:
    """Every reference in a box of its own; of a worked solution the box, or what follows ####."""
    found = []
    for row in map(json.loads, path.read_text().splitlines()):
        answer = str(row["answer"])
        answer = (last_boxed(answer) or answer).rpartition("####")[2].strip()
        found.append(Pair(_box(answer), answer, True))
    return found


def math_verify_pairs(checkout: Path) -> list[Pair]:
    """Math-Verify's own test pairs that fit one box: no options, one answer on either side."""
    found = []
    for path in sorted((checkout / "tests").glob("test_*.py")):
        for gold, pred, right in _rows(path):
            answer, solution = _single(gold), _single(pred)
            if answer is not None and solution is not None:
                found.append(Pair(_box(solution), answer, bool(right)))
    return found


def _rows(path: Path) -> Iterator[tuple[str, str, int]]:
    """The rows of a test file's parametrized tests of (gold, pred, expected)."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.parametrize"):
            continue
        names = [name.strip() for name in str(ast.literal_eval(node.args[0])).split(",")]
        rows = node.args[1]
        if names not in _TEST_ARGUMENTS or not isinstance(rows, ast.List):
            continue
        for row in rows.elts:
            try:
                yield ast.literal_eval(row)
            except ValueError:  # made by code
                continue


def _single(text: str) -> str | None:
    """The one answer that a text of math-verify's tests gives; None where there are several, or it
    must be found in prose."""
    text = text.rpartition("</think>")[2]
    boxes = re.split(r"(?=\\boxed)", text)[1:]
    held = {last_boxed(box) for box in boxes}
    if boxes:
        return held.pop() if len(held) == 1 else None
    if said := _FINAL.search(text):
        text = said[1]
    environments = [next(filter(None, e.groups())) for e in _ENVIRONMENT.finditer(text)]
    rest = _ENVIRONMENT.sub("", text)
    if len(environments) == 1 and len(_ENVIRONMENT.split(text)[-1].split()) <= _MAX_WORDS:
        percent = re.fullmatch(r"\s*(%|percent|pct)\s*", rest)
        return (environments[0] + (percent[0] if percent else "")).strip()
    if environments:
        joined = not re.sub(r"[\s,.;]|and|or", "", rest)
        return text.replace("$", "").strip() if joined else None
    return text.strip() if "$" not in text and len(text.split()) <= _MAX_WORDS else None


def _box(answer: str) -> str:
    return f"So the answer is \\boxed{{{answer}}}."


def their_verdict(pair: Pair) -> bool:
    """math-verify alone, as its README says; its time limit needs the main thread."""
    from math_verify import parse, verify

    return bool(verify(parse(f"${pair.answer}$"), parse(pair.solution)))


def agreement(suite: str, pairs: Sequence[Pair]) -> tuple[Agreement, list[tuple[Pair, bool]]]:
    """The figures of a suite, and the pairs on which we are wrong."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        ours = list(threads.map(lambda p: is_correct(p.solution, p.answer), pairs))
    theirs = [their_verdict(pair) for pair in pairs]
    figures = Agreement(
        suite=suite,
        pairs=len(pairs),
        ours=sum(o == p.right for o, p in zip(ours, pairs, strict=True)),
        theirs=sum(t == p.right for t, p in zip(theirs, pairs, strict=True)),
        ours_accepted=sum(o and not p.right for o, p in zip(ours, pairs, strict=True)),
        theirs_accepted=sum(t and not p.right for t, p in zip(theirs, pairs, strict=True)),
    )
    return figures, [(p, o) for p, o in zip(pairs, ours, strict=True) if o != p.right]


# what MATH-500's references are, and what students write for them: about half right, nothing cached
_MIX = (
    (56, "{n}", ("{n}", "{m}", "{n}.0", r"{n} \text{{ cm}}")),
    (10, r"\frac{{{n}}}{{{k}}}", (r"\dfrac{{{n}}}{{{k}}}", r"\frac{{{m}}}{{{k}}}", "{n}/{k}")),
    (9, r"{n}\sqrt{{{k}}}", (r"{n} \sqrt{{{k}}}", r"{m}\sqrt{{{k}}}", r"\sqrt{{{k}}} \cdot {n}")),
    (4, r"{n}\pi", (r"{n} \pi", r"{m}\pi", r"\pi \cdot {n}")),
    (8, "({n},{m})", ("({n}, {m})", "({m}, {n})", r"\left({n}, {m}\right)")),
    (4, r"[{n},\infty)", (r"x \ge {n}", r"({n},\infty)", r"[{n}, \infty)")),
    (6, "x^2+{n}x-{k}", ("x^2 + {n}x - {k}", "-{k}+x^2+{n}x", "x^2+{m}x-{k}")),
    (3, r"\text{{Name{n}}}", ("Name{n}", "Name{m}", r"\text{{Name{n}}}")),
)  # fmt: skip


def batch(size: int = BATCH) -> list[Pair]:
    """Solutions of a few hundred words, each with its reference; no two pairs alike."""
    shapes = [(answer, ways) for share, answer, ways in _MIX for _ in range(share)]
    words = "First I write down what is given, then I try it with a smaller number. " * 20
    found = []
    for number in range(size):
        answer, ways = shapes[number * 37 % len(shapes)]
        values = {"n": 3 + number, "m": 5 + 2 * number, "k": 7 + number % 5}
        said = ways[number % len(ways)].format(**values)
        found.append(Pair(f"{words}\n{_box(said)}", answer.format(**values), True))
    return found


def seconds(pairs: Sequence[Pair]) -> float:
    """How long a batch takes, from a helper that runs; as many threads as processors."""
    symbolic.start()
    began = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        list(threads.map(lambda p: is_correct(p.solution, p.answer), pairs))
    return time.perf_counter() - began


def table(found: Sequence[Agreement]) -> Table:
    shown = Table(title="right verdicts (wrong answers accepted)")
    for name in ("suite", "pairs", "ours", "math-verify alone"):
        shown.add_column(name, justify="left" if name == "suite" else "right")
    for one in found:
        ours = f"{one.ours} ({one.ours_accepted})"
        shown.add_row(one.suite, str(one.pairs), ours, f"{one.theirs} ({one.theirs_accepted})")
    return shown


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.answers", description=__doc__)
    checkout = os.environ.get("MATH_VERIFY_CHECKOUT")
    parser.add_argument("--math-verify", type=Path, metavar="CHECKOUT", default=checkout)
    parser.add_argument("--pairs", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--golds", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--misses", action="store_true", help="print the pairs we are wrong on")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    for path in (options.math_verify, *options.pairs, *options.golds):
        if path is not None and not Path(path).exists():
            parser.error(f"{path}: not there")
    suites = {"the project's pairs": own_pairs()}
    if options.math_verify:
        suites["math-verify's tests"] = math_verify_pairs(Path(options.math_verify))
    suites |= {path.name: labelled_pairs(path) for path in options.pairs}
    suites |= {path.name: golds(path) for path in options.golds}
    found, console = [], Console()
    for suite, pairs in suites.items():
        figures, misses = agreement(suite, pairs)
        found.append(figures)
        for pair, said in misses if options.misses else ():
            shown = f"{last_boxed(pair.solution)!r} for {pair.answer!r}: {said}"
            console.print(f"{suite}: {shown}", highlight=False, markup=False)
    taken = seconds(batch())
    console.print(table(found))
    console.print(
        f"{BATCH} solutions like MATH-500's: {taken:.2f} s on {os.cpu_count()} processors"
    )
    if options.json:
        figures_ = {"suites": [asdict(one) for one in found], "batch_s": taken}
        options.json.write_text(json.dumps(figures_, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
