"""The algorithm everyone starts from, written plainly: what ours is compared with.

All conversations take each turn together and wait for the slowest; judges are asked one round
after the other; every request renders and tokenises the whole conversation again; afterwards the
text is tokenised once more and the tutor's tokens are looked for in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from src.classroom import Classroom
from src.dialog.judges import ModelJudge
from src.dialog.solutions import graded
from src.dialog.views.participants import Participant, Renderer
from src.inference_providers.base import ChatMessage, Completion
from utils.data.problems import Problem
from utils.records import ConversationRecord, Message, Trajectory, VerdictRecord
from utils.rewards import is_rejected, rewards
from utils.seeding import keyed_seed
from utils.thinking import says_the_end, visible_text
from utils.verdicts.judging import parse_verdict
from utils.verdicts.transcript import render_transcript


@dataclass(slots=True)
class PlainConversation:
    problem: Problem
    sample: int
    turns: list[tuple[str, str]] = field(default_factory=list)  # (role, text)
    over: bool = False


class PlainClassroom:
    """Guided conversations with the settings, prompts and participants of one of our classrooms."""

    def __init__(self, room: Classroom) -> None:
        self.plan = room.plan
        self.requests = 0

    async def run(
        self, problems: Sequence[Problem], *, samples: Sequence[int] | int
    ) -> list[ConversationRecord]:
        """As `Classroom.run`."""
        if isinstance(samples, int):
            talks = [PlainConversation(p, s) for p in problems for s in range(samples)]
        else:
            talks = [PlainConversation(p, s) for p, s in zip(problems, samples, strict=True)]
        for turn in range(self.plan.settings.max_turns):
            role = ("teacher", "student")[turn % 2]
            talking = [talk for talk in talks if not talk.over]
            said = await asyncio.gather(*(self._turn(talk, role) for talk in talking))
            for talk, answer in zip(talking, said, strict=True):
                talk.turns.append((role, answer.text))
                talk.over = role == "teacher" and says_the_end(answer.text)
        verdicts = await self._judge(talks)
        count = self.plan.settings.number_student_attempts
        solved = await asyncio.gather(*(self._solve(t, i) for t in talks for i in range(count)))
        return [
            await self._record(talk, verdicts[n], solved[n * count : (n + 1) * count])
            for n, talk in enumerate(talks)
        ]

    def history(self, talk: PlainConversation, role: str) -> list[ChatMessage]:
        """The conversation as `role` sees it, in chat messages."""
        prompts = self.plan.prompts
        persona = min(prompts.personas)
        values = {"problem": talk.problem.text, "student_name": None}
        if role == "teacher":
            system = prompts.teacher.render(
                **values,
                answer=talk.problem.answer,
                student_persona=persona,
                use_thinking=False,
                force_thinking=False,
            )
        else:
            system = prompts.personas[persona].render(**values)
        messages: list[ChatMessage] = [{"role": "system", "content": system}]
        renderer = self.plan.participants.teacher.renderer
        if role == "teacher" and renderer is not None and renderer.needs_user_first:
            opening = prompts.tutor_opening.render(**values)
            messages.append({"role": "user", "content": opening})
        for speaker, text in talk.turns:
            own = speaker == role
            content = text if own else visible_text(text)
            messages.append({"role": "assistant" if own else "user", "content": content})
        return messages

    async def _ask(
        self, participant: Participant, messages: list[ChatMessage], limit: int, *key: object
    ) -> Completion:
        self.requests += 1
        assert participant.renderer is not None
        seed = keyed_seed(self.plan.seed, *key)
        sampling = participant.sampling(max_tokens=limit, seed=seed)
        return await participant.provider.complete_tokens(
            participant.renderer.prompt(messages), sampling
        )

    async def _turn(self, talk: PlainConversation, role: str) -> Completion:
        participant = getattr(self.plan.participants, role)
        key = (talk.problem.id, talk.sample, role, len(talk.turns))
        limit = self.plan.settings.max_tokens_per_turn
        return await self._ask(participant, self.history(talk, role), limit, *key)

    async def _solve(self, talk: PlainConversation, attempt: int) -> Completion:
        ask = self.plan.prompts.final.render(problem=talk.problem.text, student_name=None)
        messages: list[ChatMessage] = [
            *self.history(talk, "student"),
            {"role": "user", "content": ask},
        ]
        key = (talk.problem.id, talk.sample, "solution", attempt)
        limit = self.plan.settings.max_tokens_per_student_attempt
        return await self._ask(self.plan.participants.student, messages, limit, *key)

    async def _judge(
        self, talks: Sequence[PlainConversation]
    ) -> list[dict[str, list[VerdictRecord]]]:
        """Rule after rule, attempt after attempt; asked again where no verdict was found."""
        found: list[dict[str, list[VerdictRecord]]] = [{} for _ in talks]
        for judge in self.plan.participants.judges:
            if not isinstance(judge, ModelJudge):
                for n, talk in enumerate(talks):
                    found[n][judge.rule.name] = [self._match(judge, talk)]
                continue
            for attempt in range(judge.attempts):
                asked = list(range(len(talks)))
                for tried in range(1 + judge.retries):
                    key = (judge.rule.name, attempt, tried)
                    said = await asyncio.gather(
                        *(self._opinion(judge, talks[n], *key) for n in asked)
                    )
                    read = {n: parse_verdict(a.text) for n, a in zip(asked, said, strict=True)}
                    for n, verdict in read.items():
                        if verdict is not None:
                            record = VerdictRecord(decision=verdict.decision, attempts=tried + 1)
                            found[n].setdefault(judge.rule.name, []).append(record)
                    asked = [n for n, verdict in read.items() if verdict is None]
                for n in asked:
                    found[n].setdefault(judge.rule.name, []).append(VerdictRecord(decision=None))
        return found

    def _match(self, judge: object, talk: PlainConversation) -> VerdictRecord:
        turns = [(role, visible_text(text)) for role, text in talk.turns]
        verdict = judge.function(talk.problem.text, talk.problem.answer, turns)  # type: ignore[attr-defined]
        return VerdictRecord(decision=verdict.decision)

    async def _opinion(
        self, judge: ModelJudge, talk: PlainConversation, *key: object
    ) -> Completion:
        text = judge.prompt.render(
            problem=talk.problem.text,
            answer=talk.problem.answer if judge.rule.sees_answer else None,
            transcript=render_transcript(
                [(r, visible_text(t)) for r, t in talk.turns], escaped=False
            ),
        )
        messages: list[ChatMessage] = [{"role": "user", "content": text}]
        address = (talk.problem.id, talk.sample, *key)
        return await self._ask(judge.participant, messages, judge.max_tokens, *address)

    async def _record(
        self,
        talk: PlainConversation,
        verdicts: dict[str, list[VerdictRecord]],
        solved: Sequence[Completion],
    ) -> ConversationRecord:
        record = ConversationRecord(
            problem_id=talk.problem.id,
            sample=talk.sample,
            problem=talk.problem.text,
            answer=talk.problem.answer,
            messages=[
                Message.model_validate({"role": r, "content": t, "visible": visible_text(t)})
                for r, t in talk.turns
            ],
            stop_reason="tutor_ended" if talk.over else "max_turns",
            verdicts=verdicts,
        )
        if not is_rejected(verdicts, self.plan.rewards) or not self.plan.rewards.hard:
            record.solutions = await graded(talk.problem, solved)
        record.rewards = rewards(record, self.plan.rewards)
        renderer = self.plan.participants.teacher.renderer
        assert renderer is not None
        record.trajectory = retokenised(renderer, self.history(talk, "teacher"))
        return record


def retokenised(renderer: Renderer, messages: Sequence[ChatMessage]) -> Trajectory:
    """The whole text tokenised again, turn by turn; the tutor's tokens are what a turn added."""
    first = next(n for n, m in enumerate(messages) if m["role"] == "assistant")
    prompt = renderer.prompt(messages[:first])
    ids, mask = list(prompt), [0] * len(prompt)
    for n in range(first, len(messages)):
        if messages[n]["role"] == "assistant":
            opened = renderer.prompt(messages[:n])
            ids += opened[len(ids) :]
            mask += [0] * (len(opened) - len(mask))
            added = [*renderer.encode(messages[n]["content"]), renderer.stop_token_ids[0]]  # type: ignore[attr-defined]
            ids += added
            mask += [1] * len(added)
    done, own = ids[len(prompt) :], mask[len(prompt) :]
    return Trajectory(
        prompt_ids=prompt,
        completion_ids=done,
        mask=own,
        logprobs=[0.0 if m else None for m in own],
    )
