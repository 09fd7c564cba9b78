"""Settings of the models that take part: where each is served, how it is sampled and adapted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from config.limits import AtLeast1, CountOrAll, NotNegative, OneOf, Part, Positive, Range


@dataclass
class LoraSettings:
    """Low-rank adapters (peft.LoraConfig)."""

    enable: bool = False  # train adapters in place of all weights
    rank: AtLeast1 = 16  # of the two matrices of each adapter
    alpha: AtLeast1 = 32  # an adapter's output is multiplied by alpha / rank
    target_modules: str = "all-linear"  # which layers get one: a name of peft, or a pattern
    # share of an adapter's inputs that is dropped in training
    dropout: Annotated[float, Range("at least 0, below 1", lambda v: 0 <= v < 1)] = 0.01
    bias: Annotated[str, OneOf(("none", "all", "lora_only"))] = "none"  # biases trained too


@dataclass
class VllmSettings:
    """How one engine is served and sampled."""

    temperature: NotNegative = 1.0  # 0: the likeliest token each time
    # sample among so many likeliest tokens
    top_k: Annotated[int, Range("at least 1, or 0 or -1 for off", lambda v: v >= -1)] = 50
    top_p: Part = 1.0  # sample among the likeliest tokens of this share; 1: off
    max_length: AtLeast1 = 8192  # tokens of prompt and answer together
    max_num_seqs: AtLeast1 = 256  # requests that are computed at once
    gpu_memory_utilization: Part = 0.5  # share of each GPU that the engine may take
    number_of_gpus_per_instance: AtLeast1 = 4  # tensor parallel size
    max_number_of_instances: CountOrAll = -1  # data parallel size; -1: as many as the GPUs hold
    from_0: bool = True  # place the engine from GPU 0 upwards; false: from the last one down
    load_and_unload: bool = True  # sleep where the residency lets it; false: always awake
    enable_sleep_mode: bool = True  # vLLM's sleep mode; without it an engine cannot sleep
    enforce_eager: bool = False  # no CUDA graphs: a faster start, slower tokens
    # new
    kv_cache_memory_bytes: int | None = None  # fixed KV cache; skips vLLM's memory profiling
    cpu_kv_cache_gib: Positive = 1.0  # KV cache of a CPU engine
    extra_args: dict[str, str] = field(default_factory=dict)  # any other flag of vLLM's server


@dataclass
class ModelSettings:
    """A model that plays a role, and where it is served."""

    model_name_or_path: str = "???"  # a hub id, a folder, or embedded:NAME
    use_openrouter: bool = False  # asked at OpenRouter, with OPENROUTER_API_KEY
    use_gemini: bool = False  # asked at Google, with GEMINI_API_KEY
    vllm: VllmSettings = field(default_factory=VllmSettings)
    # new
    base_url: str | None = None  # any other OpenAI-compatible endpoint
    api_key_env: str | None = None  # the NAME of the environment variable that holds its key
    revision: str | None = None  # of the hub's repository: a branch, tag or commit
    dtype: str = "auto"  # of the engine's weights: auto, float32, bfloat16, float16
    quantization: str | None = None  # vLLM's --quantization
    trust_remote_code: bool = False  # run the code that a model's repository brings


@dataclass
class TutorSettings(ModelSettings):
    """The tutor's model, which may be trained by adapters."""

    lora: LoraSettings = field(default_factory=lambda: LoraSettings(dropout=0.0))


@dataclass
class RewardModelSettings:
    """Who says that a post-dialog solution is right."""

    model_name_or_path: str = "Answer"  # Answer (the problem's own), None, or a classifier
    vllm: VllmSettings = field(default_factory=VllmSettings)
