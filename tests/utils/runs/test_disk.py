"""A full disk, as the libraries that write checkpoints tell of it: real files, a real limit."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.errors import ConfigError, RunError
from utils.runs.disk import one_line_if_full

LIMIT = 40_000


def plain(path: Path) -> None:
    with path.open("wb") as file:
        file.write(bytes(2 * LIMIT))


def by_torch(path: Path) -> None:
    import torch

    torch.save(torch.zeros(LIMIT), path)


def by_safetensors(path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(LIMIT)}, path)


@pytest.fixture
def limited() -> Iterator[None]:
    import safetensors.torch  # noqa: F401  # imports may write caches

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("write", [plain, by_torch, by_safetensors])
def test_whoever_writes(limited: None, tmp_path: Path, write: Callable[[Path], None]) -> None:
    with (
        pytest.raises(RunError, match=r"^logging\.save_dir: no room left in here; "),
        one_line_if_full("logging.save_dir", "here"),
    ):
        write(tmp_path / "file")


@pytest.mark.parametrize("error", [ConfigError("a"), RunError("b"), RuntimeError("c"), OSError(2)])
def test_other_errors_are_themselves(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, one_line_if_full("logging.save_dir", "here"):
        raise error
    assert raised.value is error
