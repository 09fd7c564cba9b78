"""Whole rollouts on real servers in each residency: who is awake when, and what is said.

The tests of this module run in their order: the last one kills a server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.schema import EngineSettings, TrainRLConfig
from src.inference_providers.base import Completion, ProviderError, Sampling
from src.inference_providers.budget import Budget
from src.setup import build_classroom
from src.vllm.client import EngineProvider
from src.vllm.engines import EngineSet
from src.vllm.providers import ResidentProvider, providers_of
from src.vllm.residency import Residency
from src.vllm.weights import publish
from tests.src.vllm.small_engines import engine_spec, gap, logprobs_by, transformers_model
from tests.tiny import save_tiny_model
from utils.data.load import load_problems
from utils.records import ConversationRecord
from utils.settings.hydra_entry import load_config

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

ROLES = ("teacher", "student", "judge")
DIALOG, JUDGING = frozenset({"teacher", "student"}), frozenset({"judge"})
AWAKE = {
    "always": {role: frozenset(ROLES) for role in ROLES},
    "phase": {"teacher": DIALOG, "student": DIALOG, "judge": JUDGING},
    "turn": {role: frozenset({role}) for role in ROLES},
}
TEMPERATURE = 0.7
SMALL = (
    "generation.max_turns=3",
    "generation.max_tokens_in_conversation=1700",
    "generation.max_tokens_per_turn=10",
    "generation.max_tokens_per_student_attempt=10",
    "generation.max_tokens_per_judge_attempt=120",
    "generation.number_student_attempts=2",
    "generation.number_initial_attempts=1",
    "generation.number_judge_attempts=2",
    "generation.judge_retries=1",
)
ROLLOUTS = 2


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineSet]:
    """Three servers; level-2 sleep really loses the tutor's weights."""
    base = tmp_path_factory.mktemp("residency")
    specs = [
        engine_spec(
            role,
            save_tiny_model(base / role, seed=seed),
            max_length=2048,
            updatable=role == "teacher",
            phases=frozenset({"judging"} if role == "judge" else {"turns"}),
            fault="nan_on_sleep",
        )
        for seed, role in enumerate(ROLES)
    ]
    with EngineSet(specs, EngineSettings(start_timeout_s=400), base / "run") as started:
        yield started


class Watched(EngineProvider):
    """An engine's provider that looks, at each request, which of the real servers are awake."""

    def __init__(self, role: str, engines: EngineSet, seen: set[tuple[str, frozenset[str]]]):
        super().__init__(engines.engines[role], engines.check, 300.0)
        self.role, self.engines, self.seen = role, engines, seen

    async def complete_tokens(
        self, prompt_ids: Sequence[int], sampling: Sampling, model: str | None = None
    ) -> Completion:
        self.seen.add((self.role, await asyncio.to_thread(awake, self.engines)))
        return await super().complete_tokens(prompt_ids, sampling, model)


def awake(engines: EngineSet) -> frozenset[str]:
    """What the servers themselves say."""
    controls = {name: engine.control for name, engine in engines.engines.items()}
    return frozenset(name for name, control in controls.items() if not control.is_sleeping())


def settings(engines: EngineSet, folder: Path, *more: str) -> TrainRLConfig:
    rule = folder / "rule.txt"
    rule.write_text("{{ problem }} {{ transcript }} Fine?")
    models = [
        f"{role}_model.{key}={value}"
        for role in ROLES
        for key, value in (
            ("model_name_or_path", engines.engines[role].spec.model),
            ("vllm.max_length", 2048),
            ("vllm.temperature", TEMPERATURE),
        )
    ]
    rules = f"+generation.judges_rules_prompts_paths.fine={rule}"
    return load_config(
        "config/train_rl", TrainRLConfig, "smollm2", [*models, *SMALL, rules, "seed=5", *more]
    )


async def hold(
    engines: EngineSet, cfg: TrainRLConfig, residency: str, versions: Sequence[tuple[Any, int]]
) -> tuple[list[ConversationRecord], set[tuple[str, frozenset[str]]]]:
    """A rollout after each publication of a tutor; what was said, and who was seen awake."""
    engines.settings.residency = residency
    _, manager = providers_of(engines)
    seen: set[tuple[str, frozenset[str]]] = set()
    providers = {role: ResidentProvider(Watched(role, engines, seen), manager) for role in ROLES}
    room = build_classroom(cfg, providers, evaluation=False, budget=Budget())
    problems = load_problems(cfg.dataset.train_datasets, seed=cfg.seed)[:3]
    records: list[ConversationRecord] = []
    for step, (tutor, version) in enumerate(versions):
        path = publish(tutor.state_dict().items(), engines.weights_folder, version)
        await asyncio.to_thread(manager.set_weights, "teacher", path, version)
        work = room.run(problems, samples=2, step=step, epoch=step)
        records += await asyncio.wait_for(manager.guarded(work), 200)
        if residency != "always":
            manager.rest()
            assert awake(engines) == frozenset()
    await room.close()
    return records, seen


def said(records: Sequence[ConversationRecord]) -> list[dict[str, Any]]:
    """Everything but logprobs, which differ in the last bits with the batch, and seconds."""
    rows = [record.model_dump(exclude={"timing"}) for record in records]
    for row in rows:
        row["trajectory"].pop("logprobs")
    return rows


async def test_each_residency_holds_the_same_conversations(
    engines: EngineSet, tmp_path: Path
) -> None:
    cfg = settings(engines, tmp_path)
    tutors = [transformers_model(engines, "teacher", moved_by=seed) for seed in (7, 8)]
    heard = {}
    for engine in engines.engines.values():
        engine.control.wake()
    for at, residency in enumerate(AWAKE):
        versions = [(tutor, 10 * at + i) for i, tutor in enumerate(tutors, 1)]
        records, seen = await hold(engines, cfg, residency, versions)
        assert {role for role, _ in seen} == set(ROLES)
        assert seen == {(role, names) for role, names in AWAKE[residency].items()}
        for record in records:  # slept weights, and those of the other rollout, were not used
            row = record.trajectory
            assert row is not None
            ids, first = [*row.prompt_ids, *row.completion_ids], len(row.prompt_ids) - 1
            expected = logprobs_by(tutors[record.step], ids, TEMPERATURE)[first:]
            sampled = [at for at, mask in enumerate(row.mask) if mask]
            assert sampled
            assert (
                gap([row.logprobs[at] for at in sampled], [expected[at] for at in sampled]) < 1e-3
            )
        heard[residency] = said(records)
        if residency == "always":
            for engine in engines.engines.values():
                engine.control.sleep(level=1)
    assert heard["turn"] == heard["phase"] == heard["always"]
    rows = heard["turn"]
    assert len(rows) == ROLLOUTS * 3 * 2
    decisions = {v["decision"] for row in rows for v in row["verdicts"]["fine"]}
    assert decisions & {"OK", "REJECT"}
    assert {row["type"] for row in rows} == {"guided", "attempted"}
    assert all(row["solutions"] for row in rows)


async def test_a_wake_without_new_weights_is_noticed(
    engines: EngineSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof that the test above can fail: what slept at level 2, before training, is gone.

    Without judges the tutor is awake to the end of a phase, so it is before training that it falls
    asleep; within a rollout it sleeps at level 1 and keeps its weights.
    """
    load = Residency._load
    tutor = transformers_model(engines, "teacher", moved_by=7)
    loaded = []

    def once(self: Residency, engine: str) -> None:
        loaded.append(engine)
        if len(loaded) == 1:
            load(self, engine)

    monkeypatch.setattr(Residency, "_load", once)
    engines.settings = replace(engines.settings, on_engine_death="stop")
    with pytest.raises(ProviderError, match="teacher"):
        cfg = settings(engines, tmp_path, "generation.number_judge_attempts=0")
        await hold(engines, cfg, "phase", [(tutor, 40), (tutor, 41)])
    assert len(loaded) >= 2
    assert "slept weights were used" in engines.engines["teacher"].log.read_text()
