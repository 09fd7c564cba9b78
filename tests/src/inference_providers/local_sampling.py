"""A tiny model that is asked in this process, and what plain transformers says of its answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from src.inference_providers.base import Completion, Sampling
from src.inference_providers.transformers_local import TransformersProvider
from tests.src.inference_providers.tiny import byte_tokenizer, tiny_model

HOT = Sampling(temperature=1.0, max_tokens=12, seed=1, logprobs=True)
GREEDY = replace(HOT, temperature=0.0)
TOKENIZER = byte_tokenizer()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Beside the worker, the plain passes of these tests gain nothing from more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
async def provider() -> AsyncIterator[TransformersProvider]:
    made = TransformersProvider(tiny_model(), TOKENIZER, name="tiny")
    yield made
    await made.close()


def prompts(n: int, seed: int = 0) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randrange(250) for _ in range(rng.randint(1, 60))] for _ in range(n)]


async def ask_all(
    provider: TransformersProvider, asked: Sequence[tuple[list[int], Sampling]]
) -> list[Completion]:
    return list(await asyncio.gather(*(provider.complete_tokens(p, s) for p, s in asked)))


def plain_logprobs(model: Any, prompt: list[int], ids: Sequence[int], temperature: float) -> Any:
    """[tokens, vocabulary] by one forward pass over the whole row."""
    with torch.no_grad():
        logits = model(torch.tensor([[*prompt, *ids]])).logits[0, len(prompt) - 1 : -1]
    return (logits / temperature).log_softmax(-1)
