"""Roles, engines and rewards that fail: what is lost, what ends the batch, and what is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from config.errors import RunError
from config.schema import RewardEntry, paper_rewards
from src.inference_providers.base import Completion, GaveUp, ProviderError
from src.inference_providers.budget import BudgetReached
from src.inference_providers.scripted import Ask, Latency, ScriptedProvider
from tests.src.scripted_classroom import PROBLEMS, classroom, generation, run_all, says
from utils.records import ConversationRecord


def test_a_reward_that_fails_ends_the_run_with_its_setting() -> None:
    entries = paper_rewards() | {"mine": RewardEntry("tests.rules:no_reward", 1.0)}
    room = classroom(generation(rewards=entries), says("Go on."), says("Hm."))
    with pytest.raises(RunError, match=r"^generation\.rewards\.mine: its function raised"):
        run_all(room)


def test_a_solution_that_fails_for_good_leaves_no_other_running() -> None:
    """The conversation is lost; what its siblings would say is nobody's any more."""
    ended = []

    class Failing(ScriptedProvider):
        async def complete_tokens(self, prompt_ids: Any, sampling: Any) -> Completion:
            if sampling.priority != 2:  # a turn
                return await super().complete_tokens(prompt_ids, sampling)
            self.calls.append(Ask(text="", sampling=sampling))
            if len([ask for ask in self.calls if ask.sampling.priority == 2]) == 1:
                raise GaveUp("no")
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ended.append(1)
                raise
            raise AssertionError

    room = classroom(
        generation(number_student_attempts=3), says("Go on."), Failing(lambda _: "Hm.")
    )

    async def held() -> None:
        (record,) = await room.run(PROBLEMS[:1], samples=1)
        assert record.error == "no" and ended == [1, 1]

    asyncio.run(held())


def test_one_failed_conversation_is_left_out_and_the_others_stand() -> None:
    def answer(ask: Ask) -> str:
        if "What is 2" in ask.text:
            raise GaveUp("no luck")
        return "Go on."

    records = run_all(classroom(generation(), ScriptedProvider(answer), says("Yes.")))
    for record in records:
        failed = record.problem_id == "p2"
        assert (record.stop_reason == "error") is failed
        assert (record.error == "no luck") is failed
        assert (record.excluded == "error") is failed


def test_a_dead_engine_ends_the_batch() -> None:
    def answer(ask: Ask) -> str:
        raise ProviderError("engine teacher died")

    room = classroom(generation(), ScriptedProvider(answer), says("Yes."))
    with pytest.raises(ProviderError, match="engine teacher died"):
        run_all(room)


def test_at_a_cap_what_needs_no_more_requests_is_finished_and_nothing_new_begins() -> None:
    def answer(ask: Ask) -> str:
        if any(f"What is {i} " in ask.text for i in (2, 3)):
            raise BudgetReached("engines.max_requests: 9 requests are made")
        return "Go on."

    kept: list[ConversationRecord] = []
    teacher = ScriptedProvider(answer, latency=Latency(median_s=0.001, sigma=1.0))
    room = classroom(generation(max_concurrent_conversations=3), teacher, says("Yes."))
    with pytest.raises(BudgetReached, match="9 requests"):
        run_all(room, samples=1, on_finished=kept.append)
    assert {"p0", "p1"} <= {r.problem_id for r in kept} <= {"p0", "p1", "p4"}
    assert all(r.rewards for r in kept)


class Broken(ScriptedProvider):
    """An engine whose answers have lost, or spoilt, what the ledger needs."""

    def __init__(self, **spoilt: Any) -> None:
        super().__init__(lambda ask: "Go on.")
        self.spoilt = spoilt

    async def _reply(self, ask: Ask, prompt_tokens: int) -> Completion:
        return replace(await super()._reply(ask, prompt_tokens), **self.spoilt)


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({"token_ids": None}, "no token ids came back"),
        ({"logprobs": None}, "7 token ids came back with 0 logprobs"),
        ({"logprobs": (-1.0,)}, "7 token ids came back with 1 logprobs"),
        ({"logprobs": (float("nan"),) * 7}, "a logprob is no number"),
        ({"logprobs": (float("-inf"),) * 7}, "a logprob is no number"),
    ],
)
def test_a_tutor_whose_tokens_cannot_be_trained_on_ends_the_run(spoilt: Any, words: str) -> None:
    room = classroom(generation(), Broken(**spoilt), says("Yes."))
    with pytest.raises(ProviderError, match=words):
        run_all(room, PROBLEMS[:1])


@pytest.mark.parametrize("role", ["teacher", "student", "judge"])
def test_a_role_that_never_once_answers_ends_the_run_with_its_first_batch(role: str) -> None:
    def refuse(_: Ask) -> str:
        raise GaveUp("400, the request was refused: no")

    verdict = '{"reasoning": "fine", "decision": "OK"}'
    roles = {"teacher": says("Go on."), "student": says("Hm."), "judge": says(verdict)}
    roles[role] = ScriptedProvider(refuse, name="some/model")
    judged = {"does_not_leak_answer": "prompt_templates/judges/does_not_leak_answer.txt"}
    made = generation(judges_rules_prompts_paths=judged, rules_that_see_the_answer=[])
    held: list[ConversationRecord] = []
    with pytest.raises(ProviderError) as caught:
        run_all(classroom(made, **roles), on_finished=held.append)
    assert str(caught.value) == (
        f"{role}_model: some/model has never once answered; "
        "the last time: 400, the request was refused: no"
    )
    assert len(held) == 12, "what was held is recorded all the same"
