"""Runs items one after the other, each in its process, and writes what they found after each."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.cards import gpu_name, used_bytes
from benchmarks.gpu.engine import MANIFEST
from benchmarks.gpu.found import Found, read, write
from benchmarks.gpu.items import Item
from benchmarks.gpu.needs import GPU_ONLY

LEAST_S = 20.0  # an item is not begun with less left
IMPORT_ERRORS = ("ModuleNotFoundError", "ImportError")
ENGINE_S = 500.0  # two starts, of runner V2 and then V1; one took 75 to over 100
PACKAGES = ("torch", "triton", "transformers", "trl", "deepspeed", "vllm", "bitsandbytes", "peft")


class Runner:
    """`file` gets the results; logs stand beside it.  `seconds`: of all items together."""

    def __init__(self, file: Path, work: Path, *, dry: bool, seconds: float) -> None:
        self.file, self.work, self.dry = file, work, dry
        self.end = time.monotonic() + seconds
        self.items: list[Found] = []
        self.keeper: subprocess.Popen[bytes] | None = None
        self.no_engine: str | None = None
        self.about = {"card": gpu_name() or "CPU", "dry": dry, **_versions()}

    def run(self, items: Sequence[Item]) -> int:
        """0 if all of them passed."""
        print(f"benchmarks.gpu on {self.about['card']}: {', '.join(i.name for i in items)}")
        failed = self._preflight(items)
        try:
            for at, item in enumerate(items):
                if not item.engine:
                    self._stop_engine()
                lacks = [f"{m}: {failed[m]}" for m in item.needs if m in failed] or self._again()
                found = _not_run(item, lacks[0]) if lacks else self._one(item)
                self.items.append(found)
                write(self.file, self.about, self.items)
                print(_line(found), flush=True)
                later = any(i.engine for i in items[at + 1 :])
                if item.engine and (not later or not self._engine_is_well(found)):
                    self._stop_engine()
        finally:
            self._stop_engine()
        return 0 if all(found.passed for found in self.items) else 1

    def _preflight(self, items: Sequence[Item]) -> dict[str, str]:
        """Modules that the items need and that do not import; said, and kept in the file."""
        modules = list(dict.fromkeys(name for item in items for name in item.needs))
        if self.dry:
            modules = [name for name in modules if name not in GPU_ONLY]
        out = self.work / "needs.json"
        out.unlink(missing_ok=True)
        with self._log("needs").open("ab") as log:
            subprocess.run(
                [sys.executable, "-m", "benchmarks.gpu.needs", str(out), *modules],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if not out.exists():
            return dict.fromkeys(
                modules, f"the import of all of it died: {self._log('needs').name}"
            )
        needs = json.loads(out.read_text())
        if needs["missing"]:
            self.about["missing_packages"] = needs["missing"]
            print(f"missing packages: {', '.join(needs['missing'])}", flush=True)
        failed: dict[str, str] = needs["failed"]
        if failed:
            self.about["failed_imports"] = failed
            print("".join(f"does not import: {m}: {why}\n" for m, why in failed.items()), end="")
        return failed

    def _again(self) -> list[str]:
        """The import error that two items have died of: the others would too."""
        last = [found.reason.partition(" (")[0] for found in self.items[-2:]]
        same = len(last) == 2 and last[0] == last[1]
        return last[:1] if same and last[0].startswith(IMPORT_ERRORS) else []

    def _one(self, item: Item) -> Found:
        found = Found(name=item.name, what=item.what)
        left = self.end - time.monotonic()
        if left < LEAST_S:
            found.reason = f"not run: {left:.0f} s were left (--seconds)"
            return found
        if item.engine and (reason := self._start_engine()):
            found.passed, found.reason = False, reason
            return found
        # two cores are slow, and often busy
        left = min(item.seconds * (4 if self.dry else 1), self.end - time.monotonic())
        out = self.work / f"{item.name}.json"
        out.unlink(missing_ok=True)
        command = [sys.executable, "-m", "benchmarks.gpu.one", item.name, str(out), str(self.work)]
        began = time.monotonic()
        with self._log(item.name).open("ab") as log:
            process = subprocess.Popen(
                [*command, *(["--dry"] if self.dry else [])],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=os.environ | {MANIFEST: str(self._engine_file)},
            )
        try:
            code: int | str = process.wait(timeout=max(1.0, left))
        except subprocess.TimeoutExpired:
            code = f"ended after {left:.0f} s"
        finally:
            _end(process)
        if out.exists():
            return read(out)[1][0]
        found.passed, found.seconds = False, time.monotonic() - began
        words = self._log(item.name).read_text(errors="replace").split("\n")
        last = " | ".join(line.strip() for line in words[-6:] if line.strip())[-500:]
        found.reason = f"exit code {code}: {last}" if isinstance(code, int) else f"{code}: {last}"
        return found

    def _log(self, name: str) -> Path:
        return self.file.parent / f"{name}.log"

    # --- the engine that V1 to V4 ask -----------------------------------------------------------

    @property
    def _engine_file(self) -> Path:
        return self.work / "engine.json"

    def _start_engine(self) -> str | None:
        """Why there is none; None where it is up.  What did not start once is not tried again."""
        if self.no_engine:
            return self.no_engine
        if self.keeper is not None and self.keeper.poll() is None:
            return None
        self._engine_file.unlink(missing_ok=True)
        command = [sys.executable, "-m", "benchmarks.gpu.engine", str(self._engine_file)]
        with self._log("engine").open("ab") as log:
            self.keeper = subprocess.Popen(
                [*command, str(self.work), *(["--dry"] if self.dry else [])],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        end = min(self.end, time.monotonic() + ENGINE_S * (2 if self.dry else 1))
        while time.monotonic() < end and self.keeper.poll() is None:
            if self._engine_file.exists():
                self.about["engine"] = json.loads(self._engine_file.read_text())
                self.no_engine = self.about["engine"].get("reason")
                return self.no_engine
            time.sleep(0.2)
        self.no_engine = f"the engine did not start: {self._log('engine').name}"
        if self._engine_file.exists():
            self.about["engine"] = json.loads(self._engine_file.read_text())
            self.no_engine = str(self.about["engine"].get("reason"))
        self._stop_engine()
        return self.no_engine

    def _engine_is_well(self, found: Found) -> bool:
        """An item that was cut off, or raised, leaves the engine in a state nobody knows."""
        return not found.reason

    def _stop_engine(self) -> None:
        """Ends the keeper and its engine; keeps the engine's log, and waits for its memory."""
        keeper, self.keeper = self.keeper, None
        if keeper is None:
            return
        assert keeper.stdin is not None
        keeper.stdin.close()
        try:
            keeper.wait(timeout=20.0)
        except subprocess.TimeoutExpired:
            pass
        finally:
            _end(keeper)
        self._keep_logs()
        before = self.about.get("engine", {}).get("used_before_gib", 0.0)
        until = time.monotonic() + 5.0
        while not self.dry and used_bytes() / 2**30 > before + 1.0 and time.monotonic() < until:
            time.sleep(0.3)

    def _keep_logs(self) -> None:
        with self._log("engine").open("ab") as kept:
            for log in sorted(self.work.glob("engine/**/*.log")):
                kept.write(f"\n==== {log}\n".encode() + log.read_bytes()[-200_000:])
                log.unlink()


def _not_run(item: Item, lacks: str) -> Found:
    return Found(name=item.name, what=item.what, passed=False, reason=f"not run: {lacks}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """The process and whatever it left in its session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5.0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _versions() -> dict[str, Any]:
    found: dict[str, Any] = {"python": platform.python_version()}
    for package in PACKAGES:
        for name in (package, f"{package}-cpu"):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                found[package] = importlib.metadata.version(name)
    return found


def _line(found: Found) -> str:
    verdict = {True: "pass", False: "FAIL", None: "-"}[found.passed]
    text = f"{found.name:14s} {verdict:5s} {found.seconds:6.1f} s  {found.what}"
    if found.reason:
        text += f"\n    {found.reason}"
    elif found.found:
        text += f"\n    {json.dumps(found.found, default=_short)[:1500]}"
    if found.passed is False and found.setting:
        text += f"\n    setting: {found.setting}"
    return text


def _short(value: Any) -> str:
    return str(value)
