"""A plan in any format stays between its model and the record: student and judge never see it."""

from __future__ import annotations

import asyncio
import json

import pytest

from config.schema import GenerationSettings, RewardModelSettings
from src.classroom import Classroom
from src.dialog.judges import build_judges
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.dialog.views.participants import Participant
from src.inference_providers.scripted import ScriptedProvider
from src.tokens.chat_template import ChatRenderer
from tests.src.tokens import template_families as families
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.rewards import RewardSettings

PLAN, QUESTION = "Their slip is the 54; I steer to 56.", "What is 7 x 8?"
PROBLEM = Problem(id="p", text="What is seven times eight?", answer="56")
SETTINGS = GenerationSettings(
    judges_rules_prompts_paths={
        "does_not_leak_answer": "prompt_templates/judges/does_not_leak_answer.txt"
    },
    rules_that_see_the_answer=[],
    number_student_attempts=2,
    max_turns=4,
    forced_conversation_type="guided",
)
CHATML = families.source("qwen2_5")


class Room:
    """One conversation, every role on the same model."""

    def __init__(self, source: str, teacher: str, student: str, verdict: str) -> None:
        renderer = ChatRenderer(families.tokenizer(source), model_name="teacher_model")
        said = {"teacher": teacher, "student": student, "judge": verdict}
        self.asked = {
            role: ScriptedProvider(lambda _, text=text: text, codec=renderer)  # type: ignore[misc]
            for role, text in said.items()
        }
        playing = {
            role: Participant(
                role=role,
                provider=provider,
                context_length=100_000,
                temperature=1.0,
                renderer=renderer,
            )
            for role, provider in self.asked.items()
        }
        self.room = Classroom(
            SETTINGS,
            Participants(
                teacher=playing["teacher"],
                student=playing["student"],
                judges=build_judges(SETTINGS, playing["judge"]),
            ),
            Prompts.load(SETTINGS),
            RewardSettings.of(SETTINGS, RewardModelSettings()),
            seed=1,
        )

    def run(self) -> ConversationRecord:
        [record] = asyncio.run(self.room.run([PROBLEM], samples=1))
        return record


FORMATS = {
    "[THINK]": (f"[THINK]{PLAN}[/THINK]", CHATML + "{# [THINK] #}"),
    "<seed:think>": (f"<seed:think>{PLAN}</seed:think>", CHATML + "{# <seed:think> #}"),
    "<|START_THINKING|>": (
        f"<|START_THINKING|>{PLAN}<|END_THINKING|>",
        CHATML + "{# <|START_THINKING|> #}",
    ),
    "Gemma 4": (f"<|channel>thought\n{PLAN}<channel|>", families.source("gemma4")),
    "harmony": (
        f"<|channel|>analysis<|message|>{PLAN}<|channel|>final<|message|>",
        families.source("gptoss"),
    ),
    "Apriel": (
        f"Here are my reasoning steps:\n{PLAN}\n[BEGIN FINAL RESPONSE]\n",
        CHATML + "{# [BEGIN FINAL RESPONSE] #}",
    ),
}


@pytest.mark.parametrize("name", FORMATS)
def test_neither_student_nor_judge_sees_the_plan(name: str) -> None:
    plan, source = FORMATS[name]
    verdict = plan + json.dumps({"reasoning": "It asks.", "decision": "OK"})
    played = Room(source, plan + QUESTION, plan + r"I say \boxed{56}.", verdict)
    record = played.run()
    for message in record.messages:
        assert PLAN in message.content and PLAN not in message.visible
    for role in ("student", "judge"):
        heard = [ask.text for ask in played.asked[role].calls]
        own = sum(m.role == role for m in record.messages)
        assert heard and all(text.count(PLAN) <= own for text in heard)
        assert any(QUESTION in text for text in heard)
    first = played.asked["student"].calls[0].text
    assert QUESTION in first and PLAN not in first
    for ask in played.asked["judge"].calls:
        assert PLAN not in ask.text
    assert all(s.correct and PLAN not in s.text for s in record.solutions)
    assert [v.decision for v in record.verdicts["does_not_leak_answer"]] == ["OK"] * len(
        record.verdicts["does_not_leak_answer"]
    )


def test_a_box_in_the_plan_is_no_answer() -> None:
    played = Room(
        FORMATS["[THINK]"][1], QUESTION, r"[THINK]It is \boxed{56}.[/THINK]I do not know.", "{}"
    )
    assert [s.correct for s in played.run().solutions] == [False, False]


def test_an_end_tag_in_the_plan_ends_nothing() -> None:
    plan = "[THINK]Shall I write <end_of_conversation>?[/THINK]"
    record = Room(FORMATS["[THINK]"][1], plan + QUESTION, "Hm.", "{}").run()
    assert record.stop_reason == "max_turns"


def test_an_answer_bound_to_a_schema_comes_after_the_thinking() -> None:
    """A template that opens every turn inside thinking: no JSON could be written there."""
    opens = "<|START_THINKING|>"
    source = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' }}"
        "{% if m.reasoning %}{{ '<|START_THINKING|>' + m.reasoning + '<|END_THINKING|>\\n' }}"
        "{% endif %}"
        "{{ m.content + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n" + opens + "' }}{% endif %}"
    )
    verdict = json.dumps({"reasoning": "It asks.", "decision": "OK"})
    played = Room(
        source, f"{PLAN}<|END_THINKING|>\n{QUESTION}", f"{PLAN}<|END_THINKING|>Hm.", verdict
    )
    record = played.run()
    for ask in played.asked["judge"].calls:
        assert ask.text.endswith(f"{opens}<|END_THINKING|>\n") and ask.sampling.json_schema
    assert {v.decision for v in record.verdicts["does_not_leak_answer"]} == {"OK"}
    assert [m.visible for m in record.messages] == [QUESTION, "Hm."] * 2
    assert all(m.content.startswith(opens + PLAN) for m in record.messages)
