"""A micro-batch of conversations as one row without padding, each attending to itself only.

Flash attention tells conversations apart by their position ids.  For SDPA, `PACKED` is registered
with transformers: it runs transformers' own SDPA on one conversation after the other, so no mask
of tokens x tokens is made, on a CPU or a GPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import trl.trainer.utils as trl_utils
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

PACKED = "packed_sdpa"
SOFTMAX_LAYERS = {"full_attention", "sliding_attention"}


def packed_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    row_lengths: Sequence[int] | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """SDPA within each of the rows of `row_lengths` tokens; without them, transformers' own.

    query: (1, heads, tokens, head_dim); returns (1, tokens, heads, head_dim).
    """
    if row_lengths is None:
        found, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return found, None
    rows = zip(*(x.split(list(row_lengths), dim=2) for x in (query, key, value)), strict=True)
    done = [
        sdpa_attention_forward(module, q, k, v, _window(q, sliding_window), **kwargs)[0]
        for q, k, v in rows
    ]
    return torch.cat(done, dim=1), None


def _window(query: Tensor, size: int | None) -> Tensor | None:
    """The mask of one row; None, which is causal, where no token is further back than `size`."""
    length = query.shape[2]
    if size is None or length <= size:
        return None
    at = torch.arange(length, device=query.device)
    back = at[:, None] - at[None, :]
    return ((back >= 0) & (back < size))[None, None]


def _mask(*, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    # transformers finds packed rows in the position ids, and says so by forbidding the causal skip.
    if attention_mask is None and not kwargs["allow_is_causal_skip"]:
        return None
    return sdpa_mask(attention_mask=attention_mask, **kwargs)


AttentionInterface.register(PACKED, packed_attention)
AttentionMaskInterface.register(PACKED, _mask)


def prepare(model: PreTrainedModel) -> bool:
    """Let `model` take packed rows; False where its attention cannot (it is then left alone)."""
    config = model.config.get_text_config()
    if not SOFTMAX_LAYERS.issuperset(getattr(config, "layer_types", None) or ()):
        return False
    if config._attn_implementation == "sdpa":
        model.set_attn_implementation(PACKED)
    kind = config._attn_implementation
    return kind == PACKED or kind.startswith("flash_attention")


def pack(ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Any]:
    """The model's inputs for padded (rows, length) tensors: one row of all their tokens."""
    real = attention_mask.bool()
    return {
        "input_ids": ids[real][None],
        "labels": labels[real][None],
        "position_ids": (real.cumsum(1) - 1)[real][None],
        "row_lengths": real.sum(1).tolist(),
    }


def unpack(values: Tensor, attention_mask: Tensor) -> Tensor:
    """(1, tokens - 1) values of the second token onwards, back to (rows, length); 0 elsewhere."""
    flat = torch.nn.functional.pad(values, (1, 0))
    empty = flat.new_zeros(attention_mask.shape)
    return empty.masked_scatter(attention_mask.bool(), flat)


@torch.no_grad()
def rows_are_apart(model: torch.nn.Module, device: torch.device) -> bool:
    """Whether what a row holds leaves the next one alone: false for layers that carry a state.

    Collective where the model is sharded.
    """
    ids = torch.arange(24, device=device).reshape(3, 8)
    mask = torch.ones_like(ids[:2])

    def last_row(first: int) -> Tensor:
        rows = ids[[first, 2]]
        found = model(**pack(rows, mask, rows), fused_lm_head=True).log_probs
        return unpack(found, mask)[1, 1:].float()

    return bool(torch.allclose(last_row(0), last_row(1), rtol=1e-2, atol=1e-2))


@contextmanager
def scored_tokens_only() -> Iterator[None]:
    """Let TRL's fused head leave out rows without a label on any device, not only with Triton."""
    before, trl_utils._use_triton = trl_utils._use_triton, lambda device: True
    try:
        yield
    finally:
        trl_utils._use_triton = before
