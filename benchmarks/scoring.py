"""Tokens scored per second: the hf engine beside a plain loop, one text at a time with all its logits.

    python benchmarks/scoring.py [--texts N] [--repeats N]     # about five minutes on two cores

Both score the same texts of 200 to 8,000 tokens (log-uniform, from a seed) in the same process, with the
same weights in float32, by turns; the medians are printed, and the largest difference of a log-probability.
The plain loop is what a notebook does: `model(ids).logits.log_softmax(-1)`, and of it each token's. Models
are random Llamas of one body and three vocabularies: with a small one the time goes into the body, where
nobody can be much faster than anybody; real tokenizers have 32,000 to 152,000 tokens.

The bound is what these texts would take if the model's multiplications were all there is to do, at the speed
of this machine's own product of large matrices in float32, measured beside it (masked attention counts half;
a prompt that two texts share counts once): nobody is faster without computing less, or in fewer bits. The
last table is memory: a fresh process scores one text of 32,000 tokens over 150,000. Exit code 1 where a
log-probability differs by more than 1e-4.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import torch  # noqa: E402
from tiny_model import build  # noqa: E402

from curate.engines.hf import HF  # noqa: E402

VOCABULARIES = (512, 32_000, 151_936)
LONGEST, SHORTEST, PROMPT = 8_000, 200, 60
WIDE, LONG = 150_000, 32_000  # vocabulary and tokens of the proof of memory
TOLERANCE = 1e-4

Text = tuple[list[int], list[int]]


def checkpoint(folder: Path, vocabulary: int, context: int) -> Path:
    """A random Llama of four layers and width 128, with the tokenizer of the tests."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(build(folder / "tokenizer"))
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


def texts(count: int, vocabulary: int) -> list[Text]:
    """Prompts and texts as tokens; every prompt is asked twice in a row, as samples of one problem are."""
    dice = random.Random(0)
    found: list[Text] = []
    for i in range(count):
        length = round(SHORTEST * (LONGEST / SHORTEST) ** dice.random())
        prompt = found[-1][0] if i % 2 else [dice.randrange(vocabulary) for _ in range(PROMPT)]
        found.append((prompt, [dice.randrange(vocabulary) for _ in range(length)]))
    return found


@torch.inference_mode()
def plain(model: Any, asked: list[Text]) -> list[list[float]]:
    """One text at a time, all logits at once."""
    found = []
    for prompt, text in asked:
        chances = model(torch.tensor([prompt + text])).logits.log_softmax(-1)
        own = chances[0, len(prompt) - 1 : -1].gather(-1, torch.tensor(text)[:, None])
        found.append(own[:, 0].tolist())
        del chances  # else it is held until the next ones are there
    return found


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


def fastest() -> float:
    """Floating-point operations a second of a product of two large matrices, the best of ten."""
    a, b = torch.rand(4096, 2048), torch.rand(2048, 4096)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - start)
    return 2 * a.shape[0] * a.shape[1] * b.shape[1] / min(seconds)


async def ours(engine: HF, asked: list[Text]) -> list[list[float]]:
    """All texts at once, as a score step asks them."""
    calls = [engine.score_ids(prompt, text, [(0, 0)] * len(text)) for prompt, text in asked]
    return [list(scores.logprob) for scores in await asyncio.gather(*calls)]


async def race(path: Path, asked: list[Text], repeats: int) -> tuple[float, float, float, float]:
    """Median seconds of the plain loop and of ours, by turns; the bound; the largest difference."""
    seconds: tuple[list[float], list[float]] = ([], [])
    async with HF(str(path), dtype="float32", device="cpu") as engine:
        model = engine.checkpoint.model
        plain(model, asked[:1])
        await ours(engine, asked[:1])
        for _ in range(repeats):
            start = time.perf_counter()
            one = plain(model, asked)
            middle = time.perf_counter()
            other = await ours(engine, asked)
            seconds[0].append(middle - start)
            seconds[1].append(time.perf_counter() - middle)
    apart = max(abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True))
    bound = multiplications(model, asked) / fastest()
    return statistics.median(seconds[0]), statistics.median(seconds[1]), bound, apart


def peak_mb() -> float:
    """The most memory this process has had, in MB."""
    status = Path("/proc/self/status").read_text()  # ru_maxrss would know the parent's as well
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1000


async def long_text(path: Path, tokens: int) -> None:
    """Score one text in this process, and print how much memory that took."""
    dice = random.Random(0)
    async with HF(str(path), dtype="float32", device="cpu") as engine:
        await ours(engine, [([1, 2, 3], [4, 5, 6])])
        before = peak_mb()
        start = time.perf_counter()
        await ours(engine, [([1, 2, 3], [dice.randrange(WIDE) for _ in range(tokens)])])
        seconds = time.perf_counter() - start
    print(f"| {tokens:,} | {before:,.0f} | {peak_mb():,.0f} | {peak_mb() - before:,.0f} | {seconds:.1f} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", nargs=2, metavar=("CHECKPOINT", "TOKENS"), help="the proof of memory alone")
    options = parser.parse_args()
    if options.long:
        asyncio.run(long_text(Path(options.long[0]), int(options.long[1])))
        return 0
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}\n"
    )
    print("| vocabulary | tokens | plain loop, tok/s | hf engine, tok/s | ratio | bound, tok/s | apart |")
    print("|---|---|---|---|---|---|---|")
    worst = 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for vocabulary in VOCABULARIES:
            asked = texts(options.texts, vocabulary)
            path = checkpoint(Path(scratch), vocabulary, LONGEST + 2 * PROMPT)
            loop, engine, bound, apart = asyncio.run(race(path, asked, options.repeats))
            total, worst = sum(len(text) for _, text in asked), max(worst, apart)
            speeds = (
                f"{total / loop:,.0f} | {total / engine:,.0f} | {loop / engine:.2f} | {total / bound:,.0f}"
            )
            print(f"| {vocabulary:,} | {total:,} | {speeds} | {apart:.1e} |", flush=True)
        logits = f"all its logits would be {LONG * WIDE * 4 / 1e6:,.0f} MB"
        print(f"\nOne text, over a vocabulary of {WIDE:,} ({logits}).\n")
        print(
            "| tokens | MB with the model loaded | peak MB | more | seconds |\n|---|---|---|---|---|",
            flush=True,
        )
        path = checkpoint(Path(scratch), WIDE, LONG + 100)
        for tokens in (LONG // 4, LONG):
            command = [sys.executable, __file__, "--long", str(path), str(tokens)]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
