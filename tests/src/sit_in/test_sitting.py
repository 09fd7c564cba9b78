"""A person in a seat: the classroom itself runs, and what is kept is a record like any other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from config.errors import ConfigError
from src.dialog.conversation import Conversation, State
from src.sit_in.command import find_problem, main, write_results
from src.sit_in.seat import Left, Said, Seat, Wanted
from src.sit_in.sitting import Sitting, boxed, seat_a_person
from tests.fault_server import Behaviour, FaultServer, ok
from tests.src.sit_in.hosted import settings
from utils.compare import compare
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.records import ConversationRecord, check
from utils.report.conversations import index
from utils.runs.folder import open_run
from utils.runs.read import open_run as read_run


class Script:
    """A surface whose person says what stands in a list, then leaves."""

    def __init__(self, *said: Said) -> None:
        self.said = list(said)
        self.asked: list[tuple[Wanted, tuple[str, ...]]] = []
        self.states: list[State] = []
        self.shown: list[ConversationRecord] = []

    async def choose(self, problems: Sequence[Problem]) -> Problem | None:
        raise Left

    def follow(self, conversation: Conversation) -> None:
        self.states.append(conversation.state)

    async def ask(self, wanted: Wanted, conversation: Conversation) -> Said:
        self.asked.append((wanted, tuple(m.visible for m in conversation.messages)))
        if not self.said:
            raise Left
        return self.said.pop(0)

    async def show(self, record: ConversationRecord) -> None:
        self.shown.append(record)


async def sit(folder: Path, seat: Seat, surface: Script, replies: Any, **more: Any) -> Path:
    """Hold one conversation about the first problem; the run's folder."""
    other = "student" if seat == "tutor" else "teacher"
    async with FaultServer(replies) as server:
        cfg = settings(folder, other, server.base_url, **more)
        seat_a_person(cfg, seat)
        problems = load_problems(cfg.dataset.eval_datasets, seed=1, limit=-1)
        first = find_problem(problems, "47+38")
        with ExitStack() as stack:
            run = stack.enter_context(open_run(cfg, config_name=f"sit-in-{seat}"))
            await Sitting(cfg, seat, problems, run, surface, stack).run(first)
            return run.path


TUTOR = [ok("<think>7+8 is 15</think>Add the ones?"), ok("It is 85. <end_of_conversation>")]


async def test_a_student_answers_and_their_post_test_is_checked(tmp_path: Path) -> None:
    surface = Script(Said(text="15"), Said(text="85"))
    folder = await sit(tmp_path, "student", surface, TUTOR)
    [record] = surface.shown
    assert surface.asked[0] == ("message", ("Add the ones?",))  # the plan is not seen
    assert surface.asked[1] == ("solution", ("Add the ones?", "15", "It is 85."))
    assert record.split == "human" and record.stop_reason == "tutor_ended"
    assert record.messages[0].content.startswith("<think>")  # and is shown afterwards
    [solution] = record.solutions
    assert (solution.answer, solution.correct) == ("85", True)
    assert record.verdicts["does_not_leak_answer"][0].decision == "REJECT"
    assert record.initial_solutions == [] and surface.states[-1] is State.END
    assert check(folder / "conversations.jsonl") == []


async def test_a_student_may_end_and_may_not_know(tmp_path: Path) -> None:
    surface = Script(Said(text="I must go", ends=True), Said(text=""))
    folder = await sit(tmp_path, "student", surface, TUTOR, **{"generation.solution_ending": "x"})
    [record] = surface.shown
    assert record.stop_reason == "student_ended"
    assert [s.correct for s in record.solutions] == [False]
    assert [s.answer for s in record.solutions] == [None]
    assert (
        "student_ended" in (write_results(folder) or folder).with_name("metrics.json").read_text()
    )


async def test_a_tutor_is_measured_as_a_model_is(tmp_path: Path) -> None:
    def student(number: int, body: dict[str, Any]) -> Behaviour:
        solves = "olve it" in body["messages"][-1]["content"]
        return ok("\\boxed{85}" if solves else "15")

    surface = Script(Said(text="Add the ones?"), Said(text="And the tens?", ends=True))
    folder = await sit(tmp_path, "tutor", surface, student)
    [record] = surface.shown
    assert record.stop_reason == "tutor_ended"
    assert [m.visible for m in record.messages] == ["Add the ones?", "15", "And the tens?"]
    assert len(record.initial_solutions) == len(record.solutions) == 2
    assert record.rewards["end_of_conversation"] > 0 and record.usage["teacher"].requests == 2
    run = read_run(folder)
    assert run.final == [record]
    assert run.config["teacher_model"]["model_name_or_path"] == "human"
    rows, _ = compare(run, run)
    assert "solve_after" in {row.name for row in rows}
    assert index([(0, record)])["split"] == ["human"]
    report = write_results(folder)
    assert report is not None and '"split":["human"]' in report.read_text()


async def test_who_leaves_in_the_middle_leaves_nothing_half(tmp_path: Path) -> None:
    folder = await sit(tmp_path, "student", Script(), TUTOR)
    assert write_results(folder) is None


async def test_the_same_problem_again_is_another_sample(tmp_path: Path) -> None:
    async with FaultServer([ok("It is 85. <end_of_conversation>")]) as server:
        for number in (1, 2):
            cfg = settings(tmp_path, "teacher", server.base_url)
            seat_a_person(cfg, "student")
            problems = load_problems(cfg.dataset.eval_datasets, seed=1, limit=-1)
            with ExitStack() as stack:
                run = stack.enter_context(open_run(cfg, config_name="sit-in-student"))
                sitting = Sitting(cfg, "student", problems, run, Script(Said(text="85")), stack)
                await sitting.run(problems[0])
            assert [r.sample for r in read_run(run.path).records] == list(range(number))
        assert sitting.draw() != problems[0]


async def test_an_attempt_comes_first_where_the_conversation_opens_with_it(tmp_path: Path) -> None:
    surface = Script(Said(text="75"), Said(text="85"))
    forced = {"generation.forced_conversation_type": "attempted"}
    await sit(tmp_path, "student", surface, TUTOR[1:], **forced)
    assert [wanted for wanted, _ in surface.asked] == ["attempt", "solution"]


def test_an_answer_is_boxed_once() -> None:
    assert boxed(" 85 ") == "\\boxed{85}"
    assert boxed("so \\boxed{85}") == "so \\boxed{85}"
    assert boxed(" ") == ""


def test_a_problem_is_found_by_number_or_words() -> None:
    problems = [Problem(id=f"p{i}", text=f"{i} cats", answer="1") for i in range(3)]
    assert find_problem(problems, "2").id == "p1"
    assert find_problem(problems, "p2").id == "p2"
    assert find_problem(problems, "2 CATS").id == "p2"
    with pytest.raises(ConfigError, match="3 of the problems"):
        find_problem(problems, "cats")
    with pytest.raises(ConfigError, match="none of the problems"):
        find_problem(problems, "dogs")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["eval.task=reasoning"], "eval.task: reasoning has no classroom"),
        (["+generation.peers.Ann=prompt_templates/toy/student.txt"], "generation.peers: "),
        (["generation.max_turn=3"], "did you mean generation.max_turns"),
        (["--problem", "x y"], "--problem: 'x y' is none of the problems"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--as", "student", *overrides, f"logging.save_dir={tmp_path}"]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
