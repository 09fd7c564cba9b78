"""The scripted provider: repeatable whatever happens around it."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.inference_providers.base import ChatMessage, GaveUp, Sampling
from src.inference_providers.scripted import Ask, ByteCodec, Latency, ScriptedProvider

SAMPLING = Sampling(temperature=1.0, max_tokens=64, stop_token_ids=(256,), logprobs=True)
CHAT: list[ChatMessage] = [{"role": "user", "content": "2+2?"}]


def requests(n: int) -> list[tuple[list[int], Sampling]]:
    return [
        ([65 + i % 20], Sampling(temperature=1.0, max_tokens=64, seed=i, logprobs=True))
        for i in range(n)
    ]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 5), st.randoms(use_true_random=False))
def test_answers_do_not_depend_on_order_or_concurrency(slots: int, rng: random.Random) -> None:
    async def run(order: list[int], slots: int, latency: Latency | None) -> dict[int, object]:
        provider = ScriptedProvider(seed=3, slots=slots, latency=latency)
        asked = requests(12)
        answers = await asyncio.gather(*(provider.complete_tokens(*asked[i]) for i in order))
        assert len(provider.calls) == 12
        return dict(zip(order, answers, strict=True))

    order = list(range(12))
    plain = asyncio.run(run(order, 0, None))
    shuffled = rng.sample(order, 12)
    assert asyncio.run(run(shuffled, slots, Latency(median_s=0.0005))) == plain
    assert len({answer.text for answer in plain.values()}) == 12  # type: ignore[attr-defined]


def test_answers_do_not_depend_on_the_process() -> None:
    code = (
        "import asyncio; from src.inference_providers.scripted import *; "
        "from src.inference_providers.base import Sampling; "
        "s = Sampling(temperature=1.0, max_tokens=50, seed=1); "
        "print(asyncio.run(ScriptedProvider().complete_tokens([65], s)).text)"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(texts) == 1


async def test_tokens_end_with_the_stop_token_or_are_cut() -> None:
    provider = ScriptedProvider(lambda ask: "four")
    done = await provider.complete_tokens(list(b"2+2?"), SAMPLING)
    assert done.token_ids == (*b"four", 256) and done.text == "four"
    assert done.stop_reason == "stop"
    assert done.logprobs is not None and len(done.logprobs) == 5 and max(done.logprobs) < 0
    assert (done.prompt_tokens, done.completion_tokens) == (4, 5)
    short = Sampling(temperature=1.0, max_tokens=4, stop_token_ids=(256,))
    cut = await provider.complete_tokens(list(b"2+2?"), short)
    assert (cut.token_ids, cut.text, cut.stop_reason) == (tuple(b"four"), "four", "length")
    assert cut.logprobs is None


async def test_the_answer_function_sees_the_request() -> None:
    def answer(ask: Ask) -> str:
        return f"{ask.text}|{ask.sampling.seed}|{ask.messages is not None}"

    provider = ScriptedProvider(answer)
    by_ids = await provider.complete_tokens(list(b"hi"), SAMPLING)
    assert by_ids.text == "hi|None|False"
    by_chat = await provider.complete_messages(CHAT, SAMPLING)
    assert by_chat.text == "2+2?|None|True" and by_chat.token_ids is None
    assert provider.calls[1].messages == tuple(CHAT)
    await provider.close()


async def test_what_the_answer_function_raises_reaches_the_caller() -> None:
    def answer(ask: Ask) -> str:
        raise GaveUp("broken on purpose")

    with pytest.raises(GaveUp, match="on purpose"):
        await ScriptedProvider(answer, slots=1).complete_messages(CHAT, SAMPLING)


async def test_slots_bound_the_calls_served_at_a_time() -> None:
    provider = ScriptedProvider(slots=3, latency=Latency(median_s=0.001))
    assert provider._limit is not None
    tasks = [asyncio.create_task(provider.complete_messages(CHAT, SAMPLING)) for _ in range(10)]
    await asyncio.sleep(0.0005)
    assert provider._limit.in_flight == 3
    await asyncio.gather(*tasks)


@given(st.text())
def test_the_byte_codec_gives_back_what_it_was_given(text: str) -> None:
    codec = ByteCodec()
    try:
        ids = codec.encode(text)
    except UnicodeEncodeError:  # half a surrogate pair is no text
        return
    assert codec.decode([*ids, 256, 300]) == text
