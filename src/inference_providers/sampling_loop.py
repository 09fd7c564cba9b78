"""Sampling for in-process models: one left-padded batch, its rows independent of each other.

Every row brings its own temperature, top-k, top-p, stop ids, length and seed.  Its random numbers
are drawn beforehand from its own generator, one uniform per token (inverse-CDF sampling), so that
neither the neighbours nor the order of arrival change what it says, but for floating-point noise.
"""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from src.inference_providers.base import Sampling

GREEDY_BELOW = 1e-5  # temperatures under this are zero


@dataclass(frozen=True, slots=True)
class Row:
    """One request.  `limit`: the most tokens to sample, at least 1.

    `ends`: whether these sampled ids, all so far, end the answer by what they say.
    """

    prompt_ids: Sequence[int]
    sampling: Sampling
    limit: int
    ends: Callable[[Sequence[int]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Sampled:
    """`token_ids` with the stop token where one was sampled; `logprobs` of the same length."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    stopped: bool


@dataclass(slots=True)
class _State:
    """What the decode loop knows of its live rows; every field is [rows] or [rows, ...]."""

    index: torch.Tensor  # place in the list of requests
    lengths: torch.Tensor  # tokens of the prompt
    mask: torch.Tensor  # [rows, padded prompt + most new tokens]
    limits: torch.Tensor
    stops: torch.Tensor  # [rows, most stop ids], filled up with -1
    uniforms: torch.Tensor  # [rows, most new tokens]
    temperature: torch.Tensor
    greedy: torch.Tensor
    top_k: torch.Tensor  # vocabulary size where off
    top_p: torch.Tensor

    def select(self, keep: torch.Tensor) -> _State:
        return replace(self, **{f.name: getattr(self, f.name)[keep] for f in fields(self)})


@torch.no_grad()
def sample_rows(
    model: Any,
    rows: Sequence[Row],
    deliver: Callable[[int, Sampled], None],
    *,
    abandoned: Callable[[], bool] = lambda: False,
) -> None:
    """Sample all rows; `deliver(i, sampled)` is called as row i finishes.

    The model must be in eval mode.  `abandoned` is asked before every token: true ends the loop.
    """
    device = next(model.parameters()).device
    input_ids, state = _prepare(rows, _vocabulary(model), device)
    width, steps = input_ids.shape[1], state.uniforms.shape[1]
    tokens = torch.zeros(len(rows), steps, dtype=torch.long, device=device)
    logprobs = torch.zeros(len(rows), steps, device=device)
    forward = _Forward(model)
    position_ids = (state.mask[:, :width].cumsum(-1) - 1).clamp(min=0)
    for step in range(steps):
        if abandoned():
            return
        logits = forward(input_ids, state.mask[:, : width + step], position_ids)
        picked, logprob = _pick(logits, state, step)
        tokens[state.index, step], logprobs[state.index, step] = picked, logprob
        stopped = (picked[:, None] == state.stops).any(1) | _ended(rows, state.index, tokens, step)
        finished = stopped | (state.limits <= step + 1)
        if finished.any():
            for i, by_stop in zip(
                state.index[finished].tolist(), stopped[finished].tolist(), strict=True
            ):
                said, scores = tokens[i, : step + 1].tolist(), logprobs[i, : step + 1].tolist()
                deliver(i, Sampled(tuple(said), tuple(scores), by_stop))
            keep = (~finished).nonzero().squeeze(1)
            if not len(keep):
                return
            state, picked = state.select(keep), picked[keep]
            forward.select(keep)
        input_ids, position_ids = picked[:, None], (state.lengths + step)[:, None]


def _ended(
    rows: Sequence[Row], index: torch.Tensor, tokens: torch.Tensor, step: int
) -> torch.Tensor:
    """[live rows]: whether what a row has said by this step ends it."""
    ended = torch.zeros(len(index), dtype=torch.bool, device=index.device)
    for at, i in enumerate(index.tolist()):
        ends = rows[i].ends
        if ends is not None:
            ended[at] = ends(tokens[i, : step + 1].tolist())
    return ended


class _Forward:
    """The model with its KV cache: logits of the last position, [rows, vocabulary], fp32."""

    def __init__(self, model: Any) -> None:
        self._model, self._cache = model, None
        accepted = inspect.signature(type(_plain(model)).forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._positions = "position_ids" in accepted

    def __call__(self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor) -> Any:
        more = {"position_ids": positions} if self._positions else {}
        out = self._model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            **self._last_only,
            **more,
        )
        self._cache = out.past_key_values
        return out.logits[:, -1].float()

    def select(self, keep: torch.Tensor) -> None:
        assert self._cache is not None
        self._cache.batch_select_indices(keep)


def _pick(logits: torch.Tensor, state: _State, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(token, logprob) per row, of the distribution that it is sampled from.

    Temperature, then top-k, then top-p, as vLLM has them.  A greedy row's logprob is that of the
    plain softmax, as in vLLM.
    """
    logits = logits / state.temperature[:, None]
    norm = logits.logsumexp(-1, keepdim=True)
    if not norm.isfinite().all():
        raise FloatingPointError("the model's logits are not finite")
    scores = logits - norm
    narrowed = ((state.top_k < logits.shape[1]) | (state.top_p < 1.0)) & ~state.greedy
    if narrowed.any():
        scores[narrowed] = _narrow(scores[narrowed], state.top_k[narrowed], state.top_p[narrowed])
    # Doubles: in a large vocabulary the rounding of a float sum outweighs a rare token.
    cdf = scores.exp().cumsum(-1, dtype=state.uniforms.dtype)
    # u < 1, so u * total < total, and the first entry above it is a token with probability.
    token = torch.searchsorted(cdf, state.uniforms[:, step : step + 1] * cdf[:, -1:], right=True)
    token = torch.where(state.greedy[:, None], scores.argmax(-1, keepdim=True), token)
    return token.squeeze(1), scores.gather(1, token).squeeze(1)


def _narrow(scores: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Logprobs [rows, vocabulary], renormalised, with -inf for what top-k and top-p leave out.

    In the vocabulary's own order: a row must not sample otherwise for a neighbour's top-k.
    """
    best, order = scores.topk(int(top_k.max()), dim=-1)
    ranks = torch.arange(best.shape[1], device=best.device)
    best = best.masked_fill(ranks >= top_k[:, None], float("-inf"))
    probabilities = best.softmax(-1)
    before = probabilities.cumsum(-1) - probabilities
    best = best.masked_fill((before >= top_p[:, None]) & (ranks > 0), float("-inf")).log_softmax(-1)
    return torch.full_like(scores, float("-inf")).scatter(1, order, best)


def _prepare(
    rows: Sequence[Row], vocabulary: int, device: torch.device
) -> tuple[torch.Tensor, _State]:
    """Left-padded prompts [rows, longest prompt], and the state before the first token."""
    count, width = len(rows), max(len(row.prompt_ids) for row in rows)
    steps = max(row.limit for row in rows)
    double = torch.float32 if device.type == "mps" else torch.float64
    most_stops = max(1, *(len(row.sampling.stop_token_ids) for row in rows))
    ids = torch.zeros(count, width, dtype=torch.long)
    mask = torch.ones(count, width + steps, dtype=torch.long)
    stops = torch.full((count, most_stops), -1, dtype=torch.long)
    uniforms = torch.zeros(count, steps, dtype=double)
    for i, row in enumerate(rows):
        ids[i, width - len(row.prompt_ids) :] = torch.tensor(row.prompt_ids)
        mask[i, : width - len(row.prompt_ids)] = 0
        stop_ids = row.sampling.stop_token_ids
        stops[i, : len(stop_ids)] = torch.tensor(stop_ids, dtype=torch.long)
        seed = secrets.randbits(32) if row.sampling.seed is None else row.sampling.seed
        generator = torch.Generator().manual_seed(seed)
        uniforms[i, : row.limit] = torch.rand(row.limit, generator=generator, dtype=double)
    samplings = [row.sampling for row in rows]
    greedy = [s.temperature < GREEDY_BELOW for s in samplings]
    temperature = [1.0 if g else s.temperature for g, s in zip(greedy, samplings, strict=True)]
    top_k = [s.top_k if 0 < s.top_k < vocabulary else vocabulary for s in samplings]
    state = _State(
        index=torch.arange(count),
        lengths=torch.tensor([len(row.prompt_ids) for row in rows]),
        mask=mask,
        limits=torch.tensor([row.limit for row in rows]),
        stops=stops,
        uniforms=uniforms,
        temperature=torch.tensor(temperature),
        greedy=torch.tensor(greedy),
        top_k=torch.tensor(top_k),
        top_p=torch.tensor([s.top_p for s in samplings]),
    )
    moved = {f.name: getattr(state, f.name).to(device) for f in fields(state)}
    return ids.to(device), _State(**moved)


def _plain(model: Any) -> Any:
    """The transformers model inside a PEFT or data-parallel wrapper."""
    while True:
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()
        elif isinstance(model, torch.nn.parallel.DistributedDataParallel):
            model = model.module
        else:
            return model


def _vocabulary(model: Any) -> int:
    return int(_plain(model).get_output_embeddings().weight.shape[0])
