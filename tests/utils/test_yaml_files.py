"""What is no YAML is refused in one line with file, line and column."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from utils.yaml_files import read_mapping


def test_a_mapping_and_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("\ufeffa: [1, {b: 2}]\n", encoding="utf-8")
    assert read_mapping(path) == {"a": [1, {"b": 2}]}
    path.write_text("# nothing\n")
    assert read_mapping(path) == {}


BROKEN = [
    ('a:\n  - b: "one\n    c: "two"\n', "2:8", "a quote is opened here and closed only at 3:9"),
    ("a: 'one\nb: 1\n", "1:4", "a quote is opened here and never closed"),
    ('a: "one\n  two"\nb: [1\n', "4:1", "expected ',' or ']'"),  # the quote is not to blame
    ("a: 1\n\tb: 2\n", "2:1", "cannot start any token"),
    ("a: 1\n b: 2\n", "2:3", "mapping values are not allowed"),
    ("a: [1, 2\nb: 3\n", "2:2", "expected ',' or ']'"),
    ("a: *nowhere\n", "1:4", "undefined alias"),
    ("- 1\n- 2\n", "1:1", "not a mapping"),
    ("a: \x07\n", "1:4", "a character that YAML does not allow"),
    (b"a: 1\nb: \xff\n", "2:4", "no UTF-8 text"),
]


@pytest.mark.parametrize(("text", "place", "says"), BROKEN, ids=[b[1] + b[2][:9] for b in BROKEN])
def test_the_place_is_said(tmp_path: Path, text: str | bytes, place: str, says: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as refusal:
        read_mapping(path)
    said = str(refusal.value)
    assert said.startswith(f"{path}:{place}: ") and says in said
    assert "\n" not in said
