"""The module that a trainer shares with the sampler: given back as it was, new weights in place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from src.inference_providers import transformers_local
from src.inference_providers.transformers_local import TransformersProvider
from tests.src.inference_providers.local_sampling import (
    GREEDY,
    HOT,
    TOKENIZER,
    ask_all,
    one_thread,
    provider,
)
from tests.src.inference_providers.tiny import tiny_model

__all__ = ["one_thread", "provider"]  # the fixtures


async def test_the_module_is_given_back_as_it_was() -> None:
    model = tiny_model(attention_dropout=0.5)
    model.gradient_checkpointing_enable()
    model.config.use_cache = False  # as trainers set it
    model.train()
    model.model.layers[0].eval()
    before = [(name, module.training) for name, module in model.named_modules()]
    provider = TransformersProvider(model, TOKENIZER)
    answers = await ask_all(provider, [([1, 2, 3], HOT)] * 2)
    assert answers[0] == answers[1]  # no dropout
    assert [(name, module.training) for name, module in model.named_modules()] == before
    ids = torch.tensor([[1, 2, 3, *answers[0].token_ids]])
    model(ids, labels=ids).loss.backward()  # and trains on as if nothing had been
    assert all(p.grad is not None for p in model.parameters())
    assert torch.is_grad_enabled()
    await provider.close()


async def test_who_has_all_answers_finds_the_module_given_back(monkeypatch: Any) -> None:
    model = tiny_model().train()
    provider, modes = TransformersProvider(model, TOKENIZER), []
    succeed = transformers_local._succeed
    monkeypatch.setattr(
        transformers_local,
        "_succeed",
        lambda *one: (modes.append(model.training), succeed(*one)),
    )
    await ask_all(provider, [([1], HOT), ([2], HOT), ([3], replace(HOT, max_tokens=3))])
    assert modes == [False, False, True]
    await provider.close()


async def test_an_update_of_the_shared_module_is_sampled_at_once(provider: Any) -> None:
    before = await provider.complete_tokens([1, 2], GREEDY)
    with torch.no_grad():
        provider.model.model.layers[0].mlp.down_proj.weight.mul_(-3)
    after = await provider.complete_tokens([1, 2], GREEDY)
    assert before.token_ids != after.token_ids


async def test_new_weights_in_place(provider: Any, tmp_path: Path) -> None:
    other = tiny_model(seed=9)
    other.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    assert "lm_head.weight" not in load_file(file)  # tied
    provider.load_state(file)
    expected = await TransformersProvider(other, TOKENIZER).complete_tokens([1, 2], HOT)
    assert (await provider.complete_tokens([1, 2], HOT)).token_ids == expected.token_ids
    provider.load_state(tmp_path)  # a folder will do


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("missing", "is missing"),
        ("extra", "no weight surprise"),
        ("shape", r"is \[3\], not \[64\]"),
    ],
)
async def test_weights_that_do_not_fit_leave_the_model_as_it_was(
    provider: Any, tmp_path: Path, damage: str, says: str
) -> None:
    weights = {n: t.clone() * 2 for n, t in provider.model.state_dict().items()}
    del weights["lm_head.weight"]
    if damage == "missing":
        del weights["model.norm.weight"]
    elif damage == "extra":
        weights["surprise"] = torch.zeros(1)
    else:
        weights["model.norm.weight"] = torch.zeros(3)
    save_file(weights, tmp_path / "w.safetensors")
    before = await provider.complete_tokens([1, 2], HOT)
    with pytest.raises(ValueError, match=says):
        provider.load_state(tmp_path / "w.safetensors")
    assert await provider.complete_tokens([1, 2], HOT) == before
    with pytest.raises(ValueError, match="no safetensors file"):
        provider.load_state(tmp_path / "..")


async def test_lora_wrapped_models_are_sampled_too() -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny_model()
    expected = await TransformersProvider(base, TOKENIZER).complete_tokens([1, 2], HOT)
    wrapped = get_peft_model(base, LoraConfig(target_modules="all-linear"))
    provider = TransformersProvider(wrapped, TOKENIZER)
    assert (await provider.complete_tokens([1, 2], HOT)).token_ids == expected.token_ids
    await provider.close()
