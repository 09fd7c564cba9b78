"""A full disk as one line that names the setting, whichever library ran into it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from config.errors import ConfigError, RunError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# safetensors (Rust) gives the number in its text, torch.save only that it could not write
_SAID = ("No space left", "os error 28", "File too large", "os error 27", "Disk quota exceeded")
_TORCH = ("PytorchStreamWriter failed", "inline_container.cc")


def is_full(error: BaseException | None) -> bool:
    """Whether a file could not be written for want of room; looks at causes too."""
    while error is not None:
        said = str(error)
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        if any(text in said for text in _SAID):
            return True
        if isinstance(error, RuntimeError) and any(text in said for text in _TORCH):
            return True
        error = error.__cause__ or error.__context__
    return False


@contextmanager
def one_line_if_full(setting: str, where: object) -> Iterator[None]:
    """Raises RunError in place of whatever a full disk made a library raise inside."""
    try:
        yield
    except (ConfigError, RunError):
        raise
    except Exception as error:
        if not is_full(error):
            raise
        raise RunError(
            f"{setting}: no room left in {where}; what was written before is whole, and with more "
            "room the same command goes on"
        ) from error
