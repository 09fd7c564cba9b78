"""A real judge: SmolLM2 on a real vLLM server reads transcripts and is bound to the schema."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from utils.records import check, load_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

RULES = ("does_not_leak_answer", "follows_pedagogical_values")
SHORT = (
    "train.collect_only=true",
    "train.max_steps=1",
    "train.number_of_problems_per_batch=1",
    "train.num_samples_per_problem=2",
    "generation.max_turns=2",
    "generation.max_tokens_per_turn=24",
    "generation.max_tokens_per_student_attempt=24",
    "generation.number_student_attempts=1",
    "generation.number_initial_attempts=0",
    "generation.max_tokens_per_judge_attempt=400",
    "generation.number_judge_attempts=2",
    "generation.judge_retries=0",
)


def test_smollm2_judges_two_rules_twice_through_structured_outputs(tmp_path: Path) -> None:
    """Tutor, student and judge are one model here, so one engine serves them all."""
    judge = (
        "model_name_or_path=embedded:smollm2-135m-instruct",
        "dtype=float32",
        "vllm.temperature=0.6",
        "vllm.max_length=1024",
        "vllm.number_of_gpus_per_instance=1",
        "vllm.max_number_of_instances=1",
    )
    done = subprocess.run(
        [
            sys.executable,
            "train_rl.py",
            "--config-name=smollm2",
            *SHORT,
            *(f"judge_model.{setting}" for setting in judge),
            *(
                f"generation.judges_rules_prompts_paths.{rule}=prompt_templates/judges/{rule}.txt"
                for rule in RULES
            ),
            "+generation.judges_rules_prompts_paths.matched=matcher",
            f"logging.save_dir={tmp_path}",
            "run_name=run",
        ],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    logs = sorted(path.name for path in (tmp_path / "run").rglob("*.log"))
    assert len(logs) == 3, logs  # the run's own, an engine's, and its import's
    assert check(tmp_path / "run" / "conversations.jsonl") == []
    records = load_run(tmp_path / "run")
    assert len(records) == 2
    verdicts = [v for r in records for rule in RULES for v in r.verdicts[rule]]
    assert len(verdicts) == 2 * 2 * 2
    # every answer keeps to the schema, and what ended in time is a verdict
    assert all(v.raw.startswith('{"reasoning":') and v.attempts == 1 for v in verdicts)
    whole = [v for v in verdicts if v.raw.endswith("}")]
    for rule in RULES:  # each prompt leads to a verdict that can be read
        own = [v for r in records for v in r.verdicts[rule]]
        assert any(v.decision for v in own), [v.raw for v in own]
    for verdict in whole:
        answer = json.loads(verdict.raw)
        assert set(answer) == {"reasoning", "decision"}
        assert verdict.decision in (answer["decision"], None)  # None: its reason says otherwise
    assert "missing verdicts" in said and f"judges agree: {RULES[0]} / " in said
    missing = sum(v.decision is None for v in verdicts)
    print(f"{len(verdicts)} verdicts asked for, {missing} missing")
