"""python -m src.launch: what start_rl_training.sh runs.

usage: ./start_rl_training.sh [--config-name NAME] [--config_file FILE] [SETTING=VALUE ...]

Without arguments: the toy classroom (config/train_rl/toy.yaml).

  --config-name NAME    settings: a file of config/train_rl
  --config-dir FOLDER   look for it in this folder too
  SETTING=VALUE         overrides any setting: generation.max_turns=8 run_name=mine
  --multirun            a=1,2 runs once for each value, finished runs are passed over
  --config_file FILE    how accelerate starts the trainer: a file of config/deepspeed
                        (any other flag of `accelerate launch` works too: --num_machines, ...)
  --dry-run             print what would run
  --check               say what this machine lacks for it, start nothing
  --plan                say what lies in memory in each phase; refuse what does not fit
                        (--gpus 4 --gpu-memory 80 --ram 512, in GiB, for another machine), and
                        what it takes of time and money: --gpu a100-80 (h100-80, h200, l40s,
                        4090), --price 2 (dollars an hour of a GPU), --measured FILE (of
                        benchmarks.gpu), --assume NAME=VALUE
  --cfg job             print the settings

A run of the same name that did not finish goes on where it stopped.  Ctrl-C or SIGTERM: the
training ends its batch and writes a checkpoint (TUTOR_RL_GRACE_SECONDS, 900, at most); once
more: it ends at once.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from config.errors import ConfigError, RunError
from src.launch.arguments import Arguments, parse, refuse_missing_gpus
from src.launch.inputs import read_inputs
from src.launch.jobs import SCRIPT, Job, plan_jobs
from src.launch.run import Interrupted, Signals, run_job, say
from src.models.services import check_start
from src.vllm.server import Machine, server_command
from src.vllm.spec import plan_engines
from utils.runs.logs import load_environment, redact
from utils.settings.hydra_entry import ROOT

DEFAULT_CONFIG = "toy"


def main(argv: list[str]) -> int:
    """The exit code: the training's; 2 for a wrong setting; 128 + n for signal n."""
    load_environment()
    signals = Signals()
    signals.install()
    try:
        return _main(argv, signals)
    except ConfigError as error:
        return _complain(error, 2)
    except RunError as error:
        return _complain(error, 1)
    except Interrupted as interruption:
        return 128 + interruption.number


def _complain(error: Exception, code: int) -> int:
    print(f"error: {redact(' '.join(str(error).split()))}", file=sys.stderr, flush=True)
    return code


def _main(argv: list[str], signals: Signals) -> int:
    arguments = parse(argv, config_name=DEFAULT_CONFIG)
    if arguments.help:
        print((__doc__ or "").split("\n\n", 1)[1].strip())
        return 0
    if arguments.show:
        return _show(arguments)
    if arguments.check or arguments.dry_run:
        sys.dont_write_bytecode = True  # modules of rules and datasets are read, and left alone
    grace_s = int(os.environ.get("TUTOR_RL_GRACE_SECONDS", "900"))
    machine = _machine()
    if arguments.plan:
        from src.launch.plan import describe, print_plans
        from src.launch.plan_time import clock_of

        described = describe(arguments, machine)
        clock = clock_of(arguments, described, machine)
        print_plans(plan_jobs(arguments, described.gpus, grace_s)[0], described, clock)
        return 0
    jobs, finished = plan_jobs(arguments, len(machine.gpus), grace_s)
    for folder in finished:
        say(f"{folder} is finished; passed over")
    if arguments.check:
        from src.launch.check import check

        return check(jobs, machine)
    for job in jobs:
        read_inputs(job.settings)
    for number, job in enumerate(jobs, 1):
        if arguments.dry_run:
            _print_plan(job, machine)
            continue
        if job.ranks is not None:
            refuse_missing_gpus(job.ranks, len(machine.gpus))
        check_start(job.settings)
        which = f"run {number} of {len(jobs)}: " if len(jobs) > 1 else ""
        goes_on = " (goes on where it stopped)" if (job.folder / "config.yaml").exists() else ""
        say(f"{which}{_relative(job.folder)}{goes_on}")
        if code := run_job(job, signals, grace_s):
            return code
    return 0


def _show(arguments: Arguments) -> int:
    """Hydra's own ways to look at a config: the training script answers."""
    script = [SCRIPT, *arguments.hydra, "--config-name", arguments.config_name]
    command = [sys.executable, *script, *arguments.overrides]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _machine() -> Machine:
    return Machine.detect() if sys.platform == "linux" else Machine(cores=os.cpu_count() or 1)


def _print_plan(job: Job, machine: Machine) -> None:
    print(f"# run folder: {_relative(job.folder)}")
    wanted = 0 if job.ranks is None or job.ranks.on_cpu else job.ranks.processes
    if job.ranks is not None and wanted // job.ranks.machines > len(machine.gpus):
        here = wanted // job.ranks.machines
        print(f"# as on a machine of {here} GPUs; on this one {len(machine.gpus)} are visible")
        machine = Machine(gpus=tuple(map(str, range(here))), cores=machine.cores)
    for spec in plan_engines(job.settings):
        folder = Path("/tmp/engines")
        command, _ = server_command(spec, machine, folder / f"{spec.name}.sock", folder)
        print(f"# engine {spec.name}: {shlex.join(command)}")
    print("# the training (started like this it starts those engines itself):")
    print(job.shell_line(), flush=True)


def _relative(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
