"""The classroom of a training run, its engines and its record, on the lead rank of each node."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.background import Background
from src.classroom import Classroom
from src.evaluation.conversations import Held, run_pairs
from src.grpo.held_out import Pooled, already_evaluated, evaluation_classroom, measured, pool
from src.grpo.node import Node
from src.grpo.prefetch import Prefetch
from src.grpo.rollout import Rollout
from src.grpo.trainer import ClassroomGRPOTrainer, Sampler, SharedWeights
from src.grpo.weights import EngineWeights
from src.inference_providers.in_process import in_process_providers
from src.inference_providers.transformers_local import TransformersProvider
from src.progress import Progress
from src.setup import build_classroom, load_tokenizer, run_budget
from src.vllm.engines import MANIFEST_VARIABLE, EngineSet
from src.vllm.providers import providers_of
from src.vllm.residency import Residency
from src.vllm.spec import is_hosted, plan_engines
from utils.data.problems import Problem
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord, load_run
from utils.runs.folder import RunFolder
from utils.runs.record_writer import RecordWriter
from utils.verdicts.rules import needs_judge


class TrainingRoom:
    """The classroom of a training run, on the lead rank of each node, and its engines."""

    def __init__(
        self,
        cfg: TrainRLConfig,
        folder: RunFolder,
        node: Node,
        problems: Sequence[Problem],
        held_out: Sequence[Problem],
        stack: ExitStack,
    ) -> None:
        self.cfg, self.folder, self.node, self.problems = cfg, folder, node, problems
        self.held_out = held_out[node.index :: node.count]  # this node's share
        self.reported = frozenset(cfg.generation.rules_only_reported)
        self.loop = stack.enter_context(Background())
        self.writer = RecordWriter(folder.path, node.index)
        self.budget = run_budget(cfg, folder.path)  # before anything is forgotten
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(cfg.teacher_model, "teacher")
        self.classroom: Classroom | None = None
        self.evaluation_classroom: Classroom | None = None
        self.residency: Residency | None = None
        self.engines: EngineSet | None = None
        self.local: dict[str, Any] = {}
        self.sampler: Sampler = SharedWeights()
        self.prefetch = Prefetch(self.start_batch) if cfg.train.overlap else None
        _check_groups(cfg, node)
        if cfg.engines.backend == "vllm":
            node.on_lead(lambda: self._engines(stack))
            wait = self.prefetch.wait if self.prefetch is not None else None
            self.sampler = EngineWeights(node, self._weights_folder(), self._load, wait)

    # -- who answers -------------------------------------------------------------------------

    def _engines(self, stack: ExitStack) -> None:
        """The launcher's engines, or our own."""
        manifest = os.environ.get(MANIFEST_VARIABLE)
        if manifest:
            engines = EngineSet.attach(Path(manifest))
        else:
            specs, node = plan_engines(self.cfg), self.node.index
            engines = EngineSet(specs, self.cfg.engines, self.folder.path, node=node)
        self.engines = stack.enter_context(engines)
        providers, self.residency = providers_of(self.engines)
        self.local = dict(providers)

    def close(self) -> None:
        """End what is in flight, and give back the connections of everyone who was asked."""
        if self.prefetch is not None:
            self.prefetch.cancel()
            self.loop.wait_for_all()
        if self.classroom is not None:
            self.loop.run(self.classroom.close())

    def _weights_folder(self) -> Path | None:
        return self.engines.weights_folder if self.engines is not None else None

    def _load(self, path: Path, version: int) -> None:
        assert self.residency is not None and self.engines is not None
        engine = self.engines.for_role("teacher")
        assert engine is not None
        self.residency.set_weights(engine.spec.name, path, version)

    def _in_process(self, trainer: ClassroomGRPOTrainer | None) -> None:
        """Providers in this process; the tutor in training is sampled from the trained module."""
        cfg = self.cfg
        wanted = ["teacher", "student"] + (["judge"] if needs_judge(cfg.generation) else [])
        if trainer is not None:
            wanted.remove("teacher")
            self.local["teacher"] = TransformersProvider(
                trainer.model,
                self.tokenizer,
                name=cfg.teacher_model.model_name_or_path,
                max_length=cfg.teacher_model.vllm.max_length,
                max_batch_rows=cfg.teacher_model.vllm.max_num_seqs,
            )
        ours = [role for role in wanted if not is_hosted(getattr(cfg, f"{role}_model"))]
        self.local |= in_process_providers(cfg, ours)

    def connect(self, trainer: ClassroomGRPOTrainer | None) -> None:
        """Build the classroom once the trained module exists; None: nothing is trained."""
        if trainer is not None and isinstance(self.sampler, EngineWeights):
            self.sampler.model = lambda: trainer.model
        if not self.node.leads:
            return
        if self.cfg.engines.backend != "vllm":
            self._in_process(trainer)
        self.classroom = build_classroom(
            self.cfg,
            self.local,
            evaluation=False,
            budget=self.budget,
            tokenizers={"teacher": self.tokenizer},
        )
        self.evaluation_classroom = evaluation_classroom(self.classroom)

    # -- conversations -----------------------------------------------------------------------

    def rollout(self) -> Rollout:
        return Rollout(
            self.node,
            self.problems,
            self.run_batch,
            samples_per_problem=self.cfg.train.num_samples_per_problem,
            filler=self.tokenizer.eos_token_id,
            metrics=lambda records: rollout_metrics(records, self.reported),
            prefetch=self.prefetch,
        )

    def run_batch(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> list[ConversationRecord]:
        """RunBatch one batch of conversations and record it.  On the lead only."""
        records = self.loop.run(self._run(problems, samples, step, epoch))
        self._settle()
        return records

    def start_batch(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> Future[list[ConversationRecord]]:
        """Begin one batch; it is recorded as it is held.  On the lead only."""

        async def recorded() -> list[ConversationRecord]:
            records = await self._run(problems, samples, step, epoch)
            self._settle()
            return records

        return self.loop.start(recorded())

    async def _run(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> list[ConversationRecord]:
        assert self.classroom is not None
        with Progress(f"step {step}", self.classroom.states, len(problems)):
            work = self.classroom.run(
                problems,
                samples=samples,
                step=step,
                epoch=epoch,
                split="train",
                run=self.folder.name,
                on_finished=self.writer.add,
            )
            return await self._guarded(work)

    def _guarded(self, work: Held) -> Held:
        """Ended at once when an engine dies for good."""
        return work if self.residency is None else self.residency.guarded(work)

    def _settle(self) -> None:
        self.writer.settle()
        if self.residency is not None and self.cfg.engines.residency != "always":
            self.residency.rest()  # the trainer needs the memory now

    def evaluate_held_out(self, step: int) -> dict[str, float]:
        """Means on the held-out problems with the tutor as the sampler has it.  Collective."""
        return pool(self.node.from_leads(self.node.on_lead(lambda: self._evaluate(step))))

    def _evaluate(self, step: int) -> Pooled:
        assert self.evaluation_classroom is not None
        # only the evaluation before the first step can have been begun by a killed run: whatever
        # comes later is forgotten with the steps after the last checkpoint
        before = [] if step else already_evaluated(load_run(self.folder.path), self.held_out)
        held = {r.problem_id: r for r in before}
        missing = [(problem, 0) for problem in self.held_out if problem.id not in held]
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
        return measured([*held.values(), *fresh], self.reported)

    def collect(self) -> None:
        """RunBatch conversations about every problem once, with the starting tutor; no training."""
        size = self.cfg.train.number_of_problems_per_batch
        samples = self.cfg.train.num_samples_per_problem
        limit = self.cfg.train.max_steps
        starts = range(0, len(self.problems), size)

        def work() -> None:
            for step, start in enumerate(starts):
                if limit > 0 and step >= limit:
                    break
                batch = [p for p in self.problems[start : start + size] for _ in range(samples)]
                self.run_batch(batch, [i % samples for i in range(len(batch))], step, 0)

        self.node.on_lead(work)


def _check_groups(cfg: TrainRLConfig, node: Node) -> None:
    """A problem's conversations must lie on one node, whose lead holds them together."""
    rows = cfg.train.number_of_problems_per_batch * cfg.train.num_samples_per_problem
    nodes = node.world_size // node.local_size
    if rows // nodes % cfg.train.num_samples_per_problem:
        raise ConfigError(
            f"train.number_of_problems_per_batch: {cfg.train.number_of_problems_per_batch} "
            f"problems cannot be shared evenly by {nodes} nodes"
        )
