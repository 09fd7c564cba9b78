"""V3: an engine falls asleep, wakes, and has the new weights."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.asking import ask, attached, greedy, prompts
from benchmarks.gpu.engine import NAME
from benchmarks.gpu.found import Found
from benchmarks.gpu.models import model_folder
from src.vllm.providers import providers_of
from src.vllm.residency import Residency

#: Two bf16 implementations may disagree on tokens whose logits are so few roundings apart.
NEAR_TIE = 4
SAME = 0.9  # of the tokens must be the model's own first choice


class Clock:
    """Seconds of each control call of an engine."""

    def __init__(self, residency: Residency) -> None:
        self.calls: list[tuple[str, float]] = []
        control = residency.controls[NAME]
        for method in ("sleep", "wake", "load_weights"):
            setattr(control, method, self._timed(method, getattr(control, method)))

    def _timed(self, name: str, whole: Any) -> Any:
        def timed(*arguments: Any, **more: Any) -> Any:
            began = time.perf_counter()
            try:
                return whole(*arguments, **more)
            finally:
                said = [str(a) for a in arguments if name == "wake"]
                said += [f"{k}={v}" for k, v in more.items()]
                spent = time.perf_counter() - began
                self.calls.append((" ".join([name, *said]), spent))

        return timed


def sleep_and_reload(found: Found, work: Path, dry: bool) -> None:
    """V3: level 1 keeps what was there; level 2 with a new file gives the new model's ids."""
    import torch
    from transformers import AutoModelForCausalLM

    from src.vllm.weights import publish

    _, engines = attached()
    folder = model_folder("qwen2.5-0.5b", work, dry)
    asked, tokens = prompts(8), 24
    providers, residency = providers_of(engines)
    clock = Clock(residency)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.to(device).eval()

    async def heard() -> list[list[int]]:
        answers = await ask(providers[NAME], asked, [greedy(tokens)] * len(asked))
        return [ids for ids, _ in answers]

    async def all_turns() -> None:
        first = await heard()
        residency.rest()  # level 1: nothing was published yet
        second = await heard()
        found.found["level_1_same_ids"] = first == second  # another batch may decide ties
        found.found["after_level_1"] = _agree(model, asked, second)
        found.found["start_against_transformers"] = _agree(model, asked, first)
        residency.rest()
        said = [first]
        for version in (1, 2, 3):
            _move(model, seed=version)
            path = publish(model.state_dict().items(), engines.weights_folder, version)
            residency.set_weights(NAME, path, version)
            said.append(await heard())
            found.found[f"version_{version}"] = _agree(model, asked, said[-1])
            residency.rest()  # level 2
        found.found["each_version_says_other_things"] = all(
            a != b for a, b in itertools.pairwise(said)
        )
        await providers[NAME].close()

    asyncio.run(all_turns())
    found.found["seconds"] = [[what, round(seconds, 3)] for what, seconds in clock.calls]
    kept = ["start_against_transformers", "after_level_1", *(f"version_{v}" for v in (1, 2, 3))]
    agreements = [found.found[name] for name in kept]
    found.expected = {"real_differences": 0, "equal": f"at least {SAME} of the tokens"}
    found.passed = found.found["each_version_says_other_things"] and all(
        a["real_differences"] == 0 and a["equal"] >= SAME * a["tokens"] for a in agreements
    )
    found.setting = "engines.residency=always, if a reload went wrong"


def _move(model: Any, seed: int) -> None:
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn_like(parameter)
            parameter.add_(noise * 0.3 * parameter.float().std().nan_to_num(0.0))


def _agree(model: Any, asked: Sequence[list[int]], said: Sequence[list[int]]) -> dict[str, Any]:
    """Whether the model would have chosen each token that the engine chose.

    A gap counts in roundings of bfloat16, which has 8 bits: at logits of 64 to 128 one is 0.5 nats.
    """
    import torch

    equal = total = real = 0
    nats, roundings = 0.0, 0.0
    with torch.no_grad():
        for prompt, ids in zip(asked, said, strict=True):
            whole = torch.tensor([prompt + ids], device=model.device)
            rows = model(whole).logits[0, len(prompt) - 1 : -1].float()
            best = rows.max(-1).values
            own = rows.gather(1, whole[0, len(prompt) :, None])[:, 0]
            gaps = best - own
            steps = gaps / torch.exp2(best.abs().clamp_min(1.0).log2().floor() - 7)
            equal += int((gaps == 0.0).sum())
            real += int((steps > NEAR_TIE).sum())
            total += len(ids)
            nats = max(nats, gaps.max().item())
            roundings = max(roundings, steps.max().item())
    return {
        "tokens": total,
        "equal": equal,
        "real_differences": real,
        "largest_gap_nats": nats,
        "largest_gap_roundings": roundings,
    }
