"""What a response denies, supposes, corrects or leaves open is not its answer."""

from __future__ import annotations

import pytest

from curate.verifiers.math_equal import MathEqual

NOT_42 = r"""It is either 41 or 42.
It is 41 or 42, I am not sure.
The answer is 42? No, it is 41.
The answer is 42. Wait, actually it is 43.
\boxed{42}. Wait, that is wrong. The correct answer is 43.
\boxed{42} is wrong; the answer is 43.
\boxed{42} Oops, I made a mistake. It should be 41.
The problem says: 'the answer is 42'. We find x = 41.
I cannot determine the answer. It might be 42.
The answer could be 42, but I cannot be sure.
42 is incorrect.
We do not get 42.
It is not true that the answer is 42.
Suppose the answer is 42. Then we get a contradiction.
The student says the answer is 42, but this is wrong.
Is the answer 42?
Answer: less than 42
Answer: at least 42
Answer: 42 or more
The answer is 42 squared.
The answer is half of 42.
The answer is 42 and also 43.
答案是42吗？不，是41。"""
IS_42 = r"""\boxed{42}. We can check: 6*7=42. Correct.
\boxed{42} Note: if x were negative the answer would be -42.
\boxed{41}. Wait, that is wrong: it should be 42.
The final answer is not 41 but 42.
The answer is forty-two.
答案是42个。"""


@pytest.mark.parametrize("response", NOT_42.splitlines())
def test_what_is_not_held_to_be_so_does_not_pass(response: str) -> None:
    assert MathEqual().row(dict(response=response, answer="42")).passed is False


@pytest.mark.parametrize("response", IS_42.splitlines())
def test_what_stands_passes(response: str) -> None:
    assert MathEqual().row(dict(response=response, answer="42")).passed is True


def test_a_box_that_a_program_prints_and_another_problem_are_passed_over() -> None:
    code = "```python\nprint('\\\\boxed{42}')\n```\nSo the result is 41."
    other = "\\boxed{41}\n\nProblem: Find x.\nSolution: \\boxed{42}"
    assert [MathEqual().row(dict(response=r, answer="42")).passed for r in (code, other)] == [False, False]


def test_the_same_capitals_in_another_order_are_left_open() -> None:
    assert MathEqual().row(dict(response=r"\boxed{ACB}", answer="ABC")).passed is None


def test_a_subscript_of_nothing_is_no_bug() -> None:
    assert MathEqual().row(dict(response=r"\boxed{5_}", answer="5")).passed is False
