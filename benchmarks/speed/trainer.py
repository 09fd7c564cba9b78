"""One optimizer step on a recorded batch of conversations: packed, against TRL's padded batches.

    python -m benchmarks.speed.trainer WAY MODEL [--checkpointing] [--profile]

is one step in a process of its own; WAY is packed or padded, `--profile` prints torch's operators.

A step is what follows the conversations: logprobs of the reference, and for TRL's way those of the
old policy, loss, gradients, AdamW.  Lengths are log-normal between 100 and 4,000 tokens, a fifth of
them the tutor's in turns of 40.  Peak memory is the process's, less what it holds before the step.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.speed.results import Result, Skipped, compare
from utils.seeding import keyed_rng

ROWS, MICRO, SAMPLES, TURN, PROMPT, SHARE = 8, 2, 4, 40, 60, 0.2
CHECKPOINTED_ROWS = 4  # of the same: padded, eight take a quarter of an hour
MEDIAN, SIGMA = 550.0, 0.9
GIB = 2**30
Step = dict[str, float]  # seconds, bytes, loss, grad_norm


def lengths(checkpointing: bool = False) -> list[int]:
    """Tokens of each conversation, the prompt's included."""
    rows = CHECKPOINTED_ROWS if checkpointing else ROWS
    drawn = [
        keyed_rng("recorded", 1, row).lognormvariate(math.log(MEDIAN), SIGMA) for row in range(rows)
    ]
    return [round(max(100, min(4000, tokens))) for tokens in drawn]


def mask_of(tokens: int) -> list[int]:
    """Turns of the tutor's, spread evenly: a fifth of the completion, its last token among them."""
    period = round(TURN / SHARE)
    return [int((tokens - 1 - at) % period < TURN) for at in range(tokens)]


def _record(row: int, tokens: int, vocabulary: int) -> Any:
    from utils.records import ConversationRecord, Trajectory
    from utils.rewards import NAMES

    rng = keyed_rng("tokens", row)
    ids = [rng.randrange(100, vocabulary) for _ in range(tokens)]
    mask = mask_of(tokens - PROMPT)
    reward = rng.random()
    return ConversationRecord(
        problem_id=f"p{row // SAMPLES}",
        sample=row % SAMPLES,
        problem="?",
        answer="1",
        rewards={**dict.fromkeys(NAMES, 0.0), "solve": reward, "total": reward},
        trajectory=Trajectory(
            prompt_ids=ids[:PROMPT],
            completion_ids=ids[PROMPT:],
            mask=mask,
            logprobs=[-10.0 - rng.random() if m else None for m in mask],
        ),
    )


def _trainer(packed: bool, model: str, checkpointing: bool, out: Path) -> Any:
    from datasets import Dataset
    from transformers import AutoConfig, AutoTokenizer

    from config.schema import TrainRLConfig, TrainSettings
    from src.grpo.arguments import grpo_arguments
    from src.grpo.rollouts.node import Node
    from src.grpo.rollouts.rollout import Rollout
    from src.grpo.trainer import ClassroomGRPOTrainer, SharedWeights
    from utils.data.problems import Problem

    tokens = lengths(checkpointing)
    count = len(tokens) // SAMPLES
    settings = TrainSettings(
        number_of_problems_per_batch=count,
        num_samples_per_problem=SAMPLES,
        per_device_train_batch_size=MICRO,
        max_steps=1,
        mu=1,
        beta=0.01,
        optimizer="adamw_torch",
        dtype="float32",
        gradient_checkpointing=checkpointing,
    )
    arguments = grpo_arguments(TrainRLConfig(train=settings), out, world_size=1)
    arguments.model_init_kwargs = {"dtype": "float32"}
    arguments.save_strategy = "no"
    vocabulary = AutoConfig.from_pretrained(model).vocab_size
    problems = [Problem(id=f"p{n}", text="?", answer="1") for n in range(count)]
    rollout = Rollout(
        Node(),
        problems,
        lambda *_: [_record(row, n, vocabulary) for row, n in enumerate(tokens)],
        samples_per_problem=SAMPLES,
        filler=0,
        metrics=lambda records: {},
    )
    columns = {"prompt": [p.id for p in problems], "index": list(range(len(problems)))}
    return ClassroomGRPOTrainer(
        model=model,
        args=arguments,
        rollout=rollout,
        sampler=SharedWeights(),
        padding_free=packed,
        separate_old_pass=not packed,
        train_dataset=Dataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(model),
    )


def step(packed: bool, model: str, checkpointing: bool) -> Step:
    """Seconds, peak bytes above what was held before, loss and gradient norm of one step."""
    import psutil
    from transformers import TrainerCallback

    logged: dict[str, float] = {}

    class Logged(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            logged.update({k: v for k, v in logs.items() if k in ("loss", "grad_norm")})

    with tempfile.TemporaryDirectory() as out:
        trainer = _trainer(packed, model, checkpointing, Path(out))
        trainer.add_callback(Logged())
        held = psutil.Process().memory_info().rss
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": seconds, "bytes": peak - held, **logged}


def _in_a_process(way: str, model: str, checkpointing: bool) -> Step:
    command = [sys.executable, "-m", "benchmarks.speed.trainer", way, model]
    command += ["--checkpointing"] * checkpointing
    environment = os.environ | {"TRL_EXPERIMENTAL_SILENCE": "1", "WANDB_MODE": "disabled"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == -signal.SIGKILL:
        raise Skipped(f"{' '.join(command[1:])} was killed: the memory may be too small for it")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    found: Step = json.loads(done.stdout.splitlines()[-1])
    return found


@functools.cache
def _steps(repeats: int, model: str, checkpointing: bool) -> list[tuple[Step, Step]]:
    """(packed, padded) of each repeat; seconds and memory are read off the same steps."""
    found = []
    for _ in range(repeats):
        ours = _in_a_process("packed", model, checkpointing)
        theirs = _in_a_process("padded", model, checkpointing)
        for value in ("loss", "grad_norm"):
            assert math.isclose(ours[value], theirs[value], rel_tol=1e-3), (value, ours, theirs)
        found.append((ours, theirs))
    return found


def measure(name: str, repeats: int, what: str, model: str, checkpointing: bool) -> Result:
    """`what`: seconds, or bytes (reported in GiB)."""
    unit, scale = ("s", 1.0) if what == "seconds" else ("GiB", 1.0 / GIB)
    tokens = lengths(checkpointing)
    fill = sum(tokens) / (len(tokens) * max(tokens))
    share = sum(sum(mask_of(n - PROMPT)) for n in tokens) / sum(tokens)
    print(
        f"  {len(tokens)} conversations, {sum(tokens)} tokens ({min(tokens)} to {max(tokens)}),"
        f" {share:.0%} the tutor's; fill: packed 100 %, padded {fill:.0%}",
        flush=True,
    )
    steps = _steps(repeats, model, checkpointing)
    pairs = [(ours[what] * scale, theirs[what] * scale) for ours, theirs in steps]
    return compare(name, unit, pairs)


def profile(packed: bool, model: str, checkpointing: bool) -> str:
    """The operators that one step spends its time in, as a table."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as watching

    with watching(activities=[ProfilerActivity.CPU], acc_events=True) as watch:
        step(packed, model, checkpointing)
    found = watch.key_averages()
    return str(found.table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40))


def main() -> None:
    from src.embedded import resolve_model

    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed.trainer", description=__doc__)
    parser.add_argument("way", choices=("packed", "padded"))
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    arguments = (options.way == "packed", resolve_model(options.model), options.checkpointing)
    print(profile(*arguments) if options.profile else json.dumps(step(*arguments)))


if __name__ == "__main__":
    main()
