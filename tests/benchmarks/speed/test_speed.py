"""What benchmarks compare is the same work, and their arithmetic is right; nothing is timed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS, main
from benchmarks.speed import attribution, makespan, results, schedules, trainer, update
from benchmarks.speed.judging import plain_verdict
from benchmarks.speed.plain import PlainClassroom
from benchmarks.speed.results import compare
from benchmarks.speed.rollout import ideal_hits
from utils.records import ConversationRecord

NAMES = (
    "makespan_16 makespan_32 makespan_80 makespan_128 rollout_vllm prefix_cache weight_handoff"
    " solutions_together trainer_step trainer_memory attribution judge_requests reject_recall"
    " update_toy update_smollm2 client_overhead start"
)


def test_names_and_file(tmp_path: Path) -> None:
    assert set(NAMES.split()) <= set(BENCHMARKS)  # those that others read the file by
    out = tmp_path / "found.json"
    assert main(["reject_recall", "--json", str(out)]) == 0
    [found] = json.loads(out.read_text())
    keys = "name unit ours theirs ratio limit of_limit repeats spread commit"
    assert list(found) == keys.split()
    assert found["ours"] == 1.0


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["makespan_17"])
    assert stopped.value.code == 2
    assert "makespan_17" in capsys.readouterr().err


def test_comparison() -> None:
    cost = compare("n", "s", [(2.0, 6.0), (4.0, 8.0), (2.0, 8.0)], limit=1.0)
    assert (cost.ours, cost.theirs, cost.ratio, cost.of_limit) == (2.0, 8.0, 3.0, 0.5)
    assert cost.spread == pytest.approx((4.0 - 2.0) / 3.0)  # of the ratio: 3, 2 and 4
    gain = compare("n", "share", [(0.8, 0.4)], limit=1.0, more_is_better=True)
    assert (gain.ratio, gain.of_limit, gain.spread) == (2.0, 0.8, 0.0)
    alone = compare("n", "ms", [(1.0, None), (3.0, None)])
    assert (alone.ours, alone.ratio, alone.spread) == (2.0, None, 1.0)
    nothing = compare("n", "share", [(0.0, 0.0)], limit=0.0, more_is_better=True)
    assert (nothing.ratio, nothing.of_limit, nothing.spread) == (None, None, 0.0)


def test_what_overlap_would_give_on_separate_hardware() -> None:
    assert update.apart(3.0, 2.0, 0.1) == pytest.approx(0.1 + 2.0)  # waits for conversations
    assert update.apart(3.0, 0.5, 0.1) == pytest.approx(0.1 + 2.4)  # waits for the trainer


def _held(way: str) -> list[ConversationRecord]:
    room = makespan.classroom(7, makespan.Trace(scale=0.0))
    holder = room if way == "ours" else PlainClassroom(room)
    return asyncio.run(holder.run(makespan.problems(12), samples=1))


def test_both_ways_hold_the_same_conversations() -> None:
    ours, plain = _held("ours"), _held("plain")
    for one, other in zip(ours, plain, strict=True):
        assert [(m.role, m.content) for m in one.messages] == [
            (m.role, m.content) for m in other.messages
        ]
        assert [len(v) for v in one.verdicts.values()] == [len(v) for v in other.verdicts.values()]
        assert one.rewards == other.rewards
        assert len(one.solutions) == len(other.solutions) == 8
        assert one.trajectory is not None and other.trajectory is not None
        assert one.trajectory.prompt_ids == other.trajectory.prompt_ids
        assert one.trajectory.completion_ids == other.trajectory.completion_ids
        assert one.trajectory.mask == other.trajectory.mask
    assert len({len(record.messages) for record in ours}) > 2


def test_requests_wait_by_priority() -> None:
    served: list[int] = []

    async def ask(slots: makespan.Slots, number: int, priority: int) -> None:
        async with slots.one(priority):
            served.append(number)
            await asyncio.sleep(0)

    async def run() -> None:
        slots = makespan.Slots(1)
        await asyncio.gather(*(ask(slots, n, p) for n, p in enumerate([0, 2, 1, 2, 0])))

    asyncio.run(run())
    assert served == [0, 4, 2, 1, 3]


def test_no_schedule_beats_the_bound() -> None:
    """One slot for each request at once: the longest chain; one slot in all: the whole work."""
    assert makespan.lower_bound(10**6) < makespan.lower_bound(16) < makespan.lower_bound(1)
    assert makespan.lower_bound(1) == pytest.approx(2 * makespan.lower_bound(2))


def test_schedules_are_simulated_on_the_classroom_itself() -> None:
    """Nobody waits where there is a slot for each request: the longest chain, exactly."""
    trace = makespan.Trace(seed=3)
    for order in (schedules.FirstCome, schedules.Clairvoyant):
        assert schedules.share_of_bound(10**6, trace, order) == pytest.approx(1.0)
    late, early = (
        schedules.share_of_bound(80, trace, order)
        for order in (schedules.FirstCome, schedules.Clairvoyant)
    )
    assert late < early < 1.0


def test_ideal_cache_hits() -> None:
    """Blocks of two: a turn's prompt continues the last one and what was said after it."""
    first = [3, 1, 2, 3, 4]  # prompt 1 2 3, sampled 4
    second = [6, 1, 2, 3, 4, 5, 6]
    assert ideal_hits([first, second], 2) == (9, 4)
    assert ideal_hits([first, [4, 1, 2, 3, 4]], 2) == (7, 2)  # the last token is always computed
    assert ideal_hits([first, [4, 9, 2, 3, 4]], 2) == (7, 0)  # a block counts after its like only


def test_every_row_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    made = attribution.conversations(64)
    attribution.seconds(made)
    from src.grpo.rollouts import rollout

    whole = rollout.to_row
    swapped = iter([made[1], made[0], *made[2:]])
    monkeypatch.setattr(rollout, "to_row", lambda _, **more: whole(next(swapped), **more))
    with pytest.raises(AssertionError, match="conversation 0"):
        attribution.seconds(made)


def test_the_recorded_batch_is_as_stated() -> None:
    tokens = trainer.lengths()
    assert min(tokens) >= 100
    assert max(tokens) <= 4000
    share = sum(sum(trainer.mask_of(n - trainer.PROMPT)) for n in tokens) / sum(tokens)
    assert share == pytest.approx(trainer.SHARE, abs=0.02)
    assert all(trainer.mask_of(n)[-1] == 1 for n in (1, 40, 999))


def test_the_plain_reading_of_a_verdict() -> None:
    assert plain_verdict('So: {"reasoning": "", "decision": "REJECT"}.') == "REJECT"
    assert plain_verdict("REJECT") is None


def test_seconds_are_booked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick a second: what an inner method takes is not its caller's."""
    clock = iter(range(100))
    monkeypatch.setattr(results.time, "perf_counter", lambda: float(next(clock)))

    class Step:
        def outer(self) -> None:
            self.inner()
            self.inner()

        def inner(self) -> None: ...

    step, book = Step(), results.Book()
    book.watch(step, "outer", "outer")
    book.watch(step, "inner", "inner")
    step.outer()
    assert book.seconds == {"outer": 3.0, "inner": 2.0}
