"""The settings of each script: train_rl.py, eval.py and train_sft.py."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from config.limits import AtLeast0, AtLeast1, OneOf
from config.schema.classroom import GenerationSettings
from config.schema.data import DatasetSettings
from config.schema.models import ModelSettings, RewardModelSettings, TutorSettings, VllmSettings
from config.schema.running import EngineSettings, HuggingFaceSettings, LoggingSettings
from config.schema.training import SftModelSettings, SftTrainSettings, TrainSettings

PED_RM_PROMPT = "prompt_templates/ped_rm/system.txt"
TASKS = ("classroom", "students", "mathtutorbench", "reasoning")


@dataclass
class TrainRLConfig:
    """train_rl.py: a tutor trained in the classroom."""

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
    skip_first_samples: AtLeast0 = 0  # problems of the first epoch that are passed over
    seed: int = 42  # of all that is drawn
    run_name: str | None = None  # the run's folder; null: the config's name and a hash


@dataclass
class EvalSettings:
    """What eval.py does beside the classroom; new."""

    task: Annotated[str, OneOf(TASKS)] = "classroom"  # what is measured
    # retry: the student tries again without a tutor
    control: Annotated[str, OneOf(("none", "retry"))] = "none"
    tasks: list[str] = field(default_factory=list)  # of mathtutorbench, or all; empty: scaffolding
    mathtutorbench_path: str | None = None  # its checkout: its own prompts, stops and data
    as_chat: bool = False  # of mathtutorbench: our engines are asked in a chat, as its is_chat
    few_shot: AtLeast0 = 0  # worked examples before each question of reasoning
    max_new_tokens: AtLeast1 = 2048  # of one answer, outside the classroom
    report: bool = True  # write report.html at the end
    help: str = "tutor"  # of students: who helps (`tutor`, or module:function)
    fork_turn: AtLeast0 = 0  # of students: after how many of the tutor's turns


@dataclass
class EvalConfig:
    """eval.py: a tutor measured on held-out problems."""

    teacher_model: TutorSettings = field(default_factory=TutorSettings)
    student_model: ModelSettings = field(default_factory=ModelSettings)
    judge_model: ModelSettings = field(default_factory=ModelSettings)
    reward_model: RewardModelSettings = field(default_factory=RewardModelSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    engines: EngineSettings = field(default_factory=EngineSettings)
    eval: EvalSettings = field(default_factory=EvalSettings)
    num_samples_per_problem: AtLeast1 = 1  # conversations about each problem
    score_using_pedagogical_reward: bool = True  # score tutor turns by the model below
    # a reward model of tutor turns
    pedagogical_reward_model: str = "eth-nlped/Qwen2.5-1.5B-pedagogical-rewardmodel"
    # new; what it is told (docs/evaluation.md); FILE, or FILE.py:NAME for a constant in a program
    pedagogical_reward_prompt_path: str = PED_RM_PROMPT
    pedagogical_reward_sees_solution: bool = False  # in conversations, where the data has one
    recompute_initial_attempts: bool = True  # sample solutions before the conversation, for `delta`
    seed: int = 42  # of all that is drawn
    run_name: str | None = None  # the run's folder; null: the config's name and a hash


@dataclass
class TrainSFTConfig:
    """train_sft.py: a model fine-tuned on conversations."""

    model: SftModelSettings = field(default_factory=SftModelSettings)
    dataset: DatasetSettings = field(default_factory=DatasetSettings)
    train: SftTrainSettings = field(default_factory=SftTrainSettings)
    logging: LoggingSettings = field(default_factory=LoggingSettings)
    huggingface: HuggingFaceSettings = field(default_factory=HuggingFaceSettings)
    seed: int = 42  # of all that is drawn
    run_name: str | None = None  # the run's folder; null: the config's name and a hash
