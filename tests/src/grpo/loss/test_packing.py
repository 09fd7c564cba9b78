"""Packed rows give the gradients of TRL's padded batches, and compute what is needed only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import trl.trainer.utils as trl_utils
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, TrainerCallback
from trl.trainer.utils import add_fused_lm_head

from config.schema import TrainSettings
from src.grpo.loss import packing
from src.grpo.loss.packing import scored_tokens_only
from tests.src.grpo.fixed_update import build
from tests.tiny import save_tiny_model

ROWS = [5, 9, 2]  # lengths


class Gradients(TrainerCallback):
    """The gradient of every parameter, each optimizer step."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        named = more["model"].named_parameters()
        self.steps.append({name: p.grad.clone() for name, p in named})


def gradients(model: Path, out: Path, **changes: Any) -> list[dict[str, torch.Tensor]]:
    seen = Gradients()
    values: dict[str, Any] = {"max_steps": 2, "mu": 2, "per_device_train_batch_size": 4}
    values |= {"max_grad_norm": 1e9, "learning_rate": 1e-5, "gradient_checkpointing": False}
    trainer = build(str(model), out, TrainSettings(**(values | changes)), callbacks=(seen,))
    trainer.args.save_strategy = "no"
    trainer.train()
    return seen.steps


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model"), tied=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"beta": 0.0, "importance_sampling": "none"},
        {"beta": 0.1, "importance_sampling": "token_truncate"},
        {"beta": 0.1, "gradient_checkpointing": True, "batch_size_ref_model": 3},
        {"beta": 0.1, "loss_type": "grpo", "importance_sampling": "token_mask"},
    ],
    ids=["plain", "kl-and-correction", "checkpointing", "grpo-and-mask"],
)
def test_gradients_are_those_of_padded_batches(
    model: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    """Each parameter's, to 1e-5 of its norm, in both of mu = 2 steps."""
    padded = gradients(model, tmp_path / "padded", padding_free=False, **settings)
    packed = gradients(model, tmp_path / "packed", padding_free=True, **settings)
    assert len(padded) == len(packed) == 2
    for one, other in zip(padded, packed, strict=True):
        for name, gradient in one.items():
            assert gradient.norm() > 0, name
            assert (gradient - other[name]).norm() < 1e-5 * gradient.norm(), name


def tiny(config: type[LlamaConfig] | type[MistralConfig], **settings: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 40, "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.5}
    found = AutoModelForCausalLM.from_config(
        config(**sizes, **heads, **settings), attn_implementation="sdpa"
    )
    add_fused_lm_head(found)
    return found


@pytest.mark.parametrize(
    ("config", "settings"),
    [(LlamaConfig, {}), (MistralConfig, {"sliding_window": 4})],
    ids=["full", "sliding window"],
)
def test_each_row_is_scored_as_if_it_were_alone(config: Any, settings: dict[str, Any]) -> None:
    model = tiny(config, **settings)
    ids = torch.randint(0, 40, (3, max(ROWS)))
    mask = (torch.arange(max(ROWS)) < torch.tensor(ROWS)[:, None]).long().flip(0)
    alone = [
        model(input_ids=row[real][None], labels=row[real][None], fused_lm_head=True).log_probs[0]
        for row, real in zip(ids, mask.bool(), strict=True)
    ]
    assert packing.prepare(model)
    found = model(**packing.pack(ids, mask, ids), fused_lm_head=True).log_probs
    for row, real, expected in zip(packing.unpack(found, mask), mask.bool(), alone, strict=True):
        torch.testing.assert_close(row[real][1:], expected, rtol=1e-4, atol=1e-5)


def test_attention_needs_no_mask_of_tokens_by_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    model, masks = tiny(LlamaConfig), []
    packing.prepare(model)
    run = packing.sdpa_attention_forward

    def watched(module: Any, q: Any, k: Any, v: Any, mask: Any, **more: Any) -> Any:
        masks.append((q.shape[2], mask))
        return run(module, q, k, v, mask, **more)

    monkeypatch.setattr(packing, "sdpa_attention_forward", watched)
    ids = torch.ones((2, 6), dtype=torch.long)
    model(**packing.pack(ids, ids, ids), fused_lm_head=True)
    assert masks == [(6, None)] * 4  # two rows in two layers


def test_the_head_sees_scored_tokens_only(monkeypatch: pytest.MonkeyPatch) -> None:
    model, rows = tiny(LlamaConfig), []
    apply = trl_utils._ChunkedLogProbFunction.apply

    class Watched:
        @staticmethod
        def apply(hidden: torch.Tensor, *more: Any) -> Any:
            rows.append(len(hidden))
            return apply(hidden, *more)

    monkeypatch.setattr(trl_utils, "_ChunkedLogProbFunction", Watched)
    labels = torch.full((1, 12), -100)
    labels[0, [3, 4, 9]] = 1
    with scored_tokens_only():
        model(input_ids=torch.ones((1, 12), dtype=torch.long), labels=labels, fused_lm_head=True)
    assert rows == [3]
    assert not trl_utils._use_triton(torch.device("cpu"))


def test_layers_that_carry_a_state_are_found_out() -> None:
    model = tiny(LlamaConfig)
    packing.prepare(model)
    assert packing.rows_are_apart(model, torch.device("cpu"))
    model.set_attn_implementation("eager")  # knows nothing of rows, given no mask
    leaky = model.model.layers[1].register_forward_hook(lambda m, i, out: out.cumsum(1))
    assert not packing.rows_are_apart(model, torch.device("cpu"))
    leaky.remove()


def test_models_whose_attention_takes_no_rows_stay_padded() -> None:
    model = tiny(LlamaConfig)
    model.set_attn_implementation("eager")
    assert not packing.prepare(model)
    model = tiny(LlamaConfig)
    model.config.layer_types = ["full_attention", "chunked_attention"]
    assert not packing.prepare(model)
    assert model.config._attn_implementation == "sdpa"
