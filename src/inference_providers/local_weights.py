"""Weights of models in this process: a role's model loaded, new weights copied over old ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from config.errors import ConfigError
from config.schema import ModelSettings


def load_model(
    settings: ModelSettings, role: str, source: str, device: str | None = None
) -> tuple[Any, Any]:
    """(model on its device, tokenizer), from a folder or hub id; safetensors only.

    fp32 on CPUs and Macs unless `dtype` says otherwise: half precision is far slower on a CPU.
    Raises ConfigError that begins with `role`.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if settings.quantization:
        raise ConfigError(f"{role}.quantization: needs engines.backend=vllm")
    if device is None:
        on_mac = torch.backends.mps.is_available()
        device = "cuda" if torch.cuda.is_available() else "mps" if on_mac else "cpu"
    dtype = settings.dtype
    if dtype == "auto":
        dtype = "bfloat16" if device == "cuda" else "float32"
    hub = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **hub)
        model: Any = AutoModelForCausalLM.from_pretrained(
            source, dtype=getattr(torch, dtype), use_safetensors=True, **hub
        )
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{role}.model_name_or_path: cannot load {source}: {reason}") from error
    return model.to(device), tokenizer


def load_in_place(model: Any, path: Path) -> None:
    """Copy a safetensors file, or all of a folder, into the model's own tensors (and dtype).

    Names and shapes are checked before anything is written: ValueError names the first that does
    not fit.  Only weights tied to another one may be missing.
    """
    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files:
        raise ValueError(f"{path}: no safetensors file")
    target = model.state_dict()
    _check_fit(files, target)
    with torch.no_grad():
        for file in files:
            with safe_open(file, framework="pt") as tensors:
                for name in tensors.keys():  # noqa: SIM118 (it is no dict)
                    target[name].copy_(tensors.get_tensor(name))


def _check_fit(files: Sequence[Path], target: dict[str, torch.Tensor]) -> None:
    found: dict[str, list[int]] = {}
    for file in files:
        with safe_open(file, framework="pt") as tensors:
            found |= {n: tensors.get_slice(n).get_shape() for n in tensors.keys()}  # noqa: SIM118
    for name, shape in found.items():
        if name not in target:
            raise ValueError(f"{files[0]}: the model has no weight {name}")
        if list(target[name].shape) != list(shape):
            raise ValueError(f"{files[0]}: {name} is {shape}, not {list(target[name].shape)}")
    written = {target[name].data_ptr() for name in found}
    missing = [n for n, t in target.items() if n not in found and t.data_ptr() not in written]
    if missing:
        raise ValueError(f"{files[0]}: {missing[0]} is missing")
