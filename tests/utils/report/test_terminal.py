"""What models wrote cannot steer the terminal."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.synthetic import records
from utils.metrics.results import results
from utils.report.terminal import STUDENT_COLUMNS, plain, print_metrics


def test_plain_drops_escapes_controls_and_bidi() -> None:
    hostile = "\x1b[31mred\x1b[0m\x1b]0;title\x07 \u202eevil\u202c a\tb\nc\x00"
    assert plain(hostile) == "red evil a b c"
    assert plain("x" * 300).endswith("…") and len(plain("x" * 300)) == 200


@given(st.text())
def test_plain_leaves_only_what_can_be_seen(text: str) -> None:
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") for c in plain(text))


def test_table_shows_metrics_groups_alarms_and_no_markup() -> None:
    rows = [
        r.model_copy(update={"source": f"[bold]{r.source}\x1b[2J"}) for r in records(40, samples=2)
    ]
    metrics = results(rows, control=records(20, skill=0.2))
    metrics["alarms"] = ["own_numbers: fell \x1b[31m"]
    stream = io.StringIO()
    print_metrics(metrics, "a run", Console(file=stream, width=120))
    text = stream.getvalue()
    for wanted in ("solve_after", "leaked", "control_difference", "by type", "ALARM own_numbers",
                   "judges agree", "[bold]gsm8k"):  # fmt: skip
        assert wanted in text, wanted
    assert "\x1b" not in text


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_off_at_this_width(width: int) -> None:
    rows = [r.model_copy(update={"source": f"reasoning_gym:{r.source}_arithmetic"})
            for r in records(40)]  # fmt: skip
    stream = io.StringIO()
    print_metrics(results(rows), "a run", Console(file=stream, width=width))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in stream.getvalue()
    head = next(line for line in lines if " before " in line)
    assert "after" in head and "rejected" in head
    assert any("± 0." in line for line in lines[lines.index(head) :])


@pytest.mark.parametrize("width", [80, 120])
def test_measured_students_have_their_names_at_this_width(width: int) -> None:
    mean = {"mean": 0.25, "low": 0.125, "high": 0.5, "n": 42}
    entry = {"held_out": True, "conversations": 42} | dict.fromkeys(STUDENT_COLUMNS, mean)
    stream = io.StringIO()
    students = {"times_means_plus": entry, "plain": entry}
    print_metrics({"students": students}, "students", Console(file=stream, width=width))
    shown = stream.getvalue()
    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for words in ("times_means_plus", "plain", "held out", "selectivity", "[0.12, 0.50]", "42"):
        assert words in shown, shown


@pytest.mark.parametrize(("problems", "said"), [(9, "no interval: 9 problems are few"), (30, "[")])
def test_kappa_says_when_problems_are_few(problems: int, said: str) -> None:
    stream = io.StringIO()
    rows = records(problems, leak=0.5)
    print_metrics(results(rows), "a run", Console(file=stream, width=160))
    lines = stream.getvalue().splitlines()
    kappa = [line for line in lines if "does_not_leak_answer / follows_" in line]
    assert kappa and all(said in line for line in kappa)


def test_a_benchmark_shows_its_own_numbers() -> None:
    entry = {"mean": 0.5, "se": 0.1, "n": 20, "low": 0.3, "high": 0.7}
    stream = io.StringIO()
    metrics = {"accuracy": entry, "accuracy_gsm8k": entry} | results(records(4))
    print_metrics(metrics, "a benchmark", Console(file=stream, width=80))
    assert "accuracy_gsm8k" in stream.getvalue()
    assert "tutor_tokens" not in stream.getvalue()
