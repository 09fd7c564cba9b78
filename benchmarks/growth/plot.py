"""The picture of growth: a conversation's cost, a lead's share in the node layer, longer talks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def plot(found: Mapping[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "growth", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, (conversations, nodes, lengths) = pyplot.subplots(1, 3, figsize=(12, 3.2))
    rows = found.get("conversations", [])
    sizes = [row["conversations"] for row in rows]
    _line(conversations, sizes, [1e3 * r["cpu_s"] / r["conversations"] for r in rows], "CPU ms")
    memory = [r["memory_bytes"] / 1024 / r["conversations"] for r in rows]
    _line(conversations, sizes, memory, "KiB of memory")
    record = [r["record_bytes"] / 1024 / r["conversations"] for r in rows]
    _line(conversations, sizes, record, "KiB of record")
    _axes(conversations, "conversations of a rollout", "of one conversation", sizes)
    rows = found.get("nodes", [])
    sizes = [row["nodes"] for row in rows]
    for name in ("pulse", "evaluation", "outcomes"):
        _line(nodes, sizes, [row[f"{name}_ms"] for row in rows], name)
    _axes(nodes, "nodes", "CPU ms of one lead", sizes)
    for name, costs in found.get("lengths", {}).items():
        sizes = [int(size) for size in costs]
        _line(lengths, sizes, [1e3 * cost / 64 for cost in costs.values()], name)
    ticks, each = [2, 32, 500, 8000], "CPU ms of one conversation"
    _axes(lengths, "messages or tokens of a conversation", each, ticks)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def _line(panel: Any, sizes: Sequence[int], values: Sequence[float], label: str) -> None:
    panel.loglog(sizes, values, "o-", label=label)


def _axes(panel: Any, x: str, y: str, ticks: Sequence[int]) -> None:
    panel.set(xlabel=x, ylabel=y)
    panel.minorticks_off()
    low, high = map(math.log10, panel.get_ylim())
    panel.set_ylim(10 ** math.floor(low), 10 ** math.ceil(high))
    panel.set_xticks(ticks, [f"{size:,}" for size in ticks])
    panel.legend(fontsize="small")
