"""As many traces as were chosen stay, drawn at random with the lengths of the chosen: a control group."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.schema import content_hash
from curate.step import Filter


@dataclass(frozen=True)
class LengthMatched(Filter):
    """Shows whether a selection is more than a preference for long traces: the same number of rows is drawn
    from each of `bins` quantiles of the chosen traces' lengths, from all traces, the chosen ones included.

    chosen: a column of true and false, what the selection under test would keep. length: a column of
    numbers; a trace of unknown length (null) is drawn for a chosen one of unknown length. Where nearly all
    traces of a length were chosen, the control is nearly the selection: look at how many they share. Problems
    are not matched. The draw depends on seed and trace_id, not on the order of rows. A problem that nobody
    has answered yet stays.
    """

    chosen: str
    length: str = "output_tokens"
    bins: int = 10
    seed: int = 0
    reads = ("trace_id",)
    takes = {"chosen": "true and false", "length": "numbers"}
    example_fields = {"chosen": "picked", "bins": 1}
    examples = (
        (
            [
                {"trace_id": "t1", "output_tokens": 7, "picked": True},
                {"trace_id": "t2", "output_tokens": 6, "picked": False},
                {"trace_id": "t3", "output_tokens": None, "picked": None},
                {"trace_id": None, "output_tokens": None, "picked": None},
            ],
            [False, True, True, False],
        ),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bins < 1:
            raise UserError(f"bins={self.bins} compares no lengths; give 1 or more")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, self.length, self.chosen)

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        rows = frame.filter(pl.col("trace_id").is_not_null()).select(
            "row", "trace_id", size=pl.col(self.length), picked=pl.col(self.chosen).fill_null(False)
        )
        table = rows.collect()
        sizes = table.filter("picked")["size"].drop_nulls().sort()
        at = [round(i * (len(sizes) - 1) / self.bins) for i in range(self.bins + 1)] if len(sizes) else []
        edges = pl.Series(sorted({sizes[i] for i in at}), dtype=sizes.dtype)
        order = [content_hash(self.seed, trace_id) for trace_id in table["trace_id"]]
        size = pl.col("size")
        inside = size.is_between(edges[0], edges[-1]) if len(edges) else pl.lit(False)
        drawn = table.with_columns(
            order=pl.Series(order, dtype=pl.String),
            bin=pl.when(size.is_null())
            .then(-1)
            .when(inside)
            .then(edges.search_sorted(table["size"], side="left")),
        )
        drawn = drawn.sort("order", "row").with_columns(
            place=pl.int_range(1, pl.len() + 1).over("bin"), want=pl.col("picked").sum().over("bin")
        )
        why = pl.format(
            "not among the {} drawn of this length ({})", "want", size.cast(pl.String).fill_null("?")
        )
        return drawn.lazy().filter(pl.col("place") > pl.col("want")).select("row", why=why)
