"""Measures the rates of the toy's two models: what the student solves, what the tutor does.

    python -m toy.measure [--student FOLDER] [--tutor FOLDER] [--samples 512] [--json FILE]

Sampled at temperature 1 with transformers on held-out problems.  The student's rates are per
state (a key of `toy.world.RATES`), after conversations of the kind it was made with; the tutor's
are shares of its turns, and of its conversations with a student who always answers right.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from random import Random
from typing import Any

from toy.problems import sums
from toy.world import RATES, Sum, heard, own_steps, prompt, reply, taught
from utils.seeding import keyed_rng
from utils.thinking import says_the_end, visible_text

HERE = Path(__file__).resolve().parent
STATES: dict[str, tuple[str, ...]] = {
    "vacuous": ("cheer", "close"),
    "ones": ("ones", "cheer"),
    "tens": ("tens", "cheer"),
    "both": ("ones", "tens"),
    "told": ("cheer", "tell"),
}
Chat = list[dict[str, str]]


class Sampler:
    """One checkpoint, answering many chats at once."""

    def __init__(self, folder: Path, seed: int) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._torch = torch
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        torch.manual_seed(seed)

    def answer(self, chats: list[Chat], max_tokens: int) -> list[str]:
        """One sampled answer to each chat, in order."""
        batch: Any = self._tokenizer.apply_chat_template(
            chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
        )
        with self._torch.inference_mode():
            out = self._model.generate(
                **batch, max_new_tokens=max_tokens, do_sample=True, temperature=1.0, top_k=0
            )
        new = out[:, batch["input_ids"].shape[1] :]
        return self._tokenizer.batch_decode(new, skip_special_tokens=True)


def is_right(problem: Sum, solution: str) -> bool:
    return rf"\boxed{{{problem.answer}}}" in solution


def student_rates(sampler: Sampler, samples: int) -> dict[str, float]:
    """Share of right solutions in each state; `samples` of each."""
    problems = (sums("test", 0) * (samples // 400 + 1))[:samples]
    rng = keyed_rng("toy", "measure")
    rates: dict[str, float] = {}
    for state in RATES:
        chats = [_student_chat(state, problem, rng) for problem in problems]
        answers = sampler.answer(chats, 32)
        right = [is_right(p, a) for p, a in zip(problems, answers, strict=True)]
        rates[state] = sum(right) / samples
    return rates


def _student_chat(state: str, problem: Sum, rng: Random) -> Chat:
    if state == "cold":
        bare = prompt("student_attempt", problem=problem.text)
        return [{"role": "user", "content": bare}]
    chat = [{"role": "system", "content": prompt("student", problem=problem.text)}]
    for kind in STATES[state]:
        turn = problem.hint(kind, rng)
        chat += [
            {"role": "user", "content": turn},
            {"role": "assistant", "content": reply(turn)},
        ]
    chat.pop()
    chat[-1]["content"] += f"\n\n{prompt('student_final')}"
    return chat


def tutor_rates(sampler: Sampler, samples: int, *, thinks: bool = False) -> dict[str, float]:
    """Shares of turns that tell, ask or cheer, of questions with the problem's digits, and of
    conversations that tell and that teach both steps; `samples` conversations."""
    problems = (sums("test", 1) * (samples // 400 + 1))[:samples]
    chats = [_tutor_chat(problem, thinks) for problem in problems]
    said: list[list[str]] = [[] for _ in problems]
    open_ = list(range(samples))
    for _ in range(3):
        answers = sampler.answer([chats[i] for i in open_], 48)
        for i, answer in zip(open_, answers, strict=True):
            said[i].append(visible_text(answer))
            chats[i] += [{"role": "assistant", "content": answer},
                         {"role": "user", "content": reply(said[i][-1])}]  # fmt: skip
        ended = {i for i, a in zip(open_, answers, strict=True) if says_the_end(a)}
        open_ = [i for i in open_ if i not in ended]
    return _tutor_shares(problems, said)


def _tutor_chat(problem: Sum, thinks: bool) -> Chat:
    values = {"problem": problem.text, "answer": problem.answer, "use_thinking": thinks}
    return [{"role": "system", "content": prompt("teacher", **values)}]


def _tutor_shares(problems: list[Sum], said: list[list[str]]) -> dict[str, float]:
    states = [heard([turn]) for turns in said for turn in turns]
    whole = [heard(turns) for turns in said]
    steps = [own_steps(p, turns) for p, turns in zip(problems, said, strict=True)]
    asks = sum(s in ("ones", "tens", "both") for s in states)
    return {
        "tells": states.count("told") / len(states),
        "asks": asks / len(states),
        "cheers": states.count("vacuous") / len(states),
        "own_digits": sum(map(len, steps)) / max(asks, 1),
        "conversations_told": whole.count("told") / len(whole),
        "conversations_taught": sum(map(taught, problems, said)) / len(whole),
        "solve_expected": sum(RATES[w] for w in whole) / len(whole),
        "turns": len(states) / len(whole),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Rates of the toy's two models.")
    parser.add_argument("--student", type=Path, default=HERE / "checkpoints" / "student")
    parser.add_argument("--tutor", type=Path, default=HERE / "checkpoints" / "tutor")
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found: dict[str, Any] = {
        "student": student_rates(Sampler(options.student, options.seed), options.samples),
        "tutor": tutor_rates(Sampler(options.tutor, options.seed), options.samples),
        "tutor_think": tutor_rates(
            Sampler(options.tutor, options.seed), options.samples, thinks=True
        ),
    }
    for name, rates in found.items():
        print(name, " ".join(f"{key}={value:.3f}" for key, value in rates.items()))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
