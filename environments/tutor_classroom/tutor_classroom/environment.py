"""Each episode is one conversation of the classroom, with the run's model as tutor."""

from __future__ import annotations

import tempfile
from collections import Counter
from contextlib import ExitStack
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.agent import Interaction
from verifiers.v1.utils.loaders import resolve_env_config

from config.schema import TrainRLConfig, TutorSettings
from src.classroom import Classroom
from src.dialog.views.participants import Attendance
from src.inference_providers.budget import Budget
from src.inference_providers.scripted import ScriptedProvider
from src.local_models import open_local_models
from src.setup import build_classroom, check_classroom
from tutor_classroom.seat import Seat
from tutor_classroom.taskset import RECORD, ProblemTask
from utils.records import Split

NAME = "tutor-classroom"


class ClassroomConfig(vf.EnvConfig):
    """One seat of the classroom is the run's: the tutor's."""

    tutor: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())


class TutorClassroom(vf.Env[ClassroomConfig]):
    """Our classroom, whose tutor is the model that verifiers samples."""

    async def start(self) -> None:
        """Read the settings and open the student and the judges.  Raises ConfigError."""
        cfg = self.config.taskset.settings()
        cfg.teacher_model = TutorSettings(model_name_or_path=NAME)  # the run's own model
        check_classroom(cfg, without=["teacher"])
        self._open = ExitStack()
        folder = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix=NAME)))
        training = isinstance(cfg, TrainRLConfig)
        self._split: Split = "train" if training else "eval"
        providers = open_local_models(cfg, folder, self._open, without=["teacher"]).providers
        self._classroom = build_classroom(
            cfg,
            {**providers, "teacher": MessagesOnly()},
            evaluation=not training,
            budget=Budget.from_settings(cfg.engines),
        )
        self._samples: Counter[str] = Counter()  # conversations begun, by problem

    async def stop(self) -> None:
        """Give everything back; also after a start that failed half-way."""
        if hasattr(self, "_classroom"):
            await self._classroom.close()
        if hasattr(self, "_open"):
            self._open.close()

    async def run(self, task: ProblemTask, agents: vf.Agents) -> None:
        """One conversation, in which verifiers samples the tutor's turns."""
        problem = task.data.as_problem()
        sample = self._samples[problem.id]
        self._samples[problem.id] += 1
        async with agents.tutor.interaction(task) as exchange:
            classroom = self._seated(exchange, agents.tutor.ctx.model)
            [record] = await classroom.run([problem], samples=[sample], split=self._split, run=NAME)
            exchange.trace.info[RECORD] = record.model_dump(mode="json")

    def _seated(self, exchange: Interaction, model: str) -> Classroom:
        """The classroom with this exchange in the tutor's seat."""
        classroom = copy(self._classroom)
        plan, playing = classroom.plan, classroom.plan.participants
        teacher = replace(playing.teacher, provider=Seat(exchange, model), attendance=Attendance())
        classroom.plan = replace(plan, participants=replace(playing, teacher=teacher))
        classroom.states = Counter()
        return classroom


class MessagesOnly(ScriptedProvider):
    """Holds the tutor's place until an episode takes it."""

    gives_tokens = False


def load_environment(
    config: str = "eval/endpoint", overrides: list[str] | None = None, **env: Any
) -> TutorClassroom:
    """The environment with a configuration of the classroom; `env`: fields of ClassroomConfig."""
    taskset = {"id": NAME, "config": config, "overrides": overrides or []}
    return vf.load_environment(resolve_env_config({"taskset": taskset, **env}))
