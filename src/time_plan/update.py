"""Expected seconds of one update, by phase."""

from __future__ import annotations

from pathlib import Path

from config.errors import ConfigError
from config.post_tests import wants_transfer
from config.roles import needs_judge, roles_of
from config.schema import TrainRLConfig
from config.sessions import solved_before, solved_in, talks_of
from src.memory_plan.parts import Training, shape_of
from src.time_plan.assumed import Assumed
from src.time_plan.cards import Card
from src.time_plan.roofline import EngineCost, TrainerCost, forward_flops
from src.vllm.server import Machine, place_on_gpus
from src.vllm.spec import plan_engines
from utils.settings.hydra_entry import ROOT

PADDED = 3.0  # tokens of padded rows over those of packed ones: what one H200 showed
LORA_SHARE = 0.5  # of a backward pass: no gradients of the weights themselves


class UpdatePlan:
    """The update of a config on `gpus` cards, or on the CPU; `seconds()` by phase.

    Hosted roles take no time here.  Raises ConfigError where there is no engine to plan with.
    """

    def __init__(
        self, cfg: TrainRLConfig, card: Card, gpus: int, training: Training, assumed: Assumed
    ) -> None:
        if cfg.engines.backend != "vllm":
            raise ConfigError("engines.backend: --plan knows the time of vllm only")
        self.cfg, self.card, self.assumed = cfg, card, assumed
        self.gpus, self.training = max(1, gpus), training
        self.on_gpus = gpus > 0
        generation, train = cfg.generation, cfg.train
        self.rows = train.number_of_problems_per_batch * train.num_samples_per_problem
        each = talks_of(generation) * generation.max_turns * assumed.turns / 2
        self.tutor_turns, self.student_turns = each, max(0.0, each - 0.5)
        cap = generation.max_tokens_per_turn
        self.tutor_tokens = min(assumed.tutor_tokens, cap)
        self.student_tokens = min(assumed.student_tokens, cap)
        self.said = self.tutor_turns * (self.tutor_tokens + assumed.glue_tokens)
        self.said += self.student_turns * (self.student_tokens + assumed.glue_tokens)
        self.tutor_prompt = self._prompt(generation.teacher_prompt_path)
        personas = [self._prompt(p) for p in generation.student_personas_prompts_paths.values()]
        self.student_prompt = max(personas, default=assumed.problem_tokens)
        longest = float(generation.max_tokens_in_conversation)
        self.conversation = min(longest, self.tutor_prompt + self.said)
        self.heard = min(longest, self.student_prompt + self.said)
        self.engines = {role: e for e in self._engines() for role in e.spec.roles}

    def _prompt(self, path: str) -> float:
        """Tokens of a prompt file, filled in."""
        file = path if Path(path).is_absolute() else ROOT / path
        try:
            letters = len(Path(file).read_text(encoding="utf-8"))
        except OSError:
            letters = 0
        return letters / self.assumed.letters_a_token + self.assumed.problem_tokens

    def _engines(self) -> list[EngineCost]:
        found = []
        for spec in plan_engines(self.cfg):
            gpus, instances = 1, 1
            if self.on_gpus:
                machine = Machine(gpus=tuple(map(str, range(self.gpus))))
                placed, instances = place_on_gpus(spec, machine)
                gpus = len(placed)
            shape = shape_of(spec.model, spec.setting, spec.trust_remote_code)
            found.append(
                EngineCost(
                    spec=spec, shape=shape, card=self.card, gpus=gpus, instances=instances,
                    assumed=self.assumed,
                )
            )  # fmt: skip
        return found

    def seconds(self) -> dict[str, float]:
        """Of each phase, in the order in which they come; a phase that takes none is left out."""
        logprobs, gradients = self._training()
        found = {
            "conversations": self._conversations(),
            "judging": self._judging(),
            "solutions": self._solutions(),
            "logprobs": logprobs,
            "gradients": gradients,
            "hand-over": self._hand_over(),
            "sleeping, waking": self._switches(),
            "rest": self.assumed.update_s,
        }
        if self.cfg.train.collect_only:
            found |= dict.fromkeys(("logprobs", "gradients", "hand-over"), 0.0)
        return {phase: seconds for phase, seconds in found.items() if seconds}

    # -- conversations -----------------------------------------------------------------------

    def _conversations(self) -> float:
        roles = (
            ("teacher", self.tutor_turns, self.tutor_tokens, self.conversation, self.tutor_prompt),
            ("student", self.student_turns, self.student_tokens, self.heard, self.student_prompt),
        )
        spent = 0.0
        for role, turns, tokens, length, prompt in roles:
            engine = self.engines.get(role)
            if engine is None:
                continue
            chain, read = self.assumed.longest * turns * tokens, self.rows * length
            if self._alone():  # a round waits for its longest message, and no cache outlives it
                cap = self.cfg.generation.max_tokens_per_turn
                chain = turns * min(cap, self.assumed.longest_message * tokens)
                read = self.rows * turns * (prompt + length) / 2
            spent += engine.prompt_s(read, length)
            spent += engine.sample_s(self.rows * turns * tokens, chain, length / 2)
            spent += self.rows * turns * self.assumed.request_s
        together = {"teacher", "student"} <= self.engines.keys() and not self._alone()
        return spent * (self.assumed.sharing if together else 1.0)

    def _alone(self) -> bool:
        return self.on_gpus and self.cfg.engines.residency == "turn"

    def _solutions(self) -> float:
        generation, engine = self.cfg.generation, self.engines.get("student")
        after = solved_in(generation) * self.rows * generation.number_student_attempts
        problems = self.cfg.train.number_of_problems_per_batch
        before = solved_before(generation) * problems * generation.number_initial_attempts
        count = after + before
        if engine is None or not count:
            return 0.0
        cap = generation.max_tokens_per_student_attempt
        tokens = min(self.assumed.solution_tokens, cap)
        chain = min(cap, 4 * tokens) * (1 + bool(before))
        length = self.heard + tokens / 2
        spent = engine.sample_s(count * tokens, chain, length)
        # the conversation is read once, as the student's last words, and again after a sleep
        again = 1.0 if self._alone() or not generation.number_student_attempts else 0.3
        if generation.number_student_attempts and wants_transfer(generation):
            # under other words in the tutor's place, it is read from the beginning
            again = 1.0 + again * (solved_in(generation) - 1) if generation.hide_tutor else again
        spent += engine.prompt_s(again * self.rows * self.heard, self.heard)
        requests = count * (2 if generation.solution_ending else 1)
        return spent + requests * self.assumed.request_s

    def _judging(self) -> float:
        generation, engine = self.cfg.generation, self.engines.get("judge")
        if engine is None or not needs_judge(generation):
            return 0.0
        rules = generation.judges_rules_prompts_paths.values()
        prompts = [r for r in rules if r not in ("matcher", "none") and ":" not in r]
        talks = talks_of(generation)
        requests = talks * self.rows * len(prompts) * generation.number_judge_attempts
        cap = generation.max_tokens_per_judge_attempt
        tokens = min(self.assumed.judge_tokens, cap)
        length = self.said / talks + max(map(self._prompt, prompts), default=0.0)
        spent = engine.prompt_s(talks * self.rows * len(prompts) * length, length)
        spent += engine.sample_s(requests * tokens, min(cap, 2.8 * tokens), length)
        return spent + requests * self.assumed.request_s

    # -- the trainer -------------------------------------------------------------------------

    def _training(self) -> tuple[float, float]:
        """Logprobs without gradient, and the steps."""
        train, lora = self.cfg.train, self.cfg.teacher_model.lora
        shape = shape_of(self.cfg.teacher_model.model_name_or_path, "teacher_model")
        ranks = self.training.zero.ranks
        cost = TrainerCost(
            shape=shape, card=self.card, cards=ranks if self.on_gpus else 1, ranks=ranks,
            sharded=self.training.zero.stage == 3, assumed=self.assumed,
        )  # fmt: skip
        tokens = self.rows * self.conversation * (1.0 if train.padding_free else PADDED)
        scored = self.rows * self.tutor_turns * self.tutor_tokens
        flops = forward_flops(shape, tokens, self.conversation / 2, scored)
        per_rank = self.rows / ranks
        scoring = train.separate_old_pass + (train.beta > 0)
        micro = max(1.0, per_rank / train.batch_size_ref_model)
        logprobs = cost.pass_s(flops, scoring, micro)
        backward = 2.0 * (LORA_SHARE if lora.enable else 1.0)
        times = train.mu * (1.0 + backward + train.gradient_checkpointing)
        micro = max(1.0, per_rank / train.per_device_train_batch_size)
        trained = shape.lora_parameters(lora.rank, lora.target_modules) if lora.enable else 0
        mine = self.training.zero.share(trained or shape.parameters, 1)
        stepped = train.mu * mine / 1e9 * self.assumed.optimizer_s
        return logprobs, cost.pass_s(flops, times, micro) + stepped

    # -- between them ------------------------------------------------------------------------

    def _hand_over(self) -> float:
        engine, lora = self.engines.get("teacher"), self.cfg.teacher_model.lora
        if engine is None:
            return 0.0
        whole = engine.shape.weight_bytes(self.cfg.train.dtype)
        if lora.enable:
            whole = 4.0 * engine.shape.lora_parameters(lora.rank, lora.target_modules)
        copies = 1.0 / self.assumed.digest + engine.instances / engine.gpus / self.assumed.load
        return whole * (1.0 / self.assumed.write + copies) + self.assumed.hand_over_s

    def _switches(self) -> float:
        """Each time an engine falls asleep and wakes, its share crosses to the host and back."""
        residency = self.cfg.engines.residency
        if not self.on_gpus or residency == "always":
            return 0.0
        spent = 0.0
        for role in roles_of(self.cfg):
            engine = self.engines.get(role)
            if engine is None or not engine.spec.sleeps:
                continue
            times = 1.0
            if residency == "turn":
                times = {"teacher": self.tutor_turns, "student": self.student_turns + 1}.get(
                    role, 1
                )
            elif role == "student":
                times = 2.0  # before the judges, and after
            spent += times * (2.0 * engine.shard / self.card.host + self.assumed.switch_s)
        return spent


def updates_of(cfg: TrainRLConfig) -> int | None:
    """Batches of conversations in the whole run; None where that depends on data not read here."""
    train = cfg.train
    if train.max_steps > 0:
        return -(-train.max_steps // train.mu)
    if cfg.dataset.max_train_examples > 0:
        batches = cfg.dataset.max_train_examples // train.number_of_problems_per_batch
        return max(1, batches) * train.epochs
    return None
