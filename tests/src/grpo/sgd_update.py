"""Plain gradient steps on made-up conversations; what was lost and where the weights went.

accelerate launch … tests/src/grpo/sgd_update.py MODEL OUT [SETTING=VALUE ...]

With plain gradient descent the difference of two steps' weights is the gradient, whoever reduces
it: ranks of DeepSpeed, say, which show none.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import yaml
from safetensors.torch import save_file
from torch import Tensor
from transformers import TrainerCallback

from config.schema import TrainSettings
from src.grpo.rollouts.weights import whole_weights
from src.grpo.trainer import ClassroomGRPOTrainer
from tests.src.grpo import fixed_update
from utils.credit.outcomes import runs_of
from utils.data.problems import Problem
from utils.records import ConversationRecord, Message, Trajectory
from utils.rewards import NAMES

PROBLEMS, SAMPLES, RATE = 2, 4, 0.5
Weights = dict[str, Tensor]


def conversation(problem: Problem, sample: int) -> ConversationRecord:
    """Of uneven length and a few tutor tokens more or less; one in eight is left out."""
    rng = Random(f"{problem.id}/{sample}")
    length = rng.randint(4, 40)
    mask = [rng.randint(0, 1) for _ in range(length - 1)] + [1]
    out = problem.id == "p0" and sample == 2
    reward = rng.choice([0.0, 0.125, 0.5, 0.75, 1.0]) - 0.75 * rng.randint(0, 1)
    return ConversationRecord(
        problem_id=problem.id,
        sample=sample,
        problem="?",
        answer="1",
        excluded="missing_verdict" if out else None,
        rewards={} if out else {**dict.fromkeys(NAMES, 0.0), "solve": reward, "total": reward},
        trajectory=Trajectory(
            prompt_ids=[rng.randint(0, 250) for _ in range(rng.randint(3, 12))],
            completion_ids=[rng.randint(0, 250) for _ in range(length)],
            mask=mask,
            logprobs=[-7.5 + 3 * rng.random() if m else None for m in mask],
        ),
        messages=spoken(mask, Random(f"turns of {problem.id}/{sample}")),
    )


def spoken(mask: list[int], rng: Random) -> list[Message]:
    """A tutor turn for each run of sampled tokens; every third fails its rules and pays."""
    return [
        Message(
            role="teacher",
            content="?",
            visible="?",
            tokens=end - start,
            cost=rng.choice([0.0, 0.0, 0.5]),
        )
        for start, end in runs_of(mask)
    ]


def conversations() -> list[ConversationRecord]:
    """One batch."""
    problems = [Problem(id=f"p{i}", text="?", answer="1") for i in range(PROBLEMS)]
    return [conversation(problem, sample) for problem in problems for sample in range(SAMPLES)]


class Steps(TrainerCallback):
    """What was logged in each step; all weights before the first and after each; gradients."""

    def __init__(self) -> None:
        self.weights: list[Weights] = []
        self.gradients: list[Weights] = []  # of one process
        self.logs: list[dict[str, float]] = []
        self.trainer: ClassroomGRPOTrainer | None = None

    def _take(self) -> None:
        assert self.trainer is not None
        self.weights.append({n: t.clone() for n, t in whole_weights(self.trainer.model)})

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.weights:
            self._take()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        grads = {n: p.grad for n, p in more["model"].named_parameters()}
        self.gradients.append({n: g.clone() for n, g in grads.items() if g is not None})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._take()

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if logs and "loss" in logs:
            self.logs.append(dict(logs))


def run(
    model: str,
    out: Path,
    change: Callable[[ClassroomGRPOTrainer], None] = lambda trainer: None,
    more: Mapping[str, Any] = MappingProxyType({}),
    **changes: Any,
) -> Steps:
    """`change` does something to the trainer before it trains; `more` is for building it."""
    values: dict[str, Any] = {"max_steps": 2, "mu": 2, "per_device_train_batch_size": 2}
    values |= {"max_grad_norm": 1e9, "learning_rate": RATE, "gradient_checkpointing": False}
    values |= {"beta": 0.1, "epsilon": 0.1}
    steps, settings = Steps(), TrainSettings(**(values | changes))
    with patch.multiple(fixed_update, PROBLEMS=PROBLEMS, SAMPLES=SAMPLES, fixed=conversation):
        trainer = fixed_update.build(model, out, settings, callbacks=(steps,), **more)
        trainer.args.save_strategy, trainer.args.optim = "no", "sgd"
        steps.trainer = trainer
        change(trainer)
        trainer.train()
    return steps


def spread_out(trainer: ClassroomGRPOTrainer) -> None:
    """TRL's own advantages, written down for each token."""
    score = trainer._generate_and_score_completions

    def written_out(inputs: Any) -> dict[str, Any]:
        batch = score(inputs)
        shape = batch["completion_ids"].shape
        return batch | {"advantages": batch["advantages"].unsqueeze(1).expand(shape).contiguous()}

    trainer._generate_and_score_completions = written_out  # type: ignore[method-assign]


def main() -> None:
    model, out, *pairs = sys.argv[1:]
    changes = {key: yaml.safe_load(value) for key, value in (pair.split("=") for pair in pairs)}
    written_out = changes.pop("written_out", False)
    change = spread_out if written_out else lambda trainer: None
    steps = run(model, Path(out), change, **changes)
    assert steps.trainer is not None
    if steps.trainer.is_world_process_zero():
        (Path(out) / "logs.json").write_text(json.dumps(steps.logs))
        for at, weights in enumerate(steps.weights):
            save_file(weights, Path(out) / f"{at}.safetensors")


if __name__ == "__main__":
    main()
