"""--check: what this machine lacks for the runs asked for, before anything starts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from config.errors import ConfigError
from config.roles import roles_of
from src.embedded import MODELS, PREFIX
from src.inference_providers.hosted import PRESETS
from src.launch.arguments import refuse_missing_gpus
from src.launch.inputs import input_faults, is_hub_id
from src.launch.jobs import Job
from src.launch.plan import training_of
from src.memory_plan.disk import as_in_ram, published_bytes, run_folder_bytes
from src.memory_plan.parts import Described, total
from src.memory_plan.plan import plan_memory
from src.models.services import check_upload, check_wandb, is_offline
from src.vllm.server import Machine, place_on_gpus
from src.vllm.spec import plan_engines
from utils.gpu_needs import missing_for_gpus

GIB = 1024**3
HUB_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at: `ok` None where it could not be known."""

    what: str
    ok: bool | None
    text: str


def check(jobs: Sequence[Job], machine: Machine) -> int:
    """Print what was found; 0 where nothing is missing, else 1."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    findings = list(dict.fromkeys(f for job in jobs for f in _findings(job, machine)))
    marks = {True: ("ok", "green"), False: ("MISSING", "red"), None: ("unknown", "yellow")}
    for finding in findings:
        mark, colour = marks[finding.ok]
        line = Text.assemble((f"{mark:8}", colour), f"{finding.what:19} ", finding.text)
        console.print(line)
    missing = sum(finding.ok is False for finding in findings)
    console.print(f"{missing} missing" if missing else "Nothing is missing.")
    return 1 if missing else 0


def _findings(job: Job, machine: Machine) -> Iterator[Finding]:
    settings = job.settings
    yield _python()
    yield _vllm(job)
    yield from _room(job, machine)
    for what, error in input_faults(settings):
        yield Finding(what=what, ok=error is None, text=str(error or "read"))
    yield from _gpus(job, machine)
    if machine.has_gpus:
        yield _gpu_needs()
    yield from _models(job)
    for entry in [*settings.dataset.train_datasets, *settings.dataset.eval_datasets]:
        if is_hub_id(entry):
            yield _hub(entry.name_or_path, "dataset")
    yield from _keys(job)


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 12)
    return Finding(what="Python", ok=fits, text=f"{version} (3.11 or 3.12)")


def _vllm(job: Job) -> Finding:
    if job.settings.engines.backend != "vllm":
        return Finding(what="vLLM", ok=True, text="not needed: models run in the training process")
    there = importlib.util.find_spec("vllm") is not None
    text = "installed" if there else "not installed; engines.backend=transformers does without"
    return Finding(what="vLLM", ok=there, text=text)


def _room(job: Job, machine: Machine) -> Iterator[Finding]:
    """Memory and disk, against what the memory plan says."""
    cfg = job.settings
    described = Described(
        gpus=len(machine.gpus),
        gpu_bytes=0.0,  # whether it fits a GPU is what --plan says
        ram_bytes=float(psutil.virtual_memory().available),
    )
    training = training_of(job, described)
    try:
        plan = plan_memory(as_in_ram(cfg), described, training)
    except ConfigError as error:
        yield Finding(what="memory, disk", ok=None, text=f"no plan: {error}")
        return
    weights, in_ram = published_bytes(plan), cfg.engines.weights_dir.startswith("/dev/shm")
    wanted = max(total(phase.ram) for phase in plan.phases) - (0.0 if in_ram else weights)
    yield Finding(
        what="memory",
        ok=described.ram_bytes >= wanted,
        text=f"{described.ram_bytes / GIB:.1f} GiB available ({wanted / GIB:.1f} planned)",
    )
    yield _disk("run folder", Path(cfg.logging.save_dir), run_folder_bytes(cfg, training))
    if weights:
        yield _disk("new weights", Path(cfg.engines.weights_dir), weights)


def _disk(what: str, folder: Path, least: float) -> Finding:
    while not folder.exists():
        folder = folder.absolute().parent
    free = shutil.disk_usage(folder).free
    writable = os.access(folder, os.W_OK)
    text = f"{free / GIB:.1f} GiB free in {folder.absolute()} ({least / GIB:.1f} planned)"
    return Finding(
        what=what, ok=writable and free >= least, text=text if writable else f"{folder}: read-only"
    )


def _gpus(job: Job, machine: Machine) -> Iterator[Finding]:
    try:
        if job.ranks is not None:
            refuse_missing_gpus(job.ranks, len(machine.gpus))
        for spec in plan_engines(job.settings) if machine.has_gpus else ():
            place_on_gpus(spec, machine)
    except ConfigError as error:
        yield Finding(what="GPUs", ok=False, text=str(error))
    else:
        yield Finding(what="GPUs", ok=True, text=f"{len(machine.gpus)} visible")


def _gpu_needs() -> Finding:
    missing = missing_for_gpus()
    text = "; ".join(missing) or "the driver is new enough; a C compiler and Python.h are there"
    return Finding(what="driver, compiler", ok=not missing, text=text)


def _models(job: Job) -> Iterator[Finding]:
    for role, asked in roles_of(job.settings).items():
        name = asked.model.model_name_or_path
        if asked.hosted:
            yield Finding(what=role, ok=True, text=f"{name}, hosted")
        elif name.startswith(PREFIX):
            carried = MODELS.get(name.removeprefix(PREFIX))
            there = carried is not None and importlib.util.find_spec(carried.module) is not None
            text = "on this machine" if there else "its package is not installed"
            yield Finding(what=role, ok=there, text=f"{name}, {text}")
        elif name.startswith("toy:") or Path(name).is_dir():
            yield Finding(what=role, ok=True, text=f"{name}, on this machine")
        else:
            yield _hub(name, role)
    scorer = job.settings.reward_model.model_name_or_path
    if scorer not in ("Answer", "None"):
        yield _hub(scorer, "reward model")


def _hub(name: str, what: str) -> Finding:
    """Whether the hub would give it, or gave it before.  Never waits for long."""
    from httpx import HTTPError
    from huggingface_hub import HfApi, scan_cache_dir
    from huggingface_hub.errors import CacheNotFound, HfHubHTTPError

    try:
        if any(repo.repo_id == name for repo in scan_cache_dir().repos):
            return Finding(what=what, ok=True, text=f"{name}, in the hub's cache on this machine")
    except CacheNotFound:
        pass  # nothing was ever downloaded
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        return Finding(what=what, ok=False, text=f"{name}: not in the cache, and HF_HUB_OFFLINE")
    look = HfApi().dataset_info if what == "dataset" else HfApi().model_info
    try:
        look(name, timeout=HUB_TIMEOUT_S)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else "no answer"
        hint = "; does HF_TOKEN have access?" if status in (401, 403) else ""
        return Finding(what=what, ok=False, text=f"{name}: the hub answers {status}{hint}")
    except (HTTPError, OSError) as error:
        return Finding(what=what, ok=False, text=f"{name}: no hub access ({error})")
    return Finding(what=what, ok=True, text=f"{name}, on the hub")


def _keys(job: Job) -> Iterator[Finding]:
    """Keys that this run needs, and those it can do without."""
    needed: dict[str, str] = {}
    for role, asked in roles_of(job.settings).items():
        model = asked.model
        names = [preset.api_key_env for preset in PRESETS if getattr(model, preset.flag)]
        if asked.hosted:
            names = [model.api_key_env] if model.api_key_env else names
            needed |= dict.fromkeys(names, f"{role} is hosted")
    for name, reason in needed.items():
        yield Finding(what=name, ok=bool(os.environ.get(name)), text=reason)
    if job.settings.huggingface.push_to_hub:
        yield _service("upload", lambda: check_upload(job.settings.huggingface), "may write")
    if job.settings.logging.wandb:
        offline = is_offline(job.settings.logging)
        text = "offline, in the run folder" if offline else "answers"
        yield _service("W&B", lambda: check_wandb(job.settings.logging), text)


def _service(what: str, ask: Callable[[], None], text: str) -> Finding:
    try:
        ask()
    except ConfigError as error:
        return Finding(what=what, ok=False, text=str(error))
    return Finding(what=what, ok=True, text=text)
