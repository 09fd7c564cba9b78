"""The chat client against a real vLLM server on a Unix socket."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from src.inference_providers.base import ChatMessage, GaveUp, ProviderError, Sampling
from src.inference_providers.openai_compatible import OpenAICompatibleProvider
from tests.src.inference_providers.tiny import save_checkpoint

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

KEY = "sk-local-9f8e7d6c5b4a"
CHAT: list[ChatMessage] = [{"role": "user", "content": "What is 2+2?"}]
START_DEADLINE_S = 240


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    """A server of a tiny random model that wants a key; its process group is stopped at the end."""
    with tempfile.TemporaryDirectory() as folder:  # a socket's path must be short
        socket = Path(folder) / "v.sock"
        checkpoint = save_checkpoint(Path(folder) / "model")
        log = Path(folder) / "log"
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server",
            "--model", str(checkpoint), "--served-model-name", "tiny", "--uds", str(socket),
            "--dtype", "float32", "--max-model-len", "512", "--max-num-seqs", "32",
            "--generation-config", "vllm", "--distributed-executor-backend", "uni",
        ]  # fmt: skip
        environment = os.environ | {
            "VLLM_API_KEY": KEY,
            "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
            "VLLM_CPU_KVCACHE_SPACE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
        }
        with log.open("w") as output:
            server = subprocess.Popen(
                command, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        try:
            _wait(server, socket, log)
            yield f"unix://{socket}"
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait(server: subprocess.Popen[bytes], socket: Path, log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    ask = ["curl", "-sf", "--unix-socket", str(socket), "http://localhost/health"]
    while subprocess.run(ask, capture_output=True).returncode:
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.5)


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_KEY", KEY)


def provider(base_url: str, model: str = "tiny", **changes: Any) -> OpenAICompatibleProvider:
    return OpenAICompatibleProvider(model, base_url=base_url, api_key_env="LOCAL_KEY", **changes)


async def test_many_independent_samples(base_url: str, key: None) -> None:
    model = provider(base_url, max_concurrent=16)
    samplings = [Sampling(temperature=1.0, max_tokens=16, seed=s, top_k=50) for s in range(48)]
    answers = await asyncio.gather(*(model.complete_messages(CHAT, s) for s in samplings))
    assert len({a.text for a in answers}) > 24
    assert {a.completion_tokens for a in answers if a.stop_reason == "length"} == {16}
    # "<|im_start|>user\n…<|im_end|>\n<|im_start|>assistant\n", a token a byte
    assert {a.prompt_tokens for a in answers} == {1 + 5 + len("What is 2+2?") + 2 + 1 + 10}
    again = await model.complete_messages(CHAT, samplings[7])
    assert again.text == answers[7].text
    assert model.notes == [] and model.budget.requests == 49
    await model.close()


async def test_a_schema_binds_the_answer(base_url: str, key: None) -> None:
    schema = {
        "type": "object",
        "properties": {"decision": {"enum": ["OK", "REJECT"]}},
        "required": ["decision"],
        "additionalProperties": False,
    }
    model = provider(base_url)
    answers = await asyncio.gather(
        *(
            model.complete_messages(
                CHAT, Sampling(temperature=1.0, max_tokens=200, seed=s, json_schema=schema)
            )
            for s in range(8)
        )
    )
    await model.close()
    whole = [json.loads(a.text) for a in answers if a.stop_reason == "stop"]
    assert whole and all(v["decision"] in ("OK", "REJECT") for v in whole)
    assert model.notes == []


async def test_a_model_that_is_not_there_is_named(base_url: str, key: None) -> None:
    model = provider(base_url, "huge")
    with pytest.raises(ProviderError, match="huge: 404"):
        await model.complete_messages(CHAT, Sampling(temperature=1.0, max_tokens=4))
    assert model.budget.requests == 1
    await model.close()


async def test_a_wrong_key_names_the_variable(
    base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCAL_KEY", "sk-wrong")
    model = provider(base_url)
    with pytest.raises(ProviderError, match=r"401.*LOCAL_KEY") as caught:
        await model.complete_messages(CHAT, Sampling(temperature=1.0, max_tokens=4))
    assert "sk-wrong" not in str(caught.value) and model.budget.requests == 1
    await model.close()


async def test_a_prompt_that_is_too_long_loses_one_conversation(base_url: str, key: None) -> None:
    model = provider(base_url)
    long: list[ChatMessage] = [{"role": "user", "content": "x" * 600}]
    with pytest.raises(GaveUp, match="tiny: 400"):
        await model.complete_messages(long, Sampling(temperature=1.0, max_tokens=4))
    assert model.budget.requests == 1
    await model.close()
