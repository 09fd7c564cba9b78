"""The shipped student and tutor, made again by the documented commands, are who they were."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from toy.students import MANNERS
from toy.world import RATES

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "toy" / "checkpoints"
SAMPLES = 2048  # standard error of a rate: .011 at most
TOLERANCE = 0.05
#: Own steps less another sum's (docs/students.md).
GRADED = {"plain": 0.0, "checks_some": 0.3, "checks_most": 0.55}
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


@pytest.mark.parametrize("who", ["student", "tutor", "graded"])
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


def own_and_others(samples: int) -> dict[str, tuple[float, float]]:
    """Student -> share of right solutions after its own sum's steps, and after another sum's."""
    from toy.measure import Sampler
    from toy.measure_students import CASES, measured

    sampler = Sampler(SHIPPED / "graded", seed=0)
    return {
        name: (
            measured(sampler, MANNERS[name], CASES["ones, tens"], samples, transfer=False),
            measured(sampler, MANNERS[name], CASES["another sum's"], samples, transfer=False),
        )
        for name in GRADED
    }


def test_the_graded_students_differ_by_their_prompt() -> None:
    """In what another sum's steps are worth to them; their own are worth the same."""
    rates = own_and_others(128)  # standard error: .04 at most
    assert all(own > 0.65 for own, _ in rates.values()), rates
    others = [rates[name][1] for name in GRADED]
    assert others[0] > others[1] + 0.1 > others[2] + 0.2, rates


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_graded_students_are_as_selective_as_documented() -> None:
    found = {name: own - other for name, (own, other) in own_and_others(SAMPLES).items()}
    for name, value in GRADED.items():
        assert found[name] == pytest.approx(value, abs=TOLERANCE), found
