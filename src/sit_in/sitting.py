"""Conversations with a person in one seat: the classroom runs them, the record keeps them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack

from config.errors import ConfigError
from config.post_tests import only_same
from config.schema import EvalConfig, ModelSettings, TutorSettings
from src.classroom import Classroom
from src.dialog.conversation import Conversation
from src.inference_providers.base import ChatMessage
from src.inference_providers.human import HUMAN, HumanProvider
from src.local_models import open_local_models
from src.setup import build_classroom, run_budget
from src.sit_in.seat import ROLE_OF, Left, Seat, Surface, wanted_in
from utils.answers.equality import last_boxed
from utils.data.problems import Problem
from utils.records import ConversationRecord, load_run
from utils.runs.folder import RunFolder
from utils.runs.record_writer import RecordWriter
from utils.thinking import END_TAG


def seat_a_person(cfg: EvalConfig, seat: Seat) -> None:
    """Settings in which a person has this seat, in place.  Raises ConfigError.

    A person solves the problem once, after the conversation; of a model's solutions there are as
    many as in an evaluation.
    """
    generation = cfg.generation
    if cfg.eval.task != "classroom":
        raise ConfigError(f"eval.task: {cfg.eval.task} has no classroom to sit in")
    if generation.problems_per_session > 1:
        raise ConfigError(
            "generation.problems_per_session: a person talks about one problem at a time; 1 here"
        )
    cfg.score_using_pedagogical_reward = False
    if seat == "student":
        if generation.peers:
            raise ConfigError("generation.peers: the student's model plays them; a person cannot")
        generation.number_student_attempts, generation.number_initial_attempts = 1, 0
        generation.solution_ending = ""
        only_same(generation)
        cfg.student_model = ModelSettings(model_name_or_path=HUMAN)
        return
    if cfg.recompute_initial_attempts and not generation.number_initial_attempts:
        generation.number_initial_attempts = generation.number_student_attempts
    cfg.teacher_model = TutorSettings(model_name_or_path=HUMAN)


class Sitting:
    """One person in one seat, for as many conversations as they like."""

    def __init__(
        self,
        cfg: EvalConfig,
        seat: Seat,
        problems: Sequence[Problem],
        folder: RunFolder,
        surface: Surface,
        stack: ExitStack,
    ) -> None:
        """`cfg` after `seat_a_person`; `stack` ends what is opened here."""
        self.seat, self.problems, self.folder, self.surface = seat, problems, folder, surface
        self.classroom = self._furnish(cfg, stack)
        self.classroom.on_move = self._follow
        self._writer = RecordWriter(folder.path)
        self._held = Counter(r.problem_id for r in load_run(folder.path))
        self._conversation: Conversation | None = None

    def _furnish(self, cfg: EvalConfig, stack: ExitStack) -> Classroom:
        role = ROLE_OF[self.seat]
        providers = open_local_models(cfg, self.folder.path, stack, without=[role]).providers
        return build_classroom(
            cfg,
            {**providers, role: HumanProvider(self._ask)},
            evaluation=True,
            budget=run_budget(cfg, self.folder.path),
        )

    async def run(self, first: Problem | None = None) -> None:
        """Hold conversations until the person leaves; `first` is the first one's problem."""
        chosen = first
        try:
            while True:
                chosen = chosen or await self.surface.choose(self.problems)
                await self.surface.show(await self.hold(chosen or self.draw()))
                chosen = None
        except Left:
            return
        finally:
            await self.classroom.close()

    def draw(self) -> Problem:
        """Any of the problems that were talked about least."""
        least = min(self._held[problem.id] for problem in self.problems)
        return random.choice([p for p in self.problems if self._held[p.id] == least])

    async def hold(self, problem: Problem) -> ConversationRecord:
        """One conversation about this problem, kept in the record."""
        [record] = await self.classroom.run(
            [problem],
            samples=[self._held[problem.id]],
            split="human",
            run=self.folder.name,
            on_finished=self._writer.add,
        )
        self._writer.settle()
        self._held[problem.id] += 1
        return record

    def _follow(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self.surface.follow(conversation)

    async def _ask(self, messages: Sequence[ChatMessage]) -> str:
        """What the person answers, in the words that the classroom goes by."""
        conversation = self._conversation
        assert conversation is not None  # nobody is asked before a conversation moves
        wanted = wanted_in(conversation)
        said = await self.surface.ask(wanted, conversation)
        if wanted == "solution":
            return boxed(said.text)
        if said.ends and self.seat == "student":
            conversation.stop_reason = "student_ended"  # a model's student has no such word
        return f"{said.text} {END_TAG}".strip() if said.ends and self.seat == "tutor" else said.text


def boxed(text: str) -> str:
    """A person's answer as the classroom reads one; nothing written is no answer."""
    answer = text.strip()
    return answer if not answer or last_boxed(answer) else f"\\boxed{{{answer}}}"
