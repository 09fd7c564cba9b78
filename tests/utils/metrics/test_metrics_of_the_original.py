"""The evaluation's figures for invented conversations, as the original's eval.py logs them."""

from __future__ import annotations

from typing import Any

import pytest

from tests import oracle
from utils.metrics.conversation import summarise
from utils.records import ConversationRecord, Message, Solution, VerdictRecord

NAMES = {
    "delta_mean": "delta",
    "initial_rm_rewards_mean": "solve_before",
    "end_rm_rewards_mean": "solve_after",
    "leaked_solutions_mean": "leaked",
    "rejects_pedagogical_values_mean": "rejected_by_follows_pedagogical_values",
    "pedagogical_reward_macro_avg": "ped_rm_macro",
    "pedagogical_reward_micro_avg": "ped_rm_micro",
}
#: Where ours is another number; docs/coming-from-the-original.md says why.
OURS = {"e05": {"ped_rm_macro": 4.0}}


def record_of(conversation: dict[str, Any]) -> ConversationRecord:
    def solutions(rights: list[float] | None) -> list[Solution]:
        return [Solution(text="", correct=right == 1.0) for right in rights or []]

    return ConversationRecord(
        split="eval",
        problem_id=conversation["problem"],
        problem=conversation["problem"],
        answer="1",
        messages=[
            Message(role=role, content=text, visible=text)  # type: ignore[arg-type]
            for role, text in conversation["messages"]
        ],
        verdicts={
            rule: [VerdictRecord(decision=d) for d in found]
            for rule, found in conversation["verdicts"].items()
        },
        initial_solutions=solutions(conversation["before"]),
        solutions=solutions(conversation["after"]),
        ped_rm=conversation["ped_rm"],
    )


@pytest.mark.parametrize("case", oracle.cases("eval_metrics"))
def test_the_figures_are_the_originals(case: oracle.Case) -> None:
    found = summarise([record_of(c) for c in case["inputs"]["conversations"]])
    if "error" in case["expected"]:  # the original ends here; ours reports what there is
        assert found["solve_before"].n > 0
        return
    without_first = case["inputs"]["settings"].get("recompute") is False
    ours = OURS.get(case["id"], {})
    for theirs, name in NAMES.items():
        wanted = ours.get(name, case["expected"][theirs])
        if without_first and name in ("delta", "solve_before"):
            continue  # 0 there; here they are measured or absent, never 0
        got = found[name].mean if name in found else None
        assert got == pytest.approx(wanted, abs=1e-7), name
