"""How models write hidden planning: the markers, one line for each family's way.

Facts from the families' chat templates and from the reasoning parsers of vLLM 0.31
(vllm/reasoning, vllm/parser).
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThinkingFormat:
    """Hidden planning stands between `begin` and `end`, written as the model writes them.

    begins, ends: regular expressions without groups that find them; empty: `begin`, `end`
        themselves, in any case and with blanks inside the brackets.
    nests: each begin wants an end of its own; else the first end closes, as with channels.
    words: the markers are words that people say too: hidden only where a model declares them.
    """

    begin: str
    end: str
    begins: str = ""
    ends: str = ""
    nests: bool = True
    words: bool = False

    @property
    def begins_pattern(self) -> str:
        return self.begins or marker_pattern(self.begin)

    @property
    def ends_pattern(self) -> str:
        return self.ends or marker_pattern(self.end)

    def declared_in(self, text: str) -> bool:
        """Whether a template's source, a list of tokens or a rendered turn speaks of this format.

        One marker of a pair is enough, but for channels, whose markers families share.
        """
        found = [
            re.search(pattern, text, re.IGNORECASE) is not None
            for pattern in (marker_pattern(self.begin.strip()), self.ends_pattern)
        ]
        return any(found) if self.nests or self.words else all(found)


def marker_pattern(marker: str) -> str:
    """A regular expression for a marker: blanks may stand within its brackets."""
    lead, slash, name, tail = re.fullmatch(r"([^\w/]*)(/?)(.*?)(\W*)", marker, re.DOTALL).groups()  # type: ignore[union-attr]
    # no two neighbours may match the same blanks: a turn of 100,000 of them would be hours of work
    inner = r"\s*/\s*" if slash else r"\s*" if lead else ""
    words = r"\s+".join(re.escape(word) for word in name.split())
    return re.escape(lead) + inner + words + (r"\s*" if tail else "") + re.escape(tail)


TAGS = ThinkingFormat("<think>", "</think>")

KNOWN = (
    ThinkingFormat("[THINK]", "[/THINK]"),  # Mistral
    ThinkingFormat("<seed:think>", "</seed:think>"),  # Seed-OSS
    ThinkingFormat("<mm:think>", "</mm:think>"),  # MiniMax-M3
    ThinkingFormat(  # Hunyuan: <think:opensource>
        "<think:x>", "</think:x>", r"<\s*think:[^\s<>]+\s*>", r"<\s*/\s*think:[^\s<>]+\s*>"
    ),
    ThinkingFormat(  # K2-Horizon: <ifm|think_fast>
        "<ifm|think>", "</ifm|think>", r"<ifm\|think\w*>", r"</ifm\|think\w*>"
    ),
    ThinkingFormat(  # LongCat: <longcat_think>
        "<x_think>", "</x_think>", r"<\s*\w+_think\s*>", r"<\s*/\s*\w+_think\s*>"
    ),
    ThinkingFormat("<thinking>", "</thinking>"),
    ThinkingFormat("<thought>", "</thought>"),  # EXAONE
    ThinkingFormat("<reasoning>", "</reasoning>"),
    ThinkingFormat("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere
    ThinkingFormat("<|inner_prefix|>", "<|inner_suffix|>"),  # Apertus
    ThinkingFormat("<|begin_of_thought|>", "<|end_of_thought|>"),  # Sky-T1, OpenThinker
    ThinkingFormat("\u25c1think\u25b7", "\u25c1/think\u25b7"),  # Kimi-VL
    ThinkingFormat("<unused94>", "<unused95>"),  # MedGemma
    ThinkingFormat(  # Kimi-K3
        "<|open|>think<|sep|>",
        "<|close|>think<|sep|>",
        r"<\|open\|>\s*think\s*<\|sep\|>",
        r"<\|close\|>\s*think\s*<\|sep\|>",
    ),
    ThinkingFormat("<|channel>", "<channel|>", nests=False),  # Gemma 4
    ThinkingFormat(  # harmony: every channel but the final one
        "<|channel|>analysis<|message|>",
        "<|channel|>final<|message|>",
        r"<\|channel\|>(?!\s*final)",
        r"<\|channel\|>\s*final[^<>]*<\|message\|>",
        nests=False,
    ),
    ThinkingFormat(  # Inkling
        "<|content_thinking|>", "<|content_text|>", nests=False
    ),
    ThinkingFormat("<|think|>", "<|content|>", nests=False),  # Solar
    ThinkingFormat(  # Muse Glimmer
        "to=self<|message|>",
        "to=user<|message|>",
        r"to=self<\|message\|>",
        r"to=user<\|message\|>",
        nests=False,
    ),
    ThinkingFormat(  # Apriel
        "Here are my reasoning steps:\n",
        "[BEGIN FINAL RESPONSE]",
        r"Here are my reasoning steps:",
        nests=False,
        words=True,
    ),
    ThinkingFormat(  # Granite 3.2
        "Here is my thought process:",
        "Here is my response:",
        r"Here(?:'s| is) my thought process:",
        r"Here(?:'s| is) my response:",
        nests=False,
        words=True,
    ),
)

# Apriel's, as a hosted model shows it: its endpoint's template wrote the opening, or it did itself.
FINAL_RESPONSE = ThinkingFormat(
    "Here are my reasoning steps:\n",
    "[BEGIN FINAL RESPONSE]",
    r"\A\s*Here are my reasoning steps:(?=[\s\S]*\[BEGIN FINAL RESPONSE\])",
    nests=False,
)

# What some formats write around the answer that follows the thinking; it is no part of it.
AROUND_ANSWERS = (
    "<|START_RESPONSE|>",
    "<|END_RESPONSE|>",
    "<|START_TEXT|>",
    "<|END_TEXT|>",
    "<answer>",
    "</answer>",
    "<response>",
    "</response>",
    "[END FINAL RESPONSE]",
    "<|begin_of_solution|>",
    "<|end_of_solution|>",
    "<|open|>response<|sep|>",
    "<|close|>response<|sep|>",
)
