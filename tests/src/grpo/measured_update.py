"""One update on rows of the full length; each rank writes what memory it held when, as JSON.

accelerate launch … tests/src/grpo/measured_update.py MODEL OUT ROWS_A_RANK ROW_TOKENS
"""

import json
import os
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from config.schema import TrainSettings
from src.grpo.offload import at_rest
from src.grpo.rollouts.weights import whole_weights
from src.vllm.weights import publish
from tests.src.grpo import fixed_update
from utils.data.problems import Problem
from utils.records import ConversationRecord, Trajectory
from utils.rewards import NAMES

PROMPT = 100
PIECE_BYTES = 64 << 20  # less than the largest weight, which is then a piece alone


def pss() -> int:
    """Bytes of this process, its share of what it shares."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def peak() -> int:
    """The most bytes since `forget_peak`, with everything that is shared."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def forget_peak() -> int:
    """Begin anew; the bytes that are held now."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def full(problem: Problem, sample: int, tokens: int) -> ConversationRecord:
    """A made-up conversation of `tokens`, the tutor's after the prompt."""
    rng = Random(f"{problem.id}/{sample}")
    count, reward = tokens - PROMPT, rng.random()
    return ConversationRecord(
        problem_id=problem.id,
        sample=sample,
        problem="?",
        answer="1",
        rewards={**dict.fromkeys(NAMES, 0.0), "solve": reward, "total": reward},
        trajectory=Trajectory(
            prompt_ids=[rng.randint(0, 250) for _ in range(PROMPT)],
            completion_ids=[rng.randint(0, 250) for _ in range(count)],
            mask=[1] * count,
            logprobs=[-3.0] * count,
        ),
    )


def main() -> None:
    model, out, rows, tokens = sys.argv[1:]
    fixed_update.PROBLEMS = 2
    fixed_update.fixed = lambda problem, sample: full(problem, sample, int(tokens))
    settings = TrainSettings(
        per_device_train_batch_size=int(rows),
        gradient_checkpointing=False,
        max_steps=1,  # DeepSpeed makes the moments before it
        mu=1,
        beta=0.1,
        learning_rate=1e-5,
    )
    found = {"base": pss(), "shared": forget_peak() - pss()}
    trainer = fixed_update.build(model, Path(out), settings)
    trainer.args.save_strategy = "no"
    trainer.train()
    found["peak"] = peak()
    with at_rest(trainer.accelerator, trainer.deepspeed, False):
        found["rest"] = pss()
    before = forget_peak()
    weights = whole_weights(trainer.model, PIECE_BYTES)
    if trainer.is_world_process_zero():
        publish(weights, Path(out), 1)
    for _ in weights:
        pass
    found["hand_off"] = peak() - before
    Path(out, f"rank{os.environ['RANK']}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
