"""What an inspect_ai log holds of a run, as plain data; and the environment that can write it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.errors import ConfigError, RunError
from utils.export.rows import chat, scores
from utils.metrics.conversation import HEADLINE, summarise
from utils.records import ConversationRecord
from utils.runs.read import Run

ROOT = Path(__file__).resolve().parents[2]
WRITER = Path(__file__).with_name("inspect_log.py")
VARIABLE = "INSPECT_VENV"


def inspect_python() -> str:
    """The interpreter that has inspect_ai: this one, else that of `$INSPECT_VENV` or .venv-inspect.

    Raises ConfigError where there is none.
    """
    if importlib.util.find_spec("inspect_ai"):
        return sys.executable
    python = Path(os.environ.get(VARIABLE, ROOT / ".venv-inspect")) / "bin" / "python"
    if not python.exists():
        raise ConfigError(
            "--to inspect: inspect_ai has an environment of its own, which is not there: "
            "python3.11 -m venv .venv-inspect && "
            ".venv-inspect/bin/pip install -r requirements-inspect.txt"
        )
    return str(python)


def write_logs(chosen: Sequence[tuple[Run, ConversationRecord]], out: Path) -> None:
    """One log a run, `out`/RUN.eval."""
    python = inspect_python()
    runs = list({id(run): run for run, _ in chosen}.values())
    logs = [log(run, [r for other, r in chosen if other is run]) for run in runs]
    out.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [python, str(WRITER), str(out)],
        input=json.dumps(logs),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise RunError(f"--to inspect: {last}")


def log(run: Run, records: Sequence[ConversationRecord]) -> dict[str, Any]:
    """A run as a log; sample ids tell split and step only where there are several."""
    several = len({(r.split, r.step) for r in records}) > 1
    model = str((run.config.get("teacher_model") or {}).get("model_name_or_path", "unknown"))
    found = summarise(records)
    written = datetime.fromtimestamp(run.folder.stat().st_mtime, UTC)
    return {
        "file": run.name,
        "task": "tutor_classroom",
        "created": written.isoformat(timespec="seconds"),
        "dataset": ", ".join(sorted({r.source for r in records if r.source})) or "problems",
        "model": model,
        "metadata": {"run": run.name, "settings": run.config},
        "metrics": {
            name: {"mean": e.mean, "stderr": e.se, "n": e.n}
            for name in HEADLINE
            if (e := found[name]).mean is not None
        },
        "samples": [sample(r, run, model, several=several) for r in records],
    }


def sample(record: ConversationRecord, run: Run, model: str, *, several: bool) -> dict[str, Any]:
    at = f"{record.split}/{record.step}/" if several else ""
    return {
        "id": f"{at}{record.problem_id}",
        "epoch": record.sample + 1,
        "input": record.problem,
        "target": record.answer,
        "model": model,
        "messages": chat(record),
        "scores": _scores(record),
        "metadata": {
            "split": record.split,
            "step": record.step,
            "type": record.type,
            "student_name": record.student_name,
            "student_persona": record.student_persona,
            "stop_reason": record.stop_reason,
            "error": record.error,
            "excluded": record.excluded,
            "solutions_before": [s.model_dump() for s in record.initial_solutions],
            "solutions_after": [s.model_dump() for s in record.solutions],
            **({} if record.transfer is None else {"transfer": record.transfer.model_dump()}),
        },
        "usage": {
            role: {
                "input_tokens": used.prompt_tokens,
                "output_tokens": used.completion_tokens,
                "total_tokens": used.prompt_tokens + used.completion_tokens,
                "total_cost": used.cost_usd,
            }
            for role, used in record.usage.items()
        },
        "seconds": sum(record.timing.values()) or None,
    }


def _scores(record: ConversationRecord) -> dict[str, Mapping[str, Any]]:
    """Numbers as they are; a rule's verdicts as 1 (OK) or 0 (REJECT) with the judge's reason.

    What the record cannot say is no score, never 0.
    """
    found: dict[str, Mapping[str, Any]] = {
        name: {"value": value} for name, value in scores(record).items() if value is not None
    }
    for rule, verdicts in record.verdicts.items():
        for number, verdict in enumerate(verdicts, 1):
            if verdict.decision is not None:
                found[f"{rule}_{number}"] = {
                    "value": float(verdict.decision == "OK"),
                    "explanation": verdict.reasoning,
                }
    return found
