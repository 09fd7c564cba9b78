"""Values of cells, from whatever a file, the hub or a function gives: as JSON holds them."""

from __future__ import annotations

import ast
import datetime
import json
import math
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from utils.whole_text import whole_text

_AS_TEXT = (datetime.date, datetime.time, datetime.timedelta, uuid.UUID)
_NOTHING = ("NAType", "NaTType")  # pandas' own


class NotData(ValueError):
    """A value that JSON cannot hold: bytes, an image.  The text is its kind."""


def plain(value: Any) -> Any:
    """The value as JSON holds it: numpy's and Decimal's too; NaN is None.  Raises NotData."""
    if value is None or isinstance(value, bool) or type(value) is int:
        return value
    if isinstance(value, str):
        return whole_text(str(value))
    if type(value).__name__ in _NOTHING or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, Mapping):
        return {whole_text(str(key)): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, _AS_TEXT):
        return value.isoformat() if hasattr(value, "isoformat") else str(value)
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        return plain(value.tolist())
    if isinstance(value, int | float):
        return value
    raise NotData(type(value).__name__)


def text_of(value: Any) -> str:
    """A number or text as text; whole floats without their `.0`; None is empty.

    Numbers are written in full: 1e+22 is 10000000000000000000000.
    """
    if isinstance(value, float):
        if math.isinf(value):
            return r"\infty" if value > 0 else r"-\infty"
        value = int(value) if value.is_integer() else value
    return "" if value is None else str(value).strip()


def decoded(value: Any) -> Any:
    """Bytes that are UTF-8 as text: a column that nobody marked as text.  Raises NotData."""
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        raise NotData("bytes") from None


def structured(text: str) -> Any:
    """What JSON, or Python's repr of a list or dict, says; None for any other text."""
    if not text.startswith(("[", "{")):
        return None
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        return value if isinstance(value, list | dict) else None
    return None
