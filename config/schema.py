"""The one schema of all settings: dataclasses from the standard library, one per group.

Groups and keys are those of the paper's own code; what is new is marked so.  Defaults are the
paper's values; where that code has others, `docs/coming-from-the-original.md` says so and
`config/*/original.yaml` has them.  Ranges and combinations are checked in `config/validate.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LEAK_RULE = "does_not_leak_answer"
PED_RM_PROMPT = "prompt_templates/ped_rm/system.txt"


@dataclass
class LoraSettings:
    """Low-rank adapters (peft.LoraConfig)."""

    enable: bool = False
    rank: int = 16
    alpha: int = 32
    target_modules: str = "all-linear"
    dropout: float = 0.01
    bias: str = "none"


@dataclass
class VllmSettings:
    """How one engine is served and sampled."""

    temperature: float = 1.0
    top_k: int = 50  # 0 or -1: off
    top_p: float = 1.0
    max_length: int = 8192  # tokens of prompt and answer together
    max_num_seqs: int = 256
    gpu_memory_utilization: float = 0.5  # share of each GPU that the engine may take
    number_of_gpus_per_instance: int = 4  # tensor parallel size
    max_number_of_instances: int = -1  # data parallel size; -1: as many as the GPUs hold
    from_0: bool = True  # place the engine from GPU 0 upwards; false: from the last one down
    load_and_unload: bool = True  # sleep where the residency lets it; false: always awake
    enable_sleep_mode: bool = True
    enforce_eager: bool = False
    # new
    kv_cache_memory_bytes: int | None = None  # fixed KV cache; skips vLLM's memory profiling
    cpu_kv_cache_gib: float = 1.0  # KV cache of a CPU engine
    extra_args: dict[str, str] = field(default_factory=dict)  # any other flag of vLLM's server


@dataclass
class ModelSettings:
    """A model that plays a role, and where it is served."""

    model_name_or_path: str = "???"
    use_openrouter: bool = False
    use_gemini: bool = False
    vllm: VllmSettings = field(default_factory=VllmSettings)
    # new
    base_url: str | None = None  # any other OpenAI-compatible endpoint
    api_key_env: str | None = None  # the NAME of the environment variable that holds its key
    revision: str | None = None
    dtype: str = "auto"  # of the engine's weights: auto, float32, bfloat16, float16
    quantization: str | None = None  # vLLM's --quantization
    trust_remote_code: bool = False


@dataclass
class TutorSettings(ModelSettings):
    lora: LoraSettings = field(default_factory=lambda: LoraSettings(dropout=0.0))


@dataclass
class RewardModelSettings:
    """Who says that a post-dialog solution is right: "Answer", "None", or a classifier."""

    model_name_or_path: str = "Answer"
    vllm: VllmSettings = field(default_factory=VllmSettings)


@dataclass
class RewardEntry:
    """One reward: a function of a conversation, and the weight that multiplies its value."""

    function: str = "???"  # module:function, or file.py:function; none takes the reward away
    weight: float = 1.0


def paper_rewards() -> dict[str, RewardEntry]:
    """The paper's five (section 3.4), with its weights."""
    weights = {
        "solve": 1.0,
        "pedagogy": 1.0,  # its function gives -lambda
        "thinking": 0.5,
        "end_of_conversation": 0.1,
        "length": 0.5,
    }
    return {name: RewardEntry(f"utils.rewards:{name}", w) for name, w in weights.items()}


@dataclass
class StudentEntry:
    """One student: a policy with a name (new)."""

    persona: str = "???"  # prompt file; none takes the student away
    kind: str = "plain"  # plain, archetype, misconception, adversarial
    weight: float = 1.0  # share of a training batch, against the others'
    held_out: bool = False  # met in evaluation alone
    model: Any = None  # ModelSettings of another model; what is left out is as in student_model
    replies: str | None = None  # module:function that speaks for it; where it gives None, the model
    misconception: str | None = None  # a rule of utils/students/malrules.py, or module:name
    rounds: int = 3  # of pressure, by an adversarial one
    check: str | None = None  # module:function that tells whether a message is in character


@dataclass
class GenerationSettings:
    """The classroom: who is told what, how long a conversation may be, what counts."""

    student_personas_prompts_paths: dict[str, str] = field(
        default_factory=lambda: {"simple_student": "prompt_templates/personas/simple_student.txt"}
    )
    judges_rules_prompts_paths: dict[str, str] = field(
        default_factory=lambda: {
            LEAK_RULE: "prompt_templates/judges/does_not_leak_answer.txt",
            "follows_pedagogical_values": "prompt_templates/judges/follows_pedagogical_values.txt",
        }
    )
    # what opens an "attempted" conversation, inside the wrapper below
    student_initial_attempt_prompt_path: str = "prompt_templates/student_initial_attempt.txt"
    student_final_prompt_path: str = "prompt_templates/student_final.txt"
    student_final_system_prompt_path: str = (  # new; `persona`: the persona's text stays in force
        "prompt_templates/student_final_system.txt"
    )
    teacher_prompt_path: str = "prompt_templates/teacher.txt"  # `none`: no system message of ours
    initial_attempt_wrapper_prompt_path: str = "prompt_templates/initial_attempt_wrapper.txt"
    # the bare problem, before any conversation: number_initial_attempts times
    student_attempt_prompt_path: str = "prompt_templates/student_attempt.txt"
    max_turns: int = 16  # messages of both roles; in a session, about each problem
    max_tokens_in_conversation: int = 8192
    max_tokens_per_turn: int = 1024
    max_tokens_per_student_attempt: int = 3900
    max_tokens_per_judge_attempt: int = 2048
    number_student_attempts: int = 8
    number_judge_attempts: int = 2
    ignore_rejected_judge: bool = True  # true: soft; false: hard (a rejection is -lambda flat)
    forced_conversation_type: str | None = None  # null, guided, attempted (or attempt)
    use_thinking: bool = False
    force_thinking: bool = False
    extra_penalty_for_rejected_judges: float = 1.0  # lambda
    student_names: list[str | None] = field(
        default_factory=lambda: [
            "Alex", "Jamie", "Taylor", "Jordan", "Sam", "Casey", "Morgan", "Riley", None,
        ]
    )  # fmt: skip
    # new
    solution_ending: str = ""  # given to solutions that box nothing, which then go on from it
    tutor_opening_prompt_path: str = "prompt_templates/tutor_opening.txt"
    rules_that_see_the_answer: list[str] = field(
        default_factory=lambda: [LEAK_RULE, "follows_pedagogical_values"]
    )
    leak_rule: str = LEAK_RULE  # whose REJECTs are `leaked`
    rules_only_reported: list[str] = field(default_factory=list)  # recorded, never a rejection
    # name -> rule (prompt file, matcher, module:function) that each tutor turn is judged by at once
    turn_rules: dict[str, str] = field(default_factory=dict)
    # record; penalise (at its own tokens); withhold (the student complains instead of reading it)
    failed_turn: str = "record"
    turn_penalty: float = 1.0  # off the advantage of a failed turn's tokens, unless only recorded
    complaints_path: str = "prompt_templates/complaints.txt"  # one a line, chosen by seed
    missing_verdict: str = "exclude"  # exclude (left out of its group) or reject
    peers: dict[str, str] = field(default_factory=dict)  # name -> persona file: more students
    judge_retries: int = 2  # more requests for a verdict that could not be read
    # hard lambda: of a problem's samples, how many are solved even if rejected, for the curves
    solve_rejected_share: float = 0.0
    number_initial_attempts: int = 0  # solutions before the conversation; 0: not measured
    # what is solved before and after: same (the problem), transfer (another one of its kind), both
    post_test: str = "same"
    rewarded_test: str = "transfer"  # of post_test=both: which one is rewarded
    hide_tutor: bool = True  # in the transfer test each tutor turn reads "(hidden)"
    student_transfer_prompt_path: str = "prompt_templates/student_transfer.txt"
    gain: str = "solve"  # rewarded: solve (the rate after), difference (less before), normalised
    # above so many visible tokens a tutor turn discounts what was gained; 0: it does not
    long_turn_tokens: int = 0
    long_thinking_tokens: int = 0  # the same for its hidden planning
    max_concurrent_conversations: int = 0  # 0: all at once
    # related problems in one conversation; the tutor is absent in the last one (docs/sessions.md)
    problems_per_session: int = 1
    session_reward: str = "last"  # what is solved: last, without the tutor; each, after its talk
    session_next_tutor_prompt_path: str = "prompt_templates/teacher_session_next.txt"
    session_next_student_prompt_path: str = "prompt_templates/session_next_student.txt"
    session_alone_prompt_path: str = "prompt_templates/session_alone.txt"
    # name -> RewardEntry; Any, so that Hydra's `+generation.rewards.mine.function=...` adds one
    rewards: dict[str, Any] = field(default_factory=paper_rewards)
    # name -> StudentEntry, in place of student_personas_prompts_paths where there is any
    students: dict[str, Any] = field(default_factory=dict)
    students_measured: str | None = None  # a students.json of `eval.py --config-name students`
    min_selectivity: float = 0.3  # below it, training warns of a measured student


@dataclass
class DatasetEntry:
    """One source of problems: a hub id, a local file, `reasoning_gym:<task>`, `module:function`."""

    name_or_path: str = "???"
    split: str = "train"
    ratio: float = 1.0  # weight of this source in max_train_examples or max_val_examples
    # new
    columns: dict[str, str] = field(default_factory=dict)  # our name -> the column's name
    parameters: dict[str, Any] = field(default_factory=dict)  # for generated problems
    min_solve_rate: float | None = None  # difficulty band on the column `solve_rate`
    max_solve_rate: float | None = None


@dataclass
class EvalDatasetEntry(DatasetEntry):
    """A source of held-out problems."""

    split: str = "test"


@dataclass
class DatasetSettings:
    train_datasets: list[DatasetEntry] = field(default_factory=list)
    eval_datasets: list[EvalDatasetEntry] = field(default_factory=list)
    max_train_examples: int = -1
    max_val_examples: int = 500
    bad_rows: str = "stop"  # new; a row that cannot be used: stop, or drop (counted by reason)


@dataclass
class HuggingFaceSettings:
    name: str | None = None
    push_to_hub: bool = False
    private: bool = True  # new


@dataclass
class LoggingSettings:
    wandb: bool = False
    wandb_project: str = "tutor-rl"
    wandb_run_name: str | None = None
    wandb_entity: str | None = None
    run_group: str | None = None
    wandb_tags: list[str] = field(default_factory=list)
    save_dir: str = "runs"  # each run is a folder in it
    save_steps: int = 10  # optimizer steps; rounded up to a generation boundary
    # new
    save_total_limit: int = 2
    trackers: list[str] = field(default_factory=list)  # of wandb, trackio, tensorboard
    wandb_offline: bool = False  # its files stay in the run folder; `wandb sync` sends them later


@dataclass
class EngineSettings:
    """Engines of all local roles (new)."""

    backend: str = "vllm"  # vllm, or transformers (in this process, for machines without vLLM)
    residency: str = "phase"  # turn, phase, always: which engines are awake together
    weights_dir: str = "/dev/shm"  # where new weights are handed over; another folder: on disk
    start_timeout_s: float = 900.0
    request_timeout_s: float = 900.0  # an engine that answers no request for so long is at fault
    hang_timeout_s: float = 300.0  # an engine that shows no sign of life is killed; 0: never
    on_engine_death: str = "stop"  # stop, or restart (once)
    max_concurrent_requests: int = 0  # to hosted models; 0: 32
    max_requests: int = 0  # to hosted models, a run; 0: no cap
    max_tokens: int = 0
    max_cost_usd: float = 0.0
    fault: str | None = None  # only for tests


@dataclass
class TrainSettings:
    """GRPO (paper, section 4 and appendix); the rest of the objective: `src/grpo/arguments.py`."""

    gradient_checkpointing: bool = True
    num_samples_per_problem: int = 8
    number_of_problems_per_batch: int = 16
    per_device_train_batch_size: int = 2
    lr_scheduler_type: str = "constant"
    # adamw_torch where there is no CUDA; fused_adam: DeepSpeed's, whose state ZeRO-3 can offload
    optimizer: str = "paged_adamw_8bit"
    epochs: int = 1
    max_steps: int = -1  # optimizer steps
    beta: float = 0.001  # KL to the starting tutor
    learning_rate: float = 5e-7
    mu: int = 2  # optimizer steps on each batch of conversations
    epsilon: float = 0.2
    batch_size_ref_model: int = 4
    # new
    # what is computed in; weights are float32 where no DeepSpeed keeps a float32 copy of them
    dtype: str = "bfloat16"
    loss_type: str = "dapo"  # mean over the batch's tokens; bnpo: over each micro-batch's
    scale_rewards: str = "group"
    # what is clipped and averaged: grpo, dr_grpo, gspo, cispo, sapo, luspo, vespo (docs/credit.md)
    objective: str = "grpo"
    credit: str = "conversation"  # one advantage for all of its turns; turn: one for each
    advantages: str = "total"  # per_reward: each reward normalised in its group, then summed
    baseline: str = "group"  # the group's mean; leave_one_out: that of the others
    importance_sampling: str = "token_truncate"  # sampler/trainer correction; none: off
    max_grad_norm: float = 1.0
    warmup_steps: int = 0
    padding_free: bool = True  # rows packed into one, logits only where the mask is 1
    separate_old_pass: bool = False  # score a batch before its first step, as TRL itself does
    use_deepspeed: bool = True  # false: one process, no DeepSpeed
    offload_during_rollouts: bool = False  # its state lies in RAM while conversations are held
    eval_steps: int = 0  # evaluate on eval_datasets every so many optimizer steps; 0: never
    best_metric: str = "reward_total"  # a name of metrics.json: its best checkpoint is kept
    collect_only: bool = False  # run the classroom and record; no training
    overlap: bool = False  # hold the next batch while training on this one, on older weights


@dataclass
class TrainRLConfig:
    train: TrainSettings = field(default_factory=TrainSettings)
    # what reshapes the distribution is off while the tutor is trained
    teacher_model: TutorSettings = field(
        default_factory=lambda: TutorSettings(vllm=VllmSettings(top_k=0))
    )
    student_model: ModelSettings = field(default_factory=ModelSettings)
    judge_model: ModelSettings = field(default_factory=ModelSettings)
    reward_model: RewardModelSettings = field(default_factory=RewardModelSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    huggingface: HuggingFaceSettings = field(default_factory=HuggingFaceSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    engines: EngineSettings = field(default_factory=EngineSettings)
    skip_first_samples: int = 0
    seed: int = 42
    run_name: str | None = None


@dataclass
class EvalSettings:
    """What eval.py does beside the classroom; new."""

    task: str = "classroom"  # classroom, students, mathtutorbench, reasoning
    control: str = "none"  # none, or retry: the student tries again without a tutor
    tasks: list[str] = field(default_factory=list)  # of mathtutorbench, or all; empty: scaffolding
    mathtutorbench_path: str | None = None  # its checkout: its own prompts, stops and data
    as_chat: bool = False  # of mathtutorbench: our engines are asked in a chat, as its is_chat
    few_shot: int = 0
    max_new_tokens: int = 2048
    report: bool = True
    # of students: who helps (`tutor`, or module:function), and after how many of its turns
    help: str = "tutor"
    fork_turn: int = 0


@dataclass
class EvalConfig:
    teacher_model: TutorSettings = field(default_factory=TutorSettings)
    student_model: ModelSettings = field(default_factory=ModelSettings)
    judge_model: ModelSettings = field(default_factory=ModelSettings)
    reward_model: RewardModelSettings = field(default_factory=RewardModelSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    engines: EngineSettings = field(default_factory=EngineSettings)
    eval: EvalSettings = field(default_factory=EvalSettings)
    num_samples_per_problem: int = 1
    score_using_pedagogical_reward: bool = True
    pedagogical_reward_model: str = "eth-nlped/Qwen2.5-1.5B-pedagogical-rewardmodel"
    # new: what it is told (docs/evaluation.md); FILE, or FILE.py:NAME for a constant in a program
    pedagogical_reward_prompt_path: str = PED_RM_PROMPT
    pedagogical_reward_sees_solution: bool = False  # in conversations, where the data has one
    recompute_initial_attempts: bool = True
    seed: int = 42
    run_name: str | None = None


@dataclass
class SftModelSettings:
    model_name_or_path: str = "???"
    tokenizer_name_or_path: str | None = None
    max_length: int = 16384
    lora: LoraSettings = field(default_factory=lambda: LoraSettings(rank=256, alpha=512))
    revision: str | None = None  # new
    dtype: str = "bfloat16"  # new
    init_seed: int | None = None  # new: start from random weights of this seed (a config only)


@dataclass
class SftTrainSettings:
    method: str = "sft"  # new: sft, or mdpo (multi-turn DPO on pairs)
    gradient_accumulation_steps: int = 4
    gradient_checkpointing: bool = True
    per_device_train_batch_size: int = 1
    lr_scheduler_type: str = "cosine"
    optimizer: str = "paged_adamw_8bit"
    epochs: int = 1
    max_steps: int = -1
    # new
    learning_rate: float = 2e-5
    warmup_steps: int = 0
    packing: bool = True  # off on a CPU, where grouping by length is faster
    bad_rows: str | None = None  # the older name of dataset.bad_rows
    beta: float = 0.1  # of MDPO
    max_grad_norm: float = 1.0
    eval_steps: int = 0


@dataclass
class TrainSFTConfig:
    model: SftModelSettings = field(default_factory=SftModelSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    train: SftTrainSettings = field(default_factory=SftTrainSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    huggingface: HuggingFaceSettings = field(default_factory=HuggingFaceSettings)
    seed: int = 42
    run_name: str | None = None
