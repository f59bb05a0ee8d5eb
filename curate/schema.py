"""The row: one trace with its problem. Flat, typed columns; ids are content hashes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from json.encoder import c_make_encoder, encode_basestring  # type: ignore[attr-defined]
from typing import Any

import polars as pl

MESSAGES = pl.List(pl.Struct({"role": pl.String, "content": pl.String}))

SPANS = pl.List(
    pl.Struct(
        {"field": pl.String, "start": pl.Int64, "end": pl.Int64, "label": pl.String, "value": pl.Float64}
    )
)
"""Sentences, steps, thoughts, chunks, ownership, loss masks: character offsets [start, end) into `field`."""

VERDICT = pl.Struct({"passed": pl.Boolean, "score": pl.Float64, "extracted": pl.String, "why": pl.String})
"""One column per verifier, named after it. `passed` null means that the verifier abstains."""

PROBLEM: dict[str, Any] = {
    "problem_id": pl.String,  # hash of the question
    "question": pl.String,
    "answer": pl.String,  # the gold answer; null where there is none
    "solution": pl.String,
    "domain": pl.String,
    "source": pl.String,  # the dataset it came from
    "source_id": pl.String,  # the id it had there
    "license": pl.String,
    "extra": pl.String,  # JSON object: every other input column
}

TRACE: dict[str, Any] = {
    "trace_id": pl.String,  # hash of what follows; null for a problem that nobody has answered yet
    "parent_id": pl.String,  # trace_id of the trace this one was rewritten from
    "sample": pl.Int64,  # 0, 1, ... among the samples of one problem
    "model": pl.String,
    "messages": MESSAGES,  # exactly what was sent
    "thinking": pl.String,  # unrendered; null where the model does not think aloud
    "response": pl.String,
    "finish": pl.String,  # stop, length or error
    "prompt_tokens": pl.Int64,
    "output_tokens": pl.Int64,
}

ROW = {**PROBLEM, **TRACE}

DROPPED = {"dropped_by": pl.String, "why": pl.String}

SAMPLED, REWRITTEN = "sampled", "rewritten"
"""The `why` of a row that gave way to what was born of it: a problem to its traces, a trace to its child."""

Row = Mapping[str, Any]


def made_once(encoder: json.JSONEncoder) -> Callable[[Any], str]:
    """`encoder.encode`, where it keeps to Unicode and one line: the same text in two thirds of the time.

    The standard one makes its C encoder anew for every value, and a row is written and hashed several times.
    It does not look for lists that hold themselves: those are a RecursionError.
    """
    if c_make_encoder is None:  # another Python than CPython
        return encoder.encode
    separators = encoder.key_separator, encoder.item_separator
    options = encoder.sort_keys, encoder.skipkeys, encoder.allow_nan
    write = c_make_encoder(None, encoder.default, encode_basestring, None, *separators, *options)
    return lambda value: "".join(write(value, 0))


def content_hash(*parts: Any) -> str:
    """32 hexadecimal digits that depend on the JSON of `parts` and nothing else."""
    return hashlib.blake2b(_canonical(parts).encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, (pl.Series, tuple, set, frozenset)):
        return sorted(value, key=repr) if isinstance(value, (set, frozenset)) else list(value)
    raise TypeError(f"no content hash for a {type(value).__name__}: {value!r}")


_canonical = made_once(
    json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=_plain)
)
_strict = made_once(json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str))


def problem_id(question: str) -> str:
    """The id of a problem: the hash of its question, to the letter."""
    return content_hash("problem", question)


MAKE_A_TRACE = ("problem_id", "parent_id", "source_id", "sample", "model", "thinking", "response")
"""The columns that a trace's id is made of."""


def trace_id(row: Row) -> str:
    """The id of a trace: problem, origin and text. Two equal texts of one problem and sample share it."""
    return content_hash("trace", *map(row.get, MAKE_A_TRACE))


def to_json(extra: dict[str, Any]) -> str:
    """A JSON object in valid UTF-8, whatever it holds."""
    try:
        text = _strict(extra)
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(extra, default=str)
    except ValueError:  # NaN and infinity are no JSON
        return json.dumps(_finite(extra), default=str)
    return text


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    return str(value) if isinstance(value, float) and value - value != 0 else value
