"""Server command lines, read by vLLM's own argument parser."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.vllm.server import Machine, _visible_gpus, place_on_gpus, server_command
from src.vllm.spec import EngineSpec, plan_engines
from utils.settings.hydra_entry import load_config

EIGHT = Machine(gpus=tuple("01234567"), cores=8)


def spec(**changes: object) -> EngineSpec:
    values = {"name": "teacher", "model": "org/m", "setting": "teacher_model", **changes}
    values = {"roles": ("teacher",), **values}
    return EngineSpec(**values)


def command(machine: Machine, **changes: object) -> tuple[list[str], dict[str, str]]:
    return server_command(spec(**changes), machine, Path("/s/t.sock"), Path("/s"))


@pytest.fixture(scope="module")
def parser() -> argparse.ArgumentParser:
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    return make_arg_parser(FlexibleArgumentParser())


def test_cpu_command_is_what_vllm_understands(parser: argparse.ArgumentParser) -> None:
    argv, environment = command(Machine(cores=2), max_length=512, cpu_kv_cache_gib=0.5)
    read = parser.parse_args(argv[3:])
    assert (read.model, read.uds, read.served_model_name) == ("org/m", "/s/t.sock", ["teacher"])
    assert (read.max_model_len, read.kv_cache_memory_bytes) == (512, 2**29)
    assert read.generation_config == "vllm" and read.logprobs_mode == "processed_logprobs"
    assert read.distributed_executor_backend == "uni" and not read.enable_sleep_mode
    assert read.structured_outputs_config.disable_any_whitespace
    assert (read.enable_chunked_prefill, read.max_num_batched_tokens) == (False, 4096)
    assert read.block_size == 32
    assert environment["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in environment
    assert environment["TORCH_COMPILE_DISABLE"] == "1"


def test_blocks_are_the_user_s_to_choose(parser: argparse.ArgumentParser) -> None:
    argv, _ = command(Machine(cores=2), extra_args=(("block-size", "128"),))
    assert parser.parse_args(argv[3:]).block_size == 128
    assert parser.parse_args(command(EIGHT)[0][3:]).block_size is None  # a GPU's is vLLM's own


@pytest.mark.parametrize(
    ("tensor", "data", "from_0", "gpus", "instances"),
    [
        (2, -1, True, "0,1,2,3,4,5,6,7", 4),
        (2, 1, True, "0,1", 1),
        (2, 2, False, "4,5,6,7", 2),
        (4, 1, False, "4,5,6,7", 1),
        (1, 3, True, "0,1,2", 3),
        (8, -1, True, "0,1,2,3,4,5,6,7", 1),
    ],
)
def test_gpu_command_and_placement(
    parser: argparse.ArgumentParser, tensor: int, data: int, from_0: bool, gpus: str, instances: int
) -> None:
    argv, environment = command(
        EIGHT,
        tensor_parallel=tensor,
        data_parallel=data,
        from_0=from_0,
        quantization="fp8",
        kv_cache_memory_bytes=2**30,
        gpu_memory_utilization=0.325,
        revision="abc",
        lora_rank=20,
    )
    read = parser.parse_args(argv[3:])
    assert environment["CUDA_VISIBLE_DEVICES"] == gpus
    assert (read.tensor_parallel_size, read.data_parallel_size) == (tensor, instances)
    assert read.enable_sleep_mode and not read.enforce_eager
    assert (read.gpu_memory_utilization, read.kv_cache_memory_bytes) == (0.325, 2**30)
    assert (read.quantization, read.revision, read.max_lora_rank) == ("fp8", "abc", 32)
    assert environment.keys().isdisjoint(
        {"VLLM_ENABLE_V1_MULTIPROCESSING", "TORCH_COMPILE_DISABLE", "OMP_NUM_THREADS"}
    )


def test_engines_that_never_sleep_do_not_pay_for_sleep_mode(
    parser: argparse.ArgumentParser,
) -> None:
    argv, _ = command(EIGHT, sleeps=False, enforce_eager=True)
    read = parser.parse_args(argv[3:])
    assert not read.enable_sleep_mode and read.enforce_eager


def test_extra_arguments_win_and_may_ask_for_cpu_workers(parser: argparse.ArgumentParser) -> None:
    extra = (("max_num_seqs", "7"), ("--tensor-parallel-size", "2"), ("enable-log-requests", ""))
    argv, environment = command(Machine(cores=2), extra_args=extra)
    read = parser.parse_args(argv[3:])
    assert (read.max_num_seqs, read.tensor_parallel_size) == (7, 2) and read.enable_log_requests
    assert read.distributed_executor_backend is None
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in environment


@pytest.mark.parametrize(
    ("config", "count", "placed"),
    [
        ("7b", 4, {"teacher": "0,1,2,3", "student": "0,1,2,3", "judge": "0,1,2,3"}),
        ("7b_think", 4, {"teacher": "0,1,2,3", "student": "0,1,2,3", "judge": "0,1,2,3"}),
        ("7b", 8, dict.fromkeys(("teacher", "student", "judge"), "0,1,2,3,4,5,6,7")),
        ("7b_lora_1gpu", 1, {"teacher": "0", "student": "0", "judge": "0"}),
        ("small_lora_1gpu", 1, {"teacher": "0", "student": "0", "judge": "0"}),
        ("smollm2", 1, {"teacher": "0", "student": "0"}),
    ],
)
def test_shipped_engines_on_a_described_machine(
    parser: argparse.ArgumentParser,
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    count: int,
    placed: dict[str, str],
) -> None:
    """Each server as it would be started is one that vLLM's parser and engine arguments take."""
    from vllm.engine.arg_utils import AsyncEngineArgs

    # offline vLLM would look for the model's files at once
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    settings = load_config("config/train_rl", TrainRLConfig, config)
    machine = Machine(gpus=tuple(map(str, range(count))), cores=8)
    found = {}
    for spec in plan_engines(settings):
        argv, environment = server_command(spec, machine, Path("/s/t.sock"), Path("/s"))
        read = AsyncEngineArgs.from_cli_args(parser.parse_args(argv[3:]))
        found[spec.name] = environment["CUDA_VISIBLE_DEVICES"]
        wanted = getattr(settings, f"{spec.roles[0]}_model")
        assert (read.model, read.max_model_len) == (spec.model, wanted.vllm.max_length)
        assert read.gpu_memory_utilization == wanted.vllm.gpu_memory_utilization
        assert read.tensor_parallel_size == wanted.vllm.number_of_gpus_per_instance
        gpus = read.tensor_parallel_size * read.data_parallel_size
        assert gpus == len(found[spec.name].split(","))
        assert read.enable_sleep_mode == (settings.engines.residency != "always")
        assert bool(read.enable_lora) == (
            spec.name == "teacher" and settings.teacher_model.lora.enable
        )
    assert found == placed


def test_7b_shares_its_gpus_by_phases() -> None:
    settings = load_config("config/train_rl", TrainRLConfig, "7b")
    assert settings.engines.residency == "phase"
    assert [s.roles for s in plan_engines(settings)] == [("teacher",), ("student",), ("judge",)]


def test_too_few_gpus_name_the_setting() -> None:
    four = Machine(gpus=("0", "1", "2", "3"))
    with pytest.raises(ConfigError, match=r"^teacher_model\.vllm\.number_of_gpus_per_instance"):
        place_on_gpus(spec(tensor_parallel=8), four)
    with pytest.raises(ConfigError, match=r"^teacher_model\.vllm\.max_number_of_instances"):
        place_on_gpus(spec(tensor_parallel=2, data_parallel=3), four)


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^engines\.fault"):
        command(Machine(), fault="nonsense")


def test_visible_gpus_are_those_of_cuda_visible_devices() -> None:
    assert _visible_gpus({"CUDA_VISIBLE_DEVICES": "3, 1"}) == ("3", "1")
    assert _visible_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert _visible_gpus({"CUDA_VISIBLE_DEVICES": "-1"}) == ()
    assert place_on_gpus(spec(tensor_parallel=1, data_parallel=1), Machine(gpus=("3", "1"))) == (
        ("3",),
        1,
    )


WHOLE = "GPU {}: NVIDIA A100-SXM4-80GB (UUID: GPU-{}c)"
MIG = "  MIG 1g.10gb     Device  {}: (UUID: MIG-{}d)"


@pytest.mark.parametrize(
    ("listed", "seen"),
    [
        ([WHOLE.format(0, 0), WHOLE.format(1, 1)], ("0", "1")),
        ([WHOLE.format(0, 0), MIG.format(0, 5), MIG.format(1, 6), WHOLE.format(1, 1)], ("1",)),
        ([WHOLE.format(0, 0), MIG.format(0, 5), MIG.format(1, 6)], ("MIG-5d",)),
        ([], ()),
    ],
)
def test_a_gpu_that_is_cut_is_not_as_many_as_its_pieces(
    listed: list[str], seen: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in listed))
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert _visible_gpus({}) == seen


def test_an_engine_writes_its_log_below_trl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "ERROR")  # as TRL's import sets it
    assert command(Machine(cores=2))[1]["VLLM_LOGGING_LEVEL"] == "INFO"
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    assert command(Machine(cores=2))[1]["VLLM_LOGGING_LEVEL"] == "DEBUG"
