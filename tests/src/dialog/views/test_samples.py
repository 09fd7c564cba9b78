"""Several samples of one prompt, as one request and as several: each has a seed of its own."""

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
@pytest.mark.parametrize("provider", [Together(), OneByOne()])
def test_each_goes_on_with_its_own_seed(provider: OneByOne, ending: Ending | None) -> None:
    provider.requests.clear()
    together = isinstance(provider, Together)
    seeds = sample_seeds(3, 4, together=together)
    assert len(solutions(provider, 4, ending)) == 4
    asked = 1 if together else 4
    assert provider.requests[:asked] == ([seeds] if together else [[seed] for seed in seeds])
    # what lacks its end goes on from its own words
    ended = [[seed] for seed in seeds if seed % 2 == 0] if ending else []
    assert provider.requests[asked:] == ended
    assert not ending or ended


@pytest.mark.parametrize("provider", [Together(), OneByOne()])
def test_one_sample_is_an_ordinary_request_with_the_same_seed(provider: OneByOne) -> None:
    solutions(provider, 1)
    assert provider.requests == [[keyed_seed(3, 0)]]


@pytest.mark.parametrize("n", [1, 8, 64])
def test_seeds_fit_in_31_bits_and_stay_what_they_are_for_more_samples(n: int) -> None:
    for seed in range(200):
        assert sample_seeds(seed, n) == [keyed_seed(seed, i) for i in range(n)]
        seeds = sample_seeds(seed, n, together=True)
        assert seeds == list(range(seeds[0], seeds[0] + n))
        assert seeds[0] >= 0 and seeds[-1] < 2**31
    assert sample_seeds(1, 0, together=True) == []
