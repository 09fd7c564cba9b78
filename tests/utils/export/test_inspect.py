"""Logs for inspect_ai, read back by inspect itself in an environment of its own.

It is .venv-inspect, or the folder that INSPECT_VENV names, or one that this test makes once in the
user's cache folder where the packages can be had.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.embedded import cache_folder
from tests.conftest import ROOT
from tests.utils.export.test_export import kept
from utils.export.command import main
from utils.export.inspect_data import VARIABLE
from utils.export.rows import chat, scores
from utils.runs.read import open_run

REQUIREMENTS = ROOT / "requirements-inspect.txt"
READ_BACK = """
import json, sys
from inspect_ai.log import list_eval_logs, read_eval_log
[info] = list_eval_logs(sys.argv[1])
log = read_eval_log(info)
print(json.dumps({
    "status": log.status, "model": log.eval.model,
    "metrics": {s.name: s.metrics["mean"].value for s in log.results.scores},
    "samples": {f"{s.id}#{s.epoch}": {
        "input": s.input, "target": s.target, "answers": s.metadata["solutions_after"],
        "messages": [[m.role, m.text, [c.reasoning for c in m.content if c.type == "reasoning"]
                      if isinstance(m.content, list) else [], (m.metadata or {}).get("name")]
                     for m in s.messages],
        "scores": {k: [v.value, v.explanation] for k, v in s.scores.items()},
    } for s in log.samples}}))
"""


def environment() -> Path:
    """The environment with inspect_ai; skips, with a reason, where it cannot be had."""
    for place in (os.environ.get(VARIABLE), ROOT / ".venv-inspect"):
        if place and (Path(place) / "bin" / "python").exists():
            return Path(place)
    pins = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    made = cache_folder() / f"inspect-{pins}"
    if (made / "complete").exists():
        return made
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(made)], check=True)
    done = subprocess.run(
        [str(made / "bin" / "pip"), "install", "-q", "-r", str(REQUIREMENTS)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"inspect_ai cannot be installed: {done.stderr.strip().splitlines()[-1]}")
    (made / "complete").touch()
    return made


def test_every_pin_is_exact() -> None:
    pins = [line for line in REQUIREMENTS.read_text().splitlines() if not line.startswith("#")]
    assert any(pin.startswith("inspect_ai==") for pin in pins)
    assert all("==" in pin for pin in pins)


def test_without_the_environment_it_says_how_to_make_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "none"))
    (tmp_path / "conversations.jsonl").write_text(kept()[0].to_json() + "\n")
    assert main([str(tmp_path), "--to", "inspect", "--out", str(tmp_path / "logs")]) == 2
    assert "requirements-inspect.txt" in capsys.readouterr().err


@pytest.mark.slow  # it may install packages first
@pytest.mark.timeout(1800)  # a slow network, a busy machine
def test_inspect_reads_back_every_message_and_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = environment()
    monkeypatch.setenv(VARIABLE, str(place))
    folder = tmp_path / "a-run"
    folder.mkdir()
    (folder / "conversations.jsonl").write_text("".join(r.to_json() + "\n" for r in kept()))
    (folder / "config.yaml").write_text("teacher_model: {model_name_or_path: a/tutor}\n")
    run, logs = open_run(folder), tmp_path / "logs"
    assert main([str(folder), "--to", "inspect", "--out", str(logs)]) == 0
    done = subprocess.run(
        [str(place / "bin" / "python"), "-c", READ_BACK, str(logs)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["status"], found["model"]) == ("success", "a/tutor")
    assert len(found["samples"]) == len(run.records)
    for record in run.records:
        key = f"{record.split}/{record.step}/{record.problem_id}#{record.sample + 1}"
        sample = found["samples"][key]
        assert (sample["input"], sample["target"]) == (record.problem, record.answer)
        assert sample["messages"] == [
            [m["role"], m["content"], [p] if (p := m.get("reasoning_content")) else [],
             m.get("name")]
            for m in chat(record)
        ]  # fmt: skip
        numbers = {k: v for k, v in scores(record).items() if v is not None}
        assert {k: sample["scores"][k][0] for k in numbers} == numbers
        for rule, verdicts in record.verdicts.items():
            for number, verdict in enumerate(verdicts, 1):
                given = sample["scores"].get(f"{rule}_{number}")
                expected = {"OK": 1.0, "REJECT": 0.0, None: None}[verdict.decision]
                assert (given and given[0]) == expected
                assert given is None or given[1] == verdict.reasoning
        assert sample["answers"] == [s.model_dump() for s in record.solutions]
