"""Every reward by hand: r = r_sol + (r_ped - 1) * lambda, and -lambda flat in hard mode."""

from typing import Any

import pytest

from utils.records import ConversationRecord, Message, Solution, VerdictRecord
from utils.rewards import RewardSettings, rewards

SOFT = RewardSettings(penalty=0.75, hard=False, thinking=False)
HARD = RewardSettings(penalty=0.75, hard=True, thinking=False)
THINK = RewardSettings(penalty=0.75, hard=False, thinking=True)
HARD_THINK = RewardSettings(penalty=0.75, hard=True, thinking=True)
FREE = RewardSettings(penalty=0.0, hard=False, thinking=False)
NO_SOL = RewardSettings(penalty=0.75, hard=False, thinking=False, solve_by="none")
MODEL = RewardSettings(penalty=0.75, hard=False, thinking=False, solve_by="model")
STRICT = RewardSettings(penalty=0.75, hard=False, thinking=False, missing_verdict="reject")

PLANNED = "<think>plan</think>Hi"


def record(
    turns: list[tuple[str, str, str]] | None = None,
    verdicts: dict[str, str] | None = None,
    solved: str = "1110",
    stop: Any = "max_turns",
    counts: bool = True,
) -> ConversationRecord:
    """`verdicts`: rule -> letters, one an attempt: O, R or - (missing)."""
    words = {"O": "OK", "R": "REJECT", "-": None}
    turns = turns if turns is not None else [("teacher", "Hi", "stop"), ("student", "Yes", "stop")]
    return ConversationRecord(
        problem_id="p",
        problem="?",
        answer="7",
        messages=[
            Message(role=r, content=c, visible=c, stop_reason=s)  # type: ignore[arg-type]
            for r, c, s in turns
        ],
        verdicts={
            rule: [VerdictRecord(decision=words[x], counts=counts) for x in letters]  # type: ignore[arg-type]
            for rule, letters in (verdicts if verdicts is not None else {"leak": "OO"}).items()
        },
        solutions=[Solution(text="", correct=s == "1", score=0.25) for s in solved],
        stop_reason=stop,
    )


def tutor(*contents: str, stop: str = "stop") -> list[tuple[str, str, str]]:
    return [("teacher", c, stop) for c in contents]


CASES = [
    ("accepted", SOFT, record(), {"solve": 0.75}, 0.75),
    ("soft rejection", SOFT, record(verdicts={"leak": "OR"}), {"pedagogy": -0.75}, 0.0),
    ("other rule rejects", SOFT, record(verdicts={"a": "OO", "b": "RO"}), {}, 0.0),
    ("hard rejection", HARD, record(verdicts={"leak": "RO"}), {"pedagogy": -0.75}, -0.75),
    ("hard, accepted", HARD, record(), {"solve": 0.75}, 0.75),
    ("lambda 0", FREE, record(verdicts={"leak": "RR"}), {"pedagogy": 0.0}, 0.75),
    ("no judges", SOFT, record(verdicts={}), {"pedagogy": 0.0}, 0.75),
    ("no r_sol", NO_SOL, record(), {"solve": 0.0}, 0.0),
    ("no r_sol, rejected", NO_SOL, record(verdicts={"leak": "RO"}), {"solve": 0.0}, -0.75),
    ("reward model", MODEL, record(), {"solve": 0.25}, 0.25),
    ("no solutions", SOFT, record(solved=""), {"solve": 0.0}, 0.0),
    ("tutor ended", SOFT, record(stop="tutor_ended"), {"end_of_conversation": 0.1}, 0.85),
    (
        "an end tag by the student pays nothing",
        SOFT,
        record([("teacher", "Hi", "stop"), ("student", "<end_of_conversation>", "stop")]),
        {"end_of_conversation": 0.0},
        0.75,
    ),
    ("truncated", SOFT, record(tutor("Hi", stop="length")), {"length": -0.5}, 0.25),
    ("truncated twice", SOFT, record(tutor("a", "b", stop="length")), {"length": -0.5}, 0.25),
    (
        "truncated student",
        SOFT,
        record([("teacher", "Hi", "stop"), ("student", "x", "length")]),
        {"length": 0.0},
        0.75,
    ),
    ("thinking off, planned", SOFT, record(tutor(PLANNED)), {"thinking": 0.0}, 0.75),
    ("thinking off, malformed", SOFT, record(tutor("<think>x")), {"thinking": 0.0}, 0.75),
    ("planned", THINK, record(tutor(PLANNED, PLANNED)), {"thinking": 0.5}, 1.25),
    ("half planned", THINK, record(tutor(PLANNED, "Hi")), {"thinking": 0.25}, 1.0),
    ("malformed", THINK, record(tutor(PLANNED, "<think>x")), {"thinking": -0.25}, 0.5),
    (
        "seven of eight",
        THINK,
        record(tutor(*[PLANNED] * 7, "<think>x")),
        {"thinking": 0.5 * 7 / 8 - 0.5},
        0.75 - 0.0625,
    ),
    (
        "a turn that the student cannot see",
        THINK,
        record(tutor("<think>a</think><end_of_conversation>"), stop="tutor_ended"),
        {"thinking": -0.5, "end_of_conversation": 0.1},
        0.35,
    ),
    ("malformed twice costs once", THINK, record(tutor("<think>x", "<think>y")), {}, 0.25),
    ("soft keeps the rest", THINK, record(tutor(PLANNED), {"leak": "RR"}), {"thinking": 0.5}, 0.5),
    (
        "hard keeps nothing",
        HARD_THINK,
        record(tutor(PLANNED, stop="length"), {"leak": "RR"}, stop="tutor_ended"),
        {"thinking": 0.0, "length": 0.0, "end_of_conversation": 0.0, "solve": 0.0},
        -0.75,
    ),
    ("missing counts as REJECT", STRICT, record(verdicts={"leak": "O-"}), {"pedagogy": -0.75}, 0.0),
    ("REJECT beside a missing one", SOFT, record(verdicts={"leak": "R-"}), {}, 0.0),
    (
        "a reported rule never rejects",
        SOFT,
        record(verdicts={"leak": "RR"}, counts=False),
        {},
        0.75,
    ),
    (
        "a reported rule is never missed",
        SOFT,
        record(verdicts={"leak": "--"}, counts=False),
        {},
        0.75,
    ),
]


@pytest.mark.parametrize(
    ("settings", "conversation", "parts", "total"),
    [c[1:] for c in CASES],
    ids=[c[0] for c in CASES],
)
def test_by_hand(
    settings: RewardSettings,
    conversation: ConversationRecord,
    parts: dict[str, float],
    total: float,
) -> None:
    values = rewards(conversation, settings)
    assert values["total"] == pytest.approx(total)
    assert values["total"] == pytest.approx(sum(v for k, v in values.items() if k != "total"))
    for name, value in parts.items():
        assert values[name] == pytest.approx(value), name


@pytest.mark.parametrize(
    "conversation",
    [
        record(verdicts={"leak": "O-"}),
        record(verdicts={"leak": "--"}),
        record(turns=[]),
        record(turns=[("student", "my attempt", "stop")]),
        record(stop="error"),
    ],
)
def test_left_out(conversation: ConversationRecord) -> None:
    """A missing verdict, a conversation without the tutor, an error: no reward at all."""
    assert rewards(conversation, SOFT) == {}
    assert rewards(conversation, HARD) == {}
