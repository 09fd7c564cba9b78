"""Shapes from configs alone, against real weights, real KV caches and published counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from src.embedded import resolve_model
from src.memory_plan.shapes import model_shape
from tests.tiny import save_tiny_model


@pytest.mark.parametrize("name", ["tiny", "tied", "embedded:smollm2-135m-instruct"])
def test_counts_are_those_of_the_files(name: str, tmp_path: Path) -> None:
    from safetensors import safe_open

    if ":" in name:
        folder, shape = Path(resolve_model(name)), model_shape(name, "x")
        assert shape == model_shape(str(folder), "x")  # the table says what its config.json says
    else:
        folder = save_tiny_model(tmp_path, tied=name == "tied")
        shape = model_shape(str(folder), "x")
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        sizes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
    count = 0
    for size in sizes:
        numbers = 1
        for dimension in size:
            numbers *= dimension
        count += numbers
    assert shape.parameters == count


def test_keys_values_and_adapters_are_those_of_the_model(tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = save_tiny_model(tmp_path, layers=3)
    shape = model_shape(str(folder), "x")
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    cache = model(torch.tensor([[1, 2, 3, 4, 5]])).past_key_values
    held = sum(t.nbytes for layer in cache.layers for t in (layer.keys, layer.values))
    assert shape.kv_bytes_per_token("float32") * 5 == held
    for target in ("all-linear", r".*\.(q|v)_proj"):
        tuned = get_peft_model(model, LoraConfig(r=4, target_modules=target, task_type="CAUSAL_LM"))
        assert shape.lora_parameters(4, target) == tuned.get_nb_trainable_parameters()[0]
        model = tuned.unload()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_are_what_autograd_keeps(
    tmp_path: Path, dtype: str, checkpointing: bool
) -> None:
    """A packed row through the layers of a real model: the bytes saved for its backward pass."""
    import torch
    from transformers import AutoModelForCausalLM

    from src.grpo.loss import packing

    def kept(layers: int) -> tuple[float, float]:
        folder = save_tiny_model(tmp_path / str(layers), layers=layers)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
        assert packing.prepare(model)
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        weights = {p.untyped_storage().data_ptr() for p in model.train().parameters()}
        found: dict[int, int] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                found[storage.data_ptr()] = storage.nbytes()
            return tensor

        positions = torch.arange(128).repeat(2)[None]
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            model.model(
                input_ids=torch.full((1, 256), 7),
                position_ids=positions,
                row_lengths=[128, 128],
                use_cache=False,
            )
        shape = model_shape(str(folder), "x")
        return sum(found.values()), shape.activation_bytes(256, dtype, checkpointing)

    (two, planned_two), (six, planned_six) = kept(2), kept(6)
    assert planned_six - planned_two == pytest.approx(six - two, rel=0.05)


@pytest.mark.parametrize(
    ("name", "count"),  # as the hub's model cards count them
    [
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("Qwen/Qwen2.5-14B-Instruct-AWQ", 14_770_033_664),
        ("neuralmagic/Meta-Llama-3.1-8B-Instruct-FP8", 8_030_261_248),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1_543_714_304),
    ],
)
def test_known_models_need_no_hub(name: str, count: int) -> None:
    assert model_shape(name, "x").parameters == count


def test_an_unknown_model_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^judge_model\.model_name_or_path: no/such-model: .*"):
        model_shape("no/such-model", "judge_model.model_name_or_path")


def test_a_folder_is_what_it_holds_whatever_its_name(tmp_path: Path) -> None:
    """One that is named like a model of the table is not that model."""
    folder = save_tiny_model(tmp_path / "Qwen2.5-7B-Instruct")
    assert model_shape(str(folder), "x").parameters < 10**6
    assert model_shape("Qwen2.5-7B-Instruct", "x").parameters == 7_615_616_512


def test_a_trainer_with_zero_3_changes_no_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """It makes every new model of its process a sharded one, whose tensors are empty."""
    from transformers.integrations import deepspeed

    class Zero3:
        def is_zero3(self) -> bool:
            return True

    settings = Zero3()
    deepspeed.set_hf_deepspeed_config(settings)
    try:
        assert deepspeed.is_deepspeed_zero3_enabled()
        assert model_shape("qwen2.5-1.5b-fp8", "x").parameters == 1_543_714_304
        assert deepspeed.is_deepspeed_zero3_enabled()
    finally:
        deepspeed.unset_hf_deepspeed_config()
