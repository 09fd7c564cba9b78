"""Counts the shape of the project at given commits: files, functions, arrows between rooms, lines.

    python -m benchmarks.house COMMIT ... [--rooms]    a table in Markdown, one column a commit

A room is a folder of Python files, or a file that stands in none but src, utils and the like; an
arrow says that a file of one room imports one of another; a circle is a set of rooms that reach
each other by arrows.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import subprocess
import sys
import tarfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

TOPS = ("config", "src", "utils", "toy", "benchmarks")
COUNTED = ("config", "src", "utils")  # whose lines are the project's source


def files_of(commit: str) -> dict[PurePosixPath, str]:
    """Every Python file of the rooms, and its text."""
    packed = subprocess.run(["git", "archive", commit], capture_output=True, check=True).stdout
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            path = PurePosixPath(member.name)
            file = archive.extractfile(member)
            if file is not None and path.suffix == ".py" and path.parts[0] in TOPS:
                found[path] = file.read().decode("utf-8")
    return found


def room_of(path: PurePosixPath) -> str:
    return str(path.parent if len(path.parts) > 2 else path.with_suffix(""))


def longest_function(files: dict[PurePosixPath, str]) -> tuple[int, str]:
    """(lines, where)."""
    lengths = [
        ((node.end_lineno or 0) - node.lineno + 1, f"{path}:{node.name}")
        for path, text in files.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return max(lengths)


def arrows(files: dict[PurePosixPath, str]) -> dict[str, set[str]]:
    """Room -> the other rooms that its files import."""
    rooms = {".".join(path.with_suffix("").parts): room_of(path) for path in files}
    rooms |= {n.removesuffix(".__init__"): r for n, r in rooms.items() if n.endswith(".__init__")}
    found: dict[str, set[str]] = {room: set() for room in rooms.values()}
    for path, text in files.items():
        for node in ast.walk(ast.parse(text)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = [f"{node.module}.{alias.name}" for alias in node.names]
                names = [name if name in rooms else node.module for name in inside]
            found[room_of(path)] |= {rooms[name] for name in names if name in rooms}
    return {room: targets - {room} for room, targets in found.items()}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Sets of rooms that reach each other."""
    reach = {room: set(targets) for room, targets in graph.items()}
    for middle in graph:
        for room in graph:
            if middle in reach[room]:
                reach[room] |= reach[middle]
    found = {frozenset(o for o in graph if o in reach[r] and r in reach[o]) for r in graph}
    return sorted(sorted(group) for group in found if len(group) > 1)


def shape(commit: str) -> dict[str, str]:
    """What is counted -> its value, in words."""
    files = files_of(commit)
    lines = {path: text.count("\n") for path, text in files.items()}
    folders = Counter(str(path.parent) for path in files)
    longest, where = longest_function(files)
    file = max(lines, key=lambda path: lines[path])
    graph = arrows(files)
    by_room: dict[str, int] = defaultdict(int)
    for path, count in lines.items():
        by_room[str(path.parent)] += count
    rings = circles(graph)
    fullest = ", ".join(f"{name} {count}" for name, count in folders.most_common(3))
    return {
        "folders": str(len(folders)),
        "files a folder, median": f"{statistics.median(folders.values()):g}",
        "fullest folders": fullest,
        "lines a file, median": f"{statistics.median(lines.values()):g}",
        "longest file": f"{lines[file]} ({file})",
        "files of more than 300 lines": str(sum(count > 300 for count in lines.values())),
        "longest function": f"{longest} ({where})",
        "rooms": str(len(graph)),
        "arrows between rooms": str(sum(map(len, graph.values()))),
        "circles of rooms": "; ".join(" - ".join(ring) for ring in rings) or "none",
        **{f"lines in {top}": str(_lines(by_room, top)) for top in TOPS},
        "lines in src + utils + config": str(sum(_lines(by_room, top) for top in COUNTED)),
        **{f"lines: {room}": str(count) for room, count in sorted(by_room.items())},
    }


def _lines(by_room: dict[str, int], top: str) -> int:
    return sum(n for room, n in by_room.items() if room == top or room.startswith(f"{top}/"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.house", description=__doc__)
    parser.add_argument("commits", nargs="+", metavar="COMMIT")
    parser.add_argument("--rooms", action="store_true", help="lines of each folder too")
    options = parser.parse_args(arguments)
    shapes = [shape(commit) for commit in options.commits]
    print(f"| | {' | '.join(options.commits)} |\n|---|{'---|' * len(shapes)}")
    for name in dict.fromkeys(name for found in shapes for name in found):
        if name.startswith("lines: ") and not options.rooms:
            continue
        print(f"| {name} | {' | '.join(found.get(name, '-') for found in shapes)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
