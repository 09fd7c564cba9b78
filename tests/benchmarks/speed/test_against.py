"""What became slower since an earlier file of results is found, by what machines do not change."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from benchmarks.__main__ import main, say_changes
from benchmarks.speed.against import changes, not_compared, read_results
from benchmarks.speed.results import Result

PAIR = Result(
    name="pair", unit="s", ours=2.0, theirs=6.0, ratio=3.0, limit=1.0, of_limit=0.5,
    repeats=3, spread=0.1,
)  # fmt: skip
COUNT = replace(PAIR, name="count", unit="requests", ours=10.0, ratio=None, of_limit=None)
SECONDS = replace(PAIR, name="alone", theirs=None, ratio=None, of_limit=None)


@pytest.mark.parametrize(
    ("now", "slower"),
    [
        (replace(PAIR, ours=4.0, theirs=12.0), []),  # a slower machine
        (replace(PAIR, ratio=2.75), []),  # within the spread
        (replace(PAIR, ratio=2.4), ["ratio"]),
        (replace(PAIR, ratio=2.4, spread=0.3), []),
        (replace(PAIR, of_limit=0.4), ["share of the limit"]),
        (replace(PAIR, ratio=9.0), []),
        (replace(COUNT, ours=13.0), ["requests"]),
        (replace(COUNT, ours=9.0), []),
        (replace(SECONDS, ours=9.0), []),
        (replace(PAIR, name="new", ratio=0.1), []),
    ],
)
def test_slower_is_what_the_spread_does_not_explain(now: Result, slower: list[str]) -> None:
    before = [PAIR, COUNT, SECONDS]
    assert [change.what for change in changes([now], before) if change.slower] == slower
    assert say_changes([now], before) == (1 if slower else 0)


def test_what_cannot_be_compared_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    now = [PAIR, SECONDS, replace(PAIR, name="new")]
    assert not_compared(now, [PAIR, SECONDS]) == ["alone", "new"]
    say_changes(now, [PAIR, SECONDS])
    said = capsys.readouterr().out
    assert "pair: ratio 3 -> 3 (+0.0%, spread 10.0%): as before" in said
    assert "alone, new" in said and said.endswith("0 of 2 became slower beyond the spread\n")


def test_the_command_ends_with_1_where_something_is_slower(tmp_path: Path) -> None:
    now = tmp_path / "now.json"
    assert main(["reject_recall", "--json", str(now), "--repeats", "1"]) == 0
    [found] = read_results(now)
    assert found.commit and found.ratio
    assert main(["reject_recall", "--against", str(now), "--repeats", "1"]) == 0
    better = tmp_path / "better.json"
    better.write_text(json.dumps([asdict(replace(found, ratio=found.ratio * 2))]))
    assert main(["reject_recall", "--against", str(better), "--repeats", "1"]) == 1


@pytest.mark.parametrize("text", ["{", "[1]", '[{"name": "x"}]', None])
def test_a_file_that_is_none_is_one_line(
    tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "file.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main(["reject_recall", "--against", str(path)])
    assert stopped.value.code == 2
    assert "file.json: not a file of python -m benchmarks --json" in capsys.readouterr().err


def test_the_shipped_results_can_be_read() -> None:
    assert len(read_results(Path("docs/benchmarks.json"))) > 15
