"""Each item's text, its stops and how answers are read, beside what MathTutorBench's own code does.

    MATHTUTORBENCH=CHECKOUT pytest tests/src/evaluation/test_benchmark_itself.py

Its code is run as it is, in a process of its own; the sets of the hub are rows of ours.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from src.evaluation.tutor_tasks import TASKS, tutor_items
from tests.src.evaluation.benchmark_checkout import GSM8K, SOCRATIC, STEPVERIFY, save_rows
from tests.src.evaluation.test_tutor_tasks import config

CHECKOUT = os.environ.get("MATHTUTORBENCH")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="MATHTUTORBENCH names no checkout of it")

ROWS = {"stepverify": STEPVERIFY, "main": GSM8K, "socratic": SOCRATIC[:1]}
ANSWERS = [
    "Final Answer: $1,200 ok", "it's 3.5 or -7.25.", "no idea", "Yes.", "I know 12,", "1.2.3", "",
    "Step 2 - it", "Final Answer: 5-3", "-.5", "How much is a score? And?", "Final Answer: none 7",
]  # fmt: skip
PROGRAM = """
import contextlib, io, json, os, sys, types, yaml
checkout, rows, answers, out = sys.argv[1], *map(json.loads, sys.argv[2:4]), sys.argv[4]
os.chdir(checkout)
sys.path.insert(0, checkout)
def module(name, **values):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(values)
pick = lambda path, name: "stepverify" if "stepverify" in path else name
module("datasets", load_dataset=lambda path, name, split: rows[pick(path, name)])
module("sklearn")
unused = dict.fromkeys(("accuracy_score", "f1_score", "precision_score", "recall_score"))
module("sklearn.metrics", **unused)
import tasks
from registry import TaskRegistry
from tasks.base import TaskConfig
found = {}
with contextlib.redirect_stdout(io.StringIO()):
    for file in sorted(os.listdir("configs")):
        config = TaskConfig(**yaml.safe_load(open(f"configs/{file}")))
        task = TaskRegistry.get_task(config.name)(config)
        examples = [dict(e, shots=config.few_shot_samples) for e in task.get_test_examples()]
        read = [task.parse_response(answer) for answer in answers]
        if config.name == "socratic_questioning":
            gold = task.format_ground_truth(examples[0])
            read = [task.compute_metrics([one], [gold])["bleu"] for one in read]
        found[config.name] = {"texts": [task.get_system_prompt(e) for e in examples],
                              "stops": config.stop, "read": read}
json.dump(found, open(out, "w"))
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    assert CHECKOUT is not None
    out = tmp_path_factory.mktemp("benchmark") / "found.json"
    given = [str(Path(CHECKOUT).resolve()), json.dumps(ROWS), json.dumps(ANSWERS), str(out)]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *given], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(out.read_text())
    return found


@pytest.mark.parametrize("task", list(TASKS))
def test_a_task_is_the_benchmarks(task: str, theirs: dict[str, Any], tmp_path: Path) -> None:
    assert CHECKOUT is not None
    kind = {"problem_solving": "main", "socratic_questioning": "socratic"}.get(task, "stepverify")
    hub = not TASKS[task].data.name_or_path.endswith(".json")
    data = save_rows(tmp_path / "rows.jsonl", ROWS[kind]) if hub else None
    items = tutor_items(config(task, checkout=Path(CHECKOUT), data=data))
    assert sorted(item.text or "" for item in items) == sorted(theirs[task]["texts"])
    assert all(list(item.stops) == theirs[task]["stops"] for item in items)
    if (read := items[0].read) is None:
        return
    for said, wanted in zip(ANSWERS, theirs[task]["read"], strict=True):
        solution = read(said)
        if task == "socratic_questioning":
            assert solution.score == pytest.approx(wanted), said
        elif task == "solution_correctness":
            assert solution.answer == ("wrong" if wanted else "correct"), said
        else:
            number = None if wanted is None else float(wanted)
            assert (None if solution.answer is None else float(solution.answer)) == number, said
