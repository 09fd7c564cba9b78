"""Turn rules and turn credit in a whole run on the toy classroom, in one process, killed and
gone on with."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.test_train_rl import ROOT, _kill_after_checkpoint, run
from utils.records import check, load_run
from utils.report.conversations import body
from utils.report.credit import turn_credit
from utils.runs.folder import read_metrics
from utils.runs.read import open_run

TOY = (
    "--config-name=toy",
    "run_name=run",
    "engines.backend=transformers",
    "train.number_of_problems_per_batch=2",
    "train.num_samples_per_problem=4",
    "train.per_device_train_batch_size=8",
    "train.max_steps=3",
    "train.mu=1",
    "train.eval_steps=0",
    "logging.save_steps=1",
    "generation.max_turns=6",
    "generation.number_student_attempts=2",
    "generation.number_initial_attempts=0",
    "+generation.turn_rules.leak=matcher",
    "train.credit=turn",
    "train.baseline=leave_one_out",
    # answers that are computed together differ in the last bits from answers computed alone
    "teacher_model.vllm.max_num_seqs=1",
    "student_model.vllm.max_num_seqs=1",
)


def command(runs: Path, *more: str) -> list[str]:
    return [sys.executable, "train_rl.py", *TOY, f"logging.save_dir={runs}", *more]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not (ROOT / "toy/checkpoints/tutor").exists(), reason="the toy is not built")
@pytest.mark.parametrize("failed", ["penalise", "withhold"])
def test_killed_and_gone_on_with(tmp_path: Path, failed: str) -> None:
    """It ends with the weights and the record of a run never killed."""
    more = (f"generation.failed_turn={failed}", "generation.turn_penalty=0.5")
    folder, whole = (tmp_path / name / "run" for name in ("killed", "whole"))
    _kill_after_checkpoint(command(folder.parent, *more), folder, step=1)
    assert "goes on from" in run(command(folder.parent, *more), timeout=600)
    run(command(whole.parent, *more), timeout=600)
    assert check(folder / "conversations.jsonl") == []
    said, expected = (
        [r.model_dump(exclude={"timing"}) for r in sorted(load_run(f), key=lambda r: r.key)]
        for f in (folder, whole)
    )
    assert said == expected and len(said) == 3 * 8
    weights, others = (load_file(f / "model" / "model.safetensors") for f in (folder, whole))
    assert all(weights[name].equal(others[name]) for name in others)
    start = load_file(ROOT / "toy/checkpoints/tutor/model.safetensors")
    assert any(not weights[name].equal(start[name]) for name in start if name in weights)

    records = load_run(folder)
    turns = [m for r in records for m in r.messages if m.role == "teacher"]
    bad = [m for m in turns if m.failed]
    assert 0 < len(bad) < len(turns)
    assert {m.cost for m in bad} == {0.5} and all(m.withheld == (failed == "withhold") for m in bad)
    curve = [row for row in read_metrics(folder) if "classroom/turns_failed" in row]
    assert len(curve) == 3
    opened = open_run(folder)
    credit = turn_credit(opened, {r.step for r in opened.records})
    assert set(credit) == {r.key for r in records}
    some = next(r for r in records if any(m.failed for m in r.messages))
    shown = [m for m in body(some, None, credit[some.key])["messages"] if "credit" in m]
    assert len(shown) == sum(m.role == "teacher" for m in some.messages)
    assert {m["credit"] for m in shown if m.get("cost")} == {-0.5}
