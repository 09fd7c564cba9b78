"""Which problems make a session: named by a column, or drawn from their kind by the seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import DatasetEntry
from utils.data.sessions import load_sessions


def rows(folder: Path, *given: dict[str, object]) -> list[DatasetEntry]:
    file = folder / "rows.jsonl"
    made = [
        {"id": f"p{i}", "problem": f"{i} + 1?", "answer": i + 1} | r for i, r in enumerate(given)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in made))
    return [DatasetEntry(name_or_path=str(file))]


def ids(entries: list[DatasetEntry], length: int = 3, **more: int) -> list[list[str]]:
    found = load_sessions(entries, length=length, **({"seed": 1} | more))  # type: ignore[arg-type]
    return [[*(e.id for e in problem.earlier), problem.id] for problem in found]


def test_a_column_says_what_belongs_together_and_in_which_order(tmp_path: Path) -> None:
    places = (2, 0, 1, 5, 4, 3, 6)
    given = [{"session": "a", "position": p} for p in places]
    found = ids(rows(tmp_path, *given, *[{"session": "b", "position": p} for p in (1, 2, 3)]))
    assert sorted(found) == [["p1", "p2", "p0"], ["p5", "p4", "p3"], ["p7", "p8", "p9"]]


def test_a_limit_counts_sessions(tmp_path: Path) -> None:
    given = [{"session": i // 3, "position": i} for i in range(12)]
    [only] = ids(rows(tmp_path, *given), limit=1)
    assert only in [[f"p{i + j}" for j in range(3)] for i in range(0, 12, 3)]


def test_without_a_column_each_problem_ends_a_session_of_its_kind(tmp_path: Path) -> None:
    entries = rows(tmp_path, *({"kind": "ab"[i % 2]} for i in range(10)))
    found = ids(entries)
    assert sorted(session[-1] for session in found) == [f"p{i}" for i in range(10)]
    for session in found:
        assert len(set(session)) == 3
        assert len({int(name[1:]) % 2 for name in session}) == 1
    assert found == ids(entries) and sorted(found) != sorted(ids(entries, seed=2))


def test_one_problem_is_as_ever(tmp_path: Path) -> None:
    assert sorted(ids(rows(tmp_path, {}, {}), length=1)) == [["p0"], ["p1"]]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([{}, {}], r"^generation\.problems_per_session: .* a kind; of rows\.jsonl there are 2"),
        ([{"session": "a"}] * 2, r"^generation\.problems_per_session: no session"),
        ([{"session": "a"}, {"session": ""}], r"problem 'p1' has no value in the column 'session'"),
        ([{"session": "a", "position": "first"}], r"column 'position': problem 'p0' has 'first'"),
    ],
)
def test_what_makes_no_session_is_refused(
    given: list[dict[str, object]], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        ids(rows(tmp_path, *given))
