"""Conversations that a model sampled itself, and the distance between two sets of gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def distance(one: dict[str, Any], other: dict[str, Any]) -> dict[str, float]:
    """|one - other| / |other| over all gradients, and the cosine between them."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    apart = size = own = inner = 0.0
    for name, gradient in other.items():
        a, b = one[name].to(device), gradient.to(device)
        apart += (a - b).pow(2).sum().item()
        size += b.pow(2).sum().item()
        own += a.pow(2).sum().item()
        inner += (a * b).sum().item()
    cosine = inner / max((own * size) ** 0.5, 1e-30)
    return {"gradient_error": (apart / max(size, 1e-30)) ** 0.5, "gradient_cosine": cosine}


def sampled(folder: Path, rows: int, longest: int) -> list[Any]:
    """Conversations that the model itself sampled, with its logprobs; half of them the tutor's."""
    import torch
    from transformers import AutoModelForCausalLM

    from utils.records import Trajectory

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    model.to(device).eval()
    torch.manual_seed(1)
    prompts = torch.randint(0, model.config.vocab_size - 3, (rows, 16), device=device)
    answer = model.generate(
        prompts, attention_mask=torch.ones_like(prompts), do_sample=True, top_k=0, top_p=1.0,
        temperature=1.0, max_new_tokens=longest, min_new_tokens=longest,
        return_dict_in_generate=True, output_logits=True,
    )  # fmt: skip
    new = answer.sequences[:, prompts.shape[1] :]
    scored = [row.float().log_softmax(-1) for row in answer.logits]
    logps = torch.stack(
        [s.gather(1, new[:, at : at + 1])[:, 0] for at, s in enumerate(scored)], 1
    ).tolist()
    found = []
    for row, ids in enumerate(new.tolist()):
        count = longest - (row * longest) // (2 * rows)  # uneven: from half to all of it
        mask = [int((count - 1 - at) // 8 % 2 == 0) for at in range(count)]
        own = [p if m else None for p, m in zip(logps[row], mask, strict=False)]
        found.append(
            Trajectory(
                prompt_ids=prompts[row].tolist(),
                completion_ids=ids[:count],
                mask=mask,
                logprobs=own,
            )
        )
    return found
