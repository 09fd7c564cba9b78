"""The plan against real processes: SmolLM2-135M on vLLM's CPU engine and under ZeRO-3 on two ranks.

`pytest -s -m slow tests/src/memory_plan/test_plan_measured.py` prints what it finds.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from config.schema import EngineSettings, TrainRLConfig
from src.embedded import resolve_model
from src.inference_providers.base import Sampling
from src.memory_plan.arithmetic import Sharding
from src.memory_plan.parts import Described, Plan, Training, summed
from src.memory_plan.plan import plan_memory
from src.memory_plan.shapes import model_shape
from src.vllm.engines import EngineSet
from src.vllm.providers import providers_of
from src.vllm.server import GIB
from src.vllm.spec import plan_engines
from src.vllm.weights import publish
from tests.src.grpo.measured_update import PIECE_BYTES
from utils.settings.hydra_entry import load_config

ROOT = Path(__file__).resolve().parents[3]
RANKS = 2
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def settings() -> TrainRLConfig:
    return load_config("config/train_rl", TrainRLConfig, "smollm2")


@pytest.fixture(scope="module")
def plan(settings: TrainRLConfig) -> Plan:
    machine = Described(gpus=0, gpu_bytes=0, ram_bytes=24 * GIB)
    training = Training(zero=Sharding(stage=3, ranks=RANKS), local_ranks=RANKS, on_cpu=True)
    return plan_memory(settings, machine, training)


def planned(plan: Plan, phase: int, whose: str) -> dict[str, float]:
    items = summed(plan.phases[phase].ram).items()
    return {what: size for what, size in items if what.startswith(whose)}


def pss_of(leader: int) -> int:
    process = psutil.Process(leader)
    group = [process, *process.children(recursive=True)]
    return sum(each.memory_full_info().pss for each in group)


def compare(what: str, found: float, expected: float) -> None:
    print(f"{what}: {found / GIB:.2f} GiB, planned {expected / GIB:.2f}")
    assert found == pytest.approx(expected, rel=0.1), what


async def test_a_cpu_engine(settings: TrainRLConfig, plan: Plan, tmp_path: Path) -> None:
    """All of a server's processes, after it has served a full batch and taken new weights."""
    import torch
    from transformers import AutoModelForCausalLM

    spec = next(spec for spec in plan_engines(settings) if spec.name == "teacher")
    with EngineSet([spec], EngineSettings(residency="always"), tmp_path) as engines:
        providers, residency = providers_of(engines)
        sampling = [Sampling(max_tokens=8, temperature=1.0, seed=seed) for seed in range(32)]
        prompt = [7 + at % 200 for at in range(600)]
        ask = providers["teacher"].complete_tokens
        await asyncio.gather(*(ask(prompt, each) for each in sampling))
        model = AutoModelForCausalLM.from_pretrained(resolve_model(spec.model), dtype=torch.float32)
        path = publish(model.named_parameters(), engines.weights_folder, 1)
        residency.set_weights("teacher", path, 1)
        found = pss_of(engines.engines["teacher"].pid)
        await providers["teacher"].close()
    sizes = planned(plan, 0, "teacher")
    del sizes["teacher published weights"]
    compare("engine", found, sum(sizes.values()))


@pytest.fixture(scope="module")
def ranks(
    settings: TrainRLConfig, tmp_path_factory: pytest.TempPathFactory
) -> list[dict[str, int]]:
    """What each rank held, in one update on rows of the greatest length."""
    out = tmp_path_factory.mktemp("measured")
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]
    flags = ["config/deepspeed/zero3_cpu.yaml", "--main_process_port", "0"]
    model = resolve_model(settings.teacher_model.model_name_or_path)
    rows = settings.train.per_device_train_batch_size
    tokens = settings.generation.max_tokens_in_conversation
    script = ["tests/src/grpo/measured_update.py", model, str(out), str(rows), str(tokens)]
    variables = {"DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1", "TRL_EXPERIMENTAL_SILENCE": "1"}
    done = subprocess.run(
        [*launch, *flags, *script],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=800,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(RANKS)]


def test_the_trainer_s_ranks(plan: Plan, ranks: list[dict[str, int]]) -> None:
    for phase, name in ((0, "rest"), (-1, "peak")):
        sizes = planned(plan, phase, "trainer")
        found = sum(rank[name] - (rank["shared"] if name == "peak" else 0) for rank in ranks)
        compare(f"trainer, {name}", found, sum(sizes.values()))


def test_the_hand_off_takes_no_second_model(
    settings: TrainRLConfig, ranks: list[dict[str, int]]
) -> None:
    """Beside its shards a rank holds the largest weight twice, and what glibc keeps of the others'
    buffers, which is now more, now less."""
    shape = model_shape(settings.teacher_model.model_name_or_path, "x")
    largest = 4 * shape.vocabulary * shape.hidden  # the embedding; float32
    grown = max(rank["hand_off"] for rank in ranks)
    print(f"hand-off: {grown / GIB:.2f} GiB more at its peak, largest weight {largest / GIB:.2f}")
    assert largest > PIECE_BYTES and grown < shape.weight_bytes("float32")
