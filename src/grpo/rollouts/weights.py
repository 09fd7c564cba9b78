"""New weights to the engine that samples the tutor, after every update, without restarting it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from config.errors import RunError
from src.grpo.rollouts.node import Node
from src.vllm.weights import publish, publish_adapter
from utils.runs.disk import one_line_if_full

log = logging.getLogger(__name__)
PIECE_BYTES = 256 << 20  # of weights gathered at a time under ZeRO-3

Named = tuple[str, torch.nn.Parameter]


def pieces(parameters: Sequence[Named], limit: int = PIECE_BYTES) -> Iterator[list[Named]]:
    """Cut into runs of at most `limit` bytes of whole weights, at least one weight each."""
    piece: list[Named] = []
    size = 0
    for name, parameter in parameters:
        count = getattr(parameter, "ds_numel", parameter.numel())
        wanted = count * parameter.element_size()
        if piece and size + wanted > limit:
            yield piece
            piece, size = [], 0
        piece.append((name, parameter))
        size += wanted
    if piece:
        yield piece


def whole_weights(
    model: torch.nn.Module, piece_bytes: int = PIECE_BYTES
) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, whole tensor) of every weight, by transformers' names; tied ones once.

    Under ZeRO-3 this is collective: every rank has to walk it to the end.  At most `piece_bytes` of
    gathered weights, or one weight, are in memory beside the model's own shards; on a CPU gloo
    holds a copy of them while it gathers.
    """
    yield from _whole(list(model.named_parameters()), piece_bytes)


def adapter_weights(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, whole tensor) of a PeftModel's adapter alone, named as peft names them in its files.

    Collective under ZeRO-3, as `whole_weights` is.
    """
    mark = ".default."  # the adapter's own name, which files leave out
    named = [(name, p) for name, p in model.named_parameters() if "lora_" in name and mark in name]
    for name, tensor in _whole(named):
        yield name.replace(mark, "."), tensor


def _whole(
    parameters: Sequence[Named], piece_bytes: int = PIECE_BYTES
) -> Iterator[tuple[str, torch.Tensor]]:
    for piece in pieces(parameters, piece_bytes):
        shards = [p for _, p in piece if hasattr(p, "ds_id")]
        with _gathered(shards):
            for name, parameter in piece:
                yield name, parameter.data


def _gathered(shards: list[Any]) -> Any:
    if not shards:
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(shards)


class EngineWeights:
    """Publishes the trained weights and has the node's engine load them; a version per hand-off."""

    def __init__(
        self,
        node: Node,
        folder: Path | None,
        load: Callable[[Path, int], None],
        model: Callable[[], torch.nn.Module],
        wait: Callable[[], None] | None = None,
    ) -> None:
        """`folder` and `load` are used on the lead only: where files go, and who loads them.

        `model` gives the trained module.  `wait` runs on the lead too, and is None on all ranks or
        on none: it returns when no conversation is in flight, so that none meets two weights.
        """
        self.node, self.folder, self.load, self.wait = node, folder, load, wait
        self.model = model
        self.version = 0
        self.seconds: float = 0.0

    def sync_weights(self) -> None:
        """Gather, write, load, and check the version.  Collective."""
        if self.wait is not None:
            self.node.on_lead(self.wait)
        began = time.monotonic()
        self.version += 1
        model = self.model()
        adapter = getattr(model, "peft_config", None)
        weights = adapter_weights(model) if adapter else whole_weights(model)
        written: list[Path] = []
        failure: list[RunError] = []
        if self.node.leads:
            try:
                with one_line_if_full("engines.weights_dir", self.folder):
                    written.append(self._publish(weights, adapter))
            except RunError as error:
                failure.append(error)
        for _ in weights:  # gathering goes on on every rank, whatever became of the lead's file
            pass

        def load() -> None:
            if failure:
                raise failure[0]
            self.load(written[0], self.version)

        self.node.on_lead(load)
        self.seconds = time.monotonic() - began
        log.debug("weights %d handed over in %.2f s", self.version, self.seconds)

    def _publish(self, weights: Iterator[tuple[str, torch.Tensor]], adapter: Any) -> Path:
        assert self.folder is not None
        if adapter:
            return publish_adapter(weights, adapter["default"].to_dict(), self.folder, self.version)
        return publish(weights, self.folder, self.version)
