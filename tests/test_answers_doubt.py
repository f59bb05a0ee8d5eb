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


# What a careful reader takes for the answer, and what he does not: response | gold | verdict.
READ = r"""The vertex is at (1, 2). | (1, 2) | True
The vertex is at (1, 2). | 2 | False
The train arrives at 3:45 PM. | 3:45 PM | True
The train arrives at 3:45 PM. | 45 | False
The ratio of boys to girls is 3:4. | 4 | False
Therefore the odds are 5 to 3. | 5:3 | True
The price fell from $5 to $3. | 3 | True
It takes 3 hours and 45 minutes. | 3.75 hours | True
Die Fläche beträgt 3,5 cm². | 3.5 | True
Die Fläche beträgt 3,5 cm². | 5 | False
Las soluciones son x = 2 y x = 3. | 2, 3 | True
Las soluciones son x = 2 y x = 3. | 3 | False
The solutions are x = 1, 2. | 2 | False
所以 $x$ 的值为 $2$ 或 $-2$。 | \pm 2 | True
所以 $x$ 的值为 $2$ 或 $-2$。 | -2 | False
**Final Answer:** The value is $7$ when $n=3$. | 7 | True
Mary has 12 apples, which is 3 more than Bob. | 12 | True
Mary needs 12 more apples to reach 30. | 12 | True
The answer is 5 times 3, which is 15. | 15 | True
The answer is 5 times 3. | 5 | False
The answer is negative 5. | -5 | True
So she is at minus 5. | 5 | False
The difference is 10 minus 4, or 6. | 6 | True
Answer: 12 (since 3*4 = 12) | 12 | True
Answer: \(\frac{5}{12}\) of the cake, which is about 41.7%. | 5/12 | True
The answer is 4?? No wait, recount. So 5. | 4 | False
So the answer is 3. Is the answer 4? No. | 3 | True
Answer - 12 | 12 | True
The answer is 6. Correction: 8. | 8 | True
The answer is 6. On second thought, 8. | 6 | False
The answer is 6. Sorry, I meant 8. | 6 | False
The answer is 6. Hmm, that doesn't seem right. 2*4 = 8. | 6 | False
The answer is 6, wait, 8. | 8 | True
A common mistake is \boxed{6}. The correct answer is 8. | 6 | False
\boxed{\frac{1}{2}}. So the correct answer is $\frac{1}{2}$. | 1/2 | True
\boxed{6}. I misread the problem; the answer is actually 7. | 7 | True
The answer is the square root of 6. | 6 | False
The answer is 6 less than 10. | 6 | False
The answer is 6 per cent. | 0.06 | True
The answer is unknown, maybe 6. | 6 | False
Die Antwort ist 6 oder 8. | 6 | False
Die Antwort ist weniger als 6. | 6 | False
La respuesta es menos 6. | -6 | True
Ответ: минус 6. | -6 | True"""


@pytest.mark.parametrize("line", READ.splitlines())
def test_the_whole_value_is_read_where_nothing_marks_it(line: str) -> None:
    response, gold, verdict = line.rsplit(" | ", 2)
    assert MathEqual().row(dict(response=response, answer=gold)).passed is (verdict == "True")


@pytest.mark.parametrize("text", [r"|\begin{pmatrix}", r"\begin{vmatrix}\end{vmatrix}"])
def test_an_empty_matrix_is_unreadable(text: str) -> None:
    assert MathEqual().row(dict(response=r"\boxed{5}", answer=text)).why.startswith("gold_invalid")
