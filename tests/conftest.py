"""What all tests share: no test sees this machine's keys, ranks or Hydra's leftovers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings as hypothesis_settings

from utils.runs.process import short_barriers

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the hub's library is imported
short_barriers()  # of torch's threads: tests share their cores with engines, ranks and browsers

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (
    *("HF_TOKEN", "WANDB_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY"),
    *("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"),
    *("TUTOR_RL_ENGINES", "TUTOR_RL_JOB", "TUTOR_RL_GRACE_SECONDS"),
)


@pytest.fixture(autouse=True, scope="session")
def _plain_environment() -> Iterator[None]:
    kept = {name: os.environ.pop(name) for name in LEFT_OUT if name in os.environ}
    os.environ["WANDB_MODE"] = "disabled"
    yield
    os.environ.update(kept)


@pytest.fixture
def shared_data() -> Path:
    """The folder of real data slices beside the repository; skips where it is not there."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data here: {folder}")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real chromium for the tests of a module; they are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no chromium on this machine (apt-get install chromium)")
    with playwright.sync_playwright() as driver:
        # No sandbox: containers have no user namespaces; the pages are our own.
        running = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


# How long a case takes says nothing on a busy machine.
hypothesis_settings.register_profile("house", deadline=None)
hypothesis_settings.load_profile("house")
