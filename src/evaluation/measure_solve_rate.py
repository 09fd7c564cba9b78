"""Measures how often the student solves each problem alone, and writes the set with that column.

    python -m src.measure_solve_rate --config-name smollm2 --out data/measured.jsonl \\
        [--student NAME] [KEY=VALUE ...]

Problems, student, prompts and engines are those of a config of train_rl.py (its
`dataset.train_datasets`); each problem is asked `--samples` times without a conversation.
`--student` is one of `generation.students`; without it `student_model` is asked.  The written file
is a data set with the column `solve_rate`, for `min_solve_rate` and `max_solve_rate`: a filter that
was made for another student does not carry over.  Stopped half-way, the same command goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from rich.progress import track

from config.errors import ConfigError, RunError
from config.post_tests import wants_transfer
from config.roles import Role, roles_of
from config.schema import TrainRLConfig
from config.students import Student
from src.background import Background
from src.dialog.prompts import Prompts
from src.dialog.pupil import bare_problem
from src.dialog.solutions import graded, solution_ending
from src.dialog.students import StudentPolicy, load_students
from src.dialog.views.open_view import open_view
from src.dialog.views.participants import Participant
from src.inference_providers.base import GaveUp
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.runs.logs import load_environment, redact, set_up_logging
from utils.seeding import keyed_seed
from utils.settings.hydra_entry import load_config

log = logging.getLogger(__name__)
BATCH = 64  # problems asked about at once
BARE = StudentPolicy(student=Student(name="", persona="", setting="student_model"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is measured: a student, and who plays it."""

    policy: StudentPolicy
    role: Role

    @classmethod
    def of(cls, cfg: TrainRLConfig, name: str | None) -> Asked:
        """Raises ConfigError where no student is called so."""
        students, roles = load_students(cfg.generation), roles_of(cfg)
        if name is None and "student" in roles:
            return cls(policy=BARE, role=roles["student"])
        if name not in students:
            wanted = "is needed: student_model plays nobody" if name is None else f"{name} is none"
            raise ConfigError(f"--student: {wanted}; there are {', '.join(students)}")
        policy = students[name]
        if policy.replies is not None:
            raise ConfigError(f"--student: {name} has a script; its model's rate would not be its")
        return cls(policy=policy, role=roles[policy.student.role])


async def solve_rate(
    cfg: TrainRLConfig,
    participant: Participant,
    policy: StudentPolicy,
    prompts: Prompts,
    problem: Problem,
    samples: int,
) -> float | None:
    """Share of right answers to the bare problem; None where the requests failed for good."""
    values = {"problem": problem.text, "student_name": None}
    try:
        answers = await open_view(participant, bare_problem(prompts, policy, values)).aside(
            None,
            n=samples,
            max_tokens=cfg.generation.max_tokens_per_student_attempt,
            seed=keyed_seed(cfg.seed, "measure", problem.id),
            ending=solution_ending(cfg.generation),
        )
    except GaveUp as error:
        log.warning("%s: not measured: %s", problem.id, error)
        return None
    solutions = await graded(problem, answers, participant.thinking)
    return fmean(solution.correct for solution in solutions)


def row_of(problem: Problem, rate: float, samples: int, student: str = "") -> dict[str, Any]:
    """The problem as a row of our own columns; `solve_student`, where one was named."""
    columns = {"id": problem.id, "problem": problem.text, "answer": problem.answer}
    measured = {"source": problem.source, "solve_rate": round(rate, 6), "solve_samples": samples}
    named = {"solve_student": student} if student else {}
    other = problem.transfer
    pair = {"transfer_problem": other.text, "transfer_answer": other.answer} if other else {}
    return {**problem.extra, **columns, **pair, **measured, **named}


def measure(
    cfg: TrainRLConfig,
    participant: Participant,
    loop: Background,
    problems: Sequence[Problem],
    *,
    samples: int,
    part: Path,
    policy: StudentPolicy = BARE,
) -> dict[str, dict[str, Any]]:
    """Rows by problem id; they are kept in `part` as they come, and taken from there."""
    prompts = Prompts.load(cfg.generation)
    rows = kept_rows(part)
    missing = [problem for problem in problems if problem.id not in rows]
    if len(missing) < len(problems):
        log.info("%d of %d problems are measured already", len(rows), len(problems))

    async def ask(batch: Sequence[Problem]) -> list[float | None]:
        return await asyncio.gather(
            *(solve_rate(cfg, participant, policy, prompts, p, samples) for p in batch)
        )

    batches = [missing[i : i + BATCH] for i in range(0, len(missing), BATCH)]
    with part.open("a", encoding="utf-8") as file:
        for batch in track(batches, description="measuring", transient=True):
            rates = loop.run(ask(batch))
            participant.refuse_silence()
            for problem, rate in zip(batch, rates, strict=True):
                if rate is not None:
                    rows[problem.id] = row_of(problem, rate, samples, policy.student.name)
                    file.write(json.dumps(rows[problem.id], ensure_ascii=False, default=str) + "\n")
            file.flush()
    return rows


def kept_rows(part: Path) -> dict[str, dict[str, Any]]:
    """Rows of an earlier start; the torn last line of a killed one is cut off."""
    if not part.exists():
        return {}
    whole = part.read_bytes()
    whole = whole[: whole.rfind(b"\n") + 1]
    part.write_bytes(whole)
    return {row["id"]: row for row in map(json.loads, whole.splitlines())}


def part_file(cfg: TrainRLConfig, out: Path, samples: int, student: str | None = None) -> Path:
    """Where an unfinished measurement is kept: another one if anything that matters differs."""
    settings = (cfg.student_model, cfg.generation, cfg.dataset, cfg.seed, samples, student)
    short = hashlib.blake2b(repr(settings).encode(), digest_size=4).hexdigest()
    return out.with_name(f"{out.name}.{short}.part")


def summary(rows: Mapping[str, Mapping[str, Any]], out: Path) -> str:
    rates = [row["solve_rate"] for row in rows.values()]
    between = sum(0 < rate < 1 for rate in rates)
    return (
        f"{out}: {len(rates)} problems, mean solve rate {fmean(rates):.3f}, "
        f"{between} neither always nor never solved"
    )


def run(cfg: TrainRLConfig, out: Path, samples: int, student: str | None = None) -> str:
    """Measure, write `out` whole, and say what came out."""
    from src.inference_providers.hosted import hosted_provider
    from src.local_models import open_local_models
    from src.setup import build_participant

    asked = Asked.of(cfg, student)
    problems = load_problems(
        cfg.dataset.train_datasets,
        seed=cfg.seed,
        limit=cfg.dataset.max_train_examples,
        bad_rows=cfg.dataset.bad_rows,
        transfer=wants_transfer(cfg.generation),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    part = part_file(cfg, out, samples, student)
    with ExitStack() as stack:
        loop = stack.enter_context(Background())
        role = asked.role
        if role.hosted:
            provider: Any = hosted_provider(role.model, cfg.engines, role=role.setting)
        else:
            folder = out.with_name(f"{out.name}.engines")
            local = open_local_models(cfg, folder, stack, only=[role.name])
            provider = local.providers[role.name]
        stack.callback(lambda: loop.run(provider.close()))
        participant = build_participant(role, provider)
        rows = measure(
            cfg,
            participant,
            loop,
            problems,
            samples=samples,
            part=part,
            policy=asked.policy,
        )
    if not rows:
        raise RunError("no problem could be measured")
    ordered = [rows[problem.id] for problem in problems if problem.id in rows]
    draft = out.with_name(out.name + ".tmp")
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in ordered)
    draft.write_text(text, encoding="utf-8")
    draft.replace(out)
    part.unlink()
    return summary(rows, out)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m src.measure_solve_rate", allow_abbrev=False)
    parser.add_argument("--config-name", default="smollm2", help="of config/train_rl")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON Lines")
    parser.add_argument("--samples", type=int, default=8, help="answers to each problem")
    parser.add_argument("--student", metavar="NAME", help="one of generation.students")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings")
    given = parser.parse_args(arguments)
    load_environment()
    set_up_logging()
    try:
        if given.samples < 1:
            raise ConfigError("--samples: must be at least 1")
        cfg = load_config("config/train_rl", TrainRLConfig, given.config_name, given.overrides)
        print(run(cfg, given.out, given.samples, given.student))
    except (ConfigError, RunError) as error:
        print(f"error: {redact(' '.join(str(error).split()))}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    return 0
