"""The model to fine-tune: weights, tokenizer, adapters; and the folder it is saved to."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from peft import LoraConfig
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    TrainingArguments,
    set_seed,
)
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.utils import is_flash_attn_2_available

from config.errors import ConfigError, RunError
from config.schema import LoraSettings, SftModelSettings
from src.embedded import resolve_model

log = logging.getLogger(__name__)
NAME = "model.model_name_or_path"


def load_tokenizer(settings: SftModelSettings) -> Any:
    """The tokenizer with a padding token.  Raises ConfigError where there is none to load."""
    own = settings.tokenizer_name_or_path
    setting = "model.tokenizer_name_or_path" if own else NAME
    path = resolve_model(own or settings.model_name_or_path, setting=setting)
    revision = None if own else settings.revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, revision=revision)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{setting}: {_first_line(error)}") from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(settings: SftModelSettings, *, packing: bool, deepspeed: bool) -> PreTrainedModel:
    """Weights to start from: those at the path, or random ones of `init_seed` for its config."""
    path = resolve_model(settings.model_name_or_path, setting=NAME)
    attention = {"attn_implementation": "flash_attention_2"} if packing else {}
    dtype = weights_dtype(settings.dtype, adapters=settings.lora.enable, deepspeed=deepspeed)
    try:
        if settings.init_seed is None:
            return AutoModelForCausalLM.from_pretrained(
                path, revision=settings.revision, dtype=dtype, use_safetensors=True, **attention
            )
        if any(Path(path).glob("*.safetensors")):
            seed = settings.init_seed
            log.warning("model.init_seed=%d: random weights, not those of %s", seed, path)
        set_seed(settings.init_seed)
        config = AutoConfig.from_pretrained(path, revision=settings.revision)
        return AutoModelForCausalLM.from_config(config, dtype=dtype, **attention)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{NAME}: {_first_line(error)}") from error


def weights_dtype(name: str, *, adapters: bool, deepspeed: bool) -> torch.dtype:
    """The dtype that the model is loaded in, where `name` is the one that is computed in.

    An optimizer that steps half-precision weights loses small steps to rounding (at a rate of 5e-7
    four of them change 0.4 % of the weights).  DeepSpeed steps a float32 copy, and peft's adapters
    are float32.  Whoever has neither holds float32 weights, and autocast computes in `name`.
    Half precision is slow and coarse on a CPU, so not there.
    """
    if not torch.cuda.is_available() or not (adapters or deepspeed):
        return torch.float32
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def accumulate_in_float32(arguments: TrainingArguments) -> None:
    """Have ZeRO-2 and 3 sum the micro-batches' gradients in float32, where their config says
    nothing else; DeepSpeed's own way is the weights' dtype, which for bfloat16 loses the small
    addends."""
    zero = arguments.deepspeed_plugin
    if zero is not None and zero.zero_stage >= 2:
        types = zero.deepspeed_config.setdefault("data_types", {})
        types.setdefault("grad_accum_dtype", "fp32")


def can_pack(wanted: bool) -> bool:
    """Whether rows are packed; says why not where they should be.

    Packed rows are kept apart by FlashAttention alone; on a CPU, batches of rows of like length
    are faster (0.144 against 0.437 s a step of 64 rows).
    """
    if not wanted or not torch.cuda.is_available():
        return False
    if not is_flash_attn_2_available():
        log.info("train.packing: needs the package flash-attn; rows are batched by length instead")
        return False
    return True


def lora_config(settings: LoraSettings) -> LoraConfig | None:
    """peft's settings, or None where all weights are trained."""
    if not settings.enable:
        return None
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        target_modules=settings.target_modules,
        lora_dropout=settings.dropout,
        bias=settings.bias,  # type: ignore[arg-type]  # one of CHOICES, by config.validate
    )


def save_model(trainer: Any, tokenizer: Any, folder: Path) -> None:
    """Write `folder/model`, a normal checkpoint; adapters are merged, and kept in `adapter`.

    Weights are written in the dtype that was computed in, also where they were held in float32.
    Every rank calls it; nothing is trained afterwards.  ZeRO-3 holds no whole weights to merge
    into: there another process, which knows of no ranks, reads the base again.
    """
    target, bare = folder / "model", trainer.accelerator.unwrap_model(trainer.model)
    bare.config.use_cache = True  # off in training only
    if not is_peft_model(bare):
        args = trainer.args
        if args.deepspeed_plugin is None and (args.bf16 or args.fp16):
            bare.to(torch.bfloat16 if args.bf16 else torch.float16)
        trainer.save_model(str(target))
    else:
        trainer.save_model(str(folder / "adapter"))
        if is_deepspeed_zero3_enabled():
            if trainer.is_world_process_zero():
                _merge_elsewhere(folder / "adapter", target)
        else:
            merged = bare.merge_and_unload()
            if trainer.is_world_process_zero():
                merged.save_pretrained(target)
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(target)
        for pickled in folder.glob("*/training_args.bin"):
            pickled.unlink()


# not peft's AutoPeftModel, which cuts the embedding to the tokenizer's length
MERGE = """
import sys
from peft import PeftConfig, PeftModel
from transformers import AutoModelForCausalLM
config = PeftConfig.from_pretrained(sys.argv[1])
base = AutoModelForCausalLM.from_pretrained(config.base_model_name_or_path, dtype="auto")
PeftModel.from_pretrained(base, sys.argv[1]).merge_and_unload().save_pretrained(sys.argv[2])
"""


def _merge_elsewhere(adapter: Path, target: Path) -> None:
    """On the CPU, in a process outside of the distributed job.  Raises RunError."""
    ranks = ("RANK", "WORLD_SIZE", "LOCAL_", "MASTER_", "ACCELERATE_", "GROUP_", "TORCHELASTIC_")
    outside = {k: v for k, v in os.environ.items() if not k.startswith(ranks)}
    outside["CUDA_VISIBLE_DEVICES"] = ""
    command = [sys.executable, "-c", MERGE, str(adapter), str(target)]
    done = subprocess.run(command, env=outside, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["it was killed"])[-1]
        raise RunError(f"the adapter in {adapter} could not be merged: {reason}")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
