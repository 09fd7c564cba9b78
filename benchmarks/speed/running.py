"""A shipped config's engines and classrooms, for benchmarks on real models."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.results import Skipped
from config.schema import TrainRLConfig
from src.classroom import Classroom
from src.inference_providers.base import Provider
from src.inference_providers.budget import Budget
from src.setup import build_classroom
from src.vllm.engines import EngineSet
from src.vllm.providers import providers_of
from src.vllm.spec import plan_engines
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.settings.hydra_entry import load_config

# what the plain algorithm does not do, left out of ours too
SAME_WORK = (
    "generation.student_names=[null]",
    "generation.forced_conversation_type=guided",
    "generation.number_initial_attempts=0",
    "generation.solution_ending=''",
)
Wrap = Callable[[str, Provider], Provider]  # (role, its provider) -> what is asked instead
ROOT = Path(__file__).resolve().parents[2]


def settings(name: str, *overrides: str) -> TrainRLConfig:
    return load_config("config/train_rl", TrainRLConfig, name, overrides)


def need_checkpoints(cfg: TrainRLConfig) -> None:
    """Raises Skipped where a config's models are folders that are not there."""
    for model in (cfg.teacher_model, cfg.student_model):
        name = model.model_name_or_path
        if name.startswith("toy/") and not (ROOT / name / "model.safetensors").exists():
            raise Skipped(f"{name} is missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    cfg: TrainRLConfig
    engines: EngineSet

    def problems(self, count: int) -> list[Problem]:
        dataset = self.cfg.dataset
        return load_problems(dataset.train_datasets, seed=self.cfg.seed, bad_rows=dataset.bad_rows)[
            :count
        ]

    def classroom(self, wrap: Wrap | None = None) -> Classroom:
        """A new one, whose connections belong to the event loop that it runs in first."""
        providers, _ = providers_of(self.engines)
        asked = {r: wrap(r, p) if wrap else p for r, p in providers.items()}
        return build_classroom(
            self.cfg, asked, evaluation=False, budget=Budget.from_settings(self.cfg.engines)
        )


@contextmanager
def running(cfg: TrainRLConfig, *roles: str) -> Iterator[Running]:
    """The engines of these roles of `cfg` (none named: of all), stopped at the end."""
    specs = [s for s in plan_engines(cfg) if not roles or set(roles) & set(s.roles)]
    with (
        tempfile.TemporaryDirectory() as folder,
        EngineSet(specs, cfg.engines, Path(folder)) as engines,
    ):
        yield Running(cfg=cfg, engines=engines)
