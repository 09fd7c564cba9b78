"""Training runs as a user starts them, on tiny random models: started, killed, and read back."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from config.schema import GenerationSettings, RewardModelSettings
from tests.conftest import ROOT
from tests.tiny import MARKERS, save_tiny_model
from utils.records import ConversationRecord, check, load_run
from utils.rewards import RewardSettings, rewards
from utils.runs.folder import read_metrics
from utils.verdicts.judging import Verdict

IN_PROCESS = ("engines.backend=transformers",)
TEMPERATURE = 0.7
EVALUATES = ("train.eval_steps=2", "dataset.max_val_examples=3")
SMALL = (
    "--config-name=smollm2",
    "generation.max_tokens_in_conversation=1700",
    "generation.max_tokens_per_turn=12",
    "generation.max_tokens_per_student_attempt=12",
    "generation.number_student_attempts=2",
    "generation.number_initial_attempts=1",
    f"teacher_model.vllm.temperature={TEMPERATURE}",
    "teacher_model.vllm.max_length=2048",
    "student_model.vllm.max_length=2048",
    "train.number_of_problems_per_batch=2",
    "train.mu=2",
    "train.learning_rate=0.003",
    "dataset.max_train_examples=12",
    "logging.save_steps=2",
)
BRIEF = (  # a real model's update takes minutes otherwise
    "generation.max_turns=3",
    "generation.max_tokens_per_turn=8",
    "generation.max_tokens_per_student_attempt=8",
    "generation.number_student_attempts=2",
    "generation.number_initial_attempts=0",
)
# Random models solve nothing: rewards that differ come from a rule that rejects at random.
COIN = "+generation.judges_rules_prompts_paths.coin=tests.train_runs:coin"


def coin(problem: str, answer: str, turns: Sequence[tuple[str, str]]) -> Verdict:
    heads = sum(map(ord, "".join(text for _, text in turns))) % 2
    return Verdict(decision="OK" if heads else "REJECT", reasoning="a coin")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


def command(start: list[str], model: Path, runs: Path, *more: str) -> list[str]:
    return [
        *start,
        *SMALL,
        f"teacher_model.model_name_or_path={model}",
        f"student_model.model_name_or_path={model}",
        f"logging.save_dir={runs}",
        "run_name=run",
        *more,
    ]


def python(model: Path, runs: Path, *more: str) -> list[str]:
    return command([sys.executable, "train_rl.py"], model, runs, *IN_PROCESS, *more)


def launcher(model: Path, runs: Path, *more: str) -> list[str]:
    return command(["./start_rl_training.sh"], model, runs, *more)


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PATH": _with_python(), "COLUMNS": "160"}


def _with_python() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(arguments: list[str], *, timeout: float = 250, code: int = 0, **more: str) -> str:
    done = subprocess.run(
        arguments,
        cwd=ROOT,
        env=environment() | more,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    said = done.stdout + done.stderr
    assert done.returncode == code, said[-6000:]
    return said


def check_record(folder: Path, model: Path, conversations: int) -> list[ConversationRecord]:
    """Every conversation is there; rewards and tokens can be computed again from the record."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    assert check(folder / "conversations.jsonl") == []
    records = load_run(folder)
    assert len(records) == conversations
    settings = RewardSettings.of(
        GenerationSettings(extra_penalty_for_rejected_judges=0.75), RewardModelSettings()
    )
    for record in records:
        assert rewards(record, settings) == pytest.approx(record.rewards)
        row = record.trajectory
        assert row is not None
        assert len(row.completion_ids) == len(row.mask) == len(row.logprobs)
        turns, current = [], []
        for token, mask in [*zip(row.completion_ids, row.mask, strict=True), (0, 0)]:
            if mask:
                current.append(token)
            elif current:
                turns.append(tokenizer.decode(current, skip_special_tokens=True))
                current = []
        told = [m.content for m in record.messages if m.role == "teacher"]
        for special in MARKERS:  # engines keep those that end no turn
            told = [text.replace(special, "") for text in told]
        # an engine holds back the bytes of a character that was cut off at the token limit
        assert [t.rstrip("\ufffd") for t in turns] == [t.rstrip("\ufffd") for t in told]
    return records


def rollout_rows(folder: Path) -> list[dict[str, Any]]:
    return [row for row in read_metrics(folder) if "reward" in row]


def held_out(folder: Path) -> dict[int, list[ConversationRecord]]:
    """The evaluations of a run by step, each in order of problems."""
    found: dict[int, list[ConversationRecord]] = {}
    for record in sorted(load_run(folder), key=lambda r: r.key):
        if record.split == "eval":
            found.setdefault(record.step, []).append(record)
    return found


def sampled_by(model: Path, record: ConversationRecord) -> bool:
    """Whether the tutor's recorded logprobs are those of these weights."""
    import torch
    from transformers import AutoModelForCausalLM

    row = record.trajectory
    assert row is not None
    ids = torch.tensor([[*row.prompt_ids, *row.completion_ids]])
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(ids).logits
    said = (logits[0, len(row.prompt_ids) - 1 : -1] / TEMPERATURE).log_softmax(-1)
    own = [
        abs(said[i, token].item() - logprob)
        for i, (token, logprob) in enumerate(zip(row.completion_ids, row.logprobs, strict=True))
        if logprob is not None
    ]
    return max(own) < 2e-3


def kill_when(arguments: list[str], folder: Path, due: Callable[[], object]) -> None:
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 600  # a first start compiles; a real model takes its time
    while not due():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with (folder / ".lock").open() as lock:  # ranks that outlive their launcher save, and end
        fcntl.flock(lock, fcntl.LOCK_EX)


def kill_after_checkpoint(arguments: list[str], folder: Path, step: int = 2) -> None:
    state = folder / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json"
    kill_when(arguments, folder, state.exists)
