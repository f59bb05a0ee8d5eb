"""How busy a run keeps its engine: tokens a second beside the bare engine, and where the engine waits.

    python benchmarks/busy_engine.py [small]        # three quarters of an hour on two cores; small: minutes

1. `Sample` over the demo's problems and teacher, from the problems' file to the finished run, without the
   loading of the model. Beside it the bare engine, given the same requests at once: for `hf` transformers'
   `generate` in batches of as many rows, sorted by length; for `vllm` AsyncLLM.generate, before each run and
   after it, on the engine that the run has opened, its prompts cut into tokens beforehand, asked in two ways:
   as it stands, and without the text, as our engine asks it. vLLM's build for the CPU has an environment of
   its own, which `make install-vllm` makes. The texts are compared with those that the engine gives to the
   same requests without a pipeline; in bfloat16 a few differ, by rounding.
   `generate` runs in a thread that ends: those that torch keeps for one that stays slow the engine, as they
   would in a notebook that has used torch itself.
2. A whole pipeline: sample, verify, a rewriter of six calls a row, verify again. Counted is the time from the
   first question to the last answer in which the engine has half as many sequences as it can hold, or more;
   fewer (the tail of a step, its beginning); none (the CPU verifies, files are written); and that in which a
   model is loaded. Of what is less than half full, what lies behind the last moment of half full is the run's
   own tail: too few rows are left of any step. The rest is what the borders between steps cost. Once on
   `hf`, and on an engine that answers when a GPU would: 128 sequences in continuous batching, a step of 1 ms
   and 8 µs for each sequence, log-normal lengths (median 400 tokens, sigma 0.7, at most 2048).

Medians of five rounds, of shares those of each round; on vLLM of eleven. Exit code 1 where more than one text
in ten differs, or vLLM is installed and fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the command line does, before anything loads torch
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from peers.bare import generated, spoken, vllm_alone  # noqa: E402
from peers.busy import WatchedHF, WatchedVLLM  # noqa: E402
from peers.environment import Failed, with_vllm  # noqa: E402
from peers.machine import facts, wanted  # noqa: E402
from peers.report import table  # noqa: E402
from peers.waits import lost, print_shares, simulated, whole  # noqa: E402

import curate  # noqa: E402
from curate.demo import WORLD  # noqa: E402
from curate.step import Completion  # noqa: E402

TEACHER, BATCH, ROUNDS, ROUNDS_VLLM = WORLD / "teacher", 128, 5, 11
BOUNDS = {"hf": 0.95, "vllm": 0.97, "vllm, asked in our way": 0.97}  # wanted of the bare engine


def problems(count: int) -> Any:
    return curate.read(WORLD / "problems.jsonl").head(count)


def sampled(engine: Any, count: int, n: int) -> tuple[float, int, set[str]]:
    """Seconds without those in which the model was loaded, output tokens, and what was said."""
    gauge = engine.gauge
    gauge.asked.clear(), gauge.closed.clear()
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run = curate.Pipeline(problems(count), [curate.Sample(engine, n=n)]).run(Path(folder) / "run")
        seconds = time.perf_counter() - begin - sum(b - a for a, b in gauge.closed)
        traces = run.traces.select("thinking", "response", "output_tokens").collect()
    return seconds, traces["output_tokens"].sum(), set(map(str, traces.rows()))


async def engine_alone(engine: Any, asked: Sequence[Any]) -> tuple[float, list[Completion]]:
    """Seconds of our engine for the same requests at once, and the answers."""
    async with engine:
        begin = time.perf_counter()
        found = await asyncio.gather(*(engine.chat(messages, **options) for messages, options in asked))
        return time.perf_counter() - begin, [completion for [completion] in found]


async def one_at_a_time(engine: Any, asked: Sequence[Any]) -> float:
    """Tokens a second."""
    async with engine:
        begin = time.perf_counter()
        tokens = [(await engine.chat(messages, **options))[0].output_tokens for messages, options in asked]
        return sum(tokens) / (time.perf_counter() - begin)


def in_a_thread(ask: Callable[..., float], *args: Any) -> float:
    """In one that ends, as the engine's does."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask, *args).result()


def compare_hf(count: int, n: int, rounds: int) -> dict[str, Any]:
    """Of `hf`, beside `generate` and beside our engine without a pipeline."""
    engine = WatchedHF(str(TEACHER), max_tokens=160)
    sampled(engine, 4, 1)  # what is slow for once
    mine, bare, alone, same = [], [], [], []
    for _ in range(rounds):
        seconds, tokens, texts = sampled(engine, count, n)
        mine.append(tokens / seconds)
        asked = list(engine.gauge.asked)
        bare.append(in_a_thread(generated, engine, asked, BATCH))
        seconds, answers = asyncio.run(engine_alone(engine, asked))
        alone.append(tokens / seconds)
        same.append(len(texts & spoken(answers)) / len(texts))
    single = asyncio.run(one_at_a_time(engine, asked[:: max(1, len(asked) // 24)]))
    return figures("hf", len(asked), mine, bare, single, same) | {"engine": statistics.median(alone)}


def compare_vllm(count: int, n: int, rounds: int) -> list[dict[str, Any]]:
    """Of `vllm`; each run lies between feeds of the bare engine, in both ways, on the engine it opened."""
    plain, asked, fed = WatchedVLLM(str(TEACHER), max_tokens=160), [], []

    async def feed(open_engine: Any) -> None:
        """The two ways in turns: which is asked first before a run is asked last after it."""
        ways = [True, False] if len(fed) // 2 % 4 in (0, 3) else [False, True]
        if len(fed) % 4 == 0:
            await vllm_alone(open_engine, asked[: open_engine.concurrency], True)  # what is slow for once
        fed.extend([(reads, *await vllm_alone(open_engine, asked, reads)) for reads in ways])

    engine = WatchedVLLM(str(TEACHER), max_tokens=160, beside=feed)
    sampled(plain, count, n)
    asked += plain.gauge.asked
    mine, bare, same = [], {True: [], False: []}, {True: [], False: []}
    for _ in range(rounds):
        seconds, tokens, texts = sampled(engine, count, n)
        mine.append(tokens / seconds)
        for reads in (True, False):
            (before, said), (after, again) = (found for way, *found in fed[-4:] if way == reads)
            bare[reads].append(2 / (1 / before + 1 / after))  # of all tokens, all seconds
            same[reads].append(len(texts & said & again) / len(texts))
    single = asyncio.run(one_at_a_time(plain, asked[:: max(1, len(asked) // 24)]))
    kinds = {"vllm": True, "vllm, asked in our way": False}
    return [
        figures(kind, len(asked), mine, bare[reads], single, same[reads]) | {"engine": None}
        for kind, reads in kinds.items()
    ]


def figures(
    kind: str, requests: int, mine: list[float], bare: list[float], single: float, same: list[float]
) -> dict[str, Any]:
    """Medians of tokens a second; of shares each round's."""
    share = [sample / alone for sample, alone in zip(mine, bare, strict=True)]
    rates = {"sample": statistics.median(mine), "bare": statistics.median(bare), "single": single}
    return {"kind": kind, "requests": requests, **rates, "same": min(same), "share": share}


def print_rates(found: Sequence[dict[str, Any]]) -> None:
    head = ["tokens/s", "requests", "Sample", "bare engine", "our engine alone", "one at a time",
            "Sample / bare, %", "lowest to highest", "Sample / one at a time", "same texts, %"]  # fmt: skip
    lines = [
        [f["kind"], f["requests"], f["sample"], f["bare"], f["engine"], f["single"],
         100 * statistics.median(f["share"]), f"{100 * min(f['share']):.0f} to {100 * max(f['share']):.0f}",
         f["sample"] / f["single"], 100 * f["same"]]
        for f in found
    ]  # fmt: skip
    print(table(head, lines) + "\n", flush=True)


def print_wanted(rates: Sequence[dict[str, Any]], shares: dict[str, dict[str, Any]]) -> None:
    print()
    for f in rates:
        bound, share, times = BOUNDS[f["kind"]], statistics.median(f["share"]), f["sample"] / f["single"]
        wanted(f"{f['kind']}: {bound:.0%} of the bare engine", f"{share:.1%}", share >= bound)
        wanted(f"{f['kind']}: 5 times one at a time", f"{times:.1f} times", times >= 5)
    for name, f in shares.items():
        less, borders = lost(f)["less"], lost(f)["borders"]
        wanted(f"{name}: at most 10 % of the time less than half full", f"{less:.1%}", less <= 0.1)
        wanted(f"{name}: borders between steps cost at most 10 %", f"{borders:.1%}", borders <= 0.1)


def main() -> int:
    if sys.argv[1:2] == ["vllm"]:
        print(json.dumps(compare_vllm(*map(int, sys.argv[2:]))))
        return 0
    small = sys.argv[1:] == ["small"]
    size, of_vllm = ((48, 2, 1), (48, 2, 1)) if small else ((256, 3, ROUNDS), (256, 12, ROUNDS_VLLM))
    print(facts("torch") + "\n", flush=True)
    ours, theirs = compare_hf(*size), with_vllm(__file__, *of_vllm)
    rates = [ours, *([] if isinstance(theirs, str) else theirs)]
    print_rates(rates)
    if isinstance(theirs, str) and not isinstance(theirs, Failed):
        print(theirs + "\n")
    engine = WatchedHF(str(TEACHER), max_tokens=160)
    shares = {"hf": whole(engine, problems(48 if small else 500), 4, BATCH // 2, tokens=24)}
    for traces in (400,) if small else (1200, 4800):
        shares[f"a GPU's time, {traces:,} traces"] = simulated(traces)
    print_shares(shares)
    print_wanted(rates, shares)
    wrong = [f"{f['kind']}: {1 - f['same']:.0%} of the texts differ" for f in rates if f["same"] <= 0.9]
    wrong += [theirs] if isinstance(theirs, Failed) else []
    print("\n".join(wrong))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
