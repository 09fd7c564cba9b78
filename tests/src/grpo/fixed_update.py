"""Optimizer steps on fixed trajectories; writes losses, and what DeepSpeed had moved, as JSON.

[accelerate launch …] tests/src/grpo/fixed_update.py MODEL OUT MICRO_BATCH [SETTING=VALUE ...]
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import yaml
from datasets import Dataset
from safetensors.torch import save_file
from transformers import AutoTokenizer, TrainerCallback

from config.schema import TrainRLConfig, TrainSettings
from src.grpo.arguments import DEEPSPEED_ADAM, grpo_arguments
from src.grpo.build import token_credit
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.prefetch import Prefetch
from src.grpo.rollouts.rollout import Rollout
from src.grpo.rollouts.weights import whole_weights
from src.grpo.trainer import ClassroomGRPOTrainer, SharedWeights
from utils.data.problems import Problem
from utils.records import ConversationRecord, Trajectory
from utils.rewards import NAMES

PROBLEMS, SAMPLES = 4, 2


def fixed(problem: Problem, sample: int) -> ConversationRecord:
    """A made-up conversation of uneven length; one of them is left out of its group."""
    rng = Random(f"{problem.id}/{sample}")
    length = rng.randint(5, 30)
    mask = [1, *(rng.randint(0, 1) for _ in range(length - 2)), 1]
    out = problem.id == "p1" and sample == 1
    reward = rng.random()
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
            logprobs=[-3.0 - rng.random() if m else None for m in mask],
        ),
    )


def held(
    problems: Sequence[Problem], samples: Sequence[int], step: int, epoch: int
) -> list[ConversationRecord]:
    return [fixed(p, s) for p, s in zip(problems, samples, strict=True)]


class Collect(TrainerCallback):
    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_log(self, args, state, control, logs=None, **_):  # type: ignore[no-untyped-def]
        if logs and "loss" in logs:
            self.rows.append({k: logs[k] for k in ("loss", "grad_norm", "kl")})


def build(
    model: str,
    out: Path,
    settings: TrainSettings,
    evaluate_held_out: Callable[[int], dict[str, float]] = lambda step: {},
    callbacks: tuple[TrainerCallback, ...] = (),
    prefetch: Prefetch | None = None,
    problems_in_all: int | None = None,
    **more: Any,
) -> ClassroomGRPOTrainer:
    """The trainer on fixed trajectories; small, in fp32 and with plain AdamW.

    `problems_in_all`: more than make a batch; `more` is for the trainer.
    """
    settings.number_of_problems_per_batch, settings.num_samples_per_problem = PROBLEMS, SAMPLES
    settings.dtype = "float32"
    if settings.optimizer != DEEPSPEED_ADAM:
        settings.optimizer = "adamw_torch"
    cfg = TrainRLConfig(train=settings)
    arguments = grpo_arguments(cfg, out, world_size=int(os.environ.get("WORLD_SIZE", "1")))
    arguments.model_init_kwargs = {"dtype": "float32"}
    count = problems_in_all or PROBLEMS
    problems = [Problem(id=f"p{i}", text="?", answer="1") for i in range(count)]
    rollout = Rollout(
        Node(),
        problems,
        held,
        samples_per_problem=SAMPLES,
        filler=0,
        metrics=lambda records: {"classroom/held": float(len(records))},
        prefetch=prefetch,
        credit=token_credit(cfg) is not None,
    )
    return ClassroomGRPOTrainer(
        model=model,
        args=arguments,
        rollout=rollout,
        sampler=SharedWeights(),
        evaluate_held_out=evaluate_held_out,
        padding_free=cfg.train.padding_free,
        score_rows=cfg.train.batch_size_ref_model,
        offload=cfg.train.offload_during_rollouts,
        deepspeed_adam=cfg.train.optimizer == DEEPSPEED_ADAM,
        separate_old_pass=cfg.train.separate_old_pass,
        credit=token_credit(cfg),
        train_dataset=Dataset.from_dict(
            {"prompt": [p.id for p in problems], "index": list(range(count))}
        ),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=list(callbacks),
        **more,
    )


def watch_rollouts(trainer: ClassroomGRPOTrainer) -> list[list[str]]:
    """For each rollout, what DeepSpeed has moved out of the way; seen by the lead."""
    rollout, seen = trainer._rollout, []
    run_batch = rollout.run_batch

    def watched(*arguments: Any) -> Any:
        optimizer = getattr(trainer.deepspeed, "optimizer", None)
        seen.append(sorted(state.value for state in getattr(optimizer, "offloaded_states", ())))
        return run_batch(*arguments)

    rollout.run_batch = watched
    return seen


def optimizer_state(trainer: ClassroomGRPOTrainer) -> list[str]:
    """The names in this rank's optimizer state, as a checkpoint would hold them."""
    inner = trainer.deepspeed.optimizer.optimizer if trainer.deepspeed else trainer.optimizer
    return sorted({name for state in inner.state.values() for name in state})


def main() -> None:
    model, out, micro, *pairs = sys.argv[1:]
    collect = Collect()
    values = {key: yaml.safe_load(value) for key, value in (pair.split("=") for pair in pairs)}
    settings = TrainSettings(
        per_device_train_batch_size=int(micro),
        mu=2,
        beta=0.1,
        learning_rate=1e-3,
        **({"gradient_checkpointing": False, "max_steps": 2} | values),
    )
    trainer = build(model, Path(out), settings, callbacks=(collect,))
    trainer.args.save_strategy = "no"
    moved = watch_rollouts(trainer)
    trainer.train()
    weights = {name: tensor.clone() for name, tensor in whole_weights(trainer.model)}
    if trainer.is_world_process_zero():
        (Path(out) / "losses.json").write_text(json.dumps(collect.rows))
        found = {"moved": moved, "optimizer": optimizer_state(trainer)}
        (Path(out) / "state.json").write_text(json.dumps(found))
        save_file(weights, Path(out) / "weights.safetensors")


if __name__ == "__main__":
    main()
