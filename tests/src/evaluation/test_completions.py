"""A text continued without a chat template: its ids, its stops, and what a hosted model gets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from config.roles import Role
from config.schema import ModelSettings
from src.evaluation.completions import TextModel
from src.inference_providers.base import ChatMessage, Completion, GaveUp, Sampling
from src.inference_providers.http_requests import chat_body
from src.inference_providers.scripted import ScriptedProvider
from src.inference_providers.transformers_local import TransformersProvider, load_transformers
from src.vllm.client import request_body
from tests.tiny import save_tiny_model

TEXT = "Student: It is 9.\nTeacher: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("tiny"))


def role(name: str, **changes: Any) -> Role:
    model = ModelSettings(model_name_or_path=name, dtype="float32", **changes)
    model.vllm.temperature, model.vllm.max_length = 0.0, 512
    return Role(name="teacher", setting="teacher_model", model=model, phases=frozenset({"turns"}))


@pytest.fixture
async def local(folder: Path) -> AsyncIterator[TransformersProvider]:
    provider = load_transformers(role(str(folder)).model, device="cpu")
    yield provider
    await provider.close()


async def test_our_engine_gets_the_bare_text_and_stops_where_it_says_so(
    folder: Path, local: TransformersProvider
) -> None:
    from transformers import AutoTokenizer

    asked: list[tuple[list[int], Sampling]] = []
    plain = local.complete_tokens

    async def noted(ids: Sequence[int], sampling: Sampling) -> Completion:
        asked.append((list(ids), sampling))
        return await plain(ids, sampling)

    local.complete_tokens = noted  # type: ignore[method-assign]
    model = TextModel(role(str(folder)), local)
    whole = await model.continued(TEXT, [], max_tokens=60, seed=1)
    assert asked[0][0] == AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"]
    assert len(whole.text) > 8
    middle = next(c for c in whole.text[3:] if c.isascii() and c.isalnum())
    cut = await model.continued(TEXT, ["never said", middle], max_tokens=60, seed=1)
    assert cut.text == whole.text[: whole.text.index(middle)].strip()
    assert 0 < cut.completion_tokens < whole.completion_tokens, (
        "it stopped there, nothing was sampled after it"
    )
    assert asked[1][1].stop == ("never said", middle)


async def test_a_stop_of_one_row_does_not_end_its_neighbours(
    folder: Path, local: TransformersProvider
) -> None:
    model = TextModel(role(str(folder)), local)
    whole = await model.continued(TEXT, [], max_tokens=40, seed=1)
    stops = [[next(c for c in whole.text[3:] if c.isascii() and c.isalnum())], []]
    both = await asyncio.gather(
        *(model.continued(TEXT, stop, max_tokens=40, seed=1) for stop in stops)
    )
    assert both[0].completion_tokens < whole.completion_tokens and both[1] == whole


async def test_a_text_that_is_too_long_is_given_up(
    folder: Path, local: TransformersProvider
) -> None:
    model = TextModel(role(str(folder)), local)
    with pytest.raises(GaveUp, match="of 512 tokens"):
        await model.continued("x" * 3000, [], max_tokens=5, seed=1)


async def test_in_a_chat_the_text_is_one_message(folder: Path, local: TransformersProvider) -> None:
    from transformers import AutoTokenizer

    asked: list[list[int]] = []
    plain = local.complete_tokens

    async def noted(ids: Sequence[int], sampling: Sampling) -> Completion:
        asked.append(list(ids))
        return await plain(ids, sampling)

    local.complete_tokens = noted  # type: ignore[method-assign]
    model = TextModel(role(str(folder)), local, as_chat=True)
    await model.continued(TEXT, [], max_tokens=5, seed=1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    chats = [
        tokenizer.apply_chat_template(
            [{"role": who, "content": TEXT}], add_generation_prompt=True, return_dict=False
        )
        for who in ("system", "user")
    ]
    assert asked[0] in chats


@pytest.mark.parametrize(("gemini", "who"), [(False, "system"), (True, "user")])
async def test_a_hosted_model_gets_one_message(gemini: bool, who: str) -> None:
    provider = ScriptedProvider(lambda ask: " Why 9?\nStudent: Hm. ")
    provider.gives_tokens = False  # type: ignore[misc]
    hosted = role("m", use_gemini=gemini, use_openrouter=not gemini)
    answer = await TextModel(hosted, provider).continued(
        TEXT, ["Student:", "\n\n"], max_tokens=30, seed=1
    )
    assert answer.text == "Why 9?"
    [ask] = provider.calls
    assert ask.messages == ({"role": who, "content": TEXT},)
    assert ask.sampling.stop == ("Student:", "\n\n") and ask.sampling.temperature == 0.0


def test_stops_are_sent_where_there_are_any() -> None:
    messages: list[ChatMessage] = [{"role": "user", "content": "x"}]
    for stop in ((), ("Q:", "\n")):
        sampling = Sampling(temperature=0.0, max_tokens=5, stop=stop)
        bodies = [request_body("m", [1], sampling), chat_body("m", messages, sampling)]
        assert [body.get("stop") for body in bodies] == [list(stop) or None] * 2
