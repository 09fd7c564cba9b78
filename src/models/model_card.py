"""The card of a trained tutor: what it was made from, and how, for whoever finds it on the hub."""

from __future__ import annotations

import json
import re
from pathlib import Path

from config.roles import roles_of
from config.schema import TrainRLConfig
from utils.runs.folder import read_metrics

SHOWN = {
    "reward": "reward",
    "classroom/solve_after": "solved after the conversation",
    "classroom/solve_after_accepted": "solved after the conversation, accepted ones only",
    "classroom/leaked": "verdicts that it leaked the answer",
    "classroom/rejected": "verdicts that reject it",
    "kl": "KL to the starting tutor",
}
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def write_card(cfg: TrainRLConfig, run: Path, model: Path, revision: str | None) -> Path:
    """Write `README.md` beside the weights.  `run` is the run's folder, with its metrics."""
    card = model / "README.md"
    card.write_text(card_text(cfg, last_metrics(run), revision), encoding="utf-8")
    return card


def last_metrics(run: Path) -> dict[str, float]:
    """The last value of each metric that the card shows."""
    found: dict[str, float] = {}
    for row in read_metrics(run):
        found |= {key: row[key] for key in SHOWN if row.get(key) is not None}
    return found


def card_text(cfg: TrainRLConfig, metrics: dict[str, float], revision: str | None) -> str:
    """Markdown with the hub's front matter.  Names of local folders are left out."""
    base, generation = cfg.teacher_model.model_name_or_path, cfg.generation
    mode = "soft (reward minus lambda)" if generation.ignore_rejected_judge else "hard (-lambda)"
    data = [d.name_or_path for d in cfg.dataset.train_datasets]
    head = ["---", "library_name: transformers", "tags: [trl, grpo, tutoring]"]
    if _HUB_ID.fullmatch(base):
        head.append(f"base_model: {base}")
    hub_data = [name for name in data if _HUB_ID.fullmatch(name)]
    if hub_data:
        head.append(f"datasets: {json.dumps(hub_data)}")
    students = [role for role in roles_of(cfg).values() if "solving" in role.phases]
    facts = {
        "base": _public(base) + (f" at {r}" if (r := cfg.teacher_model.revision) else ""),
        "data": ", ".join(map(_public, data)),
        "student": ", ".join(dict.fromkeys(_public(r.model.model_name_or_path) for r in students)),
        "lambda": f"{generation.extra_penalty_for_rejected_judges:g}, {mode}",
        "thinking": "yes" if generation.use_thinking else "no",
        "trained": f"adapters of rank {cfg.teacher_model.lora.rank}, merged"
        if cfg.teacher_model.lora.enable
        else "all weights",
        "seed": str(cfg.seed),
        "code": revision or "unknown revision",
    }
    facts |= {SHOWN[key]: f"{value:.3g} (last training batch)" for key, value in metrics.items()}
    rows = [f"| {name} | {value} |" for name, value in facts.items()]
    text = "A tutor trained by multi-turn GRPO in a simulated classroom ([paper][1])."
    link = "[1]: https://arxiv.org/abs/2505.15607"
    return "\n".join([*head, "---", "", text, "", "| | |", "|---|---|", *rows, "", link, ""])


def _public(name: str) -> str:
    """A hub id or a generated source as it is; of a folder of this machine only its last part."""
    if name.startswith((".", "/", "~")) or Path(name).exists():
        return Path(name).name
    return name
