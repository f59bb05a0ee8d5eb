"""Right programs pass and wrong ones fail, in every shape of tests and every style of program."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.sandbox.compare import same_output, same_value
from curate.sandbox.level import isolation
from curate.sandbox.program import program_in
from curate.sandbox.shapes import Asserts, Calls, Streams, Unreadable, read_tests
from curate.sandbox.values import pack, unpack
from curate.step import Verdict
from curate.verifiers.code_tests import CodeTests


@pytest.fixture(autouse=True, scope="module")
def isolated() -> None:
    if isolation().level != "full":
        pytest.skip(f"the kernel grants no namespaces here: {isolation().reason}")


def verdict(program: str, tests: Any, question: str | None = None, **fields: Any) -> Verdict:
    answer = tests if isinstance(tests, str) else json.dumps(tests)
    row = {"question": question, "response": f"Here:\n```python\n{program}\n```\nDone.", "answer": answer}
    return CodeTests(**{"case_timeout_s": 20.0, **fields}).row(row)


SUM = {"inputs": ["1 2\n", "30 4\n"], "outputs": ["3\n", "34\n"]}


@pytest.mark.parametrize(
    "program",
    [
        "a, b = map(int, input().split())\nprint(a + b)",
        "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
        "import sys\nprint(sum(map(int, sys.stdin.readline().split())))",
        "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))",
        "import os\nprint(sum(map(int, os.read(0, 1000).split())))",
        "print(sum(map(int, open(0).read().split())))",
        "print(sum(map(int, open('/dev/stdin').read().split())))",
        "import sys\nsys.stdout.write(str(sum(map(int, input().split()))))\nsys.exit(0)",
        "print(sum(map(int, input().split())))\nexit()",
        "print(sum(map(int, input().split())))\nquit(0)",
        "import os\nprint(sum(map(int, input().split())), flush=True)\nos._exit(0)",
        "def main():\n    print(sum(map(int, input().split())))\n\nif __name__ == '__main__':\n    main()",
        "import threading\n"
        "t = threading.Thread(target=lambda: print(sum(map(int, input().split()))))\nt.start()",
        "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(2**26)\n"
        "def f(n): return 0 if n == 0 else f(n - 1)\n"
        "def main():\n    f(50000)\n    print(sum(map(int, input().split())))\n"
        "t = threading.Thread(target=main)\nt.start()\nt.join()",
        "import atexit\natexit.register(lambda: print(sum(map(int, input().split()))))",
        "import io, os, sys\ninput = io.BytesIO(os.read(0, os.fstat(0).st_size)).readline\n"
        "sys.stdout.buffer.write(b'%d\\n' % sum(map(int, input().split())))",
        "from resource import *\nsetrlimit(RLIMIT_STACK, (-1, -1))\nprint(sum(map(int, input().split())))",
        "import signal\nsignal.alarm(100)\nprint(sum(map(int, input().split())))",
        "from __future__ import annotations\nprint(sum(map(int, input().split())))",
        "open('/tmp/x', 'w').write(input())\nprint(sum(map(int, open('/tmp/x').read().split())))",
        "from multiprocessing import Pool\n"
        "if __name__ == '__main__':\n    with Pool(2) as p:\n        print(sum(p.map(int, input().split())))",
        "from concurrent.futures import ThreadPoolExecutor as E\nprint(sum(E(4).map(int, input().split())))",
        "import asyncio\nasync def main():\n    print(sum(map(int, input().split())))\nasyncio.run(main())",
        "import sqlite3, hashlib, decimal, zoneinfo, uuid, tempfile, bz2, lzma, xml.etree.ElementTree\n"
        "print(sum(map(int, input().split())))",
        "# ümläut 你好\nprint(sum(map(int, input().split())))",
        "def f():\n    '''\n    ```\n    not yet\n    ```\n    '''\nprint(sum(map(int, input().split())))",
    ],
)
def test_a_right_program_passes(program: str) -> None:
    assert verdict(program, SUM) == Verdict(True, "equal", program + "\n", 1.0)


@pytest.mark.parametrize(
    ("program", "why", "score"),
    [
        ("print(3)", "wrong_answer: case 2 of 2", 0.5),
        ("print(", "syntax_error: case 1 of 2, '(' was never closed (program.py, line 1)", 0.0),
        (
            "a, b = map(int, input().split())\nprint(6 // (a - 1))",
            "runtime_error: case 1 of 2, ZeroDivision",
            0.0,
        ),
        ("x = bytearray(10**10)", "memory: case 1 of 2", 0.0),
        ("print('x' * 2**25)", "output_limit: case 1 of 2", 0.0),
        ("open('/outside', 'w')", "blocked: case 1 of 2, OSError: [Errno 30]", 0.0),
        (
            "print(sum(map(int, input().split())))\nraise SystemExit(3)",
            "runtime_error: case 1 of 2, exit code 3",
            0.0,
        ),
        ("import numpy", "runtime_error: case 1 of 2, ModuleNotFoundError: No module named 'numpy'", 0.0),
        ("input()\ninput()", "runtime_error: case 1 of 2, EOFError", 0.0),
    ],
)
def test_a_wrong_program_fails_with_its_reason(program: str, why: str, score: float) -> None:
    got = verdict(program, SUM)
    assert (got.passed, got.score) == (False, score) and got.why.startswith(why), got


def test_a_case_out_of_time_is_the_last() -> None:
    program = "n = int(input())\nwhile n == 2:\n    pass\nprint(n)"
    got = verdict(program, {"inputs": ["1", "2", "3"], "outputs": ["1", "2", "3"]}, case_timeout_s=1.0)
    assert got.passed is False and got.why == "timeout: case 2 of 3" and got.score == pytest.approx(1 / 3)


def test_large_input_and_output_go_through() -> None:
    text = "\n".join(map(str, range(400_000)))
    assert verdict(
        "import sys\nsys.stdout.write(sys.stdin.read())", {"inputs": [text], "outputs": [text]}
    ).passed


def test_nothing_of_one_run_is_there_in_the_next() -> None:
    program = """
import builtins, os, sys
if os.path.exists("/tmp/mark") or hasattr(builtins, "mark") or "mark" in sys.modules or "mark" in os.environ:
    print("seen")
open("/tmp/mark", "w").close()
builtins.mark = sys.modules["mark"] = os.environ["mark"] = "1"
print(input())"""
    assert verdict(program, {"inputs": ["a", "b", "c"], "outputs": ["a", "b", "c"]}).passed


SHAPES = [
    ({"inputs": [["1 2", "3"]], "outputs": [["3", "3"]]}, Streams),
    ([{"input": "1 2\n", "output": "3\n", "testtype": "stdin"}], Streams),
    ({"test_cases": [{"stdin": "1 2\n", "expected_output": "3\n"}]}, Streams),
    ({"public_test_cases": json.dumps([{"input": "1", "output": "1", "testtype": "stdin"}])}, Streams),
    ({"input": "1 2\n", "output": "3\n"}, Streams),
    ({"input": ["1 2\n"], "output": ["3\n"]}, Streams),
    ({"stdin": ["1", "2"], "expected_output": "3"}, Streams),
    ({"fn_name": "add", "input": [[1, 2]], "output": [3]}, Calls),
    ({"fn_name": "add", "inputs": [[1, 2]], "outputs": [3]}, Calls),
    ({"fn_name": "add", "inputs": [[1, 2]], "outputs": [[3]]}, Calls),
    ({"inputs": ["[1, 2]"], "outputs": [3], "metadata": '{"func_name": "add"}'}, Calls),
    ([{"input": "1\n2", "output": "3", "testtype": "functional", "metadata": {"func_name": "add"}}], Calls),
    ({"entry_point": "add", "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n"}, Asserts),
    ({"test_list": ["assert add(1, 2) == 3"], "test_imports": ["import math"]}, Asserts),
    (["assert add(1, 2) == 3", "assert add(0, 0) == 0"], Asserts),
    ("assert add(1, 2) == 3\nassert add(2, 2) == 4", Asserts),
    ('"assert add(1, 2) == 3"', Asserts),
    ({"test": "def test_add():\n    assert add(1, 2) == 3\n"}, Asserts),
]  # fmt: skip


@pytest.mark.parametrize(("tests", "kind"), SHAPES)
def test_every_shape_is_read_and_judged(tests: Any, kind: type) -> None:
    answer = tests if isinstance(tests, str) else json.dumps(tests)
    assert isinstance(read_tests(answer), kind)
    if kind is not Streams:
        assert verdict("def add(a, b):\n    return a + b", tests)[:2] == (True, "equal")
        assert (
            verdict("class Solution:\n    def add(self, a, b):\n        return a + b", tests).passed is True
        )
        assert verdict("def add(a, b):\n    return a - b", tests).passed is False
        assert verdict("def add(a, b):\n    return None", tests).passed is False
        assert verdict("def other(a, b):\n    return a + b", tests).passed is False


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "  ",
        "42",
        "null",
        "true",
        '"x"',
        "[]",
        "{}",
        "[1, 2]",
        "[[]]",
        '{"inputs": []}',
        "not json",
        '{"fn_name": "f", "inputs": [[1]], "outputs": [NaN]}',
        '{"fn_name": "f", "inputs": [[1]], "outputs": [' + "[" * 300 + "]" * 300 + "]}",
        "{" * 100_000,
        "[" * 100_000,
        '{"inputs": ["1"], "outputs": []}',
        '{"inputs": [], "outputs": []}',
        '{"test_list": []}',
        '{"test_list": 5}',
        '{"inputs": [{"a": 1}], "outputs": ["1"]}',
        '[{"input": "1"}]',
        '{"test_list": ["x = 1"]}',
        '[{"input": "x", "output": "3", "testtype": "functional"}]',
        '{"test": "assert f(", "entry_point": "f"}',
        '{"private_test_cases": "eJwrSyxKT1VIzs9VKEktLgEAJ2IFBg=="}',
        "NaN",
        '{"inputs": "12", "outputs": "12"}',
        '{"fn_name": "f", "inputs": ["x"], "outputs": [1]}',
        '{"tests": {}}',
        '{"test_cases": "[1"}',
        "\0",
        "assert (",
        '{"inputs": [[["a"]]], "outputs": ["1"]}',
    ],
)
def test_unreadable_tests_abstain(answer: str) -> None:
    got = verdict("def f(x):\n    return x", answer)
    assert got.passed is None and got.score is None
    assert got.why.startswith("gold_invalid: "), got


def test_no_tests_and_no_program() -> None:
    row = {"question": None, "response": "print(1)", "answer": None}
    assert CodeTests().row(row) == Verdict(None, "no_gold")
    for response in (None, "", "I cannot do that.", "```cpp\nint main() {}\n```", "The answer is 42."):
        got = CodeTests().row({"question": None, "response": response, "answer": json.dumps(SUM)})
        assert (got.passed, got.score) == (False, 0.0) and got.why.startswith("no_answer")


PROMPT = '''from typing import List

def encode(s: str):
    """Shift every letter."""
    return "".join(chr(ord(c) + 1) for c in s)


def decode(s: str):
    """The inverse of encode."""
'''
CHECK = (
    "def check(candidate):\n    for s in ('abc', 'hello', ''):\n        assert candidate(encode(s)) == s\n"
)
BODY = "    return ''.join(chr(ord(c) - 1) for c in s)\n"


@pytest.mark.parametrize("where", ["question", "fenced question", "field"])
@pytest.mark.parametrize(
    ("response", "passed"),
    [
        (BODY, True),
        (f"```python\n{BODY}```", True),
        (f"```python\ndef decode(s):\n{BODY}```", True),
        (f"```python\n{PROMPT}{BODY}```", True),
        (f"```python\nfrom __future__ import annotations\ndef decode(s: List[str]):\n{BODY}```", True),
        ("    return s\n", False),
        ("```python\ndef encode(s):\n    return s\ndef decode(s):\n    return s\n```", False),
    ],
)
def test_a_prompt_comes_before_its_completion(where: str, response: str, passed: bool) -> None:
    tests = {"entry_point": "decode", "test": CHECK}
    question = None if where == "field" else PROMPT
    if where == "fenced question":
        question = f"Complete this function:\n```python\n{PROMPT}```\n"
    if where == "field":
        tests["prompt"] = PROMPT
    got = CodeTests().row({"question": question, "response": response, "answer": json.dumps(tests)})
    assert got.passed is passed, got


@pytest.mark.parametrize(
    ("program", "test", "passed"),
    [
        ("def f(x):\n    x.append(1)", "x = []\nf(x)\nassert x == [1]", True),
        ("def f(d):\n    d['a'] = 1", "d = {}\nf(d)\nassert d == {'a': 1}", True),
        (
            "def f():\n    return {1, 2}, (1, 2), {(1, 2): b'x'}, 1j",
            "assert f() == ({1, 2}, (1, 2), {(1, 2): b'x'}, 1j)",
            True,
        ),
        ("def f():\n    return (1, 2)", "assert f() == [1, 2]", False),
        ("def f():\n    return 10 ** 5000", "assert f() == 10 ** 5000", True),
        ("def f():\n    yield from (1, 2)", "assert list(f()) == [1, 2]", True),
        (
            "from collections import Counter\ndef f(s):\n    return Counter(s)",
            "assert f('aab') == {'a': 2, 'b': 1}",
            True,
        ),
        (
            "from fractions import Fraction as F\ndef f():\n    return F(1, 3)",
            "from fractions import Fraction\nassert f() == Fraction(1, 3)",
            True,
        ),
        (
            "class P:\n    def __init__(self, x):\n        self.x = x\ndef f(p):\n    return p.x + 1",
            "assert f(P(2)) == 3",
            True,
        ),
        (
            "class P:\n    def __init__(self, x):\n        self.x = x\n    def g(self): return [self.x]",
            "p = P(2)\nassert p.g() == [2] and p.x == 2",
            True,
        ),
        ("import re\ndef f(s):\n    return re.match('a', s)", "assert f('a')\nassert not f('b')", True),
        (
            "def f(x):\n    if x < 0:\n        raise ValueError('no')\n    return x",
            "assert f(1) == 1\ntry:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass",
            True,
        ),
        (
            "def f(x):\n    return x",
            "assert f(1) == 1\ntry:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass",
            False,
        ),
        ("def sum(a, b):\n    return a + b", "assert sum(1, 2) == 3", True),
        ("def f(x):\n    return [3]\ndef set(x):\n    return 0", "assert set(f(1)) == set([1])", False),
        (
            "def f(x):\n    return 5\nclass math:\n    isclose = lambda *a, **k: True",
            "assert math.isclose(f(1), 1.0)",
            False,
        ),
        ("import math\ndef f(x):\n    return x * 1.0", "assert math.isclose(f(1), 1.0, rel_tol=0.001)", True),
        ("def f(x):\n    return 0.1 + 0.2", "assert abs(f(1) - 0.3) < 1e-6", True),
        ("def f(x):\n    return True", "assert f(1) is True", True),
        (
            "def f(x):\n    return x",
            "assert f(None) is None and f(x=2) == 2 and f('\\ud800') == '\\ud800'",
            True,
        ),
        ("def f(x):\n    return x", "assert f(float('inf')) == float('inf')", True),
        ("def f(x):\n    return x", "for x in f([]):\n    assert x == 1", False),
        ("def f(x):\n    print('noise')\n    return x", "assert f(1) == 1", True),
        ("print(f := lambda x: x)\nif __name__ == '__main__':\n    f = None", "assert f(1) == 1", True),
    ],
)
def test_what_asserts_may_say(program: str, test: str, passed: bool) -> None:
    got = verdict(program, test)
    assert got.passed is passed, got


def test_a_test_that_passes_a_function_is_unsupported() -> None:
    got = verdict("def f(g, x):\n    return g(x)", "assert f(lambda x: x + 1, 1) == 2")
    assert got.passed is None and got.why == "unsupported: the test passes a function"


def test_the_score_is_the_share_of_asserts() -> None:
    got = verdict(
        "def f(x):\n    return abs(x)", "assert f(1) == 1\nassert f(-1) == -1\nassert f(2) == 2\nassert True"
    )
    assert (
        got.passed is False and got.score == pytest.approx(2 / 3) and got.why == "wrong_answer: assert 2 of 3"
    )


@pytest.mark.parametrize(
    ("gold", "said", "same"),
    [
        ("3\n", "3", True),
        ("3", "3\n\n\n", True),
        ("a  \nb", "a\nb  \n", True),
        ("a\r\nb", "a\nb", True),
        ("1 2 3", "1  2 3", True),
        ("1 2 3", "1 2 3 ", True),
        ("a b", "a  b", False),
        ("  *\n ***", "*\n***", False),
        ("YES", "Yes", False),
        ("3.14159", "3.1416", False),
        ("0.5", "0.50000001", True),
        ("2", "2.0", True),
        ("0.333333333", "0.3333333333333", True),
        ("1e3", "1000.0", True),
        ("007", "7", False),
        ("0011", "11", False),
        ("1000000", "1000001", False),
        ("1000000.0", "1000000.1", True),
        ("nan", "NaN", False),
        ("inf", "inf", True),
        ("1 2\n3", "1\n2 3", False),
        ("", "", True),
        ("", "0", False),
        ("9" * 500, "9" * 500, True),
        ("9" * 500, "9" * 499 + "8", False),
        ("42", "٤٢", False),
        ("1_000", "1000", False),
        ("-0.0", "0.0", True),
    ],
)
def test_the_policy_of_outputs(gold: str, said: str, same: bool) -> None:
    assert same_output(gold, said, 1e-6) is same


@pytest.mark.parametrize(
    ("gold", "said", "same"),
    [
        (3, 3, True),
        (3, 3.0, True),
        (3.0, 3, True),
        (3, "3", False),
        (1, True, False),
        (True, 1, False),
        (None, None, True),
        (None, 0, False),
        (0.1, 0.1 + 1e-9, True),
        (0.1, 0.2, False),
        ([1, 2], (1, 2), True),
        ([1, 2], [2, 1], False),
        ([1, 2], {1, 2}, False),
        ({"1": "a"}, {1: "a"}, True),
        ({"a": [1]}, {"a": (1,)}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
        ("x", b"x", False),
        (10**30, 10**30, True),
        (10**30, 10**30 + 1, False),
        (1, float("nan"), False),
        (1.5, float("inf"), False),
        ([], (), True),
        ([], {}, False),
        ({}, {}, True),
        ("", None, False),
        ([[1]], [[1.0]], True),
        (3, 3.0000000001, True),
        (3, 3.1, False),
        ([1], 1, False),
    ],
)
def test_the_policy_of_values(gold: Any, said: Any, same: bool) -> None:
    assert same_value(gold, pack(said, repr), 1e-6) is same


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False),
    lambda inner: (
        st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=8,
)


@given(plain)
@settings(deadline=None)
def test_values_come_over_the_wall_as_they_were(value: Any) -> None:
    there = unpack(json.loads(json.dumps(pack(value, repr))), repr)
    assert there == value and type(there) is type(value)


@given(st.text() | st.text(alphabet="`~ \n\tpython>def x():"))
@settings(deadline=None)
def test_any_text_is_searched_for_a_program(text: str) -> None:
    found = program_in(text, "f")
    assert found is None or isinstance(found, str)


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
@settings(deadline=None)
def test_any_answer_is_tests_or_unreadable(answer: str) -> None:
    try:
        assert isinstance(read_tests(answer), Streams | Calls | Asserts)
    except Unreadable as e:
        assert str(e)


@pytest.mark.parametrize(
    ("response", "name", "program"),
    [
        ("```python\nx = 1\n```", "", "x = 1\n"),
        ("```py\nx = 1\n```\nor\n```python\nx = 2\n```", "", "x = 2\n"),
        ("```python\ndef f(): pass\n```\nUse:\n```python\nprint(f())\n```", "f", "def f(): pass\n"),
        ("```python\nx = 1\n```\nOutput:\n```\n1\n```", "", "x = 1\n"),
        ("```\nx = 1\n```", "", "x = 1\n"),
        ("~~~python\nx = 1\n~~~", "", "x = 1\n"),
        ("````python\nx = '''\n```\n'''\n````", "", "x = '''\n```\n'''\n"),
        ("```python\nx = 1", "", "x = 1"),
        ("1. So:\n   ```python\n   if 1:\n       x = 1\n   ```", "", "if 1:\n    x = 1\n"),
        ("x = int(input())\nprint(x)", "", "x = int(input())\nprint(x)"),
        ("    return x", "", "    return x"),
        ('```python title="a.py"\nx = 1\n```', "", "x = 1\n"),
        ("```Python\r\nx = 1\r\n```", "", "x = 1\r\n"),
        ("```java\nint x;\n```", "", None),
        ("The sum is 3.", "", None),
        ("We use f(x) = 3.\nThen we print it.", "", None),
    ],
)
def test_where_the_program_stands(response: str, name: str, program: str | None) -> None:
    assert program_in(response, name) == program


@pytest.mark.parametrize(
    "text", ["`" * 10**6, "```python\n" * 10**5, " " * 10**6, "a" * 10**6, "A b\n" * 10**5, "=" * 10**6]
)
def test_long_texts_are_searched_in_one_pass(text: str) -> None:
    program_in(text, "f")
    program_in("```python\n" + text, "f")


CHECKS = [
    "def check(candidate):\n    assert candidate(1, 2) == 3",
    '"""Doc."""\nimport math\n\ndef check(f):\n    assert f(1) == 1\n',
]


@pytest.mark.parametrize("test", CHECKS)
def test_asserts_that_nothing_calls_are_the_golds_fault(test: str) -> None:
    program = "```python\ndef add(a, b):\n    return a + b\n```"
    verdict = CodeTests()(response=program, answer={"test": test})
    assert verdict.passed is None and verdict.why.startswith("gold_invalid: its asserts stand in functions")
