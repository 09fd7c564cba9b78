"""Loss and gradient of both trainers, against a computation by hand over the tutor's tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from config.schema import DatasetEntry, DatasetSettings, SftModelSettings, SftTrainSettings
from config.schema import TrainSFTConfig as Config
from src.models.training import load_tokenizer
from src.sft.data import Sets, load_sets
from src.sft.trainers import build_trainer
from tests.tiny import save_tiny_model
from utils.runs.folder import RunFolder

BETA = 0.3


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


def config(model: Path, method: str) -> Config:
    what = {"sft": "conversations", "mdpo": "pairs"}[method]
    entry = DatasetEntry(f"src.sft.lessons:{what}", parameters={"size": 4})
    train = SftTrainSettings(
        method=method, per_device_train_batch_size=4, beta=BETA, gradient_checkpointing=False
    )
    return Config(
        model=SftModelSettings(model_name_or_path=str(model), max_length=4000),
        dataset=DatasetSettings(train_datasets=[entry]),
        train=train,
    )


@pytest.fixture(params=["sft", "mdpo"])
def prepared(
    request: pytest.FixtureRequest, model_folder: Path, tmp_path: Path
) -> Iterator[tuple[str, Any, Sets, dict[str, torch.Tensor]]]:
    """(method, trainer with a policy apart from its start, rows, one batch of all of them)."""
    cfg = config(model_folder, request.param)
    tokenizer = load_tokenizer(cfg.model)
    sets = load_sets(cfg, tokenizer)
    run = RunFolder(path=tmp_path, resumed=False, lead=True)
    trainer = build_trainer(cfg, tokenizer, sets, run, [])
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in trainer.model.parameters():
            weight += 0.02 * torch.randn_like(weight)
    batch = next(iter(trainer.get_train_dataloader()))
    yield request.param, trainer, sets, batch


def logps(model: Any, ids: list[int], mask: list[int]) -> torch.Tensor:
    """Sum of log-probabilities over the positions with mask 1, one row at a time, no padding."""
    row = torch.tensor([ids])
    table = F.log_softmax(model(input_ids=row).logits[0, :-1].double(), dim=-1)
    picked = table.gather(1, row[0, 1:, None])[:, 0]
    return (picked * torch.tensor(mask[1:])).sum()


def by_hand(method: str, trainer: Any, sets: Sets) -> torch.Tensor:
    rows = list(sets.train)
    if method == "sft":
        masks = [[int(label != -100) for label in row["labels"]] for row in rows]
        total = sum(
            logps(trainer.model, r["input_ids"], m) for r, m in zip(rows, masks, strict=True)
        )
        return -total / sum(map(sum, masks))
    losses = []
    for row in rows:
        ratio = 0.0
        for side, sign in (("chosen", 1), ("rejected", -1)):
            ids = row["prompt_ids"] + row[f"{side}_ids"]
            mask = [0] * len(row["prompt_ids"]) + row[f"{side}_mask"]
            with torch.no_grad():
                start = logps(trainer.ref_model, ids, mask)
            ratio += sign * (logps(trainer.model, ids, mask) - start)
        losses.append(-F.logsigmoid(BETA * ratio))
    return torch.stack(losses).mean()


def gradients(model: Any, loss: torch.Tensor) -> torch.Tensor:
    found = torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    return torch.cat([g.flatten().double() for g in found])


def test_loss_and_gradient_are_those_of_the_tutors_tokens(prepared: Any) -> None:
    """Equal loss and equal gradients: no student's token adds to either."""
    method, trainer, sets, batch = prepared
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, dict(batch))
    hand = by_hand(method, trainer, sets)
    assert loss.item() == pytest.approx(hand.item(), rel=1e-4)
    ours, theirs = gradients(trainer.model, hand), gradients(trainer.model, loss)
    assert (ours - theirs).norm() < 1e-3 * ours.norm()
    assert ours.norm() > 0


def test_the_students_words_are_seen_but_not_learnt(prepared: Any) -> None:
    """Masks leave the student out, and there is a student between the tutor's turns."""
    method, _, _, batch = prepared
    if method == "sft":
        marked = batch["labels"] != -100
        assert (batch["input_ids"][marked] == batch["labels"][marked]).all()
    else:
        marked = batch["completion_mask"] == 1
        assert not (marked & (batch["attention_mask"] == 0)).any()
    turns = (marked[:, 1:] & ~marked[:, :-1]).sum(dim=1)
    assert turns.max() > 1
    assert marked.any(dim=1).all()


def test_what_a_cpu_cannot_do_is_replaced(prepared: Any) -> None:
    _, trainer, _, _ = prepared
    assert trainer.args.optim == "adamw_torch"  # paged_adamw_8bit needs CUDA
    assert trainer.model.dtype == torch.float32  # model.dtype says bfloat16
    assert not getattr(trainer.args, "packing", False)
    assert not trainer.args.push_to_hub
