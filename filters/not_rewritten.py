"""A trace goes for which a rewriter found no child, with the rewriter's reason."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.step import Filter


@dataclass(frozen=True)
class NotRewritten(Filter):
    """Reads the column of a rewriter that keeps a record, such as `difficulty_aware`: its `why` is null where
    there is a child. Without this filter such a trace stays as it is. What was tried stays in its column.

    rewriter: the name of the rewriter, which is the name of its column.
    """

    rewriter: str
    takes = {"rewriter": "a rewriter's record"}
    example_fields = {"rewriter": "difficulty_aware"}
    examples = (
        ({"difficulty_aware": {"level": "easy", "why": None}}, False),
        ({"difficulty_aware": {"level": "hard", "why": "wrong"}}, True),
        ({"difficulty_aware": None}, False),
    )

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.rewriter,)

    def expr(self) -> pl.Expr:
        return pl.format("{}: {}", pl.lit(self.rewriter), pl.col(self.rewriter).struct.field("why"))
