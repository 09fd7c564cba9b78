"""Turn rules and turn credit in whole runs, killed and gone on with: in one process and on
engines."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.killed_runs import SLOW, killed_and_whole
from tests.train_runs import BRIEF, kill_after_checkpoint, run
from utils.records import check, load_run
from utils.report.conversations import body
from utils.report.credit import turn_credit
from utils.runs.folder import read_metrics
from utils.runs.read import open_run

GATES = (
    "+generation.turn_rules.leak=matcher",
    "generation.turn_penalty=0.5",
    "train.credit=turn",
    "train.baseline=leave_one_out",
)
STEPS = 3
pytestmark = SLOW


def check_gates(folder: Path, *, withheld: bool) -> None:
    """Some turns failed and paid for it; record, curve and report say the same of them."""
    opened = open_run(folder)
    records = [r for r in load_run(folder) if r.split == "train"]
    turns = [m for r in records for m in r.messages if m.role == "teacher"]
    bad = [m for m in turns if m.failed]
    assert 0 < len(bad) < len(turns)
    assert {m.cost for m in bad} == {0.5} and all(m.withheld == withheld for m in bad)
    curve = [row for row in read_metrics(folder) if "classroom/turns_failed" in row]
    assert len(curve) == STEPS
    credit = turn_credit(opened, {r.step for r in records})
    assert set(credit) == {r.key for r in records}
    some = next(r for r in records if any(m.failed for m in r.messages))
    shown = [m for m in body(some, None, credit[some.key])["messages"] if "credit" in m]
    assert len(shown) == sum(m.role == "teacher" for m in some.messages)
    assert {m["credit"] for m in shown if m.get("cost")} == {-0.5}


@pytest.mark.parametrize("failed", ["penalise", "withhold"])
def test_killed_and_gone_on_with(tmp_path: Path, failed: str) -> None:
    """It ends with the weights and the record of a run never killed."""
    more = (f"generation.failed_turn={failed}", "generation.max_turns=6")
    folder, _ = killed_and_whole(tmp_path, "--config-name=toy", *GATES, *more)
    check_gates(folder, withheld=failed == "withhold")
    weights = load_file(folder / "model" / "model.safetensors")
    start = load_file(ROOT / "toy/checkpoints/tutor/model.safetensors")
    assert any(not weights[name].equal(start[name]) for name in start if name in weights)


@pytest.mark.parametrize(
    ("config", "more"),
    [
        ("toy", ("generation.max_turns=6", "train.per_device_train_batch_size=4")),
        # it seldom tells anything: a rule that rejects about every other turn
        ("smollm2", ("+generation.turn_rules.odd=tests.rules:odd", *BRIEF)),
    ],
)
def test_killed_and_gone_on_with_on_engines(
    tmp_path: Path, config: str, more: tuple[str, ...]
) -> None:
    """The launcher and everything below it is killed; the same command ends the run."""
    folder = tmp_path / "run"
    command = [
        "./start_rl_training.sh", f"--config-name={config}", *GATES, *more,
        "generation.failed_turn=withhold", "run_name=run", f"logging.save_dir={tmp_path}",
        "train.number_of_problems_per_batch=2", "train.num_samples_per_problem=4",
        f"train.max_steps={STEPS}", "train.mu=1", "train.eval_steps=0", "logging.save_steps=1",
    ]  # fmt: skip
    kill_after_checkpoint(command, folder, step=1)
    before = {r.key: r for r in load_run(folder) if r.step == 0}
    assert "goes on from checkpoint of step" in run(command, timeout=900)
    assert check(folder / "conversations.jsonl") == []
    after = {r.key: r for r in load_run(folder) if r.split == "train"}
    assert len(after) == STEPS * 8 and all(after[key] == r for key, r in before.items())
    check_gates(folder, withheld=True)
    gaps = [
        row["sampling/sampling_logp_difference/mean"]
        for row in read_metrics(folder)
        if "sampling/sampling_logp_difference/mean" in row
    ]
    assert len(gaps) == STEPS and max(gaps) < 1e-4, gaps
