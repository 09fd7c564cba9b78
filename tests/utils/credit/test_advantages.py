"""Advantages of turns: by hand, and as TRL makes them of whole conversations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utils.credit.advantages import EPSILON, Credit, advantages, by_token
from utils.credit.outcomes import Outcome, TutorTurn

NOBODY: Mapping[str, float] = {}


def one(total: float | None, turns: int = 1, *, fails: Mapping[int, float] = {}, **parts: float) -> Outcome:  # fmt: skip # noqa: E501
    """A conversation of so many turns of two tokens; `fails`: turn -> cost."""
    return Outcome(
        rewards=NOBODY if total is None else {"total": total, **parts},
        turns=tuple(
            TutorTurn(start=3 * k, end=3 * k + 2, earns=k not in fails, cost=fails.get(k, 0.0))
            for k in range(turns)
        ),
    )


def turns(groups: Sequence[Sequence[Outcome]], **credit: Any) -> list[list[float]]:
    found = advantages(groups, Credit(**({"scale": "none"} | credit))).turns
    return [[round(v, 6) for v in row] for row in found]


def test_of_a_conversation() -> None:
    group = [one(1.0, 2), one(0.0), one(0.5), one(None, 3)]
    assert turns([group]) == [[0.5, 0.5], [-0.5], [0.0], [0.0, 0.0, 0.0]]
    assert turns([group], baseline="leave_one_out") == [[0.75] * 2, [-0.75], [0.0], [0.0] * 3]
    std = 0.5 + EPSILON
    assert turns([group], scale="group")[0] == [round(0.5 / std, 6)] * 2


def test_of_turns() -> None:
    """Turn 0 is everybody's; turn 1 is compared with those who had one; turn 2 with the group."""
    group = [one(1.0, 3), one(0.0, 2), one(0.5, 1), one(None, 2)]
    credit = {"grain": "turn", "baseline": "leave_one_out"}
    found = turns([group], **credit)
    assert found[0] == [0.75, 1.0, 0.75]
    assert found[1] == [-0.75, -1.0]
    assert found[2] == [0.0] and found[3] == [0.0, 0.0]
    assert turns([group], grain="turn")[0] == [0.5, 0.5, 0.0]


def test_a_failed_turn_earns_nothing_and_pays_after_everything_else() -> None:
    group = [one(1.0, 2, fails={0: 0.25}), one(0.0, 2, fails={1: 0.0})]
    credit: dict[str, Any] = {"grain": "turn", "baseline": "leave_one_out", "scale": "none"}
    assert turns([group], **credit) == [[-0.25, 1.0], [-1.0, 0.0]]
    halved = turns(
        [[one(v.rewards["total"] / 2, 2, fails={0: 0.25}) for v in group]], scale="group"
    )
    assert halved[0][1] == pytest.approx(0.25 / (0.5 / 2**0.5 + EPSILON), abs=1e-5)
    assert halved[0][0] == pytest.approx(halved[0][1] - 0.25)
    # a whole conversation's outcome reaches all of its turns
    assert turns([group], baseline="leave_one_out") == [[0.75, 1.0], [-1.0, -1.0]]


def test_costs_reach_a_conversation_that_is_alone() -> None:
    assert turns([[one(1.0, 2, fails={1: 0.5}), one(None)]], grain="turn") == [[0.0, -0.5], [0.0]]


def test_parts_are_weighed_after_their_spread_is_gone() -> None:
    """Solve differs a little, pedagogy much: by total only pedagogy is heard, by part both are."""
    group = [
        one(0.1, solve=0.1, pedagogy=0.0),
        one(0.0, solve=0.0, pedagogy=0.0),
        one(-0.9, solve=0.1, pedagogy=-1.0),
        one(-1.0, solve=0.0, pedagogy=-1.0),
    ]
    by_total = [row[0] for row in turns([group], scale="group")]
    assert by_total[0] - by_total[1] < 0.2
    weights = {"solve": 1.0, "pedagogy": 1.0}
    by_part = [row[0] for row in turns([group], scale="group", weights=weights)]
    assert by_part[0] > 1 and by_part[3] < -1
    assert by_part[1] == pytest.approx(by_part[2], abs=0.01) == pytest.approx(0.0, abs=0.01)
    louder = [
        row[0] for row in turns([group], scale="group", weights={"solve": 3.0, "pedagogy": 1})
    ]
    assert louder[2] > louder[1] + 0.5


def test_groups_without_spread_are_counted_by_part() -> None:
    alike = [one(1.0, solve=1.0, length=0.0), one(1.0, solve=1.0, length=0.0)]
    apart = [one(1.0, solve=1.0, length=0.0), one(0.0, solve=0.0, length=0.0)]
    found = advantages([alike, apart], Credit(weights={"solve": 1.0, "length": 0.5}))
    assert found.without_spread == {"solve": 0.5, "length": 1.0}
    assert found.turns[0] == [0.0]
    assert advantages([alike, apart], Credit()).without_spread == {"total": 0.5}


def test_of_each_token() -> None:
    outcome = one(1.0, 2)
    assert by_token(outcome, [0.5, -0.25], 7) == [0.5, 0.5, 0.0, -0.25, -0.25, 0.0, 0.0]


VALUES = st.lists(
    st.one_of(st.none(), st.tuples(*[st.floats(-2, 2, width=16)] * 2)), min_size=8, max_size=8
)


@given(values=VALUES, scale=st.sampled_from(["group", "batch", "none"]))
def test_of_conversations_as_trl_has_them(values: Any, scale: Any) -> None:
    """TRL's own steps in torch, for two groups of four: summed first, and normalised first."""
    torch = pytest.importorskip("torch")
    nan = float("nan")
    rewards = torch.tensor([v if v else (nan, nan) for v in values], dtype=torch.float64)
    groups = [
        [one(None if v is None else v[0] + 2 * v[1], 1, **({} if v is None else
         {"a": v[0], "b": 2 * v[1]})) for v in values[i : i + 4]]
        for i in (0, 4)
    ]  # fmt: skip

    def std(x: Any) -> Any:
        known = x[~x.isnan()]
        return known.std() if len(known) > 1 else torch.tensor(0.0)

    total = rewards[:, 0] + 2 * rewards[:, 1]
    expected = []
    for i, value in enumerate(total):
        group = total[i // 4 * 4 : i // 4 * 4 + 4]
        by = {"group": std(group) + EPSILON, "batch": std(total) + EPSILON, "none": 1.0}[scale]
        expected.append(0.0 if value.isnan() else float((value - group.nanmean()) / by))
    found = [row[0] for row in advantages(groups, Credit(scale=scale)).turns]
    assert found == pytest.approx(expected, abs=1e-9)

    parts = []
    for i, row in enumerate(rewards):
        group = rewards[i // 4 * 4 : i // 4 * 4 + 4]
        normal = [(row[k] - group[:, k].nanmean()) / (std(group[:, k]) + EPSILON) for k in (0, 1)]
        parts.append(normal[0] + 2 * normal[1])
    summed = torch.stack(parts)
    whole = (summed - summed.nanmean()) / (std(summed) + EPSILON)
    credit = Credit(weights={"a": 1.0, "b": 2.0})
    found = [row[0] for row in advantages(groups, credit).turns]
    assert found == pytest.approx(whole.nan_to_num(0.0).tolist(), abs=1e-6)
