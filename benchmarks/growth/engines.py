"""Engines that answer by a trace on a clock that jumps, behind all of our client but its sockets.

How long an answer is comes from its request's seed, about the lengths that the time plan assumes
(`Assumed`); an engine serves `SLOTS` requests at a time, each token of which takes `TOKEN_S`.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from benchmarks.speed.makespan import Slots
from config.roles import Phase
from src.time_plan.assumed import Assumed
from src.vllm.client import EngineProvider
from src.vllm.engine import Engine
from src.vllm.providers import ResidentProvider
from src.vllm.residency import Residency
from src.vllm.spec import EngineSpec
from utils.seeding import keyed_rng

SLOTS = 512  # max_num_seqs of config/train_rl/7b.yaml
TOKEN_S = 0.015  # a step of a full 7B engine on 4 A100-80, computed as `--plan` does
SIGMA = 0.5  # of the log-normal lengths
WORD = " step"
STEP = 8  # lengths are multiples of it, so that few bodies have to be made
PHASES: Mapping[str, frozenset[Phase]] = {
    "teacher": frozenset({"turns"}),
    "student": frozenset({"turns", "solving"}),
    "judge": frozenset({"judging"}),
}
Encode = Callable[[str], list[int]]


@dataclass(slots=True)
class Load:
    """What the engines were asked."""

    requests: int = 0
    open: int = 0
    most: int = 0  # at once
    tokens: int = 0

    def asked(self) -> None:
        self.requests += 1
        self.open += 1
        self.most = max(self.most, self.open)


class Texts:
    """The choices of answers, as vLLM sends them."""

    def __init__(self, encode: Encode, lengths: Assumed, max_turns: int) -> None:
        """`encode`: what makes ids of a text."""
        self.encode, self.lengths = encode, lengths
        self.farewells = min(1.0, 2 / (lengths.turns * max_turns))  # of the tutor's turns
        self.tokens_a_word = len(encode(WORD * 64)) / 64
        self.answer = functools.cache(self._made)

    def _made(self, kind: str, tokens: int) -> tuple[bytes, int]:
        """A choice and how many tokens are in it: about as many as asked for."""
        text = WORD * max(1, round(tokens / self.tokens_a_word))
        if kind == "verdict":
            text = f'{{"reasoning": "{text}", "decision": "OK"}}'
        elif kind != "turn":
            text += " \\boxed{68}" if kind == "solution" else " <end_of_conversation>"
        ids = self.encode(text)
        choice = {
            "text": text,
            "finish_reason": "stop",
            "token_ids": ids,
            "prompt_token_ids": "PROMPT",
            "logprobs": {"token_logprobs": [-0.123456789 - n / 1000 for n in range(len(ids))]},
        }
        return to_json(choice), len(ids)


class TracedAnswers(EngineProvider):
    """A role's engine; `_post`, which would go over a socket, is answered here."""

    def __init__(self, role: str, texts: Texts, load: Load) -> None:
        spec = EngineSpec(name=role, model=role, roles=(role,), phases=PHASES[role])
        engine = Engine(spec=spec, socket=Path("none"), log=Path("none"), pid=0, started=0.0)
        super().__init__(engine, lambda: None, deadline_s=math.inf)
        self.role, self.texts, self.load, self.slots = role, texts, load, Slots(SLOTS)

    async def _post(self, payload: bytes) -> dict[str, Any]:
        first, last = payload.index(b"["), payload.index(b"]") + 1
        wanted = from_json(b'{"prompt":0' + payload[last:])
        self.load.asked()
        # a sequence for each sample, with the next seed; the answer waits for the longest
        seeds = range(wanted["seed"], wanted["seed"] + wanted.pop("n", 1))
        made = [self.texts.answer(*self._drawn(**wanted | {"seed": seed})) for seed in seeds]

        async def sequence(tokens: int) -> None:
            async with self.slots.one(wanted["priority"]):
                await asyncio.sleep(tokens * TOKEN_S)
            self.load.tokens += tokens

        await asyncio.gather(*(sequence(tokens) for _, tokens in made))
        self.load.open -= 1
        choices = b",".join(choice for choice, _ in made)
        # as vLLM does, which repeats the prompt in each: the client has to parse it
        choices = choices.replace(b'"PROMPT"', payload[first:last])
        return from_json(b'{"choices":[' + choices + b'],"usage":{"prompt_tokens":1}}')

    def _drawn(self, seed: int, priority: int, max_tokens: int, **_: Any) -> tuple[str, int]:
        """What kind of answer, and of how many tokens."""
        lengths, kind = self.texts.lengths, "turn"
        mean = lengths.tutor_tokens if self.role == "teacher" else lengths.student_tokens
        rng = keyed_rng("answer", self.role, seed)
        if self.role == "judge":
            mean, kind = lengths.judge_tokens, "verdict"
        elif self.role == "student" and priority == 2:
            mean, kind = lengths.solution_tokens, "solution"
        elif self.role == "teacher" and rng.random() < self.texts.farewells:
            kind = "farewell"
        tokens = round(mean * rng.lognormvariate(-(SIGMA**2) / 2, SIGMA))
        return kind, max(1, min(-(-tokens // STEP) * STEP, max_tokens))


class AtOnce:
    """An engine that falls asleep and wakes in no time."""

    def __init__(self) -> None:
        self.asleep = True

    def is_sleeping(self) -> bool:
        return self.asleep

    def sleep(self, level: int) -> None:
        self.asleep = True

    def wake(self, *tags: str) -> None:
        self.asleep = False


def traced_providers(texts: Texts, residency: str) -> tuple[dict[str, ResidentProvider], Load]:
    """A provider for each role behind the gate of residency, and what they will have been asked."""
    load = Load()
    inner = {role: TracedAnswers(role, texts, load) for role in PHASES}
    controls: Any = {role: AtOnce() for role in PHASES}
    resident = Residency([each.engine.spec for each in inner.values()], controls, residency)
    return {role: ResidentProvider(each, resident) for role, each in inner.items()}, load
