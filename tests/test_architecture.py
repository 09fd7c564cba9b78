"""The shape of the house: rooms say what they are, no import circle, no arrow upwards."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOPS = ("config", "utils", "src", "toy", "benchmarks")
# Who may import whom: a floor sees its own and those below.
FLOORS = ("config", "utils", "src", "toy", "benchmarks")


def modules() -> dict[str, Path]:
    """Every module of the project, by its dotted name."""
    found = {}
    for top in TOPS:
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


@cache
def imports() -> dict[str, set[str]]:
    """Module -> modules of the project that it imports, anywhere in its text: in functions and
    behind TYPE_CHECKING too."""
    known = modules()
    arrows: dict[str, set[str]] = {}
    for name, path in known.items():
        seen = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                seen |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                seen |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        arrows[name] = (seen & known.keys()) - {name}
    return arrows


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """One circle through each module that has one."""
    found = []
    for start in arrows:
        path, seen = [(start, iter(sorted(arrows[start])))], {start}
        while path:
            for target in path[-1][1]:
                if target == start:
                    found.append([name for name, _ in path])
                    path = []
                    break
                if target not in seen:
                    seen.add(target)
                    path.append((target, iter(sorted(arrows[target]))))
                    break
            else:
                path.pop()
    return found


def test_no_import_circle() -> None:
    assert not circles(imports())


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})


def test_no_arrow_upwards() -> None:
    wrong = [
        f"{name} imports {target}"
        for name, targets in imports().items()
        for target in targets
        if FLOORS.index(target.split(".")[0]) > FLOORS.index(name.split(".")[0])
    ]
    assert not wrong


def test_every_room_says_what_it_is_in_a_sentence() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for name, path in modules().items()
        if path.name == "__init__.py" and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent


def test_every_module_opens_with_its_purpose() -> None:
    silent = [
        name
        for name, path in modules().items()
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert not silent
