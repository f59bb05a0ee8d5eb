"""A random Llama-shaped checkpoint with a trained tokenizer and a chat template, made in under two seconds.

`build(folder)` writes it once and answers the folder; a second call finds it there. Two layers, width 64, a
byte-level BPE of fewer than 512 tokens, a context of 512. The generation prompt opens no thinking.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CONTEXT = 512
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING_TEMPLATE = TEMPLATE.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
"""The same template with a generation prompt that opens the thinking, as some reasoning models have it."""
_TURNS = """{% for m in messages %}<|im_start|>{{ m['role'] }}
{% set text = m['content'] %}THINKING{{ text }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
OPENED{% endif %}"""
CUTTING_TEMPLATE = _TURNS.replace(
    "THINKING", "{% if '</think>' in text %}{% set text = text.split('</think>')[-1] %}{% endif %}"
).replace("OPENED", "<think>\n")
"""As DeepSeek-R1's: of an assistant's turn it leaves the thinking out, and opens that of the next."""
EMPTYING_TEMPLATE = _TURNS.replace(
    "THINKING",
    "{% if m['role'] == 'assistant' and '</think>' not in text %}<think>\n\n</think>\n\n{% endif %}",
).replace("OPENED", "")
"""As Qwen3's: to an assistant's turn without thinking that is over it adds an empty one."""

LINES = [
    "<think>\nFirst 10 * 3 = 30. Then 30 - 6 = 24.\nWait, let me check: 10 * 3 = 30.\n</think>\n\n"
    "The answer is \\boxed{24}.",
    "Dee has 12 apples. She buys 7 more and gives 5 away. How many apples does Dee have?",
    "Alternatively, add the two numbers first. Hmm, that is wrong. So the total is 19 - 5 = 14.",
    "What is 2 + 2? You are a helpful assistant. Answer with a number from 0 to 99.",
    "Let us find the sum of 8, 9, 6 and 13 step by step; it must be 36, because 8 + 9 = 17.",
]


def build(folder: Path, lines: Sequence[str] = LINES, phrases: Sequence[str] = ()) -> Path:
    """The checkpoint in `folder`, written if it is not there yet. Equal calls give equal weights.

    lines: what its tokenizer learns from. phrases: texts that are one token each.
    """
    folder = Path(folder)
    if not (folder / "config.json").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            _write(Path(scratch) / "model", _tokenizer(lines, phrases))
            os.replace(Path(scratch) / "model", folder)
    return folder


def _write(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    end = tokenizer.eos_token_id
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,  # of 32 dimensions: the least that vLLM computes with on a CPU
        num_key_value_heads=1,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        initializer_range=0.1,  # enough for the next token to depend on the text
        eos_token_id=end,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
    _lean(model, tokenizer)
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _lean(model, tokenizer) -> None:
    """Make what is sampled printable ASCII that ends by itself after some twenty tokens.

    Every input has a one in the first dimension; the head reads it as a constant, a bias on each token.
    """
    import torch

    with torch.no_grad():
        model.model.embed_tokens.weight[:, 0] = 1.0
        bias = model.lm_head.weight[:, 0]
        bias.zero_()
        for token in range(len(tokenizer)):
            if not (text := tokenizer.decode([token])).isascii() or not text.strip(" \n").isprintable():
                bias[token] = -5.0  # a lone byte of a longer character, or a control character
        bias[tokenizer.all_special_ids] = -5.0
        bias[tokenizer.eos_token_id] = 0.5


def _tokenizer(lines: Sequence[str], phrases: Sequence[str]) -> PreTrainedTokenizerFast:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=448,
        special_tokens=["<|pad|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(lines, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        eos_token="<|im_end|>",
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
        model_max_length=CONTEXT,
    )
    tokenizer.add_tokens(list(phrases))
    tokenizer.chat_template = TEMPLATE
    return tokenizer
