"""Advantages of single turns in TRL's loss, on a tiny model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from config.objectives import OBJECTIVES
from config.schema import GenerationSettings, TrainRLConfig, TrainSettings
from src.grpo.build import token_credit
from src.grpo.rollouts.prefetch import Prefetch
from src.grpo.trainer import ClassroomGRPOTrainer
from tests.src.grpo.loss.test_first_pass import begin
from tests.src.grpo.sgd_update import SAMPLES, Steps, conversations, run, spread_out
from tests.tiny import save_tiny_model
from utils.credit.advantages import Credit, advantages, by_token
from utils.credit.outcomes import outcome_of

ROOT = Path(__file__).resolve().parents[4]
TURNS: Mapping[str, Any] = MappingProxyType(
    {"credit": "turn", "baseline": "leave_one_out", "scale_rewards": "none", "learning_rate": 0.02}
)
Batch = dict[str, Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_model(tmp_path_factory.mktemp("model"), tied=False))


def batches_of(trainer: ClassroomGRPOTrainer) -> list[Batch]:
    """Every batch that is scored from now on."""
    seen: list[Batch] = []
    score = trainer._generate_and_score_completions

    def watched(inputs: Any) -> Batch:
        seen.append(score(inputs))
        return seen[-1]

    trainer._generate_and_score_completions = watched  # type: ignore[method-assign]
    return seen


def scored(model: str, out: Path, **changes: Any) -> tuple[Batch, Steps]:
    seen: list[list[Batch]] = []
    steps = run(model, out, lambda trainer: seen.append(batches_of(trainer)), **changes)
    return seen[0][0], steps


def same_bits(one: Steps, other: Steps) -> None:
    assert len(one.gradients) == len(other.gradients) > 0
    for ours, theirs in zip(one.gradients, other.gradients, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert any(g.abs().max() > 0 for g in ours.values())
    assert all(torch.equal(one.weights[-1][n], t) for n, t in other.weights[-1].items())


def near(one: Mapping[str, Tensor], other: Mapping[str, Tensor], rtol: float) -> None:
    apart = sum(float((one[n] - other[n]).square().sum()) for n in other) ** 0.5
    size = sum(float(t.square().sum()) for t in other.values()) ** 0.5
    assert apart <= rtol * size


def test_by_default_trls_own_advantages_are_used() -> None:
    assert token_credit(TrainRLConfig()) is None
    rules = {"turn_rules": {"leak": "matcher"}}
    for failed, none in (("record", True), ("penalise", False), ("withhold", False)):
        generation = GenerationSettings(**rules, failed_turn=failed)  # type: ignore[arg-type]
        assert (token_credit(TrainRLConfig(generation=generation)) is None) == none
    for changes in ({"credit": "turn"}, {"advantages": "per_reward"}, TURNS):
        assert token_credit(TrainRLConfig(train=TrainSettings(**changes))) is not None


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_of_a_conversation_ours_are_trls(model: str, tmp_path: Path, scale: Any) -> None:
    batch, _ = scored(model, tmp_path, scale_rewards=scale)
    outcomes = [outcome_of(record) for record in conversations()]
    for each in outcomes:  # what turns pay is not TRL's
        assert each.turns
    free = [type(o)(rewards=o.rewards, turns=tuple(type(t)(start=t.start, end=t.end)
            for t in o.turns)) for o in outcomes]  # fmt: skip
    groups = [free[i : i + SAMPLES] for i in range(0, len(free), SAMPLES)]
    found = advantages(groups, Credit(scale=scale))
    theirs = sorted(batch["advantages"].tolist())
    assert sorted(row[0] for row in found.turns) == pytest.approx(theirs, abs=1e-6)
    assert 0.0 in theirs  # the one that is left out


@pytest.mark.parametrize("mu", [1, 2])
@pytest.mark.parametrize("padding_free", [True, False], ids=["packed", "padded"])
def test_advantages_of_tokens_change_no_bit(
    model: str, tmp_path: Path, mu: int, padding_free: bool
) -> None:
    """Of gradients and weights, where every token has its conversation's advantage."""
    changes = {"mu": mu, "padding_free": padding_free, "max_steps": 2 * mu}
    plain = run(model, tmp_path / "plain", **changes)
    same_bits(run(model, tmp_path / "out", spread_out, **changes), plain)


def test_each_token_has_its_turns_advantage(model: str, tmp_path: Path) -> None:
    batch, steps = scored(model, tmp_path, **TURNS)
    outcomes = [outcome_of(record) for record in conversations()]
    groups = [outcomes[i : i + SAMPLES] for i in range(0, len(outcomes), SAMPLES)]
    credit = Credit(grain="turn", baseline="leave_one_out", scale="none")
    rows, length = advantages(groups, credit).turns, batch["completion_ids"].shape[1]
    expected = torch.tensor(
        [by_token(o, row, length) for o, row in zip(outcomes, rows, strict=True)]
    )
    order = {tuple(ids): at for at, ids in enumerate(
        [*r.trajectory.completion_ids] for r in conversations() if r.trajectory)}  # fmt: skip
    found = [order[tuple(ids[mask.bool()].tolist())] for ids, mask in
             zip(batch["completion_ids"], batch["completion_mask"], strict=True)]  # fmt: skip
    assert sorted(found) == list(range(len(outcomes)))
    torch.testing.assert_close(batch["advantages"], expected[found])
    mask = batch["tool_mask"] * batch["completion_mask"]
    left_out = ~mask.any(dim=1)  # whatever its turns would pay, nothing of it is trained on
    assert left_out.sum() == 1
    assert len({v for row in rows for v in row}) > 8
    assert {"credit/groups_without_spread/total"} <= steps.logs[0].keys()


@pytest.mark.parametrize("objective", ["grpo", "cispo", "sapo", "vespo", "dr_grpo"])
def test_packed_or_padded_makes_no_difference(model: str, tmp_path: Path, objective: str) -> None:
    changes = {"mu": 2, "objective": objective, "credit": "turn", "baseline": "leave_one_out"}
    packed = run(model, tmp_path / "packed", **changes)
    padded = run(model, tmp_path / "padded", padding_free=False, **changes)
    for one, other in zip(packed.gradients, padded.gradients, strict=True):
        near(one, other, 1e-4)


def test_micro_batches_of_another_size_make_no_difference(model: str, tmp_path: Path) -> None:
    small = run(model, tmp_path / "1", **TURNS, per_device_train_batch_size=1)
    large = run(model, tmp_path / "8", **TURNS, per_device_train_batch_size=8)
    near(small.weights[-1], large.weights[-1], 1e-5)
    plain = run(model, tmp_path / "plain", per_device_train_batch_size=8)
    moved = {n: t - plain.weights[0][n] for n, t in plain.weights[-1].items()}
    ours = {n: t - large.weights[0][n] for n, t in large.weights[-1].items()}
    with pytest.raises(AssertionError):  # turn credit is another gradient
        near(ours, moved, 0.05)


def test_overlap_makes_no_difference(model: str, tmp_path: Path) -> None:
    changes = {**TURNS, "max_steps": 4}
    ahead = run(model, tmp_path / "ahead", more={"prefetch": Prefetch(begin)}, **changes)
    same_bits(ahead, run(model, tmp_path / "not", **changes))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_every_objective_trains(model: str, tmp_path: Path, objective: str) -> None:
    steps = run(model, tmp_path, objective=objective)
    assert all(torch.isfinite(t).all() for t in steps.weights[-1].values())
    assert any(g.abs().max() > 0 for g in steps.gradients[0].values())


def test_a_conversations_ratio_averages_turns_away(model: str, tmp_path: Path) -> None:
    """Why config/objectives.py refuses turn credit with GSPO: its gradient is the same when each
    row's tokens all have their mean advantage."""

    def averaged(trainer: ClassroomGRPOTrainer) -> None:
        score = trainer._generate_and_score_completions

        def flat(inputs: Any) -> Batch:
            batch = score(inputs)
            mask = batch["tool_mask"] * batch["completion_mask"]
            mean = (batch["advantages"] * mask).sum(1) / mask.sum(1).clamp(min=1)
            return batch | {"advantages": mean.unsqueeze(1).expand(mask.shape).contiguous()}

        trainer._generate_and_score_completions = flat  # type: ignore[method-assign]

    changes = {"objective": "gspo", "beta": 0.0, "importance_sampling": "none", "max_steps": 1}
    changes |= {"mu": 1, **TURNS}
    ours = run(model, tmp_path / "turns", **changes).gradients[0]
    near(ours, run(model, tmp_path / "mean", averaged, **changes).gradients[0], 1e-5)
    changes["objective"] = "grpo"
    ours = run(model, tmp_path / "turns2", **changes).gradients[0]
    with pytest.raises(AssertionError):
        near(ours, run(model, tmp_path / "mean2", averaged, **changes).gradients[0], 0.05)


def two_ranks(model: str, out: Path, *pairs: str) -> list[dict[str, Tensor]]:
    """Weights before the first step and after each, under ZeRO-3, packed; a group lies on both."""
    flags = ["--config_file", "config/deepspeed/zero3_cpu.yaml", "--main_process_port", "0"]
    command = [sys.executable, "-m", "accelerate.commands.launch", *flags]
    variables = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "WANDB_MODE": "disabled"}
    out.mkdir()
    done = subprocess.run(
        [*command, "tests/src/grpo/sgd_update.py", model, str(out),
         "per_device_train_batch_size=1", "max_steps=2", *pairs],
        cwd=ROOT,
        env=os.environ | variables | {"TRL_EXPERIMENTAL_SILENCE": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return [load_file(out / f"{at}.safetensors") for at in range(3)]


@pytest.mark.slow
def test_on_two_ranks(model: str, tmp_path: Path) -> None:
    """Both steps of mu = 2 end with the weights that one process comes to."""
    changes = {**TURNS, "advantages": "per_reward", "scale_rewards": "group"}
    two = two_ranks(model, tmp_path / "two", *(f"{k}={v}" for k, v in changes.items()))
    one = run(model, tmp_path / "one", **changes)
    for at in (1, 2):
        near({n: t - two[0][n] for n, t in two[at].items()},
             {n: t - one.weights[0][n] for n, t in one.weights[at].items()}, 1e-3)  # fmt: skip
    logs = json.loads((tmp_path / "two" / "logs.json").read_text())
    assert logs[0]["credit/groups_without_spread/solve"] == 0.0


@pytest.mark.slow
def test_advantages_of_tokens_change_no_bit_on_two_ranks(model: str, tmp_path: Path) -> None:
    plain = two_ranks(model, tmp_path / "plain")
    written_out = two_ranks(model, tmp_path / "out", "written_out=true")
    for ours, theirs in zip(written_out, plain, strict=True):
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert any(not torch.equal(plain[0][name], plain[2][name]) for name in plain[0])
