"""Real servers, each started for one test: tensor parallel, adapters, a killed parent."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from config.schema import EngineSettings
from src.inference_providers.base import ProviderError, Sampling
from src.vllm.control import EngineDied
from src.vllm.engines import EngineSet
from src.vllm.providers import providers_of
from src.vllm.residency import Residency
from src.vllm.weights import publish, publish_adapter
from tests.src.vllm.small_engines import engine_spec, gap, logprobs_by, transformers_model
from tests.src.vllm.test_engines import IDS
from tests.tiny import save_tiny_model

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = EngineSettings(residency="phase", start_timeout_s=400)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]


async def test_two_tensor_parallel_workers_load_published_weights(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model", tied=False)
    spec = engine_spec("teacher", model, extra_args=(("tensor-parallel-size", "2"),))
    with EngineSet([spec], SETTINGS, tmp_path / "run") as engines:
        engine = engines.engines["teacher"]
        leader = psutil.Process(engine.pid)
        for process in leader.children(recursive=True):
            listening = [c for c in process.net_connections("inet") if c.status == "LISTEN"]
            assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1"}
        providers, residency = providers_of(engines)
        after = transformers_model(engines, "teacher", moved_by=7)
        path = publish(after.state_dict().items(), engines.weights_folder, 3)
        residency.set_weights("teacher", path, 3)
        async with residency.using("teacher"):
            scored = await providers["teacher"].inner.score_tokens(IDS)
            assert gap(scored, logprobs_by(after, IDS)) < 1e-4
            assert len(engine.control.rpc("published_version")) == 2
        await providers["teacher"].close()


async def test_both_instances_of_a_data_parallel_server_take_new_weights(tmp_path: Path) -> None:
    """vLLM shares out the requests; a file that does not fit is refused by both."""
    model = save_tiny_model(tmp_path / "model", tied=False)
    flags = (("data-parallel-size", "2"), ("data-parallel-address", "127.0.0.1"))
    spec = engine_spec("teacher", model, extra_args=flags)
    with EngineSet([spec], SETTINGS, tmp_path / "run") as engines:
        control = engines.engines["teacher"].control
        providers, residency = providers_of(engines)
        after = transformers_model(engines, "teacher", moved_by=7)
        path = publish(after.state_dict().items(), engines.weights_folder, 3)
        residency.set_weights("teacher", path, 3)
        async with residency.using("teacher"):
            ask = providers["teacher"].inner.score_tokens
            scored = await asyncio.gather(*(ask(IDS) for _ in range(16)))
            assert all(gap(each, logprobs_by(after, IDS)) < 1e-4 for each in scored)
        counted = re.findall(r'request_success_total\{engine="(\d)".*\} (\S+)', control.metrics())
        served = {engine for engine, count in counted if float(count)}
        assert served == {"0", "1"}
        with pytest.raises(ProviderError):
            control.load_weights(path, 4)
        await providers["teacher"].close()


async def test_adapters_are_handed_over_without_the_base(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict

    model = save_tiny_model(tmp_path / "model", tied=True)
    spec = engine_spec("teacher", model, lora_rank=4)
    with EngineSet([spec], SETTINGS, tmp_path / "run") as engines:
        providers, residency = providers_of(engines)
        base = transformers_model(engines, "teacher")
        before = logprobs_by(base, IDS)
        config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
        tuned = get_peft_model(base, config)
        for version in (1, 2):
            with torch.no_grad():
                for name, parameter in tuned.named_parameters():
                    if "lora_" in name:
                        parameter.normal_(std=0.3)
            folder = publish_adapter(
                get_peft_model_state_dict(tuned).items(),
                tuned.peft_config["default"].to_dict(),
                engines.weights_folder,
                version,
            )
            residency.set_weights("teacher", folder, version)
            await providers["teacher"].complete_tokens(
                IDS, Sampling(temperature=0.0, max_tokens=1)
            )  # wakes it
            served = residency.served_model("teacher")
            assert served == f"teacher-adapter-{version}"
            scored = await providers["teacher"].inner.score_tokens(IDS, served)
            assert gap(scored, logprobs_by(tuned, IDS)) < 1e-3
            assert gap(scored, before) > 0.1
            residency.rest()
        stale = providers["teacher"].inner
        engines.engines["teacher"].control.wake()
        with pytest.raises(ProviderError, match="teacher-adapter-1"):
            await stale.score_tokens(IDS, "teacher-adapter-1")
        await providers["teacher"].close()


async def test_a_killed_engine_is_restarted_and_the_lost_turns_asked_again(tmp_path: Path) -> None:
    """SIGKILL in the middle of a rollout: the same tokens as of a rollout without it, from the
    published weights, and from an attached process's point of view too.  Then in the middle of a
    load of new weights."""
    model = save_tiny_model(tmp_path / "model", tied=True)
    settings = replace(SETTINGS, on_engine_death="restart")
    specs = [engine_spec(role, model) for role in ("teacher", "student")]
    with EngineSet(specs, settings, tmp_path / "run") as engines:
        attached = EngineSet.attach(engines.manifest)
        providers, residency = providers_of(attached)
        after = transformers_model(engines, "teacher", moved_by=7)
        path = publish(after.state_dict().items(), engines.weights_folder, 3)
        residency.set_weights("teacher", path, 3)

        async def rollout() -> list[tuple[int, ...]]:
            asked = [
                providers["teacher"].complete_tokens(
                    IDS, Sampling(temperature=0.8, max_tokens=300, seed=seed, logprobs=True)
                )
                for seed in range(8)
            ]
            return [tuple(answer.token_ids or ()) for answer in await asyncio.gather(*asked)]

        async def owner() -> None:  # what the launcher does beside the training
            while True:
                try:
                    engines.check()
                except EngineDied as death:
                    await asyncio.to_thread(engines.restart, death.name)
                await asyncio.sleep(0.2)

        whole = await residency.guarded(rollout())
        watching = asyncio.create_task(owner())
        first = engines.engines["teacher"].pid
        lost = asyncio.create_task(residency.guarded(rollout()))
        await asyncio.sleep(0.3)
        assert not lost.done()
        for process in psutil.Process(first).children(recursive=True):
            process.send_signal(signal.SIGKILL)
        assert await lost == whole
        assert attached.engines["teacher"].pid == engines.engines["teacher"].pid != first
        scored = await providers["teacher"].inner.score_tokens(IDS)
        assert gap(scored, logprobs_by(after, IDS)) < 1e-4
        await _killed_in_a_load(engines, residency)
        scored = await providers["student"].inner.score_tokens(IDS)
        assert gap(scored, logprobs_by(transformers_model(engines, "student", 9), IDS)) < 1e-4
        # once: the second death is the end
        again = asyncio.create_task(residency.guarded(asyncio.sleep(3600)))
        watching.cancel()
        os.killpg(engines.engines["teacher"].pid, signal.SIGKILL)
        with pytest.raises(EngineDied, match="died"):
            async with asyncio.timeout(60):
                await again
        for provider in providers.values():
            await provider.close()


async def _killed_in_a_load(engines: EngineSet, residency: Residency) -> None:
    """The student's engine is stopped before it is told of new weights, and killed after."""
    folder = engines.weights_folder / "student"
    folder.mkdir()
    weights = transformers_model(engines, "student", moved_by=9).state_dict()
    path = publish(weights.items(), folder, 3)
    processes = psutil.Process(engines.engines["student"].pid).children(recursive=True)
    for process in processes:
        process.suspend()
    loading = asyncio.create_task(asyncio.to_thread(residency.set_weights, "student", path, 3))
    await asyncio.sleep(0.5)
    assert not loading.done() and "student" in residency.awake()
    for process in processes:
        process.kill()
    await loading


PARENT = """
import sys, time
from pathlib import Path
from config.schema import EngineSettings
from src.vllm.engines import EngineSet
from tests.src.vllm.small_engines import engine_spec
with EngineSet([engine_spec("teacher", Path(sys.argv[1]))], EngineSettings(), Path(sys.argv[2])):
    time.sleep(600)
"""


def test_a_killed_owner_leaves_no_server_no_socket_and_no_weights(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(model), str(tmp_path / "run")], cwd=ROOT
    )
    manifest = tmp_path / "run" / "engines" / "manifest.json"
    _until(lambda: manifest.exists() or parent.poll() is not None, 400)
    data = json.loads(manifest.read_text())
    leader = psutil.Process(data["engines"][0]["pid"])
    processes = [leader, *leader.children(recursive=True)]
    assert len(processes) >= 3
    folders = [Path(data["weights_folder"]), Path(data["engines"][0]["socket"]).parent]
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _until(lambda: not any(p.is_running() and p.status() != "zombie" for p in processes), 60)
    _until(lambda: not any(folder.exists() for folder in folders), 10)
    assert not any(p.is_running() and p.status() != "zombie" for p in processes)
    assert not any(folder.exists() for folder in folders)


def _until(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)
