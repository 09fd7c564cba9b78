"""Writes a data set's other problems, for `generation.post_test=transfer`.

    python -m src.make_variants --config-name smollm2 --out data/variants.jsonl \\
        [--writer ROLE] [--student NAME] [KEY=VALUE ...]

Problems (`dataset.train_datasets`), models and engines are those of a config of train_rl.py.  The
writer (a role of it: teacher, judge, student) rewrites each problem and solves what it wrote
several times, blind; a variant is kept where `--agree` of these solutions have one answer, another
one than the problem's, and the student solves it about as often as the problem itself.  The written
file is a data set with the columns `transfer_problem` and `transfer_answer` (empty where no try was
good enough), and how each came about.  Stopped half-way, the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.progress import track

from config.errors import ConfigError, RunError
from config.roles import Role, roles_of
from config.schema import TrainRLConfig
from src.background import Background
from src.dialog.prompts import Prompts
from src.dialog.views.participants import Participant
from src.evaluation.measure_solve_rate import Asked, kept_rows, part_file, row_of, solve_rate
from src.inference_providers.base import GaveUp, Provider
from src.together import gather_or_cancel
from src.variants.make import Demands, Variant, Writer, make_variant
from utils.data.load import load_problems
from utils.data.problems import Problem
from utils.prompts import load_prompt
from utils.runs.logs import load_environment, redact, set_up_logging
from utils.settings.hydra_entry import load_config

log = logging.getLogger(__name__)
BATCH = 16  # problems at once; each is some dozens of requests
REWRITE, SOLVE = "prompt_templates/variants/rewrite.txt", "prompt_templates/variants/solve.txt"
REASON = "variant_refused"


class Maker:
    """Makes the variants of problems, with the models that do it."""

    def __init__(
        self,
        cfg: TrainRLConfig,
        writer: Participant,
        student: Participant,
        asked: Asked,
        *,
        samples: int,
        demands: Demands,
        rewrite: str = REWRITE,
    ) -> None:
        """`samples`: answers of the student to each problem.  Raises ConfigError for a prompt."""
        self.cfg, self.asked, self.samples, self.demands = cfg, asked, samples, demands
        self.models, self.student = (writer, student), student
        self.prompts = Prompts.load(cfg.generation)
        known = frozenset({"problem", "answer"})
        self.writer = Writer(
            participant=writer,
            rewrite=load_prompt(rewrite, setting="--rewrite", variables=known, needs=_PROBLEM),
            solve=load_prompt(SOLVE, setting="--writer", variables=_PROBLEM, needs=_PROBLEM),
            settings=cfg.generation,
            seed=cfg.seed,
        )

    async def rate(self, problem: Problem) -> float | None:
        """How often the student solves it alone; None where it could not be asked."""
        policy = self.asked.policy
        return await solve_rate(self.cfg, self.student, policy, self.prompts, problem, self.samples)

    async def row(self, problem: Problem) -> dict[str, Any] | None:
        """The problem's row; None where requests failed for good, to be asked for again."""
        known = await self.rate(problem)
        if known is None:
            return None
        try:
            found = await make_variant(problem, known, self.writer, self.rate, self.demands)
        except GaveUp as error:
            log.warning("%s: no variant made: %s", problem.id, error)
            return None
        if found is None:
            return None
        row = row_of(problem, known, self.samples, self.asked.policy.student.name)
        return row | columns_of(found, self.demands)

    async def rows(
        self, problems: Sequence[Problem], keep: Callable[[dict[str, Any]], None]
    ) -> None:
        """Those of a batch, each kept as soon as it is there."""

        async def one(problem: Problem) -> None:
            row = await self.row(problem)
            if row is not None:
                keep(row)

        await gather_or_cancel([one(problem) for problem in problems])

    def make(
        self, problems: Sequence[Problem], loop: Background, part: Path
    ) -> dict[str, dict[str, Any]]:
        """Rows by problem id; they are kept in `part` as they come, and taken from there."""
        found = kept_rows(part)
        missing = [problem for problem in problems if problem.id not in found]
        if len(missing) < len(problems):
            log.info("%d of %d problems are done already", len(found), len(problems))
        batches = [missing[i : i + BATCH] for i in range(0, len(missing), BATCH)]
        with part.open("a", encoding="utf-8") as file:

            def keep(row: dict[str, Any]) -> None:
                found[row["id"]] = row
                file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
                file.flush()

            for batch in track(batches, description="variants", transient=True):
                loop.run(self.rows(batch, keep))
                for model in self.models:
                    model.refuse_silence()
        return found


_PROBLEM = frozenset({"problem"})


def columns_of(found: Variant, demands: Demands) -> dict[str, Any]:
    """A variant's columns; how it came about beside it."""
    return {
        "transfer_problem": found.text,
        "transfer_answer": found.answer,
        "transfer_solve_rate": None if found.rate is None else round(found.rate, 6),
        "transfer_agreement": found.agreement,
        "transfer_solves": demands.solves,
        REASON: list(found.refused),
    }


def summary(rows: Mapping[str, Mapping[str, Any]], asked: int, out: Path) -> str:
    """What was kept, and why tries were refused, most frequent first."""
    kept = sum(bool(row["transfer_problem"]) for row in rows.values())
    refused = Counter(reason for row in rows.values() for reason in row[REASON])
    said = ", ".join(f"{count} {reason}" for reason, count in refused.most_common())
    lacking = f"; {asked - len(rows)} could not be asked about" if asked > len(rows) else ""
    return (
        f"{out}: {kept} of {asked} problems have a variant{lacking}; "
        f"tries refused: {said or 'none'}"
    )


def writing_role(cfg: TrainRLConfig, name: str | None) -> Role:
    """Who writes: a role of the run; the judge where there is one, else the tutor."""
    roles = roles_of(cfg)
    if name is None:
        return roles.get("judge", roles["teacher"])
    if name not in roles:
        raise ConfigError(f"--writer: {name} is none of {', '.join(roles)}")
    return roles[name]


def run(
    cfg: TrainRLConfig,
    out: Path,
    *,
    samples: int,
    demands: Demands,
    writer: str | None = None,
    student: str | None = None,
    rewrite: str = REWRITE,
) -> str:
    """Make the variants, write `out` whole, and say what came out."""
    from src.inference_providers.budget import Budget
    from src.inference_providers.hosted import hosted_provider
    from src.local_models import open_local_models
    from src.setup import build_participant

    asked, writes = Asked.of(cfg, student), writing_role(cfg, writer)
    problems = load_problems(
        cfg.dataset.train_datasets,
        seed=cfg.seed,
        limit=cfg.dataset.max_train_examples,
        bad_rows=cfg.dataset.bad_rows,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(cfg, out, samples, demands, writes, student, rewrite)
    with ExitStack() as stack:
        loop = stack.enter_context(Background())
        roles = {role.name: role for role in (writes, asked.role)}
        budget = Budget.from_settings(cfg.engines)
        local = [name for name, role in roles.items() if not role.hosted]
        folder = out.with_name(f"{out.name}.engines")
        found = dict(open_local_models(cfg, folder, stack, only=local).providers) if local else {}
        people = {}
        for name, role in roles.items():
            provider = found.get(name) or hosted_provider(
                role.model, cfg.engines, role=role.setting, budget=budget
            )
            stack.callback(_close, loop, provider)
            people[name] = build_participant(role, provider)
        maker = Maker(
            cfg, people[writes.name], people[asked.role.name], asked,
            samples=samples, demands=demands, rewrite=rewrite,
        )  # fmt: skip
        rows = maker.make(problems, loop, part)
    if not rows:
        raise RunError("no problem could be asked about")
    ordered = [rows[problem.id] for problem in problems if problem.id in rows]
    draft = out.with_name(out.name + ".tmp")
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in ordered)
    draft.write_text(text, encoding="utf-8")
    draft.replace(out)
    if len(ordered) == len(problems):
        part.unlink()  # else the same command asks again for what is missing
    return summary(rows, len(problems), out)


def part_of(
    cfg: TrainRLConfig,
    out: Path,
    samples: int,
    demands: Demands,
    writes: Role,
    student: str | None,
    rewrite: str,
) -> Path:
    """Where unfinished work is kept: another file if anything that matters differs."""
    # not the whole role: the order of its phases is another one in each process
    return part_file(
        cfg, out, samples, repr((student, writes.name, writes.model, demands, rewrite))
    )


def _close(loop: Background, provider: Provider) -> None:
    loop.run(provider.close())


def parser() -> argparse.ArgumentParser:
    """What may be typed."""
    default = Demands()
    made = argparse.ArgumentParser(prog="python -m src.make_variants", allow_abbrev=False)
    made.add_argument("--config-name", default="smollm2", help="of config/train_rl")
    made.add_argument("--out", required=True, type=Path, metavar="FILE", help="JSON Lines")
    made.add_argument("--writer", metavar="ROLE", help="teacher, judge, student; default: judge")
    made.add_argument("--student", metavar="NAME", help="one of generation.students")
    made.add_argument("--rewrite", default=REWRITE, metavar="FILE", help="prompt of the writer")
    made.add_argument("--samples", type=int, default=8, help="answers of the student")
    for name, kind, said in (
        ("tries", int, "rewritings of a problem"),
        ("solves", int, "blind solutions of each"),
        ("agree", float, "share of them that must have one answer"),
        ("near", float, "most that the student's solve rates may differ"),
        ("at-most", float, "highest solve rate of a variant"),
    ):
        value = getattr(default, name.replace("-", "_"))
        made.add_argument(f"--{name}", type=kind, default=value, help=f"{said} ({value})")
    made.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    given = parser().parse_args(arguments)
    load_environment()
    set_up_logging()
    try:
        for name in ("samples", "tries", "solves"):
            if getattr(given, name) < 1:
                raise ConfigError(f"--{name}: must be at least 1")
        for name in ("agree", "near", "at_most"):
            if not 0 <= getattr(given, name) <= 1:
                raise ConfigError(f"--{name.replace('_', '-')}: must lie between 0 and 1")
        demands = Demands(
            solves=given.solves, agree=given.agree, near=given.near, at_most=given.at_most,
            tries=given.tries,
        )  # fmt: skip
        cfg = load_config("config/train_rl", TrainRLConfig, given.config_name, given.overrides)
        print(run(
            cfg, given.out, samples=given.samples, demands=demands, writer=given.writer,
            student=given.student, rewrite=given.rewrite,
        ))  # fmt: skip
    except (ConfigError, RunError) as error:
        print(f"error: {redact(' '.join(str(error).split()))}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    return 0
