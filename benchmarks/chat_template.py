"""What it costs to render a 16-message conversation beyond encoding its words.

python -m benchmarks.chat_template
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

from src.tokens.chat_template import ChatRenderer
from tests.src.tokens.template_families import NAMES, family

WORDS = "Let us look at the first step again: what is 7 times 8, and why? " * 8


def microseconds(call: Callable[[], Any], number: int = 2000) -> float:
    return min(timeit.repeat(call, number=number, repeat=5)) / number * 1e6


def main() -> None:
    print("| family | prompt, us | same, first time of its texts, us | reply, us |")
    print("|---|---|---|---|")
    for name in ("qwen2_5", "llama3_1", "gemma3", "gptoss"):
        if name in NAMES:
            _, renderer = family(name)
            print(f"| {name} | {' | '.join(f'{t:.1f}' for t in times(renderer))} |")


def times(renderer: ChatRenderer) -> tuple[float, float, float]:
    roles = ("user", "assistant")
    messages: list[Any] = [{"role": "system", "content": WORDS}]
    messages += [{"role": roles[i % 2], "content": f"{i} {WORDS}"} for i in range(15)]
    said = [*renderer.encode(WORDS), renderer.stop_token_ids[0]]
    count = iter(range(10**9))

    def fresh() -> None:
        tag = next(count)
        renderer.prompt([{"role": m["role"], "content": f"{tag} {m['content']}"} for m in messages])

    return (
        microseconds(lambda: renderer.prompt(messages)),
        microseconds(fresh, number=20),
        microseconds(lambda: renderer.reply(WORDS, said)),
    )


if __name__ == "__main__":
    main()
