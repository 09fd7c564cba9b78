"""A driver, a compiler and headers, told by fakes of them."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from utils.gpu_needs import missing_for_gpus


def program(folder: Path, name: str, says: str = "") -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{says}'\n")
    file.chmod(0o755)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that has everything."""
    program(tmp_path, "nvidia-smi", "580.159.03")
    program(tmp_path, "gcc")
    (tmp_path / "Python.h").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def found(machine: Path, **more: str) -> list[str]:
    return missing_for_gpus({"PATH": str(machine), **more})


def test_a_machine_that_has_everything(machine: Path) -> None:
    assert found(machine) == []
    program(machine, "gcc-13")
    assert found(machine, CC="gcc-13") == []


def test_an_old_driver_is_named_with_the_one_that_is_needed(machine: Path) -> None:
    program(machine, "nvidia-smi", "535.104.05")
    (line,) = found(machine)
    assert "535.104.05" in line and "580" in line
    (machine / "nvidia-smi").unlink()
    assert "nvidia-smi" in found(machine)[0]


def test_what_triton_compiles_with_is_asked_for(machine: Path) -> None:
    (machine / "gcc").unlink()
    (machine / "Python.h").unlink()
    compiler, headers = found(machine)
    assert "no C compiler (gcc or clang)" in compiler and "no Python.h" in headers
    program(machine, "clang")
    assert len(found(machine)) == 1
    assert "no C compiler (icc)" in found(machine, CC="icc")[0]
