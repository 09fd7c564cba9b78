"""From a config and running engines to a classroom: who sits where, with which prompts."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from config.errors import ConfigError
from config.roles import Config, Role, roles_of
from config.schema import ModelSettings
from src.classroom import Classroom
from src.dialog.judges import build_judges, build_turn_judges, load_rules
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.dialog.views.participants import Participant
from src.embedded import resolve_model
from src.inference_providers.base import Provider
from src.inference_providers.budget import Budget
from src.inference_providers.hosted import hosted_provider
from src.inference_providers.scripted import ScriptedProvider
from src.models.reward_model import check_reward_model, load_scorer
from src.tokens.chat_template import ChatRenderer
from utils.rewards import RewardSettings
from utils.runs.record_writer import spending

log = logging.getLogger(__name__)
#: Where a conversation's tutor has its words given (src/evaluation/students.py), nobody is asked.
NOBODY = Participant(
    role="teacher", provider=ScriptedProvider(), context_length=1 << 30, temperature=0.0
)


def load_tokenizer(model: ModelSettings, setting: str) -> Any:
    """The tokenizer of a local model; `setting` is the key that names it, for errors."""
    from transformers import AutoTokenizer

    key = f"{setting}.model_name_or_path"
    path = resolve_model(model.model_name_or_path, setting=key)
    try:
        return AutoTokenizer.from_pretrained(
            path, revision=model.revision, trust_remote_code=model.trust_remote_code
        )
    except OSError as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(f"{key}: {model.model_name_or_path}: {reason}") from None


def more_stop_ids(model: ModelSettings, setting: str) -> list[int]:
    """End tokens that a model's generation defaults name beside its tokenizer's."""
    from transformers import GenerationConfig

    path = resolve_model(model.model_name_or_path, setting=f"{setting}.model_name_or_path")
    try:
        found = GenerationConfig.from_pretrained(
            path, revision=model.revision or "main"
        ).eos_token_id
    except OSError:
        return []  # the model ships none
    return [found] if isinstance(found, int) else list(found or [])


def build_renderer(role: Role, tokenizer: Any | None = None) -> ChatRenderer:
    """What renders a local model's prompts.  Raises ConfigError for a template that cannot."""
    return ChatRenderer(
        tokenizer or load_tokenizer(role.model, role.setting),
        model_name=f"{role.setting}.model_name_or_path",
        extra_stop_ids=more_stop_ids(role.model, role.setting),
    )


def build_participant(
    role: Role, provider: Provider, tokenizer: Any | None = None, *, templated: bool = True
) -> Participant:
    """A role's participant; a local model is spoken to in ids of its own chat template.

    Not `templated`: it is to continue plain texts, and needs no template.
    """
    model, renderer = role.model, None
    if provider.gives_tokens and templated:
        renderer = build_renderer(role, tokenizer)
        for note in renderer.notes:
            log.info("%s (%s): %s", role.name, model.model_name_or_path, note)
    return Participant(
        role=role.name,
        setting=role.setting,
        provider=provider,
        renderer=renderer,
        context_length=model.vllm.max_length,
        temperature=model.vllm.temperature,
        top_p=model.vllm.top_p,
        top_k=max(0, model.vllm.top_k),
    )


def check_classroom(cfg: Config, *, without: Collection[str] = ()) -> None:
    """See to texts, chat templates and keys, before anything slow begins.

    `without`: roles that somebody else plays.  Raises ConfigError.
    """
    check_texts(cfg)
    check_models(cfg, [role for role in roles_of(cfg).values() if role.name not in without])


def check_texts(cfg: Config) -> None:
    """Prompts, rules, rewards and the reward model's name.  Raises ConfigError."""
    load_rules(cfg.generation)
    RewardSettings.of(cfg.generation, cfg.reward_model)
    Prompts.load(cfg.generation)
    check_reward_model(cfg.reward_model)


def check_models(cfg: Config, roles: Iterable[Role]) -> None:
    """Addresses and keys of hosted models, chat templates of the others.  Raises ConfigError."""
    for role in roles:
        if role.hosted:
            hosted_provider(role.model, cfg.engines, role=role.setting)
        else:
            build_renderer(role)


def run_budget(cfg: Config, folder: Path) -> Budget:
    """The caps of a run on what hosted models cost, and what it has spent already."""
    budget = Budget.from_settings(cfg.engines)
    hosted = [name for name, role in roles_of(cfg).items() if role.hosted]
    for used in spending(folder) if hosted else ():
        for usage in (used[role] for role in hosted if role in used):
            budget.add(
                requests=usage.requests,
                tokens=usage.prompt_tokens + usage.completion_tokens,
                cost_usd=usage.cost_usd,
            )
    return budget


def build_classroom(
    cfg: Config,
    local: Mapping[str, Provider],
    *,
    evaluation: bool,
    budget: Budget,
    tokenizers: Mapping[str, Any] | None = None,
) -> Classroom:
    """A classroom on these providers (`local`: role -> provider; hosted roles are made here).

    `budget` is one for all hosted roles of the run.
    """
    participants = {}
    for name, role in roles_of(cfg).items():
        provider = (
            hosted_provider(role.model, cfg.engines, role=role.setting, budget=budget)
            if role.hosted
            else local[name]
        )
        participants[name] = build_participant(role, provider, (tokenizers or {}).get(name))
    playing = {name: p for name, p in participants.items() if name not in ("teacher", "judge")}
    return Classroom(
        cfg.generation,
        Participants(
            teacher=participants.get("teacher", NOBODY),
            student=playing.get("student", next(iter(playing.values()))),
            students=playing,
            judges=build_judges(cfg.generation, participants.get("judge")),
            turn_judges=build_turn_judges(cfg.generation, participants.get("judge")),
            scorer=load_scorer(cfg.reward_model),
        ),
        Prompts.load(cfg.generation),
        RewardSettings.of(cfg.generation, cfg.reward_model),
        seed=cfg.seed,
        evaluation=evaluation,
    )
