"""Answers: a table of pairs, real reference answers, properties, and hostile input."""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.answers.equality import equal, is_correct, last_boxed
from utils.answers.forms import equal_forms

TESTS = Path(__file__).parents[2]
ROWS = [json.loads(line) for line in (TESTS / "data" / "answers.jsonl").read_text().splitlines()]
BOXED = [json.loads(line) for line in (TESTS / "data" / "boxed.jsonl").read_text().splitlines()]
SHARED = TESTS.parents[1] / "shared" / "data"


@pytest.mark.parametrize("reason", sorted({row["reason"] for row in ROWS}))
def test_table(reason: str) -> None:
    rows = [row for row in ROWS if row["reason"] == reason]
    assert [r for r in rows if equal(r["a"], r["b"]) != r["equal"]] == []
    if "huge" not in reason:
        assert [r for r in rows if equal(r["b"], r["a"]) != r["equal"]] == []


def test_table_is_large_and_mostly_decided_without_sympy() -> None:
    assert len(ROWS) >= 350
    undecided = [row["reason"] for row in ROWS if equal_forms(row["a"], row["b"]) is None]
    assert len(undecided) < 0.2 * len(ROWS)
    assert {"same number", "spellings of a fraction", "thousands", "currency"}.isdisjoint(undecided)


@pytest.mark.parametrize("rule", sorted({row["rule"] for row in BOXED}))
def test_boxed_answers(rule: str) -> None:
    rows = [row for row in BOXED if row["rule"] == rule]
    assert [
        r for r in rows if is_correct(f"\\boxed{{{r['boxed']}}}", r["answer"]) != r["right"]
    ] == []


def test_every_reference_accepts_itself() -> None:
    answers = {row["answer"] for row in BOXED} | {row["b"] for row in ROWS if row["b"].strip()}
    empty = {r"\text{}", "{}", "()", "?", "..."}
    wrong = [a for a in answers - empty if not is_correct(f"\\boxed{{{a}}}", a)]
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"so \boxed{5}.", "5"),
        (r"\boxed{5} and then \boxed{6}", "6"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{\text{a {b} c}}", r"\text{a {b} c}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right\}}", r"\left\{ x \right\}"),
        (r"\boxed {5}", "5"),
        (r"\boxed 5", "5"),
        (r"thus $\boxed 5$ holds", "5"),
        (r"it is \boxed 12 cm. Done", "12 cm"),
        (r"\fbox{7}", "7"),
        (r"\boxed{5} or \fbox{7}", "7"),
        (r"\boxed{x = \boxed{3}}", "3"),
        ("\\boxed{\n 5 \n}", "5"),
        (r"\\boxed{5}", "5"),
        (r"\boxed{}", ""),
        (r"\boxed{5", None),
        (r"\boxed{4} but no, \boxed{\frac{1}{2}", None),
        (r"\boxed{5\}", None),
        (r"\boxed{42} and once more \boxed{4", "42"),
        (r"\boxed{42} is it. \boxed{}", "42"),
        (r"$\boxed{\text{42}$", r"\text{42}"),
        (r"$\boxed{42\}$", "42"),
        (r"\Boxed{42}", "42"),
        ("oxed{42}", "42"),
        ("\boxed{42}", "42"),
        ("The box{42} holds it", None),
        (r"It is not \boxed{42}", None),
        (r"It isn't $\boxed{42}$. It is 43.", None),
        (r"If not, then \boxed{42}", "42"),
        (r"\boxed", None),
        ("boxed{5}", None),
        (r"\boxedtext{5}", None),
        ("the answer is 5", None),
        ("", None),
    ],
)
def test_last_boxed(text: str, boxed: str | None) -> None:
    assert last_boxed(text) == boxed


def test_only_the_last_box_of_the_solution_counts() -> None:
    assert is_correct(r"First \boxed{4}, no: \boxed{5}", "5")
    assert not is_correct(r"First \boxed{5}, no: \boxed{4}", "5")
    assert not is_correct("The answer is 5.", "5")
    assert not is_correct("", "None")
    assert not is_correct("no box", "None")
    assert not is_correct(r"\boxed{}", "")
    assert not is_correct(r"\boxed{None}", "5")
    assert not is_correct(r"\boxed{5", "5")


def perturbed(answer: str) -> str:
    """Another answer of the same make: its last digit counted on, or something added."""
    if digits := list(re.finditer(r"\d", answer)):
        at = digits[-1].start()
        return f"{answer[:at]}{(int(answer[at]) + 1) % 10}{answer[at + 1 :]}"
    return answer[:-1] + "x}" if answer.endswith("}") else f"{answer} + 1"


def reference_answers(name: str) -> list[str]:
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"no {path}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["answer"].rpartition("####")[2].strip() for row in rows]


@pytest.mark.parametrize("name", ["math500-100.jsonl", "gsm8k-train-600.jsonl"])
def test_real_reference_answers(name: str) -> None:
    answers = reference_answers(name)
    assert len(answers) >= 100
    for answer in answers:
        assert is_correct(f"Therefore $\\boxed{{{answer}}}$.", answer)
        other = perturbed(answer)
        assert not is_correct(f"Therefore $\\boxed{{{other}}}$.", answer), (answer, other)


def test_real_solutions_are_correct() -> None:
    path = SHARED / "math500-100.jsonl"
    if not path.exists():
        pytest.skip(f"no {path}")
    for row in map(json.loads, path.read_text().splitlines()):
        assert is_correct(row["solution"], row["answer"]), row["answer"]


ANY_TEXT = st.text(max_size=80) | st.lists(
    st.sampled_from([*r"0123456789xyi+-*/^_=<>,;:.!|$%&~'", "(", ")", "[", "]", "{", "}", r"\{",
                     r"\}", r"\frac", r"\sqrt", r"\pm", r"\text{", r"\cup", r"\infty", " and ",
                     r"\begin{pmatrix}", r"\end{pmatrix}", r"\\", "⟨", "⟩", "½", "°"]),
    max_size=25,
).map("".join)  # fmt: skip


@settings(max_examples=300)
@given(ANY_TEXT, ANY_TEXT)
def test_any_two_texts_are_compared_alike_both_ways(a: str, b: str) -> None:
    assert equal_forms(a, b) == equal_forms(b, a)
    last_boxed(f"\\boxed{{{a}")


@given(ANY_TEXT)
def test_nothing_equals_an_empty_answer(text: str) -> None:
    assert not equal(text, "")
    assert not equal("  ", text)


BLOW_UPS = ["10^{10^{10}}", "{" * 400 + "5" + "}" * 400]
MORE_BLOW_UPS = [
    "9^9^9^9", "9^{9^{9^{9}}}", "1000000!", "(x+1)^{100000}", "2^{2^{2^{2^{2^2}}}}",
    "(" * 400 + "x", "x" + "^x" * 300, r"\int_0^1 x^x dx", r"\binom{10^9}{10^8} x",
    "½" * 900, "-" * 900 + "x",
]  # fmt: skip
HOSTILE = [
    "10^{10^{10^{x}}}", "1e999999999", "x^{1e99}", "((3!)!)!!", r"\frac{" * 150 + "x",
    r"\sqrt{" * 120 + "x" + "}" * 120, "9" * 990 + "x", "+".join("xyz" * 100), "1/0",
    r"\sum_{n=1}^{10^9} \sin(n)", r"\prod_{k=1}^{999999} (1+x^k)", ",".join(["x"] * 400),
    r"\pm " * 200 + "x", "x" * 5_000_000, "(" * 5_000_000, r"\boxed{" * 100_000,
    "{" * 1_000_000, "\x00", "\ud800", r"\text{" * 160, "1," * 450, "a b " * 240, " " * 900 + "x",
]  # fmt: skip


async def check_hostile(answers: list[str]) -> None:
    """Eight threads beside a running loop; what sympy would chew on for ever is ended."""
    beats = 0

    async def heart() -> None:
        nonlocal beats
        while True:
            await asyncio.sleep(0.05)
            beats += 1

    heartbeat = asyncio.create_task(heart())
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(8) as threads:
        jobs = [
            loop.run_in_executor(threads, is_correct, f"\\boxed{{{text}}}", "x+5")
            for text in answers
        ]
        honest = loop.run_in_executor(threads, is_correct, r"\boxed{2(k+1)}", "2k+2")
        assert await asyncio.gather(*jobs) == [False] * len(answers)
        assert await honest, "an honest answer among them is still compared"
    heartbeat.cancel()
    assert beats > 0


async def test_hostile_answers_hold_up_nobody() -> None:
    await check_hostile(BLOW_UPS + HOSTILE)


@pytest.mark.slow
async def test_more_hostile_answers_hold_up_nobody() -> None:
    await check_hostile(MORE_BLOW_UPS)


# texts whose repetition makes regular expressions that backtrack take for ever
REPEATED = [
    "x",
    "a ",
    "1 ",
    "1,",
    "x=",
    "{}",
    "⟨a⟩",
    r"\text{a} ",
    "one ",
    "and ",
    "x_1 ",
    "cm/",
    " ",
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("text", REPEATED)
@pytest.mark.parametrize("end", ["", "=", "!", "x"])
def test_repetition_is_read_at_once(text: str, end: str) -> None:
    answer = (text * 1000)[:990] + end
    equal_forms(answer, "3x+1")
    equal_forms(f"({answer}", f"{answer}")
    last_boxed("\\boxed " + answer * 20)


@pytest.mark.parametrize(
    ("boxed", "answer", "correct"),
    [
        ("4 * 4", "16", False),
        ("4*4", "16", False),
        ("96 + 55", "151", False),
        (r"4 \times 4", "16", False),
        (r"(4) \cdot (4)", "16", False),
        ("20 - 4", "16", False),
        (r"\frac{1}{2} + \frac{1}{2}", "1", False),
        ("4 * 4 = 16", "16", True),
        (r"1.6 \times 10^1", "16", True),
        ("1.6*10^{1}", "16", True),
        ("-16", "-16", True),
        ("32/2", "16", False),
        (r"\frac{32}{2}", "16", True),
        ("2^4", "16", True),
        ("1 + \\sqrt{19}", "1+\\sqrt{19}", True),
        ("2x+1", "2x + 1", True),
    ],
)
def test_a_number_is_asked_for_and_a_sum_to_be_done_is_none(
    boxed: str, answer: str, correct: bool
) -> None:
    assert is_correct(f"So \\boxed{{{boxed}}}", answer) is correct
