"""Finds or builds the environment that the commands run in; prints the path of its Python.

An active environment with everything installed is used as it is.  Otherwise `.venv` in the checkout
is built once: a stamp with the hash of the requirement files is written last, a marker says that a
set-up began, a lock keeps two from building at once.  Standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("TUTOR_RL_VENV", ROOT / ".venv"))
FILES = {  # by kind of machine
    "gpu": ["requirements.txt"],
    "cpu": ["requirements-cpu.txt"],
    "local": ["requirements-common.txt"],  # no vLLM: models run inside the training process
}
TESTS = "requirements-dev.txt"
EMBEDDED = "requirements-embedded.txt"
OFTEN_BROKEN = ("torchvision", "torchaudio", "torchcodec")  # built for another torch
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^;\s]+)\s*(?:;\s*sys_platform\s*==\s*\"(\w+)\")?$")


class SetUpError(RuntimeError):
    """One line that says what to do."""


def say(text: str) -> None:
    print(f"environment: {text}", file=sys.stderr, flush=True)


def machine_kind() -> str:
    """gpu, cpu or local; the variable TUTOR_RL_REQUIREMENTS overrides what is found."""
    given = os.environ.get("TUTOR_RL_REQUIREMENTS")
    if given:
        if given not in FILES:
            raise SetUpError(f"TUTOR_RL_REQUIREMENTS={given}: use one of {', '.join(FILES)}")
        return given
    if sys.platform != "linux":
        return "local"
    if shutil.which("nvidia-smi"):
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False)
        if listed.returncode == 0 and "GPU " in listed.stdout:
            return "gpu"
    return "cpu" if platform.machine() in ("x86_64", "aarch64") else "local"


def pins(files: list[str]) -> dict[str, str]:
    """Package -> exact version, from requirement files and those they include."""
    found: dict[str, str] = {}
    for name in files:
        for raw in (ROOT / name).read_text().splitlines():
            line = raw.split(" #")[0].strip()
            if line.startswith("-r "):
                found |= pins([line[3:].strip()])
            elif line and not line.startswith(("#", "-c ")):
                match = PIN.match(line)
                if match is None:
                    raise SetUpError(f"{name}: not an exact pin: {line}")
                if match[3] in (None, sys.platform):
                    found[match[1]] = match[2]
    return found


def missing(files: list[str]) -> list[str]:
    """What this interpreter lacks of these files.  A local version (`+cpu`) satisfies its pin."""
    lacking = []
    for package, version in pins(files).items():
        try:
            installed = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            installed = ""
        if installed not in (version, *([installed] if installed.split("+")[0] == version else [])):
            lacking.append(f"{package}=={version}")
    return lacking


def digest(files: list[str]) -> str:
    """What a stamp holds: the requirement files, whole, with those they include, and the Python."""
    state = hashlib.sha256(sys.version.split()[0].encode())
    for name in sorted({*files, "requirements-common.txt", "constraints.txt"}):
        state.update((ROOT / name).read_bytes())
    return state.hexdigest()


def venv_python() -> Path:
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def stamped(kind: str, files: list[str]) -> bool:
    path = VENV / f"set-up-{kind}"
    return path.is_file() and digest(files) in path.read_text().split() and venv_python().exists()


@contextlib.contextmanager
def lock() -> Iterator[None]:
    """One set-up at a time in a checkout; the second waits and then finds it done."""
    path = VENV.with_name(VENV.name + ".lock")
    with path.open("w") as file:
        if os.name == "nt":  # no advisory locks in the same manner; a person at a laptop
            yield
            return
        import fcntl

        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another set-up is under way here; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def run(what: str, command: list[str]) -> bool:
    """One step, its output in the log; says how long it took.  False where it failed."""
    started = time.monotonic()
    with (VENV / "set-up.log").open("a") as log:
        log.write(f"+ {' '.join(command)}\n")
        log.flush()
        environment = {**os.environ, "DS_BUILD_OPS": "0"}  # no C++ extensions of DeepSpeed
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    if done.returncode == 0:
        say(f"  {what}: {time.monotonic() - started:.0f} s")
    return done.returncode == 0


def must_run(what: str, command: list[str]) -> None:
    if not run(what, command):
        log = VENV / "set-up.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise SetUpError(f"{what} failed; the end of {log}:\n{tail}")


def pip(*arguments: str) -> list[str]:
    quick = ["--no-compile", "--progress-bar", "off"]  # compiled at the end, on all cores
    return [str(venv_python()), "-m", "pip", "install", *quick, *arguments]


def torch_first(kind: str) -> bool:
    """Install torch alone: naming its index beside the default one would ask it for everything."""
    wanted = pins(FILES[kind])["torch"]
    index = os.environ.get("TORCH_INDEX_URL")
    where = ["--index-url", index] if index else []
    return run(f"torch {wanted}", pip(f"torch=={wanted}", *where))


def remove_broken() -> None:
    """Text models need none of these, and a broken one takes transformers' imports down."""
    probe = "import sys, importlib.util as u; n = sys.argv[1]; u.find_spec(n) and __import__(n)"
    for name in OFTEN_BROKEN:
        command = [str(venv_python()), "-c", probe, name]
        if subprocess.run(command, capture_output=True, check=False).returncode != 0:
            uninstall = [str(venv_python()), "-m", "pip", "uninstall", "-y", name]
            must_run(f"removing {name}, which does not fit this torch", uninstall)


def install(kind: str, tests: bool) -> str:
    """Build or complete `.venv`; returns the kind that was possible."""
    unfinished = VENV / "set-up-unfinished"
    if unfinished.exists() or not venv_python().exists():
        if unfinished.exists():
            say("the last set-up was interrupted; building .venv anew")
            shutil.rmtree(VENV)
        if subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False).returncode:
            raise SetUpError("python -m venv failed (on Debian: apt-get install python3-venv)")
    unfinished.touch()
    for kind_before in FILES:
        (VENV / f"set-up-{kind_before}").unlink(missing_ok=True)
    if not torch_first(kind):
        if kind != "cpu":
            raise SetUpError(f"torch could not be installed; see {VENV / 'set-up.log'}")
        say(
            "PyTorch's CPU build is not on the default index: going on without vLLM.  For real "
            "engines set TORCH_INDEX_URL to PyTorch's index of CPU wheels and start again"
        )
        kind = "local"
        if not torch_first(kind):
            raise SetUpError(f"torch could not be installed; see {VENV / 'set-up.log'}")
    files = [*FILES[kind], *([TESTS] if tests else [])]
    must_run(" + ".join(files), pip(*[part for f in files for part in ("-r", str(ROOT / f))]))
    must_run(EMBEDDED, pip("--no-deps", "-r", str(ROOT / EMBEDDED)))
    remove_broken()
    compile_bytecode()
    write_stamp(kind, tests)
    unfinished.unlink()
    return kind


def compile_bytecode() -> None:
    """So that no start compiles anything, where PYTHONDONTWRITEBYTECODE keeps them from it too.

    A package's sample of another Python's syntax fails here, and is never imported.
    """
    plain = {**os.environ, "PYTHONWARNINGS": "ignore"}
    where = [str(venv_python()), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = subprocess.run(where, capture_output=True, text=True, check=True).stdout.strip()
    command = [str(venv_python()), "-m", "compileall", "-q", "-j", "0", packages]
    started = time.monotonic()
    with (VENV / "set-up.log").open("a") as log:
        subprocess.run(command, stdout=log, stderr=log, env=plain, check=False)
    say(f"  compiling what was installed: {time.monotonic() - started:.0f} s")


def write_stamp(kind: str, tests: bool) -> None:
    """Written last: from now on a start believes the environment without looking."""
    plain = [*FILES[kind], EMBEDDED]
    hashes = [digest(plain), *([digest([*plain, TESTS])] if tests else [])]
    (VENV / f"set-up-{kind}").write_text("\n".join(hashes) + "\n")


def complete(kind: str, tests: bool) -> bool:
    """Whether a `.venv` that somebody made by hand has everything already."""
    if not venv_python().exists() or (VENV / "set-up-unfinished").exists():
        return False
    files = [*FILES[kind], EMBEDDED, *([TESTS] if tests else [])]
    command = [str(venv_python()), str(Path(__file__)), "--missing", *files]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    return found.returncode == 0 and not found.stdout.strip()


def find_or_build(tests: bool) -> Path:
    kind = machine_kind()
    extra = [TESTS] if tests else []
    for candidate in dict.fromkeys([kind, "gpu", "cpu"] if kind != "local" else ["local"]):
        files = [*FILES[candidate], *extra]
        if not missing(files):
            say(f"the active Python, {sys.executable}, has what {' + '.join(files)} ask for")
            return Path(sys.executable)
    possible = [kind]
    if kind == "cpu" and not os.environ.get("TORCH_INDEX_URL"):
        possible.append("local")  # where PyTorch's CPU build could not be had
    for candidate in possible:
        if stamped(candidate, [*FILES[candidate], EMBEDDED, *extra]):
            say(f"{VENV} ({', '.join([*FILES[candidate], *extra])})")
            return venv_python()
    with lock():
        if not stamped(kind, [*FILES[kind], EMBEDDED, *extra]):
            if complete(kind, tests):
                remove_broken()
                write_stamp(kind, tests)
            else:
                say(f"installing {', '.join(FILES[kind] + extra)} into {VENV}: some minutes, once")
                kind = install(kind, tests)
    say(f"{VENV} ({', '.join(FILES[kind] + extra)})")
    return venv_python()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tests", action="store_true", help="also what the tests need")
    parser.add_argument("--missing", nargs="+", metavar="FILE", help="only list what is not there")
    arguments = parser.parse_args()
    try:
        if arguments.missing:
            print("\n".join(missing(arguments.missing)))
        else:
            python = find_or_build(arguments.tests)
            if machine_kind() == "gpu":  # said, not refused: a first kernel may be far away
                needs = [str(python), str(ROOT / "utils" / "gpu_needs.py")]
                subprocess.run(needs, stdout=sys.stderr, check=False)
            print(python)
    except SetUpError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        say("interrupted; the next start begins the set-up anew")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
