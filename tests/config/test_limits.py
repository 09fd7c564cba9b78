"""Limits are read from the types of settings, however deep they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest

from config.errors import ConfigError
from config.limits import AtLeast1, OneOf, Share, check_limits


@dataclass
class Inner:
    share: Share | None = None
    kind: Annotated[str | None, OneOf((None, "one", "other"))] = None


@dataclass
class Outer:
    inner: Inner = field(default_factory=Inner)
    entries: list[Inner] = field(default_factory=list)
    named: dict[str, Any] = field(default_factory=dict)
    words: list[Annotated[str, OneOf(("a", "b"))]] = field(default_factory=list)
    count: AtLeast1 = 1
    anything: Any = None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Outer(count=0), "count: must be at least 1, got 0"),
        (Outer(inner=Inner(share=2.0)), "inner.share: must be between 0 and 1, got 2.0"),
        (Outer(inner=Inner(share=float("nan"))), "inner.share: must be between 0 and 1, got nan"),
        (Outer(inner=Inner(kind="no")), "inner.kind: 'no' is not one of null, one, other"),
        (Outer(entries=[Inner(), Inner(kind="")]), "entries[1].kind: '' is not one of null"),
        (Outer(named={"x": Inner(share=-1)}), "named.x.share: must be between 0 and 1, got -1"),
        (Outer(words=["a", "c"]), "words: 'c' is not one of a, b"),
    ],
)
def test_a_refusal_names_the_setting(settings: Outer, said: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check_limits(settings)
    assert str(refusal.value).startswith(said)


def test_what_is_within_its_limits_passes() -> None:
    check_limits(Outer(inner=Inner(share=1.0, kind="one"), words=["b"], anything=[{"x": [1]}]))
