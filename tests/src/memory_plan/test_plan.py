"""Plans of shipped configs on machines that are not there, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.launch.arguments import parse
from src.launch.jobs import plan_jobs
from src.launch.plan import describe, print_plans, training_of
from src.memory_plan.parts import Plan, total
from src.memory_plan.plan import plan_memory, price, update_load
from src.vllm.server import GIB, Machine
from utils.settings.hydra_entry import load_config

ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(p.stem for p in (ROOT / "config/train_rl").glob("*.yaml"))
# batches too small for four ranks
ON_ONE = {"debug", "toy", "toy_gpu", "toy_hacking", "toy_think"}

Planned = Callable[..., tuple[Plan, str]]


@pytest.fixture
def planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Planned:
    def run(
        config: str, *argv: str, gpus: int = 4, memory: int = 80, ram: int = 512
    ) -> tuple[Plan, str]:
        machine = ("--gpus", str(gpus), "--gpu-memory", str(memory), "--ram", str(ram))
        typed = [*machine, "--config-name", config, f"logging.save_dir={tmp_path}", *argv]
        arguments = parse(["--plan", *typed], config_name="none")
        described = describe(arguments, Machine(cores=2))
        (job,), _ = plan_jobs(arguments, described.gpus, 1)
        print_plans([job], described)
        plan = plan_memory(job.settings, described, training_of(job, described))
        return plan, capsys.readouterr().out

    return run


@pytest.mark.parametrize("config", SHIPPED)
def test_every_shipped_config_fits_four_gpus(planned: Planned, config: str) -> None:
    one = ("--config_file", "config/deepspeed/1GPU.yaml") if config in ON_ONE else ()
    plan, said = planned(config, *one)
    assert plan.fits
    assert "training" in said and "KV cache of" in said


def test_adapters_fit_one_gpu_where_whole_weights_do_not(planned: Planned) -> None:
    assert planned("7b_lora_1gpu", gpus=1)[0].fits
    assert planned("small_lora_1gpu", gpus=1, memory=24)[0].fits
    with pytest.raises(ConfigError, match=r"^[\w.]+: GPU 0 would hold"):
        planned("7b_lora_1gpu", "teacher_model.lora.enable=false", gpus=1, memory=120)


@pytest.mark.parametrize(
    ("argv", "setting"),
    [
        (("engines.residency=always",), "engines.residency"),
        (
            ("student_model.vllm.gpu_memory_utilization=0.05",),
            "student_model.vllm.gpu_memory_utilization",
        ),
        (("train.per_device_train_batch_size=32",), "train.per_device_train_batch_size"),
        (("train.gradient_checkpointing=false",), "train.gradient_checkpointing"),
    ],
)
def test_what_is_proposed_would_fit(planned: Planned, argv: tuple[str, ...], setting: str) -> None:
    with pytest.raises(ConfigError) as refused:
        planned("7b", *argv)
    said = str(refused.value)
    assert said.startswith(f"{setting}: ") and "\n" not in said
    found = re.search(r"; (\S+)=(\S+) would fit \(", said)
    assert found is not None and found[1] == setting
    kept = [override for override in argv if not override.startswith(setting)]
    assert planned("7b", *kept, f"{setting}={found[2]}")[0].fits


@pytest.mark.parametrize(
    ("config", "machine", "argv", "first"),
    [
        ("7b", {"gpus": 1}, (), "teacher_model.vllm.number_of_gpus_per_instance: 4 GPUs are ask"),
        ("7b", {"gpus": 3}, (), "teacher_model.vllm.number_of_gpus_per_instance: 4 GPUs are ask"),
        (
            "7b",
            {"gpus": 4},
            ("judge_model.vllm.number_of_gpus_per_instance=3",),
            "judge_model.vllm.number_of_gpus_per_instance: 3 GPUs cannot share 40 attention heads",
        ),
        ("7b_lora_1gpu", {"gpus": 8, "memory": 28}, (), "engines.residency: the teacher engine's"),
    ],
)
def test_two_changes_are_proposed_where_one_is_not_enough(
    planned: Planned, config: str, machine: dict[str, int], argv: tuple[str, ...], first: str
) -> None:
    """All settings that are named, typed as they stand there, make it fit."""
    with pytest.raises(ConfigError) as refused:
        planned(config, *argv, **machine)
    said = str(refused.value)
    assert said.startswith(first) and "\n" not in said
    found = re.search(r"; ((?:\S+=\S+ )+)would fit \(", said)
    assert found is not None, said
    assert planned(config, *argv, *found[1].split(), **machine)[0].fits


def test_nothing_is_proposed_that_a_run_would_refuse(planned: Planned) -> None:
    """`train.overlap` needs engines that stay awake: to let them sleep is no way out."""
    with pytest.raises(ConfigError) as refused:
        planned("7b", "train.overlap=true", "engines.residency=always")
    assert "engines.residency=phase" not in str(refused.value)
    assert "engines.residency=turn" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"engines.residency": "turn"}, "speed only"),
        ({"engines.residency": "turn", "teacher_model.vllm.max_length": "2048"}, "what is learnt"),
        ({"teacher_model.lora.enable": "true"}, "train.learning_rate of ten times"),
    ],
)
def test_what_a_proposal_costs_is_said(changes: dict[str, str], says: str) -> None:
    assert says in price(changes)


def test_little_ram_is_enough_for_one_process(planned: Planned) -> None:
    with pytest.raises(
        ConfigError, match=r"^engines\.backend: .*=transformers would fit \(speed only"
    ):
        planned("toy", gpus=0, ram=4)
    assert planned("toy", "engines.backend=transformers", gpus=0, ram=4)[0].fits


def test_what_nothing_can_make_fit_says_so(planned: Planned) -> None:
    with pytest.raises(ConfigError, match=r"^\S+: .* smaller model or a larger machine$"):
        planned("7b", gpus=1, memory=16)


def test_who_is_awake_when(planned: Planned) -> None:
    """By residency: whose KV cache lies on a GPU in which phase."""

    def caches(config: str, *argv: str) -> dict[str, set[str]]:
        plan, _ = planned(config, *argv)
        return {
            phase.name: {i.what.split()[0] for i in phase.gpus[0] if i.what.endswith("KV cache")}
            for phase in plan.phases
        }

    both, judge = {"teacher", "student"}, {"judge"}
    assert caches("7b", "engines.residency=turn") == {
        "turns: tutor": {"teacher"}, "turns: student": {"student"}, "judging": judge,
        "solving": {"student"}, "training": set(),
    }  # fmt: skip
    assert caches("7b") == {
        "turns": both, "judging": judge, "solving": both, "training": set(),
    }  # fmt: skip
    room = "train.per_device_train_batch_size=1"
    small = [f"{r}_model.vllm.gpu_memory_utilization=0.15" for r in ("teacher", "student", "judge")]
    everyone = dict.fromkeys(("turns", "judging", "solving", "training"), both | judge)
    assert caches("7b", "engines.residency=always", room, *small) == everyone


def test_sizes_that_can_be_done_by_hand(planned: Planned) -> None:
    """7B, bf16, four GPUs: an engine takes its share, each GPU a fourth of the weights."""
    plan, _ = planned("7b")
    turns = {item.what: item.size for item in plan.phases[0].gpus[0]}
    assert turns["teacher weights"] == turns["trainer weights"] == 7_615_616_512 * 2 / 4
    engine = [size for what, size in turns.items() if what.startswith("teacher")]
    assert sum(engine) == pytest.approx(0.22 * 80 * GIB)
    training = {item.what: item.size for item in plan.phases[-1].gpus[0]}
    assert training["trainer moments"] == 7_615_616_512 / 4 * 2  # of 8 bits
    assert training["trainer master weights"] == 7_615_616_512 / 4 * 4
    asleep = {item.what: item.size for item in plan.phases[-1].ram if "asleep" in item.what}
    assert asleep["teacher asleep in RAM"] == 2 * 7_615_616_512 * 2  # pinned in powers of two
    assert len(asleep) == 3


def test_whole_weights_that_nobody_keeps_in_float32_are_float32(planned: Planned) -> None:
    """One process without DeepSpeed on a GPU: autocast computes with copies in bfloat16."""
    alone = (
        "train.use_deepspeed=false",
        "teacher_model.model_name_or_path=Qwen/Qwen2.5-1.5B-Instruct",
    )
    plan, _ = planned("7b_lora_1gpu", *alone, "teacher_model.lora.enable=false", gpus=1, memory=120)
    training = {item.what: item.size for item in plan.phases[-1].gpus[0]}
    parameters = training["trainer weights"] / 4
    assert training["trainer gradients"] == training["trainer moments"] / 2 == 4 * parameters
    assert training["trainer weights as computed with"] == 2 * parameters
    ram = [item.size for item in plan.phases[-1].ram if item.what == "teacher published weights"]
    assert ram == [2 * 4 * parameters]
    adapters, _ = planned("7b_lora_1gpu", *alone, gpus=1)
    of_adapters = {item.what: item.size for item in adapters.phases[-1].gpus[0]}
    assert of_adapters["trainer weights"] < 2.2 * parameters  # their base is frozen: bfloat16


@pytest.mark.parametrize(("gpus", "kept"), [(1, 1.0), (2, 3.0), (4, 5.0), (8, 7.0)])
def test_a_sleeping_engine_keeps_more_on_more_gpus(
    planned: Planned, gpus: int, kept: float
) -> None:
    """A CUDA context, and NCCL's buffers for each of those it shares its layers with."""
    names = ("teacher", "student", "judge")
    cut = [f"{name}_model.vllm.number_of_gpus_per_instance={gpus}" for name in names]
    model = "teacher_model.model_name_or_path=meta-llama/Llama-3.1-8B-Instruct"  # 32 heads
    ranks = ("--num_processes", "4")
    plan, _ = planned("7b", *cut, *([model] if gpus == 8 else []), *ranks, gpus=max(4, gpus),
                      memory=140, ram=1024)  # fmt: skip
    asleep = {i.what: i.size for i in plan.phases[-1].gpus[0] if i.what.endswith("asleep")}
    assert asleep == {f"{name} asleep": kept * GIB for name in names}


def test_adapters_need_copies_of_what_goes_into_their_layers(planned: Planned) -> None:
    """7B, rank 16, a row of 8,192 tokens on one H200: 22.8 GiB measured (docs/gpu.md)."""
    alone = ("--config_file", "config/deepspeed/1GPU.yaml", "teacher_model.lora.rank=16",
             "teacher_model.vllm.gpu_memory_utilization=0.3")  # fmt: skip
    plan, _ = planned("7b_lora_1gpu", *alone, gpus=1, memory=140)
    mine = [i.size for i in plan.phases[-1].gpus[0] if i.what.startswith("trainer")]
    assert sum(mine) / GIB == pytest.approx(22.85, rel=0.03)


def test_offloading_makes_room_while_conversations_are_held(planned: Planned) -> None:
    """ZeRO-3: everything with DeepSpeed's own Adam; without it not what the optimizer holds."""
    share = 7_615_616_512 / 4

    def turns(*argv: str) -> tuple[dict[str, float], dict[str, float]]:
        plan, _ = planned("7b", *argv)
        gpu = {i.what: i.size for i in plan.phases[0].gpus[0] if i.what.startswith("trainer")}
        ram: dict[str, float] = {}
        for item in plan.phases[0].ram:
            ram[item.what] = ram.get(item.what, 0.0) + item.size
        assert {"trainer weights", "trainer moments"} <= {i.what for i in plan.phases[-1].gpus[0]}
        kept = {i.what for i in plan.phases[-1].ram if i.what.startswith("trainer")}
        assert kept == {what for what in ram if what.startswith("trainer")}  # pinned once and all
        return gpu, ram

    offload, adam = "train.offload_during_rollouts=true", "train.optimizer=fused_adam"
    lies, _ = turns()
    stays, moved = turns(offload)
    assert lies.keys() - stays.keys() == {
        "trainer weights", "trainer gradients", "trainer gradient bucket",
    }  # fmt: skip
    assert moved["trainer weights"] == 4 * share * 2
    assert moved["trainer gradients"] == 4 * share * 4  # float32
    stays, moved = turns(offload, adam)
    assert stays.keys() == {"trainer KL reference", "trainer CUDA, NCCL"}
    assert moved["trainer moments"] == 4 * share * 8
    assert moved["trainer master weights"] == 4 * share * 4


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("train.use_deepspeed=false",), "needs DeepSpeed"),
        (("teacher_model.lora.enable=true",), "hardly any state"),
        (("--offload_param_device", "cpu"), "in RAM already"),
        (("engines.residency=always",), "no engine takes the room"),
    ],
)
def test_nothing_to_offload_is_said_at_once(
    planned: Planned, argv: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^train\.offload_during_rollouts: .*{words}"):
        planned("7b", "train.offload_during_rollouts=true", *argv)


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


def test_without_gpus_all_lies_in_ram(planned: Planned) -> None:
    plan, said = planned("smollm2", gpus=0)
    assert all(phase.gpus == [] for phase in plan.phases)
    assert total(plan.phases[-1].ram) > total(plan.phases[0].ram) > 0
    assert "GPU" not in said
    with pytest.raises(
        ConfigError, match=r"^student_model\.vllm\.cpu_kv_cache_gib: .* one whole request"
    ):
        planned("smollm2", "student_model.vllm.cpu_kv_cache_gib=0.01", gpus=0)
    with pytest.raises(ConfigError, match=r"^--gpus: describes a machine for --plan"):
        parse(["--gpus", "4"], config_name="none")
