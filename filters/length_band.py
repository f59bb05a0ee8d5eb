"""A trace whose answer is shorter or longer, in tokens, than a band goes."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.step import Filter


@dataclass(frozen=True)
class LengthBand(Filter):
    """Keeps what has between min_tokens and max_tokens output tokens, both included.

    `output_tokens` is what the engine or the source counted. A row that nobody counted (null) stays.
    """

    min_tokens: int = 64
    max_tokens: int = 16_384
    reads = ("output_tokens",)
    examples = (
        ({"output_tokens": 64}, False),
        ({"output_tokens": 63}, True),
        ({"output_tokens": 16_384}, False),
        ({"output_tokens": 16_385}, True),
        ({"output_tokens": None}, False),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.min_tokens <= self.max_tokens:
            raise UserError(
                f"no length lies between min_tokens={self.min_tokens} and max_tokens={self.max_tokens}"
            )

    def expr(self) -> pl.Expr:
        n = pl.col("output_tokens")
        long = pl.format("{} tokens > {}", n, self.max_tokens)
        short = pl.format("{} tokens < {}", n, self.min_tokens)
        return pl.when(n > self.max_tokens).then(long).when(n < self.min_tokens).then(short)
