"""The shape of a model from its config alone: no weights are read, no hub is asked for known ones.

The sizes below are those of each model's config.json (Qwen2.5: arXiv 2412.15115, table 1; Llama 3:
arXiv 2407.21783, table 3; SmolLM2: arXiv 2502.02737).  transformers builds the model on the meta
device, where tensors have shapes but no memory, and its weights are counted.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from src.embedded import PREFIX, resolve_model
from src.memory_plan.arithmetic import ModelShape

# hidden, intermediate, layers, heads, key/value heads, vocabulary, tied head
_SIZES: dict[str, tuple[int, int, int, int, int, int, bool]] = {
    "qwen2.5-0.5b": (896, 4864, 24, 14, 2, 151936, True),
    "qwen2.5-1.5b": (1536, 8960, 28, 12, 2, 151936, True),
    "qwen2.5-3b": (2048, 11008, 36, 16, 2, 151936, True),
    "qwen2.5-7b": (3584, 18944, 28, 28, 4, 152064, False),
    "qwen2.5-14b": (5120, 13824, 48, 40, 8, 152064, False),
    "qwen2.5-32b": (5120, 27648, 64, 40, 8, 152064, False),
    "qwen2.5-72b": (8192, 29568, 80, 64, 8, 152064, False),
    "llama-3.1-8b": (4096, 14336, 32, 32, 8, 128256, False),
    "llama-3.2-1b": (2048, 8192, 16, 32, 8, 128256, True),
    "llama-3.2-3b": (3072, 8192, 28, 24, 8, 128256, True),
    "smollm2-135m": (576, 1536, 30, 9, 3, 49152, True),
    "smollm2-360m": (960, 2560, 32, 15, 5, 49152, True),
    "smollm2-1.7b": (2048, 8192, 24, 32, 32, 49152, True),
}
_SUFFIX = re.compile(r"(-instruct|-awq|-gptq-int[48]|-int[48]|-fp8|-dynamic)$")


@functools.cache
def model_shape(name: str, setting: str, trust_remote_code: bool = False) -> ModelShape:
    """The shape of a hub id, a folder or an `embedded:` name.

    Raises ConfigError, naming `setting`, where its config.json can be had nowhere.
    """
    known = None if Path(name).is_dir() else known_config(name)
    return _count(known or _config_of(name, setting, trust_remote_code))


def known_config(name: str) -> Any:
    """A transformers config for a model of the table, in any quantisation; None for another."""
    key = name.removeprefix(PREFIX).rpartition("/")[2].lower().removeprefix("meta-")
    while (shorter := _SUFFIX.sub("", key)) != key:
        key = shorter
    if key not in _SIZES:
        return None
    from transformers import AutoConfig

    hidden, intermediate, layers, heads, kv_heads, vocabulary, tied = _SIZES[key]
    return AutoConfig.for_model(
        "qwen2" if key.startswith("qwen") else "llama",
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=128 if key.startswith("llama-3.2-3b") else hidden // heads,
        vocab_size=vocabulary,
        tie_word_embeddings=tied,
        dtype="bfloat16",
    )


def _config_of(name: str, setting: str, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig

    path = resolve_model(name, setting=setting)
    try:
        return AutoConfig.from_pretrained(path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        where = "" if Path(path).is_dir() else "; a local folder with its config.json will do"
        raise ConfigError(f"{setting}: {name}: {reason}{where}") from None


@contextlib.contextmanager
def _whole() -> Iterator[None]:
    """Models made inside are whole, also in a process whose trainer has turned ZeRO-3 on."""
    from transformers.integrations import deepspeed

    turned_on = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = turned_on


def _count(config: Any) -> ModelShape:
    import torch
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), _whole():
        model = AutoModelForCausalLM.from_config(config)
    head = model.get_output_embeddings()
    linears = tuple(
        (name, module.in_features, module.out_features)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    text = config.get_text_config()
    heads = text.num_attention_heads
    dtype = str(getattr(text, "dtype", None) or "float32").removeprefix("torch.")
    return ModelShape(
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        linears=linears,
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=heads,
        kv_heads=getattr(text, "num_key_value_heads", None) or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocabulary=text.vocab_size,
        dtype=dtype,
    )
