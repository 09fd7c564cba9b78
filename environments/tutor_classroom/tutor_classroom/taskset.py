"""Problems as tasks; rewards and metrics are read from the classroom's own record."""

from __future__ import annotations

from collections.abc import Iterable

import verifiers.v1 as vf
from pydantic import Field

from config.schema import EvalConfig, TrainRLConfig
from tutor_classroom.seat import TutorState
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.export.rows import scores
from utils.records import ConversationRecord
from utils.settings.hydra_entry import load_config

RECORD = "conversation"  # where a trace's info keeps the record


class ProblemData(vf.TaskData):
    """One problem with its reference answer."""

    problem: str
    answer: str
    source: str = ""
    extra: dict[str, object] = Field(default_factory=dict)

    def as_problem(self) -> Problem:
        return Problem(
            id=self.id or "",
            text=self.problem,
            answer=self.answer,
            source=self.source,
            extra=self.extra,
        )


class ProblemTask(vf.Task[ProblemData, TutorState]):
    """One problem to be taught."""

    @vf.reward
    async def classroom(self, trace: vf.Trace) -> dict[str, float]:
        """The named rewards, after weights; the trace's reward is their sum.

        Raises ValueError for a conversation that must not count, as one with a missing verdict.
        """
        record = kept(trace)
        if record.error or record.excluded:
            raise ValueError(f"left out: {record.error or record.excluded}")
        return {name: value for name, value in record.rewards.items() if name != "total"}

    @vf.metric
    async def conversation_scores(self, trace: vf.Trace) -> dict[str, float]:
        """Solve rates, leaks and rejections; what the record cannot say is left out."""
        named = scores(kept(trace)).items()
        return {k: v for k, v in named if v is not None and not k.startswith("reward")}


def kept(trace: vf.Trace) -> ConversationRecord:
    """The classroom's record of this trace.  Raises ValueError where there is none."""
    if RECORD not in trace.info:
        raise ValueError("the conversation was not finished")
    return ConversationRecord.model_validate(trace.info[RECORD])


class ClassroomTasksetConfig(vf.TasksetConfig):
    """A configuration of the classroom, as its own commands name it."""

    config: str = "eval/endpoint"
    """FOLDER/NAME of the repository's config folder; `train_rl/...` gives training problems."""
    overrides: list[str] = Field(default_factory=list)
    """Settings, as on the command lines: `generation.max_turns=6`."""

    def settings(self) -> EvalConfig | TrainRLConfig:
        """The classroom's settings.  Raises ConfigError."""
        folder, _, name = self.config.rpartition("/")
        schema: type[EvalConfig | TrainRLConfig]
        schema = TrainRLConfig if folder == "train_rl" else EvalConfig
        return load_config(f"config/{folder or 'eval'}", schema, name, self.overrides)


class ProblemTaskset(vf.Taskset[ProblemTask, ClassroomTasksetConfig]):
    """The problems that the settings name."""

    def load(self) -> Iterable[ProblemTask]:
        cfg, config = self.config.settings(), self.config.task
        training = isinstance(cfg, TrainRLConfig)
        data = cfg.dataset
        for problem in load_problems(
            data.train_datasets if training else data.eval_datasets,
            seed=cfg.seed,
            limit=data.max_train_examples if training else data.max_val_examples,
            setting="dataset.train_datasets" if training else "dataset.eval_datasets",
            bad_rows=data.bad_rows,
        ):
            yield ProblemTask(
                ProblemData(
                    id=problem.id,
                    problem=problem.text,
                    answer=problem.answer,
                    source=problem.source,
                    extra=dict(problem.extra),
                ),
                config,
            )
