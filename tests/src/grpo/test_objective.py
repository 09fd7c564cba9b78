"""Loss, advantages and logprobs on given numbers: by hand, and as the paper's own code."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM
from transformers.modeling_outputs import BaseModelOutputWithPast
from trl.trainer.utils import add_fused_lm_head

from config.schema import (
    TrainRLConfig,
    TrainSettings,
    TutorSettings,
    VllmSettings,
)
from src.grpo.arguments import grpo_arguments
from src.grpo.loss.packing import scored_tokens_only
from src.grpo.trainer import ClassroomGRPOTrainer
from tests import oracle
from tests.src.grpo import fixed_update
from tests.tiny import save_tiny_model
from utils.data.problems import Problem
from utils.records import ConversationRecord, Trajectory
from utils.rewards import NAMES

Build = Callable[..., ClassroomGRPOTrainer]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Trainers of the settings that the loss goes by; `rows` conversations make a batch."""
    folder = tmp_path_factory.mktemp("trainers")
    model = str(save_tiny_model(folder / "model"))

    @cache
    def made(problems: int, samples: int, **changes: Any) -> ClassroomGRPOTrainer:
        settings = TrainSettings(gradient_checkpointing=False, padding_free=False, **changes)
        with patch.multiple(fixed_update, PROBLEMS=problems, SAMPLES=samples):
            return fixed_update.build(model, Path(folder), settings)

    return made


def scored(
    trainer: ClassroomGRPOTrainer, given: dict[str, Any], micro: int
) -> tuple[float, Tensor]:
    """The loss of a batch in micro-batches of `micro` rows, and its gradient by `logps`."""
    logps = torch.tensor(given["logps"], requires_grad=True)
    tutor, real = torch.tensor(given["tutor_mask"]), torch.tensor(given["completion_mask"])
    old, ref = (
        torch.tensor(given[name]) if given[name] else logps.detach()
        for name in ("old_logps", "ref_logps")
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = len(logps) // micro
    total = 0.0
    for at in range(0, len(logps), micro):
        cut = slice(at, at + micro)
        here = logps[cut]
        trainer._get_per_token_logps_and_entropies = lambda *_, here=here, **__: (
            here, torch.zeros_like(here), None,
        )  # fmt: skip
        one = torch.ones(micro, 1, dtype=torch.long)
        loss = trainer._compute_loss(
            trainer.model,
            {
                "prompt_ids": one,
                "prompt_mask": one,
                "completion_ids": real[cut],
                "completion_mask": real[cut],
                "tool_mask": tutor[cut],
                "advantages": torch.tensor(given["advantages"])[cut],
                "old_per_token_logps": old[cut],
                "ref_per_token_logps": ref[cut],
                "importance_sampling_ratio": torch.ones_like(old[cut]),
                "num_items_in_batch": (tutor * real).sum(),
            },
        )
        loss.backward()
        total += loss.item()
    assert logps.grad is not None
    return total, logps.grad


def batch(
    logps: Sequence[Sequence[float]],
    old: Sequence[Sequence[float]],
    advantages: Sequence[float],
    *,
    ref: Sequence[Sequence[float]] | None = None,
    tutor: Sequence[Sequence[int]] | None = None,
) -> dict[str, Any]:
    ones = [[1] * len(row) for row in logps]
    given = {"logps": logps, "old_logps": old, "ref_logps": ref or logps}
    return given | {
        "advantages": list(map(float, advantages)),
        "tutor_mask": tutor or ones,
        "completion_mask": ones,
    }


UP, DOWN = math.log(1.5), math.log(0.5)


@pytest.mark.parametrize(
    ("given", "loss", "gradient"),
    [
        # a ratio of 1: the mean of -A, pulled by -A / tokens
        (batch([[-1.0, -2.0], [-3.0, -4.0]], [[-1.0, -2.0], [-3.0, -4.0]], [1, -2]),
         0.5, [[-0.25, -0.25], [0.5, 0.5]]),
        # clipped at 1.2 and 0.8, where more would be gained; not where it would be lost
        (batch([[UP - 1], [UP - 1]], [[-1.0], [-1.0]], [1, -1]), (-1.2 + 1.5) / 2, [[0.0], [0.75]]),
        (batch([[DOWN - 1], [DOWN - 1]], [[-1.0], [-1.0]], [1, -1]), (-0.5 + 0.8) / 2,
         [[-0.25], [0.0]]),
        # k3 of a token half as likely as at the start: 2 - ln 2 - 1, pulled by 1 - 2 times beta
        (batch([[DOWN], [-1.0]], [[DOWN], [-1.0]], [0, 0], ref=[[0.0], [-1.0]]),
         0.1 * (1 - math.log(2)) / 2, [[-0.05], [0.0]]),
        # only the tutor's tokens, and each as much as any other: 1 + 3 of them
        (batch([[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]], [[-1.0] * 3, [-1.0] * 3], [3, 1],
               tutor=[[0, 1, 0], [1, 1, 1]]),
         -6 / 4, [[0, -0.75, 0], [-0.25, -0.25, -0.25]]),
    ],
    ids=["ratio 1", "above the bound", "below the bound", "KL", "token mean"],
)  # fmt: skip
@pytest.mark.parametrize("micro", [1, 2])
def test_the_loss_by_hand(
    build: Build, given: dict[str, Any], loss: float, gradient: Any, micro: int
) -> None:
    """However the batch is cut."""
    trainer = build(1, 2, per_device_train_batch_size=micro, beta=0.1, epsilon=0.2)
    found, grad = scored(trainer, given, micro)
    assert found == pytest.approx(loss, abs=1e-6)
    assert grad.tolist() == [pytest.approx(row, abs=1e-6) for row in gradient]


def _held(groups: Sequence[Sequence[float | None]], monkeypatch: pytest.MonkeyPatch) -> None:
    def record(problem: Problem, sample: int) -> ConversationRecord:
        total = groups[int(problem.id[1:])][sample]
        return ConversationRecord(
            problem_id=problem.id,
            sample=sample,
            problem="?",
            answer="1",
            excluded="missing_verdict" if total is None else None,
            rewards={} if total is None else {**dict.fromkeys(NAMES, 0.0), "total": float(total)},
            trajectory=Trajectory(
                prompt_ids=[1], completion_ids=[2, 3], mask=[1, 1], logprobs=[-1.0, -1.0]
            ),
        )

    monkeypatch.setattr(fixed_update, "fixed", record)


def advantages(
    build: Build, groups: Sequence[Sequence[float | None]], monkeypatch: pytest.MonkeyPatch
) -> list[float]:
    _held(groups, monkeypatch)
    samples = len(groups[0])
    trainer = build(len(groups), samples, per_device_train_batch_size=samples)
    monkeypatch.setattr(trainer._rollout, "samples", samples)
    rows = [{"prompt": f"p{g}", "index": g} for g in range(len(groups)) for _ in range(samples)]
    found: list[float] = trainer._generate_and_score_completions(rows)["advantages"].tolist()
    return found


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([[1, 0]], [0.5 / (math.sqrt(0.5) + 1e-4), -0.5 / (math.sqrt(0.5) + 1e-4)]),
        ([[1, 1], [-0.75, -0.75]], [0, 0, 0, 0]),  # no spread, nothing learnt
        # the one that is left out moves nobody's mean: 1 and 0 of three
        ([[1, None, 0]], [0.5 / (math.sqrt(0.5) + 1e-4), 0, -0.5 / (math.sqrt(0.5) + 1e-4)]),
        ([[1, None]], [0, 0]),  # nobody is left to compare with
    ],
    ids=["two", "equal", "left out", "alone"],
)
def test_advantages_by_hand(
    build: Build, monkeypatch: pytest.MonkeyPatch, groups: Any, expected: list[float]
) -> None:
    """Group mean, and the group's standard deviation with n - 1 below."""
    assert advantages(build, groups, monkeypatch) == pytest.approx(expected, abs=2e-6)


def logprobs(logits: Tensor, ids: Tensor, temperature: float) -> Tensor:
    """TRL's head as the trainer uses it, with given logits; one a token but the first."""
    words = logits.shape[-1]
    sizes = {"vocab_size": words, "hidden_size": 8, "intermediate_size": 8}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(**sizes, **heads, tie_word_embeddings=False))
    model.lm_head.weight.data = torch.eye(words, 8)
    add_fused_lm_head(model, temperature=temperature, outputs=("log_probs", "entropy"))
    hidden = torch.nn.functional.pad(logits, (0, 8 - words))
    model.model.forward = lambda **_: BaseModelOutputWithPast(last_hidden_state=hidden)
    with scored_tokens_only():
        found: Tensor = model(input_ids=ids, labels=ids, fused_lm_head=True).log_probs
    return found.detach()


def test_logits_are_divided_by_the_samplers_temperature(tmp_path: Path) -> None:
    """Two words, three and no nats apart: ln of 1 / (1 + e^-(3 / T)) and ln of a half."""
    tutor = TutorSettings(vllm=VllmSettings(temperature=0.5, top_k=0))
    cfg = TrainRLConfig(teacher_model=tutor)
    cfg.logging.wandb = False
    temperature = grpo_arguments(cfg, tmp_path, world_size=1).temperature
    logits = torch.tensor([[[3.0, 0.0], [1.0, 1.0], [0.0, 0.0]]])
    found = logprobs(logits, torch.tensor([[1, 0, 1]]), temperature)
    assert found.tolist() == [pytest.approx([-math.log(1 + math.exp(-6)), -math.log(2)], abs=1e-6)]


# -- the paper's own code --------------------------------------------------------------------


def _of(*kinds: str) -> list[Any]:
    return oracle.cases("grpo_loss", lambda case: case["kind"] in kinds)


@pytest.mark.parametrize("case", _of("loss", "update"))
def test_the_loss_is_the_originals(build: Build, case: oracle.Case) -> None:
    """With its mean over a micro-batch's tokens, `bnpo`; where there is one, `dapo` is the same."""
    given, expected = case["inputs"], case["expected"]
    rows = len(given["logps"])
    micro = given.get("micro_batch", rows)
    names = {"beta": "beta", "epsilon": "epsilon", "num_iterations": "mu"}
    settings = {ours: given[theirs] for theirs, ours in names.items()}
    for loss_type in ("bnpo", "dapo") if micro == rows else ("bnpo",):
        trainer = build(1, rows, per_device_train_batch_size=micro, loss_type=loss_type, **settings)
        found, grad = scored(trainer, given, micro)
        assert found == pytest.approx(expected.get("loss", expected.get("sum")), abs=1e-6)
        torch.testing.assert_close(grad, torch.tensor(expected["grad_logps"]), atol=1e-7, rtol=0)


@pytest.mark.parametrize("case", _of("advantage"))
def test_advantages_are_the_originals(
    build: Build, monkeypatch: pytest.MonkeyPatch, case: oracle.Case
) -> None:
    found = advantages(build, case["inputs"]["rewards_by_group"], monkeypatch)
    assert found == pytest.approx(case["expected"]["advantages"], abs=2e-6)


@pytest.mark.parametrize("case", _of("logps"))
def test_logprobs_are_the_originals(case: oracle.Case) -> None:
    given = case["inputs"]
    found = logprobs(
        torch.tensor(given["logits"]), torch.tensor(given["ids"]), given["temperature"]
    )
    torch.testing.assert_close(found, torch.tensor(case["expected"]["logps"]), atol=1e-5, rtol=0)
