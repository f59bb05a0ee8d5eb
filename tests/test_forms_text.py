"""JSON and thinking blocks are judged as their pages say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import UserError
from curate.step import Verdict
from curate.verifiers.json_equal import JsonEqual
from curate.verifiers.think_format import ThinkFormat


def judge(verifier: Any, **row: Any) -> Verdict:
    """The verdict in this process, with nulls for what is not given."""
    return verifier.row({column: row.get(column) for column in verifier.columns})


JSONS = [
    ('{"a": 1, "b": 2}', '{"b": 2, "a": 1}', True), ("[1, 2]", "[2, 1]", False), ("1", "1.0", True),
     ("true", "1", False),
    ("null", "0", False), ('"1"', "1", False), ('{"a": null}', "{}", False), ("[]", "{}", False), ("1e2",
     "100", True),
    ("0.1", "0.10", True), ("0.1", "0.1000000000000000055", False), ("[1]", "[1,]", False), ("[1]",
     "[NaN]", False),
    ("[NaN]", "[NaN]", None), ('{"a":1,"a":1}', '{"a":1}', None), ('{"a":1}', '{"a":1,"a":1}', False),
    ('"é"', '"\\u00e9"', True), ("{}", "", False), ("", "{}", None), (None, "{}", None), ("1e400", "1e400",
     True),
    ("1e400", "1e401", False), ("[1", "[1", None), ("[" * 20000, "[1]", None), ("[1]", "[" * 20000, False),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "said", "want"), JSONS, ids=[f"{i}" for i in range(len(JSONS))])
def test_json(gold: str | None, said: str, want: bool | None) -> None:
    assert judge(JsonEqual(), response=said, answer=gold).passed is want


@pytest.mark.parametrize(
    "response",
    ['```json\n{"a": [1]}\n```', 'Sure:\n```\n{"a": [1]}\n```\nDone.', 'It is {"a": [1]}.', ' {"a":\n[1]} \n',
     '```json\n{"a": [2]}\n```\nNo:\n```json\n{"a": [1]}\n```', '~~~json\n{"a": [1]}\n~~~',
     r'\boxed{{"a": [1]}}'],
)  # fmt: skip
def test_json_is_found_in_a_response(response: str) -> None:
    assert judge(JsonEqual(), response=response, answer='{"a": [1]}').passed is True


def test_the_policies_of_json() -> None:
    assert judge(JsonEqual(numbers="exact"), response="1.0", answer="1").passed is False
    assert judge(JsonEqual(numbers="exact"), response="1.50", answer="1.5").passed is True
    assert judge(JsonEqual(relative=0.01), response="[1.005]", answer="[1]").passed is True
    assert judge(JsonEqual(relative=0.01), response="[1.02]", answer="[1]").passed is False
    assert judge(JsonEqual(relative=0.01), response="1e999999", answer="1").passed is False
    assert judge(JsonEqual(), response='{"a": {"b": [1, 3]}}', answer='{"a": {"b": [1, 2]}}').why.endswith(
        "$.a.b[1]"
    )


def test_a_schema_decides_alone_or_beside_a_gold() -> None:
    schema = json.dumps({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})
    alone = JsonEqual(schema=schema)
    assert judge(alone, response='{"n": 1}')[:2] == (True, "met")
    assert judge(alone, response='{"n": "1"}').why.startswith("not_met: $.n")
    assert judge(alone, response="none").passed is False
    assert judge(alone, response='{"n": 1}', answer='{"n": 2}').passed is False
    assert judge(alone, response='{"n": 2, "m": 0}', answer='{"n": 2, "m": 0}').passed is True
    far = JsonEqual(schema='{"$ref": "https://example.com/x.json"}')
    assert "cannot be followed" in judge(far, response="1").why
    for wrong in ("[", '{"type": 3}', "null x"):
        with pytest.raises(UserError, match="schema that is none"):
            JsonEqual(schema=wrong)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@given(values, values)
def test_json_is_equal_to_itself_and_as_equal_one_way_as_the_other(one: Any, other: Any) -> None:
    left, right = json.dumps(one), json.dumps(other, indent=2)
    assert judge(JsonEqual(), response=left, answer=left).passed is True
    fenced = f"Here:\n```json\n{right}\n```"
    assert judge(JsonEqual(), response=fenced, answer=right).passed is True
    assert (
        judge(JsonEqual(), response=left, answer=right).passed
        is judge(JsonEqual(), response=right, answer=left).passed
    )


THOUGHTS = [
    (dict(thinking="a", response="b"), True), (dict(response="<think>a</think>b"), True),
     (dict(response="a</think>b"), True),
    (dict(thinking="", response="b"), True), (dict(response="<think></think>b"), True),
     (dict(response="b"), False),
    (dict(response="<think>a"), False), (dict(response="<think>a</think>"), False), (dict(thinking="a",
     response=" \n"), False),
    (dict(thinking="a", response=None), False), (dict(thinking="a", response=r"\boxed{}"), False),
    (dict(thinking="a", response="</think>b"), False), (dict(thinking="a", response="<think>c</think>b"),
     False),
    (dict(thinking="a<think>", response="b"), False), (dict(thinking="a", response="b", finish="length"),
     True),
    (dict(thinking="a", response="", finish="length"), False), (dict(response="Well. <think>a</think>b"),
     False),
    (dict(response="<think>a</think><think>b</think>c"), False),
     (dict(response="<think>a</think>b</think>"), False),
    (dict(thinking="a", response="Write `<think>` first."), True), (dict(thinking="a",
     response="<answer></answer>"), False),
    (dict(response="<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>b<|end_of_solution|>"), True),
    (dict(response="<thinking>a</thinking>b"), True), (dict(thinking="a", response="否"), True), ({}, None),
    (dict(thinking="a", response="3"), True), (dict(thinking="a", response="..."), False),
]  # fmt: skip


@pytest.mark.parametrize(("row", "want"), THOUGHTS, ids=[f"{i}" for i in range(len(THOUGHTS))])
def test_a_thinking_block(row: dict[str, Any], want: bool | None) -> None:
    assert judge(ThinkFormat(), **row).passed is want


def test_a_block_that_nobody_asks_for_is_still_closed_once() -> None:
    may = ThinkFormat(required=False)
    assert judge(may, response="b").passed is True
    assert judge(may, response="<think>a</think>b").passed is True
    for response in ("a</think>b</think>", "<think>a", "Well. <think>b", " "):
        assert judge(may, response=response).passed is False


def test_an_unclosed_block_is_named() -> None:
    assert "not closed" in judge(ThinkFormat(), response="<think>a").why
    assert "not closed" in judge(ThinkFormat(), thinking="a", response="", finish="length").why
    assert "no answer" in judge(ThinkFormat(), thinking="a", response="", finish="stop").why
