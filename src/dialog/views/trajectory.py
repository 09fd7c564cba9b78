"""The token ledger: a conversation's ids as one role sees them, appended and never rewritten.

Ids are kept as they were sampled, with their logprobs; nothing is tokenised a second time, and no
mask is ever found by scanning.  What is not sampled by the ledger's owner is given: prompts, the
other role's words, whatever the chat template adds between turns, and prefilled openings.
"""

from __future__ import annotations

from collections.abc import Sequence

from utils.records import Trajectory


class TokenLedger:
    """Ids so far; mask 1 and a logprob exactly where the owner sampled."""

    __slots__ = ("_end", "_start", "ids", "logprobs", "mask")

    def __init__(self, prompt_ids: Sequence[int]) -> None:
        self.ids: list[int] = list(prompt_ids)
        self.mask: list[int] = [0] * len(self.ids)
        self.logprobs: list[float | None] = [None] * len(self.ids)
        self._start: int | None = None  # first sampled id
        self._end = 0  # one past the last sampled id

    def __len__(self) -> int:
        return len(self.ids)

    def give(self, ids: Sequence[int]) -> None:
        """Append ids that the owner did not sample (mask 0)."""
        self.ids += ids
        self.mask += [0] * len(ids)
        self.logprobs += [None] * len(ids)

    def sample(self, ids: Sequence[int], logprobs: Sequence[float]) -> None:
        """Append a sampled turn (mask 1); ValueError if ids and logprobs differ in length."""
        if len(ids) != len(logprobs):
            raise ValueError(f"{len(ids)} sampled ids came with {len(logprobs)} logprobs")
        if not ids:
            return
        if self._start is None:
            self._start = len(self.ids)
        self.ids += ids
        self.mask += [1] * len(ids)
        self.logprobs += logprobs
        self._end = len(self.ids)

    def trajectory(self) -> Trajectory | None:
        """The training row, from the first sampled id to the last; None if none was sampled."""
        if self._start is None:
            return None
        cut = slice(self._start, self._end)
        return Trajectory(
            prompt_ids=self.ids[: self._start],
            completion_ids=self.ids[cut],
            mask=self.mask[cut],
            logprobs=self.logprobs[cut],
        )
