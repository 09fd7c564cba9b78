"""The command line of one vLLM server, CPU or GPU: every flag we give vLLM stands in this file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config.errors import ConfigError
from src.vllm.spec import EngineSpec
from src.vllm.supervisor import REPOSITORY

EXTENSION = "src.vllm.worker_extension.PublishedWeights"
PREFILL_TOKENS = 4096  # at most so many in a step on a CPU, or one whole prompt
BLOCK = 32  # tokens of a KV block on a CPU: of vLLM's 128, short conversations never share one
SERVER = (sys.executable, "-m", "vllm.entrypoints.openai.api_server")
SEVERAL_WORKERS = {"tensor-parallel-size", "data-parallel-size", "distributed-executor-backend"}
FORGETFUL_WORKER = "src.vllm.faults.ForgetfulWorker"
FAULTS = ("nan_on_sleep",)
GIB = 1024**3


class CannotPlace(ConfigError):
    """An engine asks for GPUs that are not there, or that its model cannot be cut for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What an engine can be placed on; `gpus` are the ids that CUDA_VISIBLE_DEVICES takes."""

    gpus: tuple[str, ...] = ()
    cores: int = 1

    @property
    def has_gpus(self) -> bool:
        return bool(self.gpus)

    @classmethod
    def detect(cls) -> Machine:
        """This machine, without importing torch: visible GPUs, cores this process may use."""
        return cls(gpus=_visible_gpus(os.environ), cores=len(os.sched_getaffinity(0)))


def _visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return tuple(part.strip() for part in named.split(",") if part.strip() not in ("", "-1"))
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--list-gpus"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if listed.returncode != 0:
        return ()
    return _listed_gpus(listed.stdout)


def _listed_gpus(text: str) -> tuple[str, ...]:
    """The GPUs of `nvidia-smi --list-gpus`.  One that is cut into MIG instances is none, since its
    instances cannot work together; where there is no other, CUDA sees the first instance."""
    instances: dict[str, list[str]] = {}
    for line in text.splitlines():
        if gpu := re.match(r"GPU (\d+):", line):
            instances[gpu[1]] = []
        elif instance := re.match(r"\s+MIG .*\(UUID: +(MIG-[^)]+)\)", line):
            instances[max(instances, key=int)].append(instance[1])
    whole = tuple(gpu for gpu, cut in instances.items() if not cut)
    return whole or tuple(cut for found in instances.values() for cut in found)[:1]


def is_one_process(spec: EngineSpec, machine: Machine) -> bool:
    """Whether the engine has one worker, on a CPU, which needs no fresh interpreter."""
    names = {key.lstrip("-").replace("_", "-") for key, _ in spec.extra_args}
    return not machine.has_gpus and not names & SEVERAL_WORKERS


def server_command(
    spec: EngineSpec, machine: Machine, socket: Path, scratch: Path
) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of the server of `spec`, listening on `socket` and nowhere else.

    `spec.model` is already resolved.  `scratch` is a private folder for vLLM's own sockets and
    temporary files.  The environment holds only what is added to the parent's.  Raises
    ConfigError where the GPUs asked for are not there.
    """
    if spec.fault is not None and spec.fault not in FAULTS:
        raise ConfigError(f"engines.fault: {spec.fault!r} is none of {', '.join(FAULTS)}")
    flags: dict[str, str | None] = {
        "model": spec.model,
        "served-model-name": spec.name,
        "uds": str(socket),
        "worker-extension-cls": EXTENSION,
        # logprobs of the distribution that was sampled from, which importance sampling needs
        "logprobs-mode": "processed_logprobs",
        # otherwise the model's own top_k, top_p and penalties fill what a request leaves out
        "generation-config": "vllm",
        "dtype": spec.dtype,
        "max-model-len": str(spec.max_length),
        "max-num-seqs": str(spec.max_num_seqs),
        "scheduling-policy": "priority",
        "disable-uvicorn-access-log": None,
        # a judge's verdict leaves no tokens to white space
        "structured-outputs-config": '{"backend":"xgrammar","disable_any_whitespace":true}',
    }
    if spec.revision is not None:
        flags |= {"revision": spec.revision, "tokenizer-revision": spec.revision}
    if spec.quantization is not None:
        flags["quantization"] = spec.quantization
    if spec.trust_remote_code:
        flags["trust-remote-code"] = None
    if spec.lora_rank:
        flags |= {"enable-lora": None, "max-lora-rank": str(_vllm_rank(spec.lora_rank))}
    environment = _environment(scratch)
    place = _on_gpus if machine.has_gpus else _on_cpu
    place(spec, machine, flags, environment)
    flags.update({k.lstrip("-").replace("_", "-"): v or None for k, v in spec.extra_args})
    arguments = list(SERVER)
    for flag, value in flags.items():
        arguments += [f"--{flag}"] if value is None else [f"--{flag}", value]
    return arguments, environment


def _environment(scratch: Path) -> dict[str, str]:
    return {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(REPOSITORY), os.getenv("PYTHONPATH")])),
        "VLLM_SERVER_DEV_MODE": "1",  # sleep, wake, collective_rpc; hence the private socket
        "VLLM_HOST_IP": "127.0.0.1",
        "VLLM_LOOPBACK_IP": "127.0.0.1",
        # an engine is one node's: its workers meet on loopback, not where the host name leads
        "GLOO_SOCKET_IFNAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
        "VLLM_RPC_BASE_PATH": str(scratch),
        "TMPDIR": str(scratch),
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "86400",  # a closed idle connection is a lost request
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": _log_level(),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _log_level() -> str:
    """TRL sets ERROR for all processes below it, but an engine's log is to say what happened."""
    level = os.environ.get("VLLM_LOGGING_LEVEL", "INFO")
    return "INFO" if level == "ERROR" else level


def _on_cpu(
    spec: EngineSpec,
    machine: Machine,
    flags: dict[str, str | None],
    environment: dict[str, str],
) -> None:
    """One instance; more workers only where `extra_args` ask for them."""
    flags["enforce-eager"] = None  # compiling costs more at start than it saves here
    size = spec.kv_cache_memory_bytes or int(spec.cpu_kv_cache_gib * GIB)
    flags["kv-cache-memory-bytes"] = str(size)
    # a seeded request whose prompt is cut in two kills vLLM here: CPU generators know no offset
    flags |= {
        "no-enable-chunked-prefill": None,
        "block-size": str(BLOCK),
        "max-num-batched-tokens": str(max(spec.max_length, spec.max_num_seqs, PREFILL_TOKENS)),
    }
    if is_one_process(spec, machine):
        # the multi-process executor spins, and steals the cores from its neighbours
        flags["distributed-executor-backend"] = "uni"
        environment["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    # tutor, student, judge and trainer share the cores, and bound threads would fight for some
    threads = str(max(1, machine.cores // 4))
    # vLLM's sampler would be compiled at the first request, for 20 s and with a C++ compiler
    environment["TORCH_COMPILE_DISABLE"] = "1"
    environment |= {"OMP_NUM_THREADS": threads, "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    if spec.fault == "nan_on_sleep":
        flags["worker-cls"] = FORGETFUL_WORKER


def _on_gpus(
    spec: EngineSpec,
    machine: Machine,
    flags: dict[str, str | None],
    environment: dict[str, str],
) -> None:
    """The lines that only a GPU machine runs."""
    gpus, instances = place_on_gpus(spec, machine)
    environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    flags["tensor-parallel-size"] = str(spec.tensor_parallel)
    if instances > 1:
        flags["data-parallel-size"] = str(instances)
        flags["data-parallel-address"] = "127.0.0.1"
    flags["gpu-memory-utilization"] = str(spec.gpu_memory_utilization)
    if spec.kv_cache_memory_bytes is not None:
        flags["kv-cache-memory-bytes"] = str(spec.kv_cache_memory_bytes)
    if spec.enforce_eager:
        flags["enforce-eager"] = None
    if spec.sleeps:
        flags["enable-sleep-mode"] = None


def place_on_gpus(spec: EngineSpec, machine: Machine) -> tuple[tuple[str, ...], int]:
    """The GPUs of an engine and its number of instances, from the first GPU up or the last down."""
    setting = f"{spec.setting}.vllm"
    fitting = len(machine.gpus) // spec.tensor_parallel
    if fitting == 0:
        raise CannotPlace(
            f"{setting}.number_of_gpus_per_instance: {spec.tensor_parallel} GPUs are asked for,"
            f" there are {len(machine.gpus)}"
        )
    instances = fitting if spec.data_parallel < 1 else spec.data_parallel
    if instances > fitting:
        raise CannotPlace(
            f"{setting}.max_number_of_instances: {instances} instances of {spec.tensor_parallel}"
            f" GPUs do not fit on {len(machine.gpus)} GPUs"
        )
    count = instances * spec.tensor_parallel
    return (machine.gpus[:count] if spec.from_0 else machine.gpus[-count:]), instances


def _vllm_rank(rank: int) -> int:
    """The smallest --max-lora-rank of vLLM that holds `rank`."""
    sizes = (1, 8, 16, 32, 64, 128, 256, 320, 512)
    fitting = [size for size in sizes if size >= rank]
    if not fitting:
        raise ConfigError(f"teacher_model.lora.rank: {rank} is more than vLLM's {sizes[-1]}")
    return fitting[0]
