"""The arithmetic of memory, against sums done by hand."""

from __future__ import annotations

import pytest

from utils.memory import ModelShape, Sharding, quantization_of, trainer_state

# two layers of hidden size 8: q (8x8), k (8x4), gate (8x16); embedding and head of 10 x 8
SHAPE = ModelShape(
    parameters=2 * (64 + 32 + 128) + 160,
    linears=tuple(
        (f"layers.{at}.{name}", 8, out)
        for at in range(2)
        for name, out in (("q_proj", 8), ("k_proj", 4), ("gate_proj", 16))
    ),
    layers=2,
    hidden=8,
    intermediate=16,
    kv_heads=2,
    head_dim=2,
    vocabulary=10,
)


def test_weights_and_keys() -> None:
    assert SHAPE.weight_bytes() == 608 * 2
    assert SHAPE.weight_bytes("float32") == 608 * 4
    assert SHAPE.weight_bytes(quantization="fp8") == 448 + 160 * 2
    assert SHAPE.weight_bytes(quantization="awq") == 448 * (0.5 + 2.5 / 128) + 160 * 2
    assert SHAPE.kv_bytes_per_token() == 2 * 2 * 2 * 2 * 2  # keys and values of 2 layers
    assert SHAPE.kv_bytes_per_token("float32", tensor_parallel=2) == 2 * 2 * 1 * 2 * 4
    assert SHAPE.kv_bytes_per_token(tensor_parallel=8) == 2 * 2 * 1 * 2 * 2  # a head is not cut
    assert SHAPE.lora_parameters(4) == 2 * 4 * (16 + 12 + 24)
    assert SHAPE.lora_parameters(4, r".*q_proj") == 2 * 4 * 16


@pytest.mark.parametrize(
    ("name", "given", "kind"),
    [
        ("Qwen/Qwen2.5-14B-Instruct-AWQ", None, "awq"),
        ("neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8", None, "fp8"),
        ("x/model-GPTQ-Int4", None, "gptq"),
        ("Qwen/Qwen2.5-7B-Instruct", None, None),
        ("Qwen/Qwen2.5-7B-Instruct", "fp8", "fp8"),
        ("me/hawqish", None, None),
    ],
)
def test_quantisation_is_read_from_names(name: str, given: str | None, kind: str | None) -> None:
    assert quantization_of(name, given) == kind


def state(stage: int, ranks: int, **changes: object) -> dict[str, float]:
    settings = {"trained": 608, "dtype": "bfloat16", "optimizer": "adamw_torch", "reference": True}
    return trainer_state(SHAPE, Sharding(stage=stage, ranks=ranks), **settings | changes)  # type: ignore[arg-type]


def test_each_stage_of_zero_cuts_one_thing_more() -> None:
    one = state(1, 4)
    assert one == {
        "weights": 1216, "KL reference": 1216, "gradients": 1216 + 4 * 152,
        "optimizer": 152 * (8 + 4),
    }  # fmt: skip
    two = state(2, 4)
    assert two == {**one, "gradients": 304 + 4 * 152, "gathered": 1216}
    assert state(3, 4) == {**two, "weights": 304, "KL reference": 304, "gathered": 2 * 1216}


def test_float32_has_no_master_copy_and_adapters_little_state() -> None:
    assert state(2, 2, dtype="float32")["optimizer"] == 304 * 8
    assert state(1, 1, optimizer="paged_adamw_8bit")["optimizer"] == 608 * (2 + 4)
    alone = state(0, 1)
    assert (alone["optimizer"], alone["gradients"]) == (608 * 4, 608 * 2)  # in the weights' dtype
    lora = state(2, 1, trained=100, reference=False)
    assert lora["weights"] == 708 * 2 and "KL reference" not in lora
    assert lora["optimizer"] == 100 * 12
