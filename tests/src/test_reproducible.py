"""conversations.jsonl is the same, byte for byte but for its timings, however it came about."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from src.dialog.conversation import Conversation
from src.inference_providers.base import Completion
from src.inference_providers.scripted import Ask, Latency, ScriptedProvider
from tests.conftest import ROOT
from tests.src.scripted_classroom import JUDGED, PROBLEMS, classroom, generation
from utils.records import load_run
from utils.runs.record_writer import RecordWriter
from utils.seeding import keyed_rng

HOW = [("0", 1), ("1", 3), ("random", 0)]  # PYTHONHASHSEED, conversations at a time


class Priced(ScriptedProvider):
    """Every answer costs something that floating point cannot hold."""

    async def _reply(self, ask: Ask, prompt_tokens: int) -> Completion:
        answer = await super()._reply(ask, prompt_tokens)
        return replace(answer, cost_usd=0.1e-6 * answer.completion_tokens)


def judge_says(ask: Ask) -> str:
    rng = keyed_rng(ask.text, ask.sampling.seed)
    verdicts = ('{"reasoning": "", "decision": "OK"}', '{"decision": "REJECT"}', "Hm.")
    return rng.choice(verdicts)


def hold(folder: Path, slots: int) -> None:
    """Both types, forced thinking, three rules, lost verdicts, solutions before and after."""
    made = generation(
        judges_rules_prompts_paths={**JUDGED, "matched": "matcher"},
        use_thinking=True,
        force_thinking=True,
        number_initial_attempts=2,
        judge_retries=1,
        student_personas_prompts_paths={
            name: f"prompt_templates/personas/{name}.txt"
            for name in ("simple_student", "hasty_student")
        },
        max_concurrent_conversations=slots,
    )
    slow = Latency(median_s=0.002, sigma=1.5) if slots != 1 else None
    tutor, student = (Priced(seed=i, name=f"m{i}", latency=slow) for i in range(2))
    judge = Priced(judge_says, name="judge", latency=slow)
    writer = RecordWriter(folder)
    room = classroom(made, tutor, student, judge)
    for step in range(2):
        asyncio.run(room.run(PROBLEMS, samples=3, step=step, epoch=step, on_finished=writer.add))
        writer.settle()


def test_in_any_process_at_any_concurrency(tmp_path: Path) -> None:
    files = []
    for number, (salt, slots) in enumerate(HOW):
        folder = str(tmp_path / str(number))
        code = f"from tests.src.test_reproducible import *; hold(Path({folder!r}), {slots})"
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env=os.environ | {"PYTHONHASHSEED": salt},
            check=True,
        )
        data = (tmp_path / str(number) / "conversations.jsonl").read_bytes()
        files.append(re.sub(rb'"timing":{[^}]*}', b"", data))
    assert files[0] == files[1] == files[2]
    records = load_run(tmp_path / "0")
    assert len(records) == 2 * 3 * len(PROBLEMS)
    # the cases that could differ are there
    assert {r.type for r in records} == {"guided", "attempted"}
    assert len({r.student_persona for r in records}) == 2
    assert {v.decision for r in records for vs in r.verdicts.values() for v in vs} == {
        "OK", "REJECT", None,
    }  # fmt: skip
    assert {r.excluded for r in records} == {None, "missing_verdict"}
    assert all(len(r.usage) == 3 for r in records)


def test_costs_do_not_depend_on_their_order() -> None:
    costs = [0.1, 0.2, 0.3, 1e-6, 0.7]
    sums = []
    for order in (costs, costs[::-1]):
        conversation = Conversation(
            problem=PROBLEMS[0],
            sample=0,
            seed=0,
            type="guided",
            student_name=None,
            student_persona="",
        )
        for cost in order:
            conversation.spend("judge", prompt_tokens=1, completion_tokens=1, cost=cost)
        sums.append(conversation.usage["judge"].cost_usd)
    assert sums[0] == sums[1] == 1.300001
