"""A KV cache that grows in place: transformers' own copies all it holds for every new token."""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import DynamicLayer


class RoomyLayer(DynamicLayer):
    """A layer's keys and values, (rows, heads, tokens, head size), with room for more tokens."""

    def __init__(self, layer: DynamicLayer, room: int) -> None:
        super().__init__()
        assert layer.keys is not None and layer.values is not None
        self.lazy_initialization(layer.keys, layer.values)
        self._most = layer.keys.shape[-2] + room
        self._take(layer.keys, layer.values)

    def _take(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Hold these in buffers of their own."""
        rows, heads, tokens, _ = keys.shape
        self._buffers = [x.new_empty(rows, heads, self._most, x.shape[-1]) for x in (keys, values)]
        for buffer, held in zip(self._buffers, (keys, values), strict=True):
            buffer[:, :, :tokens] = held
        self._show(tokens)

    def _show(self, tokens: int) -> None:
        self.keys, self.values = (buffer[:, :, :tokens] for buffer in self._buffers)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the new tokens'; all of them so far.  RuntimeError where there is no room."""
        first = self.get_seq_length()
        last = first + key_states.shape[-2]
        for buffer, new in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, first:last] = new
        self._show(last)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep these rows, in this order."""
        self._take(self.keys[indices], self.values[indices])


def make_room(cache: Any, tokens: int) -> None:
    """Let the layers that hold every token take this many more in place; leave others as they are.

    `cache`: what a model's forward pass gave back, holding its prompt.
    """
    layers = getattr(cache, "layers", [])
    for at, layer in enumerate(layers):
        if type(layer) is DynamicLayer:
            layers[at] = RoomyLayer(layer, tokens)
