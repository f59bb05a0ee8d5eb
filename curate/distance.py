"""Which traces of a problem are compared, and how far apart they are: Levenshtein, by the longer length."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from curate.errors import require
from curate.together import by_problem
from curate.turns import reasoning


def comparable(frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Each problem's traces: row, trace_id, and as `text` the thinking or, without one, the response."""
    return by_problem(frame.select("row", "problem_id", "trace_id", text=reasoning().fill_null("")))


def distances(texts: Sequence[str]) -> Any:
    """The distance of each pair, from 0 (equal) to 1; a symmetric matrix."""
    require("rapidfuzz", "pip install rapidfuzz")
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    return cdist(texts, texts, scorer=Levenshtein.normalized_distance)
