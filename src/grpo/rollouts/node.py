"""The ranks of one node, talking over gloo: one of them leads, and the others wait on its pulse.

A rank that waits inside a collective would run into that collective's time-out, and on a GPU spin
on the device that the engines need.  Here it waits for a small message every few seconds instead,
so that a rollout may take as long as it takes, and a lead that died is noticed at once.  The leads
of several nodes meet in the same rhythm: no node goes on before all have done their share.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist

from config.errors import RunError

T = TypeVar("T")

PULSE_S = 5.0
TIMEOUT = timedelta(minutes=10)  # far above a pulse; only a dead or frozen lead runs into it
_DONE, _WORKING, _FAILED = 0, 1, 2  # the greatest of several leads' counts


class LeadFailed(RunError):
    """The node's lead rank failed; its own message says why."""


def peer_is_gone(error: RuntimeError) -> bool:
    """Whether a collective failed because another rank has ended."""
    said = str(error)
    return "gloo/transport" in said and ("by peer" in said or "Broken pipe" in said)


class Node:
    """This node's ranks.  Every method but the properties is collective among them."""

    def __init__(self, pulse_s: float = PULSE_S, timeout: timedelta = TIMEOUT) -> None:
        self.pulse_s = pulse_s
        self.rank = dist.get_rank() if dist.is_initialized() else 0
        self.world_size = dist.get_world_size() if dist.is_initialized() else 1
        self.local_size = int(os.environ.get("LOCAL_WORLD_SIZE", self.world_size))
        self.index = self.rank // self.local_size
        self.lead = self.index * self.local_size
        self._group: dist.ProcessGroup | None = None
        self._leads: dist.ProcessGroup | None = None
        if self.world_size > 1:
            # Every rank must take part in the making of every group.
            for first in range(0, self.world_size, self.local_size):
                ranks = list(range(first, first + self.local_size))
                group = dist.new_group(ranks, backend="gloo", timeout=timeout)
                if self.rank in ranks:
                    self._group = group
            leads = list(range(0, self.world_size, self.local_size))
            group = dist.new_group(leads, backend="gloo", timeout=timeout)
            if len(leads) > 1 and self.leads:
                self._leads = group

    @property
    def leads(self) -> bool:
        """Whether this rank runs the classroom for its node."""
        return self.rank == self.lead

    @property
    def count(self) -> int:
        """How many nodes there are."""
        return self.world_size // self.local_size

    @property
    def alone(self) -> bool:
        return self._group is None or self.local_size == 1

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in rank order, on the lead; empty elsewhere."""
        if self.alone:
            return [value]
        found: list[T] = [value] * self.local_size if self.leads else []
        dist.gather_object(value, found if self.leads else None, dst=self.lead, group=self._group)
        return found

    def scatter(self, values: Sequence[T] | None) -> T:
        """The lead's n-th value to the node's n-th rank."""
        if self.alone:
            assert values is not None
            return values[0]
        out: list[T | None] = [None]
        dist.scatter_object_list(
            out, list(values) if values is not None else None, src=self.lead, group=self._group
        )
        return out[0]  # type: ignore[return-value]

    def from_leads(self, value: T | None) -> list[T]:
        """Every lead's value (None from the other ranks), on every rank of every node.

        Collective over all ranks; nodes may come to it as far apart as `ddp_timeout` allows.
        """
        if self.world_size == 1:
            assert value is not None
            return [value]
        found: list[T | None] = [None] * self.world_size
        dist.all_gather_object(found, value)
        return [each for each in found if each is not None]

    def on_lead(self, work: Callable[[], T]) -> T | None:
        """Run `work` on every node's lead while the others wait; its result, or None elsewhere.

        All return when the last lead is done.  Raises what `work` raised on the lead, and
        LeadFailed on all others.
        """
        if self.world_size == 1:
            return work()
        if not self.leads:
            self._wait()
            return None
        return self._work(work)

    def _work(self, work: Callable[[], T]) -> T:
        result: list[T] = []
        failure: list[BaseException] = []
        finished = threading.Event()

        def run() -> None:
            try:
                result.append(work())
            except BaseException as error:
                failure.append(error)
            finally:
                finished.set()

        threading.Thread(target=run, name="lead", daemon=True).start()
        signal = _WORKING
        while signal == _WORKING:
            mine = _WORKING
            if finished.wait(self.pulse_s):
                mine = _FAILED if failure else _DONE
            signal = self._pulse(self._worst(mine))
        if failure:
            raise failure[0]
        if signal == _FAILED:
            raise LeadFailed("the lead rank of another node failed; its message says why")
        return result[0]

    def _worst(self, mine: int) -> int:
        """Failed if any lead has, else working if any is."""
        flag = torch.tensor([mine])
        if self._leads is not None:
            dist.all_reduce(flag, op=dist.ReduceOp.MAX, group=self._leads)
        return int(flag.item())

    def _wait(self) -> None:
        while (signal := self._pulse(_WORKING)) == _WORKING:
            pass
        if signal == _FAILED:
            raise LeadFailed(f"rank {self.lead} failed; its message is above")

    def _pulse(self, signal: int) -> int:
        flag = torch.tensor([signal])
        if self.alone:
            return signal
        dist.broadcast(flag, src=self.lead, group=self._group)
        return int(flag.item())
