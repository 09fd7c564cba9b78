"""What is handed to the engine: whole weights by transformers' names, or an adapter by peft's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from config.errors import RunError
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.weights import EngineWeights, adapter_weights, pieces
from src.vllm.weights import (
    ADAPTER_CONFIG,
    ADAPTER_FILE,
    FILE_NAME,
    HEADER_BYTES,
    open_published,
)
from tests.tiny import save_tiny_model


@pytest.fixture
def tuned(tmp_path: Path) -> Any:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(save_tiny_model(tmp_path / "model"))
    model = get_peft_model(
        base, LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_()
    return model


def test_adapters_are_what_peft_would_save(tuned: Any) -> None:
    from peft import get_peft_model_state_dict

    expected = get_peft_model_state_dict(tuned)
    published = dict(adapter_weights(tuned))
    assert published.keys() == expected.keys() and len(published) == 2 * 2 * 7
    assert all(torch.equal(published[name], expected[name]) for name in expected)


def test_only_the_adapter_is_handed_over(tuned: Any, tmp_path: Path) -> None:
    loaded: list[tuple[Path, int]] = []
    folder = tmp_path / "handed"
    folder.mkdir()
    weights = EngineWeights(
        Node(), folder, lambda path, version: loaded.append((path, version)), lambda: tuned
    )
    for _ in range(2):
        weights.sync_weights()
    assert loaded == [(folder / "adapter-1", 1), (folder / "adapter-2", 2)]
    assert [path.name for path in folder.iterdir()] == ["adapter-2"]  # no second model
    with open_published(folder / "adapter-2" / ADAPTER_FILE, 2) as published:
        assert all("lora_" in name for name in published.keys())  # noqa: SIM118
    config = json.loads((folder / "adapter-2" / ADAPTER_CONFIG).read_text())
    assert (config["r"], config["lora_alpha"], config["peft_type"]) == (4, 8, "LORA")


def test_weights_are_gathered_in_bounded_pieces() -> None:
    sizes = [10, 30, 5, 100, 20, 20]  # elements of four bytes
    named = [(str(at), torch.nn.Parameter(torch.zeros(size))) for at, size in enumerate(sizes)]
    cut = [[name for name, _ in piece] for piece in pieces(named, limit=160)]
    assert cut == [["0", "1"], ["2"], ["3"], ["4", "5"]]  # one weight is never cut


def test_a_full_disk_leaves_the_file_before(tuned: Any, tmp_path: Path) -> None:
    """No file may grow beyond a limit: one line, nothing torn, every rank gathers to the end."""
    import resource

    base = tuned.unload()
    loaded: list[int] = []
    weights = EngineWeights(
        Node(), tmp_path, lambda path, version: loaded.append(version), lambda: base
    )
    weights.sync_weights()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (HEADER_BYTES + 50_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"^engines\.weights_dir: no room left in "):
            weights.sync_weights()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert loaded == [1]
    with open_published(tmp_path / FILE_NAME, 1) as published:
        assert len(published.keys()) > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", FILE_NAME]
    weights.sync_weights()  # with room again
    assert loaded == [1, 3]
