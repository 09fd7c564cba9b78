"""What the benchmarks' own engines share: they are asked with token ids alone."""

from __future__ import annotations

from collections.abc import Sequence

from src.inference_providers.base import ChatMessage, Completion, Sampling


class AskedByIds:
    """The part of a provider that a benchmark's engine never needs."""

    gives_tokens = True

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        raise NotImplementedError

    async def close(self) -> None:
        return None


def said(text: str, sampling: Sampling, prompt_tokens: int = 0) -> Completion:
    """A whole answer of ASCII text, a token for each letter (`tests.fakes.ByteRenderer`)."""
    ids = (*text.encode(), *sampling.stop_token_ids[:1])
    return Completion(
        text=text,
        stop_reason="stop",
        token_ids=ids,
        logprobs=(-1.0,) * len(ids) if sampling.logprobs else None,
        prompt_tokens=prompt_tokens,
        completion_tokens=len(ids),
    )
