"""No step beyond the last one, also where a run goes on from its last checkpoint."""

from __future__ import annotations

from typing import Any


class StopsAtLastStep:
    """Beside a transformers Trainer: a run that took all its steps takes none when it goes on.

    transformers looks at `max_steps` only after a step, so that a run killed while it saved its
    final model would sample one more batch, and train on it.
    """

    state: Any

    def _run_epoch(self, *arguments: Any, **named: Any) -> None:
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*arguments, **named)  # type: ignore[misc]
