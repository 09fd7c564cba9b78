"""One whole GRPO update: conversations, training step, new weights; ours against the plain way.

The plain way is `benchmarks.speed.plain`'s conversations, TRL's padded batches, and engines that
are killed and started again on a saved checkpoint; and, to see what that last part is worth, the
same with its engines kept alive.  One process without DeepSpeed, real engines.

    python -m benchmarks.speed.update [CONFIG]    where the seconds of our update go
    python -m benchmarks.speed.update [CONFIG] --overlap    beside those of train.overlap=true
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from benchmarks.speed.plain import PlainClassroom
from benchmarks.speed.results import Book, Result, compare
from benchmarks.speed.running import SAME_WORK, need_checkpoints, settings
from config.schema import TrainRLConfig
from src.embedded import resolve_model
from src.grpo.arguments import grpo_arguments
from src.grpo.build import build_trainer
from src.grpo.lead import Lead, open_lead
from src.grpo.problems import training_problems
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.tutor_in_training import TrainedModule
from src.local_models import LocalModels
from src.setup import build_classroom, load_tokenizer, run_budget
from src.vllm.engines import EngineSet
from src.vllm.providers import providers_of
from src.vllm.spec import plan_engines
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.runs.folder import open_run

CONVERSATIONS, NEW_WEIGHTS = "conversations", "new weights"  # as the book calls them


def in_lockstep(lead: Lead) -> None:
    """Have a lead run its batches the plain way."""

    def run_batch(
        problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
    ) -> list[ConversationRecord]:
        return lead.loop.run(PlainClassroom(lead.classroom).run(problems, samples=samples))

    lead.run_batch = run_batch  # type: ignore[method-assign]


class Restarted:
    """New weights by way of the disk: a checkpoint is saved, and the engines are started on it."""

    def __init__(
        self, lead: Lead, trained: TrainedModule, tokenizer: Any, stack: ExitStack
    ) -> None:
        self.lead, self.trained, self.tokenizer, self.stack = lead, trained, tokenizer, stack

    def sync_weights(self) -> None:
        lead, cfg = self.lead, self.lead.cfg
        folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.trained().save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        lead.close()
        if lead.models.engines is not None:
            lead.models.engines.stop()
        specs = [
            replace(spec, model=str(folder)) if spec.updatable else spec
            for spec in plan_engines(cfg)
        ]
        engines = self.stack.enter_context(EngineSet(specs, cfg.engines, lead.folder.path))
        providers, residency = providers_of(engines)
        lead.models = LocalModels(providers=providers, engines=engines, residency=residency)
        lead.classroom = build_classroom(
            cfg,
            providers,
            evaluation=False,
            budget=run_budget(cfg, lead.folder.path),
            tokenizers={"teacher": self.tokenizer},
        )


class Clock(TrainerCallback):
    """When each update ended; what `book` has of the first one, which warms up, is forgotten."""

    def __init__(self, mu: int, book: Book) -> None:
        self.mu, self.book = mu, book
        self.times: list[float] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.perf_counter())
        if len(self.times) == self.mu:
            self.book.seconds.clear()


def updates(
    cfg: TrainRLConfig, count: int, *, plain: bool, restart: bool, book: Book | None = None
) -> list[float]:
    """Seconds of `count` updates; the first of the run, which warms up, is not among them."""
    with tempfile.TemporaryDirectory() as runs, ExitStack() as stack:
        cfg.logging.save_dir, cfg.run_name = runs, "update"
        cfg.train.padding_free, cfg.train.separate_old_pass = not plain, plain
        cfg.train.max_steps = (count + 1) * cfg.train.mu
        folder = stack.enter_context(open_run(cfg))
        node, trained, problems = Node(), TrainedModule(), training_problems(cfg)
        tokenizer = load_tokenizer(cfg.teacher_model, "teacher_model")
        lead = open_lead(cfg, folder, node, stack, trained=trained, tokenizer=tokenizer)
        if plain:
            in_lockstep(lead)
        restarted = Restarted(lead, trained, tokenizer, stack) if restart else None
        arguments = grpo_arguments(cfg, folder.path, world_size=1)
        arguments.save_strategy = "no"
        model = resolve_model(cfg.teacher_model.model_name_or_path)
        trainer = build_trainer(
            cfg, arguments, model, folder, problems, node, lead, trained, tokenizer, restarted
        )
        book = book or Book()
        clock = Clock(cfg.train.mu, book)
        trainer.add_callback(clock)
        book.watch(trainer._rollout, "run_batch", CONVERSATIONS)
        book.watch(trainer.vllm_generation, "sync_weights", NEW_WEIGHTS)
        book.watch(trainer, "_generate_and_score_completions", "logprobs without gradient")
        book.watch(trainer, "compute_loss", "loss")
        book.watch(trainer.accelerator, "backward", "gradients")
        trainer.train()
        ends = clock.times[cfg.train.mu - 1 :: cfg.train.mu]
        return [after - before for before, after in pairwise(ends)]


@functools.cache
def _updates(repeats: int, config: str, way: str, more: tuple[str, ...]) -> list[float]:
    """Seconds of `repeats` updates: ours, alive (plain, its engines kept), plain."""
    book = Book()
    found = updates(
        _settings(config, *more), repeats, plain=way != "ours", restart=way == "plain", book=book
    )
    spent = ", ".join(f"{n} {s / repeats:.2f}" for n, s in book.seconds.most_common())
    print(f"  {way}: {statistics.median(found):.2f} s an update ({spent})", flush=True)
    return found


def measure(name: str, repeats: int, config: str, theirs: str, *more: str) -> Result:
    """Seconds of an update; `theirs`: plain, or alive; `more`: settings."""
    ours, plain = (_updates(repeats, config, way, more) for way in ("ours", theirs))
    return compare(name, "s", list(zip(ours, plain, strict=True)))


def _settings(config: str, *more: str) -> TrainRLConfig:
    cfg = settings(config, "train.use_deepspeed=false", "train.eval_steps=0", *SAME_WORK, *more)
    need_checkpoints(cfg)
    return cfg


def apart(update: float, conversations: float, new_weights: float) -> float:
    """Computed seconds of an update with overlap, where engines and trainer share no hardware.

    New weights come between two batches of conversations and two of training; all else goes on
    side by side.  The arguments are seconds without overlap.
    """
    return new_weights + max(conversations, update - conversations - new_weights)


def overlap(config: str) -> None:
    """Print an update's seconds without and with `train.overlap`, and what is to be expected."""
    book, count = Book(), 8
    prefetched = _settings(config, "train.overlap=true", "engines.residency=always")
    spent = updates(_settings(config), count, plain=False, restart=False, book=book)
    before = statistics.median(spent)
    after = statistics.median(updates(prefetched, count, plain=False, restart=False))
    held, handed = (book.seconds[name] / count for name in (CONVERSATIONS, NEW_WEIGHTS))
    print(
        f"without overlap {before:.2f} s an update: conversations {held:.2f}, "
        f"new weights {handed:.2f}, training {before - held - handed:.2f}"
    )
    print(f"with overlap {after:.2f} s, {before / after:.2f} times as fast")
    least = apart(before, held, handed)
    print(
        f"computed for engines and trainer that share no hardware: {least:.2f} s, "
        f"{before / least:.2f} times as fast"
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.update", description=__doc__)
    parser.add_argument("config", nargs="?", default="toy", metavar="CONFIG")
    parser.add_argument("--overlap", action="store_true", help="without and with train.overlap")
    options = parser.parse_args()
    if options.overlap:
        overlap(options.config)
        return
    book = Book()
    spent = updates(_settings(options.config), 3, plain=False, restart=False, book=book)
    total = sum(book.seconds.values())
    for name, seconds in book.seconds.most_common():
        print(f"{seconds / total:6.1%}  {name}")
    print(f"an update takes {statistics.median(spent):.2f} s; optimizer and logging not listed")


if __name__ == "__main__":
    main()
