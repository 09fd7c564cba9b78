"""Variants of problems with a scripted writer and student: what is kept, and why not."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from config.schema import DatasetEntry, TrainRLConfig
from src.background import Background
from src.evaluation.measure_solve_rate import BARE, Asked
from src.inference_providers.base import GaveUp, ProviderError
from src.inference_providers.scripted import Ask, ScriptedProvider
from src.variants.command import Maker, main, summary, writing_role
from src.variants.make import Demands, Variant, agreed, make_variant, unfit
from tests.conftest import ROOT
from tests.fakes import ByteRenderer, participant
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.settings.hydra_entry import load_config

GSM8K = Path(__file__).resolve().parents[4] / "shared" / "data" / "gsm8k-train-600.jsonl"
PROBLEM = Problem(id="p", text="What is 1 + 2?", answer="3", source="s", extra={"x": 1})
REWRITE = "Write a new problem"


def writer(
    variant: str = "What is 4 + 5?", answers: str = "9999 9", rate: str = "1100"
) -> ScriptedProvider:
    """Writes `variant`, solves it with these digits in turn; the student's right ones are 1."""
    asked = {"blind": 0, "cold": 0}

    def answer(ask: Ask) -> str:
        if REWRITE in ask.text:
            return variant
        if ask.sampling.temperature == 0.5:  # the student's
            asked["cold"] += 1
            right = rate[(asked["cold"] - 1) % len(rate)] == "1"
            wanted = 3 if PROBLEM.text in ask.text else 9
            return f"\\boxed{{{wanted if right else 0}}}"
        asked["blind"] += 1
        digits = answers.replace(" ", "")
        return f"\\boxed{{{digits[(asked['blind'] - 1) % len(digits)]}}}"

    return ScriptedProvider(answer)


def maker(provider: ScriptedProvider, samples: int = 4, **demands: Any) -> Maker:
    cfg = TrainRLConfig()
    return Maker(
        cfg,
        participant("teacher", provider),
        participant("student", provider, temperature=0.5),
        Asked(policy=BARE, role=None),  # type: ignore[arg-type]
        samples=samples,
        demands=Demands(**demands),
    )


def made(provider: ScriptedProvider, **demands: Any) -> dict[str, Any]:
    row = asyncio.run(maker(provider, **demands).row(PROBLEM))
    assert row is not None
    return row


def test_what_agrees_and_is_as_hard_is_kept_with_how_it_came_about() -> None:
    row = made(writer('Problem: "What is 4 + 5?"'))
    assert row == {
        "id": "p", "problem": "What is 1 + 2?", "answer": "3", "source": "s", "x": 1,
        "solve_rate": 0.5, "solve_samples": 4,
        "transfer_problem": "What is 4 + 5?", "transfer_answer": "9",
        "transfer_solve_rate": 0.5, "transfer_agreement": 1.0, "transfer_solves": 5,
        "variant_refused": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("provider", "demands", "reason"),
    [
        (writer(" "), {}, "no text, or cut off"),
        (writer("what is  1 + 2?"), {}, "the problem itself"),
        (writer("x" * 200), {}, "too long"),
        (writer(answers="98989"), {}, "solutions that differ"),
        (writer(answers="33333"), {}, "the same answer"),
        (writer(rate="1100 0000".replace(" ", "")), {"near": 0.25, "tries": 1}, "too hard"),
        (writer(rate="00001111"), {"near": 0.25, "tries": 1}, "too easy"),
        (writer(rate="1110"), {"at_most": 0.5}, "too easy"),
    ],
)
def test_what_is_refused_says_why(
    provider: ScriptedProvider, demands: dict[str, Any], reason: str
) -> None:
    row = made(provider, **demands)
    assert (row["transfer_problem"], row["transfer_answer"]) == ("", "")
    assert row["variant_refused"] == [reason] * demands.get("tries", 3)


def test_a_later_try_may_do_and_the_refusals_before_it_are_kept() -> None:
    row = made(writer(answers="98989 99999"))
    assert row["transfer_answer"] == "9" and row["variant_refused"] == ["solutions that differ"]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["9", "9.0", "9", "8", ""], ("9", 0.6)),
        (["1/2", "0.5", "3"], ("1/2", 2 / 3)),
        (["", ""], ("", 0.0)),
        ([], ("", 0.0)),
        (["1", "2"], ("1", 0.5)),
    ],
)
def test_agreement(answers: list[str], expected: tuple[str, float]) -> None:
    found = agreed(answers)
    assert found[0] == expected[0] and found[1] == pytest.approx(expected[1])


def test_a_long_problem_may_have_a_long_variant() -> None:
    long = Problem(id="l", text="word " * 50, answer="1")
    assert unfit("other " * 100, long) == "" and unfit("other " * 150, long) == "too long"


def test_a_rate_that_could_not_be_measured_leaves_the_problem_for_the_next_start() -> None:
    async def unknown(problem: Problem) -> float | None:
        return None

    made_by = maker(writer())
    assert asyncio.run(make_variant(PROBLEM, 0.5, made_by.writer, unknown, Demands())) is None


def test_what_is_done_is_not_asked_again_and_a_torn_line_is_cut_off(tmp_path: Path) -> None:
    problems = [Problem(id=str(n), text=f"What is {n} + 1?", answer=str(n + 1)) for n in range(4)]
    asked: list[str] = []

    def answer(ask: Ask) -> str:
        asked.append(ask.text)
        if "3 + 1" in ask.text:
            raise GaveUp("busy")
        return "What is 10 + 9?" if REWRITE in ask.text else "\\boxed{19}"

    part = tmp_path / "part"
    with Background() as loop:
        rows = maker(ScriptedProvider(answer), near=1.0).make(problems, loop, part)
        assert set(rows) == {"0", "1", "2"}
        with part.open("a") as file:
            file.write('{"id": "torn')
        before = len(asked)
        again = maker(ScriptedProvider(answer), near=1.0).make(problems[:3], loop, part)
    assert again == rows and len(asked) == before
    assert summary(rows, 4, Path("o")) == (
        "o: 3 of 4 problems have a variant; 1 could not be asked about; tries refused: none"
    )


class Dies(ScriptedProvider):
    """Dies over the third problem, once the other two are kept (or after five seconds)."""

    part: Path

    async def complete_tokens(self, ids: Any, sampling: Any) -> Any:
        if "2 + 1" in (text := ByteRenderer().decode(ids)) and REWRITE in text:
            for _ in range(500):
                if self.part.read_text().count("\n") == 2:
                    break
                await asyncio.sleep(0.01)
            raise ProviderError("the engine has died")
        return await super().complete_tokens(ids, sampling)


def test_a_batch_that_breaks_off_keeps_what_was_done(tmp_path: Path) -> None:
    problems = [Problem(id=str(n), text=f"What is {n} + 1?", answer=str(n + 1)) for n in range(3)]
    provider = Dies(lambda ask: "What is 10 + 9?" if REWRITE in ask.text else "\\boxed{19}")
    provider.part = part = tmp_path / "part"
    with Background() as loop, pytest.raises(ProviderError, match="has died"):
        maker(provider, near=1.0).make(problems, loop, part)
    assert {json.loads(line)["id"] for line in part.read_text().splitlines()} == {"0", "1"}


def test_a_writer_that_never_answers_ends_the_command(tmp_path: Path) -> None:
    def answer(ask: Ask) -> str:
        if REWRITE in ask.text:
            raise GaveUp("no key")
        return "\\boxed{3}"

    with Background() as loop, pytest.raises(ProviderError, match="never once answered"):
        maker(ScriptedProvider(answer)).make([PROBLEM], loop, tmp_path / "part")


def test_the_writer_is_a_role_of_the_config(capsys: pytest.CaptureFixture[str]) -> None:
    cfg = load_config("config/train_rl", TrainRLConfig, "smollm2", [])
    assert writing_role(cfg, None).name == "teacher"
    assert main(["--out", "o.jsonl", "--writer", "nobody"]) == 2
    assert capsys.readouterr().err.strip() == "error: --writer: nobody is none of teacher, student"
    assert main(["--out", "o.jsonl", "--agree", "2"]) == 2
    assert "--agree: must lie between 0 and 1" in capsys.readouterr().err


@pytest.mark.skipif(not GSM8K.is_file(), reason="the sample of GSM8K is not on this machine")
def test_word_problems_come_out_as_a_data_set_that_the_transfer_test_reads(tmp_path: Path) -> None:
    """A writer that adds 10 to each number solves nothing: its solutions' numbers do the rest."""
    source = DatasetEntry(str(GSM8K), split="train[:12]", columns={"problem": "question"})
    problems = load_problems([source], seed=0)

    def answer(ask: Ask) -> str:
        if REWRITE in ask.text:
            given = ask.text.split("\n\n")[1].strip()
            return re.sub(r"\d+", lambda m: str(int(m[0]) + 10), given)
        return f"\\boxed{{{sum(map(int, re.findall(r'[0-9]+', ask.text)))}}}"

    out = tmp_path / "variants.jsonl"
    with Background() as loop:
        rows = maker(ScriptedProvider(answer), near=1.0).make(problems, loop, tmp_path / "part")
    out.write_text("".join(json.dumps(row) + "\n" for row in rows.values()))
    kept = [row for row in rows.values() if row["transfer_problem"]]
    assert len(kept) > 8
    found = load_problems([DatasetEntry(str(out))], seed=0, transfer=True)
    assert {p.transfer.text for p in found} == {row["transfer_problem"] for row in kept}  # type: ignore[union-attr]


def test_every_start_finds_the_same_unfinished_file() -> None:
    """In processes with other hash seeds too."""
    program = (
        "from pathlib import Path; from config.schema import TrainRLConfig\n"
        "from src.variants.command import part_of, writing_role\n"
        "from src.variants.make import Demands\n"
        "from utils.settings.hydra_entry import load_config\n"
        "cfg = load_config('config/train_rl', TrainRLConfig, 'smollm2', [])\n"
        "role = writing_role(cfg, None)\n"
        "print(part_of(cfg, Path('o'), 8, Demands(), role, None, 'r').name)"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert len(names) == 1


def test_nothing_kept_is_a_variant_without_text() -> None:
    assert Variant(refused=("too easy",)).text == ""
