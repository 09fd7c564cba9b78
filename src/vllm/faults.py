"""Faults that tests switch on by `engines.fault`; nothing else imports this module."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from vllm.v1.worker.cpu_worker import CPUWorker


class ForgetfulWorker(CPUWorker):
    """A CPU worker whose weights really are lost in a sleep of level 2, as on a GPU.

    Every weight becomes NaN, the packed copies that the CPU computes with among them.
    """

    def sleep(self, level: int = 1) -> None:
        if level < 2:
            return
        modules: Iterable[Any] = self.get_model().modules()
        for module in modules:
            for parameter in module.parameters(recurse=False):
                parameter.data.fill_(torch.nan)
            if hasattr(module, "cpu_linear"):
                module.cpu_linear = _lost

    def wake_up(self, tags: list[str] | None = None) -> None:
        return


def _lost(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    raise RuntimeError("slept weights were used before new ones came")
