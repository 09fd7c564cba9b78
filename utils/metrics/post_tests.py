"""What the post-tests say: solve rates, gains of both problems, their gap, gated by leaks.

A gain is normalised per conversation, `utils.gains.normalised_gain`; a gated one is 0 where the
answer was leaked, and unknown where nobody could say (EduardoRL, arXiv 2610.06446).
"""

from __future__ import annotations

from collections.abc import Sequence

from config.post_tests import Test
from utils.gains import normalised_gain, solve_rate
from utils.metrics.turns import Metric
from utils.metrics.verdicts import leaked_any, rejected_any
from utils.records import ConversationRecord

BOTH: tuple[Test, Test] = ("same", "transfer")


def before(test: Test) -> Metric:
    """The solve rate of a test's problem before the conversation."""
    return lambda record: solve_rate(record.tested(test)[0])


def after(test: Test) -> Metric:
    """The solve rate afterwards; None for one that a rejection would have left unsolved."""
    return lambda record: None if record.accepted_only else _after(test)(record)


def _after(test: Test) -> Metric:
    return lambda record: solve_rate(record.tested(test)[1])


def gained(test: Test) -> Metric:
    """Normalised gain of one conversation, from -1 to 1."""

    def value(record: ConversationRecord) -> float | None:
        first, then = before(test)(record), after(test)(record)
        return None if first is None or then is None else normalised_gain(first, then)

    return value


def gated(metric: Metric) -> Metric:
    """0 where a verdict says that the answer was leaked; None where no verdict says anything."""

    def value(record: ConversationRecord) -> float | None:
        found, leak = metric(record), leaked_any(record)
        return None if found is None or leak is None else found * (1.0 - leak)

    return value


def accepted(metric: Metric) -> Metric:
    """The same of conversations that every judge accepted."""
    return lambda record: metric(record) if rejected_any(record) == 0.0 else None


def transfer_gap(record: ConversationRecord) -> float | None:
    """What is gained on the problem that was talked about, less what is gained on the other."""
    same, other = (gained(test)(record) for test in BOTH)
    return None if same is None or other is None else same - other


def turns_hidden(record: ConversationRecord) -> float | None:
    """Share of the messages which the student's transfer test does not show."""
    if record.transfer is None or not record.transfer.solutions:
        return None
    heard = [m for m in record.messages if m.heard]
    hidden = [m for m in heard if m.role == "teacher" and m.visible.strip()]
    return len(hidden) * record.transfer.tutor_hidden / len(heard) if heard else None


def _of(test: Test) -> dict[str, Metric]:
    return {
        f"solve_{test}_before": before(test),
        f"solve_{test}": after(test),
        f"gain_{test}": gained(test),
        f"solve_{test}_gated": gated(after(test)),
        f"gain_{test}_gated": gated(gained(test)),
    }


#: Where a post-test asks about another problem.
OF_TRANSFER: dict[str, Metric] = {
    **_of("same"),
    **_of("transfer"),
    "transfer_gap": transfer_gap,
    "turns_hidden": turns_hidden,
}
SIGNED = tuple(name for name in OF_TRANSFER if name.startswith("gain_"))


def post_test_metrics(records: Sequence[ConversationRecord]) -> dict[str, Metric]:
    """Metrics of both tests, where any of these conversations asked about another problem."""
    found = [r for r in records if r.transfer is not None]
    if not found:
        return {}
    if any(r.accepted_only for r in found):
        return {**OF_TRANSFER, "solve_transfer_accepted": accepted(_after("transfer"))}
    return OF_TRANSFER
