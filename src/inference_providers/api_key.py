"""An API key that cannot be printed: known by the name of its environment variable."""

from __future__ import annotations

import os

from config.errors import ConfigError


class ApiKey:
    """The value of one environment variable, or no key where `variable` is None."""

    def __init__(self, variable: str | None, setting: str) -> None:
        """Reads the variable now.  Raises ConfigError that names it and `setting`."""
        self.variable = variable
        self._value = os.environ.get(variable, "").strip() if variable else ""
        if variable and not self._value:
            raise ConfigError(
                f"{setting}: needs the environment variable {variable}, which is not set"
            )
        if not (self._value.isascii() and self._value.isprintable()) or " " in self._value:
            raise ConfigError(f"{setting}: the environment variable {variable} holds no usable key")

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._value}"} if self._value else {}

    def redact(self, text: str) -> str:
        """`text` without the key, should an endpoint have echoed it."""
        return text.replace(self._value, "[key]") if self._value else text

    def __repr__(self) -> str:
        return f"ApiKey({self.variable})"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("an API key is not written anywhere")
