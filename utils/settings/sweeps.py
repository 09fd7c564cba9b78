"""A sweep's points (`a=1,2`), and the name of the run at each.

A point has the same name whenever the same sweep is typed, so that a finished run can be passed
over and an unfinished one gone on with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from config.errors import ConfigError
from utils.seeding import keyed_seed


def expand_sweep(overrides: Sequence[str]) -> list[list[str]]:
    """`a=1,2 b=3` -> `[[a=1, b=3], [a=2, b=3]]`, by Hydra's own sweeper.  Raises ConfigError."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
        return list(BasicSweeper.split_arguments(parsed, max_batch_size=None)[0])
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error


class Sweep:
    """The points of `--multirun` overrides.  Raises ConfigError where they cannot be read."""

    def __init__(self, config_name: str, overrides: Sequence[str]) -> None:
        self.config_name = config_name
        self.points = expand_sweep(overrides)
        everywhere = set(self.points[0]).intersection(*self.points[1:])
        self._swept = {o for point in self.points for o in point} - everywhere

    def name(self, point: Sequence[str]) -> str:
        """The run's name: what it was given or its config's, and the values at this point."""
        given = [o for o in point if o.startswith("run_name=")]
        base = given[0].removeprefix("run_name=") if given else Path(self.config_name).stem
        parts = [_short(o) for o in point if o in self._swept and o not in given]
        fixed = sorted(o for o in point if o not in self._swept and o not in given)
        if fixed and not given:  # other settings beside the swept ones make other runs
            parts.append(f"{keyed_seed(*fixed):08x}")
        return "-".join([base, *(re.sub(r"[^\w.+-]+", "_", part) for part in parts)])


def _short(override: str) -> str:
    """`generation.max_turns=4` -> `max_turns=4`."""
    key, _, value = override.partition("=")
    return f"{key.rsplit('.', 1)[-1]}={value}"
