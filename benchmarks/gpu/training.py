"""The project's own trainer on given conversations: seconds, logprobs, gradients, memory."""

from __future__ import annotations

import gc
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu.cards import Memory
from benchmarks.gpu.rows import SAMPLES, records
from utils.records import Trajectory


@dataclass(slots=True, kw_only=True)
class Watched:
    """What a training showed; gradients and logprobs only where they were asked for."""

    step_s: list[float] = field(default_factory=list)
    optimizer_s: list[float] = field(default_factory=list)  # of each step; not under DeepSpeed
    logged: list[dict[str, float]] = field(default_factory=list)
    logps: Any = None  # (rows, completion) of the first pass, before any update
    mask: Any = None
    gradients: dict[str, Any] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)


def use_deepspeed(stage: int, work: Path, accumulate: str | None = None) -> None:
    """One rank under DeepSpeed, by the variables that `accelerate launch` sets."""
    import torch

    cuda = torch.cuda.is_available()
    os.environ |= {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "ACCELERATE_USE_DEEPSPEED": "true",
        "ACCELERATE_DEEPSPEED_ZERO_STAGE": str(stage),
        "ACCELERATE_DEEPSPEED_ZERO3_INIT": str(stage == 3).lower(),
        "ACCELERATE_DEEPSPEED_ZERO3_SAVE_16BIT_MODEL": str(stage == 3).lower(),
    }
    if cuda:
        os.environ["ACCELERATE_MIXED_PRECISION"] = "bf16"
    else:
        os.environ["DS_ACCELERATOR"] = "cpu"
    if accumulate is None:
        os.environ.pop("ACCELERATE_DEEPSPEED_CONFIG_FILE", None)
        return
    settings = {
        "zero_optimization": {
            "stage": stage,
            "stage3_gather_16bit_weights_on_model_save": stage == 3,
        },
        "data_types": {"grad_accum_dtype": accumulate},
        "bf16": {"enabled": cuda},
        "gradient_accumulation_steps": "auto",
        "gradient_clipping": "auto",
        "train_batch_size": "auto",
        "train_micro_batch_size_per_gpu": "auto",
        "zero_allow_untested_optimizer": True,
    }
    file = work / f"deepspeed_{accumulate}.json"
    file.write_text(json.dumps(settings))
    os.environ["ACCELERATE_DEEPSPEED_CONFIG_FILE"] = str(file)


def _free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def settings(rows: int, micro: int, longest: int, **changes: Any) -> Any:
    """A TrainRLConfig of `rows` conversations a step; `changes` go to its `train`."""
    import torch

    from config.schema import GenerationSettings, TrainRLConfig, TrainSettings

    values: dict[str, Any] = {
        "number_of_problems_per_batch": rows // SAMPLES,
        "num_samples_per_problem": SAMPLES,
        "per_device_train_batch_size": micro,
        "max_steps": 1,
        "mu": 1,
        "beta": 0.01,
        "dtype": "bfloat16" if torch.cuda.is_available() else "float32",
    }
    train = TrainSettings(**(values | changes))
    generation = GenerationSettings(max_tokens_in_conversation=longest)
    return TrainRLConfig(train=train, generation=generation)


def build(
    cfg: Any,
    model: Any,
    tokenizer: Path,
    rows: Sequence[Trajectory],
    out: Path,
    *,
    fp32_head: bool = False,
    clip: bool = True,
) -> Any:
    """A ClassroomGRPOTrainer whose every rollout is `rows`; `model`: a folder, or a model."""
    from datasets import Dataset
    from transformers import AutoTokenizer

    from src.grpo.arguments import grpo_arguments
    from src.grpo.rollouts.node import Node
    from src.grpo.rollouts.rollout import Rollout
    from src.grpo.trainer import ClassroomGRPOTrainer, SharedWeights
    from src.models.training import lora_config
    from utils.data.problems import Problem

    arguments = grpo_arguments(cfg, out, world_size=1)
    if isinstance(model, Path):
        arguments.model_init_kwargs = {"dtype": cfg.train.dtype}
    arguments.cast_lm_head_to_fp32 = fp32_head
    if not clip:
        arguments.max_grad_norm = 0.0
    if cfg.logging.save_steps > cfg.train.max_steps:
        arguments.save_strategy = "no"
    count = len(rows) // SAMPLES
    problems = [Problem(id=f"p{n}", text="?", answer="1") for n in range(count)]
    held = records(rows)
    rollout = Rollout(
        Node(),
        problems,
        lambda *_: held,
        samples_per_problem=SAMPLES,
        filler=0,
        metrics=lambda _: {},
    )
    columns = {"prompt": [p.id for p in problems], "index": list(range(count))}
    return ClassroomGRPOTrainer(
        model=str(model) if isinstance(model, Path) else model,
        args=arguments,
        rollout=rollout,
        sampler=SharedWeights(),
        padding_free=cfg.train.padding_free,
        score_rows=cfg.train.batch_size_ref_model,
        separate_old_pass=True,  # the whole batch is scored first: `Watched.logps`
        train_dataset=Dataset.from_dict(columns),
        processing_class=AutoTokenizer.from_pretrained(tokenizer),
        peft_config=lora_config(cfg.teacher_model.lora),
    )


def train(
    trainer: Any,
    *,
    gradients: bool = False,
    resume: str | None = None,
    memory: Memory | None = None,
) -> Watched:
    """Run it; what was seen.  Gradients are kept in fp32 on the CPU."""
    import torch
    from transformers import TrainerCallback

    seen = Watched()
    clock, stepping = [0.0], [0.0]

    def now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()

    class Watch(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            # of the first step the rollout and the scoring are inside; of later ones too
            clock[0] = clock[0] or now()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            ended = now()
            seen.step_s.append(ended - clock[0])
            clock[0] = ended

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                seen.logged.append({k: float(v) for k, v in logs.items() if _number(v)})

        def on_pre_optimizer_step(
            self, args: Any, state: Any, control: Any, model: Any = None, **_: Any
        ) -> None:
            if gradients and not seen.gradients:
                named = model.named_parameters()
                seen.gradients = {n: p.grad.float().cpu() for n, p in named if p.grad is not None}
            stepping[0] = now()

        def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            seen.optimizer_s.append(now() - stepping[0])

    _keep_logps(trainer, seen)
    trainer.add_callback(Watch())
    trainer.train(resume_from_checkpoint=resume)
    if memory is not None:
        seen.peak = memory.peak()
    return seen


def _keep_logps(trainer: Any, seen: Watched) -> None:
    """The first logprobs that the trainer computes, which are those of the old policy."""
    whole = trainer._get_per_token_logps_and_entropies

    def watched(*arguments: Any, **more: Any) -> Any:
        found = whole(*arguments, **more)
        if seen.logps is None:
            seen.logps = found[0].detach().float().cpu()
            seen.mask = trainer._tutor_mask.bool().cpu()
        return found

    trainer._get_per_token_logps_and_entropies = watched


def _number(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def forget(*things: Any) -> None:
    """What trainers held on the GPU is given back, once the caller's names are gone too."""
    import torch

    del things
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def step_flops(cfg: Any, shape: Any, rows: Sequence[Trajectory], trained_share: float) -> float:
    """Of one step: old and reference logprobs, forward, backward, and forward again if layers are
    checkpointed.  2 per weight and token; 2 * layers * hidden * length per token of attention; the
    head on the tutor's tokens.  `trained_share`: 1.0; 0.5 where only adapters have gradients."""
    body = 2.0 * sum(inputs * outputs for _, inputs, outputs in shape.linears)
    forward = 0.0
    for row in rows:
        length = len(row.prompt_ids) + len(row.completion_ids)
        forward += length * (body + 2.0 * shape.layers * shape.heads * shape.head_dim * length)
        forward += 2.0 * shape.vocabulary * shape.hidden * sum(row.mask)
    scoring = 1.0 + (cfg.train.beta > 0)
    again = 1.0 if cfg.train.gradient_checkpointing else 0.0
    return forward * (scoring + cfg.train.mu * (1.0 + again + 2.0 * trained_share))


def planned_gib(cfg: Any, stage: int) -> float:
    """What `--plan` says of the trainer on its GPU while it trains, for one rank."""
    import torch

    from src.memory_plan.arithmetic import Sharding
    from src.memory_plan.parts import Phase, Training, total
    from src.memory_plan.trainer import add_trainer

    on_cpu = not torch.cuda.is_available()
    phase = Phase(name="training", gpus=[[]], ram=[])
    ranks = Training(zero=Sharding(stage=stage, ranks=1), local_ranks=1, on_cpu=on_cpu)
    add_trainer(cfg, phase, ranks)
    return total(phase.ram if on_cpu else phase.gpus[0]) / 2**30
