"""What is saved: adapters merged outside of a distributed job, whole weights in their dtype."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from src.models.training import _merge_elsewhere, save_model
from tests.tiny import save_tiny_model


@pytest.mark.slow
def test_the_merged_model_computes_what_base_and_adapter_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(save_tiny_model(tmp_path / "base"))
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    tuned = get_peft_model(base, lora)
    with torch.no_grad():
        for name, parameter in tuned.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.3)
    tuned.save_pretrained(tmp_path / "adapter")
    monkeypatch.setenv("WORLD_SIZE", "2")  # the process must not take itself for a rank
    monkeypatch.setenv("RANK", "0")
    _merge_elsewhere(tmp_path / "adapter", tmp_path / "model")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.allclose(merged(ids).logits, tuned.eval()(ids).logits, atol=1e-4)


@pytest.mark.parametrize(
    ("bf16", "deepspeed", "saved"),
    [(True, None, "bfloat16"), (True, object(), "float32"), (False, None, "float32")],
)
def test_whole_weights_are_saved_as_they_were_computed_with(
    tmp_path: Path, bf16: bool, deepspeed: Any, saved: str
) -> None:
    """Held in float32 for the optimizer alone; under DeepSpeed they are half precision already."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    source = save_tiny_model(tmp_path / "model-before")
    model = AutoModelForCausalLM.from_pretrained(source)
    trainer = SimpleNamespace(
        model=model,
        args=SimpleNamespace(bf16=bf16, fp16=False, deepspeed_plugin=deepspeed),
        accelerator=SimpleNamespace(unwrap_model=lambda module: module),
        save_model=model.save_pretrained,
        is_world_process_zero=lambda: True,
    )
    save_model(trainer, AutoTokenizer.from_pretrained(source), tmp_path)
    assert str(AutoConfig.from_pretrained(tmp_path / "model").dtype).endswith(saved)
