"""ClassroomGRPOTrainer: TRL's GRPOTrainer on classroom conversations.

What is ours: rollouts through `rollout_func`, the rewards as the record has them, new weights to
the engines after every update, evaluation in the classroom.  The algorithm is TRL's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from trl import GRPOConfig, GRPOTrainer

from src.grpo.rollout import Rollout
from utils.rewards import NAMES


class Sampler(Protocol):
    """What TRL asks of its generation engine before a rollout."""

    def sync_weights(self) -> None:
        """Hand the current weights to the engine that samples the tutor.  Collective."""


class SharedWeights:
    """The sampler is the trained module itself: there is nothing to hand over."""

    def sync_weights(self) -> None:
        return None


def reward_functions() -> list[Callable[..., list[float | None]]]:
    """`total`, which alone trains, and its parts, which are only logged.

    All of them say None for a conversation that is left out, which is how TRL is told to keep it
    out of its group's baseline.
    """

    def named(name: str) -> Callable[..., list[float | None]]:
        def reward(outcome: Sequence[dict[str, float]], **_: Any) -> list[float | None]:
            return [each.get(name) for each in outcome]

        reward.__name__ = name
        return reward

    def total(
        outcome: Sequence[dict[str, float]],
        rollout_metrics: Sequence[dict[str, float]],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float | None]:
        for name, value in rollout_metrics[0].items():
            log_metric(name, value)
        return [each.get("total") for each in outcome]

    return [total, *map(named, NAMES)]


class ClassroomGRPOTrainer(GRPOTrainer):
    """GRPO whose completions are whole conversations.

    `rollout` holds the conversations of one batch; `sampler` receives new weights; `examine` holds
    those about held-out problems, by step, and gives their means.  The dataset has the columns
    `prompt` (the problem's id, a plain string that TRL leaves alone) and `index`.
    """

    def __init__(
        self,
        *,
        args: GRPOConfig,
        rollout: Rollout,
        sampler: Sampler,
        examine: Callable[[int], dict[str, float]] = lambda step: {},
        **arguments: Any,
    ) -> None:
        self._rollout, self._examine = rollout, examine
        self._rows: list[int] = []
        args.reward_weights = [1.0] + [0.0] * len(NAMES)
        super().__init__(
            args=args,
            reward_funcs=reward_functions(),
            rollout_func=self._hold_conversations,
            **arguments,
        )
        # TRL hands over weights, and corrects for the sampler's distribution, only for its own
        # engine.  With ours in its place it does both, with the logprobs we return.
        self.vllm_generation = sampler
        self.use_vllm = True
        self._last_loaded_step = -1

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        # `rollout_func` is not shown the dataset's columns.
        self._rows = [row["index"] for row in inputs]
        return super()._generate_and_score_completions(inputs)

    def _hold_conversations(self, prompts: list[str], trainer: GRPOTrainer) -> dict[str, Any]:
        return self._rollout(self._rows, self.state.global_step, int(self.state.epoch or 0))

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Means of the metrics on held-out problems, `eval_` before each name.  Collective.

        The metric that the best checkpoint goes by is NaN, which beats nothing, where it has no
        value.
        """
        step = self.state.global_step
        if self._last_loaded_step != step:  # TRL's own note of what the sampler holds
            self.vllm_generation.sync_weights()
            self._last_loaded_step = step
        found = {f"eval_{name}": value for name, value in self._examine(step).items()}
        self.log(dict(found))
        found.setdefault(f"eval_{self.args.metric_for_best_model}", math.nan)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        # With checkpoints every so many steps, transformers notes which step is the best but
        # keeps its weights only if a checkpoint was due.
        best = bool(super()._determine_best_metric(metrics=metrics, trial=trial))
        self.control.should_save = self.control.should_save or best
        return best
