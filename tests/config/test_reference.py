"""The reference of settings is what its command writes, and leaves no setting unexplained."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.reference import PAGE, comments, main, reference


def test_the_page_is_what_the_command_writes(tmp_path: Path) -> None:
    assert main([str(tmp_path / "page.md")]) == 0
    assert PAGE.read_text() == (tmp_path / "page.md").read_text(), (
        "python -m config.reference writes it"
    )


def test_every_setting_is_explained() -> None:
    silent = [line for line in reference().splitlines() if line.endswith("|  |")]
    assert not silent


@dataclass
class Group:
    """A group."""

    a: int = 1  # beside it
    # new
    # above it,
    # in two lines
    b: int = 2  # fmt: skip
    c: list[int] | None = None  # new; of c


def test_comments_are_read_beside_and_above() -> None:
    assert comments(Group) == {"a": "beside it", "b": "above it, in two lines", "c": "of c"}
