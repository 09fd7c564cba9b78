"""What each role sees: of invented conversations, beside what the paper's own code shows.

Every difference has a name, and is one exact change of the original's view; docs/
coming-from-the-original.md explains each.  What is left after these changes must be equal.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from src.dialog.prompts import Prompts
from tests import oracle
from tests.conftest import ROOT
from tests.views import LIMITS, Lines, hold, scene, watch

Change = Callable[[str, Lines], Lines]
PERSONA = "student_personas_prompts_paths.simple_student"
ASKED = "user: student_initial_attempt_prompt_path()"
JUDGED = re.compile(r"(judges_rules_prompts_paths\.\w+)\(\)")


def opening_under_the_persona(stage: str, lines: Lines) -> Lines:
    if stage != "opening attempt":
        return lines
    return [f"system: {PERSONA}(problem,student_name)", ASKED]


def the_request_stays(stage: str, lines: Lines) -> Lines:
    attempted = any("ATTEMPT" in line or "student#1" in line for line in lines)
    if not attempted or not lines[0].startswith(f"system: {PERSONA}"):
        return lines
    return [lines[0], ASKED, *lines[1:]]


def wrapper_for_the_tutor_alone(stage: str, lines: Lines) -> Lines:
    if stage.startswith(("teacher", "trained")):
        return lines
    return [re.sub(r"initial_attempt_wrapper_prompt_path\(\)<([^>]*)>", r"\1", x) for x in lines]


def judges_see_problem_and_answer(stage: str, lines: Lines) -> Lines:
    return [JUDGED.sub(r"\1(answer,problem)", x) for x in lines]


def one_word_for_the_tutor(stage: str, lines: Lines) -> Lines:
    return [x.replace("teacher says", "tutor says") for x in lines]


def exam_under_a_text_of_its_own(stage: str, lines: Lines) -> Lines:
    if stage != "final solution":
        return lines
    name = "student_name" if "student_name" in lines[0] else ""
    return [f"system: student_final_system_prompt_path({name})", *lines[1:]]


def one_last_message_with_the_problem(stage: str, lines: Lines) -> Lines:
    if stage != "final solution":
        return lines
    final = "student_final_prompt_path(problem)"
    said = lines[-2].removeprefix("user: ")
    return [*lines[:-2], f"user: {final}" if said == "nothing" else f"user: {said} + {final}"]


def doubtful_plans_are_hidden(stage: str, lines: Lines) -> Lines:
    if stage.startswith(("teacher", "trained")):
        return lines
    return [x.replace("teacher#1+plan+tags", "teacher#1") for x in lines]


def an_unclosed_plan_hides_the_turn(stage: str, lines: Lines) -> Lines:
    if stage.startswith(("teacher", "trained")):
        return lines
    return [x.replace("teacher#1", "nothing") for x in lines]


def students_plan_is_its_own(stage: str, lines: Lines) -> Lines:
    if stage.startswith(("teacher", "trained")):
        return [x.replace("student#2+plan+tags", "student#2") for x in lines]
    if stage == "final solution":
        return [x.replace("assistant: student#2", "assistant: student#2+plan+tags") for x in lines]
    return lines


def the_opening_tag_is_given(stage: str, lines: Lines) -> Lines:
    return [*lines, "assistant: tags"] if stage.startswith("teacher turn") else lines


#: name of a row in the documents -> the change; by scene where only some have it
ALWAYS: dict[str, Change] = {
    "opening attempt": opening_under_the_persona,
    "request for the opening attempt": the_request_stays,
    "wrapped attempt": wrapper_for_the_tutor_alone,
    "what judges see": judges_see_problem_and_answer,
    "word for the tutor": one_word_for_the_tutor,
    "post-test: system text": exam_under_a_text_of_its_own,
    "post-test: request": one_last_message_with_the_problem,
}
SOMETIMES: dict[str, dict[str, Change]] = {
    "v04": {
        "planning without its end": lambda stage, lines: an_unclosed_plan_hides_the_turn(
            stage, doubtful_plans_are_hidden(stage, lines)
        )
    },
    "v05": {"planning without its beginning": doubtful_plans_are_hidden},
    "v06": {"the student's planning": students_plan_is_its_own},
    "v07": {"forced thinking": the_opening_tag_is_given},
}
OTHER_ROWS = ("`max_turns`", "a template with messages")
SCENES_WITHOUT = ("v09",)  # what it tries is "a template with messages"


def original_lines(view: dict[str, Any], used: dict[str, list[str]]) -> Lines:
    """The original's view in our notation; a prompt with the names that its shipped file uses."""
    return [
        f"{m['role']}: {' + '.join(_part(p, used) for p in m['parts']) or 'nothing'}"
        for m in view["messages"]
    ]


def _part(part: dict[str, Any], used: dict[str, list[str]]) -> str:
    if "template" in part:
        key = part["template"]
        names = [n for n in part["fields"] if n in used[key] and n not in ("attempt", "transcript")]
        ours = sorted("use_thinking" if n == "include_thinking" else n for n in names)
        held = [part["attempt"]] if "attempt" in part else part.get("transcript", [])
        said = [_part(row, used) for row in held]
        if "transcript" in part:
            said = [f"{r['role']} says {what}" for r, what in zip(held, said, strict=True)]
        return f"{key}({','.join(ours)})" + (f"<{', '.join(said)}>" if held else "")
    if "turn" in part:
        seen = ("plan", "plan"), ("tags", "think_tags"), ("end", "end_tag")
        shown = [name for name, theirs in seen if part[theirs]]
        return "+".join([f"{part['of']}#{part['turn']}", *shown])
    return f"fixed({','.join(part.get('fields', []))})"


def changes_of(case_id: str) -> dict[str, Change]:
    return SOMETIMES.get(case_id, {}) | ALWAYS


@pytest.mark.parametrize("case", oracle.cases("views", lambda c: c["id"] not in SCENES_WITHOUT))
def test_views_differ_from_the_originals_by_named_changes_alone(
    case: oracle.Case, tmp_path: Path
) -> None:
    given = case["inputs"]
    seen = watch(
        tmp_path, given["type"], given["tutor_says"], given["student_says"], **given["settings"]
    )
    roles = [m.role for m in seen.record.messages]
    assert roles == case["expected"]["messages_of_the_conversation"]
    used = oracle.load("views")["shipped_prompt_variables"]
    stages = {view["stage"]: view for view in case["expected"]["views"]}
    assert set(seen.views) == set(stages)
    for stage, view in stages.items():
        lines = original_lines(view, used)
        for change in changes_of(case["id"]).values():
            lines = change(stage, lines)
        assert seen.views[stage] == lines, stage


@pytest.mark.parametrize("case", oracle.cases("views", lambda c: c["id"] not in SCENES_WITHOUT))
def test_each_stage_is_asked_as_often_and_as_long(case: oracle.Case, tmp_path: Path) -> None:
    given = case["inputs"]
    seen = watch(
        tmp_path, given["type"], given["tutor_says"], given["student_says"], **given["settings"]
    )
    limits = {ask.sampling.max_tokens for asks in seen.asks.values() for ask in asks}
    assert limits <= set(LIMITS.values())
    for view in case["expected"]["views"]:
        if view.get("sampling"):
            assert seen.requests[view["stage"]] == view["sampling"]["n"], view["stage"]


def test_every_named_change_is_still_one() -> None:
    """A change that changes nothing in any scene is no difference any more."""
    data = oracle.load("views")
    needed = dict.fromkeys([*ALWAYS, *(name for own in SOMETIMES.values() for name in own)], False)
    for case in data["cases"]:
        if case["id"] in SCENES_WITHOUT:
            continue
        for view in case["expected"]["views"]:
            lines = original_lines(view, data["shipped_prompt_variables"])
            for name, change in changes_of(case["id"]).items():
                changed = change(view["stage"], lines)
                needed[name] |= changed != lines
                lines = changed
    assert all(needed.values()), [name for name, is_needed in needed.items() if not is_needed]


def test_max_turns_is_exact_where_the_original_goes_on_to_the_tutor() -> None:
    for given in oracle.load("views")["conversation_lengths"]:
        limit = given["max_turns"]
        made = scene(given["type"], max_turns=limit, number_judge_attempts=0)
        record, _ = hold(made, ["SAY1"] * limit, ["REPLY1"] * limit)
        talk = [m.role for m in record.messages]
        assert len(talk) == limit and given["last"] == "teacher"
        assert given["messages"] - limit == (talk[-1] == "student"), given


def test_the_documents_explain_each_difference() -> None:
    page = (ROOT / "docs" / "coming-from-the-original.md").read_text()
    section = page.split("## What each role sees")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("| ")]
    named = {*ALWAYS, *(name for own in SOMETIMES.values() for name in own), *OTHER_ROWS}
    assert set(rows[1:]) == named


# -- cases of our own ---------------------------------------------------------------------------

END = " <end_of_conversation>"
PLANNED = [f"<think>PLAN{n}</think>SAY{n}" for n in (1, 3)]


def test_a_guided_conversation_with_planning(tmp_path: Path) -> None:
    seen = watch(tmp_path, "guided", [PLANNED[0], PLANNED[1] + END], ["REPLY2"], use_thinking=True)
    tutor = "system: teacher_prompt_path(problem,student_name,use_thinking)"
    persona = f"system: {PERSONA}(problem,student_name)"
    assert seen.views["initial attempt"] == ["user: student_attempt_prompt_path(problem)"]
    assert seen.views["teacher turn 1"] == [tutor]
    assert seen.views["student turn 1"] == [persona, "user: teacher#1"]
    assert seen.views["teacher turn 2"] == [
        tutor, "assistant: teacher#1+plan+tags", "user: student#2",
    ]  # fmt: skip
    assert seen.views["judge does_not_leak_answer"] == [
        "user: judges_rules_prompts_paths.does_not_leak_answer(answer,problem)"
        "<tutor says teacher#1, student says student#2, tutor says teacher#3>"
    ]
    assert seen.views["final solution"] == [
        "system: student_final_system_prompt_path(student_name)",
        "user: teacher#1",
        "assistant: student#2",
        "user: teacher#3 + student_final_prompt_path(problem)",
    ]
    assert seen.views["trained on"][-1] == "assistant: teacher#3+plan+tags+end"
    assert seen.views["Ped-RM, tutor turn 2"] == [
        "system: fixed()",
        "user: fixed(problem)",
        "assistant: teacher#1",
        "user: student#2",
        "assistant: teacher#3",
    ]
    assert seen.requests["final solution"] == seen.requests["initial attempt"] == 2


def test_an_attempted_conversation(tmp_path: Path) -> None:
    seen = watch(tmp_path, "attempted", ["SAY2", "SAY4" + END], ["ATTEMPT1", "REPLY3"])
    persona = f"system: {PERSONA}(problem,student_name)"
    assert seen.views["opening attempt"] == [persona, ASKED]
    assert seen.views["teacher turn 1"] == [
        "system: teacher_prompt_path(problem,student_name)",
        "user: initial_attempt_wrapper_prompt_path()<student#1>",
    ]
    assert seen.views["student turn 2"] == [
        persona, ASKED, "assistant: student#1", "user: teacher#2",
    ]  # fmt: skip
    assert "student says student#1" in seen.views["judge follows_pedagogical_values"][0]
    assert seen.views["Ped-RM, tutor turn 1"][2:] == ["user: student#1", "assistant: teacher#2"]


def test_the_persona_can_stay_in_force_for_the_post_test(tmp_path: Path) -> None:
    seen = watch(tmp_path, "guided", ["SAY1" + END], [], student_final_system_prompt_path="persona")
    assert seen.views["final solution"] == [
        f"system: {PERSONA}(problem,student_name)",
        "user: teacher#1 + student_final_prompt_path(problem)",
    ]


def test_forced_thinking_begins_the_tutors_turn(tmp_path: Path) -> None:
    seen = watch(tmp_path, "guided", [PLANNED[0] + END], [], force_thinking=True)
    assert seen.views["teacher turn 1"][-1] == "assistant: tags"
    assert seen.views["trained on"][-1] == "assistant: teacher#1+plan+tags+end"


def test_a_tutors_prompt_with_messages_of_its_own_is_refused(tmp_path: Path) -> None:
    """The row `a template with messages`: said at the start, never rendered as something else."""
    file = tmp_path / "teacher.txt"
    file.write_text("{% if user_message %}{{ problem }}{% elif teacher_message %}Hi{% endif %}")
    with pytest.raises(ConfigError, match=r"^generation.teacher_prompt_path: .* uses teacher_mess"):
        Prompts.load(scene("guided", teacher_prompt_path=str(file)))
