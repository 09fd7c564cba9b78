"""How many requests and tokens one update has, by role."""

from __future__ import annotations

from pathlib import Path

from config.schema import TrainRLConfig
from src.launch.arguments import parse
from src.launch.jobs import plan_jobs
from src.memory_plan.plan import update_load
from utils.settings.hydra_entry import load_config


def test_one_update_of_7b(tmp_path: Path) -> None:
    arguments = parse([f"logging.save_dir={tmp_path}"], config_name="7b")
    load = update_load(plan_jobs(arguments, 4, 1)[0][0].settings)
    assert load["tutor"].requests == 128 * 8
    assert load["judge"].requests == 128 * 2 * 2
    assert load["student's solutions"].requests == 128 * 8 + 16  # and opening attempts
    assert load["training"].tokens == 128 * 2 * 8192


def test_rules_of_turns_are_asked_at_every_turn() -> None:
    rule = "+generation.turn_rules.guides=prompt_templates/judges/turn_guides.txt"
    more = [rule, "+generation.turn_rules.leak=matcher", "generation.max_turns=12"]
    arguments = parse(["--config-name", "7b", "logging.save_dir=x", *more], config_name="none")
    load = update_load(plan_jobs(arguments, 4, 1)[0][0].settings)
    assert load["judge"].requests == 128 * (2 * 2 + 6)
    assert load["judge"].tokens == load["judge"].requests * 2048


def test_both_post_tests_are_solved_before_and_after() -> None:
    made = ["generation.number_initial_attempts=4", "generation.number_student_attempts=8"]

    def solutions(test: str) -> int:
        cfg = load_config(
            "config/train_rl", TrainRLConfig, "toy", [*made, f"generation.post_test={test}"]
        )
        return update_load(cfg)["student's solutions"].requests

    assert solutions("same") == solutions("transfer") == 64 * 8 + 8 * (4 + 1)
    assert solutions("both") == 64 * 16 + 8 * (8 + 1)


def test_a_session_has_talks_and_what_is_solved_between_them() -> None:
    cfg = load_config("config/train_rl", TrainRLConfig, "toy_sessions", [])
    load = update_load(cfg)
    assert load["tutor"].requests == 64 * 2 * 3 and load["tutor"].tokens == 64 * 2 * 3 * 24
    assert load["student's solutions"].requests == 64 * 4 * 4 + 8 * (2 * 4 + 1)
