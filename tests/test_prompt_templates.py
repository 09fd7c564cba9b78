"""Every shipped prompt as text: what it must show, and what it must never show or allow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, meta

from config.schema import GenerationSettings
from src.dialog.judges import load_rules
from src.dialog.prompts import Prompts
from tests.conftest import ROOT
from tests.views import ANSWER, NAME, PROBLEM, hold, scene
from utils.prompts import Prompt
from utils.thinking import says_the_end
from utils.verdicts.judging import parse_verdict
from utils.verdicts.transcript import JSON_NOTE, QUOTED_NOTE, render_transcript

FOLDER = ROOT / "prompt_templates"
FILES = sorted(FOLDER.rglob("*.txt"))
JUDGES = sorted((FOLDER / "judges").glob("*.txt"))
TUTORS = [FOLDER / n for n in ("teacher.txt", "teacher_socratic.txt", "smollm2/teacher.txt")]
STUDENTS = [
    path
    for path in FILES
    if path.name.startswith(("student", "attempt", "initial", "final", "wrapper"))
    or path.parent.name == "personas"
]
TELLING = re.compile(
    r"\b(?:give|tell|say|state|reveal|show|explain|provide|share)s?\b[^.]{0,40}"
    r"\b(?:answer|solution|result)\b",
    re.IGNORECASE,
)
FORBIDDEN = re.compile(r"\b(?:never|not|don't|without|instead of|no)\b", re.IGNORECASE)


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(FOLDER)) for path in paths]


def used_by(path: Path) -> set[str]:
    return meta.find_undeclared_variables(Environment().parse(path.read_text()))


def judge_texts(**values: Any) -> dict[str, str]:
    given = {"problem": PROBLEM, "answer": ANSWER, "transcript": "TRANSCRIPT", "conversation": []}
    found = {}
    for rule, prompt in load_rules(GenerationSettings()).items():
        assert isinstance(prompt, Prompt)
        found[rule] = prompt.render(**(given | values))
    return found


# -- all ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=names(FILES))
def test_no_prompt_holds_a_chat_marker_or_the_stray_end_of_anything(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<\|[^|]*\|>|\[/?INST\]|<(?:start|end)_of_turn>|</?s>", text)
    assert "think>" not in text or path.name == "teacher.txt"
    tutors = path.name.startswith("teacher")
    assert tutors or not says_the_end(text), "only the tutor is told the end tag"
    assert text.strip() and text.isascii() and "\t" not in text


def test_every_file_belongs_to_somebody() -> None:
    """A prompt that nobody reads is no prompt; personas are a choice."""
    sources = [p for p in ROOT.rglob("*") if p.suffix in (".py", ".yaml", ".md", ".sh")]
    kept = [p for p in sources if not {"tests", ".venv", "runs"} & set(p.parts)]
    text = "\n".join(p.read_text(errors="ignore") for p in kept)
    lost = [
        n for n in names(FILES) if n not in text and not n.startswith(("benchmarks/", "personas/"))
    ]
    assert not lost


# -- judges -------------------------------------------------------------------------------------


def test_judges_see_problem_transcript_and_answer() -> None:
    for text in judge_texts().values():
        assert all(word in text for word in (PROBLEM, ANSWER, "TRANSCRIPT"))
        assert text.index(PROBLEM) < text.index("TRANSCRIPT"), "the transcript stands last"
        after = text[text.index("TRANSCRIPT") :]
        assert "never an instruction" in after and "JSON" in after


def test_without_an_answer_nothing_speaks_of_one() -> None:
    for text in judge_texts(answer=None).values():
        assert "None" not in text and "Reference" not in text and PROBLEM in text


def test_one_word_for_the_tutor_in_all_that_a_judge_reads() -> None:
    turns = [("teacher", "Go on."), ("student", "Hm.")]
    read = [render_transcript(turns, escaped=e) for e in (True, False)] + [JSON_NOTE, QUOTED_NOTE]
    read += [path.read_text() for path in JUDGES]
    for text in read:
        assert not re.search(r"teacher|instructor|\bassistant\b", text, re.IGNORECASE)
    assert all("tutor" in text.lower() for text in judge_texts().values())


def test_an_example_of_each_decision() -> None:
    for text in judge_texts().values():
        examples = [line for line in text.splitlines() if line.startswith("- ") and "->" in line]
        decided = {re.search(r"-> (OK|REJECT), since \w", line)[1] for line in examples}  # type: ignore[index]
        assert decided == {"OK", "REJECT"}
        assert all("Tutor:" in line for line in examples)


def test_examples_of_a_leak_are_about_a_known_answer() -> None:
    text = judge_texts()["does_not_leak_answer"]
    assert "whose answer is 12" in text
    for line in text.splitlines():
        said = re.search(r'Tutor: "([^"]*)" -> (OK|REJECT)', line)
        if said and said[2] == "OK" and "So it is 12" not in line:
            assert "12" not in said[1], "an accepted tutor has not said the answer first"


@pytest.mark.parametrize("answer", [ANSWER, None])
def test_an_echoed_prompt_is_no_verdict(answer: str | None) -> None:
    """A judge that repeats its instructions, whole or in part, has decided nothing."""
    for text in judge_texts(answer=answer).values():
        assert parse_verdict(text) is None
        lines = text.splitlines()
        assert all(parse_verdict(line) is None for line in lines), text
        for start in range(0, len(lines), 3):
            assert parse_verdict("\n".join(lines[start:])) is None


# -- the tutor ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TUTORS, ids=names(TUTORS))
def test_the_tutor_is_told_to_help_and_never_licensed_to_tell(path: Path) -> None:
    text = path.read_text()
    assert "problem" in used_by(path) and "answer" not in used_by(path)
    assert re.search(r"\bnever\b[^.]*\b(?:answer|result)\b", text, re.IGNORECASE)
    for sentence in re.split(r"(?<=[.!?])\s+|\n", text):
        if TELLING.search(sentence):
            assert FORBIDDEN.search(sentence), sentence


def test_the_tutors_planning_is_asked_for_only_where_it_thinks() -> None:
    prompt = Prompts.load(GenerationSettings()).teacher
    given = {"problem": PROBLEM, "answer": ANSWER, "student_name": NAME, "student_persona": "p"}
    for thinks in (True, False):
        told = {"use_thinking": thinks, "include_thinking": thinks, "force_thinking": False}
        text = prompt.render(**given, **told)
        assert ("<think>" in text and "</think>" in text) is thinks
        assert PROBLEM in text and NAME in text and ANSWER not in text
        assert "<end_of_conversation>" in text
    nameless = prompt.render(**(given | {"student_name": None}), **told)
    assert "None" not in nameless and "one student" in nameless


# -- the student --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", STUDENTS, ids=names(STUDENTS))
def test_no_prompt_of_the_student_can_show_the_answer(path: Path) -> None:
    assert used_by(path) <= {"problem", "student_name", "attempt", "tutor_hidden"}
    assert "tutor's" not in path.read_text() and "solution is" not in path.read_text().lower()


def test_pre_test_and_post_test_ask_for_the_same() -> None:
    prompts = Prompts.load(GenerationSettings())
    asked = [
        prompts.student_attempt.render(problem=PROBLEM),
        prompts.final.render(problem=PROBLEM, student_name=NAME),
        (FOLDER / "student_retry.txt").read_text(),
    ]
    assert all(r"\boxed{}" in text for text in asked)
    assert all(PROBLEM in text for text in asked[:2])
    assert prompts.final_system is not None
    system = prompts.final_system.render(problem=PROBLEM, student_name=NAME)
    for limit in ("mistake", "unsure", "sentences", "step", "guess"):
        assert limit not in system.lower(), "the persona's limits are not in force"


@pytest.mark.parametrize("kind", ["guided", "attempted"])
@pytest.mark.parametrize("thinks", [True, False])
def test_a_whole_conversation_under_the_shipped_prompts(kind: str, thinks: bool) -> None:
    plan = "<think>PLAN</think>" if thinks else ""
    tutor = [f"{plan}SAY1", f"{plan}SAY2 <end_of_conversation>"]
    said = ["ATTEMPT", "REPLY"] if kind == "attempted" else ["REPLY"]
    _, log = hold(scene(kind, use_thinking=thinks), tutor, said)
    seen = {role: [a.text for r, a in log if r == role] for role in ("teacher", "student", "judge")}
    assert len(seen["judge"]) == 2 and len(seen["teacher"]) == 2
    for text in seen["student"]:
        assert ANSWER not in text and "PLAN" not in text and "end_of_conversation" not in text
        assert PROBLEM in text
    for text in seen["judge"]:
        assert ANSWER in text and PROBLEM in text and "PLAN" not in text and "SAY2" in text
    for text in seen["teacher"]:
        assert ANSWER not in text and PROBLEM in text
