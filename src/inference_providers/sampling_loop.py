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
from src.inference_providers.kv_cache import make_room

GREEDY_BELOW = 1e-5  # temperatures under this are zero
KEPT = 0.75  # finished rows stay in the batch until this share is live: to leave costs a copy


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
    """What the decode loop knows of its rows; every field is [rows] or [rows, ...]."""

    index: torch.Tensor  # place in the list of requests
    live: torch.Tensor  # not finished
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

    def position(self, step: int) -> torch.Tensor:
        """[rows, 1]: of the token before `step`; a finished row stays at its last."""
        return (self.lengths + self.limits.clamp(max=step) - 1)[:, None]


@torch.no_grad()
def sample_rows(
    model: Any,
    rows: Sequence[Row],
    deliver: Callable[[int, Sampled], None],
    *,
    abandoned: Callable[[], bool] = lambda: False,
) -> None:
    """Sample all rows; `deliver(i, sampled)` is called as row i finishes.

    A prompt that several rows share is read once.  The model must be in eval mode.  `abandoned` is
    asked before every token: true ends the loop.
    """
    device = next(model.parameters()).device
    prompts, of_row = _distinct(rows, device)
    input_ids, mask = _pad(prompts, device)
    state = _prepare(rows, mask[of_row], _vocabulary(model))
    width, steps = input_ids.shape[1], state.uniforms.shape[1]
    tokens = torch.zeros(len(rows), steps, dtype=torch.long, device=device)
    logprobs = torch.zeros(len(rows), steps, device=device)
    forward = _Forward(model)
    logits = forward(input_ids, mask, (mask.cumsum(-1) - 1).clamp(min=0))[of_row]
    forward.continue_with(of_row, steps)
    picked = state.index  # no token before the first
    for step in range(steps):
        if abandoned():
            return
        if step:
            logits = forward(picked[:, None], state.mask[:, : width + step], state.position(step))
        picked, logprob = _pick(logits, state, step)
        tokens[state.index, step], logprobs[state.index, step] = picked, logprob
        stopped = (picked[:, None] == state.stops).any(1) | _ended(rows, state, tokens, step)
        finished = state.live & (stopped | (state.limits <= step + 1))
        if finished.any():
            for i, by_stop in zip(
                state.index[finished].tolist(), stopped[finished].tolist(), strict=True
            ):
                said, scores = tokens[i, : step + 1].tolist(), logprobs[i, : step + 1].tolist()
                deliver(i, Sampled(tuple(said), tuple(scores), by_stop))
            state.live &= ~finished
            keep = state.live.nonzero().squeeze(1)
            if not len(keep):
                return
            if len(keep) <= KEPT * len(state.live):
                state, picked = state.select(keep), picked[keep]
                forward.select(keep)


def _ended(rows: Sequence[Row], state: _State, tokens: torch.Tensor, step: int) -> torch.Tensor:
    """[rows]: whether what a live row has said by this step ends it."""
    ended = torch.zeros_like(state.live)
    for at, (i, live) in enumerate(zip(state.index.tolist(), state.live.tolist(), strict=True)):
        ends = rows[i].ends
        if live and ends is not None:
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

    def continue_with(self, of_row: torch.Tensor, tokens: int) -> None:
        """From the prompts to the rows that share them, each of at most `tokens` tokens more."""
        self.select(of_row)
        make_room(self._cache, tokens)

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


def _distinct(
    rows: Sequence[Row], device: torch.device
) -> tuple[list[tuple[int, ...]], torch.Tensor]:
    """Each prompt once, and [rows]: which of them is a row's."""
    prompts = [tuple(row.prompt_ids) for row in rows]
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(prompts))}
    return list(places), torch.tensor([places[prompt] for prompt in prompts], device=device)


def _pad(
    prompts: Sequence[Sequence[int]], device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Left-padded prompts and their mask, both [prompts, longest prompt]."""
    width = max(len(prompt) for prompt in prompts)
    ids = [[0] * (width - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _prepare(rows: Sequence[Row], mask: torch.Tensor, vocabulary: int) -> _State:
    """The state before the first token; `mask`: [rows, longest prompt]."""
    steps, device = max(row.limit for row in rows), mask.device
    double = torch.float32 if device.type == "mps" else torch.float64
    most_stops = max(1, *(len(row.sampling.stop_token_ids) for row in rows))
    stops = torch.full((len(rows), most_stops), -1, dtype=torch.long)
    uniforms = torch.zeros(len(rows), steps, dtype=double)
    for i, row in enumerate(rows):
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
        index=torch.arange(len(rows)),
        live=torch.ones(len(rows), dtype=torch.bool),
        lengths=torch.tensor([len(row.prompt_ids) for row in rows]),
        mask=torch.cat([mask, mask.new_ones(len(rows), steps)], dim=1),
        limits=torch.tensor([row.limit for row in rows]),
        stops=stops,
        uniforms=uniforms,
        temperature=torch.tensor(temperature),
        greedy=torch.tensor(greedy),
        top_k=torch.tensor(top_k),
        top_p=torch.tensor([s.top_p for s in samplings]),
    )
    return _State(**{f.name: getattr(state, f.name).to(device) for f in fields(state)})


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
