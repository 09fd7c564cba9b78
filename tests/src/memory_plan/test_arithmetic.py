"""The arithmetic of memory, against sums done by hand."""

from __future__ import annotations

import pytest

from src.memory_plan.arithmetic import (
    ModelShape,
    Sharding,
    at_rest,
    offloaded,
    quantization_of,
    trainer_state,
)

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
    heads=4,
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
        "weights": 1216, "KL reference": 1216, "gradients": 1216, "step": 4 * 152,
        "master weights": 152 * 4, "moments": 152 * 8,
    }  # fmt: skip
    two = state(2, 4, on_cpu=True)
    assert two == {**one, "gradients": 608, "gradient bucket": 1216}  # shards, in float32
    assert state(2, 4) == {**two, "gradient bucket": 10**9}  # the whole buffer, on a GPU
    three = state(3, 4, on_cpu=True)
    assert three == {**two, "weights": 304, "KL reference": 304, "gathered": 1216}


def test_float32_has_no_master_copy_and_adapters_little_state() -> None:
    plain = state(3, 2, dtype="float32")
    assert plain["moments"] == 304 * 8 and "master weights" not in plain
    assert state(2, 2, dtype="float32")["master weights"] == 304 * 4  # below ZeRO-3 all the same
    eight = state(1, 1, optimizer="paged_adamw_8bit")
    assert (eight["moments"], eight["master weights"]) == (608 * 2, 608 * 4)
    alone = state(0, 1, dtype="float32")
    assert (alone["moments"], alone["gradients"]) == (608 * 8, 608 * 4)  # in the weights' dtype
    lora = state(2, 1, trained=100, reference=False)
    assert lora["weights"] == 708 * 2 and "KL reference" not in lora
    assert lora["moments"] + lora["master weights"] == 100 * 12


def test_what_stays_between_steps_and_what_deepspeed_moves() -> None:
    """ZeRO-3 keeps its gradients' memory, and moves what the optimizer holds only for its own."""
    lasting = {"weights", "KL reference", "master weights", "moments"}
    kept = {"gradients", "gradient bucket"}
    two, three = Sharding(stage=2, ranks=4), Sharding(stage=3, ranks=4)
    assert set(at_rest(state(2, 4), two)) == lasting
    assert set(at_rest(state(3, 4), three)) == lasting | kept
    assert offloaded(two, "adamw_torch") == lasting - {"KL reference"}
    assert offloaded(three, "fused_adam") == lasting - {"KL reference"} | kept
    assert offloaded(three, "paged_adamw_8bit") == {"weights"} | kept


def test_the_heads_tiles() -> None:
    """A tile of logits, and the float32 gradient of the weight with its copy in bf16."""
    assert SHAPE.logit_bytes(5, "bfloat16") == 5 * 10 * 2 + 80 * (4 + 2)
    assert SHAPE.logit_bytes(5, "float32") == 5 * 10 * 4 + 80 * 4
    assert SHAPE.logit_bytes(5, "bfloat16", head_is_trained=False) == 100
    assert SHAPE.logit_bytes(10**6, "float32") == 4096 * 10 * 4 + 80 * 4
