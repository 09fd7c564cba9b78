"""Adapters merged outside of a distributed job, where no rank holds whole weights."""

from __future__ import annotations

from pathlib import Path

import pytest

from src.models.training import _merge_elsewhere
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
