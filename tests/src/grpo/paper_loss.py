"""GRPO as the paper has it (section 4), written from its equations in plain torch.

For every tutor token t of conversation i, with the tutor pi, the one before the update old, and the
starting one ref:

    A_i     = (r_i - mean of its group) / (std of its group, n - 1 below, + 1e-4)
    ratio   = pi(t) / old(t)
    L_t     = -min(ratio A_i, clip(ratio, 1 - epsilon, 1 + epsilon) A_i) c_t + beta KL_t
    KL_t    = ref(t) / pi(t) - log(ref(t) / pi(t)) - 1
    loss    = sum of L_t / number of tutor tokens, over the whole batch

A conversation that is left out counts nowhere.  c_t, which the paper does not have, corrects for a
sampler that differs from the trainer: old(t) / sampler(t), at most 3.  Each conversation runs alone
through the model, without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from utils.records import ConversationRecord

Logps = list[Tensor]  # of each conversation, one a completion token


def advantages(records: Sequence[ConversationRecord]) -> list[float]:
    """Of each conversation; 0 for one that is left out, or is the only one of its group."""
    found = []
    for record in records:
        group = [
            r.rewards["total"]
            for r in records
            if r.problem_id == record.problem_id and r.excluded is None
        ]
        if record.excluded is not None or len(group) < 2:
            found.append(0.0)
            continue
        mean = sum(group) / len(group)
        std = (sum((r - mean) ** 2 for r in group) / (len(group) - 1)) ** 0.5
        found.append((record.rewards["total"] - mean) / (std + 1e-4))
    return found


def logps(model: Any, records: Sequence[ConversationRecord], temperature: float = 1.0) -> Logps:
    found = []
    for record in records:
        row = record.trajectory
        assert row is not None
        ids = torch.tensor([*row.prompt_ids, *row.completion_ids])
        scores = torch.log_softmax(model(ids[None]).logits[0, :-1] / temperature, dim=-1)
        each = scores.gather(1, ids[1:, None])[:, 0]
        found.append(each[len(row.prompt_ids) - 1 :])
    return found


def token_losses(
    now: Logps,
    old: Logps,
    ref: Logps,
    records: Sequence[ConversationRecord],
    *,
    beta: float,
    epsilon: float,
    corrected: bool,
) -> tuple[list[Tensor], float]:
    """L_t of every tutor token that counts, and the share of them whose ratio was clipped."""
    losses, clipped = [], []
    for row, advantage in enumerate(advantages(records)):
        trajectory = records[row].trajectory
        assert trajectory is not None
        if records[row].excluded is not None:
            continue
        for t, tutor in enumerate(trajectory.mask):
            if not tutor:
                continue
            ratio = torch.exp(now[row][t] - old[row][t].detach())
            bounded = torch.clamp(ratio, 1 - epsilon, 1 + epsilon)
            gain = torch.minimum(ratio * advantage, bounded * advantage)
            clipped.append(bool((gain != ratio * advantage).item()))
            if corrected:
                sampled = trajectory.logprobs[t]
                assert sampled is not None
                gain = gain * torch.exp(old[row][t].detach() - sampled).clamp(max=3.0)
            apart = ref[row][t].detach() - now[row][t]
            losses.append(-gain + beta * (torch.exp(apart) - apart - 1))
    return losses, sum(clipped) / len(clipped)


def loss(*arguments: Any, **settings: Any) -> tuple[Tensor, float]:
    """The token mean over the batch, and the share of clipped tokens."""
    losses, clipped = token_losses(*arguments, **settings)
    return torch.stack(losses).mean(), clipped
