"""The three verifiers: what passes, what fails, what abstains, and what the text they judge cannot do."""

from __future__ import annotations

import functools
import gzip
import importlib
import json
import pkgutil
import re
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

import curate.maths
from curate.errors import UserError
from curate.pool import Pool
from curate.step import WHYS, Verdict, Verifier
from curate.text import split_thinking
from curate.verifiers.choice import Choice
from curate.verifiers.decided import Decided
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual


def maths(said: str, gold: str | None) -> Verdict:
    return MathEqual().row({"response": rf"so \boxed{{{said}}}", "answer": gold})


def routed(question: str, response: str, gold: str | None) -> Verdict:
    """The first verdict that does not call the gold unsupported."""
    row = {"question": question, "response": response, "answer": gold}
    steps = (Choice(), MathEqual(), Exact())
    return Decided()(**{step.name: step.row(row)._asdict() for step in steps})


@given(st.lists(st.sampled_from(["unsupported: words", "different", "equal", "timeout", None]), min_size=2))
def test_the_first_verdict_that_is_not_unsupported_decides(whys: list[str | None]) -> None:
    passed = {"equal": True, "different": False}
    verdicts = [
        why and {"passed": passed.get(why), "why": why, "extracted": str(i)} for i, why in enumerate(whys)
    ]
    names = tuple(f"v{i}" for i in range(len(whys)))
    got = Decided(names)(**dict(zip(names, verdicts, strict=True)))
    theirs = [v for v in verdicts if v and not v["why"].startswith("unsupported")]
    if judged := theirs[:1] or [v for v in verdicts if v][-1:]:
        assert (got.passed, got.why, got.extracted) == tuple(judged[0].values())
    else:
        assert (got.passed, got.why) == (None, "unsupported: not judged")


@pytest.mark.parametrize("names", ["math_equal", ("math_equal",), ()])
def test_one_verdict_is_nothing_to_decide_between(names: Any) -> None:
    with pytest.raises(UserError, match="two columns or more|is a tuple, not"):
        Decided(names)


@pytest.mark.parametrize("verifier", [MathEqual(), Choice(), Exact()], ids=lambda v: v.name)
def test_examples_hold_and_cover_the_three_verdicts(verifier: Verifier) -> None:
    assert {passed for _, passed in verifier.examples} == {True, False, None}
    for row, passed in verifier.examples:
        assert verifier.row(row).passed is passed, row


EQUAL = [
    ("1/2", "0.5"), (r"\frac12", "0.5"), (r"\dfrac{1}{2}", r"\frac{1}{2}"), ("1,234", "1234"),
    (r"10{,}000", "10000"), (r"10,\!080", "10080"), ("025", "25"), ("265.0", "265"), (r"\$30", "30"),
    (r"50\%", "0.5"), (r"5 \text{ feet}", "5"), (r"62^\circ", "62"),
    (r"1\frac{1}{2}", "1.5"), ("x=5", "5"), ("5", "x = 5"), (r"4\sqrt{2}", r"4 \sqrt{2}"),
    (r"\sqrt{8}", r"2\sqrt{2}"), ("(1, 2)", "(1,2)"), ("2, 1", "1, 2"), (r"2 \text{ and } 1", "1,2"),
    (r"\left(\frac83, 3\right]", r"(\tfrac{8}{3}, 3]"), ("x^2+2x+1", "(x+1)^2"),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"), (r"2\pi", "2π"),
    ("−7", "-7"), (r"2516_8", "2516_{8}"), ("2516", "2516_8"), ("10_4", "4_{10}"),
    ("(3, 5, 101, 107), (1, 7, 103, 105)", "(1,7,103, 105), (3, 5, 101, 107)"), ("B", "(B)"),
    (r"\textbf{(B)}", "B"), (r"\text{C. } 12", "C"),
]  # fmt: skip
DIFFERENT = [
    ("0.33", r"\frac{1}{3}"), ("3", "4"), ("-3", "3"), ("(2, 1)", "(1, 2)"), ("[2, 3]", "(2, 3)"),
    ("1, 2, 3", "1, 2"), ("x^2", "x^3"), ("221_4", "221_3"), ("12", "1,200"), ("(1,200)", "1200"),
    (r"\sqrt{3}", r"\sqrt{2}"), ("A", "B"), ("(A) and (B)", "B"), ("7", "B"), ("not a number", "4"),
    ("10_10", "10_4"), ("1/0", "0"), ("2:00", "2"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "gold"), EQUAL)
def test_equal_answers_pass(said: str, gold: str) -> None:
    assert maths(said, gold).passed is True


@pytest.mark.parametrize(("said", "gold"), DIFFERENT)
def test_different_answers_fail(said: str, gold: str) -> None:
    assert maths(said, gold).passed is False


@pytest.mark.parametrize(
    ("gold", "why"),
    [
        (None, "no_gold"), ("", "gold_invalid"), ("  ", "gold_invalid"), (r"\frac{1}{", "gold_invalid"),
        ("see figure", "unsupported"), (r"\text{Devon}", "unsupported"), ("June 20", "unsupported"),
        ("$f(x)=ax+b$, where $b$ is an arbitrary integer and $a$ is positive", "unsupported"),
    ],
)  # fmt: skip
def test_a_gold_that_is_no_mathematics_abstains(gold: str | None, why: str) -> None:
    verdict = maths("4", gold)
    assert verdict.passed is None and verdict.why.split(":")[0] == why


@pytest.mark.parametrize(
    ("response", "extracted"),
    [
        ("Each pays **\\$240** per year over 5 years.", "240"),
        ("**Answer:** Harry slept 240 minutes more than 1 person.", "240"),
        ("I think the answer is correct. The sum is 240.", "240"),
    ],
)
def test_a_value_is_found_in_a_sentence(response: str, extracted: str) -> None:
    verdict = MathEqual().row({"response": response, "answer": "240"})
    assert verdict.passed is True and verdict.extracted is not None and extracted in verdict.extracted


def test_no_response_is_no_answer() -> None:
    for response in (None, "", "Nothing here.", "...", "Hmm…", "idk", "—"):
        assert MathEqual().row({"response": response, "answer": "4"}) == Verdict(False, "no_answer")
    for response in (None, "", "...", "Hmm…", "idk", "—"):
        assert Exact().row({"response": response, "answer": "Paris"}) == Verdict(False, "no_answer")


FOUR = "Which?\nA. red\nB. blue\nC. green\nD. 12"
STYLES = [
    FOUR, "Which?\nOptions: A)red B)blue C)green D)12",
    "Which? The options: A ) red , B ) blue , C ) green , D ) 12",
    "Which?\n(A) red (B) blue (C) green (D) 12", "Which?\nA) red B) blue C) green D) 12",
]  # fmt: skip


@pytest.mark.parametrize("question", STYLES)
def test_a_choice_is_read_by_letter_or_by_text(question: str) -> None:
    for response in (
        r"\boxed{B}",
        "The answer is (B).",
        "Answer: B. blue",
        "It is option B",
        r"\boxed{blue}",
    ):
        assert routed(question, response, "B").passed is True, response
        assert routed(question, response, "C").passed is False, response
    assert routed(question, "\\boxed{12}", "D").passed is True
    assert routed(question, "\\boxed{A} and \\boxed{B}", "B").why.startswith("several_answers")
    assert routed(question, "Who knows?", "B").why.startswith("no_answer")


def test_numbered_options_are_options_only_where_one_is_to_be_selected() -> None:
    quiz = "Select the correct answer:\n1. child\n2. parent\nEnclose it in the <ANSWER> tag."
    for response in ("<ANSWER>2</ANSWER>", "ANSWER: 2</ANSWER>", "\\boxed{2}", "The answer is 2. parent"):
        assert routed(quiz, response, "2").passed is True, response
        assert routed(quiz, response, "1").passed is False, response
    assert Choice().row({"question": quiz, "response": "2", "answer": "3"}).why.startswith("unsupported")
    steps = "Do this:\n1. Take 3.\n2. Add 4.\nWhat is it?"
    assert Choice().row({"question": steps, "response": "2", "answer": "2"}).why.startswith("unsupported")


def test_named_options_of_openbookqa_are_read() -> None:
    question = "What melts?\n\nAnswer1: ice Answer2: coal\n\nAnswer format: answer1/answer2"
    assert routed(question, "the correct answer is answer1", "answer1").passed is True
    assert routed(question, "\\boxed{coal}", "answer1").passed is False


def test_the_kind_of_gold_decides_who_judges() -> None:
    assert routed("Where?", "She faces \\boxed{\\text{East}}", r"\text{east}").passed is True
    assert routed("Where?", "She faces **west**.", r"\text{east}").passed is False
    assert routed("How many?", "\\boxed{0.5}", "1/2").passed is True
    assert routed("How many?", "\\boxed{4}", None).why == "no_gold"


def test_exact_ignores_what_only_sets_the_type_and_nothing_else() -> None:
    def same(said: str, gold: str) -> bool | None:
        return Exact().row({"response": rf"\boxed{{{said}}}", "answer": gold}).passed

    assert same(r"\text{ New  York. }", "new york") and same('"Yes"', "yes") and same("$x+1$", "X+1")
    assert not same("a cat", "cat") and not same("1/2", "0.5") and not same("x-1", "x1")


@given(st.fractions(max_denominator=999), st.fractions(max_denominator=999))
def test_rationals_are_compared_exactly(a: Fraction, b: Fraction) -> None:
    sign = "-" if a < 0 else ""
    said = rf"{sign}\frac{{{abs(a.numerator)}}}{{{a.denominator}}}"
    assert maths(said, f"{a.numerator}/{a.denominator}").passed is True
    assert maths(said, f"{b.numerator}/{b.denominator}").passed is (a == b)


@given(st.integers(-(10**12), 10**12), st.integers(0, 4))
def test_decimals_and_thousands_are_numbers(value: int, places: int) -> None:
    assert maths(f"{value:,}", str(value)).passed is True
    assert maths(f"{value}.{'0' * places}", str(value)).passed is True
    assert maths(f"{value}.01", str(value)).passed is False


HOSTILE = [
    "__import__('os').system('touch owned')", "().__class__.__base__.__subclasses__()", "exec('1/0')",
    r"\input{x}", "lambda: 1", "{{7*7}}", "\x00", "٣", "NaN", r"\infty", "x" * 3000, "{" * 50,
    r"\frac" * 50, "eval(input())", "_",
]  # fmt: skip


@functools.cache
def _import_all() -> None:
    """What is imported late compiles its annotations, and SymPy some of itself: nobody's text."""
    for module in pkgutil.iter_modules(curate.maths.__path__, "curate.maths."):
        importlib.import_module(module.name)
    for said in ("1f", "1},>+\\-0c>"):  # the second is Math-Verify's to read
        maths(r"\sqrt{2}", said)


@settings(deadline=None, max_examples=60)
@given(st.one_of(st.sampled_from(HOSTILE), st.text(alphabet="019x+-*/^_(){}[]\\,.=<>|& frac", max_size=24)))
def test_no_text_is_ever_evaluated_or_raises(text: str) -> None:
    """Python reports what it compiles. SymPy does compile: numerals, and arithmetic that it wrote itself."""
    _import_all()
    seen: list[Any] = []
    _listeners.append(seen)
    try:
        for said, gold in ((text, r"\sqrt{2}"), (text, "7"), (r"\sqrt{2}", text)):
            if "^" not in said + gold:  # towers of powers are the pool's to kill
                maths(said, gold)
    finally:
        _listeners.remove(seen)
    assert [source for source in seen if not OWN.match(source)] == []


OWN = re.compile(
    rb"from sympy import \*\Z|(?:Integer|Float|Rational) ?\([\d.eE' +-]*\)\Z|def monomial_\w+\([ABk, ]+\):\n"
)
_listeners: list[list[Any]] = []
sys.addaudithook(
    lambda event, args: (
        [seen.append(args[0]) for seen in _listeners] and None
        if event == "compile" and args[1] == "<string>"
        else None
    )
)


def test_a_huge_number_costs_its_own_row_only() -> None:
    rows = [
        {"response": rf"\boxed{{{said}}}", "answer": "4"}
        for said in ("2+2", "9^{9^{9^9}}", "4", "(10^9)!", "5")
    ]
    with Pool(workers=2) as pool:
        got = dict(pool.map(MathEqual(timeout_s=2.0), rows))
    assert [got[i].passed for i in (0, 2, 4)] == [True, True, False]
    assert [got[i].passed for i in (1, 3)] == [False, False]  # decided by size, nothing is written down


def test_a_long_answer_is_past_a_limit_and_an_equal_one_passes() -> None:
    assert maths("1+" * 1500 + "1", "1501").why.startswith("limit")
    assert maths("1" * 300, "1" * 300).passed is True


@pytest.mark.parametrize(
    ("name", "least"),
    [("lineage_early", 0.99), ("farel", 0.99), ("rgym_multisample", 0.98), ("short_graded", 0.999)],
)
def test_verdicts_agree_with_the_labels_of_real_traces(data: Path, name: str, least: float) -> None:
    agreed = total = 0
    with gzip.open(data / "traces" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in list(map(json.loads, lines))[:600]:
            response = split_thinking(row["response"]).response
            total += 1
            agreed += routed(row["question"], response, row["gold"]).passed is row["label"]
    assert agreed / total >= least


@pytest.mark.parametrize("name", ["choice", "mmlu_pro", "logic"])
def test_the_gold_of_every_real_choice_question_is_one_of_its_options(data: Path, name: str) -> None:
    with gzip.open(data / "problems" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            said = {
                "question": row["question"],
                "answer": row["answer"],
                "response": f"\\boxed{{{row['answer']}}}",
            }
            assert Choice().row(said).passed is True, row["id"]


def test_the_page_has_every_word_that_a_verdict_may_begin_with_and_no_other() -> None:
    page = (ROOT / "docs" / "verifiers.md").read_text(encoding="utf-8")
    table = page.partition("| word | verdict |")[2].partition("\n\n")[0]
    told = [word for line in table.splitlines()[2:] for word in re.findall(r"`(\w+)`", line.split("|")[1])]
    assert sorted(told) == sorted(WHYS)
