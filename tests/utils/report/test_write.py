"""The report's data and page, without a browser; tests/utils/report/test_page.py opens it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.synthetic import record, records
from utils.records import Trajectory
from utils.report.conversations import body, choose, hidden_text, sampled_segments, token_texts
from utils.report.page import ASSETS, data_block
from utils.report.runs import labels, paper_points, path_in_plane, plane
from utils.report.write import find_runs, main, write_report
from utils.runs.read import Run, open_run
from utils.runs.record_writer import RecordWriter
from utils.thinking import TAGGED, visible_text


def run_of(folder: Path, count: int = 12, **settings: object) -> Run:
    config = settings.pop("config", {})
    return Run(folder=folder, name=folder.name, records=records(count, **settings), config=config)


def unpack(page: str) -> tuple[dict, list]:
    data = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))
    kinds = (re.findall(rf'class="data-{k}">(.*?)</script>', page) for k in ("talk", "solutions"))
    talk, solutions = (
        [row for c in chunks for row in json.loads(gzip.decompress(base64.b64decode(c)))]
        for chunks in kinds
    )
    return data, [a | b for a, b in zip(talk, solutions, strict=True)]


def test_page_holds_every_conversation_in_the_index_order(tmp_path: Path) -> None:
    run = run_of(tmp_path, 150)
    data, bodies = unpack(write_report([run], tmp_path / "r.html").read_text())
    assert len(bodies) == 150 == len(data["index"]["problem"]) == data["total"]
    assert [b["problem"] for b in bodies] == [r.problem for r in run.records]
    assert [len(b["after"]) for b in bodies] == [len(r.solutions) for r in run.records]
    assert data["index"]["problem"] == [r.problem_id for r in run.records]


def test_policy_names_exactly_our_script_and_style(tmp_path: Path) -> None:
    page = write_report([run_of(tmp_path)], tmp_path / "r.html").read_text()
    policy = re.search(r'Security-Policy" content="([^"]+)"', page).group(1)
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    assert len(scripts) == len(styles) == 1
    for text in (*scripts, *styles):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert "default-src 'none'" in policy


def test_page_asks_no_network_for_anything(tmp_path: Path) -> None:
    page = write_report([run_of(tmp_path)], tmp_path / "r.html").read_text()
    named = set(re.findall(r"""https?://[^\s"'<>]+""", page))
    assert named == {"http://www.w3.org/2000/svg", "http://www.w3.org/1998/Math/MathML"}
    # temml knows images, but takes none from a source that is not trusted (math.js)
    ours = page.replace((ASSETS / "temml.min.js").read_text(), "")
    assert len(ours) < len(page)
    assert not re.search(r"<(?:link|img|iframe|object|embed)\b|\ssrc=|@import|url\(", ours)


def test_data_block_cannot_be_left() -> None:
    value = {"a": "</script><script>alert(1)</script><!-- & \u2028"}
    block = data_block("data", value)
    assert block.count("<") == 2  # its own two tags
    assert json.loads(block[block.index(">") + 1 : block.rindex("<")]) == value


@pytest.mark.parametrize(
    ("content", "hidden"),
    [
        ("<think>plan</think>Say it.", "plan"),
        ("Hi <think>a <think>b</think> c</think> there", "a\nb\nc"),
        ("Hello <think>never closed, answer 42", "never closed, answer 42"),
        ("all of this</think> shown", "all of this"),
        ("no tags", ""),
    ],
)
def test_hidden_text_is_what_the_others_did_not_see(content: str, hidden: str) -> None:
    assert hidden_text(content, visible_text(content)) == hidden
    for line in hidden.splitlines():
        assert line not in TAGGED.hide(content)


@pytest.mark.parametrize(
    ("content", "visible", "hidden"),
    [
        ("[THINK]plan[/THINK]Hello", "Hello", "plan"),
        ("<|channel>plan<channel|>Hello", "Hello", "plan"),
        ("<my:plan>plan</my:plan>Hello", "Hello", "<my:plan>plan</my:plan>"),
        ("Hello <end_of_conversation>", "Hello", ""),
    ],
)
def test_hidden_text_in_any_format(content: str, visible: str, hidden: str) -> None:
    assert hidden_text(content, visible) == hidden


def test_segments_are_the_tutors_turns() -> None:
    row = Trajectory(
        prompt_ids=[9],
        completion_ids=[5, 6, 7, 8, 5],
        mask=[1, 1, 0, 0, 1],
        logprobs=[-0.5, -1.0, None, None, -2.0],
    )
    assert sampled_segments(row) == [([5, 6], [-0.5, -1.0]), ([5], [-2.0])]


def test_tokens_that_share_a_character_become_one() -> None:
    def decode(ids: object) -> str:
        return bytes(ids).decode("utf-8", "replace")  # type: ignore[call-overload]

    texts, values = token_texts("aé!".encode(), [-1.0, -2.0, -4.0, -8.0], decode)
    assert texts == ["a", "é", "!"]
    assert values == [-1.0, -6.0, -8.0]


def test_shading_only_where_turns_and_tokens_fit() -> None:
    conversation = record(3, tokens=True)
    tutor = [m for m in body(conversation, lambda ids: "x" * len(ids))["messages"] if "pieces" in m]
    assert len(tutor) == sum(m.role == "teacher" for m in conversation.messages)
    assert conversation.trajectory is not None
    conversation.trajectory.mask[0] = 0
    conversation.trajectory.mask[1] = 1
    shorter = conversation.model_copy(update={"messages": conversation.messages[-1:]})
    assert all("logprob" not in m for m in body(shorter)["messages"])


def test_choose_keeps_what_was_evaluated_and_says_how_many_there_are(tmp_path: Path) -> None:
    run = Run(
        folder=tmp_path,
        name="r",
        records=[*records(40, split="train"), *records(10, step=5, split="eval")],
    )
    chosen, total = choose([run], 20)
    assert total == 50 and len(chosen) == 20
    assert sum(r.split == "eval" for _, r in chosen) == 10
    assert chosen == choose([run], 20)[0]


def config(penalty: float, soft: bool = True, seed: int = 1) -> dict:
    return {
        "seed": seed,
        "generation": {
            "extra_penalty_for_rejected_judges": penalty,
            "ignore_rejected_judge": soft,
        },
    }


def test_labels_say_only_what_differs(tmp_path: Path) -> None:
    runs = [run_of(tmp_path, config=config(p, s)) for p, s in ((0.0, True), (0.75, False))]
    assert labels(runs) == ["soft, λ=0", "hard, λ=0.75"] or labels(runs) == [
        "λ=0, soft",
        "λ=0.75, hard",
    ]
    assert labels(runs[:1]) == [tmp_path.name]


def test_seeds_of_one_setting_are_one_point_with_an_interval() -> None:
    runs = [Run(folder=Path("x"), name=f"r{i}", config=config(0.0, seed=i)) for i in range(3)]
    runs.append(Run(folder=Path("x"), name="other", config=config(1.0)))
    values = [(0.1, 0.5), (0.2, 0.6), (0.3, 0.7), (0.9, 0.4)]
    described = [{"label": run.name, "metrics": _metrics(*v)} for run, v in zip(runs, values)]  # noqa: B905
    points = plane(runs, described)
    assert [p["runs"] for p in points] == [[0, 1, 2], [3]]
    mean, low, high = points[0]["leaked"]
    assert mean == pytest.approx(0.2)
    # Student's would be [-.048, .448]; what is a share stays one
    assert 0 <= low < 0.1 and 0.3 < high < 0.6
    assert points[0]["front"] == {"solve_after": 0, "delta": 0}
    assert "front" not in points[1]  # leaks more and solves less


def _metrics(leak: float, solve: float) -> dict:
    entry = {"low": None, "high": None, "n": 1, "se": None}
    return {
        "leaked": entry | {"mean": leak},
        "solve_after": entry | {"mean": solve},
        "delta": entry | {"mean": solve - 0.2},
    }


def test_path_in_plane_follows_the_steps() -> None:
    rows = [
        r
        for step in range(24)
        for r in records(12, step=step, split="train", leak=1.0 if step < 12 else 0.0)
    ]
    path = path_in_plane(rows)
    assert [step for step, _, _ in path] == list(range(1, 24, 2))
    assert path[0][1] == 1.0 and path[-1][1] == 0.0


def test_paper_points_are_shares_with_a_source() -> None:
    content = paper_points()
    assert "2505.15607" in content["source"]
    by_label = {p["label"]: p for p in content["points"]}
    assert by_label["Qwen2.5-7B-Instruct"] == {
        "label": "Qwen2.5-7B-Instruct", "delta": 0.113, "leaked": 0.293,
    }  # fmt: skip
    assert all(0 <= p["leaked"] <= 1 for p in content["points"])


def test_command_line_takes_a_run_or_a_folder_of_runs(tmp_path: Path, capsys) -> None:
    for name in ("a", "b"):
        writer = RecordWriter(tmp_path / name)
        for r in records(3, seed=len(name)):
            writer.add(r)
        writer.settle()
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "report.html")
    assert len(find_runs([tmp_path])) == 2
    assert main([str(tmp_path / "a")]) == 0
    assert (tmp_path / "a" / "report.html").exists()
    assert open_run(tmp_path / "a").name == "a"


def test_command_line_says_in_one_line_what_is_missing(tmp_path: Path, capsys) -> None:
    assert main([str(tmp_path / "nothing")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "nothing" in lines[0]
