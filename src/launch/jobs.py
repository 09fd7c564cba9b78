"""From a command line to jobs: the settings of each, its run's name, its training command."""

from __future__ import annotations

import importlib.util
import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError
from config.notes import note
from config.schema import TrainRLConfig
from config.validate import check_offload, micro_batches
from src.launch.arguments import Arguments, Ranks, plan_ranks
from utils.runs.checkpoints import refuse_other_ranks
from utils.runs.folder import check_run
from utils.runs.names import is_finished, run_path
from utils.settings.hydra_entry import load_config
from utils.settings.sweeps import Sweep

CONFIGS = "config/train_rl"
SCRIPT = "train_rl.py"
IN_PROCESS = "engines.backend=transformers"
VARIABLES = {"SPT_NOENV": "1"}  # a process that renames itself keeps its environment readable


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training run."""

    settings: TrainRLConfig
    folder: Path
    ranks: Ranks | None  # None: one process, without accelerate
    command: list[str]
    environment: dict[str, str]  # added to ours

    def shell_line(self) -> str:
        """What could be typed instead."""
        variables = [f"{k}={shlex.quote(v)}" for k, v in self.environment.items()]
        return " ".join([*variables, shlex.join(self.command)])


def plan_jobs(arguments: Arguments, gpus: int, grace_s: int) -> tuple[list[Job], list[Path]]:
    """Jobs to run one after the other, and the finished runs that a sweep passes over.

    Raises ConfigError before anything is started.
    """
    overrides = list(arguments.overrides)
    if not arguments.multirun:
        return [_job(arguments, overrides, gpus, grace_s)], []
    jobs, finished = [], []
    sweep = Sweep(arguments.config_name, overrides)
    for point in sweep.points:
        name = sweep.name(point)
        settings = _settings(arguments, [*point, f"run_name={name}"])
        path = run_path(settings).with_name(name)
        if is_finished(path):
            finished.append(path)
        else:
            jobs.append(_job(arguments, [*point, f"run_name={name}"], gpus, grace_s))
    return jobs, finished


def _settings(arguments: Arguments, overrides: list[str]) -> TrainRLConfig:
    return load_config(
        CONFIGS,
        TrainRLConfig,
        arguments.config_name,
        overrides,
        config_dir=arguments.config_dir,
    )


def _job(arguments: Arguments, overrides: list[str], gpus: int, grace_s: int) -> Job:
    settings = _settings(arguments, overrides)
    if settings.engines.backend == "vllm" and importlib.util.find_spec("vllm") is None:
        overrides = [*overrides, IN_PROCESS]
        settings = _settings(arguments, overrides)
        print(
            "launch: vLLM is not installed (no wheel for this system): models run inside the "
            f"training process ({IN_PROCESS} train.use_deepspeed=false)",
            file=sys.stderr,
        )
    # the first node's run holds the folder that the others may share
    first = int(arguments.accelerate_value("--machine_rank") or 0) == 0
    folder = (check_run if first else run_path)(settings, arguments.config_name)
    settings.run_name = folder.name
    named = [o for o in overrides if not o.startswith("run_name=")] + [f"run_name={folder.name}"]
    script = [SCRIPT, *arguments.hydra, "--config-name", arguments.config_name, *named]
    ranks = _ranks(arguments, settings, gpus)
    if first:
        refuse_other_ranks(folder, ranks.processes if ranks else 1)
    launcher = ["-m", "src.launch.ranks", *ranks.flags] if ranks else []
    return Job(
        settings=settings,
        folder=folder,
        ranks=ranks,
        command=[sys.executable, *launcher, *script],
        environment=_environment(ranks, grace_s),
    )


def _ranks(arguments: Arguments, settings: TrainRLConfig, gpus: int) -> Ranks | None:
    """How accelerate starts the trainer; None where one process does without."""
    if settings.train.use_deepspeed:
        chosen = arguments.accelerate or gpus < 2
        usable = gpus if chosen else _usable(settings, gpus)
        if usable < gpus:
            note(
                f"train.number_of_problems_per_batch: a batch is not cut evenly by {gpus} GPUs: "
                f"{usable} of them train, the others only hold engines"
            )
        ranks = plan_ranks(arguments, usable)
        micro_batches(settings, ranks.processes)
        check_offload(settings, ranks.zero_stage, ranks.offload_weights)
        return ranks
    if arguments.accelerate:
        raise ConfigError(
            f"{arguments.accelerate[0]}: train.use_deepspeed=false (implied by {IN_PROCESS}) "
            "runs one process without accelerate; leave its flags out"
        )
    micro_batches(settings, 1)
    check_offload(settings, 0, False)
    return None


def _usable(settings: TrainRLConfig, gpus: int) -> int:
    """As many GPUs as cut a batch of conversations evenly; all where none do, to be refused."""
    train = settings.train
    rows = train.number_of_problems_per_batch * train.num_samples_per_problem
    per_rank = train.per_device_train_batch_size
    return next((n for n in range(gpus, 0, -1) if rows % (n * per_rank) == 0), gpus)


def _environment(ranks: Ranks | None, grace_s: int) -> dict[str, str]:
    variables = dict(VARIABLES)
    if ranks is not None:
        variables["TORCH_ELASTIC_SHUTDOWN_TIMEOUT"] = str(grace_s)
        if "OMP_NUM_THREADS" not in os.environ:
            here = max(1, ranks.processes // ranks.machines)
            variables["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // here))
        if ranks.on_cpu:
            variables["DS_ACCELERATOR"] = "cpu"
    return variables


def with_manifest(environment: Mapping[str, str], manifest: Path | None) -> dict[str, str]:
    """The environment of a training that uses the launcher's engines."""
    from src.vllm.engines import MANIFEST_VARIABLE

    return {**environment, **({MANIFEST_VARIABLE: str(manifest)} if manifest else {})}
