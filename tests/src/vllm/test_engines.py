"""Real vLLM servers on the CPU: tokens, weights, sleep, ports, death.  One pair for all tests.

The tests of this module run in their order: the last one kills a server.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from config.schema import EngineSettings
from src.inference_providers.base import GaveUp, ProviderError, Sampling
from src.vllm.engines import EngineSet
from src.vllm.providers import providers_of
from src.vllm.residency import Residency
from src.vllm.server import PREFILL_TOKENS
from src.vllm.weights import FILE_NAME, publish
from tests.src.vllm.small_engines import engine_spec, gap, logprobs_by, transformers_model
from tests.tiny import save_tiny_model

IDS = [10, 33, 47, 112, 60, 222, 9, 40, 31, 50]
SAMPLED = Sampling(temperature=0.8, max_tokens=12, logprobs=True, seed=5)
VERDICT = {
    "type": "object",
    "properties": {"decision": {"enum": ["OK", "REJECT"]}},
    "required": ["decision"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineSet]:
    """Tutor with a tied head, judge with its own; slept weights of level 2 are lost for real."""
    base = tmp_path_factory.mktemp("engines")
    specs = [
        engine_spec(role, save_tiny_model(base / role, tied=tied), fault="nan_on_sleep")
        for role, tied in (("teacher", True), ("judge", False))
    ]
    settings = EngineSettings(residency="phase", start_timeout_s=240)
    with EngineSet(specs, settings, base / "run") as started:
        yield started


def sleeping(engines: EngineSet) -> dict[str, bool]:
    return {name: engine.control.is_sleeping() for name, engine in engines.engines.items()}


def name_published(engines: EngineSet, residency: Residency) -> None:
    """Tell a new residency of the files published before: what engines started with is lost."""
    for role in engines.engines:
        residency.set_weights(role, engines.weights_folder / role / FILE_NAME, 3)


def test_engines_start_asleep_and_are_found_again(engines: EngineSet) -> None:
    assert sleeping(engines) == {"teacher": True, "judge": True}
    found = EngineSet.attach(engines.manifest)
    assert found.engines == engines.engines and found.weights_folder == engines.weights_folder
    found.stop()  # not its own: nothing happens
    found.check()


def test_nothing_listens_beyond_the_socket_and_loopback(engines: EngineSet) -> None:
    for engine in engines.engines.values():
        folder = engine.socket.parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(engines.weights_folder.stat().st_mode) == 0o700
        leader = psutil.Process(engine.pid)
        for process in [leader, *leader.children(recursive=True)]:
            assert os.getpgid(process.pid) == engine.pid
            listening = [c for c in process.net_connections("inet") if c.status == "LISTEN"]
            assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1"}


async def test_a_completion_holds_every_sampled_id_with_its_logprob(engines: EngineSet) -> None:
    providers, _ = providers_of(engines)
    tutor = providers["teacher"]
    first = await tutor.complete_tokens(IDS, SAMPLED)
    assert first == await tutor.complete_tokens(IDS, SAMPLED)  # the seed decides
    ids, logprobs = list(first.token_ids or ()), list(first.logprobs or ())
    assert len(ids) == len(logprobs) == first.completion_tokens
    model = transformers_model(engines, "teacher")
    at = len(IDS) - 1
    assert gap(logprobs, logprobs_by(model, IDS + ids, temperature=0.8)[at:]) < 1e-4
    # a stop token is sampled like any other: its id and logprob are there, its text is not
    cut = await tutor.complete_tokens(IDS, replace(SAMPLED, stop_token_ids=(ids[3],)))
    assert cut.stop_reason == "stop" and cut.token_ids == tuple(ids[: ids.index(ids[3]) + 1])
    assert gap(cut.logprobs, logprobs[: len(cut.token_ids)]) < 1e-5
    at_once = await tutor.complete_tokens(IDS, replace(SAMPLED, stop_token_ids=(ids[0],)))
    assert (at_once.token_ids, at_once.text) == ((ids[0],), "")
    short = await tutor.complete_tokens(IDS, Sampling(temperature=0.0, max_tokens=2))
    assert (short.stop_reason, short.completion_tokens, short.logprobs) == ("length", 2, None)
    await tutor.close()


async def test_samples_of_one_request_are_those_of_their_seeds(engines: EngineSet) -> None:
    """Each can be asked for by itself; without any randomness they are all the same."""
    providers, _ = providers_of(engines)
    tutor = providers["teacher"]
    together = await tutor.complete_samples(IDS, SAMPLED, 3)
    alone = [await tutor.complete_tokens(IDS, replace(SAMPLED, seed=5 + i)) for i in range(3)]
    assert [s.token_ids for s in together] == [s.token_ids for s in alone]
    assert len({s.token_ids for s in together}) == 3
    for one, other in zip(together, alone, strict=True):
        assert gap(one.logprobs, other.logprobs) < 1e-4
        assert replace(one, logprobs=None) == replace(other, logprobs=None)
    greedy = replace(SAMPLED, temperature=0.0)
    assert (
        await tutor.complete_samples(IDS, greedy, 2)
        == [await tutor.complete_tokens(IDS, greedy)] * 2
    )
    await tutor.close()


async def test_a_judge_keeps_to_a_schema_and_a_long_prompt_is_one_lost_request(
    engines: EngineSet,
) -> None:
    providers, _ = providers_of(engines)
    judge = providers["judge"]
    schema = Sampling(temperature=1.0, max_tokens=40, json_schema=VERDICT)
    answers = await asyncio.gather(*(judge.complete_tokens(IDS, schema) for _ in range(4)))
    for answer in answers:
        assert json.loads(answer.text)["decision"] in ("OK", "REJECT")
        assert answer.text == json.dumps(json.loads(answer.text))  # no room for white space
    with pytest.raises(GaveUp, match="512"):
        await judge.complete_tokens([7] * 600, SAMPLED)
    await judge.close()


async def test_seeded_prompts_that_fill_many_steps_do_not_kill_an_engine(
    engines: EngineSet,
) -> None:
    """vLLM 0.31 on a CPU dies of a seeded request whose prompt is cut between two steps."""
    providers, _ = providers_of(engines)
    judge = providers["judge"]
    prompts = [[at + 3, *[10 + (7 * at + i) % 200 for i in range(430)]] for at in range(30)]
    answers = await asyncio.gather(*(judge.complete_tokens(ids, SAMPLED) for ids in prompts))
    assert sum(map(len, prompts)) > 3 * PREFILL_TOKENS
    assert all(answer.completion_tokens for answer in answers)
    await judge.close()


@pytest.mark.parametrize("role", ["teacher", "judge"])  # tied head, own head
async def test_published_weights_are_what_the_engine_computes_with(
    engines: EngineSet, role: str, tmp_path: Path
) -> None:
    providers, residency = providers_of(engines)
    provider = providers[role]
    before = transformers_model(engines, role)
    await provider.complete_tokens(IDS, SAMPLED)  # wakes it
    assert gap(await provider.inner.score_tokens(IDS), logprobs_by(before, IDS)) < 1e-4
    after = transformers_model(engines, role, moved_by=7)
    folder = engines.weights_folder / role
    folder.mkdir()
    residency.set_weights(role, publish(after.state_dict().items(), folder, 3), 3)
    scored = await provider.inner.score_tokens(IDS)
    assert gap(scored, logprobs_by(after, IDS)) < 1e-4
    assert gap(scored, logprobs_by(before, IDS)) > 0.1
    assert engines.engines[role].control.loaded_version() == 3
    # asleep at level 2 the weights are lost; waking brings them back before anything is asked
    residency.rest()
    assert residency.awake() == set() and all(sleeping(engines).values())
    again = await provider.complete_tokens(IDS, SAMPLED)
    expected = logprobs_by(after, [*IDS, *again.token_ids], temperature=0.8)[len(IDS) - 1 :]
    assert gap(again.logprobs, expected) < 1e-4
    residency.rest()
    await provider.close()


def test_files_that_do_not_fit_are_refused_and_change_nothing(
    engines: EngineSet, tmp_path: Path
) -> None:
    import torch

    engine = engines.engines["teacher"]
    engine.control.wake()
    state = dict(transformers_model(engines, "teacher", moved_by=7).state_dict())
    without_head = {n: t for n, t in state.items() if n != "lm_head.weight"}  # tied: optional
    good = publish(without_head.items(), tmp_path, 4)
    assert engine.control.load_weights(good, 4) == 4

    norm = "model.norm.weight"
    wrong = {
        "is missing": {n: t for n, t in state.items() if n != norm},
        "is not in the model": {**state, "model.extra": torch.zeros(2)},
        "has shape": {**state, norm: torch.zeros(65)},
    }
    for at, (reason, tensors) in enumerate(wrong.items()):
        folder = tmp_path / str(at)
        folder.mkdir()
        with pytest.raises(ProviderError, match=reason):
            engine.control.load_weights(publish(tensors.items(), folder, 5), 5)
    with pytest.raises(ProviderError, match="version 4, not 5"):
        engine.control.load_weights(good, 5)
    good.write_bytes(good.read_bytes()[:-1000])
    with pytest.raises(ProviderError, match="not loaded"):
        engine.control.load_weights(good, 4)
    assert engine.control.loaded_version() == 4


@pytest.mark.parametrize("residency", ["turn", "phase"])
async def test_a_rollout_is_the_same_whoever_sleeps(engines: EngineSet, residency: str) -> None:
    """Tutor and judge are asked by six conversations; only one of them is ever awake."""
    for engine in engines.engines.values():
        if not engine.control.is_sleeping():
            engine.control.sleep(level=1)
    engines.settings.residency = residency
    providers, manager = providers_of(engines)
    name_published(engines, manager)
    greedy = Sampling(temperature=0.0, max_tokens=4)
    awake = []

    async def conversation(at: int) -> list[int]:
        ids = [*IDS, at]
        for role in ("teacher", "judge", "teacher"):
            answer = await providers[role].complete_tokens(ids, greedy)
            awake.append(manager.awake())
            ids += answer.token_ids
        return ids

    async with asyncio.timeout(60):
        rows = await asyncio.gather(*(conversation(at) for at in range(6)))
    assert all(len(row) > len(IDS) + 6 for row in rows)
    assert {len(names) for names in awake} == {1}
    assert sum(not asleep for asleep in sleeping(engines).values()) == 1
    manager.rest()
    for provider in providers.values():
        await provider.close()


async def test_a_killed_engine_ends_the_run_with_its_name(engines: EngineSet) -> None:
    providers, residency = providers_of(engines)
    name_published(engines, residency)
    engine = engines.engines["judge"]
    long = Sampling(temperature=1.0, max_tokens=400)
    # many, of which some are still being answered when it dies
    many = (providers["judge"].complete_tokens([*IDS, at], long) for at in range(16))
    asked = asyncio.ensure_future(asyncio.gather(*many))
    guarded = asyncio.create_task(residency.guarded(asyncio.sleep(3600)))
    await asyncio.sleep(0.5)
    for process in psutil.Process(engine.pid).children(recursive=True):
        process.send_signal(signal.SIGKILL)
    for waiting, said in ((asked, "engine judge"), (guarded, r"engine judge .* died")):
        with pytest.raises(ProviderError, match=said):
            async with asyncio.timeout(60):
                await waiting
    with pytest.raises(ProviderError, match="judge"):
        EngineSet.attach(engines.manifest)
    for provider in providers.values():
        await provider.close()


def test_stopping_leaves_nothing(engines: EngineSet) -> None:
    pids = [e.pid for e in engines.engines.values()]
    folders = {engines.weights_folder, *(e.socket.parent for e in engines.engines.values())}
    engines.stop()
    assert [p.pid for p in psutil.process_iter() if _group(p.pid) in pids] == []
    assert not any(folder.exists() for folder in folders)
    assert not engines.manifest.exists()


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def test_an_engine_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    specs = [engine_spec("student", tmp_path, extra_args=(("no-such-flag", "1"),))]
    with (
        pytest.raises(ProviderError, match=r"^engine student .* code 2: .*no-such-flag"),
        EngineSet(specs, EngineSettings(), tmp_path / "run"),
    ):
        pass
