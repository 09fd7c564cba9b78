"""What MathTutorBench shows of its rows: GSM8K, StepVerify, and dialogs with a human tutor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from utils.data.rows.bad_rows import BadRow
from utils.data.rows.cells import text_of
from utils.records import Message

GSM8K, STEPVERIFY = "openai/gsm8k", "eth-nlped/stepverify"
Turn = tuple[str, str]  # ("teacher" or "student", what was said)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentWork:
    """A student's solution of a problem, in steps and as it was told to the tutor."""

    question: str
    dialog_history: str  # what the tutor said before the student
    student_solution: str
    student_chat_solution: str
    reference_solution: str
    is_error: bool
    error_step: int  # counted from 1; 0: none

    @property
    def answer(self) -> str:
        """The reference's last line, without commas."""
        return self.reference_solution.split("\n")[-1].replace(",", "").strip()

    def values(self) -> dict[str, Any]:
        """What a task's prompt may show."""
        shown = ("question", "dialog_history", "student_solution", "student_chat_solution")
        return {name: getattr(self, name) for name in shown}


def text_in(row: Row, column: str) -> str:
    """A cell as it is; nothing where the row has none."""
    value = row.get(column)
    return "" if value is None else value if isinstance(value, str) else text_of(value)


def turns_of(row: Row) -> list[Turn]:
    """The dialog of a row, in order.  Raises BadRow."""
    try:
        turns = [(str(t["user"]).lower(), str(t["text"])) for t in row["dialog_history"] or []]
    except (KeyError, TypeError):
        raise BadRow("malformed", "dialog_history wants [{user, text}, ...]") from None
    return [("student" if who == "student" else "teacher", said) for who, said in turns]


def next_turn(row: Row) -> tuple[list[Turn], str]:
    """(turns before, the human tutor's): a column `ground_truth_response`, else the last turn.

    Raises BadRow.
    """
    turns, given = turns_of(row), row.get("ground_truth_response")
    if given:
        return turns, str(given["text"] if isinstance(given, Mapping) else given)
    if not turns or turns[-1][0] != "teacher":
        raise BadRow("malformed", "dialog_history must end with the human teacher's turn")
    return turns[:-1], turns[-1][1]


def dialog_lines(turns: Sequence[Turn]) -> str:
    """A dialog as the benchmark writes it, a line a turn."""
    return "\n".join(f"{who.capitalize()}: {said}" for who, said in turns)


def message(who: str, said: str) -> Message:
    """A turn as the record keeps it."""
    return Message(role="student" if who == "student" else "teacher", content=said, visible=said)


def worked_answer(answer: str) -> str:
    """What a GSM8K solution ends with, after its mark or on its last line, without commas."""
    ending = answer.rpartition("### ")[2] if "### " in answer else answer.split("\n")[-1]
    return ending.replace(",", "").strip()


def student_work(row: Row, *, with_step: bool = False) -> tuple[StudentWork, StudentWork]:
    """A row's wrong solution, and the right one that stands beside it.

    StepVerify has both as told in a dialog.  Rows without one (MathDial's) show the solutions as
    they were written.  Raises BadRow.
    """
    wrong_lines, reference = _lines(row["student_incorrect_solution"]), row["reference_solution"]
    right_lines = str(reference).split("\n")
    before, told = _told(row, "\n".join(wrong_lines))
    right = text_in(row, "student_correct_response") or "\n".join(right_lines)

    def work(lines: Sequence[str], chat: str, step: int, *, is_error: bool) -> StudentWork:
        return StudentWork(
            question=text_in(row, "problem"),
            dialog_history=dialog_lines(before),
            student_solution=_steps(lines[:-1]),  # the last line is the bare answer
            student_chat_solution=chat,
            reference_solution=str(reference),
            is_error=is_error,
            error_step=step,
        )

    step = _step(row["incorrect_index"]) if with_step else 0
    return (
        work(wrong_lines, told, step, is_error=True),
        work(right_lines, right, 0, is_error=False),
    )


def _told(row: Row, otherwise: str) -> tuple[list[Turn], str]:
    """(what the tutor said first, the student's solution as told)."""
    if row.get("dialog_history") is None:
        return [], otherwise
    turns = turns_of(row)
    first = next((at for at, (who, _) in enumerate(turns) if who == "student"), None)
    if first is None:
        raise BadRow("without a student", "dialog_history has no turn of the student")
    return turns[:first], turns[first][1]


def _lines(solution: object) -> list[str]:
    if isinstance(solution, list | tuple):
        return [str(line) for line in solution]
    return str(solution).split("\n")


def _steps(lines: Sequence[str]) -> str:
    """Numbered steps; the benchmark joins them by a backslash and an n, not by a line's end."""
    return r"\n".join(f"Step {number} - {line}" for number, line in enumerate(lines, 1))


def _step(index: object) -> int:
    """The first wrong step, counted from 1; data count from 0.  Raises BadRow."""
    try:
        return int(str(index)) + 1
    except ValueError:
        raise BadRow("malformed", f"incorrect_index {index!r} is no whole number") from None
