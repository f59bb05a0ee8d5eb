"""Answers that are equal by construction pass in every spelling, near misses never do, and laws hold."""

from __future__ import annotations

from typing import Any

import families_formulas  # noqa: F401
import families_others  # noqa: F401
import families_shapes  # noqa: F401 - each registers its families
import families_values  # noqa: F401
import pytest
from families import FAMILIES, Family
from families_words import LETTER_STYLES, LETTER_WRONG, NOT_SAID, STYLES, letter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.maths import readable
from curate.step import Verdict
from curate.verifiers.choice import Choice
from curate.verifiers.math_equal import MathEqual

LAWS = settings(derandomize=True, database=None, deadline=None, max_examples=6,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])  # fmt: skip


def judge(said: str, gold: str, step: Any = None) -> Verdict:
    return (step or MathEqual()).row({"question": None, "response": f"\\boxed{{{said}}}", "answer": gold})


@pytest.mark.parametrize("name", FAMILIES)
def test_equal_answers_pass_in_every_spelling(name: str) -> None:
    @LAWS
    @given(FAMILIES[name], st.data())
    def law(found: Family, data: st.DataObject) -> None:
        gold = data.draw(st.sampled_from(found.right))
        for said in found.right:
            verdict = judge(said, gold)
            assert verdict.passed is True, (gold, said, verdict)

    law()


@pytest.mark.parametrize("name", FAMILIES)
def test_near_misses_never_pass(name: str) -> None:
    @LAWS
    @given(FAMILIES[name], st.data())
    def law(found: Family, data: st.DataObject) -> None:
        gold = data.draw(st.sampled_from(found.right))
        for said in found.wrong:
            verdict = judge(said, gold)
            assert verdict.passed is not True, (gold, said, verdict)

    law()


@pytest.mark.parametrize("name", FAMILIES)
def test_prediction_and_gold_may_change_places(name: str) -> None:
    @LAWS
    @given(FAMILIES[name], st.data())
    def law(found: Family, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(found.right))
        for other in data.draw(st.permutations(found.right + found.wrong))[:6]:
            there, back = judge(one, other).passed, judge(other, one).passed
            if readable(one) and readable(other):  # a gold of words abstains where a response is false
                assert there is back, (one, other, there, back)

    law()


@settings(LAWS, max_examples=200)
@given(st.one_of(*FAMILIES.values()), st.one_of(*FAMILIES.values()), st.data())
def test_answers_of_any_two_kinds_may_change_places(a: Family, b: Family, data: st.DataObject) -> None:
    one, other = (data.draw(st.sampled_from(f.right + f.wrong)) for f in (a, b))
    if readable(one) and readable(other):
        assert judge(one, other).passed is judge(other, one).passed, (one, other)


@LAWS
@given(st.lists(st.one_of(*FAMILIES.values()), min_size=8, max_size=8), st.randoms(use_true_random=False))
def test_what_was_judged_before_changes_no_verdict(found: list[Family], random: Any) -> None:
    pairs = [(f.right[0], said) for f in found for said in (f.right[-1], *f.wrong[:2])]
    first = {pair: judge(pair[1], pair[0]) for pair in pairs}
    random.shuffle(pairs)
    assert {pair: judge(pair[1], pair[0]) for pair in pairs} == first


VALUES = [("42", "24"), (r"\frac{3}{4}", r"-\frac{3}{4}"), ("(2, 5)", "(5, 2)"), (r"3\sqrt{2}", r"3\sqrt{3}"),
          ("x^2+1", "x^2-1"), ("-12", "12"), (r"\frac{\pi}{6}", r"\frac{\pi}{3}")]  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_the_style_of_a_response_changes_no_verdict(style: str) -> None:
    for value, wrong in VALUES:
        for said in (value, wrong):
            response = STYLES[style].format(a=said)
            verdict = MathEqual().row({"response": response, "answer": value})
            assert verdict.passed is (said == value), (response, verdict)


@pytest.mark.parametrize("style", NOT_SAID)
def test_an_answer_that_is_not_given_does_not_pass(style: str) -> None:
    for value, _ in VALUES:
        response = NOT_SAID[style].format(a=value)
        verdict = MathEqual().row({"response": response, "answer": value})
        assert verdict.passed is False, (response, verdict)


OPTIONS = "Which?\nA. 10\nB. 12\nC. 14\nD. 16"


@pytest.mark.parametrize("question", [None, OPTIONS], ids=["bare", "with options"])
@pytest.mark.parametrize("style", LETTER_STYLES)
def test_a_chosen_letter_passes(style: str, question: str | None) -> None:
    for right, other in ("BD", "BA"):
        response = letter(style, right, other)
        assert Choice().row({"question": question, "response": response, "answer": right}).passed is True
        assert Choice().row({"question": question, "response": response, "answer": "C"}).passed is False


@pytest.mark.parametrize("question", [None, OPTIONS], ids=["bare", "with options"])
@pytest.mark.parametrize("style", LETTER_WRONG)
def test_a_letter_that_is_not_chosen_does_not_pass(style: str, question: str | None) -> None:
    for right, other in ("BD", "CA"):
        response = letter(style, right, other)
        assert Choice().row({"question": question, "response": response, "answer": right}).passed is False


@pytest.mark.parametrize("step", [MathEqual(), Choice()], ids=lambda step: step.name)
def test_a_wrong_letter_is_seen(step: Any) -> None:
    """The checks above can fail."""
    assert judge("D", "B", step).passed is False
    assert judge("B", "B", step).passed is True
