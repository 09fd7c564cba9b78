"""train_rl.py as a user runs it, with tiny random models: what it leaves behind must add up."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from config.schema import GenerationSettings, RewardModelSettings
from tests.tiny import MARKERS, save_tiny_classifier, save_tiny_model
from utils.records import ConversationRecord, check, load_run, read
from utils.rewards import RewardSettings, rewards
from utils.runs.folder import read_metrics
from utils.verdicts.judging import Verdict

ROOT = Path(__file__).resolve().parents[1]
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
# Random models solve nothing: rewards that differ come from a rule that rejects at random.
COIN = "+generation.judges_rules_prompts_paths.coin=tests.test_train_rl:coin"


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


HIDES = """
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in ("vllm", "deepspeed") else find(name, path, target)
PathFinder.find_spec = staticmethod(find_spec)
"""


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


def test_in_one_process_with_evaluation(model: Path, tmp_path: Path) -> None:
    """By one setting, and on a machine that has neither vLLM nor DeepSpeed."""
    (tmp_path / "sitecustomize.py").write_text(HIDES)
    more = [
        "train.max_steps=6",
        "train.eval_steps=1",  # rounded up to mu
        "train.best_metric=rejected_by_odd",
        "dataset.max_val_examples=5",
        "+generation.judges_rules_prompts_paths.odd=tests.rules:odd",
        "logging.save_steps=6",
    ]
    said = run(python(model, tmp_path, *more), PYTHONPATH=str(tmp_path))
    folder = tmp_path / "run"
    assert "reward: total" in said and str(folder) in said
    evaluations = held_out(folder)
    assert list(evaluations) == [0, 2, 4, 6]
    problems = {r.problem_id for r in evaluations[0]}
    assert len(problems) == 4
    assert all({r.problem_id for r in each} == problems for each in evaluations.values())
    assert all(len(r.initial_solutions) for each in evaluations.values() for r in each)
    # each is held with the weights of its step, and stands in the curve
    assert all(sampled_by(folder / "model", r) for r in evaluations[6])
    assert not any(sampled_by(folder / "model", r) for r in evaluations[0])
    assert all(sampled_by(model, r) for r in evaluations[0])
    curve = {row["step"]: row for row in read_metrics(folder) if "eval_turns" in row}
    means = {
        step: sum(r.verdicts["odd"][0].decision == "REJECT" for r in each) / 4
        for step, each in evaluations.items()
    }
    assert {s: row["eval_rejected_by_odd"] for s, row in curve.items()} == pytest.approx(means)
    best = min([2, 4, 6], key=lambda step: means[step])
    assert f"checkpoint-{best} " in said
    kept = {int(p.name.rpartition("-")[2]) for p in folder.glob("checkpoints/checkpoint-*")}
    assert kept == {best, 6}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["rejected_by_odd"]["mean"] == pytest.approx(means[6])
    page = (folder / "report.html").read_text()
    shown = json.loads(page.partition('id="data">')[2].partition("</script>")[0])
    drawn = [c for c in shown["runs"][0]["curves"] if c["from"] == "eval"]
    assert [p[0] for c in drawn if c["name"] == "solve_after" for p in c["points"]] == [0, 2, 4, 6]
    records = check_record(folder, model, 3 * 2 * 4 + 4 * 4)
    assert {r.step for r in records if r.split == "train"} == {0, 2, 4}
    rows = rollout_rows(folder)
    assert len(rows) == 3
    # the sampler is the trained module: its logprobs are the trainer's
    assert all(row["sampling/sampling_logp_difference/max"] < 1e-3 for row in rows)
    assert (folder / "model" / "model.safetensors").is_file()
    assert (folder / "finished").exists()


def test_collecting_trains_nothing(model: Path, tmp_path: Path) -> None:
    run(python(model, tmp_path, "train.collect_only=true", "train.max_steps=2"))
    records = list(read(tmp_path / "run" / "conversations.jsonl"))
    assert len(records) == 2 * 2 * 4
    assert not (tmp_path / "run" / "model").exists()


def test_a_reward_model_scores_the_solutions(model: Path, tmp_path: Path) -> None:
    judge = save_tiny_classifier(tmp_path / "judge")
    more = (f"reward_model.model_name_or_path={judge}", "train.collect_only=true")
    run(python(model, tmp_path, *more, "train.max_steps=1"))
    records = list(read(tmp_path / "run" / "conversations.jsonl"))
    scores = {s.score for r in records for s in r.solutions}
    assert len(scores) > 1 and all(0.0 < score < 1.0 for score in scores)
    for r in records:
        assert r.rewards["solve"] == pytest.approx(fmean(s.score for s in r.solutions))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("generation.extra_penalty_for_rejected_judge=1", "extra_penalty_for_rejected_judges"),
        ("generation.extra_penalty_for_rejected_judges=-1", "generation.extra_penalty_for_rej"),
        ("train.mu=two", "train.mu"),
        ("dataset.train_datasets=[{name_or_path: no/such.jsonl}]", "dataset.train_datasets[0]"),
        ("student_model.model_name_or_path=/no/such/model", "student_model.model_name_or_path"),
        ("reward_model.model_name_or_path=/no/such/model", "reward_model.model_name_or_path"),
        ("generation.teacher_prompt_path=no.txt", "generation.teacher_prompt_path"),
        ("train.number_of_problems_per_batch=900", "train.number_of_problems_per_batch"),
    ],
)
def test_a_wrong_setting_is_one_line(model: Path, tmp_path: Path, wrong: str, words: str) -> None:
    said = run(python(model, tmp_path, wrong), code=2)
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and words in errors[0], said
    assert "Traceback" not in said


def _kill_when(arguments: list[str], folder: Path, due: Callable[[], object]) -> None:
    process = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 250
    while not due():
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    with (folder / ".lock").open() as lock:  # ranks that outlive their launcher save, and end
        fcntl.flock(lock, fcntl.LOCK_EX)


def _kill_after_checkpoint(arguments: list[str], folder: Path, step: int = 2) -> None:
    state = folder / "checkpoints" / f"checkpoint-{step}" / "trainer_state.json"
    _kill_when(arguments, folder, state.exists)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.slow
def test_killed_at_random_points_and_started_again(model: Path, tmp_path: Path) -> None:
    """In conversations, updates, evaluations or checkpoints, wherever the two kills fall: it goes
    on, says so, and ends with the weights and the record of a run never killed."""
    from safetensors.torch import load_file

    seed = int(os.environ.get("KILL_SEED", time.time_ns() % 100_000))
    chance = random.Random(seed)
    # how long the record is when a batch begins, and when its update does
    phases = [(3, "batch"), (11, "update"), (14, "batch"), (22, "update"), (25, "batch"),
              (33, "update")]  # fmt: skip
    first = chance.randrange(3)
    picked = (phases[first], chance.choice(phases[first + 3 :]))
    kills = [(*phase, chance.uniform(0.0, 0.6)) for phase in picked]
    print(f"KILL_SEED={seed}:", *(f"{s:.2f} s into the {w} after {n}" for n, w, s in kills))
    # answers that are computed together differ in the last bits from answers computed alone
    alone = [f"{role}_model.vllm.max_num_seqs=1" for role in ("teacher", "student")]
    steps = ("train.max_steps=6", *EVALUATES, COIN, *alone)
    folder = tmp_path / "killed" / "run"
    arguments = python(model, tmp_path / "killed", *steps)

    def kill(number: int) -> None:
        length, _, pause = kills[number]

        def due() -> bool:
            if found := _lines(folder / "conversations.jsonl") == length:
                time.sleep(pause)
            return found

        _kill_when(arguments, folder, due)

    kill(0)
    changed = run(python(model, tmp_path / "killed", *steps, "train.max_steps=8"), code=2)
    assert "train.max_steps: 6 -> 8" in changed
    kill(1)
    assert "goes on from" in run(arguments)
    run(python(model, tmp_path / "whole", *steps))
    whole = tmp_path / "whole" / "run"
    check_record(folder, model, 3 * 2 * 4 + 4 * 3)
    assert list(held_out(folder)) == [0, 2, 4, 6]
    said, expected_said = (
        [r.model_dump(exclude={"timing"}) for r in sorted(load_run(f), key=lambda r: r.key)]
        for f in (folder, whole)
    )
    assert said == expected_said
    weights, expected = (load_file(f / "model" / "model.safetensors") for f in (folder, whole))
    assert all(weights[name].equal(expected[name]) for name in expected)
    again = run(python(model, tmp_path / "killed", *steps))
    assert "run-2" in again, "a finished run makes the next start another one"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_launcher_with_real_engines_and_two_ranks(model: Path, tmp_path: Path) -> None:
    """vLLM servers, ZeRO-3 on two ranks, weights in place, SIGKILL, and on from the checkpoint."""
    steps = "train.max_steps=6"
    folder = tmp_path / "run"
    _kill_after_checkpoint(launcher(model, tmp_path, steps, COIN), folder)
    said = run(launcher(model, tmp_path, steps, COIN), timeout=600)
    assert "goes on from checkpoint of step" in said
    check_record(folder, model, 3 * 2 * 4)
    rows = rollout_rows(folder)
    assert len(rows) == 3
    # vLLM's logprobs are the trainer's before and after updates that moved the weights a lot
    assert all(row["sampling/sampling_logp_difference/mean"] < 1e-4 for row in rows), rows
    assert max(abs(row.get("kl", 0.0)) for row in read_metrics(folder)) > 1e-3
    assert json.loads((folder / "model" / "config.json").read_text())["model_type"] == "qwen2"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_conversations_while_the_trainer_works(model: Path, tmp_path: Path) -> None:
    """train.overlap on real engines and two ranks, over two epochs, killed and gone on with in the
    second: each batch comes from the weights before those that it is trained on, an evaluation from
    its own; each epoch has every problem once."""
    more = (
        *("train.overlap=true", "engines.residency=always", "train.max_steps=8", *EVALUATES, COIN),
        *("dataset.max_train_examples=4", "logging.save_total_limit=10"),
    )
    folder = tmp_path / "run"
    _kill_after_checkpoint(launcher(model, tmp_path, *more), folder, step=6)
    said = run(launcher(model, tmp_path, *more), timeout=600)
    from_step = int(said.partition("goes on from checkpoint of step ")[2].split()[0])
    held_at_once = {0, from_step}
    weights = {0: model} | {s: folder / "checkpoints" / f"checkpoint-{s}" for s in (2, 4, 6, 8)}
    records = check_record(folder, model, 4 * 2 * 4 + 5 * 3)
    assert list(held_out(folder)) == [0, 2, 4, 6, 8]
    met = Counter((r.step // 4, r.problem_id, r.sample) for r in records if r.split == "train")
    assert len(met) == 2 * 4 * 4 and set(met.values()) == {1}
    for r in records:
        fresh = r.split == "eval" or r.step in held_at_once
        assert sampled_by(weights[r.step if fresh else r.step - 2], r), r.key
        assert fresh or not sampled_by(weights[r.step], r), r.key
    for row in rollout_rows(folder):  # a row is logged after the first step on its batch
        gap = row["sampling/sampling_logp_difference/mean"]
        assert gap < 1e-4 if row["step"] - 1 in held_at_once else gap > 1e-3, row
        assert row["sampling/importance_sampling_ratio/max"] <= 3.0


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_adapters_with_real_engines_and_two_ranks(model: Path, tmp_path: Path) -> None:
    """Only the adapter is trained and handed over: the engine's logprobs are the trainer's before
    and after updates, the KL reference is the tutor without it, and `model` has it merged in."""
    from safetensors.torch import load_file

    lora = ("teacher_model.lora.enable=true", "teacher_model.lora.rank=4")
    small = (
        "train.max_steps=2",
        "train.mu=1",
        "train.learning_rate=0.03",
        "engines.residency=turn",
    )
    run(launcher(model, tmp_path, COIN, *lora, *small), timeout=600)
    folder = tmp_path / "run"
    rows = rollout_rows(folder)
    assert len(rows) == 2
    assert all(row["sampling/sampling_logp_difference/mean"] < 1e-4 for row in rows), rows
    kl = [row.get("kl", 0.0) for row in rows]
    assert abs(kl[0]) < 1e-6 and abs(kl[1]) > 1e-3
    assert (folder / "adapter" / "adapter_model.safetensors").is_file()
    merged = load_file(folder / "model" / "model.safetensors")
    base = load_file(model / "model.safetensors")
    assert merged.keys() == base.keys()
    moved = {name for name in base if not merged[name].equal(base[name])}
    assert {name.split(".")[-2] for name in moved} <= {
        *("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    }
    assert len(moved) > 7


@pytest.mark.slow
def test_a_scheduler_s_signal_saves_what_was_trained(model: Path, tmp_path: Path) -> None:
    """SIGTERM in the middle: the batch at hand is finished and saved, and the run can go on."""
    folder = tmp_path / "run"
    arguments = python(model, tmp_path, "train.max_steps=6", "logging.save_steps=100")
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment(), stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 250
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130, said[-3000:]
    assert "stopping after this batch" in said
    (checkpoint,) = (folder / "checkpoints").glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert step in (2, 4) and max(row["step"] for row in read_metrics(folder)) == step
    said = run(arguments)
    assert f"goes on from checkpoint of step {step}" in said
    check_record(folder, model, 3 * 2 * 4)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB, which can be made larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_nothing_torn(model: Path, small_disk: Path) -> None:
    """The second checkpoint finds no room; with more room the run goes on from the first, which
    was not to go before the second was whole."""
    steps = ("train.max_steps=6", "logging.save_total_limit=1")
    said = run(python(model, small_disk, *steps), code=1)
    errors = [line for line in said.splitlines() if line.startswith("error:")]
    assert len(errors) == 1 and errors[0].startswith("error: logging.save_dir: no room left"), said
    assert "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    said = run(python(model, small_disk, *steps))
    assert "goes on from checkpoint of step 2" in said
    check_record(small_disk / "run", model, 3 * 2 * 4)
