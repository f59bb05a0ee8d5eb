"""What is scored: random Llamas, texts as long as memory allows, and the least time that this can take."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import psutil
import torch
from tiny_model import build

LONGEST, SHORTEST, PROMPT = 8_000, 200, 60  # tokens
SHARE = 0.6  # of the free memory, for the logits of the longest text, twice
WORDS = "so the sum of apples is wrong check let find total add two numbers first answer many does".split()

Text = tuple[list[int], list[int]]  # the tokens of the prompt and of the text


def checkpoint(folder: Path, vocabulary: int, context: int) -> Path:
    """A random Llama of four layers and width 128, with the tokenizer of the tests."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(build(folder / "tokenizer"))
    tokenizer.model_max_length = context
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=context,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    torch.manual_seed(0)
    path = folder / f"vocabulary-{vocabulary}"
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def texts(count: int, longest: int, tokenizer: Any) -> list[tuple[str, str]]:
    """Prompts and texts; every prompt is asked twice in a row, as samples of one problem are."""
    dice = random.Random(0)
    found: list[tuple[str, str]] = []
    for i in range(count):
        length = round(SHORTEST * (longest / SHORTEST) ** dice.random())
        prompt = found[-1][0] if i % 2 else words(PROMPT, dice, tokenizer)
        found.append((prompt, "= " + words(length, dice, tokenizer)))  # a token of its own on either side
    return found


def words(tokens: int, dice: random.Random, tokenizer: Any) -> str:
    """Random words of about so many tokens."""
    drawn = [f"{dice.choice(WORDS)} {dice.randrange(100)}" for _ in range(tokens)]
    ids = tokenizer(" ".join(drawn), verbose=False)["input_ids"][:tokens]
    return str(tokenizer.decode(ids)).rstrip()


def tokens_of(asked: list[tuple[str, str]], tokenizer: Any) -> list[Text]:
    """The tokens of prompt and text as they are cut together; the same that data-juicer counts."""
    found = []
    for prompt, text in asked:
        whole, own = tokenizer(f"{prompt} {text}")["input_ids"], len(tokenizer(text)["input_ids"])
        found.append((whole[:-own], whole[-own:]))
    return found


def longest(vocabulary: int, device: str) -> int:
    """Tokens, LONGEST at most, of a text whose logits fit twice into a share of the memory that is free."""
    return min(LONGEST, int(SHARE * free(device) / (2 * 4 * vocabulary)))


def free(device: str) -> int:
    """Bytes that are free, of the GPU or of this machine."""
    on_gpu = device.startswith("cuda")
    return torch.cuda.mem_get_info(device)[0] if on_gpu else psutil.virtual_memory().available


def multiplications(model: Any, asked: list[Text]) -> float:
    """Floating-point operations of the products of matrices that scoring these texts cannot do without."""
    config = model.config
    linear = sum(m.weight.numel() for m in model.base_model.modules() if isinstance(m, torch.nn.Linear))
    head, width = config.vocab_size * config.hidden_size, config.num_hidden_layers * config.hidden_size
    total, shared = 0.0, None
    for prompt, text in asked:
        first = 0 if prompt != shared else len(prompt)  # its keys and values are there
        last, shared = len(prompt) + len(text), prompt
        pairs = (last**2 - first**2) / 2  # of a token and one that it may look at
        total += 2 * (linear * (last - first) + head * len(text) + 2 * width * pairs)
    return total


def fastest(device: str) -> float:
    """Floating-point operations a second of a product of two large matrices, the best of ten."""
    side = 8192 if device.startswith("cuda") else 4096
    a, b = torch.rand(side, side // 2, device=device), torch.rand(side // 2, side, device=device)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        (a @ b)[0, 0].item()  # a GPU has not done it before it is asked for the result
        seconds.append(time.perf_counter() - start)
    return 2 * a.shape[0] * a.shape[1] * b.shape[1] / min(seconds)
