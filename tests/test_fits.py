"""A step's answer is stored as it was given, or stops the run with one sentence."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.errors import RunError
from curate.fits import checked
from curate.parts import _frame
from curate.schema import SPANS, VERDICT
from curate.step import Rewriter, Score, Text, Verdict, Verifier

WHOLE = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (pl.Int64, WHOLE),
    (pl.UInt8, st.integers(0, 255)),
    (pl.Float64, st.floats(allow_nan=False)),
    (pl.Boolean, st.booleans()),
    (pl.String, TEXTS),
]
FITTING = st.recursive(
    st.sampled_from(KINDS).map(lambda kind: (kind[0], st.none() | kind[1])),
    lambda inner: st.one_of(
        inner.map(lambda kind: (pl.List(kind[0]), st.none() | st.lists(kind[1], max_size=3))),
        st.tuples(inner, inner).map(
            lambda two: (
                pl.Struct({"a": two[0][0], "b": two[1][0]}),
                st.none() | st.fixed_dictionaries({"a": two[0][1], "b": two[1][1]}),
            )
        ),
    ),
    max_leaves=4,
)


@given(st.data())
def test_what_fits_is_stored_as_it_is(data: st.DataObject) -> None:
    dtype, values = data.draw(FITTING)
    value = data.draw(values)
    assert checked("s", {"c": dtype}, {"c": value}) == {"c": value}
    assert _frame([{"c": value}], {"c": dtype}).to_dicts() == [{"c": value}]


SCALARS = st.one_of(
    st.booleans(),
    st.integers(-300, 300),
    st.sampled_from([1.5, 2.0, 2**64]),
    st.text(max_size=2),
    st.just(b"x"),
)


@given(
    st.sampled_from([*(kind for kind, _ in KINDS), pl.List(pl.Int64), pl.Struct({"a": pl.Int64})]),
    st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from("ab"), SCALARS)),
)
def test_whatever_is_not_refused_comes_back_equal(dtype: Any, value: Any) -> None:
    try:
        checked("s", {"c": dtype}, {"c": value})
    except RunError as e:
        assert str(e).startswith("s answered ") and "column 'c" in str(e)
        return
    [stored] = _frame([{"c": value}], {"c": dtype})["c"].to_list()
    assert stored == ({"a": value.get("a")} if isinstance(value, dict) else value)
    assert isinstance(stored, bool) == isinstance(value, bool)


@pytest.mark.parametrize(
    ("dtype", "value", "said"),
    [
        (pl.Int64, 1.5, "1.5 in the column 'c', whose type is Int64; answer a whole number, or None"),
        (int, "1", "'1' in the column 'c', whose type is Int64; answer a whole number, or None"),
        (pl.Int8, 300, "300 in the column 'c', whose type is Int8; answer a whole number from -128 to 127"),
        (pl.Float64, True, "True in the column 'c', whose type is Float64; answer a number"),
        (pl.List(pl.String), "abc", "'abc' in the column 'c', whose type is List; answer a list, or None"),
        (pl.List(pl.Int64), [1, None, 2.5], "2.5 in the column 'c', whose type is Int64"),
        (pl.Array(pl.Int64, 3), [1], "[1] in the column 'c', whose type is Array; answer a list of 3 items"),
        (SPANS, [{"lable": "x"}], "an unknown field 'lable' in the column 'c'; did you mean 'label'"),
        (SPANS, [{"field": "thinking", "start": "0"}], "'0' in the column 'c.start', whose type is Int64"),
        (SPANS, [{}, 3], "3 in the column 'c', whose type is Struct; answer a dictionary of field, start,"),
        (pl.String, "\ud83d", r"'\ud83d' in the column 'c', whose type is String; answer a text of whole"),
        (pl.Date, "today", "'today' in the column 'c', whose type is Date; answer a value of the type Date"),
    ],
)
def test_what_does_not_fit_is_one_sentence(dtype: Any, value: Any, said: str) -> None:
    with pytest.raises(RunError) as e:
        checked("words", {"c": dtype}, {"c": value})
    assert str(e.value).startswith(f"words answered {said}")


@pytest.mark.parametrize(
    ("dtype", "value", "stored"),
    [
        (pl.Int64, np.int64(3), 3),
        (pl.Float64, np.float32(0.5), 0.5),
        (pl.Boolean, np.bool_(True), True),
        (pl.List(pl.Float64), np.array([0.5, 2]), [0.5, 2.0]),
        (pl.Array(pl.Int64, (1, 2)), np.array([[1, 2]]), [[1, 2]]),
        (pl.List(pl.Int64), pl.Series([1, None]), [1, None]),
        (pl.Float64, 3, 3.0),
        (pl.Int64, 2.0, 2),
    ],
)
def test_numbers_of_numpy_and_series_of_polars_are_plain_ones(dtype: Any, value: Any, stored: Any) -> None:
    assert _frame([checked("s", {"c": dtype}, {"c": value})], {"c": dtype})["c"].to_list() == [stored]


@dataclass(frozen=True)
class Words(Score):
    """Says what it is told to."""

    answer: str = ""
    reads = ("question",)

    @property
    def writes(self) -> dict[str, Any]:
        return {"words": pl.Int64}

    def row(self, row: Any) -> Any:
        return ast.literal_eval(self.answer)


@dataclass(frozen=True)
class Says(Verifier):
    """Says what it is told to."""

    def row(self, row: Any) -> Verdict:
        raise NotImplementedError


@dataclass(frozen=True)
class Shorter(Rewriter):
    """Says what it is told to."""

    owners = True

    def row(self, row: Any) -> Text:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            {"words": 1.5},
            "words answered 1.5 in the column 'words', whose type is Int64; answer a whole number",
        ),
        (7, r"words answered 7; it answers the columns \['words'\]"),
        ({"words": 1, 2: 3}, r"words answered \['2', 'words'\]; it answers the columns \['words'\]"),
    ],
)
def test_a_run_stops_at_a_value_that_does_not_fit(answer: Any, said: str, tmp_path: Path) -> None:
    rows = curate.read(pl.DataFrame({"question": ["q"]}))
    with pytest.raises(RunError, match=said):
        curate.Pipeline(rows, [Words(repr(answer))]).run(tmp_path)
    assert not list(tmp_path.glob("answers/*/*.parquet"))


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (
            "words",
            "words answered Float64 in the column 'words', whose type is Int64; its mark has to answer that",
        ),
        ("word", "words answered no column 'words'; its mark has to answer row, words"),
    ],
)
def test_a_look_at_the_whole_table_is_held_to_its_types(column: str, said: str, tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Words(Score):
        """Halves the number of a row."""

        reads = ("question",)

        @property
        def writes(self) -> dict[str, Any]:
            return {"words": pl.Int64}

        def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
            return frame.select("row", (pl.col("row") / 2).alias(column))

    with pytest.raises(RunError, match=said):
        curate.Pipeline(curate.read(pl.DataFrame({"question": ["q"]})), [Words()]).run(tmp_path)


def test_verdicts_and_texts_are_held_to_their_types() -> None:
    says: Any = Says()
    assert says.pack(Verdict(True, "equal", "\ud83d", 0.5))["says"]["extracted"] == "?"
    with pytest.raises(
        RunError, match="says answered 5 in the column 'says.extracted', .* answer a text, or None"
    ):
        says.pack(Verdict(True, "equal", 5))  # type: ignore[arg-type]
    with pytest.raises(
        RunError, match="says answered 'yes' in the column 'says.passed', .* answer True, False"
    ):
        says.pack(Verdict("yes", "equal"))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="shorter answered 1.5 in the column 'child.output_tokens'"):
        Shorter().pack(Text(None, "x", 1.5))  # type: ignore[arg-type]
    with pytest.raises(
        RunError, match="shorter answered an unknown field 'owner' in the column 'child.spans'"
    ):
        Shorter().pack(Text(None, "x", spans=[{"owner": "student"}]))
    assert pl.DataFrame([says.pack(Verdict(None, "timeout"))], schema={"says": VERDICT}).height == 1
