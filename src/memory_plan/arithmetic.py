"""How much memory weights, KV cache and training take: arithmetic on a model's shape, in bytes.

Counts of weights and of KV cache are exact; activations and logits are estimates (docs/memory.md
says what was measured).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# bytes of one weight of a quantised layer; 4 bits come with a scale (2 bytes) and a zero (half a
# byte) for every 128 weights
QUANTISED = {"awq": 0.5 + 2.5 / 128, "gptq": 0.5 + 2.5 / 128, "int4": 0.5 + 2.5 / 128, "fp8": 1.0}
# DeepSpeed's defaults, in elements: what ZeRO-3 gathers at most, the bucket of gradients, and what
# is stepped at a time
LIVE_PARAMETERS, BUCKET, SUB_GROUP = 10**9, 5 * 10**8, 10**9
TILE_TOKENS, TILE_WORDS = 4096, 32768  # of TRL's LM head
TILE_STEPS_ON_CPU = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """What a causal language model's sizes follow from; `linears` without the output head."""

    parameters: int
    linears: tuple[tuple[str, int, int], ...]  # name, inputs, outputs
    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    dtype: str = "bfloat16"

    def weight_bytes(self, dtype: str = "auto", quantization: str | None = None) -> float:
        """Of the whole model; quantised are the linear layers, without embedding and head."""
        each = BYTES[self.dtype if dtype == "auto" else dtype]
        quantised = QUANTISED.get(quantization or "", each)
        inside = sum(inputs * outputs for _, inputs, outputs in self.linears)
        return inside * quantised + (self.parameters - inside) * each

    def kv_bytes_per_token(self, dtype: str = "auto", tensor_parallel: int = 1) -> int:
        """Keys and values of one token on one GPU; a head is never cut."""
        each = BYTES[self.dtype if dtype == "auto" else dtype]
        heads = max(1, self.kv_heads // tensor_parallel)
        return 2 * self.layers * heads * self.head_dim * each

    def lora_parameters(self, rank: int, target: str = "all-linear") -> int:
        """Weights of adapters A (rank x inputs) and B (outputs x rank), named as peft does."""
        return sum(
            rank * (inputs + outputs)
            for name, inputs, outputs in self.linears
            if target == "all-linear" or re.fullmatch(target, name)
        )

    def activation_bytes(self, tokens: int, dtype: str, checkpointing: bool) -> float:
        """What the backward pass of `tokens` tokens needs kept, apart from logits.

        A layer of Llama's or Qwen's keeps 8 vectors of the hidden size, 4 of the intermediate, and
        keys and values twice; half precision also two hidden ones in float32, of its norms.  With
        checkpointing each layer keeps its input, and one layer all of it.
        """
        keys = self.kv_heads * self.head_dim
        vectors = 8 if BYTES[dtype] == 4 else 10
        layer = vectors * self.hidden + 4 * self.intermediate + 4 * keys
        kept = self.layers * self.hidden + layer if checkpointing else self.layers * layer
        return float(tokens * kept * BYTES[dtype])

    def adapter_bytes(
        self, tokens: int, dtype: str, checkpointing: bool, target: str = "all-linear"
    ) -> float:
        """What adapters take beside that: they are float32, and so is each input's copy for them.

        The widest output is held in float32 once more.  With checkpointing of one layer at a time.
        """
        if BYTES[dtype] == 4:
            return 0.0
        chosen = [
            (inputs, outputs)
            for name, inputs, outputs in self.linears
            if target == "all-linear" or re.fullmatch(target, name)
        ]
        copies = sum(inputs for inputs, _ in chosen) / (self.layers if checkpointing else 1)
        return tokens * 4.0 * (copies + max((outputs for _, outputs in chosen), default=0))

    def logit_bytes(
        self, tokens: int, dtype: str, *, head_is_trained: bool = True, on_cpu: bool = False
    ) -> float:
        """What TRL's head in tiles takes: one tile of logits, and the gradient of its weight.

        The gradient is summed in float32, then given the weight's dtype.  Without Triton, on a
        CPU, a tile is also held in float32 as often as its formula has steps.
        """
        tile = min(tokens, TILE_TOKENS) * min(self.vocabulary, TILE_WORDS)
        steps = 4 * TILE_STEPS_ON_CPU if on_cpu else 0
        weight = self.vocabulary * self.hidden * head_is_trained
        return float(tile * (BYTES[dtype] + steps) + weight * (4 + BYTES[dtype] % 4))


def quantization_of(name: str, given: str | None) -> str | None:
    """The kind of quantisation a setting or a model's name tells of, as a key of QUANTISED."""
    for kind in QUANTISED:
        if re.search(rf"(?i)(^|[^a-z]){kind}", given or name):
            return kind
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How the trainer's state lies on its ranks; stage 0: a copy on each, no DeepSpeed."""

    stage: int
    ranks: int
    offload_optimizer: bool = False
    offload_weights: bool = False

    def share(self, elements: float, since_stage: int) -> float:
        return elements / self.ranks if self.stage >= since_stage else elements


def trainer_state(
    shape: ModelShape,
    sharding: Sharding,
    *,
    trained: int,
    dtype: str,
    optimizer: str,
    reference: bool,
    on_cpu: bool = False,
) -> dict[str, float]:
    """Bytes of one rank, by what they are.  `trained`: how many weights are (LoRA: the adapters').

    Under DeepSpeed half-precision weights have a float32 master copy (float32 ones too, but for
    ZeRO-3); shards of gradients are summed in float32, and copied for the step, at most a sub-group
    of 1e9 at a time (ZeRO: arXiv 1910.02054, section 3).  A CPU has of a buffer only what was
    written to.
    """
    each, whole = BYTES[dtype], shape.parameters + (trained if trained < shape.parameters else 0)
    deepspeed, mine = sharding.stage > 0, sharding.share(trained, 1)
    master = deepspeed and (each < 4 or sharding.stage < 3)
    moments = 2.0 if "8bit" in optimizer else 2.0 * (4 if deepspeed else each)
    state = {
        "weights": sharding.share(whole, 3) * each,
        "KL reference": sharding.share(shape.parameters, 3) * each if reference else 0.0,
        "master weights": mine * 4.0 if master else 0.0,
        "moments": mine * moments,
        "gradients": sharding.share(trained, 2) * (4.0 if sharding.stage >= 2 else each),
        "gradient bucket": 0.0,
        "step": 4.0 * min(mine, SUB_GROUP) if deepspeed else 0.0,
        "gathered": 0.0,
    }
    if sharding.stage >= 2:
        state["gradient bucket"] = float(min(trained, BUCKET) if on_cpu else BUCKET) * each
    if sharding.stage == 3:
        state["gathered"] = float(min(whole, LIVE_PARAMETERS)) * each
    return {name: size for name, size in state.items() if size}


def at_rest(state: Mapping[str, float], sharding: Sharding) -> dict[str, float]:
    """What of it stays between two steps; ZeRO-3 keeps gradients and their bucket allocated."""
    passing = {"step", "gathered"}
    if sharding.stage < 3:
        passing |= {"gradients", "gradient bucket"}
    return {name: size for name, size in state.items() if name not in passing}


def offloaded(sharding: Sharding, optimizer: str) -> set[str]:
    """What DeepSpeed moves to RAM by `train.offload_during_rollouts`; the bucket is only freed."""
    names = {"weights", "master weights", "moments"}
    if sharding.stage < 3:
        return names
    kept = set() if optimizer == "fused_adam" else {"master weights", "moments"}
    return names - kept | {"gradients", "gradient bucket"}
