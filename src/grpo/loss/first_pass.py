"""Old logprobs from the first loss pass over a batch, in place of a pass of their own.

The ratio and the sampler's correction compare with the weights before an update.  TRL scores a
batch with them beforehand.  But a batch is one optimizer step here, so the first of its mu loss
passes is made with the very same weights: its logprobs, detached, are the old ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from torch import Tensor
from trl.trainer.utils import nanmax, nanmin

Log = Callable[[str, float], None]
Inputs = dict[str, Tensor]


@dataclass(slots=True, kw_only=True)
class Correction:
    """The sampler's: its mode and the most that a token counts (TRL's settings)."""

    mode: str
    most: float

    def ratio(self, old: Tensor, sampled: Tensor, mask: Tensor) -> Tensor:
        """old / sampler for each token, 1 where the sampler gave no logprob; as TRL has it."""
        found = torch.exp(torch.nan_to_num((old - sampled) * mask, nan=0.0))
        if self.mode == "token_truncate":
            return found.clamp(max=self.most)
        return found.masked_fill(found > self.most, 0.0)  # token_mask


@dataclass(slots=True, kw_only=True)
class FirstPass:
    """What the first loss passes over a batch find out, micro-batch by micro-batch.

    `micro_batches`: of a batch, on this rank; `correction`: None where nothing is corrected.
    """

    accelerator: Accelerator
    micro_batches: int
    correction: Correction | None
    log: Log
    _seen: list[Inputs] = field(default_factory=list)

    def begin(self, batch: Inputs) -> Inputs:
        """A batch that TRL has scored without its old logprobs."""
        self._seen = []
        rows = torch.arange(len(batch["completion_ids"]))
        return batch | {"row": rows}  # TRL shuffles them

    def fill(self, inputs: Inputs, logps: Tensor) -> None:
        """Put into a micro-batch what TRL's loss wants to know, the first time that it is met.

        logps: (rows, completion), of the weights before the update.  Collective.
        """
        if "old_per_token_logps" in inputs:
            return
        old = inputs["old_per_token_logps"] = logps.detach()
        if self.correction is None:
            return
        mask = inputs["completion_mask"] * inputs["tool_mask"]
        sampled = inputs["sampling_per_token_logps"]
        inputs["importance_sampling_ratio"] = self.correction.ratio(old, sampled, mask)
        self._seen.append(inputs)
        if len(self._seen) == self.micro_batches:
            self._log_all()

    def _log_all(self) -> None:
        """TRL's metrics of the correction, over the whole batch in the order that it had."""
        order = torch.cat([each["row"] for each in self._seen]).argsort()

        def whole(name: str) -> Tensor:
            return torch.cat([each[name] for each in self._seen])[order]

        mask = (whole("completion_mask") * whole("tool_mask")).bool()
        apart = (whole("old_per_token_logps") - whole("sampling_per_token_logps")).abs()
        apart, ratio = apart[mask & ~apart.isnan()], whole("importance_sampling_ratio")[mask]
        gather, zero = self.accelerator.gather, mask.new_zeros((), dtype=torch.float32)

        def each(what: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
            found: Tensor = gather(what(values) if values.numel() else zero)
            return found

        difference, weight = (
            f"sampling/{name}" for name in ("sampling_logp_difference", "importance_sampling_ratio")
        )
        self.log(f"{difference}/mean", each(torch.mean, apart).mean().item())
        self.log(f"{difference}/max", each(torch.max, apart).max().item())
        self.log(f"{weight}/min", nanmin(each(torch.min, ratio)).item())
        self.log(f"{weight}/mean", each(torch.mean, ratio).nanmean().item())
        self.log(f"{weight}/max", nanmax(each(torch.max, ratio)).item())
        self._seen = []
