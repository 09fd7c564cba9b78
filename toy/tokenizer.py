"""The toy's tokenizer: byte-level BPE with single digits, about 400 tokens, and a ChatML template.

`python -m toy.tokenizer FOLDER` writes it, and the model configuration, as in toy/model_config.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from toy.conversations import student, tutor

VOCABULARY = 400
START, END, PAD = "<|im_start|>", "<|im_end|>", "<|endoftext|>"
CONTEXT = 512
TEMPLATE = (
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' -}}"
    "{%- if message.role == 'assistant' -%}"
    "{%- generation -%}{{- message.content + '<|im_end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message.content + '<|im_end|>' -}}{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)


def corpus() -> Iterator[str]:
    """The texts the merges are learnt from; no special token among them."""
    for source in (student, tutor):
        for conversation in source("train", 0, count=2000):
            for message in conversation["messages"]:
                yield message["role"]
                yield message["content"]


def build() -> Any:
    """A transformers PreTrainedTokenizerFast."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(corpus(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        chat_template=TEMPLATE,
    )


def model_config(tokenizer: Any) -> Any:
    """A Qwen2 of 224 thousand parameters.

    Heads of 32, the smallest that vLLM's attention on a CPU has; the usual initial spread of .02
    hardly learns to copy a digit in the time.
    """
    from transformers import Qwen2Config

    return Qwen2Config(
        architectures=["Qwen2ForCausalLM"],
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        initializer_range=0.09,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the toy's tokenizer and model config.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    tokenizer = build()
    tokenizer.save_pretrained(folder)
    model_config(tokenizer).save_pretrained(folder)
    print(f"{folder}: {len(tokenizer)} tokens")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
