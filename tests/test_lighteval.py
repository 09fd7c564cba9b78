"""The documented LightEval command, read by LightEval itself up to the point where models load.

It needs the environment that requirements-lighteval.txt describes (.venv-lighteval, or the folder
that LIGHTEVAL_VENV names), which cannot be ours: other versions of vllm, numpy and transformers.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

REQUIREMENTS = ROOT / "requirements-lighteval.txt"
VENV = Path(os.environ.get("LIGHTEVAL_VENV", ROOT / ".venv-lighteval"))
STOP_BEFORE_THE_MODEL = """
import json, sys
from lighteval import pipeline
from lighteval.tasks.registry import Registry, taskinfo_selector

def show(self, *, tasks, model_config, pipeline_parameters, **_):
    names, shots = taskinfo_selector(tasks, Registry())
    config = model_config.model_dump(mode="json")
    print("READ", json.dumps([config, shots, pipeline_parameters.use_chat_template]))
    raise SystemExit(0)

pipeline.Pipeline.__init__ = show
from lighteval.__main__ import app
app(sys.argv[1:])
"""


def documented() -> list[str]:
    """The command's words, as the file's head gives them."""
    lines = [line.removeprefix("#") for line in REQUIREMENTS.read_text().splitlines()]
    text = "\n".join(lines).replace("\\\n", " ")
    [command] = re.findall(r"^\s+\S+/bin/(lighteval .*)$", text, re.M)
    return shlex.split(command)


def test_the_documented_command_is_the_papers() -> None:
    name, engine, model, tasks, flag = documented()
    assert (name, engine, flag) == ("lighteval", "vllm", "--use-chat-template")
    assert model.startswith("model_name=Qwen/Qwen2.5-7B-Instruct,gpu_memory_utilization=0.85,")
    assert tasks == "lighteval|math_500|0|0,helm|mmlu|5|0,lighteval|gsm8k|4|0"


@pytest.mark.slow  # torch and vllm of another environment are imported: half a minute
def test_lighteval_reads_the_documented_command() -> None:
    python = VENV / "bin" / "python"
    if not python.exists():
        pytest.skip(f"no LightEval here: {VENV} is not there ({REQUIREMENTS.name} tells how)")
    done = subprocess.run(
        [str(python), "-c", STOP_BEFORE_THE_MODEL, *documented()[1:]],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^READ (.*)$", done.stdout, re.M)
    assert found, done.stdout[-1000:] + done.stderr[-1000:]
    model, shots, chat = json.loads(found[1])
    assert model["model_name"] == "Qwen/Qwen2.5-7B-Instruct"
    assert (model["max_model_length"], model["dtype"]) == (8192, "bfloat16")
    sampling = model["generation_parameters"]
    wanted = (sampling["max_new_tokens"], sampling["temperature"], sampling["top_p"])
    assert wanted == (8192, 0.6, 0.95)
    assert shots["lighteval|math_500"] == [[0, False]] and shots["lighteval|gsm8k"] == [[4, False]]
    assert sum(name.startswith("helm|mmlu") for name in shots) == 57  # its subjects
    assert chat is True
