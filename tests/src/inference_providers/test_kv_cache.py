"""The cache that grows in place holds what transformers' own would."""

from __future__ import annotations

import torch
from transformers import DynamicCache
from transformers.cache_utils import DynamicSlidingWindowLayer

from src.inference_providers.kv_cache import RoomyLayer, make_room


def new(rows: int, tokens: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rows, 2, tokens, 4), torch.randn(rows, 2, tokens, 6)


def test_it_holds_what_the_copying_one_holds_and_does_not_move() -> None:
    ours, theirs = DynamicCache(), DynamicCache()
    prompt = new(3, 5)
    for cache in (ours, theirs):
        cache.update(*prompt, 0)
    make_room(ours, 4)
    assert isinstance(ours.layers[0], RoomyLayer)
    places = set()
    for step in range(4):
        token = new(3 if step < 2 else 2, 1)
        for got, expected in zip(ours.update(*token, 0), theirs.update(*token, 0), strict=True):
            assert torch.equal(got, expected)
        places.add(ours.layers[0].keys.data_ptr())
        assert ours.get_seq_length() == theirs.get_seq_length() == 6 + step
        assert ours.get_mask_sizes(1, 0) == theirs.get_mask_sizes(1, 0)
        if step == 1:
            for cache in (ours, theirs):
                cache.batch_select_indices(torch.tensor([2, 0]))
    assert len(places) == 2  # one before rows left, one after


def test_layers_of_another_kind_are_left_alone() -> None:
    cache = DynamicCache()
    cache.layers.append(DynamicSlidingWindowLayer(sliding_window=3))
    cache.update(*new(1, 5), 0)
    make_room(cache, 4)
    assert type(cache.layers[0]) is DynamicSlidingWindowLayer
    make_room(object(), 4)  # a state that has no layers
