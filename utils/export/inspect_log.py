"""Writes inspect_ai logs with inspect's own API.  Runs in an environment of its own.

    .venv-inspect/bin/python utils/export/inspect_log.py OUT < LOGS.json

It imports nothing of this project, whose requirements are others (requirements-inspect.txt).
LOGS.json is what `utils.export.inspect_data` makes.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def message(entry: dict[str, str]) -> Any:
    from inspect_ai.model import (
        ChatMessageAssistant,
        ChatMessageUser,
        ContentReasoning,
        ContentText,
    )

    content: Any = entry["content"]
    if "reasoning_content" in entry:
        plan = ContentReasoning(reasoning=entry["reasoning_content"])
        content = [plan, ContentText(text=content)]
    metadata = {"name": entry["name"]} if "name" in entry else None
    if entry["role"] == "assistant":
        return ChatMessageAssistant(content=content, metadata=metadata)
    return ChatMessageUser(content=content, metadata=metadata)


def sample(entry: dict[str, Any]) -> Any:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    messages = [message(m) for m in entry["messages"]]
    said = [m.text for m in messages if m.role == "assistant"]
    return EvalSample(
        id=entry["id"],
        epoch=entry["epoch"],
        input=entry["input"],
        target=entry["target"],
        messages=messages,
        output=ModelOutput.from_content(entry["model"], said[-1] if said else ""),
        scores={name: Score(**given) for name, given in entry["scores"].items()},
        metadata=entry["metadata"],
        role_usage={role: ModelUsage(**used) for role, used in entry["usage"].items()},
        total_time=entry["seconds"],
    )


def log(entry: dict[str, Any]) -> Any:
    from inspect_ai.log import (
        EvalConfig,
        EvalDataset,
        EvalLog,
        EvalMetric,
        EvalPlan,
        EvalResults,
        EvalScore,
        EvalSpec,
        EvalStats,
    )

    samples = [sample(s) for s in entry["samples"]]
    ids = list(dict.fromkeys(s.id for s in samples))
    scores = [
        EvalScore(
            name=name,
            scorer=name,
            scored_samples=given["n"],
            metrics={
                metric: EvalMetric(name=metric, value=given[metric])
                for metric in ("mean", "stderr")
                if given[metric] is not None
            },
        )
        for name, given in entry["metrics"].items()
    ]
    return EvalLog(
        status="success",
        eval=EvalSpec(
            created=entry["created"],
            task=entry["task"],
            dataset=EvalDataset(name=entry["dataset"], samples=len(ids), sample_ids=ids),
            model=entry["model"],
            config=EvalConfig(epochs=max((s.epoch for s in samples), default=1)),
            metadata=entry["metadata"],
        ),
        plan=EvalPlan(name="tutor classroom"),
        results=EvalResults(
            total_samples=len(samples), completed_samples=len(samples), scores=scores
        ),
        stats=EvalStats(started_at=entry["created"], completed_at=entry["created"]),
        samples=samples,
    )


def main() -> int:
    from inspect_ai.log import write_eval_log

    out = Path(sys.argv[1])
    for entry in json.load(sys.stdin):
        write_eval_log(log(entry), str(out / f"{entry['file']}.eval"), format="eval")
    return 0


if __name__ == "__main__":
    sys.exit(main())
