"""What a start reads, read before it: prompts, rules, rewards, problems.  Writes nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path

from config.errors import ConfigError
from config.roles import Role, roles_of
from config.schema import DatasetEntry, TrainRLConfig
from src.grpo.problems import held_out_problems, training_problems
from src.setup import check_models, check_texts
from utils.data.files import SUFFIXES

Fault = ConfigError | None


def read_inputs(cfg: TrainRLConfig) -> None:
    """Raises ConfigError for the first input at fault; nothing on the hub is fetched."""
    for _, error in input_faults(cfg):
        if error is not None:
            raise error


def input_faults(cfg: TrainRLConfig) -> Iterator[tuple[str, Fault]]:
    """What was read, and what is wrong with it."""
    here = [r for r in roles_of(cfg).values() if Path(r.model.model_name_or_path).is_dir()]
    with _templates_fault(cfg, here) as templates_fault:
        yield "prompts, rules", _tried(lambda: check_texts(cfg))
        later = list(_problem_faults(cfg))
        yield "chat templates", templates_fault()
    yield from later


def _problem_faults(cfg: TrainRLConfig) -> Iterator[tuple[str, Fault]]:
    if not any(map(is_hub_id, cfg.dataset.train_datasets)):
        yield "problems", _tried(lambda: training_problems(cfg))
    if cfg.train.eval_steps and not any(map(is_hub_id, cfg.dataset.eval_datasets)):
        yield "held-out problems", _tried(lambda: held_out_problems(cfg))


def is_hub_id(entry: DatasetEntry) -> bool:
    """Whether a dataset is one of the hub's, not a file, a folder, a task or a function."""
    name = entry.name_or_path
    if ":" in name or name.count("/") != 1 or name.startswith((".", "/", "~")):
        return False
    return not name.endswith(SUFFIXES) and not Path(name).exists()


def _tried(read: Callable[[], object]) -> Fault:
    try:
        read()
    except ConfigError as error:
        return error
    return None


@contextlib.contextmanager
def _templates_fault(cfg: TrainRLConfig, roles: Sequence[Role]) -> Iterator[Callable[[], Fault]]:
    """What is wrong with the chat templates, looked at meanwhile in a process of its own.

    There transformers is imported without torch, in 2 s for 8.  In this process it would stay so:
    a user's function that makes the problems, say, may need a model.
    """

    def look() -> Fault:
        return _tried(lambda: check_models(cfg, roles))

    if not roles or sys.platform != "linux" or "transformers" in sys.modules:
        yield look
        return
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_without_torch, args=(look, sender), daemon=True)
    child.start()
    sender.close()

    def seen() -> Fault:
        try:
            found: Fault = receiver.recv()
            return found
        except EOFError:  # it failed in a way that this process shows
            return look()

    try:
        yield seen
    finally:
        child.kill()
        child.join()
        receiver.close()


def _without_torch(look: Callable[[], Fault], sender: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the launcher's, who ends this
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.environ["TRANSFORMERS_NO_ADVISORY_WARNINGS"] = "1"  # that there is no torch
    sys.modules["torch"] = None  # type: ignore[assignment]  # not to be imported: importlib's way
    with contextlib.suppress(Exception):
        sender.send(look())
