"""`generation.rewards` from the command line and from files: added, changed, taken away."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import TrainRLConfig, paper_rewards
from utils.settings.hydra_entry import load_config

PAPER = list(paper_rewards())


def rewards(*overrides: str, folder: Path | None = None, name: str = "toy") -> dict[str, tuple]:
    cfg = load_config(
        "config/train_rl", TrainRLConfig, name, list(overrides), config_dir=folder and str(folder)
    )
    return {n: (r.function, r.weight) for n, r in cfg.generation.rewards.items()}


def test_the_default_is_the_papers() -> None:
    assert rewards() == {
        "solve": ("utils.rewards:solve", 1.0),
        "pedagogy": ("utils.rewards:pedagogy", 1.0),
        "thinking": ("utils.rewards:thinking", 0.5),
        "end_of_conversation": ("utils.rewards:end_of_conversation", 0.1),
        "length": ("utils.rewards:length", 0.5),
    }


def test_one_line_adds_one_changes_one_or_takes_one_away() -> None:
    added = rewards("+generation.rewards.mine={function: 'my:polite', weight: 0.2}")
    assert list(added) == [*PAPER, "mine"] and added["mine"] == ("my:polite", 0.2)
    assert rewards("+generation.rewards.mine.function=my:polite")["mine"] == ("my:polite", 1.0)
    assert rewards("generation.rewards.thinking.weight=1")["thinking"][1] == 1.0
    without = [name for name in PAPER if name != "length"]
    assert list(rewards("generation.rewards.length.function=none")) == without
    assert list(rewards("~generation.rewards.length")) == without


def test_a_file_adds_one(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "defaults: [toy, _self_]\n"
        "generation:\n"
        "  rewards:\n"
        "    thinking: {weight: 1.0}\n"
        "    mine: {function: my:polite, weight: 0.2}\n"
    )
    found = rewards(folder=tmp_path, name="mine")
    assert found["mine"] == ("my:polite", 0.2)
    assert found["thinking"] == ("utils.rewards:thinking", 1.0)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("+generation.rewards.mine.weight=2", r"mine\.function: no value given"),
        ("+generation.rewards.mine.function=polite", r"mine\.function: 'polite' is not of the"),
        ("+generation.rewards.mine.wieght=2", r"mine\.wieght: no such key of a reward"),
        ("+generation.rewards.mine=3", r"mine: 3 is not of the form"),
        ("+generation.rewards.mine={function: 'a:b', weight: much}", r"mine\.weight: must be a n"),
        ("+generation.rewards.mine={function: 'a:b', weight: .inf}", r"mine\.weight: must be a "),
        ("+generation.rewards.mine={function: 3}", r"mine\.function: not a function's name: 3"),
        ("+generation.rewards.total.function=a:b", r"total: no name of a reward"),
        ("generation.rewards.mine.function=a:b", r"mine: a new entry of generation\.rewards is"),
        ("generation.reward_weights.solve=2", r"generation\.rewards\.<name>\.weight"),
    ],
)
def test_a_refusal_names_the_setting(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"generation\.reward.*{said}"):
        rewards(override)


def test_hard_needs_its_penalty() -> None:
    hard = "generation.ignore_rejected_judge=false"
    with pytest.raises(ConfigError, match=r"generation\.rewards\.pedagogy: needed"):
        rewards(hard, "generation.rewards.pedagogy.function=none")
