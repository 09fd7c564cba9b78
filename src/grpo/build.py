"""Puts the trainer together: rollouts and weights of the node's lead, TRL's trainer on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase, PrinterCallback
from trl import GRPOConfig

from config.errors import ConfigError
from config.schema import TrainRLConfig
from src.grpo.arguments import DEEPSPEED_ADAM
from src.grpo.callbacks import MetricsFile, PoliteStop, StepLine
from src.grpo.held_out import EvaluateEvery, pool
from src.grpo.lead import Lead
from src.grpo.loss.credit import TokenCredit
from src.grpo.rollouts.node import Node
from src.grpo.rollouts.rollout import Rollout
from src.grpo.rollouts.tutor_in_training import TrainedModule
from src.grpo.rollouts.weights import EngineWeights
from src.grpo.trainer import ClassroomGRPOTrainer, Sampler, SharedWeights
from src.models.trackers import ConversationTable
from src.models.training import lora_config, weights_dtype
from utils.credit.settings import credit_of, is_trls
from utils.data.problems import Problem
from utils.metrics.training_metrics import rollout_metrics
from utils.records import ConversationRecord
from utils.runs.folder import RunFolder


def lead_of(lead: Lead | None) -> Lead:
    """The lead, in work that only its own rank is given to do."""
    if lead is None:
        raise RuntimeError("asked of a rank that does not lead its node")
    return lead


def build_trainer(
    cfg: TrainRLConfig,
    arguments: GRPOConfig,
    tutor: str,
    folder: RunFolder,
    problems: Sequence[Problem],
    node: Node,
    lead: Lead | None,
    trained: TrainedModule,
    tokenizer: PreTrainedTokenizerBase,
    sampler: Sampler | None = None,
) -> ClassroomGRPOTrainer:
    """The trainer on the starting tutor; TRL loads the KL reference from the same place.

    `lead` is None on ranks that do not lead their node.  `trained` is told the trainer's module.
    `sampler`: who receives new weights (none given: as the settings say).
    """
    _place_weights(cfg, arguments)
    data = Dataset.from_dict(
        {"prompt": [p.id for p in problems], "index": list(range(len(problems)))}
    )
    evaluator = EvaluateEvery(cfg.train.eval_steps, cfg.train.mu) if cfg.train.eval_steps else None
    trackers = cfg.logging.trackers
    trainer = ClassroomGRPOTrainer(
        model=tutor,
        args=arguments,
        rollout=_rollout(cfg, problems, node, lead, tokenizer),
        sampler=sampler or _sampler(cfg, node, lead, trained),
        evaluate_held_out=lambda step: pool(
            node.from_leads(node.on_lead(lambda: lead_of(lead).evaluate(step)))
        ),
        padding_free=cfg.train.padding_free,
        score_rows=cfg.train.batch_size_ref_model,
        offload=cfg.train.offload_during_rollouts,
        deepspeed_adam=cfg.train.optimizer == DEEPSPEED_ADAM,
        separate_old_pass=cfg.train.separate_old_pass,
        reward_names=list(cfg.generation.rewards),
        credit=token_credit(cfg),
        train_dataset=data,
        processing_class=tokenizer,
        peft_config=lora_config(cfg.teacher_model.lora),
        callbacks=[
            MetricsFile(folder),
            StepLine(),
            PoliteStop(cfg.train.mu),
            *([evaluator] if evaluator else []),
            *([ConversationTable(folder.path, trackers)] if trackers else []),
        ],
    )
    trained.set(trainer.model)
    if evaluator is not None:
        evaluator.start = trainer.evaluate
    trainer.remove_callback(PrinterCallback)
    return trainer


def _place_weights(cfg: TrainRLConfig, arguments: GRPOConfig) -> None:
    """In which dtype the weights are, and where: as one whole on each rank's device."""
    lora, deepspeed = cfg.teacher_model.lora, arguments.deepspeed_plugin is not None
    arguments.model_init_kwargs = {
        "dtype": weights_dtype(cfg.train.dtype, adapters=lora.enable, deepspeed=deepspeed),
        "revision": cfg.teacher_model.revision,
        "use_safetensors": True,
        "device_map": None,
    }
    # without ranks TRL would split the model over all GPUs, and transformers copy it to each
    arguments._n_gpu = min(arguments.n_gpu, 1)


def _rollout(
    cfg: TrainRLConfig,
    problems: Sequence[Problem],
    node: Node,
    lead: Lead | None,
    tokenizer: PreTrainedTokenizerBase,
) -> Rollout:
    def run_batch(*batch: Any) -> list[ConversationRecord]:
        return lead_of(lead).run_batch(*batch)

    return Rollout(
        node,
        problems,
        run_batch,
        samples_per_problem=cfg.train.num_samples_per_problem,
        filler=tokenizer.eos_token_id,
        metrics=rollout_metrics,
        prefetch=lead.prefetch if lead is not None else None,
        overlap=cfg.train.overlap,
        credit=token_credit(cfg) is not None,
    )


def token_credit(cfg: TrainRLConfig) -> TokenCredit | None:
    """None where TRL's advantages are the ones that are asked for."""
    if is_trls(cfg.train, cfg.generation):
        return None
    return TokenCredit(credit_of(cfg.train, cfg.generation), cfg.train.num_samples_per_problem)


def _sampler(cfg: TrainRLConfig, node: Node, lead: Lead | None, trained: TrainedModule) -> Sampler:
    if cfg.engines.backend != "vllm":
        return SharedWeights()

    def wait() -> None:
        prefetch = lead_of(lead).prefetch
        if prefetch is not None:
            prefetch.wait()

    return EngineWeights(
        node,
        lead.weights_folder if lead is not None else None,
        lambda path, version: lead_of(lead).load_weights(path, version),
        trained,
        wait if cfg.train.overlap else None,  # collective: all ranks have it, or none
    )


def check_groups(cfg: TrainRLConfig, node: Node) -> None:
    """A problem's conversations must lie on one node, whose lead runs them together."""
    rows = cfg.train.number_of_problems_per_batch * cfg.train.num_samples_per_problem
    nodes = node.world_size // node.local_size
    if rows // nodes % cfg.train.num_samples_per_problem:
        raise ConfigError(
            f"train.number_of_problems_per_batch: {cfg.train.number_of_problems_per_batch} "
            f"problems cannot be shared evenly by {nodes} nodes"
        )
