"""What new answers of a step will cost, at the rate of those that the ledger knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from curate.budget import Price
from curate.identity import engines, model_name
from curate.remember import width
from curate.step import Step


def estimate(ledger: pl.DataFrame, step: Step, new: int, prices: Mapping[str, Price]) -> dict[str, Any]:
    """tokens, seconds and usd for `new` answers; empty where no answer of such a step is known.

    Of the same fields where the ledger has them, else of any step of this name. Fewer rows than the engine
    takes at a time last as long as one round of it.
    """
    mine = ledger.filter(pl.col("step") == step.name)
    same = mine.filter(pl.col("fingerprint") == step.fingerprint)
    lines = same if same["rows_paid"].sum() else mine
    paid = int(lines["rows_paid"].sum())
    if not paid:
        return {}
    tokens = (lines["prompt_tokens"] + lines["output_tokens"]).sum()
    at_once = width(step) if step.body == "ask" else 1
    rounds = max(new, at_once) / max(paid, at_once)
    usd = _usd(lines, step, prices)
    return {
        "tokens": round(tokens / paid * new),
        "seconds": float(lines["seconds"].sum()) * rounds if new else 0.0,
        "usd": None if usd is None else usd / paid * new,
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
