"""A run that took all its steps takes none when it goes on: killed at its end, or not uploaded."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path

import pytest

from tests.src.models.test_services import WRITER, Answer, Service
from tests.train_runs import model, python, run
from utils.runs.folder import read_metrics

__all__ = ["model"]  # the fixture


@pytest.fixture
def hub() -> Iterator[str]:
    """A hub that knows the token, and takes no file."""

    class TakesNothing(Answer):
        def do_GET(self) -> None:
            if self.path == "/api/whoami-v2":
                super().do_GET()
            else:  # no such model
                self.send_response(404)
                self.end_headers()

        def do_POST(self) -> None:
            self.send_response(403)
            self.end_headers()

    server: HTTPServer = Service(("127.0.0.1", 0), TakesNothing)
    server.asked, server.body = [], json.dumps(WRITER)  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def steps(folder: Path) -> list[int]:
    return [row["step"] for row in read_metrics(folder) if "loss" in row]


@pytest.mark.slow
def test_no_update_is_taken_twice(model: Path, tmp_path: Path, hub: str) -> None:
    folder = tmp_path / "run"
    settings = ("train.max_steps=2", "train.eval_steps=0", "generation.number_initial_attempts=0")
    upload = ("huggingface.push_to_hub=true", "huggingface.name=lab/tutor")
    reached = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_abcdefgh"}
    said = run(python(model, tmp_path, *settings, *upload), code=1, **reached)
    assert "error: huggingface.push_to_hub: lab/tutor: " in said and "Traceback" not in said
    for name in ("metrics.json", "report.html", "model/model.safetensors"):
        assert (folder / name).exists(), name
    assert not (folder / "finished").exists()
    record = (folder / "conversations.jsonl").read_bytes()
    assert steps(folder) == [1, 2]

    shutil.rmtree(folder / "model")  # as if it had been killed while it saved
    said = run(python(model, tmp_path, *settings))
    assert "step 3" not in said and "goes on from checkpoint of step 2" in said
    assert (folder / "finished").exists() and (folder / "model/model.safetensors").exists()
    assert (folder / "conversations.jsonl").read_bytes() == record
    assert steps(folder) == [1, 2]


def test_another_number_of_ranks_is_refused(model: Path, tmp_path: Path) -> None:
    """By the script too, which a launcher of one's own may have started."""
    checkpoint = tmp_path / "run" / "checkpoints" / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    for rank in range(2):
        (checkpoint / f"rng_state_{rank}.pth").touch()
    (checkpoint / "trainer_state.json").write_text("{}")
    said = run(python(model, tmp_path, "train.max_steps=2"), code=2)
    assert "error: --num_processes: " in said and "Traceback" not in said
