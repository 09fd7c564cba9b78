"""TRL's trainers on rows that carry their own masks.

SFT takes `labels` as they are.  MDPO is TRL's DPO on whole conversations: the log-probability of a
side is the sum over the tutor's tokens, and the student's words in between count for neither side
(multi-turn DPO, the paper's second baseline).
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel, TrainingArguments
from trl import DPOTrainer, SFTTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference

from config.schema import TrainSFTConfig
from src.models.steps import StopsAtLastStep
from src.models.training import can_pack, load_model, lora_config
from src.sft.arguments import mdpo_arguments, sft_arguments
from src.sft.data import Sets
from src.sft.order import InSeededOrder
from utils.runs.folder import RunFolder


class TutorPairs(DataCollatorForPreference):
    """TRL's collator, with the rows' own masks in place of "everything after the prompt"."""

    def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super().torch_call(examples)
        mask = torch.zeros_like(batch["completion_mask"])
        sides = [(e, side) for side in ("chosen", "rejected") for e in examples]
        for row, (example, side) in enumerate(sides):
            start, own = len(example["prompt_ids"]), example[f"{side}_mask"]
            mask[row, start : start + len(own)] = torch.tensor(own)
        return batch | {"completion_mask": mask}


class TutorSFTTrainer(StopsAtLastStep, InSeededOrder, SFTTrainer):
    """SFT in our order of rows."""


class MDPOTrainer(StopsAtLastStep, InSeededOrder, DPOTrainer):
    """DPO on rows that are tokens already."""

    def _prepare_dataset(self, dataset: Any, *_: Any) -> Any:
        return dataset


def build_trainer(
    cfg: TrainSFTConfig, tokenizer: Any, sets: Sets, run: RunFolder, callbacks: list[Any]
) -> TutorSFTTrainer | MDPOTrainer:
    """The trainer of `train.method`."""
    common = {
        "processing_class": tokenizer,
        "train_dataset": sets.train,
        "eval_dataset": sets.held_out,
        "peft_config": lora_config(cfg.model.lora),
        "callbacks": callbacks,
    }
    if cfg.train.method == "sft":
        packing = can_pack(cfg.train.packing)
        args = sft_arguments(cfg, run.path, packing=packing)
        return TutorSFTTrainer(_load(cfg, args, packing=packing), args=args, **common)
    pairs = mdpo_arguments(cfg, run.path)
    model = _load(cfg, pairs)
    return MDPOTrainer(
        model,
        # the starting model; with adapters it is the model without them
        ref_model=None if cfg.model.lora.enable else _load(cfg, pairs),
        args=pairs,
        data_collator=TutorPairs(pad_token_id=tokenizer.pad_token_id),
        **common,
    )


def _load(
    cfg: TrainSFTConfig, args: TrainingArguments, *, packing: bool = False
) -> PreTrainedModel:
    """For `args`, which have set DeepSpeed up if it is there."""
    return load_model(cfg.model, packing=packing, deepspeed=args.deepspeed_plugin is not None)
