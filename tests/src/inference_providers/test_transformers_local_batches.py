"""Requests that are sampled together: who joins whom, and nobody says anything else for it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import Any

from src.inference_providers.transformers_local import TransformersProvider
from tests.src.inference_providers.local_sampling import (
    HOT,
    TOKENIZER,
    ask_all,
    one_thread,
    prompts,
    provider,
)
from tests.src.inference_providers.tiny import tiny_model

__all__ = ["one_thread", "provider"]  # the fixtures


async def test_a_row_says_the_same_whatever_the_batch(provider: Any) -> None:
    asked = [
        (prompt, replace(HOT, seed=i, temperature=0.3 + i % 3, top_k=(0, 5)[i % 2]))
        for i, prompt in enumerate(prompts(40))
    ]
    together = await ask_all(provider, asked)
    alone = [await provider.complete_tokens(*one) for one in asked[:10]]
    order = random.Random(1).sample(range(40), 40)
    shuffled = await ask_all(provider, [asked[i] for i in order])
    for i, one in enumerate(alone):
        assert one.token_ids == together[i].token_ids
    for i, one in zip(order, shuffled, strict=True):
        assert one.token_ids == together[i].token_ids


async def test_requests_that_come_together_run_together(monkeypatch: Any, provider: Any) -> None:
    sizes: list[int] = []
    run = provider._run
    monkeypatch.setattr(provider, "_run", lambda batch: (sizes.append(len(batch)), run(batch)))
    await ask_all(provider, [(p, HOT) for p in prompts(30)])
    assert sizes == [30]
    await ask_all(provider, [(p, HOT) for p in prompts(130)])
    assert sizes == [30, 64, 64, 2]
    provider._max_tokens = 10 * 72  # ten rows of at most 60 + 12 tokens
    await ask_all(provider, [([1] * 60, HOT)] * 25)
    assert sizes[4:] == [10, 10, 5]


async def test_what_arrives_while_a_batch_runs_forms_the_next_one(
    monkeypatch: Any, provider: Any
) -> None:
    sizes: list[int] = []
    run = provider._run
    monkeypatch.setattr(provider, "_run", lambda batch: (sizes.append(len(batch)), run(batch)))
    with provider._busy:  # the first batch waits at the model's door
        first = asyncio.create_task(provider.complete_tokens([1], HOT))
        while not sizes:
            await asyncio.sleep(0.001)
        later = []
        for i in range(5):
            later.append(asyncio.create_task(provider.complete_tokens([i], HOT)))
            await asyncio.sleep(0.001)
    await asyncio.gather(first, *later)
    assert sizes == [1, 5]


async def test_a_prompt_that_rows_share_is_read_once(provider: Any) -> None:
    shapes: list[tuple[int, ...]] = []
    provider.model.register_forward_pre_hook(
        lambda _module, _args, more: shapes.append(tuple(more["input_ids"].shape)),
        with_kwargs=True,
    )
    asked = [([7] * n, replace(HOT, seed=s, max_tokens=2 + s)) for n in (3, 9) for s in range(8)]
    together = await ask_all(provider, asked)
    assert shapes[0] == (2, 9) and shapes[1] == (16, 1)
    # rows that have ended leave together, when they are a quarter
    assert [rows for rows, _ in shapes[1:]] == [16, 16, 12, 12, 8, 6, 4, 2][: len(shapes) - 1]
    for (prompt, sampling), answer in zip(asked, together, strict=True):
        alone = await provider.complete_tokens(prompt, sampling)
        assert alone.token_ids == answer.token_ids
        assert len(alone.token_ids) == sampling.max_tokens


async def test_models_of_one_process_take_turns(monkeypatch: Any, provider: Any) -> None:
    other = TransformersProvider(tiny_model(), TOKENIZER, name="other")
    begun: list[str] = []
    for one in (provider, other):
        run = one._run
        monkeypatch.setattr(
            one,
            "_run",
            lambda batch, run=run, name=one.name: (
                begun.append(f"{name} {len(batch)}"),
                run(batch),
            ),
        )
    with provider._busy:  # it is its turn, and takes long
        first = asyncio.create_task(provider.complete_tokens([1], HOT))
        while not begun:
            await asyncio.sleep(0.001)
        later = []
        for i in range(5):
            later.append(asyncio.create_task(other.complete_tokens([i], HOT)))
            await asyncio.sleep(0.001)
    await asyncio.gather(first, *later)
    assert begun == ["tiny 1", "other 5"]
    await other.close()
