"""A line that names several options chooses the one that it concludes with, not the first."""

from __future__ import annotations

import pytest

from curate.verifiers.choice import Choice

QUESTION = "Which gas is the most abundant in air?\nA. oxygen\nB. nitrogen\nC. 3\nD. argon"
RESPONSES = """A) too reactive, so no. C) is a number. D) is rare. Hence B.
Is the answer C? Let us check. No, C is no gas. So B.
The correct choice is nitrogen (B), as oxygen (A) is only 21%.
Answer - B
Answer: [[B]]
B) It is nitrogen. A) oxygen is only 21%."""


@pytest.mark.parametrize("response", ["A is a trap.\nAnswer - B", *RESPONSES.splitlines()])
def test_the_conclusion_counts(response: str) -> None:
    assert [Choice()(response=response, answer=a, question=QUESTION).passed for a in "BA"] == [True, False]


def test_a_value_behind_an_equals_sign_is_an_option() -> None:
    verdicts = [Choice()(response="x = 3", answer=a, question=QUESTION).passed for a in "CA"]
    assert verdicts == [True, False]
