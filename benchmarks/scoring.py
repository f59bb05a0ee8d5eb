"""Tokens scored per second: the hf engine beside a plain loop and data-juicer's perplexity operator.

    python benchmarks/scoring.py [--texts N] [--repeats N] [--device cuda]     # 25 minutes on two cores

All score the same texts of 200 to 8,000 tokens (log-uniform, from a seed), with the same weights in float32;
the medians are printed, and the largest difference of a log-probability. The plain loop is what a notebook
does, one text at a time with all its logits: `model(ids).logits.log_softmax(-1)`, and of it each token's; it
and the engine take turns in one process. data-juicer is its `llm_perplexity_filter`, sample by sample, in an
environment that the first run makes (`.venv-peers-data_juicer`, from a lock) on top of this one, so with the
same torch and transformers; it tells a text's perplexity alone, so "apart" is then of the mean. Its other
operator, `perplexity_filter`, asks a KenLM model that it downloads, and no checkpoint: it is not comparable.

Models are random Llamas of one body and three vocabularies: with a small one the time goes into the body,
where nobody can be much faster than anybody; real tokenizers have 32,000 to 152,000 tokens. Both others hold
a text's logits twice, so for a large vocabulary texts are only as long as fits into 60 % of the memory that
is free ("longest"). Every vocabulary is raced in a process of its own: if it is killed, the others are not.

The bound is what these texts would take if the model's multiplications were all there is to do, at the speed
of the device's own product of large matrices in float32, measured beside it (masked attention counts half;
a prompt that two texts share counts once): nobody is faster without computing less, or in fewer bits. The
last table is memory: a fresh process scores one text of 32,000 tokens over 150,000, its log-probabilities
alone or all there is to ask; a plain loop would hold twice the logits, which is worked out and not tried.
Exit code 1 where anybody is more than 1e-4 apart.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import torch  # noqa: E402
from peers.environment import environment  # noqa: E402
from peers.machine import facts, wanted  # noqa: E402
from peers.scored import (  # noqa: E402
    LONGEST,
    PROMPT,
    SHORTEST,
    Text,
    checkpoint,
    fastest,
    free,
    longest,
    multiplications,
    texts,
    tokens_of,
)
from transformers import AutoTokenizer  # noqa: E402

from curate.engines.hf import HF  # noqa: E402

HERE = ROOT / "benchmarks" / "peers" / "scoring"
VOCABULARIES = (512, 32_000, 151_936)
WIDE, LONG = 150_000, 32_000  # vocabulary and tokens of the proof of memory
ALL = "entropy, rank, top 20"
MORE: dict[str, dict[str, Any]] = {"": {}, ALL: {"entropy": True, "rank": True, "top_k": 20}}
TOLERANCE = 1e-4


@torch.inference_mode()
def plain(model: Any, asked: list[Text]) -> list[list[float]]:
    """One text at a time, all logits at once."""
    found = []
    for prompt, text in asked:
        ids = torch.tensor([prompt + text], device=model.device)
        chances = model(ids).logits.log_softmax(-1)
        own = chances[0, len(prompt) - 1 : -1].gather(-1, ids[0, len(prompt) :, None])
        found.append(own[:, 0].tolist())
        del chances  # else it is held until the next ones are there
    return found


async def ours(engine: HF, asked: list[Text], **more: Any) -> list[list[float]]:
    """All texts at once, as a score step asks them."""
    calls = [engine.score_ids(prompt, text, [(0, 0)] * len(text), **more) for prompt, text in asked]
    return [list(scores.logprob) for scores in await asyncio.gather(*calls)]


async def race(path: Path, asked: list[Text], repeats: int, device: str) -> dict[str, Any]:
    """Seconds of the plain loop and of ours, by turns, and of the bound; how far apart; each text's mean."""
    seconds: tuple[list[float], list[float]] = ([], [])
    async with HF(str(path), dtype="float32", device=device) as engine:
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
    loop, engine_s = map(statistics.median, seconds)
    bound, nats = multiplications(model, asked) / fastest(device), [-statistics.fmean(row) for row in other]
    return {"plain": loop, "ours": engine_s, "bound": bound, "apart": apart, "nats": nats}


def child(command: list[Any], variables: dict[str, str] | None = None) -> dict[str, Any] | str:
    """What a process prints last, or a sentence that says why it printed nothing."""
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, env={**os.environ, **(variables or {})}
    )
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}" + " (out of memory?)" * (done.returncode == -9)
    if done.returncode:
        return f"failed: {done.stderr.strip().splitlines()[-1][:200] if done.stderr.strip() else 'no word'}"
    return json.loads(done.stdout.strip().splitlines()[-1])  # type: ignore[no-any-return]


def peer(path: Path, texts: Path, repeats: int, device: str) -> dict[str, Any] | str:
    """Median seconds of data-juicer and the mean of each text, or why there are none."""
    python = environment("data_juicer", HERE / "data_juicer.txt")
    if isinstance(python, str):
        return python
    ours = {"PYTHONPATH": sysconfig.get_paths()["purelib"]}  # torch and transformers, the same
    if not device.startswith("cuda"):
        ours["CUDA_VISIBLE_DEVICES"] = ""  # it would take a GPU that is there
    found = child([python, HERE / "of_data_juicer.py", path, texts, repeats], ours)
    return found if isinstance(found, str) else {**found, "median": statistics.median(found["seconds"])}


COLUMNS = (
    "vocabulary", "longest", "tokens", "plain loop, tok/s", "data-juicer, tok/s", "hf engine, tok/s",
    "bound, tok/s", "of the bound", "× plain", "× data-juicer", "apart", "apart, mean",
)  # fmt: skip


def line(vocabulary: int, folder: Path, options: argparse.Namespace) -> tuple[list[str], float]:
    """The cells of a line of the table, and the largest difference in it."""
    most = longest(vocabulary, options.device)
    if most < 2 * SHORTEST:
        return [f"{vocabulary:,}", f"{most:,}: a plain loop does not fit into memory"], 0.0
    path = checkpoint(folder, vocabulary, LONGEST + 2 * PROMPT)
    tokenizer = AutoTokenizer.from_pretrained(path)
    asked, file = texts(options.texts, most, tokenizer), folder / "texts.json"
    file.write_text(json.dumps(asked), encoding="utf-8")
    total = sum(len(text) for _, text in tokens_of(asked, tokenizer))
    head = [f"{vocabulary:,}", f"{most:,}", f"{total:,}"]
    found = child([sys.executable, __file__, "--race", path, file, options.repeats, options.device])
    if isinstance(found, str):
        return [*head, found], 0.0
    other, off = peer(path, file, options.repeats, options.device), 0.0
    theirs = ["–"] * 3
    if isinstance(other, str):
        print(f"data-juicer: {other}", file=sys.stderr)
    else:
        off = max(abs(a - b) for a, b in zip(found["nats"], other["nats"], strict=True))
        theirs = [f"{total / other['median']:,.0f}", f"{other['median'] / found['ours']:.2f}", f"{off:.1e}"]
    loop, engine, bound = (f"{total / found[who]:,.0f}" for who in ("plain", "ours", "bound"))
    ratio, apart = f"{found['plain'] / found['ours']:.2f}", f"{found['apart']:.1e}"
    share = f"{found['bound'] / found['ours']:.0%}"
    cells = [*head, loop, theirs[0], engine, bound, share, ratio, theirs[1], apart, theirs[2]]
    return cells, max(found["apart"], off)


def peak_mb() -> float:
    """The most memory this process has had, in MB."""
    status = Path("/proc/self/status").read_text()  # ru_maxrss would know the parent's as well
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1000


async def long_text(path: Path, tokens: int, more: str) -> None:
    """Score one text in this process, and print how much memory that took."""
    dice = random.Random(0)
    async with HF(str(path), dtype="float32", device="cpu") as engine:
        await ours(engine, [([1, 2, 3], [4, 5, 6])])
        loaded = peak_mb()
        start = time.perf_counter()
        await ours(engine, [([1, 2, 3], [dice.randrange(WIDE) for _ in range(tokens)])], **MORE[more])
        seconds = time.perf_counter() - start
    peak, asked = peak_mb(), f"log-probability{', ' * bool(more)}{more}"
    print(f"| {tokens:,} | {asked} | {loaded:,.0f} | {peak:,.0f} | {peak - loaded:,.0f} | {seconds:.1f} |")


def alone(options: argparse.Namespace) -> None:
    """What a process of its own does: a race, or the proof of memory."""
    if options.long:
        asyncio.run(long_text(Path(options.long[0]), int(options.long[1]), options.long[2]))
        return
    path, file, repeats, device = options.race
    asked = tokens_of(json.loads(Path(file).read_text(encoding="utf-8")), AutoTokenizer.from_pretrained(path))
    print(json.dumps(asyncio.run(race(Path(path), asked, int(repeats), device))))


def speed(folder: Path, options: argparse.Namespace) -> float:
    """Print the table of speeds; the largest difference in it."""
    room = f"on {options.device} {free(options.device) / 1e9:.1f} GB free"
    print(f"{facts('torch', 'transformers')}, {room}\n", flush=True)
    print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|", flush=True)
    worst, ratios = 0.0, {}
    for vocabulary in options.vocabulary or VOCABULARIES:
        cells, apart = line(vocabulary, folder, options)
        worst = max(worst, apart)
        print(f"| {' | '.join(cells)} |", flush=True)
        ratios |= {cells[0]: float(cells[8])} if len(cells) == len(COLUMNS) else {}
    print()
    for size, ratio in ratios.items():
        wanted(f"3 times the plain loop with {size} words", f"{ratio:.2f} times", ratio >= 3)
    return worst


def memory(folder: Path) -> bool:
    """Print the table of memory; whether every text was scored."""
    logits = LONG * WIDE * 4 / 1e6
    print(f"\nOne text over a vocabulary of {WIDE:,}; a plain loop would hold {2 * logits:,.0f} MB more.\n")
    head = ("tokens", "asked", "MB with the model loaded", "peak MB", "more", "seconds")
    print(f"| {' | '.join(head)} |\n{'|---' * len(head)}|", flush=True)
    path, whole = checkpoint(folder, WIDE, LONG + 100), True
    for tokens, more in ((LONG // 4, ""), (LONG, ""), (LONG, ALL)):
        command = [sys.executable, __file__, "--long", str(path), str(tokens), more]
        if code := subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
            print(f"| {tokens:,} | {more} | ended with code {code} |", flush=True)
            whole = False
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=int, default=24)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--device", default="cpu", help="of the races; the proof of memory is a CPU's")
    parser.add_argument("--vocabulary", type=int, nargs="*", help="these alone, and no proof of memory")
    parser.add_argument("--long", nargs=3, metavar=("CHECKPOINT", "TOKENS", "MORE"))  # one text
    parser.add_argument("--race", nargs=4, metavar=("CHECKPOINT", "TEXTS", "REPEATS", "DEVICE"))  # one alone
    options = parser.parse_args()
    if options.long or options.race:
        alone(options)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        worst = speed(Path(scratch), options)
        whole = bool(options.vocabulary) or memory(Path(scratch))
    return int(worst > TOLERANCE or not whole)


if __name__ == "__main__":
    sys.exit(main())
