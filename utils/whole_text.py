"""Text that can be stored: half a surrogate pair, from an escape that was cut, is replaced."""

from __future__ import annotations

from typing import Any


def whole_text(text: str) -> str:
    """The same text; U+FFFD for every lone surrogate, which UTF-8 cannot hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def whole(data: Any) -> Any:
    """JSON-like data with every text in it made whole."""
    if isinstance(data, str):
        return whole_text(data)
    if isinstance(data, list):
        return [whole(entry) for entry in data]
    if isinstance(data, dict):
        return {whole(key): whole(value) for key, value in data.items()}
    return data
