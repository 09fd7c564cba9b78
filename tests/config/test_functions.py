"""Functions that settings name: found in modules and files, and their errors said in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError, RunError
from config.functions import call_function, is_function, load_function


def test_a_module_and_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("def double(x):\n    return 2 * x\n")
    assert load_function("math:sqrt", "here")(9.0) == 3.0
    assert load_function(f"{file}:double", "here")(4) == 8
    assert is_function("math:sqrt") and not is_function("prompts/rule.txt")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("sqrt", "not of the form module:function"),
        (":sqrt", "not of the form module:function"),
        ("math:", "not of the form module:function"),
        ("no_such_module:f", "ModuleNotFoundError"),
        ("math:no_such", "AttributeError"),
        ("math:pi", "is no function"),
        ("nowhere/mine.py:f", "FileNotFoundError"),
    ],
)
def test_what_is_not_there_is_one_line(source: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=rf"^generation\.x: .*{reason}") as caught:
        load_function(source, "generation.x")
    assert "\n" not in str(caught.value)


def test_a_module_that_does_not_load_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("def f(:\n")
    with pytest.raises(ConfigError, match=r"^generation\.x: .*SyntaxError"):
        load_function(f"{file}:f", "generation.x")


def test_what_it_raises_names_the_setting() -> None:
    with pytest.raises(RunError, match=r"^generation\.x: its function raised ZeroDivisionError"):
        call_function(lambda n: 1 / n, "generation.x", 0)
