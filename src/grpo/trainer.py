"""ClassroomGRPOTrainer: TRL's GRPOTrainer on classroom conversations.

What is ours: rollouts through `rollout_func`, the rewards as the record has them, new weights to
the engines after every update, evaluation in the classroom.  The algorithm is TRL's.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from src.grpo.loss import packing
from src.grpo.loss.credit import TokenCredit
from src.grpo.loss.first_pass import Correction, FirstPass
from src.grpo.loss.reward_functions import reward_functions
from src.grpo.offload import at_rest, fused_adam
from src.grpo.order import EpochSampler, Order
from src.grpo.rollouts.prefetch import Batch
from src.grpo.rollouts.rollout import Rollout
from src.grpo.trl_trainer import GRPOConfig, GRPOTrainer
from src.models.steps import StopsAtLastStep
from utils.credit.outcomes import Outcome
from utils.rewards import NAMES

log = logging.getLogger(__name__)


class Sampler(Protocol):
    """What TRL asks of its generation engine before a rollout."""

    def sync_weights(self) -> None:
        """Hand the current weights to the engine that samples the tutor.  Collective."""


class SharedWeights:
    """The sampler is the trained module itself: there is nothing to hand over."""

    def sync_weights(self) -> None:
        return None


class ClassroomGRPOTrainer(StopsAtLastStep, GRPOTrainer):
    """GRPO whose completions are whole conversations.

    `rollout` runs the conversations of one batch; `sampler` receives new weights;
    `evaluate_held_out` runs those about held-out problems, by step, and gives their means.  The
    dataset has the columns `prompt` (the problem's id, a plain string that TRL leaves alone) and
    `index`.
    `padding_free`: a micro-batch is one packed row, and only the tutor's tokens meet the LM head;
    models whose layers cannot keep rows apart fall back to TRL's padded batches.
    `score_rows`: conversations at a time where no gradient is needed; None: a micro-batch.
    `offload`: what DeepSpeed can move lies in RAM while conversations are held.
    `deepspeed_adam`: its own AdamW in place of the one that `args` name.
    `separate_old_pass`: TRL's own way, which scores a batch once more
    (src/grpo/loss/first_pass.py).
    `reward_names`: the parts of `total`, which are logged.
    `credit`: makes the advantages; None: TRL's, the group's and one for each conversation.
    """

    args: GRPOConfig
    control: Any  # TRL's own, which it does not declare
    num_iterations: int
    vllm_importance_sampling_correction: bool

    def __init__(
        self,
        *,
        args: GRPOConfig,
        rollout: Rollout,
        sampler: Sampler,
        evaluate_held_out: Callable[[int], dict[str, float]] = lambda step: {},
        padding_free: bool = True,
        score_rows: int | None = None,
        offload: bool = False,
        deepspeed_adam: bool = False,
        separate_old_pass: bool = False,
        reward_names: Sequence[str] = NAMES,
        credit: TokenCredit | None = None,
        **arguments: Any,
    ) -> None:
        self._rollout, self._evaluate_held_out = rollout, evaluate_held_out
        self._score_rows, self._offload = score_rows, offload
        self._tutor_mask: Tensor | None = None  # (rows, completion): 1 on the tutor's tokens
        self._rows: list[int] = []
        self._credit, self._outcomes = credit, list[Outcome]()
        self._order: Order | None = None
        args.reward_weights = [1.0] + [0.0] * len(reward_names)
        super().__init__(
            args=args,
            reward_funcs=reward_functions(reward_names),
            rollout_func=self._run_conversations,
            **arguments,
        )
        if deepspeed_adam:
            self.optimizer_cls_and_kwargs = fused_adam(args)
        # TRL hands over weights, and corrects for the sampler's distribution, only for its own
        # engine.  With ours in its place it does both, with the logprobs we return.
        self.vllm_generation: Any = sampler
        self.use_vllm = True
        self._last_loaded_step = -1
        models = [self.accelerator.unwrap_model(m) for m in (self.model, self.ref_model) if m]
        self._packs = padding_free and all(packing.prepare(model) for model in models)
        if padding_free and not self._packs:
            log.warning("train.padding_free: this model's attention takes no packed rows; padded")
        self._tried = False
        self._first_pass = None if separate_old_pass else self._old_from_first_pass()
        self._scored: dict[str, Tensor] | None = None  # the micro-batch whose loss is computed

    def _old_from_first_pass(self) -> FirstPass | None:
        """None where a batch is several optimizer steps, or TRL needs no old logprobs."""
        args, correction = self.args, None
        steps, most = args.steps_per_generation, args.vllm_importance_sampling_clip_max
        assert steps is not None and most is not None  # src/grpo/arguments.py says both
        if args.vllm_importance_sampling_correction:
            correction = Correction(mode=args.vllm_importance_sampling_mode, most=most)
        elif args.num_iterations == 1:
            return None
        if args.gradient_accumulation_steps % steps:
            return None
        log = self._metrics["train"]
        return FirstPass(
            accelerator=self.accelerator,
            micro_batches=steps,
            correction=correction,
            log=lambda name, value: log[name].append(value),
        )

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        like: Any = super()._get_train_sampler(dataset)
        return EpochSampler(like, self._epoch)

    def _epoch(self) -> int:
        # a checkpoint restores the state, and fractions of an epoch may be a hair short
        return int((self.state.epoch or 0.0) + 1e-6)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # `rollout_func` is not shown the dataset's columns.
        self._rows = [row["index"] for row in inputs]
        batch = self._scored_batch(inputs)
        if self._credit is not None:
            metrics = self._metrics["train"]
            batch["advantages"] = self._credit(
                self._outcomes,
                batch["completion_ids"],
                self.accelerator,
                lambda name, value: metrics[name].append(value),
            )
        return batch

    def _scored_batch(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if self._first_pass is None:
            return super()._generate_and_score_completions(inputs)
        kept = self.num_iterations, self.vllm_importance_sampling_correction
        # TRL asks both whether it has to score the batch with the weights as they are
        self.num_iterations, self.vllm_importance_sampling_correction = 1, False
        try:
            batch = super()._generate_and_score_completions(inputs)
        finally:
            self.num_iterations, self.vllm_importance_sampling_correction = kept
        return self._first_pass.begin(batch)

    def _run_conversations(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        batch = Batch(indices=self._rows, step=self.state.global_step, epoch=self._epoch())
        following = self._following(batch) if self._rollout.overlap else None
        with at_rest(self.accelerator, self.deepspeed, self._offload):
            rows = self._rollout(batch, following)
        masks = [torch.tensor(mask, device=self.accelerator.device) for mask in rows["env_mask"]]
        self._tutor_mask = torch.nn.utils.rnn.pad_sequence(masks, batch_first=True)
        self._outcomes = rows.pop("credited")
        return rows

    def _following(self, batch: Batch) -> Batch | None:
        """This rank's rows of the batch that will be trained on next; None after the last."""
        step = batch.step + self.args.num_iterations
        if step >= self.state.max_steps:
            return None
        if self._order is None:
            rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
            sampler = self._get_train_sampler()
            self._order = Order(sampler, rows=len(batch.indices), rank=rank, ranks=ranks)
        indices, epoch = self._order.after(batch.indices, batch.epoch)
        return Batch(indices=indices, step=step, epoch=epoch)

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> Tensor:
        self._tutor_mask = inputs["tool_mask"]
        self._scored = inputs if self._first_pass is not None else None
        return super()._compute_loss(model, inputs)

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        **more: Any,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """TRL's, on packed rows; 0 where the tutor did not speak.  Shapes: (rows, completion)."""
        if batch_size is not None:
            batch_size = self._score_rows or batch_size
        if self._packing_works(model):
            found = self._packed_logps(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy
            )
        else:
            found = super()._get_per_token_logps_and_entropies(
                model, input_ids, attention_mask, logits_to_keep, batch_size, compute_entropy,
                **more,
            )  # fmt: skip
        if self._first_pass is not None and self._scored is not None:
            self._first_pass.fill(self._scored, found[0])
            self._scored = None
        return found

    def _packed_logps(
        self,
        model: Any,
        input_ids: Tensor,
        attention_mask: Tensor,
        logits_to_keep: int,
        batch_size: int | None,
        compute_entropy: bool,
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        assert self._tutor_mask is not None
        labels = torch.full_like(input_ids, -100)
        tutor = self._tutor_mask.bool()
        labels[:, -logits_to_keep:][tutor] = input_ids[:, -logits_to_keep:][tutor]
        found = []
        for part in torch.arange(len(input_ids)).split(batch_size or len(input_ids)):
            mask = attention_mask[part]
            with self.accelerator.autocast(), packing.scored_tokens_only():
                inputs = packing.pack(input_ids[part], mask, labels[part])
                out = model(**inputs, fused_lm_head=True)
            wanted = [out.log_probs, *([out.entropy] if compute_entropy else [])]
            found.append([packing.unpack(x, mask)[:, -logits_to_keep:] for x in wanted])
        logps, *entropies = (torch.cat(parts) for parts in zip(*found, strict=True))
        return logps, entropies[0] if entropies else None, None

    def _packing_works(self, model: Any) -> bool:
        """Tried out on the first call, which all ranks make together."""
        if self._packs and not self._tried:
            self._tried = True
            with packing.scored_tokens_only():
                self._packs = packing.rows_are_apart(model, self.accelerator.device)
            if not self._packs:
                log.warning("train.padding_free: this model's layers mix packed rows; padded")
        return self._packs

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Means of the metrics on held-out problems, `eval_` before each name.  Collective.

        The metric that the best checkpoint goes by is NaN, which beats nothing, where it has no
        value.
        """
        step = self.state.global_step
        if self._last_loaded_step != step:  # TRL's own note of what the sampler holds
            self.vllm_generation.sync_weights()
            self._last_loaded_step = step
        with at_rest(self.accelerator, self.deepspeed, self._offload):
            found = {f"eval_{name}": value for name, value in self._evaluate_held_out(step).items()}
        self.log(dict(found))
        found.setdefault(f"eval_{self.args.metric_for_best_model}", math.nan)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        # With checkpoints every so many steps, transformers notes which step is the best but
        # keeps its weights only if a checkpoint was due.
        best = bool(super()._determine_best_metric(metrics=metrics, trial=trial))
        self.control.should_save = self.control.should_save or best
        return best
