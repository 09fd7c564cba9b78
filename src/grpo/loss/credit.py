"""Advantages for each token in place of TRL's, which has one for each conversation."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import Tensor

from utils.credit.advantages import Credit, advantages, by_token
from utils.credit.outcomes import Outcome


class TokenCredit:
    """Makes the advantages of a batch; a group's conversations may lie on several ranks."""

    def __init__(self, credit: Credit, group_size: int) -> None:
        self.credit, self.group_size = credit, group_size

    def __call__(
        self,
        own: Sequence[Outcome],
        like: Tensor,
        accelerator: Accelerator,
        log: Callable[[str, float], None],
    ) -> Tensor:
        """Advantages of this rank's rows, in the shape of `like`: (rows, completion).  Collective.

        Rows of the ranks follow one another in the order of the batch, as TRL's own do.
        """
        batch: list[Outcome] = gather_object(list(own))
        size = self.group_size
        groups = [batch[at : at + size] for at in range(0, len(batch), size)]
        found = advantages(groups, self.credit)
        for part, share in found.without_spread.items():
            log(f"credit/groups_without_spread/{part}", share)
        first, length = accelerator.process_index * len(own), like.shape[1]
        mine = found.turns[first : first + len(own)]
        rows = [by_token(o, turns, length) for o, turns in zip(own, mine, strict=True)]
        return torch.tensor(rows, dtype=torch.float32, device=like.device)
