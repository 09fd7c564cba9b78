"""TRL's GRPO trainer, imported without vLLM, which TRL loads where it is and no rank asks.

Engines are processes of their own here.  That saves each rank seconds of start and its memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trl import import_utils


@contextmanager
def without_vllm() -> Iterator[None]:
    """What is imported meanwhile finds no vLLM."""
    before = import_utils.is_vllm_available
    import_utils.is_vllm_available = lambda min_version=None: False
    try:
        yield
    finally:
        import_utils.is_vllm_available = before


with without_vllm():
    from trl import GRPOConfig, GRPOTrainer

__all__ = ["GRPOConfig", "GRPOTrainer"]
