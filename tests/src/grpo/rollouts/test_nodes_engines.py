"""Two nodes as a user starts them, each with vLLM engines of its own, ZeRO-3 across the cable."""

from __future__ import annotations

import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.src.grpo.rollouts.test_nodes import two_nodes
from tests.tiny import save_tiny_model
from tests.train_runs import COIN, environment, launcher, run
from utils.records import ConversationRecord, read
from utils.runs.folder import read_metrics

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
__all__ = ["two_nodes"]

STEPS = ("train.max_steps=4", "train.learning_rate=0.0001", COIN)
# a line in an engine's log for each request
LOGGED = [
    f"+{role}_model.vllm.extra_args.enable-log-requests=''" for role in ("teacher", "student")
]


def crossing(node: str) -> set[str]:
    """The command lines of a node's processes that hold a connection over the cable."""
    said = subprocess.run(
        ["ip", "netns", "exec", node, "ss", "-tnpH", "dst", "10.77.0.0/24"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = set()
    for pid in re.findall(r"pid=(\d+)", said):
        try:
            found.add(" ".join(psutil.Process(int(pid)).cmdline()))
        except psutil.NoSuchProcess:
            continue
    return found


def train_on(nodes: tuple[str, str], model: Path, runs: Path) -> set[str]:
    """Train on both nodes; what talked over the cable meanwhile."""
    flags = ["--config_file", "config/deepspeed/zero3_cpu.yaml", "--num_machines", "2"]
    flags += ["--num_processes", "2", "--main_process_ip", "10.77.0.1"]
    flags += ["--main_process_port", "29519"]
    typed = launcher(model, runs, *flags, *STEPS, *LOGGED)
    started = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *typed, "--machine_rank", str(rank)],
            cwd=ROOT,
            env=environment() | {"GLOO_SOCKET_IFNAME": "node"},
            stdout=(runs / f"said{rank}").open("w"),
            stderr=subprocess.STDOUT,
        )
        for rank, name in enumerate(nodes)
    ]
    talked: set[str] = set()
    while any(process.poll() is None for process in started):
        if any(process.poll() for process in started):  # the other would wait for it
            for process in started:
                process.terminate()
        talked |= set().union(*map(crossing, nodes))
        time.sleep(0.5)
    said = [(runs / f"said{rank}").read_text()[-3000:] for rank in (0, 1)]
    assert [process.returncode for process in started] == [0, 0], said
    return talked


def told(records: list[ConversationRecord]) -> dict[object, list[str]]:
    return {record.key: [m.content for m in record.messages] for record in records}


def requests(log: Path) -> int:
    return len(re.findall(r"Received request", log.read_text()))


def test_each_node_s_engines_hold_its_share(two_nodes: tuple[str, str], tmp_path: Path) -> None:
    """The same conversations and updates as on one node; a node asks its own engines and no
    others, and nothing but the trainers' ranks talks over the cable."""
    model = save_tiny_model(tmp_path / "model")
    (tmp_path / "two").mkdir()
    talked = train_on(two_nodes, model, tmp_path / "two")
    run(launcher(model, tmp_path / "one", *STEPS, *LOGGED), timeout=600)
    one, two = tmp_path / "one" / "run", tmp_path / "two" / "run"

    files = (one / "conversations.jsonl", two / "conversations.jsonl")
    whole, first = (list(read(file)) for file in files)
    second = list(read(two / "conversations.node1.jsonl"))
    assert len(first) == len(second) == len(whole) / 2 == 8
    assert told(first) | told(second) == told(whole)
    losses, expected = ([r for r in read_metrics(f) if "loss" in r] for f in (two, one))
    assert len(losses) == len(expected) == 4
    for a, b in zip(losses, expected, strict=True):
        for name in ("loss", "grad_norm"):
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-5), name
    assert len({row["loss"] for row in losses}) == 4

    nodes = (first, two / "engines"), (second, two / "engines" / "node1")
    for records, folder in nodes:
        turns = Counter(m.role for record in records for m in record.messages)
        assert requests(folder / "teacher.log") >= turns["teacher"] > 0, folder
        assert requests(folder / "student.log") > turns["student"] > 0, folder
    for role in ("teacher", "student"):  # together they asked what one node asks, nothing twice
        asked = [requests(folder / f"{role}.log") for _, folder in nodes]
        assert sum(asked) == requests(one / "engines" / f"{role}.log"), role
    assert talked and all("train_rl.py" in line for line in talked), talked
