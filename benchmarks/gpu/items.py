"""The items of first contact: what each does, where its code is, and how long it may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.gpu.needs import ENGINE, SCHEMAS, TRAINER


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """`work` is `module:function` of this package; `engine`: it asks the engine that V1 starts.

    seconds: after so many it is ended.  90 and 100 were too tight once (docs/gpu.md).
    """

    name: str
    what: str
    work: str
    seconds: float
    engine: bool = False

    @property
    def needs(self) -> tuple[str, ...]:
        """Modules that it imports, by way of what it runs."""
        if self.name.startswith("T"):
            return TRAINER
        if self.name == "V4":
            return (*ENGINE, *SCHEMAS)
        return (*TRAINER, *ENGINE) if self.name in ("V2", "V3", "L") else ENGINE


ITEMS = (
    Item(
        name="T1",
        what="0.5B: gradients packed and padded in bf16, against padded fp32",
        work="train_items:gradients",
        seconds=160,
    ),
    Item(
        name="T2",
        what="1.5B, 64 rows: seconds, tokens/s, MFU; packed against padded",
        work="train_items:speed",
        seconds=200,
    ),
    Item(
        name="T2-optimizer",
        what="1.5B, 64 rows: what 8-bit Adam takes of a step, paged and not, and torch's own",
        work="train_items:optimizers",
        seconds=240,
    ),
    Item(
        name="T3",
        what="1.5B, ZeRO-3: peak memory against the plan; GB/s of the hand-over",
        work="train_items:memory_and_hand_over",
        seconds=160,
    ),
    Item(
        name="T3-resume",
        what="0.5B, ZeRO-3: the same loss after going on from a checkpoint",
        work="zero_items:resume",
        seconds=180,
    ),
    Item(
        name="T3-accumulate",
        what="0.5B, ZeRO-3: gradients of 16 micro-batches summed in bf16 and fp32",
        work="zero_items:accumulation",
        seconds=180,
    ),
    Item(
        name="T4",
        what="7B, LoRA, ZeRO-2, a row of 8,192 tokens: tokens/s, MFU, peak against the plan",
        work="train_items:adapters",
        seconds=160,
    ),
    Item(
        name="V1",
        what="an engine of ours: start, model runner, memory awake and asleep",
        work="engine_items:start",
        seconds=60,
        engine=True,
    ),
    Item(
        name="V2",
        what="64 x 256 sampled tokens: sampler against packed trainer, bf16 and fp32",
        work="engine_items:sampler_and_trainer",
        seconds=150,
        engine=True,
    ),
    Item(
        name="V3",
        what="sleep and wake at both levels, changed weights three times, greedy ids",
        work="reload_items:sleep_and_reload",
        seconds=90,
        engine=True,
    ),
    Item(
        name="V4",
        what="JSON schema, seeds, priorities, tokens/s of 128 requests",
        work="request_items:requests",
        seconds=60,
        engine=True,
    ),
    Item(
        name="V5",
        what="an FP8 engine: sleep at level 1, wake, the same ids",
        work="request_items:fp8",
        seconds=240,
    ),
    Item(
        name="V6",
        what="an engine compiled and with CUDA graphs: start, tokens/s",
        work="request_items:compiled",
        seconds=300,
    ),
    Item(
        name="L",
        what="the toy's whole run: engines, conversations, updates, hand-over",
        work="whole_runs:toy",
        seconds=300,
    ),
)
GROUPS = {"train": "T", "engine": "V"}


def chosen(names: Sequence[str]) -> list[Item]:
    """Items by name, with their parts (T3: T3-resume too), or by group; all where none is named.

    Raises KeyError with the name that is none.
    """
    if not names:
        return list(ITEMS)
    found = []
    for name in names:
        start = GROUPS.get(name)
        mine = [
            item
            for item in ITEMS
            if (start is not None and item.name.startswith(start))
            or name in (item.name, item.name.partition("-")[0])
        ]
        if not mine:
            raise KeyError(name)
        found += [item for item in mine if item not in found]
    return found
