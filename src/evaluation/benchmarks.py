"""Asks the tutor every item of a benchmark that the record lacks; answers are records too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import ExitStack
from typing import Any

from config.roles import roles_of
from config.schema import EvalConfig
from src.background import Background
from src.dialog.views.open_view import open_view
from src.dialog.views.participants import Participant
from src.evaluation.completions import TextModel
from src.evaluation.items import Item, reasoning_items
from src.evaluation.tutor_tasks import tutor_items
from src.inference_providers.base import Completion, GaveUp, Provider
from src.inference_providers.hosted import hosted_provider
from src.local_models import open_local_models
from src.setup import build_participant, run_budget
from src.together import gather_or_cancel
from utils.records import (
    SCHEMA,
    ConversationRecord,
    Message,
    Solution,
    Usage,
    load_run,
)
from utils.runs.folder import RunFolder
from utils.runs.record_writer import RecordWriter
from utils.seeding import keyed_seed
from utils.thinking import TAGGED, Thinking

log = logging.getLogger(__name__)
Question = tuple[Item, int]
Ask = Callable[[Item, int], Coroutine[Any, Any, Completion]]


def benchmark_items(cfg: EvalConfig) -> list[Item]:
    """Every item of the task that the settings name.  Raises ConfigError."""
    return reasoning_items(cfg) if cfg.eval.task == "reasoning" else tutor_items(cfg)


def run_benchmark(
    cfg: EvalConfig,
    items: Sequence[Item],
    folder: RunFolder,
    loop: Background,
    stack: ExitStack,
) -> None:
    """Ask what is missing; each answer goes to the journal as it comes."""
    held = {(r.problem_id, r.sample) for r in load_run(folder.path)}
    missing = [
        (item, sample)
        for item in items
        for sample in range(cfg.num_samples_per_problem)
        if (item.problem.id, sample) not in held
    ]
    if not missing:
        return
    log.info("%d items to ask, %d answered already", len(missing), len(held))
    writer, tutor = RecordWriter(folder.path), roles_of(cfg)["teacher"]
    provider = _provider(cfg, folder, stack)
    stack.callback(lambda: loop.run(provider.close()))
    if cfg.eval.task == "reasoning":
        participant = build_participant(tutor, provider)
        ask = ask_in_chat(cfg, participant)
    else:
        model = TextModel(tutor, provider, as_chat=cfg.eval.as_chat)
        participant, ask = model.participant, ask_to_continue(cfg, model)
    loop.run(ask_all(cfg, participant, ask, missing, writer, folder.name))


def _provider(cfg: EvalConfig, folder: RunFolder, stack: ExitStack) -> Provider:
    tutor = roles_of(cfg)["teacher"]
    if tutor.hosted:
        budget = run_budget(cfg, folder.path)
        return hosted_provider(tutor.model, cfg.engines, role=tutor.setting, budget=budget)
    return open_local_models(cfg, folder.path, stack).providers[tutor.name]


def ask_in_chat(cfg: EvalConfig, participant: Participant) -> Ask:
    """Items that are chats, through the model's own template."""

    async def ask(item: Item, seed: int) -> Completion:
        [answer] = await open_view(participant, item.chat).aside(
            None, n=1, max_tokens=cfg.eval.max_new_tokens, seed=seed
        )
        return answer

    return ask


def ask_to_continue(cfg: EvalConfig, model: TextModel) -> Ask:
    """Items that are texts, without any template."""

    async def ask(item: Item, seed: int) -> Completion:
        assert item.text is not None
        tokens = cfg.eval.max_new_tokens
        return await model.continued(item.text, item.stops, max_tokens=tokens, seed=seed)

    return ask


async def ask_all(
    cfg: EvalConfig,
    participant: Participant,
    ask: Ask,
    questions: Sequence[Question],
    writer: RecordWriter,
    run: str,
) -> None:
    """Ask every question; one that fails for good is recorded with its error."""
    slots = asyncio.Semaphore(cfg.generation.max_concurrent_conversations or len(questions))

    async def one(item: Item, sample: int) -> None:
        async with slots:
            try:
                seed = keyed_seed(cfg.seed, "benchmark", item.problem.id, sample)
                answer = await ask(item, seed)
            except GaveUp as error:
                writer.add(to_record(item, sample, run, None, participant.thinking, str(error)))
                return
        record = await asyncio.to_thread(to_record, item, sample, run, answer, participant.thinking)
        writer.add(record)

    await gather_or_cancel([one(item, sample) for item, sample in questions])
    participant.refuse_silence()


def to_record(
    item: Item,
    sample: int,
    run: str,
    answer: Completion | None,
    thinking: Thinking = TAGGED,
    error: str | None = None,
) -> ConversationRecord:
    """An answer as a record: a graded solution, or one more tutor turn after the history."""
    messages, solutions = list(item.history), list[Solution]()
    if answer is not None and item.read is not None:
        solutions = [item.read(thinking.visible(answer.text))]
    elif answer is not None:
        messages.append(
            Message(
                role="teacher",
                content=answer.text,
                visible=thinking.visible(answer.text),
                tokens=answer.completion_tokens,
                stop_reason=answer.stop_reason,
            )
        )
    problem = item.problem
    return ConversationRecord(
        schema=SCHEMA,
        run=run,
        split="eval",
        problem_id=problem.id,
        sample=sample,
        problem=problem.text,
        answer=problem.answer,
        source=problem.source,
        extra=dict(problem.extra),
        messages=messages,
        solutions=solutions,
        stop_reason="error" if error else "max_turns",
        error=error,
        usage={"teacher": _usage(answer)} if answer is not None else {},
    )


def _usage(answer: Completion) -> Usage:
    return Usage(
        requests=1,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        cost_usd=answer.cost_usd,
    )
