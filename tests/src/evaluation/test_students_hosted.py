"""Students by config over real HTTP: a model of its own, one held out, and all of them measured."""

from __future__ import annotations

import json
from pathlib import Path

from tests.fault_server import FaultServer
from tests.src.evaluation.hosted_runs import answer, command, finished, problems
from utils.records import check, load_run

__all__ = ["problems"]  # the fixture
PERSONA = "prompt_templates/students"


async def test_every_problem_meets_every_student_and_each_asks_its_own_model(
    problems: Path, tmp_path: Path
) -> None:
    async with (
        FaultServer(lambda number, body: answer(body)) as first,
        FaultServer(lambda number, body: answer(body)) as second,
    ):
        students = [
            f"+generation.students.shy={{persona: {PERSONA}/shy.txt, kind: archetype, "
            "check: utils.students.consistency:shy}",
            f"+generation.students.causes={{persona: {PERSONA}/causes.txt, kind: archetype, "
            f"held_out: true, model: {{base_url: '{second.base_url}', "
            "model_name_or_path: other}}",
            f"+generation.students.pusher={{persona: {PERSONA}/rapport.txt, kind: adversarial, "
            "rounds: 1, replies: utils.students.pressure:rapport}",
        ]
        arguments = command(first, problems, tmp_path, *students, "dataset.max_val_examples=4")
        arguments.append("eval.control=retry")
        code, out, err = await finished(arguments)
    assert code == 0, err
    records = load_run(tmp_path / "e")
    assert check(tmp_path / "e" / "conversations.jsonl") == []
    met = sorted((r.problem_id, r.student_persona) for r in records)
    assert len(met) == len(set(met)) == 4 * 3
    assert all((r.student_persona == "causes") == ("student-causes" in r.usage) for r in records)
    assert {body["model"] for body in second.requests} == {"other"}
    assert "causes" not in json.dumps(first.requests)
    found = json.loads((tmp_path / "e" / "metrics.json").read_text())["by"]["student"]
    assert list(found)[:3] == ["(overall)", "(in distribution)", "(held out)"]
    assert found["(held out)"]["turns"]["n"] == 4 and found["(overall)"]["turns"]["n"] == 12
    assert "by student" in out
    control = load_run(tmp_path / "e" / "control")
    assert sorted((r.problem_id, r.student_persona) for r in control) == met
    assert all((r.student_persona == "causes") == ("student-causes" in r.usage) for r in control)


async def test_students_are_measured_over_http_and_the_same_command_asks_nothing_twice(
    problems: Path, tmp_path: Path
) -> None:
    async with FaultServer(lambda number, body: answer(body)) as server:
        arguments = command(server, problems, tmp_path)
        arguments[2] = "--config-name=smollm2_students"
        more = [
            "generation.student_attempt_prompt_path=prompt_templates/student_attempt.txt",
            "dataset.max_val_examples=5",
            "eval.report=true",
        ]
        code, out, err = await finished([*arguments, *more])
        assert code == 0, err
        asked = len(server.requests)
    folder = tmp_path / "e"
    found = json.loads((folder / "students.json").read_text())
    assert list(found) == ["forgets_carry", "plain", "times_means_plus"]
    assert found["plain"]["conversations"] == 5 * 3
    assert found["plain"]["targeted"]["n"] == 5 and found["plain"]["cost"]["requests"] > 0
    assert "selectivity" in out and (folder / "report.html").stat().st_size > 50_000
    # nobody plays the tutor: it is not asked
    assert all("Never say the answer" not in json.dumps(body) for body in server.requests)
    assert asked
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["students"] == found and metrics["alarms"] == []
