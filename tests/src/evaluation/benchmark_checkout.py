"""A folder that is laid out as a checkout of MathTutorBench, with texts and rows of our own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

DIALOG = [
    {
        "problem": f"What is {n} + 1?" if n else "",  # as 148 rows of the real file
        "topic": "sums",
        "reference_solution": f"Add one.\n {n + 1}" if n else "N/A",
        "dialog_history": [
            {"user": "Teacher", "text": "Tell me.", "dialog_act": ""},
            {"user": "Student", "text": "It is 9.", "dialog_act": ""},
            {"user": "Teacher", "text": f"How do you get 9 from {n}?", "dialog_act": ""},
        ],
    }
    for n in range(3)
]
STEPVERIFY = [
    {
        "problem": "Six boxes of 1,000 pens, less 2. How many?",
        "topic": "pens",
        "reference_solution": "6*1,000=6,000 pens\n6,000-2=5,998\n 5,998",
        "dialog_history": [
            {"user": "Teacher", "text": "Hi! How did you do it?"},
            {"user": "Student", "text": "I added 6 and 1,000."},
            {"user": "Teacher", "text": "Why?"},
        ],
        "student_incorrect_solution": ["6+1,000=1,006", "1,006-2=1,004", "1004"],
        "incorrect_index": 0,
        "student_correct_response": "I took 6*1,000 and then 2 off.",
    }
]
GSM8K = [{"question": "How much are two dozens?", "answer": "2*12 = 24\n#### 1,024"}]
SOCRATIC = [
    {
        "question": "How much are two dozens?",
        "answer": "How much is a dozen? ** It is <<12>>12.\nHow much are two? ** 24\n#### 24",
    },
    {"question": "No questions?", "answer": "None.\n#### 1"},
]
DATA = {"stepverify": STEPVERIFY, "gsm8k": GSM8K, "socratic": SOCRATIC}

_CONFIGS: dict[str, tuple[str, str, list[str]]] = {
    "problem_solving": ("{{ shots }}|{{question}}\nA:", "one shot\n", ["Question:"]),
    "socratic_questioning": ("{{ shots }}|{{question}}\nAsk:", "shot\n", ["Problem:", "\n"]),
    "solution_correctness": (
        "{{ shots }}|{{question}}\n{{dialog_history}}\nStudent: {{student_chat_solution}}\nA:",
        "shot\n",
        ["Q:"],
    ),
    "mistake_location": ("{{ shots }}|{{question}}\n{{student_solution}}\nA:", "shot\n", ["Q:"]),
    "mistake_correction": (
        "{{question}}\n{{dialog_history}}\nStudent: {{student_chat_solution}}\nTeacher: ",
        "",
        ["Problem:", "Student:"],
    ),
}
_TALK = "{}: {{{{question}}}}\n{{{{dialog_history}}}}\nTeacher (short): "
for _name in ("scaffolding_generation", "pedagogy_following"):
    for _hard in ("", "_hard"):
        stops = ["Student:", "\n\n", "Teacher:"]
        _CONFIGS[_name + _hard] = (_TALK.format(_name), "", stops)


def save_checkout(folder: Path) -> Path:
    """configs, datasets and the reward model's program, as in the benchmark."""
    (folder / "configs").mkdir(parents=True)
    (folder / "datasets").mkdir()
    (folder / "reward_model").mkdir()
    for number, (name, (prompt, shots, stops)) in enumerate(_CONFIGS.items()):
        content: dict[str, Any] = {"name": name, "system_prompt": prompt + "\n"}
        content |= {"few_shot_samples": shots, "stop": stops, "ground_truth_format": ""}
        (folder / "configs" / f"task{number}.yaml").write_text(yaml.safe_dump(content))
    for file in ("mathdial_bridge", "mathdial_bridge_hard"):
        (folder / "datasets" / f"{file}.json").write_text(json.dumps(DIALOG))
    program = 'import torch  # never run\n\nSYSTEM_PROMPT = ("Rate the turn. "\n    "Be fair.")\n'
    (folder / "reward_model" / "compute_scaffolding_score.py").write_text(program)
    return folder


def save_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
