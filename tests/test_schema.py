"""Ids never change: they are hashes of JSON, which is written as the standard library writes it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.schema import content_hash, made_once, problem_id, to_json, trace_id

TEXTS = st.text(st.characters(exclude_categories=()))  # halves of surrogate pairs, too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner),
)


@given(VALUES)
@pytest.mark.parametrize("options", [{}, {"sort_keys": True, "separators": (",", ":")}])
def test_json_is_that_of_the_standard_library(options: dict[str, object], value: object) -> None:
    encoder = json.JSONEncoder(ensure_ascii=False, **options)  # type: ignore[arg-type]
    assert made_once(encoder)(value) == encoder.encode(value)


def test_what_json_has_no_form_for_goes_the_way_its_encoder_says() -> None:
    assert made_once(json.JSONEncoder(ensure_ascii=False, default=str))({"a": 1j}) == '{"a": "1j"}'
    with pytest.raises(TypeError, match="no content hash for a complex: 1j"):
        content_hash(1j)
    with pytest.raises(ValueError, match="Out of range float"):
        made_once(json.JSONEncoder(ensure_ascii=False, allow_nan=False))(float("nan"))


def test_a_hash_is_the_one_it_has_always_been() -> None:
    parts = ["a", 1, 2.5, None, True, ["ü", {"b": 1, "a": (2,)}], {3}, "\ud800\u2028"]
    assert content_hash(*parts) == "1c1b7915af66921fde38f392dafa8a9c"
    assert problem_id("What is 2 + 2?") == "73c8677ef5edd435be9b14f2dff63998"
    row = {"problem_id": "p", "sample": 0, "model": "m", "thinking": None, "response": "4"}
    assert trace_id(row) == "09602b3dc07ff6f9cd876f72f46aa1a5"


def test_extra_is_valid_json_in_valid_utf_8() -> None:
    assert to_json({"b": 1, "a": [1.5, None, "ü"]}) == '{"b": 1, "a": [1.5, null, "ü"]}'
    assert to_json({"x": float("nan")}) == '{"x": "nan"}'
    assert to_json({"x": "\ud800"}) == '{"x": "\\ud800"}'
