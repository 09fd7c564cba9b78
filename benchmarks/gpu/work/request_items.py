"""V4 to V6: what requests get, and engines that are quantised or compiled."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from benchmarks.gpu.asking import ask, attached, engines_of, greedy, prompts, throughput
from benchmarks.gpu.cards import used_bytes
from benchmarks.gpu.engine import NAME, spec, started
from benchmarks.gpu.found import Found
from benchmarks.gpu.models import model_folder
from src.inference_providers.base import Sampling
from src.vllm.engines import EngineSet
from src.vllm.providers import ResidentProvider, providers_of
from src.vllm.residency import Residency

GIB = 2**30
VERDICT = {
    "type": "object",
    "properties": {"decision": {"enum": ["OK", "REJECT"]}},
    "required": ["decision"],
    "additionalProperties": False,
}


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


def fp8(found: Found, work: Path, dry: bool) -> None:
    """V5: weights quantised as they load; what slept at level 1 says the same after it wakes."""
    folder = model_folder("qwen2.5-0.5b", work, dry)
    before = used_bytes() / GIB
    with started(spec(folder, dry, fp8=True), work / "fp8", not dry) as about:
        engines = engines_of(found, about)

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
        engines = engines_of(found, about)

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
