"""The shapes of tests that people keep in a row's answer, as one of three kinds: here, and nowhere else.

| JSON in `answer` | from | judged by |
|---|---|---|
| `{"inputs": ["1 2\\n"], "outputs": ["3\\n"]}` (each a text or lines) | APPS, TACO | stdin, stdout |
| the same with `"fn_name"`; an input lists arguments, outputs are values or `[value]` | APPS, TACO | calls |
| `[{"input": "1 2", "output": "3", "testtype": "stdin"}]` | LiveCodeBench | stdin, stdout |
| the same with `"testtype": "functional"`: input is one JSON value a line | LiveCodeBench | calls |
| `{"input": "1 2", "output": "3"}`: one case; lists in it are as `inputs` and `outputs` | | as above |
| `{"entry_point": "f", "test": "def check(candidate): ..."}`, also with `"prompt"` | HumanEval | asserts |
| `{"test_list": ["assert f(1) == 2"], "test_imports": ["import math"]}` | MBPP | asserts |
| `["assert f(1) == 2", ...]` or such a text, JSON or not | | asserts |

`input`/`output` may also be called `stdin`/`stdout` or `expected_output`. A list of cases may stand under
`test_cases`, `tests`, `cases`, `public_test_cases` or `private_test_cases`, itself or as JSON text. The name
of a function to call may be `fn_name`, `func_name` or `entry_point`, there or under `metadata`; where a
`functional` case has none, it is that of the only method of `class Solution` in the question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.sandbox.sources import code_of, method_of, only_defines

DEEPEST = 100
LISTS = ("test_cases", "tests", "cases", "public_test_cases", "private_test_cases")
NAMES = ("fn_name", "func_name", "function_name", "entry_point")
INPUT, OUTPUT = ("input", "stdin", "inputs"), ("output", "stdout", "expected_output", "outputs", "expected")


class Unreadable(Exception):
    """The tests have none of the shapes above: the gold answer is at fault."""


@dataclass(frozen=True)
class Streams:
    """The program reads an input and must print an output; one run a case."""

    cases: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Calls:
    """A function of the program is called. `answers[i]` are the values any of which is right."""

    name: str
    arguments: tuple[list[Any], ...]
    answers: tuple[list[Any], ...]


@dataclass(frozen=True)
class Asserts:
    """A text of assert statements, or one that defines `check(candidate)`; helpers run before it."""

    test: str
    entry_point: str = ""
    prompt: str = ""


Tests = Streams | Calls | Asserts


def read_tests(answer: Any, question: str = "") -> Tests:
    """The tests that an answer holds; raises Unreadable, saying what is wrong."""
    given = _json(answer)
    if isinstance(given, str):
        return _asserts(given, "", question)
    if isinstance(given, list):
        return _list(given, {}, question)
    if not isinstance(given, Mapping):
        raise Unreadable(f"the tests are a {type(given).__name__}")
    if "test_list" in given:
        lines = [
            *_texts(given, "test_setup_code"),
            *_texts(given, "test_imports"),
            *_texts(given, "test_list"),
        ]
        return _asserts("\n".join(lines), _name(given), question)
    if isinstance(given.get("test"), str):
        return _asserts(given["test"], _name(given), given.get("prompt") or question)
    inputs, outputs = (_listed(given, keys) for keys in (INPUT, OUTPUT))
    if inputs is not None and outputs is not None:
        return _columns(given, inputs, outputs)
    cases = [c for key in LISTS if key in given for c in _case_list(given[key], key)]
    if not cases and all(({*keys} - {"inputs", "outputs"}) & {*given} for keys in (INPUT, OUTPUT)):
        cases = [given]
    if cases:
        return _list(cases, given, question)
    raise Unreadable(f"no tests under the keys {', '.join(map(str, list(given)[:6])) or '(none)'}")


def _json(answer: Any) -> Any:
    if not isinstance(answer, str):
        return answer
    if not answer.strip():
        raise Unreadable("the answer is empty")
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        if "assert" in answer:
            return answer
        raise Unreadable("neither JSON nor assert statements") from None


def _name(given: Mapping[str, Any]) -> str:
    """The function's name, here or in `metadata`, or nothing."""
    meta = given.get("metadata")
    if isinstance(meta, str):
        try:
            meta = json.loads(meta)
        except (ValueError, RecursionError):
            meta = None
    for place in (given, meta if isinstance(meta, Mapping) else {}):
        for key in NAMES:
            if isinstance(place.get(key), str) and place[key].isidentifier():
                return place[key]
    return ""


def _texts(given: Mapping[str, Any], key: str) -> list[str]:
    found = given.get(key) or []
    found = [found] if isinstance(found, str) else found
    if not isinstance(found, list) or not all(isinstance(t, str) for t in found):
        raise Unreadable(f"{key} is not a list of texts")
    return found


def _asserts(test: str, name: str, question: str) -> Asserts:
    if not re.search(r"\bassert|\braise\b", test):
        raise Unreadable("the test asserts nothing")
    if not name and only_defines(test):
        raise Unreadable("its asserts stand in functions that nothing calls, and no entry_point is named")
    return Asserts(test, name, code_of(question, name) if name else "")


def _listed(given: Mapping[str, Any], keys: tuple[str, ...]) -> list[Any] | None:
    """The list under one of the keys, if there is one."""
    return next((given[key] for key in keys if isinstance(given.get(key), list)), None)


def _columns(given: Mapping[str, Any], inputs: list[Any], outputs: list[Any]) -> Tests:
    if len(inputs) != len(outputs):
        raise Unreadable(f"{len(inputs)} inputs and {len(outputs)} outputs")
    if not inputs:
        raise Unreadable("no cases")
    name = _name(given)
    if not name:
        return Streams(tuple((_text(i), _text(o)) for i, o in zip(inputs, outputs, strict=True)))
    arguments = [_value(i) if isinstance(i, str) else i for i in inputs]
    arguments = [a if isinstance(a, list) else [a] for a in arguments]
    # APPS wraps every output in a list of one; where all are such lists, the element is right as well
    wrapped = all(isinstance(o, list) and len(o) == 1 for o in outputs)
    answers = [[o, o[0]] if wrapped else [o] for o in outputs]
    return _calls(name, arguments, answers)


def _calls(name: str, arguments: list[list[Any]], answers: list[list[Any]]) -> Calls:
    """Calls whose values can be sent and can be equal to something."""
    front, depth = [*arguments, *answers], 0
    while front := [v for value in front for v in _inside(value)]:
        if depth > DEEPEST:
            raise Unreadable(f"values nested more than {DEEPEST} deep")
        if any(v != v for v in front):
            raise Unreadable("a value that is not a number (NaN), which equals nothing")
        depth += 1
    return Calls(name, tuple(arguments), tuple(answers))


def _inside(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []


def _case_list(found: Any, key: str) -> list[Any]:
    if isinstance(found, str):
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            raise Unreadable(f"{key} is not JSON") from None
    if not isinstance(found, list):
        raise Unreadable(f"{key} is not a list")
    return found


def _list(cases: list[Any], given: Mapping[str, Any], question: str) -> Tests:
    if cases and all(isinstance(c, str) for c in cases):
        return _asserts("\n".join(cases), _name(given), question)
    if not cases or not all(isinstance(c, Mapping) for c in cases):
        raise Unreadable("a list that is neither of cases nor of assert statements")
    pairs = [(_first(c, INPUT), _first(c, OUTPUT)) for c in cases]
    kinds = {c.get("testtype") or c.get("type") for c in cases}
    name = _name(given) or _name(cases[0])
    if "functional" in kinds and len(kinds) > 1:
        raise Unreadable("functional and stdin cases in one row")
    if "functional" not in kinds and not (name and not kinds - {None, "function_call", "call"}):
        return Streams(tuple((_text(i), _text(o)) for i, o in pairs))
    name = name or method_of(question)
    if not name:
        raise Unreadable("functional cases, and no name of a function")
    arguments = [
        [_value(line) for line in i.split("\n") if line.strip()]
        if isinstance(i, str)
        else i
        if isinstance(i, list)
        else [i]
        for i, _ in pairs
    ]
    return _calls(name, arguments, [[_value(o) if isinstance(o, str) else o] for _, o in pairs])


def _first(case: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        if key in case:
            return case[key]
    raise Unreadable(f"a case without {' or '.join(keys[:2])}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(f"an argument or a result that is not JSON: {text[:40]!r}") from None


def _text(given: Any) -> str:
    """An input or output as text: itself, or a list of lines."""
    if isinstance(given, str):
        return given
    if isinstance(given, list) and not any(isinstance(line, list) for line in given):
        return "\n".join(_text(line) for line in given)
    if isinstance(given, int | float):
        return str(given)
    raise Unreadable(f"an input or output that is a {type(given).__name__}")
