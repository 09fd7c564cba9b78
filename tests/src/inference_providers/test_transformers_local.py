"""In-process sampling, checked against plain transformers on a tiny random model."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from config.errors import ConfigError
from config.schema import ModelSettings
from src.inference_providers.base import Completion, GaveUp, ProviderError, Sampling
from src.inference_providers.transformers_local import TransformersProvider, load_transformers
from tests.src.inference_providers.local_sampling import (
    GREEDY,
    HOT,
    TOKENIZER,
    ask_all,
    one_thread,
    plain_logprobs,
    prompts,
    provider,
)
from tests.src.inference_providers.tiny import save_checkpoint, tiny_model

__all__ = ["one_thread", "provider"]  # the fixtures


async def test_logprobs_equal_those_of_a_plain_forward_pass(provider: Any) -> None:
    asked = [
        (prompt, replace(HOT, seed=i, temperature=(0.5, 1.0, 1.7)[i % 3], max_tokens=5 + i % 20))
        for i, prompt in enumerate(prompts(24))
    ]
    for (prompt, sampling), answer in zip(asked, await ask_all(provider, asked), strict=True):
        ids = answer.token_ids
        assert ids and answer.logprobs and len(ids) == sampling.max_tokens
        expected = plain_logprobs(provider.model, prompt, ids, sampling.temperature)
        expected = expected.gather(1, torch.tensor(ids)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(answer.logprobs), expected, atol=1e-4, rtol=0)


async def test_greedy_equals_generate(provider: Any) -> None:
    asked = [(prompt, GREEDY) for prompt in prompts(4)]
    for (prompt, _), answer in zip(asked, await ask_all(provider, asked), strict=True):
        ids = torch.tensor([prompt])
        generated = provider.model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=12,
            eos_token_id=None,
        )  # fmt: skip
        assert answer.token_ids == tuple(generated[0, len(prompt) :].tolist())


async def test_seeds_differ_and_no_seed_means_a_fresh_one(provider: Any) -> None:
    prompt = prompts(1)[0]
    seeded = await ask_all(provider, [(prompt, replace(HOT, seed=s)) for s in range(16)])
    assert len({a.token_ids for a in seeded}) == 16
    fresh = await ask_all(provider, [(prompt, replace(HOT, seed=None))] * 16)
    assert len({a.token_ids for a in fresh}) == 16


async def test_the_sampled_distribution_is_the_model_s(provider: Any) -> None:
    """First tokens of 1,500 seeds against the exact probabilities, for each way to narrow."""
    prompt, n = [7, 77, 177], 1500
    provider._max_rows = n
    for narrowed in ({}, {"top_k": 7}, {"top_p": 0.6}, {"top_k": 20, "top_p": 0.9}):
        sampling = Sampling(temperature=1.3, max_tokens=1, logprobs=True, **narrowed)
        answers = await ask_all(provider, [(prompt, replace(sampling, seed=s)) for s in range(n)])
        exact = plain_logprobs(provider.model, prompt, [0], 1.3)[0].exp()
        ranked = exact.argsort(descending=True)
        keep = torch.zeros_like(exact)
        keep[ranked[: narrowed.get("top_k", 288)]] = 1
        exact = exact * keep / (exact * keep).sum()
        before = exact[ranked].cumsum(0) - exact[ranked]
        exact[ranked[before >= narrowed.get("top_p", 1.1)]] = 0
        exact /= exact.sum()
        counts = torch.zeros_like(exact)
        for answer in answers:
            counts[answer.token_ids[0]] += 1
            assert answer.logprobs[0] == pytest.approx(
                exact[answer.token_ids[0]].log().item(), abs=1e-4
            )
        assert counts[exact == 0].sum() == 0
        worst = (
            (counts / n - exact).abs() / (exact * (1 - exact) / n).sqrt().clamp(min=1e-9)
        ).max()
        assert worst < 5, narrowed  # standard errors, the largest of at most 288


async def test_greedy_and_narrowed_rows_do_not_disturb_each_other(provider: Any) -> None:
    prompt = prompts(1)[0]
    mixed = [GREEDY, replace(HOT, top_k=3), replace(HOT, top_p=0.5), HOT, replace(GREEDY, top_k=3)]
    together = await ask_all(provider, [(prompt, s) for s in mixed])
    for sampling, answer in zip(mixed, together, strict=True):
        alone = await provider.complete_tokens(prompt, sampling)
        assert alone.token_ids == answer.token_ids
        assert alone.logprobs == pytest.approx(answer.logprobs, abs=1e-4)


async def test_stop_tokens_are_kept_and_end_the_row(provider: Any) -> None:
    prompt = prompts(1)[0]
    free = await provider.complete_tokens(prompt, replace(HOT, max_tokens=30))
    stop = free.token_ids[6]
    at = free.token_ids.index(stop)
    stopped = await provider.complete_tokens(
        prompt, replace(HOT, max_tokens=30, stop_token_ids=(270, stop))
    )
    assert stopped.token_ids == free.token_ids[: at + 1]
    assert stopped.stop_reason == "stop" and stopped.completion_tokens == at + 1
    assert free.stop_reason == "length" and free.completion_tokens == 30
    assert len(stopped.logprobs) == at + 1


async def test_the_end_of_turn_is_in_the_ids_but_not_in_the_text(provider: Any) -> None:
    end = TOKENIZER.eos_token_id
    with torch.no_grad():  # whatever it reads, it says end-of-turn
        provider.model.model.norm.weight.zero_()
        provider.model.lm_head = torch.nn.Linear(64, 288)
        provider.model.lm_head.bias[end] = 50.0
    answer = await provider.complete_tokens([1, 2], replace(HOT, stop_token_ids=(end,)))
    assert answer.token_ids == (end,) and answer.text == "" and answer.stop_reason == "stop"


async def test_other_special_tokens_are_in_the_text(provider: Any) -> None:
    """They may be what tells thinking from an answer."""
    start = TOKENIZER.convert_tokens_to_ids("<|im_start|>")
    with torch.no_grad():
        provider.model.model.norm.weight.zero_()
        provider.model.lm_head = torch.nn.Linear(64, 288)
        provider.model.lm_head.bias[start] = 50.0
    answer = await provider.complete_tokens([1, 2], replace(HOT, max_tokens=2))
    assert answer.text == "<|im_start|>" * 2


async def test_max_tokens_is_honoured_per_row_and_rows_finish_early(provider: Any) -> None:
    lengths = [1, 40, 3, 17]
    finished: list[int] = []

    async def one(n: int) -> Completion:
        answer = await provider.complete_tokens([1, 2, 3], replace(HOT, seed=n, max_tokens=n))
        finished.append(n)
        return answer

    answers = await asyncio.gather(*(one(n) for n in lengths))
    assert [a.completion_tokens for a in answers] == lengths
    assert finished == sorted(lengths)  # nobody waits for the longest


async def test_a_full_context_ends_the_row_and_a_full_prompt_is_refused() -> None:
    provider = TransformersProvider(tiny_model(), TOKENIZER, max_length=20)
    answer = await provider.complete_tokens([1] * 15, HOT)
    assert answer.completion_tokens == 5 and answer.stop_reason == "length"
    with pytest.raises(GaveUp, match="20 of 20 tokens"):
        await provider.complete_tokens([1] * 20, HOT)
    with pytest.raises(GaveUp):
        await provider.complete_tokens([], HOT)
    await provider.close()


async def test_a_schema_is_left_out_and_noted_once(provider: Any) -> None:
    for _ in range(2):
        await provider.complete_tokens([1], replace(HOT, json_schema={"type": "object"}))
    assert len(provider.notes) == 1 and "JSON schema" in provider.notes[0]


async def test_a_model_that_fails_fails_everyone_who_waits_and_serves_the_next(
    provider: Any,
) -> None:
    with pytest.raises(ProviderError, match="tiny: sampling failed: IndexError"):
        await ask_all(provider, [([1], HOT), ([10**6], HOT)])
    assert (await provider.complete_tokens([1], HOT)).token_ids
    with torch.no_grad():
        provider.model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(ProviderError, match="logits are not finite"):
        await provider.complete_tokens([1], HOT)


async def test_close_ends_what_is_waiting_and_cancelled_calls_are_dropped(provider: Any) -> None:
    assert TransformersProvider.gives_tokens
    slow = asyncio.create_task(provider.complete_tokens([1], replace(HOT, max_tokens=500)))
    gone = asyncio.create_task(provider.complete_tokens([2], HOT))
    await asyncio.sleep(0.01)
    gone.cancel()
    await provider.close()
    await provider.close()
    with pytest.raises(ProviderError, match="closed"):
        await slow
    with pytest.raises(ProviderError, match="closed"):
        await provider.complete_tokens([1], HOT)
    with pytest.raises(ProviderError, match="token ids"):
        await provider.complete_messages([], HOT)


def test_a_provider_serves_one_event_loop_after_the_other() -> None:
    provider = TransformersProvider(tiny_model(), TOKENIZER)
    answers = [asyncio.run(provider.complete_tokens([1, 2], HOT)) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    asyncio.run(provider.close())


async def test_a_role_s_settings_become_a_provider(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path)
    settings = ModelSettings(model_name_or_path=str(folder))
    settings.vllm.max_length = 100
    provider = load_transformers(settings, role="student_model", device="cpu")
    assert next(provider.model.parameters()).dtype == torch.float32
    assert provider.max_length == 100
    answer = await provider.complete_tokens([1, 2], HOT)
    plain = await TransformersProvider(tiny_model(), TOKENIZER).complete_tokens([1, 2], HOT)
    assert answer == plain
    await provider.close()


def test_settings_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    missing = ModelSettings(model_name_or_path=str(tmp_path))
    with pytest.raises(ConfigError, match=r"^judge_model\.model_name_or_path: cannot load"):
        load_transformers(missing, role="judge_model")
    with pytest.raises(ConfigError, match=r"^judge_model\.quantization"):
        load_transformers(replace(missing, quantization="awq"), role="judge_model")
