"""Plans of shipped configs on machines that are not there: who is awake, what lies where."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.errors import ConfigError
from src.launch.arguments import parse
from src.memory_plan.parts import total
from src.vllm.server import GIB
from tests.src.memory_plan.planned import Planned, planned

__all__ = ["planned"]  # the fixture
ROOT = Path(__file__).resolve().parents[3]
SHIPPED = sorted(p.stem for p in (ROOT / "config/train_rl").glob("*.yaml"))
# batches too small for four ranks
ON_ONE = {"debug", "toy", "toy_gpu", "toy_hacking", "toy_think"}


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
