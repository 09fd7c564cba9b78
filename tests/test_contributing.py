"""The recipes of CONTRIBUTING.md work as they stand."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from config.schema import TrainRLConfig
from src.inference_providers.base import Sampling
from src.inference_providers.budget import Budget
from src.inference_providers.scripted import ScriptedProvider
from src.setup import build_classroom, check_texts
from utils.data.problems import Problem
from utils.records import ConversationRecord
from utils.settings.hydra_entry import load_config

PAGE = (Path(__file__).resolve().parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")


def recipe(title: str) -> tuple[str, list[str]]:
    """The code of a section, and the overrides of its command."""
    section = PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]
    [code] = re.findall(r"^```(?:python|text)\n(.*?)^```", section, re.M | re.S)
    commands = re.findall(r"^\./start_rl_training\.sh (.*)$", section, re.M)
    words = [word for command in commands for word in shlex.split(command)]
    return code, [word for word in words if word.startswith("+")]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes a recipe's file into an empty folder, where paths of the command are looked for."""

    def write(name: str, title: str) -> tuple[Path, list[str]]:
        code, overrides = recipe(title)
        (tmp_path / name).write_text(code)
        return tmp_path / name, [o.replace(name, str(tmp_path / name)) for o in overrides]

    return write


def settings(overrides: list[str]) -> TrainRLConfig:
    return load_config("config/train_rl", TrainRLConfig, "toy", overrides)


def one_conversation(cfg: TrainRLConfig, student: Any) -> ConversationRecord:
    """One conversation of the toy with scripted roles, all through the classroom that a run has."""
    tutor = ScriptedProvider(lambda ask: "What is 7+8?", name="tutor")
    tutor.gives_tokens = False  # it is spoken to in messages, so that no tokenizer is needed
    classroom = build_classroom(
        cfg,
        {"teacher": tutor, "student": student},
        evaluation=False,
        budget=Budget.from_settings(cfg.engines),
    )
    problem = Problem(id="p", text="What is 47+38?", answer="85")
    [record] = asyncio.run(classroom.run([problem], samples=1))
    return record


def echo() -> Any:
    code, _ = recipe("Add a provider")
    names: dict[str, Any] = {}
    exec(code, names)
    return names["Echo"]()


def test_a_provider_is_one_class() -> None:
    record = one_conversation(settings([]), echo())
    assert record.error is None
    student = [m.content for m in record.messages if m.role == "student"]
    assert student and set(student) == {"What is 7+8?"}


def test_a_provider_that_gives_no_ids_says_so() -> None:
    with pytest.raises(NotImplementedError):
        asyncio.run(echo().complete_tokens([1], Sampling(temperature=1.0, max_tokens=1)))


def test_a_reward_is_one_function_and_one_line(written: Any) -> None:
    _, overrides = written("my_rewards.py", "Add a reward")
    record = one_conversation(settings(overrides), echo())
    assert record.rewards["asks"] == pytest.approx(0.2)  # every turn asks


def test_a_judge_rule_is_one_function_and_one_line(written: Any) -> None:
    _, overrides = written("my_rules.py", "Add a judge rule")
    record = one_conversation(settings(overrides), echo())
    [verdict] = record.verdicts["short"]
    assert (verdict.decision, verdict.reasoning) == ("OK", "the longest turn has 3 words")


def test_a_student_is_one_prompt_and_one_line(written: Any) -> None:
    _, overrides = written("kim.txt", "Add a student")
    cfg = settings(overrides)
    check_texts(cfg)
    heard: list[str] = []

    class Listens(type(echo())):  # type: ignore[misc]
        async def complete_messages(self, messages: Any, sampling: Sampling) -> Any:
            heard.append(messages[0]["content"])
            return await super().complete_messages(messages, sampling)

    record = one_conversation(cfg, Listens())
    assert record.student_persona == "kim" and record.student_kind == "archetype"
    assert any(text.startswith("You are Kim") and "47+38" in text for text in heard)


def test_a_benchmark_is_a_function_that_gives_a_result() -> None:
    code, _ = recipe("Add a benchmark")
    names: dict[str, Any] = {}
    exec(code, names)
    found = names["measure"]("sorting", 2)
    assert (found.name, found.unit, found.repeats, found.theirs) == ("sorting", "s", 2, None)
    assert found.ours > 0
