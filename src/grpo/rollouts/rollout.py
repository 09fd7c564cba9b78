"""One batch of conversations: rows of all ranks to the node's lead, classroom, rows back.

What TRL gets for each row: the trajectory exactly as sampled, and the record's rewards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from src.grpo.rollouts.node import Node
from src.grpo.rollouts.prefetch import Batch, Prefetch
from utils.credit.outcomes import Outcome, outcome_of
from utils.data.problems import Problem
from utils.records import ConversationRecord

RunBatch = Callable[[Sequence[Problem], Sequence[int], int, int], list[ConversationRecord]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One conversation as the trainer needs it; `rewards` empty: left out of its group."""

    prompt_ids: list[int]
    completion_ids: list[int]
    mask: list[int]
    logprobs: list[float | None]
    rewards: Mapping[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None  # where advantages are made here


def to_row(record: ConversationRecord, *, filler: int, credit: bool = False) -> Row:
    """The training row of a conversation; with its outcome, where there is `credit` to give.

    A conversation that is left out carries no loss: its mask is 0 throughout, because TRL's KL and
    token counts go by the mask.  One without any tutor token is a single masked `filler` token.
    """
    trajectory = record.trajectory
    if trajectory is None:
        return Row(
            prompt_ids=[filler],
            completion_ids=[filler],
            mask=[0],
            logprobs=[None],
            outcome=Outcome(rewards={}) if credit else None,
        )
    out = record.excluded is not None
    return Row(
        prompt_ids=trajectory.prompt_ids,
        completion_ids=trajectory.completion_ids,
        mask=[0] * len(trajectory.mask) if out else trajectory.mask,
        logprobs=trajectory.logprobs,
        rewards=record.rewards,
        outcome=outcome_of(record) if credit else None,
    )


class Rollout:
    """TRL's `rollout_func`, over the ranks of a node."""

    def __init__(
        self,
        node: Node,
        problems: Sequence[Problem],
        run_batch: RunBatch,
        *,
        samples_per_problem: int,
        filler: int,
        metrics: Callable[[Sequence[ConversationRecord]], dict[str, float]],
        prefetch: Prefetch | None = None,
        overlap: bool = False,
        credit: bool = False,
    ) -> None:
        """`credit`: rows come with whose tokens earned what.

        `overlap`: the next batch is sampled while the trainer works on this one; every rank
        knows, and the lead has the `prefetch`."""
        self.node, self.problems, self.run_batch = node, problems, run_batch
        self.prefetch, self.overlap = prefetch, overlap or prefetch is not None
        self.samples, self.filler, self.metrics = samples_per_problem, filler, metrics
        self.credit = credit

    def __call__(self, batch: Batch, then: Batch | None = None) -> dict[str, Any]:
        """`batch`: this rank's rows; every rank has as many.  `then`: those to begin meanwhile.

        Returns TRL's keys, with `outcome` (rewards by name) and `rollout_metrics` for each row;
        `credited`, whose tokens earned what, is for our own trainer.
        """
        gathered = self.node.gather((batch, then))

        def work() -> list[tuple[list[Row], dict[str, float]]]:
            records = self._records(joined([own for own, _ in gathered]))
            following = [later for _, later in gathered if later is not None]
            if self.prefetch is not None and following:
                later = joined(following)
                self.prefetch.start(later, *self._wanted(later))
            rows = [to_row(r, filler=self.filler, credit=self.credit) for r in records]
            metrics, n = self.metrics(records), len(batch.indices)
            return [(rows[i : i + n], metrics) for i in range(0, len(rows), n)]

        rows, metrics = self.node.scatter(self.node.on_lead(work))
        return {
            "prompt_ids": [row.prompt_ids for row in rows],
            "completion_ids": [row.completion_ids for row in rows],
            "env_mask": [row.mask for row in rows],
            "logprobs": [row.logprobs for row in rows],
            "outcome": [dict(row.rewards) for row in rows],
            "credited": [row.outcome for row in rows],
            "rollout_metrics": [metrics for _ in rows],
        }

    def _records(self, batch: Batch) -> list[ConversationRecord]:
        """Of the batch that was started before, where one was; else it is sampled now."""
        found = self.prefetch.collect(batch) if self.prefetch is not None else None
        if found is None:
            found = self.run_batch(*self._wanted(batch), batch.step, batch.epoch)
        return found

    def _wanted(self, batch: Batch) -> tuple[list[Problem], list[int]]:
        """The problems of a node's batch, and which sample of its problem each row is.

        Rows of one node are consecutive rows of the whole batch, and samples of a problem are
        consecutive there: the position tells which sample a row is.
        """
        first = self.node.index * len(batch.indices)
        samples = [(first + position) % self.samples for position in range(len(batch.indices))]
        return [self.problems[index] for index in batch.indices], samples


def joined(parts: Sequence[Batch]) -> Batch:
    """The batch of a node, from those of its ranks."""
    return replace(parts[0], indices=[index for part in parts for index in part.indices])
