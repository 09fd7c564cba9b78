"""The training job of train_rl.py: from a config to a trained tutor and its run folder."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, PrinterCallback
from transformers.utils.logging import disable_progress_bar
from trl import GRPOConfig

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.background import Background
from src.classroom import Classroom
from src.embedded import resolve_model
from src.evaluation.conversations import Held, hold_pairs
from src.grpo.ahead import Ahead
from src.grpo.arguments import DEEPSPEED_ADAM, grpo_arguments, torch_dtype
from src.grpo.callbacks import Chatter, MetricsFile, PoliteStop, StepLine
from src.grpo.held_out import (
    EvaluateEvery,
    Pooled,
    examination,
    held_out_problems,
    measured,
    pool,
)
from src.grpo.node import Node, peer_is_gone
from src.grpo.offload import refuse_idle_offload
from src.grpo.rollout import Rollout
from src.grpo.summary import print_summary, write_results
from src.grpo.trainer import ClassroomGRPOTrainer, Sampler, SharedWeights
from src.grpo.weights import EngineWeights
from src.hub import prepare_wandb, push_model
from src.inference_providers.in_process import in_process_providers
from src.inference_providers.transformers_local import TransformersProvider
from src.model_card import write_card
from src.progress import Progress
from src.setup import build_classroom, check_classroom, load_tokenizer, run_budget
from src.sft.model import lora_config, save_model
from src.vllm.engines import MANIFEST_VARIABLE, EngineSet
from src.vllm.residency import Residency, providers_of
from src.vllm.spec import is_hosted, plan_engines
from utils.data import load_problems
from utils.disk import one_line_if_full
from utils.logs import set_up_logging
from utils.problems import Problem
from utils.records import ConversationRecord, RecordWriter, load_run
from utils.rules import needs_judge
from utils.run_folder import RunFolder, git_revision, open_run
from utils.training_metrics import rollout_metrics

log = logging.getLogger(__name__)
STOPPED = 130  # exit code of a run that was told to stop and can be gone on with


def train(cfg: TrainRLConfig) -> int:
    """Run the job, or go on with it; the exit code."""
    try:
        return _train(cfg)
    except RuntimeError as error:
        if not peer_is_gone(error):
            raise
        log.error("another rank is gone: its own last words, or its launcher's, say why")
        return 1


def _train(cfg: TrainRLConfig) -> int:
    lora = cfg.teacher_model.lora
    if lora.enable and lora.bias != "none" and cfg.engines.backend == "vllm":
        raise ConfigError("teacher_model.lora.bias: vLLM serves adapters without biases: none")
    check_classroom(cfg)
    problems, held_out = training_problems(cfg), held_out_problems(cfg)
    tutor = resolve_model(
        cfg.teacher_model.model_name_or_path, setting="teacher_model.model_name_or_path"
    )
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    with ExitStack() as stack:
        stack.enter_context(one_line_if_full("logging.save_dir", cfg.logging.save_dir))
        folder = stack.enter_context(open_run(cfg))
        set_up_logging(file=folder.path / "train.log")
        _quiet()
        prepare_wandb(cfg.logging, folder.name)
        # Making the arguments also joins the ranks, where there are several.
        arguments = grpo_arguments(cfg, folder.path, world_size=world_size)
        refuse_idle_offload(cfg, arguments)
        room = TrainingRoom(cfg, folder, Node(), problems, held_out, stack)
        stack.callback(room.close)
        checkpoint = _checkpoint(folder, room.writer, room.node.leads)
        if cfg.train.collect_only:
            room.connect(None)
            room.collect()
        else:
            trainer = build_trainer(cfg, arguments, tutor, room)
            room.connect(trainer)
            trainer.train(resume_from_checkpoint=checkpoint)
            if trainer.state.global_step < trainer.state.max_steps:
                log.warning(
                    "stopped at step %d; the same command goes on", trainer.state.global_step
                )
                return STOPPED
            save_model(trainer, room.tokenizer, folder.path)
            if folder.lead:
                write_card(cfg, folder.path, folder.path / "model", git_revision())
            if folder.lead and cfg.huggingface.push_to_hub:
                log.info("pushed to %s", push_model(folder.path / "model", cfg.huggingface))
            if folder.lead and (best := trainer.state.best_model_checkpoint):
                value = trainer.state.best_metric
                log.info("best by %s: %s (%.3g)", cfg.train.best_metric, best, value)
        if folder.lead:
            folder.finish()
            print_summary(folder.path)
            print(f"report: {write_results(folder.path, tutor)}", flush=True)
        return 0


def training_problems(cfg: TrainRLConfig) -> list[Problem]:
    """The problems of a run.  Raises ConfigError where there are not enough for one batch."""
    if not cfg.dataset.train_datasets:
        raise ConfigError("dataset.train_datasets: no dataset is named")
    problems = load_problems(
        cfg.dataset.train_datasets, seed=cfg.seed, limit=cfg.dataset.max_train_examples
    )[cfg.skip_first_samples :]
    wanted = cfg.train.number_of_problems_per_batch
    if len(problems) < wanted:
        raise ConfigError(
            f"train.number_of_problems_per_batch: {wanted} problems make a batch, "
            f"but dataset.train_datasets has {len(problems)}"
        )
    return problems


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
        self.examination: Classroom | None = None
        self.residency: Residency | None = None
        self.engines: EngineSet | None = None
        self.local: dict[str, Any] = {}
        self.sampler: Sampler = SharedWeights()
        self.ahead = Ahead(self.begin) if cfg.train.overlap else None
        _check_groups(cfg, node)
        if cfg.engines.backend == "vllm":
            node.on_lead(lambda: self._engines(stack))
            wait = self.ahead.wait if self.ahead is not None else None
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
        if self.ahead is not None:
            self.ahead.cancel()
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
        self.examination = examination(self.classroom)

    # -- conversations -----------------------------------------------------------------------

    def rollout(self) -> Rollout:
        return Rollout(
            self.node,
            self.problems,
            self.hold,
            samples_per_problem=self.cfg.train.num_samples_per_problem,
            filler=self.tokenizer.eos_token_id,
            metrics=lambda records: rollout_metrics(records, self.reported),
            ahead=self.ahead,
        )

    def hold(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> list[ConversationRecord]:
        """Hold one batch of conversations and record it.  On the lead only."""
        records = self.loop.run(self._held(problems, samples, step, epoch))
        self._settle()
        return records

    def begin(
        self, problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> Future[list[ConversationRecord]]:
        """Begin one batch; it is recorded as it is held.  On the lead only."""

        async def recorded() -> list[ConversationRecord]:
            records = await self._held(problems, samples, step, epoch)
            self._settle()
            return records

        return self.loop.start(recorded())

    async def _held(
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

    def examine(self, step: int) -> dict[str, float]:
        """Means on the held-out problems with the tutor as the sampler has it.  Collective."""
        return pool(self.node.from_leads(self.node.on_lead(lambda: self._examine(step))))

    def _examine(self, step: int) -> Pooled:
        assert self.examination is not None
        # only the evaluation before the first step can have been begun by a killed run: whatever
        # comes later is forgotten with the steps after the last checkpoint
        before = [] if step else load_run(self.folder.path)
        held = {r.problem_id: r for r in before if r.split == "eval"}
        missing = [(problem, 0) for problem in self.held_out if problem.id not in held]
        fresh = hold_pairs(
            self.examination,
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
        """Hold conversations about every problem once, with the starting tutor; no training."""
        size = self.cfg.train.number_of_problems_per_batch
        samples = self.cfg.train.num_samples_per_problem
        limit = self.cfg.train.max_steps
        starts = range(0, len(self.problems), size)

        def work() -> None:
            for step, start in enumerate(starts):
                if limit > 0 and step >= limit:
                    break
                batch = [p for p in self.problems[start : start + size] for _ in range(samples)]
                self.hold(batch, [i % samples for i in range(len(batch))], step, 0)

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


def build_trainer(
    cfg: TrainRLConfig, arguments: GRPOConfig, tutor: str, room: TrainingRoom
) -> ClassroomGRPOTrainer:
    """The trainer on the starting tutor; TRL loads the KL reference from the same place."""
    arguments.model_init_kwargs = {
        "dtype": torch_dtype(cfg.train.dtype),
        "revision": cfg.teacher_model.revision,
        "use_safetensors": True,
    }
    data = Dataset.from_dict(
        {"prompt": [p.id for p in room.problems], "index": list(range(len(room.problems)))}
    )
    evaluator = EvaluateEvery(cfg.train.eval_steps, cfg.train.mu) if cfg.train.eval_steps else None
    trainer = ClassroomGRPOTrainer(
        model=tutor,
        args=arguments,
        rollout=room.rollout(),
        sampler=room.sampler,
        examine=room.examine,
        padding_free=cfg.train.padding_free,
        score_rows=cfg.train.batch_size_ref_model,
        offload=cfg.train.offload_during_rollouts,
        deepspeed_adam=cfg.train.optimizer == DEEPSPEED_ADAM,
        train_dataset=data,
        processing_class=room.tokenizer,
        peft_config=lora_config(cfg.teacher_model.lora),
        callbacks=[
            MetricsFile(room.folder),
            StepLine(),
            PoliteStop(cfg.train.mu),
            *([evaluator] if evaluator else []),
        ],
    )
    if evaluator is not None:
        evaluator.start = trainer.evaluate
    trainer.remove_callback(PrinterCallback)
    return trainer


def _quiet() -> None:
    """Leave out what libraries say at every start or step and nobody can act on."""
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")  # rollout_func is pinned and tested
    disable_progress_bar()
    for handler in logging.getLogger().handlers:
        handler.addFilter(Chatter())
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch.distributed")


def _checkpoint(folder: RunFolder, writer: RecordWriter, leads: bool) -> str | None:
    """The checkpoint to go on from; what each node's record holds of later steps is forgotten."""
    found = folder.last_checkpoint()
    step = int(found.name.rpartition("-")[2]) if found else 0
    if leads and folder.resumed:
        writer.rewind(step)
    if folder.lead and folder.resumed:
        folder.drop_metrics_after(step)
        where = f"checkpoint of step {step}" if found else "the start: it had no checkpoint yet"
        log.info("run %s goes on from %s", folder.name, where)
    return str(found) if found else None
