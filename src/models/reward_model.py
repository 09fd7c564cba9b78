"""A reward model that scores post-dialog solutions, where the known answer does not decide.

Any sequence classifier with one output (`reward_model.model_name_or_path`).  It reads the problem
as the user and the solution as the assistant; the score is the sigmoid of its logit, so that r_sol
(section 3.4) lies between 0 and 1, as lambda expects.
"""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Sequence
from pathlib import Path

from config.errors import ConfigError
from config.schema import RewardModelSettings
from src.inference_providers.base import ChatMessage, ProviderError
from src.models.classifier import ChatClassifier, check_classifier, load_classifier
from utils.data.problems import Problem
from utils.rewards import solve_by

SETTING = "reward_model.model_name_or_path"


class SolutionScorer:
    """Scores the solutions of one conversation after the other, beside the event loop."""

    def __init__(self, classifier: ChatClassifier) -> None:
        self._classifier = classifier
        self._busy = threading.Lock()

    async def score(self, problem: Problem, solutions: Sequence[str]) -> list[float]:
        """A score in [0, 1] for each.  Raises ProviderError where the classifier fails."""
        return await asyncio.to_thread(self._score, problem, solutions)

    def _score(self, problem: Problem, solutions: Sequence[str]) -> list[float]:
        chats: list[list[ChatMessage]] = [
            [{"role": "user", "content": problem.text}, {"role": "assistant", "content": text}]
            for text in solutions
        ]
        try:
            with self._busy:
                logits = self._classifier.score(chats)
        except (RuntimeError, ValueError) as error:  # out of memory; a template that refuses
            line = " ".join(str(error).split())
            raise ProviderError(f"{SETTING}: scoring failed: {line}") from error
        if not all(map(math.isfinite, logits)):
            raise ProviderError(f"{SETTING}: a score is no number: its weights are broken")
        return [_sigmoid(logit) for logit in logits]


def _sigmoid(logit: float) -> float:
    return 0.5 * (1.0 + math.tanh(0.5 * logit))  # no overflow at either end


def check_reward_model(settings: RewardModelSettings) -> None:
    """Raises ConfigError if solutions are scored by a model that cannot be had."""
    if solve_by(settings) == "model":
        name = settings.model_name_or_path
        here = name.startswith("embedded:") or Path(name).exists()
        if ":" in name and not here:  # no model of the hub has such a name
            raise ConfigError(
                f"{SETTING}: {name} is no model; a function of your own is "
                "a reward: +generation.rewards.NAME.function=module:function"
            )
        check_classifier(settings.model_name_or_path, setting=SETTING, hint=_HINT)


def load_scorer(settings: RewardModelSettings) -> SolutionScorer | None:
    """The scorer, in this process; None where no model scores solutions.  Raises ConfigError."""
    if solve_by(settings) != "model":
        return None
    classifier = load_classifier(
        settings.model_name_or_path,
        setting=SETTING,
        hint=_HINT,
        max_length=settings.vllm.max_length,
    )
    return SolutionScorer(classifier)


_HINT = "or Answer: the known answer decides; None: no solve reward"
