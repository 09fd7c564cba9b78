"""Logging to terminal and file, `.env`, and keys that appear nowhere.

Keys are known by the names of their environment variables; their values are replaced in whatever is
logged, saved or printed as an error.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HIDDEN = "[redacted]"
SHORTEST_KEY = 6  # a shorter value would hide ordinary words
_secret_names = {"HF_TOKEN", "WANDB_API_KEY", "OPENROUTER_API_KEY", "GEMINI_API_KEY"}


def load_environment(path: Path | None = None) -> None:
    """Read `.env` of the repository; what the environment already has is kept."""
    from dotenv import load_dotenv

    load_dotenv(path or ROOT / ".env")


def register_secrets(names: Iterable[str | None]) -> None:
    """More environment variables whose values must never appear (`api_key_env` settings)."""
    _secret_names.update(name for name in names if name)


def register_secrets_of(settings: object) -> None:
    """The keys that a config names: every `api_key_env` in it, at any depth."""
    register_secrets(_key_names(settings))


def _key_names(settings: object) -> Iterator[str]:
    for name, value in vars(settings).items() if hasattr(settings, "__dict__") else ():
        if name == "api_key_env" and value:
            yield value
        else:
            yield from _key_names(value)


def redact(text: str) -> str:
    """The text without the value of any known key."""
    values = {os.environ.get(name, "") for name in _secret_names}
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST_KEY:
            text = text.replace(value, HIDDEN)
    return text


class RedactingFormatter(logging.Formatter):
    """Redacts the whole formatted line, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def _console() -> Any:
    """Lines in a file or pipe are not folded at a terminal's width."""
    from rich.console import Console

    return Console(stderr=True, width=None if sys.stderr.isatty() else 200)


def set_up_logging(
    *, file: Path | None = None, level: int = logging.INFO, lead: bool | None = None
) -> None:
    """Configure the root logger: rich on stderr on the lead rank, plain lines in `file`.

    `lead` is by default whether RANK is 0; other ranks show warnings and worse, and no file.
    """
    from rich.logging import RichHandler

    if lead is None:
        lead = int(os.environ.get("RANK", "0")) == 0
    shown = RichHandler(console=_console(), show_path=False, markup=False, rich_tracebacks=False)
    shown.setFormatter(RedactingFormatter("%(name)s: %(message)s"))
    shown.setLevel(level if lead else logging.WARNING)
    handlers: list[logging.Handler] = [shown]
    if file is not None and lead:
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = logging.FileHandler(file, encoding="utf-8")
        lines.setFormatter(RedactingFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(lines)
    logging.basicConfig(level=level, handlers=handlers, force=True)
    logging.captureWarnings(True)
    warnings.filterwarnings("ignore", category=SyntaxWarning)  # packages compiled at first import
    for noisy in ("httpx", "httpcore", "urllib3", "filelock", "fsspec", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if not lead:  # every rank reads the same data
        logging.getLogger("utils.data").setLevel(logging.ERROR)
    sys.excepthook = _redacted_excepthook


def _redacted_excepthook(
    kind: type[BaseException], error: BaseException, where: TracebackType | None
) -> Any:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, where)
        return
    sys.stderr.write(redact("".join(traceback.format_exception(kind, error, where))))
