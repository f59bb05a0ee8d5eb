"""What a search in many traces at once costs: beside plain sampling, and beside one trace at a time.

    python benchmarks/retro_search.py [small]

The demo's teacher samples a trace of each of 620 of the demo's problems, and revises those that are right
and change their mind, about 500 (`retro_search`), all on one engine in one run: on `hf`, and on `vllm` (its
build for the CPU, in the environment that `make install-vllm` makes). Seconds are those of the ledger: from
when the model was loaded to the last answer of the step, with all that it verified, journalled and stored on
the way.

- tokens a second of the search beside those of `Sample` of so many problems that it draws as many tokens,
  which is plain batched generation of the same total;
- what the engine alone makes of the search's calls where nobody waits for anybody: its own of one round are
  asked all at once, behind the samples that they go on from, without a run around them. A search can be no
  faster than that;
- the search with a window of 2, which asks for more than it needs, so that nobody waits;
- the same search with one trace at a time, on every so manieth of the traces, without journal and store.

Every trace of the last must be found equal, up to the rounding of bfloat16. Medians of three rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the command line does, before anything loads torch
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import polars as pl  # noqa: E402
from peers.environment import Failed, with_vllm  # noqa: E402
from peers.machine import facts, wanted  # noqa: E402
from peers.report import table  # noqa: E402

import curate  # noqa: E402
from curate.demo import WORLD  # noqa: E402
from curate.engines.hf import HF  # noqa: E402
from curate.engines.vllm import VLLM  # noqa: E402
from curate.methods.retro_search import retro_search  # noqa: E402
from curate.rewriters.retro_search import RetroSearch  # noqa: E402
from curate.run import Run  # noqa: E402
from curate.step import Engine  # noqa: E402
from curate.verifiers.math_equal import MathEqual  # noqa: E402

TEACHER = str(WORLD / "teacher")
HOW: dict[str, Any] = {"max_tokens": 200, "temperature": 0.6, "top_p": 0.95}


def searched(teacher: Engine, folder: Path, problems: int, window: int) -> Run:
    source = curate.read(WORLD / "problems.jsonl").head(problems)
    return retro_search(source, teacher, window=window, max_tokens=200).run(folder)


def sampled(teacher: Engine, folder: Path, run: Run, problems: int) -> Run:
    """Plain sampling of as many tokens as the search of a run drew, of the first of its problems."""
    share = rate(run, "retro_search")[1] / rate(run, "sample")[1]
    source = curate.read(WORLD / "problems.jsonl").head(max(1, round(problems * share)))
    return curate.Pipeline(source, [curate.Sample(teacher)]).run(folder)


@contextmanager
def heard(teacher: Engine) -> Iterator[list[Any]]:
    """What the teacher is asked meanwhile: messages and options."""
    kind, calls = type(teacher), []
    own = kind.chat

    async def chat(self: Engine, messages: Any, **options: Any) -> Any:
        calls.append((messages, options))
        return await own(self, messages, **options)

    kind.chat = chat  # type: ignore[method-assign]
    try:
        yield calls
    finally:
        kind.chat = own  # type: ignore[method-assign]


def at_once(teacher: Engine, calls: list[Any]) -> tuple[float, float]:
    """Tokens a second of a run's samples, and then of its search's calls: of each, all at the same time."""

    async def go() -> list[float]:
        rates = []
        async with teacher:
            for of_search in (False, True):
                asked = [call for call in calls if bool(call[1].get("prefix")) == of_search]
                begin = time.perf_counter()
                found = await asyncio.gather(*(teacher.chat(m, **options) for m, options in asked))
                seconds = time.perf_counter() - begin
                rates.append(sum(reply.output_tokens for replies in found for reply in replies) / seconds)
        return rates

    samples, of_search = asyncio.run(go())
    return samples, of_search


def rate(run: Run, step: str) -> tuple[float, int]:
    """Output tokens a second of a step, and how many they were."""
    line = run.ledger.row(by_predicate=pl.col("step") == step, named=True)
    return line["output_tokens"] / line["seconds"], line["output_tokens"]


def alone(teacher: Engine, run: Run, every: int) -> tuple[float, float, float]:
    """One trace after the other: tokens a second, seconds a trace, and the share found equal."""
    both = pl.concat([run.traces, run.dropped], how="diagonal_relaxed").collect()
    parents = both.filter(pl.col("retro").is_null() & (pl.col("why") == "rewritten"))
    stayed = both.filter(pl.col("retro").struct.field("status") == "kept")
    first, *rows = (
        pl.concat([parents, stayed], how="diagonal_relaxed").sort("trace_id").gather_every(every).to_dicts()
    )
    children = {r["parent_id"]: r["thinking"] for r in both.drop_nulls("parent_id").to_dicts()}
    step = RetroSearch(teacher, MathEqual(), max_tokens=200)

    async def go() -> tuple[float, list[Any]]:
        async with teacher:
            await step.ask({c: first[c] for c in step.columns})  # starts the verifier
            begin = time.perf_counter()
            return begin, [await step.ask({c: row[c] for c in step.columns}) for row in rows]

    begin, found = asyncio.run(go())
    seconds = time.perf_counter() - begin
    same = [
        (f.child.thinking if f.child else None) == children.get(row["trace_id"])
        for f, row in zip(found, rows, strict=True)
    ]
    tokens = sum(f.retro["rollout_tokens"] for f in found)
    return tokens / seconds, seconds / len(rows), sum(same) / len(rows)


def once(teacher: Engine, problems: int, every: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        with heard(teacher) as calls:
            run = searched(teacher, Path(folder) / "run", problems, 0)
        ahead = searched(teacher, Path(folder) / "ahead", problems, 2)
        plain = rate(sampled(teacher, Path(folder) / "plain", run, problems), "sample")
        samples, together = at_once(teacher, calls)
        single, a_trace, same = alone(teacher, run, every)
        line = run.ledger.row(by_predicate=pl.col("step") == "retro_search", named=True)
        retro = pl.concat([run.traces, run.dropped], how="diagonal_relaxed").collect()["retro"].drop_nulls()
        tried = retro.struct.field("rollouts").fill_null(0)
        at_work = int((tried > 0).sum())
        return {
            "traces searched": at_work,
            "rollouts": int(tried.sum()),
            "accepted": int(retro.struct.field("accepted").fill_null(0).sum()),
            "sampling, tokens/s": plain[0],
            "search, tokens/s": rate(run, "retro_search")[0],
            "search / sampling, %": 100 * rate(run, "retro_search")[0] / plain[0],
            "search / sampling, tokens": rate(run, "retro_search")[1] / plain[1],
            "engine alone, the samples, tokens/s": samples,
            "engine alone, the search's calls at once, tokens/s": together,
            "calls at once / samples, %": 100 * together / samples,
            "search / calls at once, %": 100 * rate(run, "retro_search")[0] / together,
            "window 2, tokens/s": rate(ahead, "retro_search")[0],
            "window 2, seconds / seconds": rate_of_seconds(ahead, run),
            "window 2, tokens / tokens": rate(ahead, "retro_search")[1] / rate(run, "retro_search")[1],
            "one at a time, tokens/s": single,
            "one at a time / at once, seconds": a_trace * at_work / line["seconds"],
            "found equal, %": 100 * same,
        }


def rate_of_seconds(one: Run, other: Run) -> float:
    """How long the search took in one run, as a multiple of the other."""
    a, b = (r.ledger.row(by_predicate=pl.col("step") == "retro_search", named=True) for r in (one, other))
    return float(a["seconds"] / b["seconds"])


def medians(teacher: Engine, problems: int, every: int, rounds: int) -> dict[str, float]:
    found = [once(teacher, problems, every) for _ in range(rounds)]
    return {name: statistics.median(f[name] for f in found) for name in found[0]}


def main() -> int:
    if sys.argv[1:2] == ["vllm"]:
        print(json.dumps(medians(VLLM(TEACHER, **HOW), *map(int, sys.argv[2:]))))
        return 0
    size = (60, 8, 1) if sys.argv[1:] == ["small"] else (620, 12, 3)
    print(facts("torch") + "\n", flush=True)
    ours = medians(HF(TEACHER, **HOW), *size)
    theirs = with_vllm(__file__, *size)
    found = {"hf": ours, **({"vllm": theirs} if isinstance(theirs, dict) else {})}
    print(table(["medians", *found], [[name, *(f[name] for f in found.values())] for name in ours]) + "\n")
    for kind, f in found.items():
        times, share = f["one at a time / at once, seconds"], f["search / sampling, %"]
        wanted(f"{kind}: an eighth of the seconds of one trace at a time", f"1/{times:.1f}", times >= 8)
        wanted(f"{kind}: 85 % of the tokens/s of plain sampling", f"{share:.0f} %", share >= 85)
    wrong = [f"{kind}: {f['found equal, %']:.0f} % found equal" for kind, f in found.items()
             if f["found equal, %"] <= 80]  # fmt: skip
    wrong += [theirs] if isinstance(theirs, Failed) else []
    print("\n".join(wrong or ([theirs] if isinstance(theirs, str) else [])))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
