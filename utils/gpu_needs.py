"""What the GPU packages need of a machine beside themselves.  Standard library only.

    python utils/gpu_needs.py

prints a line for each thing that is missing, and nothing where all is there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from pathlib import Path

DRIVER = 580  # the first for CUDA 13, which torch and vLLM of requirements.txt are built for


def missing_for_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """One sentence each: the driver, a C compiler and Python's headers."""
    found = [_driver(), _compiler(environment), _headers()]
    return [line for line in found if line is not None]


def _driver() -> str | None:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return "no answer from nvidia-smi: is the NVIDIA driver installed?"
    version = done.stdout.split()[0] if done.stdout.split() else "?"
    major = version.partition(".")[0]
    if major.isdigit() and int(major) >= DRIVER:
        return None
    return f"NVIDIA driver {version}: the packages are built for CUDA 13, which needs {DRIVER}"


def _compiler(environment: Mapping[str, str]) -> str | None:
    """Triton takes $CC, else gcc or clang."""
    names = [environment["CC"]] if environment.get("CC") else ["gcc", "clang"]
    if any(shutil.which(name, path=environment.get("PATH")) for name in names):
        return None
    return (
        f"no C compiler ({' or '.join(names)}): Triton compiles its first kernel with one "
        "(Debian: apt-get install build-essential)"
    )


def _headers() -> str | None:
    folder = Path(sysconfig.get_path("include"))
    if (folder / "Python.h").is_file():
        return None
    return (
        f"no Python.h in {folder}: Triton needs Python's headers "
        "(Debian: apt-get install python3-dev)"
    )


if __name__ == "__main__":
    print("".join(f"environment: {line}\n" for line in missing_for_gpus()), end="")
