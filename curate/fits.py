"""What a step answers is what its columns will hold, or a sentence says which value of which column is not.

Arrow alone would store 1.5 as 1 in a column of whole numbers, "abc" as a list of three letters, and of a
dictionary only the fields it knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any

import polars as pl

from curate.errors import RunError, near

_SIGNED = {8: pl.Int8, 16: pl.Int16, 32: pl.Int32, 64: pl.Int64}
_UNSIGNED = {8: pl.UInt8, 16: pl.UInt16, 32: pl.UInt32, 64: pl.UInt64}
_WHOLE: dict[Any, range] = {
    kind: range(-(2 ** (bits - 1)), 2 ** (bits - 1)) for bits, kind in _SIGNED.items()
}
_WHOLE |= {kind: range(2**bits) for bits, kind in _UNSIGNED.items()}
_FLOATS = (pl.Float64, pl.Float32)
_EXACT = range(-(2**53), 2**53 + 1)  # beyond it not every whole number is a float


def checked(step: str, writes: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """The answer. Raises RunError for a value that its column would not hold as it is; None always fits."""
    plain = {column: _plain(answer[column]) for column in writes}
    for column, dtype in writes.items():
        if not _surely_fits(dtype)(plain[column]):
            if sentence := next(_misfits([plain[column]], dtype, column), ""):
                raise RunError(f"{step} answered {sentence}")
    return plain


def storable(value: Any) -> Any:
    """Half of a surrogate pair, which JSON can smuggle in and no file can hold, becomes a question mark."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


@cache
def _surely_fits(dtype: Any) -> Callable[[Any], bool]:
    """Whether a value does, in a microsecond, where it is simple; False of one that takes a closer look."""
    if isinstance(dtype, pl.Struct):
        fields = {field.name: _surely_fits(field.dtype) for field in dtype.fields}
        return lambda value: (
            type(value) is dict
            and value.keys() <= fields.keys()
            and all(fits(value.get(name)) for name, fits in fields.items())
        )
    if dtype == pl.String:
        return lambda value: value is None or type(value) is str and value.isascii()
    if dtype == pl.Int64:
        return lambda value: value is None or type(value) is int and value in _WHOLE[pl.Int64]
    kinds = {type(None), {pl.Float64: float, pl.Boolean: bool}.get(dtype, type(None))}
    return lambda value: type(value) in kinds


def _misfits(values: Sequence[Any], dtype: Any, place: str) -> Iterator[str]:
    """Why some of these values do not fit. place: their column, or the field of one."""
    if isinstance(dtype, type) and not issubclass(dtype, pl.DataType):
        dtype = pl.Schema({"": dtype})[""]  # of Python: `int`
    there = [value for value in values if value is not None]
    if _all_fit(there, dtype):
        return
    there = list(map(_plain, there))
    if isinstance(dtype, pl.Struct):
        yield from _of_fields(there, dtype, place)
    elif isinstance(dtype, pl.List | pl.Array):
        yield from _of_items(there, dtype, place)
    else:
        wrong = [value for value in there if not _fits(value, dtype)]
        yield from (_sentence(value, place, dtype, _wanted(value, dtype)) for value in wrong)


def _of_fields(there: list[Any], dtype: pl.Struct, place: str) -> Iterator[str]:
    fields = {field.name: field.dtype for field in dtype.fields}
    for value in there:
        if not isinstance(value, dict):
            yield _sentence(value, place, dtype, f"a dictionary of {', '.join(fields)}")
            return
        for name in value.keys() - fields:
            yield f"an unknown field {name!r} in the column {place!r}; {near(str(name), fields)}"
    for name, inner in fields.items():
        yield from _misfits([value.get(name) for value in there], inner, f"{place}.{name}")


def _of_items(there: list[Any], dtype: pl.List | pl.Array, place: str) -> Iterator[str]:
    width = dtype.size if isinstance(dtype, pl.Array) else None
    for value in there:
        if not isinstance(value, list | tuple) or width not in (None, len(value)):
            yield _sentence(value, place, dtype, "a list" + (f" of {width} items" if width else ""))
            return
    yield from _misfits(list(chain.from_iterable(there)), dtype.inner, place)


def _all_fit(values: list[Any], dtype: Any) -> bool:
    """Whether all do, of values of one plain type: the long lists, which are not looked through singly."""
    kinds = set(map(type, values))
    if kinds == {float}:
        return dtype in _FLOATS
    if kinds == {int}:
        return dtype in _WHOLE and min(values) in _WHOLE[dtype] and max(values) in _WHOLE[dtype]
    if kinds == {bool}:
        return bool(dtype == pl.Boolean)
    if kinds == {str}:
        return bool(dtype == pl.String) and all(map(str.isascii, values))
    return not kinds


def _plain(value: Any) -> Any:
    """Numpy's numbers and arrays, and polars' series, as Python's."""
    if type(value).__module__ == "numpy":
        return value.tolist()
    return value.to_list() if isinstance(value, pl.Series) else value


def _fits(value: Any, dtype: Any) -> bool:
    if dtype in _WHOLE:
        whole = isinstance(value, int) or isinstance(value, float) and value.is_integer()
        return whole and not isinstance(value, bool) and int(value) in _WHOLE[dtype]
    if dtype in _FLOATS:
        return isinstance(value, float) or type(value) is int and value in _EXACT
    kinds = {pl.Boolean: bool, pl.String: str}
    try:
        pl.Series([value], dtype=dtype)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return False
    return isinstance(value, kinds.get(dtype, object))


def _wanted(value: Any, dtype: Any) -> str:
    if dtype in _WHOLE:
        among = _WHOLE[dtype]
        return "a whole number" + (f" from {among[0]} to {among[-1]}" if type(value) is int else "")
    if dtype in _FLOATS:
        return "a number that a float holds"
    words = {pl.Boolean: "True, False", pl.String: "a text" + " of whole characters" * isinstance(value, str)}
    return words.get(dtype, f"a value of the type {dtype}")


def _sentence(value: Any, place: str, dtype: Any, wanted: str) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]}…"
    return f"{shown} in the column {place!r}, whose type is {dtype.base_type()}; answer {wanted}, or None"
