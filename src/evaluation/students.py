"""Measures students before they train anybody: one problem, three kinds of help, what is solved.

Each conversation is forked at one turn of the tutor: up to there every arm is the same; then the
tutor says a step of this problem (targeted), of another one (misaligned), or cheers (generic), and
the student solves the problem.  A student whom only the first helps can be taught; one whom all
help alike reacts to the form of a hint (HoldFast, SFS: arXiv 2605.12748).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from config.errors import ConfigError, RunError
from config.functions import call_function, is_function, load_function
from config.post_tests import only_same
from config.roles import TUTOR
from config.schema import EvalConfig
from src.background import Background
from src.classroom import Classroom
from src.dialog.conversation import Given
from src.evaluation.conversations import missing_pairs, run_pairs
from src.local_models import open_local_models
from src.setup import build_classroom, run_budget
from utils.data.problems import Problem
from utils.records import ConversationRecord, load_run
from utils.runs.folder import RunFolder
from utils.runs.record_writer import FORKS_FOLDER, RecordWriter
from utils.seeding import keyed_rng, keyed_seed
from utils.students.help import ARMS, Help, Kind, generic
from utils.students.roster import Roster

log = logging.getLogger(__name__)
Pair = tuple[Problem, int]
NO_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """What stands before the fork, and what the tutor went on with, where a tutor did."""

    teacher: Sequence[str] = ()
    student: Sequence[str] = ()
    next: str | None = None


def prepare_students(cfg: EvalConfig) -> None:
    """Settle what measuring students needs.  Raises ConfigError."""
    if cfg.eval.help != TUTOR and not is_function(cfg.eval.help):
        raise ConfigError(f"eval.help: {cfg.eval.help!r} is not {TUTOR} or module:function")
    if not cfg.generation.number_student_attempts:
        raise ConfigError("generation.number_student_attempts: 0 leaves nothing to measure")
    cfg.generation.number_judge_attempts = 0  # nobody's teaching is judged here
    cfg.generation.turn_rules = {}
    only_same(cfg.generation)
    if cfg.eval.control != "none":
        raise ConfigError("eval.control: none where students are measured (eval.task=students)")
    cfg.generation.max_turns = NO_LIMIT  # help is heard to its end
    cfg.generation.peers = {}
    cfg.score_using_pedagogical_reward = False


def measure_students(
    cfg: EvalConfig,
    problems: Sequence[Problem],
    folder: RunFolder,
    loop: Background,
    stack: ExitStack,
) -> None:
    """Hold what is missing: for each problem, student and sample one conversation of each arm."""
    others = others_of(problems, cfg.seed)
    roster = Roster.of(cfg.generation, cfg.seed)
    samples = cfg.num_samples_per_problem * len(ARMS) * roster.evaluated
    missing = missing_pairs(problems, samples, folder.path)
    if not missing:
        return
    helper = Helper(cfg, others)
    providers = open_local_models(cfg, folder.path, stack).providers
    budget = run_budget(cfg, folder.path)
    classroom = build_classroom(cfg, providers, evaluation=True, budget=budget)
    stack.callback(lambda: loop.run(classroom.close()))
    forks = _forks(cfg, classroom, problems, folder, loop)
    able, given = _planned(cfg, roster, helper, forks, missing)
    if len(able) < len(missing):
        log.warning(
            "%d of %d conversations cannot be forked: the tutor, or the one of the problem that "
            "misaligned help is taken from, ended before eval.fork_turn",
            len(missing) - len(able),
            len(missing),
        )
    if not able:
        raise RunError("eval.fork_turn: no conversation reaches it")
    run_pairs(classroom, able, loop, RecordWriter(folder.path), folder.name, given=given)


def others_of(problems: Sequence[Problem], seed: int) -> dict[str, Problem]:
    """For each problem the one that misaligned help is taken from: another text and answer.

    Problems stand in a random order, keyed by the seed; each takes the next one that differs.
    """
    order = list(problems)
    keyed_rng("misaligned", seed).shuffle(order)
    found: dict[str, Problem] = {}
    for place, problem in enumerate(order):
        following = (*order[place + 1 :], *order[:place])
        other = next((p for p in following if _differs(p, problem)), None)
        if other is None:
            raise ConfigError(
                "dataset.eval_datasets: misaligned help is taken from another problem, and no two "
                "have different answers"
            )
        found[problem.id] = other
    return found


def _differs(one: Problem, other: Problem) -> bool:
    return one.text != other.text and one.answer != other.answer


class Helper:
    """What the tutor says in each arm."""

    def __init__(self, cfg: EvalConfig, others: Mapping[str, Problem]) -> None:
        self.seed, self.others, self._source = cfg.seed, others, cfg.eval.help
        self._help: Help | None = None
        if cfg.eval.help != TUTOR:
            self._help = load_function(cfg.eval.help, "eval.help")

    def turns(
        self, arm: str, problem: Problem, sample: int, forks: Mapping[str, Fork]
    ) -> list[str] | None:
        """The tutor's turns from the fork on; None where a tutor had ended before it.

        `forks`: of this student, by problem.
        """
        seed = keyed_seed(self.seed, "help", sample)
        if self._help is None:
            if arm == "generic":
                return [generic(problem, seed)]
            found = forks.get(self._from(arm, problem).id)
            return [found.next] if found is not None and found.next is not None else None
        kind: Kind = "generic" if arm == "generic" else "step"
        turns = call_function(self._help, "eval.help", kind, self._from(arm, problem), seed)
        if not turns or not all(isinstance(turn, str) for turn in turns):
            raise RunError(f"eval.help: {self._source} gave {turns!r}, no turns")
        return list(turns)

    def _from(self, arm: str, problem: Problem) -> Problem:
        return self.others[problem.id] if arm == "misaligned" else problem


def _planned(
    cfg: EvalConfig,
    roster: Roster,
    helper: Helper,
    forks: Mapping[str, Mapping[str, Fork]],
    missing: Sequence[Pair],
) -> tuple[list[Pair], list[Given]]:
    """The conversations that can be held, and the words that each is given."""
    able: list[Pair] = []
    given: list[Given] = []
    for problem, sample in missing:
        arm = ARMS[sample // roster.evaluated % len(ARMS)]
        number = sample // roster.evaluated // len(ARMS)
        mine = forks.get(roster.of_sample(problem.id, sample, 0), {})
        fork = mine.get(problem.id, Fork())
        turns = helper.turns(arm, problem, number, mine)
        if len(fork.teacher) < cfg.eval.fork_turn or turns is None:
            continue
        able.append((problem, sample))
        given.append(Given(help=arm, teacher=(*fork.teacher, *turns), student=fork.student))
    return able, given


def _forks(
    cfg: EvalConfig,
    classroom: Classroom,
    problems: Sequence[Problem],
    folder: RunFolder,
    loop: Background,
) -> dict[str, dict[str, Fork]]:
    """{student: {problem: fork}}; the tutor's talk is held once, and kept beside the record."""
    if cfg.eval.help != TUTOR and not cfg.eval.fork_turn:
        return {}  # nothing stands before the fork but the student's own attempt
    path = folder.path / FORKS_FOLDER
    if pairs := missing_pairs(problems, classroom.roster.evaluated, path):
        run_pairs(_talking(cfg, classroom), pairs, loop, RecordWriter(path), folder.name)
    RecordWriter(path).settle()
    found: dict[str, dict[str, Fork]] = {}
    for record in load_run(path):
        found.setdefault(record.student_persona, {})[record.problem_id] = forked(
            record, cfg.eval.fork_turn
        )
    return found


def _talking(cfg: EvalConfig, classroom: Classroom) -> Classroom:
    """The same people, who only talk, as far as the turn after the fork."""
    plan = classroom.plan
    settings = replace(
        plan.settings,
        number_student_attempts=0,
        number_initial_attempts=0,
        max_turns=2 * cfg.eval.fork_turn + 2,
    )
    return Classroom(
        settings, plan.participants, plan.prompts, plan.rewards, seed=plan.seed, evaluation=True
    )


def forked(record: ConversationRecord, turn: int) -> Fork:
    """A conversation cut before the tutor's turn of this number, counted from 0."""
    heard = [m for m in record.messages if m.heard]
    teacher = [m.visible for m in heard if m.role == "teacher"]
    if len(teacher) <= turn:
        return Fork(teacher=teacher[:turn])
    before: list[str] = []
    spoken = 0
    for message in heard:
        spoken += message.role == "teacher"
        if spoken > turn:
            break
        if message.role == "student":
            before.append(message.content)
    return Fork(teacher=teacher[:turn], student=before, next=teacher[turn])
