"""Models of Qwen2.5's shapes with random weights, made on the spot, and a small tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MARKERS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
ENTROPY = 1.0  # nats: what a chat model's next token has, about


def make_tokenizer(words: int) -> Any:
    """Bytes, then made-up words that no text contains, so that every id below `words` decodes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = sorted(pre_tokenizers.ByteLevel.alphabet())
    names += [f"w{number}" for number in range(words - len(names) - len(MARKERS))]
    raw = Tokenizer(models.BPE(vocab={name: at for at, name in enumerate(names)}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens(list(MARKERS))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHATML
    return tokenizer


def shape(name: str, dry: bool) -> Any:
    """transformers' config of `qwen2.5-<size>`, its head untied; two small layers if `dry`."""
    from transformers import Qwen2Config

    from src.memory_plan.shapes import known_config

    if not dry:
        config = known_config(name)
    else:
        config = Qwen2Config(
            vocab_size=320,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            initializer_range=0.2,
        )
    config.tie_word_embeddings = False
    config.max_position_embeddings = 16384
    config.bos_token_id, config.pad_token_id = None, config.vocab_size - 3
    config.eos_token_id = config.vocab_size - 1
    return config


def random_model(name: str, dry: bool, seed: int = 0) -> Any:
    """On the GPU in bf16, in fp32 without one; its next token has about ENTROPY nats."""
    import torch
    from transformers import Qwen2ForCausalLM

    torch.manual_seed(seed)
    cuda = torch.cuda.is_available()
    config = shape(name, dry)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if cuda else torch.float32)
    try:
        with torch.device("cuda" if cuda else "cpu"):
            model = Qwen2ForCausalLM(config)
    finally:
        torch.set_default_dtype(before)
    model.config.dtype = model.dtype
    _scale_head(model.eval())
    return model


def _scale_head(model: Any) -> None:
    """The head times a factor by bisection; it never ends a turn by itself."""
    import torch

    with torch.no_grad():
        weight = model.lm_head.weight
        weight[model.config.eos_token_id] = 0.0
        ids = torch.randint(0, model.config.vocab_size - 3, (1, 128), device=weight.device)
        logits = model(ids).logits[0].float()
        low, high = 1e-2, 1e3
        for _ in range(30):
            middle = (low * high) ** 0.5
            rows = (logits * middle).log_softmax(-1)
            if -(rows.exp() * rows).sum(-1).mean() > ENTROPY:
                low = middle
            else:
                high = middle
        weight.mul_(low)


def model_folder(name: str, work: Path, dry: bool) -> Path:
    """The model's folder in `work`, made at the first call; weights in bf16 on a GPU."""
    folder = work / "models" / f"random-{name}"  # a name that no table of shapes knows
    if (folder / "tokenizer.json").exists():
        return folder
    model = random_model(name, dry)
    model.save_pretrained(folder)
    make_tokenizer(model.config.vocab_size).save_pretrained(folder)
    return folder
