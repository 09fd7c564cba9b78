"""One command line for three readers: our own flags, accelerate's, and the settings (Hydra's)."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.schema import TrainRLConfig
from utils.settings.config_errors import unknown_flag
from utils.settings.hydra_entry import ROOT, hydra_parser
from utils.yaml_files import read_mapping

OWN = ("--dry-run", "--check", "--plan", "--help", "-h")
# The machine that --plan is for: a count, GiB, and dollars an hour of a GPU.
DESCRIBED = ("--gpus", "--gpu-memory", "--ram", "--price")
NAMED = ("--gpu", "--measured")  # which card, and a file of benchmarks.gpu
# What Hydra shows instead of running; the training script answers.
SHOWN = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--version", "--package", "-p", "--resolve")
REFUSED = {
    "--module": "the launcher runs train_rl.py",
    "--no_python": "the launcher runs train_rl.py",
    "--experimental-rerun": "start the run again with the same settings: it goes on",
    "--shell-completion": "python train_rl.py --shell-completion",
}


@dataclass(kw_only=True)
class Arguments:
    """A parsed command line.  `accelerate` and `hydra` are flags with their values, as typed."""

    accelerate: list[str] = field(default_factory=list)
    hydra: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    config_name: str = ""
    config_dir: str | None = None
    dry_run: bool = False
    check: bool = False
    plan: bool = False
    gpus: float | None = None
    gpu_memory: float | None = None
    ram: float | None = None
    price: float | None = None
    gpu: str | None = None
    measured: str | None = None
    assume: list[str] = field(default_factory=list)
    help: bool = False
    multirun: bool = False
    show: bool = False  # Hydra is asked to print, not to run

    def accelerate_value(self, name: str) -> str | None:
        """What was typed for an accelerate flag (named with underscores), the last one counting."""
        found = None
        for at, flag in enumerate(self.accelerate):
            key, equals, value = flag.partition("=")
            if _underscored(key) == name:
                found = value if equals else self.accelerate[at + 1]
        return found


def parse(argv: Sequence[str], *, config_name: str) -> Arguments:
    """Sort a command line.  Raises ConfigError for a flag that nobody knows, or lacks its value."""
    found = Arguments(config_name=config_name)
    left = list(argv)
    while left:
        argument = left.pop(0)
        flag, equals, value = argument.partition("=")
        if argument == "--":  # the paper's own launcher parts settings from flags by it
            continue
        if not argument.startswith("-"):
            found.overrides.append(_override(argument))
        elif flag in OWN:
            name = {"-h": "help"}.get(flag, flag.strip("-").replace("-", "_"))
            setattr(found, name, True)
        elif flag in DESCRIBED:
            number = _number(flag, value if equals else _next(flag, left))
            setattr(found, flag.strip("-").replace("-", "_"), number)
        elif flag in NAMED:
            setattr(found, flag.strip("-"), value if equals else _next(flag, left))
        elif flag == "--assume":
            found.assume.append(value if equals else _next(flag, left))
        elif _underscored(flag) in REFUSED or flag in REFUSED:
            raise ConfigError(f"{flag}: {REFUSED.get(flag) or REFUSED[_underscored(flag)]}")
        elif flag in (options := _hydra_options()):
            _take_hydra(found, flag, [value] if equals else [], options[flag], left)
        elif (takes_value := _accelerate_takes_value(_underscored(flag))) is not None:
            found.accelerate.append(argument)
            if takes_value and not equals:
                found.accelerate.append(_next(flag, left))
        else:
            parsers = (hydra_parser(), accelerate_parser())
            raise ConfigError(unknown_flag(argument, TrainRLConfig, *parsers))
    for flag in (*DESCRIBED, *NAMED, "--assume"):
        given = getattr(found, flag.strip("-").replace("-", "_")) not in (None, [])
        if given and not found.plan:
            raise ConfigError(f"{flag}: describes a machine for --plan")
    return found


def _number(flag: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if number < 0 or (flag == "--gpus" and number != int(number)):
        raise ConfigError(f"{flag}: must be a number, got {text}")
    return number


def _override(argument: str) -> str:
    if "=" not in argument and not argument.startswith("~"):
        raise ConfigError(f"{argument}: settings are given as key=value")
    return argument


def _take_hydra(
    found: Arguments, flag: str, given: list[str], action: argparse.Action, left: list[str]
) -> None:
    """One of Hydra's flags: kept by its meaning, and passed on as it stands."""
    name = max(action.option_strings, key=len)
    if action.nargs == "?":
        choices = [str(choice) for choice in action.choices or ()]
        given = given or ([left.pop(0)] if left and left[0] in choices else [])
    elif action.nargs != 0:
        given = given or [_next(flag, left)]
    found.show = found.show or flag in SHOWN
    if name == "--multirun":
        found.multirun = True
    elif name == "--config-name":
        found.config_name = given[0]
    elif name == "--config-dir":
        found.config_dir = given[0]
        found.hydra += [name, *given]
    elif name == "--config-path":
        raise ConfigError("--config-path: use --config-dir, which adds a folder of configs")
    else:
        found.hydra += [name, *given]


def _next(flag: str, left: list[str]) -> str:
    if not left:
        raise ConfigError(f"{flag}: needs a value")
    return left.pop(0)


def _underscored(flag: str) -> str:
    """accelerate takes each flag with underscores and with dashes."""
    return "--" + flag[2:].replace("-", "_") if flag.startswith("--") else flag


@functools.cache
def _hydra_options() -> dict[str, argparse.Action]:
    return {o: action for action in hydra_parser()._actions for o in action.option_strings}


def _accelerate_takes_value(flag: str) -> bool | None:
    """Whether a flag of accelerate takes a value; None: no flag of accelerate's."""
    if flag == "--config_file":
        return True  # without importing accelerate, and with it torch: seconds
    return _accelerate_options().get(flag)


@functools.cache
def _accelerate_options() -> dict[str, bool]:
    """accelerate's own flags -> whether one takes a value."""
    options: dict[str, bool] = {}
    for action in accelerate_parser()._actions:
        for option in action.option_strings:
            options[_underscored(option)] = action.nargs != 0
    return options


@functools.cache
def accelerate_parser() -> argparse.ArgumentParser:
    """The parser of `accelerate launch` itself, raising ConfigError instead of exiting."""
    from accelerate.commands.launch import launch_command_parser

    parser: argparse.ArgumentParser = launch_command_parser()

    def refuse(message: str) -> Any:
        raise ConfigError(f"accelerate: {message}")

    parser.error = refuse  # type: ignore[method-assign]
    return parser


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """How accelerate will start the trainer."""

    flags: list[str]  # for `accelerate launch`, before the script
    processes: int  # over all machines
    machines: int
    on_cpu: bool
    machine_rank: int = 0
    zero_stage: int = 0
    offload_optimizer: bool = False
    offload_weights: bool = False


def plan_ranks(arguments: Arguments, gpus: int) -> Ranks:
    """accelerate's flags, completed: a config file for this machine, and no fixed port.

    Raises ConfigError where the config file is not there or a value does not fit.
    """
    typed = list(arguments.accelerate)
    file = arguments.accelerate_value("--config_file")
    if len(typed) > (2 if file else 0):
        accelerate_parser().parse_args([*typed, "train_rl.py"])
    if file is None:
        file = default_config_file(gpus)
        typed = ["--config_file", file, *typed]
        if gpus > 1 and arguments.accelerate_value("--num_processes") is None:
            typed += ["--num_processes", str(gpus)]
            arguments = Arguments(accelerate=typed)
    path = next((p for p in (Path(file), ROOT / file) if p.is_file()), None)
    if path is None:
        there = ", ".join(sorted(p.name for p in (ROOT / "config/deepspeed").glob("*.yaml")))
        raise ConfigError(f"--config_file: no such file: {file} (config/deepspeed has {there})")
    values = read_mapping(path)
    processes = int(arguments.accelerate_value("--num_processes") or values["num_processes"])
    machines = int(arguments.accelerate_value("--num_machines") or values.get("num_machines", 1))
    port = arguments.accelerate_value("--main_process_port") or values.get("main_process_port")
    if port is None and machines == 1:
        typed += ["--main_process_port", "0"]  # any free one
    on_cpu = bool(values.get("use_cpu")) or "--cpu" in typed
    zero = values.get("deepspeed_config") or {}

    def deepspeed(name: str) -> str:
        return str(arguments.accelerate_value(f"--{name}") or zero.get(name, "none"))

    stage = deepspeed("zero_stage")
    return Ranks(
        flags=typed,
        processes=processes,
        machines=machines,
        on_cpu=on_cpu,
        machine_rank=int(
            arguments.accelerate_value("--machine_rank") or values.get("machine_rank", 0)
        ),
        zero_stage=0 if stage == "none" else int(stage),
        offload_optimizer=deepspeed("offload_optimizer_device") != "none",
        offload_weights=deepspeed("offload_param_device") != "none",
    )


def refuse_missing_gpus(ranks: Ranks, gpus: int) -> None:
    """Raises ConfigError where accelerate would start more GPU ranks than there are GPUs."""
    here = ranks.processes // ranks.machines
    if not ranks.on_cpu and here > gpus:
        raise ConfigError(
            f"--config_file: asks for {here} GPUs on this machine, {gpus} are visible "
            f"({default_config_file(gpus)} is for such a machine)"
        )


def default_config_file(gpus: int) -> str:
    """The shipped accelerate config that fits this machine."""
    name = {0: "zero3_cpu", 1: "1GPU"}.get(gpus, "zero3_4GPU")
    return f"config/deepspeed/{name}.yaml"
