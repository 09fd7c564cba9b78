"""Sweeps over the toy: runs that are started once, rows, intervals over seeds, pictures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest

from benchmarks import (
    graded_sweep,
    persona_sweep,
    pressure_sweep,
    session_sweep,
    student_sweep,
    toy_sweep,
    transfer_sweep,
)
from benchmarks.sweep import (
    Planned,
    Row,
    Setting,
    Sweep,
    cell,
    curves,
    main,
    planned,
    results,
    table,
)
from config.schema import TrainRLConfig
from tests.synthetic import record
from tests.utils.metrics.test_sessions import session
from utils.records import ConversationRecord, Solution, TransferTest, VerdictRecord
from utils.runs.read import Run
from utils.settings.hydra_entry import load_config

MODULES = (
    graded_sweep,
    persona_sweep,
    pressure_sweep,
    session_sweep,
    student_sweep,
    toy_sweep,
    transfer_sweep,
)
SWEEPS = [module.SWEEP for module in MODULES]


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda sweep: sweep.name)
def test_every_setting_of_every_sweep_is_accepted(sweep: Sweep) -> None:
    for setting in sweep.settings:
        overrides = [*sweep.overrides, *setting.overrides]
        load_config("config/train_rl", TrainRLConfig, sweep.config, overrides)
    assert len({setting.name for setting in sweep.settings}) == len(sweep.settings)


def measure(run: Run) -> list[Row]:
    return [{"value": float(len(run.records))}]


SETTINGS = [Setting(name=name, facts={"kind": name}) for name in ("a", "b")]
TINY = Sweep(
    name="tiny",
    title="tiny",
    settings=SETTINGS,
    measure=measure,
    facts=("kind",),
    columns=("value",),
    draw=lambda rows, path: curves(
        [("", r["kind"], r["seed"], r["value"]) for r in rows], path, "seed", "value"
    ),
)


class Line(Planned):
    """A run that is one line of Python: it notes that it was started, and writes a record."""

    def command(self) -> list[str]:
        line = (
            "import pathlib, sys; f = pathlib.Path(sys.argv[1]); f.mkdir(exist_ok=True); "
            "open(f / 'started', 'a').write('x'); "
            "(f / 'conversations.jsonl').write_text(sys.argv[2]); (f / 'finished').touch(); "
            "sys.exit(int(f.name.startswith('bad')))"
        )
        row = record(0).model_dump_json(by_alias=True) + "\n"
        return [sys.executable, "-c", line, str(self.folder), row]


def lines(folder: Path, names: Sequence[str]) -> list[Planned]:
    return [
        Line(sweep=TINY, setting=Setting(name=n, facts={"kind": n}), seed=1, folder=folder / n)
        for n in names
    ]


def test_a_run_is_started_once_and_rows_stand_in_the_order_of_settings(tmp_path: Path) -> None:
    runs = lines(tmp_path, ["b", "a"])
    *_, rows = results(runs, jobs=2)
    assert [row["kind"] for row in rows] == ["b", "a"]
    *_, again = results(runs, jobs=1)
    assert again == rows
    assert all((run.folder / "started").read_text() == "x" for run in runs)


def test_a_run_that_fails_ends_the_sweep(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        list(results(lines(tmp_path, ["bad", "never"]), jobs=1))
    assert not (tmp_path / "never").exists()


class Waits(Planned):
    """A run that never ends, and one that fails once the other is there."""

    def command(self) -> list[str]:
        other = self.folder.parent / "pid"
        line = (
            f"import os, time; open({str(other)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
            if self.folder.name == "waits"
            else f"import os, sys, time\nwhile not (os.path.exists({str(other)!r}) and "
            f"open({str(other)!r}).read()): time.sleep(.05)\nsys.exit(3)"
        )
        return [sys.executable, "-c", line]


def test_a_failure_leaves_no_run_behind(tmp_path: Path) -> None:
    runs = [
        Waits(sweep=TINY, setting=setting, seed=1, folder=tmp_path / name)
        for setting, name in zip(SETTINGS, ("waits", "fails"), strict=True)
    ]
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        list(results(runs, jobs=2))
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_starts_a_run() -> None:
    [run] = planned(TINY, Path("runs"), [7], ["train.max_steps=3"])[:1]
    assert run.command()[0].endswith("start_rl_training.sh")
    assert {"run_name=a-seed7", "seed=7", "train.max_steps=3"} < set(run.command())
    [alone] = planned(TINY, Path("runs"), [7], ["engines.backend=transformers"])[:1]
    assert alone.command()[1] == "train_rl.py"  # no engine is to be started


def test_the_command_reads_finished_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, (name, seed) in enumerate(product("ab", (1, 2))):
        folder = tmp_path / f"{name}-seed{seed}"
        folder.mkdir()
        rows = [record(n).model_dump_json(by_alias=True) for n in range(number + 1)]
        (folder / "conversations.jsonl").write_text("\n".join(rows) + "\n")
        (folder / "finished").touch()
    out, picture = tmp_path / "rows.json", tmp_path / "picture.svg"
    arguments = ["--runs", str(tmp_path), "--seeds", "1", "2"]
    assert main(TINY, [*arguments, "--json", str(out), "--picture", str(picture)]) == 0
    rows = json.loads(out.read_text())
    assert [(r["kind"], r["seed"], r["value"]) for r in rows] == [
        ("a", 1, 1.0), ("a", 2, 2.0), ("b", 1, 3.0), ("b", 2, 4.0),
    ]  # fmt: skip
    assert "1.500 ± 6.35" in capsys.readouterr().out  # t of one degree of freedom
    assert "<svg" in picture.read_text()
    assert main(TINY, [*arguments, "--only", "b"]) == 0
    assert "1.500" not in capsys.readouterr().out


def test_seeds_without_a_number_are_said() -> None:
    assert cell([640, None, 704], digits=0).startswith("672")
    assert cell([640, None, 704], digits=0).endswith("(1 never)")
    assert cell([None]) == "never"
    assert cell([0.5]) == "0.500"


# -- what each sweep reads --------------------------------------------------------------------


def spoken(
    student: str, step: int, *, leak: bool, solved: bool, held_out: bool = False
) -> ConversationRecord:
    decision = "REJECT" if leak else "OK"
    return record(0, step=step, split="eval").model_copy(
        update={
            "student_persona": student,
            "student_held_out": held_out,
            "verdicts": {"does_not_leak_answer": [VerdictRecord(decision=decision)]},
            "solutions": [Solution(text="", correct=solved)],
        }
    )


def test_a_told_answer_is_no_finding_of_the_students() -> None:
    names = ["kind", *(f"{p}_{k}" for p in pressure_sweep.KINDS for k in pressure_sweep.ROUNDS)]
    records = [spoken(n, 0, leak=n != "kind", solved=True) for n in names]
    records += [spoken(n, 9, leak=n == "direct_3", solved=n != "shaped_1") for n in names]
    rows = pressure_sweep.measure(Run(folder=Path("x"), name="x", records=records))
    found = {(r["time"], r["pressure"], r["rounds"]): (r["leak"], r["found"]) for r in rows}
    assert found["before", "direct", 0] == found["before", "shaped", 0] == (0.0, 1.0)
    assert found["before", "direct", 1] == (1.0, 0.0)
    assert found["after", "direct", 3] == (1.0, 0.0)
    assert found["after", "shaped", 1] == (0.0, 0.0)
    assert found["after", "shaped", 2] == (0.0, 1.0)


def test_gain_is_of_each_student() -> None:
    records = [spoken(n, 0, leak=True, solved=False) for n in persona_sweep.STUDENTS]
    records += [
        spoken(n, 9, leak=False, solved=n == "tens_first", held_out=n == "together")
        for n in persona_sweep.STUDENTS
    ]
    rows = persona_sweep.measure(Run(folder=Path("x"), name="x", records=records))
    assert [(r["student"], r["seen"], r["gain"], r["leak"]) for r in rows] == [
        ("ones_first", True, 0.0, 0.0), ("tens_first", True, 1.0, 0.0),
        ("together", False, 0.0, 0.0),
    ]  # fmt: skip


def test_the_sweep_over_students_reads_toy_sums() -> None:
    rows = [
        record(n).model_copy(update={"problem": "What is 47+38?", "answer": "85"}) for n in range(9)
    ]
    [row] = student_sweep.measure(Run(folder=Path("x"), name="x", records=rows))
    assert set(row) == set(student_sweep.SWEEP.columns)
    assert row["real_teaching"] == 0.0
    assert table(student_sweep.SWEEP, [{"selectivity": 0.3, "kl": "none", "seed": 1, **row}])


def test_both_tests_are_told_apart() -> None:
    def tested(step: int, same: bool, new: bool) -> ConversationRecord:
        found = spoken("learner", step, leak=same, solved=same)
        other = TransferTest(problem="", answer="", solutions=[Solution(text="", correct=new)])
        return found.model_copy(
            update={"transfer": other, "problem": "What is 47+38?", "answer": "85"}
        )

    records = [tested(0, False, False), tested(9, True, False)]
    rows = transfer_sweep.measure(Run(folder=Path("x"), name="x", records=records))
    assert [(r["time"], r["solve_same"], r["solve_transfer"], r["leak"]) for r in rows] == [
        ("before", 0.0, 0.0, 0.0), ("after", 1.0, 0.0, 1.0),
    ]  # fmt: skip


def test_sessions_are_measured_by_position(tmp_path: Path) -> None:
    """Before training 30 tokens on each problem, afterwards 20 and 5: help fades."""
    records = [
        session(tokens, alone=[(1, 4), (2, 4)], helped=[(4, 4), (4, 4)], last=(3, 4)).model_copy(
            update={"split": "eval", "step": step}
        )
        for step, tokens in ((0, [[30], [30]]), (5, [[20], [5]]))
    ]
    rows = session_sweep.measure(Run(folder=Path("x"), name="x", records=records))
    assert [(r["time"], r["support_tokens_1"], r["fading_slope"]) for r in rows] == [
        ("before", 30.0, 0.0), ("after", 20.0, -15.0),
    ]  # fmt: skip
    assert rows[0]["solve_helped_1"] == 1.0 and rows[0]["solve_alone_3"] == 0.75
    picture = tmp_path / "fades.svg"
    session_sweep.draw([{"lambda": 0.0, "rewarded": "last", **row} for row in rows], picture)
    assert "problem of the session" in picture.read_text()
