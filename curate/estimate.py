"""What new answers of a step will cost, at the rate of those that the ledger knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import polars as pl

from curate.asking import width
from curate.budget import Price
from curate.identity import engines, model_name
from curate.step import Step


class Kept(NamedTuple):
    """What a run that was broken off has bought of a step and not yet put into a part."""

    rows: int = 0  # that need no call more
    begun: int = 0  # tokens of rows that may need some


def estimate(
    ledger: pl.DataFrame, step: Step, new: int, prices: Mapping[str, Price], kept: Kept
) -> dict[str, Any]:
    """tokens, seconds and usd for `new` answers; empty where no answer of such a step is known, but that one
    which only works on the processor has no tokens.

    Of the same fields where the ledger has them, else of any step of this name. Fewer rows than the engine
    takes at a time last as long as one round of it.
    """
    mine = ledger.filter(pl.col("step") == step.name)
    same = mine.filter(pl.col("fingerprint") == step.fingerprint)
    lines = same if same["rows_paid"].sum() + kept.rows else mine
    finished = int(lines["rows_paid"].sum())
    if not (paid := finished + kept.rows):
        return {} if step.body == "ask" else {"tokens": 0}
    spent = int((lines["prompt_tokens"] + lines["output_tokens"]).sum())
    tokens = max((spent - kept.begun) / paid * new - kept.begun, 0)
    at_once = width(step) if step.body == "ask" else 1
    rounds = max(new, at_once) / max(finished, at_once) if new else 0.0
    seconds = float(lines["seconds"].sum()) * rounds if finished or not new else None
    usd = _usd(lines, step, prices)
    return {
        "tokens": round(tokens),
        "seconds": seconds,
        "usd": None if usd is None else usd * tokens / spent if spent else 0.0,
    }


def _usd(lines: pl.DataFrame, step: Step, prices: Mapping[str, Price]) -> float | None:
    """What these lines would cost at today's prices, or else what they did cost; None where nobody said."""
    asked = {model_name(e) for e in engines(step).values()}
    total = 0.0
    for line in lines.filter(pl.col("calls") > 0).iter_rows(named=True):
        price = prices.get(line["engine"]) or (prices.get(next(iter(asked))) if len(asked) == 1 else None)
        if price is not None:
            total += (line["prompt_tokens"] * price[0] + line["output_tokens"] * price[1]) / 1e6
        elif line["usd"] is not None:
            total += line["usd"]
        else:
            return None
    return total if asked else None
