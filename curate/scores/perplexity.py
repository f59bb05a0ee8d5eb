"""A trace has its perplexity under a model: exp of the mean negative log-probability of its tokens."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.step import Score


@dataclass(frozen=True)
class Perplexity(Score):
    """From `{of}_tokens`, as `token_logprobs` writes it, to `{of}_perplexity`; one step for each model.

    Thinking and response together, every token alike. No unit; from 1 (the model was certain) to infinity
    (a token that the model rules out). It is a mean over this model's own tokens: compare traces under one
    model with it, not two models whose tokenizers differ. Null: the trace was not scored, or is empty.
    """

    of: str = "model"
    examples = (
        (
            dict(
                model_tokens=[
                    dict(field="thinking", start=0, end=1, label=None, value=math.log(0.5)),
                    dict(field="response", start=0, end=1, label=None, value=math.log(0.125)),
                ]
            ),
            dict(model_perplexity=4.0),
        ),
        (dict(model_tokens=[]), dict(model_perplexity=None)),
        (dict(model_tokens=None), dict(model_perplexity=None)),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"{self.of}_tokens",)

    @property
    def writes(self) -> dict[str, Any]:
        return {f"{self.of}_perplexity": pl.Float64}

    def expr(self) -> pl.Expr:
        logprobs = pl.col(f"{self.of}_tokens").list.eval(pl.element().struct.field("value"))
        return logprobs.list.mean().neg().exp().alias(f"{self.of}_perplexity")
