"""Several samples of one prompt: the same whether they are one request or several."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from src.dialog.views.open_view import open_view
from src.dialog.views.participants import Participant
from src.dialog.views.view import Ending
from src.inference_providers.base import Completion, Sampling
from tests.src.tokens import template_families as families
from utils.seeding import keyed_seed, sample_seeds

BOX = Ending(text=" So: \\boxed{", is_missing=lambda text: "even" in text)  # of even seeds


class OneByOne:
    """Says a word for each seed, and keeps the seeds of which request."""

    name, gives_tokens = "scripted", True

    def __init__(self) -> None:
        self.requests: list[list[int]] = []

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        assert sampling.seed is not None
        self.requests.append([sampling.seed])
        return self.said(sampling.seed)

    def said(self, seed: int) -> Completion:
        text = f"{seed} {'odd' if seed % 2 else 'even'}"
        return Completion(text=text, stop_reason="stop", token_ids=(65,), completion_tokens=1)


class Together(OneByOne):
    async def complete_samples(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        assert sampling.seed is not None
        seeds = list(range(sampling.seed, sampling.seed + n))
        self.requests.append(seeds)
        return [self.said(seed) for seed in seeds]


def solutions(provider: OneByOne, n: int, ending: Ending | None = None) -> list[Completion]:
    student = Participant(
        role="student",
        provider=provider,  # type: ignore[arg-type]
        context_length=10**6,
        temperature=1.0,
        renderer=families.family("qwen2_5")[1],
    )
    view = open_view(student, [{"role": "user", "content": "What is 7 x 8?"}])
    return asyncio.run(view.aside("Solve it.", n=n, max_tokens=5, seed=3, ending=ending))


@pytest.mark.parametrize("ending", [None, BOX])
def test_one_request_and_several_give_the_same(ending: Ending | None) -> None:
    one, several = Together(), OneByOne()
    assert solutions(one, 4, ending) == solutions(several, 4, ending)
    first = sample_seeds(3, 4)
    assert one.requests[0] == first
    assert several.requests[:4] == [[seed] for seed in first]
    # each goes on from its own words, with its own seed
    ended = [[seed] for seed in first if seed % 2 == 0] if ending else []
    assert one.requests[1:] == several.requests[4:] == ended


def test_one_sample_is_an_ordinary_request_with_the_seed_that_it_always_had() -> None:
    provider = Together()
    solutions(provider, 1)
    assert provider.requests == [[keyed_seed(3, 0)]]


@pytest.mark.parametrize("n", [1, 8, 64])
def test_seeds_fit_in_31_bits_and_are_one_after_the_other(n: int) -> None:
    for seed in range(200):
        seeds = sample_seeds(seed, n)
        assert seeds == list(range(seeds[0], seeds[0] + n))
        assert 0 <= seeds[0] and seeds[-1] < 2**31
