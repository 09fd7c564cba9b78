"""What a rollout costs us as work grows: more conversations, longer ones, more tokens in each.

    python -m benchmarks.growth [--svg FILE]

CPU seconds of the classroom and its record with engines that answer at once; the slope is that of
the last doublings, on logarithmic axes: 1 is linear.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from config.schema import GenerationSettings, RewardModelSettings
from src.classroom import Classroom
from src.dialog.judges import build_judges
from src.dialog.lesson_plan import Participants
from src.dialog.prompts import Prompts
from src.dialog.views.participants import Participant
from src.inference_providers.base import ChatMessage, Completion, Sampling
from tests.fakes import ByteRenderer
from utils.data.problems import Problem
from utils.rewards import RewardSettings
from utils.runs.record_writer import RecordWriter

SVG = Path(__file__).resolve().parents[1] / "docs" / "growth.svg"
Sweep = tuple[str, Sequence[int], Callable[[int], float]]


class Instant:
    """An engine that says the same `tokens` letters at once."""

    gives_tokens = True
    name = "instant"

    def __init__(self, tokens: int) -> None:
        self.text = ("one step more " * math.ceil(tokens / 14))[:tokens]

    async def complete_tokens(self, prompt_ids: Sequence[int], sampling: Sampling) -> Completion:
        ids = (*self.text.encode(), *sampling.stop_token_ids[:1])
        return Completion(
            text=self.text,
            stop_reason="stop",
            token_ids=ids,
            logprobs=(-1.25,) * len(ids) if sampling.logprobs else None,
            prompt_tokens=len(prompt_ids),
            completion_tokens=len(ids),
        )

    async def complete_messages(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> Completion:
        raise NotImplementedError

    async def close(self) -> None:
        return None


def cpu_seconds(conversations: int = 64, turns: int = 6, tokens: int = 40) -> float:
    """CPU seconds of a whole rollout and its record; `tokens` is of each answer."""
    settings = GenerationSettings(
        forced_conversation_type="guided",
        judges_rules_prompts_paths={"does_not_leak_answer": "matcher"},
        max_turns=turns,
        max_tokens_in_conversation=10**6,
        max_tokens_per_turn=10**5,
        max_concurrent_conversations=64,
        number_student_attempts=2,
    )
    participants = {
        role: Participant(
            role=role,
            provider=Instant(tokens),
            context_length=10**6,
            temperature=1.0,
            renderer=ByteRenderer(),
        )
        for role in ("teacher", "student")
    }
    room = Classroom(
        settings,
        Participants(
            teacher=participants["teacher"],
            student=participants["student"],
            judges=build_judges(settings, None),
        ),
        Prompts.load(settings),
        RewardSettings.of(settings, RewardModelSettings()),
        seed=1,
    )
    problems = [
        Problem(id=f"p{n}", text="What is 3 + 4?", answer="7") for n in range(conversations)
    ]
    with tempfile.TemporaryDirectory() as folder:
        writer = RecordWriter(Path(folder))
        began = time.process_time()
        asyncio.run(room.run(problems, samples=1, on_finished=writer.add))
        writer.settle()
        return time.process_time() - began


SWEEPS: list[Sweep] = [
    ("conversations", [2**n for n in range(5, 13)], lambda n: cpu_seconds(conversations=n)),
    ("messages a conversation", [2, 4, 8, 16, 32], lambda n: cpu_seconds(turns=n)),
    (
        "tokens a conversation",
        [100, 250, 500, 1000, 2000, 4000, 8000],
        lambda n: cpu_seconds(conversations=16, turns=4, tokens=n // 4),
    ),
]


def slope(sizes: Sequence[int], costs: Sequence[float]) -> float:
    """The exponent between the third largest size and the largest."""
    return math.log(costs[-1] / costs[-3]) / math.log(sizes[-1] / sizes[-3])


def plot(found: Sequence[tuple[str, Sequence[int], Sequence[float]]], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams |= {"svg.hashsalt": "growth", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(found), figsize=(4 * len(found), 3.2))
    for panel, (name, sizes, costs) in zip(panels, found, strict=True):
        panel.loglog(sizes, costs, "o-", label=f"measured, slope {slope(sizes, costs):.2f}")
        linear = [costs[-1] * size / sizes[-1] for size in sizes]
        panel.loglog(sizes, linear, ":", color="gray", label="linear")
        panel.set(xlabel=name, ylabel="CPU seconds")
        panel.minorticks_off()
        panel.set_xticks(sizes[::2], [f"{size:,}" for size in sizes[::2]])
        panel.legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--svg", type=Path, default=SVG)
    options = parser.parse_args()
    cpu_seconds(conversations=8)  # what is done once, is done
    found = []
    for name, sizes, cost in SWEEPS:
        costs = [min(cost(size) for _ in range(2)) for size in sizes]
        found.append((name, sizes, costs))
        each = ", ".join(
            f"{size}: {seconds:.3f}" for size, seconds in zip(sizes, costs, strict=True)
        )
        print(f"{name}: slope {slope(sizes, costs):.2f}; seconds: {each}", flush=True)
    plot(found, options.svg)
    print(f"plot: {options.svg}")


if __name__ == "__main__":
    main()
