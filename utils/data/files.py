"""One file to rows: JSON Lines, JSON, CSV, TSV, Parquet, Arrow; text also gzipped.

A row that cannot be read is a BadRow in its place; a file that cannot be read is a ValueError in
one line that begins with its path.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from utils.data.rows.bad_rows import BadRow

Row = Mapping[str, Any] | BadRow
Placed = tuple[str, Row]  # where it stands, as an error says it; and the row

UNREADABLE = "not readable"  # the reason of such a BadRow
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BINARY = (".parquet", ".arrow")


def read_file(path: Path) -> list[Placed]:
    """Every row of a file, by its suffix.  Raises ValueError."""
    suffix = suffix_of(path)
    if suffix is None:
        raise ValueError(f"{path} is none of {', '.join(SUFFIXES)} (text may end in .gz)")
    step = ":" if suffix in (".jsonl", ".ndjson") else ", row "
    return [(f"{path}{step}{number}", row) for number, row in _READERS[suffix](path)]


def suffix_of(path: Path) -> str | None:
    """The suffix that says a file's format; None for a file that cannot be read."""
    name = path.name.lower()
    suffix = Path(name.removesuffix(".gz")).suffix
    if suffix not in SUFFIXES or (name.endswith(".gz") and suffix in _BINARY):
        return None
    return suffix


def _read_jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(_bytes(path).split(b"\n"), 1):
        if line.strip():
            yield number, _line(line, first=number == 1)


def _line(line: bytes, *, first: bool) -> Row:
    try:
        return _object(json.loads(line.decode()))
    except UnicodeDecodeError as error:
        return _bad(_not_utf8(line[error.start]))
    except json.JSONDecodeError as error:
        whole = first and line.lstrip().startswith(b"[")
        hint = "; a list of rows is called .json" if whole else _hint(error)
        return _bad(f"not JSON: {error.msg} at character {error.pos + 1}{hint}")


def _read_json(path: Path) -> Iterable[tuple[int, Row]]:
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        lines = error.msg == "Extra data" and error.lineno > 1
        hint = "; one object a line is called .jsonl" if lines else _hint(error)
        raise ValueError(f"{path}: not JSON: {error}{hint}") from None
    if isinstance(content, dict):
        lists = {key: value for key, value in content.items() if _is_rows(value)}
        if len(lists) > 1:
            raise ValueError(
                f"{path}: not a list of rows, but {len(lists)} of them ({', '.join(lists)}); "
                "give each a file of its own"
            )
        content = next(iter(lists.values()), None)
    if not isinstance(content, list):
        raise ValueError(f"{path}: not a list of rows")
    return enumerate(map(_object, content), 1)


def _hint(error: json.JSONDecodeError) -> str:
    return "; JSON writes a backslash twice" if "escape" in error.msg else ""


def _is_rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def _object(row: object) -> Row:
    return row if isinstance(row, dict) else _bad(f"not an object, but {type(row).__name__}")


def _bad(detail: str) -> BadRow:
    return BadRow(UNREADABLE, detail, key="name_or_path")


def _read_csv(path: Path, delimiter: str = ",") -> Iterator[tuple[int, Row]]:
    """Rows under a header; blank lines and blanks around names and cells do not count."""
    csv.field_size_limit(2**31 - 1)
    lines = io.StringIO(_text(path), newline="")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    header: list[str] = []
    number = 0
    while True:
        fault: BadRow | None = None
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "end of data" in str(error):
                raise ValueError(f"{path}, row {number + 1}: a quote is never closed") from None
            cells, fault = [], _bad(f"line {reader.line_num}: {error}; a quote is written twice")
        if fault is None and not any(cell.strip() for cell in cells):
            continue
        if not header:
            header = _header(path, cells)
            continue
        number += 1
        yield number, fault or _row(header, cells)


def _header(path: Path, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{path}: two columns are called {twice[0]!r}")
    return names


def _row(header: list[str], cells: list[str]) -> Row:
    """Missing cells are None; cells beyond the header must be blank."""
    more = [cell for cell in cells[len(header) :] if cell.strip()]
    if more:
        return _bad(
            f"{len(cells)} cells under {len(header)} names; "
            "a cell that holds a comma stands in quotes"
        )
    given = [*cells[: len(header)], *[None] * (len(header) - len(cells))]
    return dict(zip(header, given, strict=True))


def _read_parquet(path: Path) -> Iterator[tuple[int, Row]]:
    from pyarrow import ArrowException, parquet

    try:
        table = parquet.ParquetFile(path).read()
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path}: not Parquet: {_first_line(error)}") from None
    if len({*table.column_names}) < table.num_columns:
        raise ValueError(f"{path}: two columns have one name ({', '.join(table.column_names)})")
    yield from enumerate(_as_written(table).to_pylist(maps_as_pydicts="lossy"), 1)


def _as_written(table: Any) -> Any:
    """The table with short floats as the shortest decimals they stand for: 0.1, not 0.1000001."""
    import pyarrow as pa

    for place, field in enumerate(table.schema):
        if field.type in (pa.float16(), pa.float32()):
            exact = table[place].cast(pa.float32()).cast(pa.string()).cast(pa.float64())
            table = table.set_column(place, field.name, exact)
    return table


def _read_arrow(path: Path) -> Iterator[tuple[int, Row]]:
    import datasets
    from pyarrow import ArrowException

    try:
        table = datasets.Dataset.from_file(str(path)).data
    except (ArrowException, OSError) as error:
        raise ValueError(f"{path}: not Arrow: {_first_line(error)}") from None
    yield from enumerate(table.to_pylist(maps_as_pydicts="lossy"), 1)


def _bytes(path: Path) -> bytes:
    """What the file holds, without the mark that Excel begins UTF-8 with."""
    try:
        content = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: {_first_line(error)}") from None
    if content.startswith(_UTF16):
        raise ValueError(f"{path}: is UTF-16, not UTF-8; save it as UTF-8")
    return content.removeprefix(b"\xef\xbb\xbf")


def _text(path: Path) -> str:
    content = _bytes(path)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}:{line}: {_not_utf8(content[error.start])}") from None


def _not_utf8(byte: int) -> str:
    return f"not UTF-8 (byte 0x{byte:02x}); save it as UTF-8"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


_READERS: dict[str, Callable[[Path], Iterable[tuple[int, Row]]]] = {
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, delimiter="\t"),
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
}
SUFFIXES = tuple(_READERS)
