"""The shipped student and tutor, made again by the documented commands, are who they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toy.world import RATES

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "toy" / "checkpoints"
SAMPLES = 2048  # standard error of a rate: .011 at most
TOLERANCE = 0.05
pytestmark = pytest.mark.skipif(
    not SHIPPED.is_dir(), reason="toy/checkpoints is not there: docs/toy-classroom.md makes it"
)


def rates(who: str, folder: Path) -> dict[str, float]:
    """The measured rates of a checkpoint that the classroom depends on."""
    from toy.measure import Sampler, student_rates, tutor_rates

    sampler = Sampler(folder, seed=0)
    if who == "student":
        return student_rates(sampler, SAMPLES)
    found = tutor_rates(sampler, SAMPLES)
    return {name: found[name] for name in ("tells", "asks", "cheers", "own_digits")}


@pytest.mark.parametrize("who", ["student", "tutor"])
def test_what_is_shipped_is_small_and_safe(who: str) -> None:
    names = {path.name for path in (SHIPPED / who).iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    assert (SHIPPED / who / "model.safetensors").stat().st_size < 2_000_000


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("who", ["student", "tutor"])
def test_made_again_it_has_the_same_rates(who: str, tmp_path: Path) -> None:
    command = [
        sys.executable, "train_sft.py", f"--config-name=toy_{who}",
        f"logging.save_dir={tmp_path}", "run_name=again", "seed=1", "model.init_seed=1",
    ]  # fmt: skip
    subprocess.run(command, cwd=ROOT, check=True, timeout=1700)
    shipped, again = rates(who, SHIPPED / who), rates(who, tmp_path / "again" / "model")
    for name, value in again.items():
        assert value == pytest.approx(shipped[name], abs=TOLERANCE), (name, shipped, again)
    if who == "student":
        for name, value in shipped.items():
            assert value == pytest.approx(RATES[name], abs=0.06), (name, shipped)
