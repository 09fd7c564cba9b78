"""What the lead rank of each node does for the others: conversations run, recorded, evaluated."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from config.schema import TrainRLConfig
from src.background import Background
from src.classroom import Classroom
from src.evaluation.conversations import Running, run_pairs
from src.grpo.held_out import Pooled, already_evaluated, evaluation_classroom, measured
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.prefetch import Prefetch
from src.grpo.rollouts.tutor_in_training import TrainedModule, TutorInTraining
from src.local_models import LocalModels, open_local_models
from src.progress import Progress
from src.setup import build_classroom, run_budget
from utils.data.problems import Problem
from utils.records import ConversationRecord, load_run
from utils.runs.folder import RunFolder
from utils.runs.record_writer import RecordWriter


class Lead:
    """The classroom of a training run on one node, its engines and its record."""

    def __init__(
        self,
        cfg: TrainRLConfig,
        folder: RunFolder,
        node: int,
        classroom: Classroom,
        models: LocalModels,
        writer: RecordWriter,
        loop: Background,
        held_out: Sequence[Problem] = (),
    ) -> None:
        """`held_out`: this node's share of the problems to evaluate on."""
        self.cfg, self.folder, self.node = cfg, folder, node
        self.classroom, self.models = classroom, models
        self.evaluation_classroom = evaluation_classroom(classroom)
        self.writer, self.loop, self.held_out = writer, loop, held_out
        self.prefetch = Prefetch(self.start_batch) if cfg.train.overlap else None

    # -- the tutor's weights -----------------------------------------------------------------

    @property
    def weights_folder(self) -> Path | None:
        """Where new weights are written for the engines; None where nothing is handed over."""
        engines = self.models.engines
        return engines.weights_folder if engines is not None else None

    def load_weights(self, path: Path, version: int) -> None:
        """Have the tutor's engine load a published file, at its next wake at the latest."""
        engines, residency = self.models.engines, self.models.residency
        tutor = engines.for_role("teacher") if engines is not None else None
        if tutor is None or residency is None:
            raise RuntimeError("new weights, but no engine serves the tutor")
        residency.set_weights(tutor.spec.name, path, version)

    # -- conversations -----------------------------------------------------------------------

    def run_batch(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> list[ConversationRecord]:
        """Run one batch of conversations and record it."""
        records = self.loop.run(self._run(problems, samples, step, epoch))
        self._settle()
        return records

    def start_batch(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> Future[list[ConversationRecord]]:
        """Start one batch, which is recorded as it ends."""

        async def recorded() -> list[ConversationRecord]:
            records = await self._run(problems, samples, step, epoch)
            self._settle()
            return records

        return self.loop.start(recorded())

    async def _run(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> list[ConversationRecord]:
        with Progress(f"step {step}", self.classroom.states, len(problems)):
            work = self.classroom.run(
                problems,
                samples=samples,
                step=step,
                epoch=epoch,
                split="train",
                run=self.folder.name,
                students=self._whom(len(problems), step, epoch),
                on_finished=self.writer.add,
            )
            return await self._guarded(work)

    def _whom(self, rows: int, step: int, epoch: int) -> list[str] | None:
        """Whom this node's rows meet: the whole batch is stratified, and they are a part of it."""
        train = self.cfg.train
        places = train.number_of_problems_per_batch
        batch = self.classroom.roster.of_batch(places, step=step, epoch=epoch)
        if batch is None:
            return None
        first = self.node * rows
        return [
            batch[(first + row) // train.num_samples_per_problem % places] for row in range(rows)
        ]

    def _guarded(self, work: Running) -> Running:
        """Ended at once when an engine dies for good."""
        residency = self.models.residency
        return work if residency is None else residency.guarded(work)

    def _settle(self) -> None:
        self.writer.settle()
        if self.models.residency is not None and self.cfg.engines.residency != "always":
            self.models.residency.rest()  # the trainer needs the memory now

    def evaluate(self, step: int) -> Pooled:
        """Metrics on this node's held-out problems with the tutor as the sampler has it."""
        # only the evaluation before the first step can have been started by a killed run: whatever
        # comes later is forgotten with the steps after the last checkpoint
        before = [] if step else already_evaluated(load_run(self.folder.path), self.held_out)
        known = {(r.problem_id, r.sample): r for r in before}
        missing = [
            (problem, sample)
            for problem in self.held_out
            for sample in range(self.classroom.roster.evaluated)
            if (problem.id, sample) not in known
        ]
        fresh = run_pairs(
            self.evaluation_classroom,
            missing,
            self.loop,
            self.writer,
            self.folder.name,
            step=step,
            guarded=self._guarded,
        )
        self._settle()
        return measured([*known.values(), *fresh])

    def collect(self, problems: Sequence[Problem]) -> None:
        """Run conversations about every problem once, with the starting tutor; no training."""
        size = self.cfg.train.number_of_problems_per_batch
        samples = self.cfg.train.num_samples_per_problem
        limit = self.cfg.train.max_steps
        for step, start in enumerate(range(0, len(problems), size)):
            if 0 < limit <= step:
                break
            batch = [p for p in problems[start : start + size] for _ in range(samples)]
            self.run_batch(batch, [i % samples for i in range(len(batch))], step, 0)

    def close(self) -> None:
        """End what is in flight, and give back the connections of everyone who was asked."""
        if self.prefetch is not None:
            self.prefetch.cancel()
            self.loop.wait_for_all()
        self.loop.run(self.classroom.close())


def open_lead(
    cfg: TrainRLConfig,
    folder: RunFolder,
    node: Node,
    stack: ExitStack,
    *,
    trained: TrainedModule,
    tokenizer: Any,
    held_out: Sequence[Problem] = (),
) -> Lead:
    """The lead with its engines started, or attached to; `stack` stops what was started.

    With `engines.backend=transformers` the tutor in training is sampled from `trained` itself.
    """
    loop = stack.enter_context(Background())
    writer = RecordWriter(folder.path, node.index)
    budget = run_budget(cfg, folder.path)  # before a resumed run forgets what it paid for
    ours = cfg.engines.backend != "vllm" and not cfg.train.collect_only
    models = open_local_models(
        cfg, folder.path, stack, without=["teacher"] if ours else [], node=node.index
    )
    providers = dict(models.providers)
    if ours:
        providers["teacher"] = TutorInTraining(trained, tokenizer, cfg.teacher_model)
    classroom = build_classroom(
        cfg, providers, evaluation=False, budget=budget, tokenizers={"teacher": tokenizer}
    )
    share = held_out[node.index :: node.count]
    lead = Lead(cfg, folder, node.index, classroom, models, writer, loop, share)
    stack.callback(lead.close)
    return lead
