"""Messages of a few roles, and what a renderer makes of them as text."""

from __future__ import annotations

import re
from typing import Any

from src.tokens.chat_template import ChatRenderer
from tests.src.tokens import template_families as families

ROLES = {"s": "system", "u": "user", "a": "assistant"}


def messages(roles: str, texts: Any) -> list[Any]:
    return [{"role": ROLES[r], "content": t} for r, t in zip(roles, texts, strict=True)]


def dummies(n: int) -> list[str]:
    return [f"Zq{chr(97 + i)}Zq" for i in range(n)]


def rendered(renderer: ChatRenderer, roles: str, texts: list[str]) -> str:
    """What the template itself writes, with the texts put in where dummy words stood."""
    plain = renderer._template.render(list(zip(roles, dummies(len(roles)), strict=True)), True)
    return re.sub(r"Zq(.)Zq", lambda m: texts[ord(m[1]) - 97], plain) + renderer.family.prefill


CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
NAME = "student_model.model_name_or_path"


def made(template: str, **options: Any) -> ChatRenderer:
    return ChatRenderer(families.tokenizer(template), model_name=NAME, **options)


def text_of(renderer: ChatRenderer, ids: list[int]) -> str:
    return renderer.codec.decode(ids, keep_special=True)
