"""Of equal traces of one problem only the first stays, white space aside."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.step import Filter


@dataclass(frozen=True)
class ExactDuplicates(Filter):
    """Compares thinking and response, each with runs of white space as one space and none at its ends.

    Who wrote a trace does not matter; null and empty are the same. Compared are 64-bit hashes within one
    problem, so the table's texts are never held at once. Not found: traces that differ in a single other
    character, and equal traces of different problems. A problem that nobody has answered yet stays.
    """

    reads = ("problem_id", "trace_id", "thinking", "response")
    examples = (
        (
            [
                {"problem_id": "p", "trace_id": "t1", "thinking": "1 + 1", "response": "2"},
                {"problem_id": "p", "trace_id": "t2", "thinking": "1  +\n1 ", "response": "2"},
                {"problem_id": "p", "trace_id": "t3", "thinking": "1 + 1", "response": "two"},
                {"problem_id": "q", "trace_id": "t4", "thinking": "1 + 1", "response": "2"},
            ],
            [False, True, False, False],
        ),
    )

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        thinking, response = (
            pl.col(c).fill_null("").str.replace_all(r"\s+", " ").str.strip_chars()
            for c in ("thinking", "response")
        )
        text = pl.concat_str(thinking, pl.lit("\0"), response).hash()
        hashed = frame.filter(pl.col("trace_id").is_not_null()).select(
            "row", "problem_id", "trace_id", text=text
        )
        first = pl.all().sort_by("row").first()
        kept = hashed.group_by("problem_id", "text").agg(first)
        both = hashed.join(kept, on=["problem_id", "text"], suffix="_kept")
        later = both.filter(pl.col("row") != pl.col("row_kept"))
        return later.select("row", why=pl.format("same text as trace {}", pl.col("trace_id_kept")))
