"""The lines of libraries that docs/gpu.md rests our GPU-only code on still say what is meant."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gpu.md"
TITLE = "## Lines that only a GPU machine runs"
SAYS = {
    "vllm/platforms/cuda.py:231": '"CUDA_VISIBLE_DEVICES"',
    "vllm/config/model.py:621": "if self.enable_sleep_mode:",
    "vllm/config/model.py:1504": "total_num_attention_heads % tensor_parallel_size != 0",
    "vllm/model_executor/models/qwen2.py:144": "self.total_num_kv_heads % tp_size == 0",
    "vllm/v1/worker/utils.py:547": "init_snapshot.free_memory < requested_memory",
    "vllm/v1/worker/gpu_worker.py:652": "init_free_memory >= free_gpu_memory",
    "vllm/v1/worker/gpu_worker.py:276": "if level == 2:",
    "vllm/v1/worker/gpu_worker.py:302": "Memory usage increased after sleeping",
    "vllm/v1/worker/gpu_worker.py:309": "def wake_up(",
    "vllm/v1/worker/gpu_worker.py:566": "def reload_weights(",
    "vllm/v1/worker/gpu/model_runner.py:538": "def reload_weights(",
    "vllm/v1/engine/core_client.py:1297": "async def sleep_async(",
    "vllm/engine/arg_utils.py:2858": "device_memory >= 160 * GiB_bytes",
    "vllm/engine/arg_utils.py:2868": "device_memory >= 70 * GiB_bytes",
    "vllm/engine/arg_utils.py:2882": "UsageContext.OPENAI_API_SERVER: 2048",
    "deepspeed/runtime/engine.py:6035": "def offload_states(",
    "deepspeed/runtime/zero/stage3.py:3869": "fused_adam.FusedAdam",
    "deepspeed/ops/op_builder/fused_adam.py:11": "FusedAdamBuilder(CUDAOpBuilder)",
    "trl/kernels/chunked_logprob.py:359": "_forward_kernel[(n,)] if _use_triton(device)",
}


def test_the_table_names_these_lines() -> None:
    section = PAGE.read_text().partition(f"{TITLE}\n")[2].partition("\n## ")[0]
    assert set(re.findall(r"`((?:vllm|deepspeed|trl)/[\w/.]+:\d+)`", section)) == SAYS.keys()


@pytest.mark.parametrize("line", SAYS)
def test_a_line_says_what_is_meant(line: str) -> None:
    path, _, number = line.partition(":")
    package, _, inside = path.partition("/")
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    file = Path(found.submodule_search_locations[0]) / inside
    assert SAYS[line] in file.read_text().splitlines()[int(number) - 1]
