"""Every chat template that TRL ships, and more, each with a small tokenizer made for it.

python -m tests.src.tokens.template_families    prints what happens with each, as a Markdown table
CHAT_TEMPLATES=FOLDER python -m tests...        the same for every *.jinja file below FOLDER
"""

from __future__ import annotations

import argparse
import os
import re
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from src.tokens.chat_template import ChatRenderer, UnsupportedTemplate

TEMPLATES = Path(find_spec("trl").submodule_search_locations[0]) / "chat_templates"  # type: ignore
NAMES = sorted(path.stem for path in TEMPLATES.glob("*.jinja"))
# More of them, as *.jinja files below a folder: those of llama.cpp (models/templates) and of vLLM
# (examples), say.
FOLDER = os.environ.get("CHAT_TEMPLATES", "")
MORE = sorted(str(path.relative_to(FOLDER)) for path in Path(FOLDER or "/nowhere").rglob("*.jinja"))
END_OF_TEXT = {"llava_next": "</s>", "gptoss": "<|return|>", "qwen2_5": "<|im_end|>"}

_MARKER = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|<\uff5c[^<>\uff5c\s]{1,40}\uff5c>|<\|[a-z_]+>|<[a-z_]+\|>|</?s>"
    r"|<(?:start|end|begin|image|video|audio|sop|eop|sep|reserved|SPECIAL|_)[a-z_]*(?:_\d+)?>"
    r"|<[a-z]+:(?:bos|eos|pad)>|\[/?[A-Z][A-Z_]+\]|\[e~\[|\]~!?b[\[\]]|\[gMASK\]"
)
_SOFT = re.compile(
    r"</?(?:[a-z]+:)?(?:think|tool_call|tool_response|cot_budget_reflect)>"
    r"|<\|(?:START|END)_RESPONSE\|>|\u25c1/?think\u25b7"
)
_CORPUS = [
    "Let us think about it step by step. What is 7 x 8? Seven times eight is fifty-six.\n\n",
    "user assistant system model System: User: Assistant: developer message final\n\n",
    "Could you tell me what you already know?\n  - the first part\n  - the second part\n",
] * 4


def source(name: str) -> str:
    path = Path(FOLDER) / name if name.endswith(".jinja") else TEMPLATES / f"{name}.jinja"
    return path.read_text(encoding="utf-8")


@lru_cache(1)
def byte_level() -> str:
    """A byte-level BPE with a few hundred merges, as tokenizer.json."""
    rust = Tokenizer(models.BPE())
    rust.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    rust.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rust.train_from_iterator(_CORPUS, trainer)
    return rust.to_str()


def tokenizer(template: str, *, end_of_text: str = "<|endoftext|>") -> Any:
    """A transformers tokenizer that knows the markers found in the template's source."""
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(byte_level()), bos_token="<bos>", eos_token=end_of_text
    )
    soft = set(_SOFT.findall(template))
    hard = sorted(set(_MARKER.findall(template)) - soft)
    made.add_tokens([AddedToken(t, special=True, normalized=False) for t in hard], True)
    made.add_tokens([AddedToken(t, special=False, normalized=False) for t in sorted(soft)])
    made.chat_template = template
    return made


@lru_cache(None)
def family(name: str) -> tuple[Any, ChatRenderer]:
    end = END_OF_TEXT.get(name.removesuffix("_training"), "<|endoftext|>")
    made = tokenizer(source(name), end_of_text=end)
    return made, ChatRenderer(made, model_name=f"teacher_model.model_name_or_path ({name})")


def row(name: str) -> str:
    """One family as a line of the table."""
    try:
        _, renderer = family(name)
    except UnsupportedTemplate as error:
        return f"| {name} | refused | - | - | {error} |"
    facts = renderer.family
    cells = [
        name,
        "own" if facts.own_system else "in the first user message",
        "after an opening line" if facts.user_first else "yes",
        "yes" if facts.keeps_thinking else "in the ledger only",
        "; ".join(facts.notes).replace("|", "\\|") or "-",
    ]
    return f"| {' | '.join(cells)} |"


def main(names: list[str] = MORE or NAMES) -> None:
    print("| family | system role | tutor may open | earlier thinking kept | notes |")
    print("|---|---|---|---|---|")
    rows: dict[str, list[str]] = {}
    for name in names:
        _, _, rest = row(name)[2:].partition(" | ")
        rows.setdefault(rest, []).append(name)
    for rest, names in rows.items():
        pairs = {n: f"{n} (+ training)" for n in names if f"{n}_training" in names}
        shown = [
            pairs.get(n, n) for n in names if n.removesuffix("_training") not in pairs or n in pairs
        ]
        print(f"| {', '.join(shown)} | {rest}")


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m tests.src.tokens.template_families",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    main()
