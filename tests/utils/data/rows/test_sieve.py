"""The sieve of bad rows: it stops, or counts."""

from __future__ import annotations

import pytest

from config.errors import ConfigError
from utils.data.rows.bad_rows import BadRow, Sieve


def test_sieve_stops_or_counts() -> None:
    def bad() -> int:
        raise BadRow("over-long", "9 tokens")

    with pytest.raises(ConfigError, match=r"^dataset\.x: f:3: 9 tokens .*dataset\.bad_rows=drop"):
        Sieve(drop=False, setting="dataset.x")(bad, "f:3")
    sieve = Sieve(drop=True, setting="dataset.x")
    assert [sieve(bad, "f:3"), sieve(lambda: 1, "f:4"), sieve(bad, "f:5")] == [None, 1, None]
    assert sieve.summary() == "2 over-long (first: f:3: 9 tokens)"
