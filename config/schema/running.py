"""Settings of how a run is kept and computed: its folder, trackers, hub and engines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from config.limits import AtLeast0, AtLeast1, NotNegative, OneOf, Positive


@dataclass
class HuggingFaceSettings:
    """The trained model on the hub."""

    name: str | None = None  # the repository: owner/name
    push_to_hub: bool = False  # upload the model when training ends
    private: bool = True  # new; whether a new repository is private


@dataclass
class LoggingSettings:
    """Where a run is kept, and who is told of its numbers."""

    wandb: bool = False  # Weights & Biases; the same as one more of trackers
    wandb_project: str = "tutor-rl"  # the trackers' project
    wandb_run_name: str | None = None  # null: run_name
    wandb_entity: str | None = None  # the team that the project is of
    run_group: str | None = None  # W&B's group of runs
    wandb_tags: list[str] = field(default_factory=list)  # W&B's tags of the run
    save_dir: str = "runs"  # each run is a folder in it
    save_steps: AtLeast1 = 10  # optimizer steps; rounded up to a generation boundary
    # new
    save_total_limit: AtLeast1 = 2  # newest checkpoints that are kept
    trackers: list[Annotated[str, OneOf(("wandb", "trackio", "tensorboard"))]] = field(
        default_factory=list
    )  # who is told of the numbers
    wandb_offline: bool = False  # its files stay in the run folder; `wandb sync` sends them later


@dataclass
class EngineSettings:
    """Engines of all local roles (new)."""

    # transformers: in this process, for machines without vLLM
    backend: Annotated[str, OneOf(("vllm", "transformers"))] = "vllm"
    # which engines are awake together: that of the turn, those of the phase, or all
    residency: Annotated[str, OneOf(("turn", "phase", "always"))] = "phase"
    weights_dir: str = "/dev/shm"  # where new weights are handed over; another folder: on disk
    start_timeout_s: Positive = 900.0  # an engine that is not ready by then ends the run
    request_timeout_s: Positive = 900.0  # an engine that answers no request for so long is at fault
    hang_timeout_s: NotNegative = 300.0  # an engine without a sign of life is killed; 0: never
    on_engine_death: Annotated[str, OneOf(("stop", "restart"))] = "stop"  # restart it once
    max_concurrent_requests: AtLeast0 = 0  # to hosted models; 0: 32
    max_requests: AtLeast0 = 0  # to hosted models, a run; 0: no cap
    max_tokens: AtLeast0 = 0  # of hosted models, a run, prompts too; 0: no cap
    max_cost_usd: NotNegative = 0.0  # of hosted models, a run; 0: no cap
    fault: str | None = None  # only for tests
