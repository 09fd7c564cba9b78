"""V1 to V6: a real engine of ours on a GPU, through EngineSet, Residency and our client."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu import training as t
from benchmarks.gpu.cards import card, used_bytes
from benchmarks.gpu.engine import MANIFEST, NAME, SHARE, spec, started
from benchmarks.gpu.found import Found
from benchmarks.gpu.models import model_folder
from src.inference_providers.base import Sampling
from src.vllm.engines import EngineSet
from src.vllm.providers import ResidentProvider, providers_of
from src.vllm.residency import Residency
from utils.seeding import keyed_rng

GIB = 2**30
VERDICT = {
    "type": "object",
    "properties": {"decision": {"enum": ["OK", "REJECT"]}},
    "required": ["decision"],
    "additionalProperties": False,
}
ASCII = 94  # the tokenizer's first ids
NEAR_TIE = 0.25  # nats: two bf16 implementations may disagree on tokens closer than that


def attached() -> tuple[dict[str, Any], EngineSet]:
    """What the engine's start showed, and the engine."""
    about = json.loads(Path(os.environ[MANIFEST]).read_text())
    if "reason" in about:
        raise RuntimeError(f"the engine did not start: {about['reason']}")
    return about, EngineSet.attach(Path(about["manifest"]))


def prompts(count: int, length: int = 24) -> list[list[int]]:
    """Of plain ASCII: half a letter at the end would spoil the text that follows."""
    rngs = [keyed_rng("prompt", n) for n in range(count)]
    return [[rng.randrange(ASCII) for _ in range(length)] for rng in rngs]


async def ask(
    provider: ResidentProvider, asked: Sequence[Sequence[int]], sampling: Sequence[Sampling]
) -> list[tuple[list[int], list[float]]]:
    """Ids and logprobs of each prompt, all at once."""
    answers = await asyncio.gather(
        *(provider.complete_tokens(p, s) for p, s in zip(asked, sampling, strict=True))
    )
    return [(list(a.token_ids or ()), list(a.logprobs or ())) for a in answers]


def greedy(tokens: int) -> Sampling:
    return Sampling(temperature=0.0, max_tokens=tokens)


# --- V1 -------------------------------------------------------------------------------------


def start(found: Found, work: Path, dry: bool) -> None:
    """V1: which runner; memory awake and asleep, of all processes, less what was there before."""
    about, engines = attached()
    before = about["used_before_gib"]
    _, residency = providers_of(engines)
    control = engines.engines[NAME].control
    control.wake()
    awake = used_bytes() / GIB - before
    control.sleep(level=1)
    asleep = used_bytes() / GIB - before
    residency.rest()
    found.found = {
        "start_s": about["start_s"],
        "runner": about["runner"],
        "eager": about["eager"],
        "failed_starts": about.get("failed", []),
        "awake_gib": awake,
        "asleep_gib": asleep,
        "asleep_at_start_gib": about["asleep_gib"],
    }
    found.expected = {"asleep_gib": 1.0, "awake_gib": f"{SHARE} of the card"}
    found.passed = dry or asleep <= 1.5
    found.setting = "src/memory_plan/engines.py: ENGINE_GIB; VLLM_USE_V2_MODEL_RUNNER"


# --- V2 -------------------------------------------------------------------------------------


def sampler_and_trainer(found: Found, work: Path, dry: bool) -> None:
    """V2: the sampler's logprobs of its own tokens, and the packed trainer's of the same."""
    from utils.records import Trajectory

    _, engines = attached()
    rows, tokens = (64, 256) if not dry else (8, 16)
    asked = prompts(rows)

    async def sample() -> list[tuple[list[int], list[float]]]:
        providers, residency = providers_of(engines)
        sampling = [
            Sampling(temperature=1.0, max_tokens=tokens, seed=row, logprobs=True)
            for row in range(rows)
        ]
        try:
            return await ask(providers[NAME], asked, sampling)
        finally:
            await providers[NAME].close()
            residency.rest()

    answers = asyncio.run(sample())
    sampled = [
        Trajectory(prompt_ids=p, completion_ids=ids, mask=[1] * len(ids), logprobs=list(logprobs))
        for p, (ids, logprobs) in zip(asked, answers, strict=True)
    ]
    folder = model_folder("qwen2.5-0.5b", work, dry)
    own = _flat([row.logprobs for row in sampled])
    found.found = {"tokens": len(own), "mean_logprob_nats": statistics.fmean(own)}
    scored = {}
    for name, dtype, fp32_head in (
        ("bf16", "bfloat16", False),
        ("bf16_fp32_head", "bfloat16", True),
        ("fp32", "float32", False),
    ):
        theirs = _scored(folder, sampled, dtype, fp32_head)
        scored[name] = theirs
        gaps = [abs(a - b) for a, b in zip(own, theirs, strict=True)]
        ratios = [2.718281828 ** (b - a) for a, b in zip(own, theirs, strict=True)]
        found.found[f"trainer_{name}"] = {
            "gap_mean_nats": statistics.fmean(gaps),
            "gap_p99_nats": sorted(gaps)[int(0.99 * len(gaps))],
            "gap_max_nats": max(gaps),
            "ratio_mean": statistics.fmean(ratios),
        }
    trainer_error = statistics.fmean(
        abs(a - b) for a, b in zip(scored["bf16"], scored["fp32"], strict=True)
    )
    sampler_error = found.found["trainer_fp32"]["gap_mean_nats"]
    found.found |= {"sampler_error_nats": sampler_error, "trainer_error_nats": trainer_error}
    found.expected = {"sampler's error against fp32": "at most 1.5 times the bf16 trainer's"}
    found.expected["gap_mean_nats"] = "below 0.1"
    found.passed = (
        sampler_error <= 1.5 * trainer_error + 1e-4
        and found.found["trainer_bf16"]["gap_mean_nats"] < 0.1
    )
    found.setting = "train.importance_sampling; an fp32 head in both, or in neither"


def _flat(rows: Any) -> list[float]:
    return [value for row in rows for value in row]


def _scored(folder: Path, rows: list[Any], dtype: str, fp32_head: bool) -> list[float]:
    """Logprobs of all completion tokens, in order, by the trainer before its first update."""
    cfg = t.settings(
        len(rows), 4, 2048, dtype=dtype, optimizer="adamw_torch", learning_rate=1e-9, beta=0.0
    )
    with tempfile.TemporaryDirectory() as out:
        trainer = t.build(cfg, folder, folder, rows, Path(out), fp32_head=fp32_head)
        seen = t.train(trainer)
    found = [logps[mask].tolist() for logps, mask in zip(seen.logps, seen.mask, strict=True)]
    del trainer
    t.forget()
    return _flat(found)


# --- V3 -------------------------------------------------------------------------------------


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
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).to(device).eval()

    async def heard() -> list[list[int]]:
        answers = await ask(providers[NAME], asked, [greedy(tokens)] * len(asked))
        return [ids for ids, _ in answers]

    async def all_turns() -> None:
        first = await heard()
        residency.rest()  # level 1: nothing was published yet
        second = await heard()
        found.found["level_1_same_ids"] = first == second
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
    agreements = [found.found[f"version_{v}"] for v in (1, 2, 3)]
    found.expected = {"real_differences": 0, "level_1_same_ids": True}
    found.passed = (
        found.found["level_1_same_ids"]
        and found.found["each_version_says_other_things"]
        and all(a["real_differences"] == 0 for a in agreements)
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
    """Whether the model would have chosen each token that the engine chose; near ties count."""
    import torch

    equal = total = 0
    worst = 0.0
    real = 0
    with torch.no_grad():
        for prompt, ids in zip(asked, said, strict=True):
            whole = torch.tensor([prompt + ids], device=model.device)
            rows = model(whole).logits[0, len(prompt) - 1 : -1].float().log_softmax(-1)
            best = rows.max(-1).values
            own = rows.gather(1, whole[0, len(prompt) :, None])[:, 0]
            gaps = (best - own).tolist()
            equal += sum(gap == 0.0 for gap in gaps)
            real += sum(gap > NEAR_TIE for gap in gaps)
            total += len(gaps)
            worst = max([worst, *gaps])
    return {"tokens": total, "equal": equal, "real_differences": real, "largest_gap_nats": worst}


# --- V4 -------------------------------------------------------------------------------------


def requests(found: Found, work: Path, dry: bool) -> None:
    """V4: schema, seeds, priorities, and tokens/s of 128 requests at once."""
    about, engines = attached()
    folder = model_folder("qwen2.5-0.5b", work, dry)
    asyncio.run(_requests(found, engines, folder, dry))
    found.found["runner"] = about["runner"]
    found.expected["tokens_per_s"] = "a tenth of what reading the weights once a step allows"
    found.passed = (
        found.found["schema_kept"]
        and found.found["seeds_repeat"]
        and found.found["priority_first"]
        and (dry or found.found["of_roofline"] >= 0.1)
    )
    found.setting = "engines: VLLM_USE_V2_MODEL_RUNNER=0; vllm.enforce_eager=false for speed"


async def _requests(found: Found, engines: EngineSet, folder: Path, dry: bool) -> None:
    providers, residency = providers_of(engines)
    provider = providers[NAME]
    _name_published(engines, residency)
    schema = Sampling(temperature=1.0, max_tokens=40, json_schema=VERDICT)
    judged = await asyncio.gather(*(provider.complete_tokens(p, schema) for p in prompts(8)))
    found.found["schema_kept"] = all(_is_verdict(answer.text) for answer in judged)
    seeded = [Sampling(temperature=1.0, max_tokens=32, seed=n, logprobs=True) for n in range(8)]
    once = await ask(provider, prompts(8), seeded)
    twice = await ask(provider, prompts(8), seeded)
    found.found["seeds_repeat"] = [a for a, _ in once] == [a for a, _ in twice]
    found.found |= await throughput(provider, folder, dry)
    found.found["priority_first"] = await _priorities(provider, dry)
    await provider.close()
    residency.rest()


def _name_published(engines: EngineSet, residency: Residency) -> None:
    """Once new weights were published, those that the engine started with are gone."""
    from safetensors import safe_open

    from src.vllm.weights import FILE_NAME

    file = engines.weights_folder / FILE_NAME
    if file.exists():
        with safe_open(file, framework="pt") as published:
            residency.set_weights(NAME, file, int(published.metadata()["version"]))


def _is_verdict(text: str) -> bool:
    try:
        return json.loads(text)["decision"] in ("OK", "REJECT")
    except (ValueError, KeyError, TypeError):
        return False


async def throughput(provider: ResidentProvider, folder: Path, dry: bool) -> dict[str, float]:
    """Generated tokens/s of 128 requests of 256 tokens, and the share of the roofline's decode."""
    count, tokens = (128, 256) if not dry else (8, 16)
    warm = [Sampling(temperature=1.0, max_tokens=4, seed=n) for n in range(count)]
    await ask(provider, prompts(count), warm)
    began = time.perf_counter()
    sampling = [Sampling(temperature=1.0, max_tokens=tokens, seed=n) for n in range(count)]
    answers = await ask(provider, prompts(count), sampling)
    seconds = time.perf_counter() - began
    rate = sum(len(ids) for ids, _ in answers) / seconds
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return {
        "tokens_per_s": rate,
        "of_roofline": rate / (count * card().bandwidth / weights),
        "step_ms": 1000.0 * seconds / tokens,
    }


async def _priorities(provider: ResidentProvider, dry: bool) -> bool:
    """Four urgent requests that come last, before most of those that wait for a place."""
    count, tokens = (384, 96) if not dry else (96, 24)
    done: list[bool] = []

    async def one(prompt: list[int], priority: int) -> None:
        asked = Sampling(temperature=1.0, max_tokens=tokens, priority=priority)
        await provider.complete_tokens(prompt, asked)
        done.append(priority == 0)

    patient = [asyncio.create_task(one(p, 5)) for p in prompts(count)]
    await asyncio.sleep(0.2)
    urgent = [asyncio.create_task(one(p, 0)) for p in prompts(4)]
    await asyncio.gather(*patient, *urgent)
    return max(at for at, mine in enumerate(done) if mine) < len(done) * 0.9


# --- V5, V6 ---------------------------------------------------------------------------------


def fp8(found: Found, work: Path, dry: bool) -> None:
    """V5: weights quantised as they load; what slept at level 1 says the same after it wakes."""
    folder = model_folder("qwen2.5-0.5b", work, dry)
    before = used_bytes() / GIB
    with started(spec(folder, dry, fp8=True), work / "fp8", not dry) as about:
        engines = _engines_of(found, about)

        async def turns() -> None:
            providers, residency = providers_of(engines)
            said = []
            for _ in range(2):
                answers = await ask(providers[NAME], prompts(8), [greedy(32)] * 8)
                said.append([ids for ids, _ in answers])
                found.found.setdefault("awake_gib", used_bytes() / GIB - before)
                residency.rest()
                found.found.setdefault("asleep_gib", used_bytes() / GIB - before)
            found.found["same_ids"] = said[0] == said[1]
            await providers[NAME].close()

        asyncio.run(turns())
    found.expected = {"same_ids": True, "asleep_gib": 1.0}
    found.passed = found.found["same_ids"]
    found.setting = "student_model.quantization"


def compiled(found: Found, work: Path, dry: bool) -> None:
    """V6: torch.compile and CUDA graphs: seconds to start, tokens/s."""
    folder = model_folder("qwen2.5-0.5b", work, dry)
    with started(spec(folder, dry, eager=False), work / "compiled", not dry) as about:
        engines = _engines_of(found, about)

        async def measure() -> None:
            providers, residency = providers_of(engines)
            found.found |= await throughput(providers[NAME], folder, dry)
            residency.rest()
            found.found["asleep_gib"] = used_bytes() / GIB - about["used_before_gib"]
            await providers[NAME].close()

        asyncio.run(measure())
    found.expected = {"tokens_per_s": "above V4's, which is eager"}
    found.passed = True
    found.setting = "vllm.enforce_eager=true, where it does not start or is no faster"


def _engines_of(found: Found, about: dict[str, Any]) -> EngineSet:
    if "reason" in about:
        raise RuntimeError(f"the engine did not start: {about['reason']}")
    for key in ("start_s", "runner", "asleep_gib"):
        found.found[f"{key}_at_start" if key == "asleep_gib" else key] = about[key]
    found.found["failed_starts"] = about.get("failed", [])
    return EngineSet.attach(Path(about["manifest"]))
