"""Seconds of a model on cards: prompts, sampled tokens, and passes of a trainer."""

from __future__ import annotations

from dataclasses import dataclass

from src.memory_plan.arithmetic import ModelShape, quantization_of
from src.time_plan.assumed import Assumed
from src.time_plan.cards import Card
from src.vllm.spec import EngineSpec


def forward_flops(shape: ModelShape, tokens: float, context: float, scored: float = 0.0) -> float:
    """Of `tokens` that see `context` tokens on average; the head on `scored` of them.

    2 for each weight and token; 4 x heads x head_dim for each layer, token and token seen.
    """
    body = 2.0 * sum(inputs * outputs for _, inputs, outputs in shape.linears)
    attention = 4.0 * shape.layers * shape.heads * shape.head_dim
    head = 2.0 * shape.vocabulary * shape.hidden
    return tokens * (body + attention * context) + scored * head


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCost:
    """An engine on `gpus` cards (a CPU is one); `instances` of it share its requests."""

    spec: EngineSpec
    shape: ModelShape
    card: Card
    gpus: int
    instances: int
    assumed: Assumed

    @property
    def weights(self) -> float:
        kind = quantization_of(self.spec.model, self.spec.quantization)
        return self.shape.weight_bytes(self.spec.dtype, kind)

    @property
    def shard(self) -> float:
        """Bytes of weights on one card."""
        return self.weights * self.instances / self.gpus

    def prompt_s(self, tokens: float, length: float) -> float:
        """Reading prompts of so many tokens in all, each about `length` long."""
        flops = forward_flops(self.shape, tokens, length / 2)
        return flops / (self.gpus * self.card.flops * self.assumed.prefill)

    def sample_s(self, tokens: float, chain: float, length: float) -> float:
        """Sampling so many tokens, at least `chain` one after the other, `length` behind each."""
        steps = max(1.0, chain, tokens / (self.spec.max_num_seqs * self.instances))
        rows = tokens / steps
        kv = self.shape.kv_bytes_per_token(self.spec.dtype) * rows * length / self.gpus
        memory = (self.shard + kv) / (self.card.bandwidth * self.assumed.bandwidth)
        flops = forward_flops(self.shape, rows, length, rows)
        compute = flops / (self.gpus * self.card.flops * self.assumed.prefill)
        return steps * (max(memory, compute) + self.assumed.step_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainerCost:
    """The trainer's ranks, one a card; all ranks of a CPU share it."""

    shape: ModelShape
    card: Card
    cards: int
    ranks: int
    sharded: bool  # ZeRO-3: each pass gathers the weights
    assumed: Assumed

    def pass_s(self, flops: float, times: float, micro_batches: float) -> float:
        """`times` forward passes' work, cut into so many micro-batches a rank."""
        compute = times * flops / (self.cards * self.card.flops * self.assumed.training)
        gathered = 0.0
        if self.sharded and self.cards > 1:
            gathered = times * micro_batches * self.shape.weight_bytes() / self.card.link
        return max(compute, gathered) + times * micro_batches * self.assumed.pass_s
