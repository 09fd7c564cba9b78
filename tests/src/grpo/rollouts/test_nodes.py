"""ZeRO-3 over two nodes: network namespaces with nothing but a cable between them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.src.grpo.test_trainer import ROOT, SCRIPT, update
from tests.tiny import save_tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NODES = ("tutor-a", "tutor-b")


def ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)


@pytest.fixture
def two_nodes() -> Iterator[tuple[str, str]]:
    """Two namespaces, 10.77.0.1 and .2, each end of the cable called `node`."""
    if shutil.which("ip") is None:
        pytest.skip("needs iproute2's ip")
    names = [f"{name}-{os.getpid()}" for name in NODES]
    made = [ip("netns", "add", name) for name in names]
    if any(done.returncode for done in made):
        pytest.skip(f"network namespaces need root: {made[0].stderr.strip()}")
    try:
        one, other = names
        cable = ("link", "add", "node", "netns", one, "type", "veth")
        assert ip(*cable, "peer", "name", "node", "netns", other).returncode == 0
        for number, name in enumerate(names, 1):
            for command in (
                ("addr", "add", f"10.77.0.{number}/24", "dev", "node"),
                ("link", "set", "node", "up"),
                ("link", "set", "lo", "up"),
            ):
                assert ip("-n", name, *command).returncode == 0
        yield one, other
    finally:
        for name in names:
            ip("netns", "del", name)


def test_the_updates_are_those_of_one_node(two_nodes: tuple[str, str], tmp_path: Path) -> None:
    """Each node holds its share of the conversations; weights and gradients cross the cable."""
    model, out = save_tiny_model(tmp_path / "model"), tmp_path / "two"
    out.mkdir()
    flags = ["--config_file", "config/deepspeed/zero3_cpu.yaml", "--num_machines", "2"]
    flags += ["--num_processes", "2", "--main_process_ip", "10.77.0.1"]
    flags += ["--main_process_port", "29517"]
    environment = os.environ | {
        "DS_ACCELERATOR": "cpu",
        "OMP_NUM_THREADS": "1",
        "TRL_EXPERIMENTAL_SILENCE": "1",
        "WANDB_MODE": "disabled",
        "GLOO_SOCKET_IFNAME": "node",
    }
    launch = [sys.executable, "-m", "accelerate.commands.launch", *flags]
    nodes = [
        subprocess.Popen(
            [
                *("ip", "netns", "exec", name, *launch, "--machine_rank", str(rank)),
                *(SCRIPT, str(model), str(out), "2"),
            ],
            cwd=ROOT,
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, name in enumerate(two_nodes)
    ]
    said = [node.communicate(timeout=400)[1] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], said[0][-2000:] + said[1][-2000:]
    two = json.loads((out / "losses.json").read_text())
    one = update(model, tmp_path / "one", ranks=0, micro=4)
    for a, b in zip(one, two, strict=True):
        for name in ("loss", "grad_norm"):
            assert a[name] == pytest.approx(b[name], rel=1e-4, abs=1e-5), name
