"""A byte-level tokenizer and a tiny random chat model, made on the spot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

END = 256  # <|im_end|>
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """256 bytes, then <|im_end|>, <|im_start|> and <|endoftext|>: a vocabulary of 259."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    fast.chat_template = TEMPLATE
    assert fast.convert_tokens_to_ids("<|im_end|>") < 259 and len(fast) == 259
    return fast


def tiny_model(*, layers: int = 2, seed: int = 0, **changes: Any) -> Qwen2ForCausalLM:
    """Random weights, head_dim 32 (vLLM's CPU kernels need it), about 200,000 parameters."""
    torch.manual_seed(seed)
    values: dict[str, Any] = {
        "vocab_size": 288,
        "hidden_size": 64,
        "intermediate_size": 192,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,  # far from uniform, so that errors show
        "tie_word_embeddings": True,
        "eos_token_id": byte_tokenizer().eos_token_id,
        "pad_token_id": byte_tokenizer().pad_token_id,
    }
    return Qwen2ForCausalLM(Qwen2Config(**(values | changes))).eval()


def save_checkpoint(folder: Path) -> Path:
    tiny_model().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder
