"""The control arm: the student tries again without any tutor, so that a gain is not just luck.

For each problem the student sees each of its own first attempts and solves the problem once more,
with the persona, the request and the sampling of the real arm.  What it gains so is what a
second try is worth; a tutor has to do better (`control_difference` in metrics.json).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from config.schema import EvalConfig
from src.background import Background
from src.classroom import Classroom
from src.dialog.solutions import graded, solution_ending
from src.dialog.views.open_view import open_view
from src.inference_providers.base import ChatMessage, Completion, GaveUp
from src.together import gather_or_cancel
from utils.data.problems import Problem
from utils.prompts import Prompt, load_prompt
from utils.records import ConversationRecord, Usage, load_run
from utils.runs.record_writer import CONTROL_FOLDER, RecordWriter
from utils.seeding import keyed_seed

RETRY_PROMPT = "prompt_templates/student_retry.txt"


def run_control(cfg: EvalConfig, classroom: Classroom, folder: Path, loop: Background) -> None:
    """Record one control conversation, without messages, for each problem and student."""
    held = {_who(r) for r in load_run(folder / CONTROL_FOLDER)}
    first: dict[tuple[str, str], ConversationRecord] = {}
    for record in sorted(load_run(folder), key=lambda r: r.key):
        if _who(record) not in held and record.initial_solutions:
            first.setdefault(_who(record), record)
    if not first:
        return
    retry = load_prompt(
        RETRY_PROMPT, setting="eval.control", variables=frozenset({"problem", "student_name"})
    )
    writer = RecordWriter(folder / CONTROL_FOLDER)
    loop.run(_run_all(cfg, classroom, retry, list(first.values()), writer))
    writer.settle()


def _who(record: ConversationRecord) -> tuple[str, str]:
    return record.problem_id, record.student_persona


async def _run_all(
    cfg: EvalConfig,
    classroom: Classroom,
    retry: Prompt,
    records: Sequence[ConversationRecord],
    writer: RecordWriter,
) -> None:
    slots = asyncio.Semaphore(cfg.generation.max_concurrent_conversations or len(records))

    async def one(record: ConversationRecord) -> None:
        async with slots:
            writer.add(await _try_again(classroom, retry, record))

    await gather_or_cancel([one(record) for record in records])


async def _try_again(
    classroom: Classroom, retry: Prompt, record: ConversationRecord
) -> ConversationRecord:
    """As many solutions as the real arm has, the k-th after the k-th first attempt."""
    settings = classroom.plan.settings
    usage, role = Usage(), classroom.plan.students[record.student_persona].student.role
    fresh = record.model_copy(
        update={
            "sample": record.sample % classroom.roster.evaluated,
            "messages": [],
            "verdicts": {},
            "solutions": [],
            "rewards": {},
            "ped_rm": [],
            "trajectory": None,
            "stop_reason": "max_turns",
            "error": None,
            "excluded": None,
            "timing": {},
            "usage": {role: usage},
        }
    )
    tries = [
        _ask(classroom, retry, record, number) for number in range(settings.number_student_attempts)
    ]
    try:
        answers = await gather_or_cancel(tries)
    except GaveUp as error:
        return fresh.model_copy(update={"stop_reason": "error", "error": str(error)})
    for answer in answers:
        usage.requests += 1
        usage.prompt_tokens += answer.prompt_tokens
        usage.completion_tokens += answer.completion_tokens
        usage.cost_usd += answer.cost_usd
    problem = Problem(id=record.problem_id, text=record.problem, answer=record.answer)
    thinking = classroom.plan.participants.playing(role).thinking
    return fresh.model_copy(update={"solutions": await graded(problem, answers, thinking)})


async def _ask(
    classroom: Classroom, retry: Prompt, record: ConversationRecord, number: int
) -> Completion:
    plan = classroom.plan
    attempt = record.initial_solutions[number % len(record.initial_solutions)]
    values = {"problem": record.problem, "student_name": record.student_name}
    policy = plan.students[record.student_persona]
    system = plan.prompts.personas[record.student_persona]
    if plan.prompts.final_system is not None and not policy.keeps_persona:
        system = plan.prompts.final_system
    messages: list[ChatMessage] = [
        {"role": "system", "content": system.render(**values, **policy.told)},
        {
            "role": "user",
            "content": plan.prompts.student_attempt.render(problem=record.problem),
        },
        {"role": "assistant", "content": attempt.text},
        {"role": "user", "content": retry.render(**values)},
    ]
    participant = plan.participants.playing(policy.student.role)
    [answer] = await open_view(participant, messages).aside(
        None,
        n=1,
        max_tokens=plan.settings.max_tokens_per_student_attempt,
        seed=keyed_seed(plan.seed, "control", record.problem_id, number),
        ending=solution_ending(plan.settings),
    )
    return answer
