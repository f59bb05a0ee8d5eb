"""A trace has the mean entropy of a model's choice at its tokens: how undecided the model was on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.step import Score


@dataclass(frozen=True)
class Entropy(Score):
    """From `{of}_entropy_tokens`, as `token_logprobs` with `entropy=True` writes it, to `{of}_entropy`.

    Unit: nats a token, thinking and response together; from 0 (one word was possible at each place) to the
    logarithm of the vocabulary. It says how open the choices were, not whether the trace took likely ones.
    Null: the trace was not scored, or is empty.
    """

    of: str = "model"
    examples = (
        (
            dict(
                model_entropy_tokens=[
                    dict(field="thinking", start=0, end=1, label=None, value=1.0),
                    dict(field="response", start=0, end=1, label=None, value=0.5),
                ]
            ),
            dict(model_entropy=0.75),
        ),
        (dict(model_entropy_tokens=[]), dict(model_entropy=None)),
        (dict(model_entropy_tokens=None), dict(model_entropy=None)),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"{self.of}_entropy_tokens",)

    @property
    def writes(self) -> dict[str, Any]:
        return {f"{self.of}_entropy": pl.Float64}

    def expr(self) -> pl.Expr:
        values = pl.col(f"{self.of}_entropy_tokens").list.eval(pl.element().struct.field("value"))
        return values.list.mean().alias(f"{self.of}_entropy")
