"""A trace has its length in the tokens of a model, such as the student that is to be trained on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from curate.step import Score


@dataclass(frozen=True)
class Length(Score):
    """From `{of}_tokens`, as `token_logprobs` writes it, to `{of}_token_count`.

    Unit: tokens of that model, of thinking and response without the delimiters around them; 0 or more. It is
    not `output_tokens`, which the model that wrote the trace has counted with its own tokenizer. Null: the
    trace was not scored, or is empty.
    """

    of: str = "student"
    examples = (
        (
            dict(student_tokens=[dict(field="response", start=0, end=1, label=None, value=-1.0)]),
            dict(student_token_count=1),
        ),
        (dict(student_tokens=[]), dict(student_token_count=0)),
        (dict(student_tokens=None), dict(student_token_count=None)),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (f"{self.of}_tokens",)

    @property
    def writes(self) -> dict[str, Any]:
        return {f"{self.of}_token_count": pl.Int64}

    def expr(self) -> pl.Expr:
        return pl.col(f"{self.of}_tokens").list.len().cast(pl.Int64).alias(f"{self.of}_token_count")
