"""What the plan of time assumes: shares of the roofline, fixed costs, and how long texts are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from config.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """Each may be given by --assume NAME=VALUE.  Seconds, bytes/s, tokens, or shares.

    Defaults are a GPU's.  `measured` says those that one H200 gave (docs/gpu.md); the rest are
    estimates that no card of ours has met.
    """

    training: float = 0.40  # of the card's FLOP/s; measured: 7B, adapters, 8,192 tokens
    prefill: float = 0.45  # of FLOP/s, in engines
    bandwidth: float = 0.70  # of memory's, while engines decode
    step_s: float = 2.5e-3  # of an engine's step, beside its roofline
    request_s: float = 0.3e-3  # of a request: HTTP and client
    pass_s: float = 0.014  # of a micro-batch's pass: kernels launched; measured: 64 short rows
    optimizer_s: float = 1.55  # a step on 1e9 weights of a rank; measured: paged 8-bit Adam
    update_s: float = 3.0  # of an update, beside all that is named
    write: float = 2.0e9  # new weights to shared memory; measured before it was mended: 0.96e9
    digest: float = 4.9e9  # measured
    load: float = 6.0e9  # of a worker's share, from shared memory to its GPU
    hand_over_s: float = 0.5
    switch_s: float = 0.6  # of falling asleep and waking, beside the copy; measured: 0.2 to 1.2
    sharing: float = 1.3  # tutor and student awake on the same GPUs
    turns: float = 0.66  # of generation.max_turns
    tutor_tokens: float = 110.0  # a message
    student_tokens: float = 80.0
    solution_tokens: float = 450.0
    judge_tokens: float = 180.0
    longest: float = 2.6  # the longest conversation of a batch, over the mean
    longest_message: float = 4.7  # the longest message of a round
    problem_tokens: float = 80.0
    glue_tokens: float = 6.0  # a message's markers
    letters_a_token: float = 4.2

    def times_longer(self, factor: float) -> Assumed:
        """The same with longer texts and, by the fourth root, less of the roofline."""
        names = ("tutor_tokens", "student_tokens", "solution_tokens", "judge_tokens")
        shares = ("training", "prefill", "bandwidth")
        return replace(
            self,
            **{name: getattr(self, name) * factor for name in names},
            **{name: getattr(self, name) / factor**0.25 for name in shares},
        )


# Two cores: fitted to docs/benchmarks.md's updates of SmolLM2 and the toy (docs/benchmarks.json).
ON_CPU = Assumed(
    training=0.85,
    prefill=0.5,  # an engine has one thread of two, and waits for the other
    bandwidth=0.5,
    step_s=4e-3,
    request_s=1.5e-3,
    pass_s=0.006,
    optimizer_s=1.5,
    update_s=0.05,
    write=1.0e9,
    digest=7.0e9,
    load=0.6e9,
    hand_over_s=0.02,
    switch_s=0.0,
    sharing=1.0,
)
# Tutors whose texts are known.  The toy has a language of its own: 64 conversations of it.  The
# small model hardly ever ends a conversation; its messages are fitted as ON_CPU is.
TEXTS: dict[str, dict[str, float]] = {
    "toy/checkpoints/tutor": {
        "turns": 0.8,
        "tutor_tokens": 8.4,
        "student_tokens": 3.2,
        "solution_tokens": 20.0,
        "longest": 1.5,
        "problem_tokens": 12.0,
        "glue_tokens": 1.5,
    },
    "embedded:smollm2-135m-instruct": {
        "turns": 1.0,
        "tutor_tokens": 70.0,
        "student_tokens": 70.0,
        "solution_tokens": 70.0,
        "longest": 1.2,
        "problem_tokens": 20.0,
    },
}


def assumed(
    tutor: str, on_cpu: bool, given: Sequence[str] = (), measured: Path | None = None
) -> Assumed:
    """Defaults of the machine and the tutor, then what was measured, then what was typed.

    Raises ConfigError for a name or a value that is none, or a file that cannot be read.
    """
    values: dict[str, float] = dict(TEXTS.get(tutor, {}))
    if measured is not None:
        values |= _measured(measured)
    names = {field.name for field in fields(Assumed)}
    for text in given:
        name, _, value = text.partition("=")
        if name not in names:
            raise ConfigError(f"--assume: {name} is none of {', '.join(sorted(names))}")
        try:
            values[name] = float(value)
        except ValueError:
            raise ConfigError(f"--assume: {name}={value} is not a number") from None
        if values[name] < 0 or (values[name] == 0 and not name.endswith("_s")):
            raise ConfigError(f"--assume: {name}={value} must be greater than 0")
    return replace(ON_CPU if on_cpu else Assumed(), **values)


def _measured(path: Path) -> dict[str, float]:
    """From what `python -m benchmarks.gpu --json` wrote."""
    try:
        items = {i["name"]: i["found"] for i in json.loads(path.read_text())["items"]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--measured: {path}: not a file of benchmarks.gpu ({error})") from None
    found: dict[str, float] = {}
    _take(found, "training", items, "T4", "mfu")
    _take(found, "write", items, "T3", "publish_2_gb_per_s", 1e9)
    _take(found, "digest", items, "T3", "digest_gb_per_s", 1e9)
    _take(found, "optimizer_s", items, "T2", "packed", 1 / 1.777, "optimizer_s")
    if not found:
        raise ConfigError(f"--measured: {path}: nothing in it that the plan could use")
    return found


def _take(
    found: dict[str, float], name: str, items: Mapping[str, Any], item: str, key: str,
    unit: float = 1.0, inner: str | None = None,
) -> None:  # fmt: skip
    value = items.get(item, {}).get(key)
    if inner is not None:
        value = (value or {}).get(inner)
    if value:
        found[name] = float(value) * unit
