"""The file that hands new weights to the engines: written as tensors come, whole or not at all."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import struct
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import xxhash
from safetensors import SafetensorError, safe_open

HEADER_BYTES = 1 << 20  # kept free at the front, since names are known only at the end
FILE_NAME = "weights.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"  # the names that PEFT and vLLM know
ADAPTER_CONFIG = "adapter_config.json"
_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
_CHUNK = 1 << 20
_STAGE = 64 << 20


class Refused(ValueError):
    """A weights file that must not be loaded: torn, stale, or of another model."""


def publish(tensors: Iterable[tuple[str, torch.Tensor]], folder: Path, version: int) -> Path:
    """Write (name, tensor) pairs as they come to `folder/weights.safetensors`, and return it.

    One tensor at a time is in memory.  The file appears by an atomic rename when it is complete;
    the previous one stays under a hidden name, and the next publication writes over it: fresh pages
    of shared memory cost more than the copy.  From the second publication on there are two files.
    Metadata holds `version` and a digest of the data.  Raises OSError where the disk is full; what
    was published stays.
    """
    return _publish_file(tensors, folder / FILE_NAME, version)


def publish_adapter(
    tensors: Iterable[tuple[str, torch.Tensor]],
    config: Mapping[str, Any],
    folder: Path,
    version: int,
) -> Path:
    """Write a LoRA adapter as PEFT does, to `folder/adapter-<version>`, and return that folder.

    `tensors` as `peft.get_peft_model_state_dict` names them, `config` as `PeftConfig.to_dict`.
    It appears by an atomic rename; those of other versions are then removed.
    """
    target = folder / f"adapter-{version}"
    draft = Path(tempfile.mkdtemp(prefix=".adapter-", dir=folder))
    try:
        _publish_file(tensors, draft / ADAPTER_FILE, version)
        plain = {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()}
        (draft / ADAPTER_CONFIG).write_text(json.dumps(plain, default=str))
        shutil.rmtree(target, ignore_errors=True)
        draft.replace(target)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    for other in folder.glob("adapter-*"):
        if other != target:
            shutil.rmtree(other)
    return target


def _publish_file(tensors: Iterable[tuple[str, torch.Tensor]], target: Path, version: int) -> Path:
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    before = target.with_name(f".{target.name}.before")
    try:
        with contextlib.suppress(FileNotFoundError):
            before.replace(draft)
        with draft.open("r+b" if draft.exists() else "w+b") as file:
            file.seek(8 + HEADER_BYTES)
            entries, digest = _write_tensors(tensors, file)
            file.truncate()
            entries["__metadata__"] = {"version": str(version), "xxh3": digest, "format": "pt"}
            header = json.dumps(entries, separators=(",", ":")).encode()
            if len(header) > HEADER_BYTES:
                raise ValueError(f"the names of {len(entries)} weights need {len(header)} bytes")
            file.seek(0)
            file.write(struct.pack("<Q", HEADER_BYTES) + header.ljust(HEADER_BYTES))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.link(target, before)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return target


def _write_tensors(
    tensors: Iterable[tuple[str, torch.Tensor]], file: Any
) -> tuple[dict[str, Any], str]:
    entries: dict[str, Any] = {}
    digest, offset = xxhash.xxh3_64(), 0
    with ThreadPoolExecutor(1) as beside:
        for name, tensor in tensors:
            if name in entries:
                raise ValueError(f"{name} is published twice")
            size = 0
            for raw in _host_bytes(tensor.detach()):
                digested = beside.submit(digest.update, raw)
                file.write(raw)
                digested.result()  # before the memory is used again
                size += raw.nbytes
            entries[name] = {
                "dtype": _DTYPES[tensor.dtype],
                "shape": list(tensor.shape),
                "data_offsets": [offset, offset + size],
            }
            offset += size
    return entries, digest.hexdigest()


def _host_bytes(tensor: torch.Tensor) -> Iterator[Any]:
    """A tensor's bytes in order, as arrays of at most `_STAGE`; each is valid until the next.

    From a GPU they come by way of one pinned buffer: a copy to fresh pageable memory takes several
    times as long, most of it for the pages.
    """
    flat = tensor.contiguous().reshape(-1).view(torch.uint8)
    staging = None if flat.device.type == "cpu" else _staging()
    for piece in flat.split(_STAGE) if flat.numel() else ():
        if staging is not None:
            piece = staging[: piece.numel()].copy_(piece)
        yield piece.numpy()


@functools.cache
def _staging() -> torch.Tensor:
    return torch.empty(_STAGE, dtype=torch.uint8, pin_memory=torch.cuda.is_available())


@contextlib.contextmanager
def open_published(path: Path, version: int, known: tuple[int, ...] = ()) -> Iterator[Any]:
    """The published file as safetensors' lazy reader, if it is whole and of this version.

    A file whose `identity` is `known` was found whole before: its data is not read for that again.
    Raises Refused otherwise, before anything was read from it for use.
    """
    with contextlib.ExitStack() as stack:
        try:
            published = stack.enter_context(safe_open(path, framework="pt"))
            metadata = published.metadata() or {}
            if metadata.get("version") != str(version):
                raise Refused(f"{path} holds version {metadata.get('version')}, not {version}")
            if identity(path) != known and _digest(path) != metadata.get("xxh3"):
                raise Refused(f"{path}: its data is not what was written")
        except (SafetensorError, OSError) as error:
            raise Refused(f"{path}: {error}") from None
        yield published


def identity(path: Path) -> tuple[int, ...]:
    """Which file this is, and since when it has not changed."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _digest(path: Path) -> str:
    digest = xxhash.xxh3_64()
    with path.open("rb", buffering=0) as file:
        (length,) = struct.unpack("<Q", file.read(8))
        file.seek(8 + length)
        chunk = memoryview(bytearray(_CHUNK))  # used again and again: fresh memory costs more
        while read := file.readinto(chunk):
            digest.update(chunk[:read])
    return digest.hexdigest()
