"""A rollout on real vLLM engines: wall time against lockstep, and how well prefixes are cached."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import Sequence

from benchmarks.speed.by_ids import AskedByIds
from benchmarks.speed.plain import PlainClassroom
from benchmarks.speed.results import Pair, Result, Skipped, compare, repeated
from benchmarks.speed.running import SAME_WORK, Running, Wrap, need_checkpoints, running, settings
from src.inference_providers.base import Completion, Provider, SamplesTogether, Sampling
from utils.records import ConversationRecord

PROBLEMS, SAMPLES = 8, 4
# uneven turns: the token caps are out of the way, so that models end their turns themselves
LONG_TURNS = (
    "generation.max_turns=6",
    "generation.max_tokens_per_turn=96",
    "generation.max_tokens_per_student_attempt=96",
)
UNEVEN = (*SAME_WORK, *LONG_TURNS)
CONFIGS: dict[str, Sequence[str]] = {
    "smollm2": UNEVEN,
    "toy": SAME_WORK,
}


def _run(
    found: Running, plain: bool, wrap: Wrap | None = None, problems: int = PROBLEMS
) -> tuple[float, list[ConversationRecord]]:
    async def run() -> list[ConversationRecord]:
        room = found.classroom(wrap)
        way = PlainClassroom(room) if plain else room
        records = await way.run(found.problems(problems), samples=SAMPLES)
        await room.close()
        return records

    began = time.perf_counter()
    records = asyncio.run(run())
    return time.perf_counter() - began, records


def _tokens(records: Sequence[ConversationRecord]) -> int:
    return sum(u.completion_tokens for r in records for u in r.usage.values())


def forget(found: Running) -> None:
    """Empty the engines' prefix caches, so that no run profits from the one before."""
    for engine in found.engines.engines.values():
        engine.control.reset_prefix_cache()


def _pairs(config: str, repeats: int) -> list[Pair]:
    with running(settings(config, *CONFIGS[config])) as found:
        _run(found, plain=False)  # kernels are warm

        def pair(number: int) -> Pair:
            forget(found)
            ours, records = _run(found, plain=False)
            forget(found)
            theirs, _ = _run(found, plain=True)
            if number == 0:
                print(f"  {config}: {_tokens(records) / ours:.0f} tokens/s ours")
            return ours, theirs

        return repeated(repeats, pair)


def wall_time(name: str, repeats: int) -> Result:
    """Seconds of a rollout on SmolLM2; the toy's ratio is printed."""
    for config in CONFIGS:
        try:
            need_checkpoints(settings(config))
        except Skipped as reason:
            print(f"  {config}: not measured, {reason}")
            continue
        found = compare(name, "s", _pairs(config, repeats))
        print(f"  {config}: {found.ours:.2f} s, {found.ratio:.2f} times lockstep's pace")
        if config == "smollm2":
            result = found
    return result


class Recorder(AskedByIds):
    """A role's provider that notes every prompt and what was sampled after it."""

    def __init__(self, provider: Provider, log: list[list[int]]) -> None:
        self.provider, self.log, self.name = provider, log, provider.name

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        ids = list(prompt_ids)
        self.log.append([len(ids), *ids])
        entry = self.log[-1]
        done = await self.provider.complete_tokens(ids, sampling)
        entry += done.token_ids or ()
        return done

    async def complete_samples(
        self, prompt_ids: Sequence[int], sampling: Sampling, n: int
    ) -> list[Completion]:
        ids, provider = list(prompt_ids), self.provider
        assert isinstance(provider, SamplesTogether)
        entries = [[len(ids), *ids] for _ in range(n)]
        self.log += entries
        done = await provider.complete_samples(ids, sampling, n)
        for entry, sample in zip(entries, done, strict=True):
            entry += sample.token_ids or ()
        return done

    async def close(self) -> None:
        await self.provider.close()


def ideal_hits(log: Sequence[Sequence[int]], block: int) -> tuple[int, int]:
    """(prompt tokens, those in whole blocks that an earlier request of this engine had begun with).

    `log`: for each request, in order of arrival, the prompt's length, its ids, and the sampled ids.
    """
    seen: set[int] = set()
    total = hits = 0
    for length, *ids in log:
        total += length
        chain, served = 0, True
        for end in range(block, len(ids) + 1, block):
            chain = hash((chain, *ids[end - block : end]))
            served = served and chain in seen and end < length  # the last token is always computed
            hits += block * served
            seen.add(chain)
    return total, hits


def _numbers(found: Running, name: str) -> float:
    """A counter of vLLM's, over all engines."""
    texts = [engine.control.metrics() for engine in found.engines.engines.values()]
    lines = [line for text in texts for line in text.splitlines() if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def _shares(found: Running, plain: bool) -> tuple[float, float]:
    """(share of prompt tokens served from the prefix caches, the share that could have been)."""
    names = ("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total")
    logs: dict[str, list[list[int]]] = {name: [] for name in found.engines.engines}

    def watched(role: str, provider: Provider) -> Provider:
        engine = found.engines.for_role(role)
        assert engine is not None
        return Recorder(provider, logs[engine.spec.name])

    forget(found)
    before = [_numbers(found, name) for name in names]
    _run(found, plain, watched)
    hits, queries = (_numbers(found, n) - b for n, b in zip(names, before, strict=True))
    info = next(iter(found.engines.engines.values())).control.metrics()
    block = int(re.findall(r'block_size="(\d+)"', info)[0])
    ideal = [ideal_hits(log, block) for log in logs.values()]
    return hits / queries, sum(h for _, h in ideal) / sum(t for t, _ in ideal)


def prefix_hits(name: str, repeats: int) -> Result:
    """Share of prompt tokens served from the cache, and the share that whole blocks could serve."""
    with running(settings("smollm2", *UNEVEN)) as found:
        ideal = []

        def pair(_: int) -> Pair:
            ours, could = _shares(found, plain=False)
            ideal.append(could)
            return ours, _shares(found, plain=True)[0]

        pairs = repeated(repeats, pair)
    limit = statistics.median(ideal)
    return compare(name, "share", pairs, limit=limit, more_is_better=True)


class Apart(AskedByIds):
    """A role's provider that is asked for each solution by itself."""

    def __init__(self, provider: Provider) -> None:
        self.provider, self.name = provider, provider.name

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        return await self.provider.complete_tokens(prompt_ids, sampling)

    async def close(self) -> None:
        await self.provider.close()


def solutions_together(name: str, repeats: int) -> Result:
    """Steps of all engines in a rollout: its solutions in one request each, and apart.

    Half a batch; seconds are printed.
    """
    with running(settings("smollm2", *UNEVEN)) as found:
        _run(found, plain=False, problems=1)  # kernels are warm

        def counted(wrap: Wrap | None) -> tuple[float, float]:
            forget(found)
            before = _numbers(found, "vllm:iteration_tokens_total_count")
            seconds, _ = _run(found, plain=False, wrap=wrap, problems=PROBLEMS // 2)
            return _numbers(found, "vllm:iteration_tokens_total_count") - before, seconds

        def pair(_: int) -> Pair:
            (ours, together), (theirs, apart) = counted(None), counted(lambda _, p: Apart(p))
            print(
                f"  {together:.1f} s together, {apart:.1f} s apart; {ours:.0f}, {theirs:.0f} steps"
            )
            return ours, theirs

        return compare(name, "engine steps", repeated(repeats, pair))
