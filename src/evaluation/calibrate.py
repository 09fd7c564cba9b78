"""Measures a rule of an evaluation, with its model, against people's labels.

    python -m src.calibrate RULE --labels FILE [--config-name paper] [--most 200] [--out FOLDER]
        [KEY=VALUE ...]

RULE is a name in `generation.judges_rules_prompts_paths`; settings are those of eval.py, so the
judge is the one that an evaluation would have: its prompt, model, attempts and retries.  FILE and
FOLDER are those of `python -m utils.calibrate`, which measures functions and needs no settings.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from config.errors import ConfigError, RunError
from config.roles import roles_of
from config.schema import EvalConfig
from src.background import Background
from src.dialog.conversation import Conversation
from src.dialog.judges import Judge, build_judges, load_rules
from src.dialog.views.participants import Participant
from src.inference_providers.base import Provider
from src.together import gather_or_cancel
from utils.calibrate import show
from utils.data.problems import Problem
from utils.metrics.judges.calibration import Calibration, calibrate
from utils.records import Message, Usage, VerdictRecord
from utils.report.terminal import plain
from utils.runs.logs import load_environment, redact, set_up_logging
from utils.seeding import keyed_seed
from utils.settings.hydra_entry import load_config
from utils.verdicts.labels import Labelled, Labels, read_labels

AT_ONCE = 64  # turns in flight, where generation.max_concurrent_conversations says nothing


async def calibrate_rule(
    rule: str, judge: Judge, labels: Labels, *, seed: int, at_once: int
) -> Calibration:
    """Ask a judge about every labelled turn, each at the end of its conversation."""
    slots, used, begin = asyncio.Semaphore(at_once), Usage(), time.perf_counter()

    async def one(number: int, row: Labelled) -> list[VerdictRecord]:
        conversation = conversation_of(row, keyed_seed(seed, "calibrate", number))
        async with slots:
            verdicts = await judge.verdicts(conversation)
        _add(used, conversation.usage.get("judge", Usage()))
        return verdicts

    found = await gather_or_cancel([one(n, row) for n, row in enumerate(labels.rows)])
    if not any(verdict.decision for verdicts in found for verdict in verdicts):
        last = [verdict.raw for verdicts in found for verdict in verdicts][-1:]
        raise RunError(f"{rule}: no verdict on any of {len(found)} turns; it said: {plain(last)}")
    return calibrate(
        rule,
        labels.name,
        [
            (row, [verdict.decision for verdict in verdicts])
            for row, verdicts in zip(labels.rows, found, strict=True)
        ],
        left_out=dict(labels.left_out),
        usage=used,
        seconds=time.perf_counter() - begin,
    )


def conversation_of(row: Labelled, seed: int) -> Conversation:
    """The labelled turns as a finished conversation."""
    return Conversation(
        problem=Problem(id=row.conversation, text=row.problem, answer=row.answer),
        sample=0,
        seed=seed,
        type="guided",
        student_name=None,
        student_persona="",
        messages=[
            Message.model_validate({"role": role, "content": text, "visible": text})
            for role, text in row.turns
        ],
    )


def _add(total: Usage, more: Usage) -> None:
    total.requests += more.requests
    total.prompt_tokens += more.prompt_tokens
    total.completion_tokens += more.completion_tokens
    total.cost_usd += more.cost_usd


def run(cfg: EvalConfig, rule: str, labels: Labels) -> Calibration:
    """Start what the rule needs, ask, and stop it."""
    rules = load_rules(cfg.generation)
    if rule not in rules:
        raise ConfigError(
            f"{rule}: no rule of generation.judges_rules_prompts_paths; it has {', '.join(rules)}"
        )
    with ExitStack() as stack:
        loop = stack.enter_context(Background())
        participant = stack.enter_context(_judge_model(cfg, loop))
        judge = dict(zip(rules, build_judges(cfg.generation, participant), strict=True))[rule]
        at_once = cfg.generation.max_concurrent_conversations or AT_ONCE
        return loop.run(calibrate_rule(rule, judge, labels, seed=cfg.seed, at_once=at_once))


@contextmanager
def _judge_model(cfg: EvalConfig, loop: Background) -> Iterator[Participant | None]:
    """The participant that judges, None where no rule in force asks a model."""
    from src.inference_providers.budget import Budget
    from src.inference_providers.hosted import hosted_provider
    from src.local_models import open_local_models
    from src.setup import build_participant

    judge = roles_of(cfg).get("judge")
    if judge is None:
        yield None
        return
    with ExitStack() as stack:
        if judge.hosted:
            budget = Budget.from_settings(cfg.engines)
            provider: Provider = hosted_provider(
                judge.model, cfg.engines, role=judge.setting, budget=budget
            )
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "engines"
            local = open_local_models(cfg, folder, stack, only=[judge.name])
            provider = local.providers[judge.name]
        stack.callback(lambda: loop.run(provider.close()))
        yield build_participant(judge, provider)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m src.calibrate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("rule", metavar="RULE", help="its name in the settings")
    parser.add_argument("--labels", required=True, type=Path, metavar="FILE")
    parser.add_argument("--config-name", default="smollm2", help="of config/eval")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep calibration.json there")
    parser.add_argument("--most", type=int, help="labelled turns to ask about; a fixed sample")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings")
    given = parser.parse_intermixed_args(arguments)
    load_environment()
    set_up_logging()
    try:
        labels = read_labels(given.labels)
        if given.most is not None:
            if given.most < 1:
                raise ConfigError("--most: must be at least 1")
            labels = labels.sample(given.most)
        cfg = load_config("config/eval", EvalConfig, given.config_name, given.overrides)
        show(run(cfg, given.rule, labels), given.out)
    except (ConfigError, RunError) as error:
        print(f"error: {redact(' '.join(str(error).split()))}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    return 0
