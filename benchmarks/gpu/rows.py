"""Conversations of given lengths with random ids, and seeded rewards."""

from __future__ import annotations

import math
from collections.abc import Sequence

from utils.records import ConversationRecord, Trajectory
from utils.rewards import NAMES
from utils.seeding import keyed_rng

TURN, PROMPT, SHARE, SAMPLES = 40, 60, 0.2, 4
MEDIAN, SIGMA = 550.0, 0.9


def lengths(rows: int, longest: int) -> list[int]:
    """Tokens of each conversation, log-normal as benchmarks.speed.trainer has them."""
    drawn = [keyed_rng("gpu", row).lognormvariate(math.log(MEDIAN), SIGMA) for row in range(rows)]
    return [round(max(100, min(longest, tokens))) for tokens in drawn]


def made_up(tokens: Sequence[int], vocabulary: int) -> list[Trajectory]:
    """Random ids; a fifth of each completion is the tutor's, in turns, its last token among it."""
    found = []
    for row, count in enumerate(tokens):
        rng = keyed_rng("ids", row)
        ids = [rng.randrange(vocabulary - 3) for _ in range(count)]
        after = count - PROMPT
        mask = [int((after - 1 - at) % round(TURN / SHARE) < TURN) for at in range(after)]
        found.append(
            Trajectory(
                prompt_ids=ids[:PROMPT],
                completion_ids=ids[PROMPT:],
                mask=mask,
                logprobs=[-10.0 if m else None for m in mask],
            )
        )
    return found


def records(rows: Sequence[Trajectory]) -> list[ConversationRecord]:
    """As the classroom would hand them over, with seeded rewards; SAMPLES of each problem."""
    found = []
    for row, trajectory in enumerate(rows):
        reward = keyed_rng("reward", row).random()
        found.append(
            ConversationRecord(
                problem_id=f"p{row // SAMPLES}",
                sample=row % SAMPLES,
                problem="?",
                answer="1",
                rewards={**dict.fromkeys(NAMES, 0.0), "solve": reward, "total": reward},
                trajectory=trajectory,
            )
        )
    return found
