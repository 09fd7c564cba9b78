"""What we add to vLLM's workers: loading published weights in place, checked before any change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from src.vllm.weights import Refused, identity, open_published


class PublishedWeights:
    """Mixed into vLLM's worker class by --worker-extension-cls; called through /collective_rpc.

    A refusal is returned, not raised: after an exception in one worker the replies of several are
    out of step.
    """

    # the worker's own; only annotated, since vLLM refuses an extension that has what it has
    parallel_config: Any
    model_config: Any
    device: torch.device
    get_model: Callable[[], Any]
    reload_weights: Callable[..., None]

    def load_published(self, path: str, version: str) -> dict[str, Any]:
        """Replace the weights by those of a file; {"loaded": version} or {"refused": reason}."""
        try:
            known = getattr(self, "_found_whole", ())
            with open_published(Path(path), int(version), known) as published:
                self._found_whole = identity(Path(path))
                self._check_layout(published)
                self._replace_weights(published)
        except Refused as reason:
            if self.parallel_config.data_parallel_size > 1:  # only the first result comes back
                raise
            return {"refused": str(reason)}
        self._version = int(version)
        return {"loaded": self._version}

    def published_version(self) -> dict[str, int | None]:
        """The version loaded last; None for the weights that the server started with."""
        return {"version": getattr(self, "_version", None)}

    def _check_layout(self, published: Any) -> None:
        required, optional = self._layout()
        names = set(published.keys())
        for what, odd in (
            ("is not in the model", names - required.keys() - optional.keys()),
            ("is missing", required.keys() - names),
        ):
            if odd:
                raise Refused(f"{min(odd)} {what} ({len(odd)} such names)")
        for name in sorted(names):
            shape = tuple(published.get_slice(name).get_shape())
            wanted = required.get(name) or optional[name]
            if shape != wanted:
                raise Refused(f"{name} has shape {shape}, the model's is {wanted}")

    def _layout(self) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        """Names and shapes of transformers' state_dict; apart, those tied to another weight."""
        if not hasattr(self, "_known_layout"):
            from transformers import AutoModelForCausalLM

            config = self.model_config.hf_config
            with torch.device("meta"):
                model = AutoModelForCausalLM.from_config(config)
            shapes = {name: tuple(t.shape) for name, t in model.state_dict().items()}
            tied = set(getattr(model, "all_tied_weights_keys", None) or {})
            required = {n: s for n, s in shapes.items() if n not in tied}
            self._known_layout = required, {n: s for n, s in shapes.items() if n in tied}
        return self._known_layout

    def _replace_weights(self, published: Any) -> None:
        names = published.keys()
        self.reload_weights(weights_iterator=((n, published.get_tensor(n)) for n in names))
        if self.device.type == "cpu":
            self._repack_tied_heads()

    def _repack_tied_heads(self) -> None:
        """vLLM's CPU backend computes with a packed copy of each weight, and does not renew that
        of an output head which shares the embedding's weight.  The embedding's, which it renews
        and never uses, is the same."""
        from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm
        from vllm.model_executor.layers.vocab_parallel_embedding import (
            ParallelLMHead,
            VocabParallelEmbedding,
        )

        tables = [m for m in self.get_model().modules() if isinstance(m, VocabParallelEmbedding)]
        heads = [m for m in tables if isinstance(m, ParallelLMHead)]
        packed = {
            id(m.weight): m.cpu_linear
            for m in tables
            if m not in heads and hasattr(m, "cpu_linear")
        }
        for head in heads:
            if id(head.weight) in packed:
                head.cpu_linear = packed[id(head.weight)]
            else:
                dispatch_cpu_unquantized_gemm(head, remove_weight=False)
