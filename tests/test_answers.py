"""Where responses put their final answers, and what is found there."""

from __future__ import annotations

import doctest
import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.answers import (
    choices,
    chosen,
    final_answer,
    final_value,
    last_value,
    last_words,
    letters,
    listed,
    phrases,
    plain,
    reading,
)
from curate.text import split_thinking

MARKED = [
    (r"so \boxed{4}", "4", "boxed"),
    (r"\boxed{3}. No: \boxed{\frac{1}{\sqrt{2}}} it is", r"\frac{1}{\sqrt{2}}", "boxed"),
    (r"\boxed{3} and then \boxed{4", "3", "boxed"),
    (r"{ { \boxed{3}", "3", "boxed"),
    (r"\boxed{\{1, 2\}}", r"\{1, 2\}", "boxed"),
    (r"\boxed{\boxed{7}}", "7", "boxed"),
    (r"\boxed 12.", "12", "boxed"),
    (r"$x = \boxed{1}$ and $y = \boxed{2}$", "1, 2", "boxed"),
    (r"\boxed{2}, \boxed{2}", "2", "boxed"),
    (r"\boxed{1}. Later, \boxed{2}", "2", "boxed"),
    (r"\boxed{5} \boxed{}", "5", "boxed"),
    ("<ANSWER>2</ANSWER>", "2", "tag"),
    ("<think>\n</think>\n<answer> 25 </answer>", "25", "tag"),
    ("<ANSWER>2<ANSWER>", "2", "tag"),
    ("<ANSWER>2", "2", "tag"),
    ("</ANSWER>3</ANSWER>", "3", "tag"),
    ("so\n\nANSWER: 1</ANSWER>", "1", "tag"),
    ("I put it in the <ANSWER> tag as asked.\n\\boxed{1}", "1", "boxed"),
    (r"<ANSWER>\boxed{2}</ANSWER>", "2", "tag"),
    ('{"reasoning": "so \\\\boxed{3}?", "answer": "15"}', "15", "json"),
    ('```json\n{"answer": 15}\n```', "15", "json"),
    ('{"answer": "\\frac{1}{2}"', r"\frac{1}{2}", "json"),
    ('{"answer": "\\\\frac{1}{2}", "x": 1}', r"\frac{1}{2}", "json"),
    ('{"answer": "say \\"hi\\""}', 'say "hi"', "json"),
    ("5 + 5 = 10\n#### 10", "10", "hashes"),
    ("#### Step 2\nThe answer is 5.", "5", "phrase"),
    ("2 * 9 = <<2*9=18>>18\nA: 18", "18", "phrase"),
    ("The final answer is $x=5$.", "$x=5$", "phrase"),
    ("**Answer:** 29", "29", "phrase"),
    ("**Final Answer**\n\n\\[ 49 \\]", "\\[ 49 \\]", "phrase"),
    ("So the answer is 3.5. That was easy.", "3.5", "phrase"),
    ("【答案】C <eoa>", "C", "phrase"),
]


@pytest.mark.parametrize(("response", "text", "where"), MARKED)
def test_a_marked_answer_is_found_where_it_stands(response: str, text: str, where: str) -> None:
    found = final_answer(response)
    assert found is not None and found[:2] == (text, where)


@pytest.mark.parametrize(
    "response",
    [
        "",
        "Hard to say.",
        r"\boxed{",
        r"\boxed{}",
        "}" * 9,
        "the <ANSWER> tag",
        "answer",
        '"answer":',
        "#### Step 2",
    ],
)
def test_where_nothing_is_marked_nothing_is_found(response: str) -> None:
    assert final_answer(response) is None


def test_a_phrase_counts_only_near_the_end() -> None:
    assert final_answer("The answer is 5. " + "Or is it? " * 200) is None
    assert final_answer("The answer is 5. " + "Or is it? " * 20) == ("5", "phrase", False)


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("Her earnings are $460.", "$460"),
        ("$400 + $60 = $1,460 in total.", "$1,460"),
        (r"The point is \( (8, -2) \).", "(8, -2)"),
        ("it is -7", "-7"),
        ("about 3/4", "3/4"),
        ("There are **100 people** left", "100 people"),
    ],
)
def test_the_last_value_is_a_number_or_a_piece_of_mathematics(response: str, text: str) -> None:
    assert last_value(response) == (text, "last value", False)


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("The energy is 12 joules.", "12 joules"),
        ("It covers 12 hectares of land.", "12 hectares"),
        ("The power is 3 megawatts.", "3 megawatts"),
        ("It has a volume of 3 cubic yards.", "3 cubic yards"),
        ("There are 5 bars of soap.", "5"),
        ("It costs 12 rupees.", "12"),
        ("She earns 12 dollars per hour.", "12"),
        ("He has 3 million dollars.", "3 million dollars"),
        ("He has $3 million.", "$3 million"),
        ("There are 5 hundred thousand people.", "5 hundred thousand"),
        ("总共有3万人。", "3万"),
        ("So he needs 4 hundred-dollar bills.", "4"),
        ("So he needs 4 hundred dollar bills.", "4"),
        ("There are 2 hundred thousand-dollar houses.", "2 hundred"),
    ],
)
def test_every_unit_of_measure_behind_the_last_number_belongs_to_it(response: str, text: str) -> None:
    assert final_value(response) == (text, "last value", False)


def test_last_words_are_the_last_emphasis_or_a_single_line() -> None:
    assert last_words("**North**?\n\nShe faces **east**.") == ("east", "last value", False)
    assert last_words("east") == ("east", "line", False)
    assert last_words("First.\nSecond.") is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("(E)", "E"), ("E", "E"), ("e", "E"), ("C. 12", "C"), (r"\textbf{(A)}", "A"), ("option B", "B"),
        ("**B**", "B"), ("(A) and (C)", "AC"), ("A, B", "AB"), (r"\text{(B) }2\times4", "B"),
        ("east", ""), ("A dog", ""), ("Cat", ""), ("B = 3", ""), ("12", ""), ("K", ""),
    ],
)  # fmt: skip
def test_letters_are_read_in_every_style(text: str, named: str) -> None:
    assert letters(text) == set(named)


@given(st.text(alphabet="ab{}\\ \n$<>/1:", max_size=60), st.integers(-999, 999))
def test_a_last_box_is_found_after_any_text(before: str, value: int) -> None:
    assert final_answer(f"{before}\n.\\boxed{{{value}}} is it") == (str(value), "boxed", False)


@given(st.text())
def test_no_text_breaks_the_extraction(text: str) -> None:
    for find in (final_answer, last_value, last_words):
        found = find(text)
        assert found is None or found.text == found.text.strip() != ""
    assert plain(plain(text)) is not None and isinstance(letters(text), set)


SIZE = 1 << 20
UNITS = [
    "{", "}", "{}", "}{", r"\boxed{", r"\boxed", r"\boxed{5}", r"\boxed{5}, ", r"\boxed{\boxed{5}}",
    r"\fbox{", "boxed{", "ox",
    "$", "$$", '"', "'", "`", "```\n", "*", "**5** ", "\\", r"\[",
    r"\(", r"\text{", r"\frac{1}{2}", "<answer>", "</answer>",
    "<answer>x</answer>", "<", '"answer": "', '"answer": ', "#### 5\n", " ", "\n", "0", "1,", "1=", "a=",
    "answer is ", "answer to ",
    "answer: ", "The answer is 5. ", "either ", "not ", "答案是", "选A", "【答案】", "ответ ", "A, ",
    "(A) ", "A. x\nB. y\n",
    "A is wrong ", "\nQuestion: ", "answer 5 <|im_end|>", "</think>", "<think>", "é", "，",
    "cannot be determined ", "result is 5 ",
]  # fmt: skip
FINDERS = [final_answer, final_value, last_value, last_words, letters, chosen, listed]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_of_anything_comes_to_an_end(unit: str) -> None:
    """A look takes some 20 ms; anything quadratic would take hours."""
    much = (unit * (SIZE // len(unit) + 1))[:SIZE]
    for text in (much, r"\boxed{" + much, "The answer is " + much):
        for find in FINDERS:
            find(text)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("unit", [unit for unit in UNITS if "think" not in unit])
def test_a_box_is_found_before_and_after_a_megabyte(unit: str) -> None:
    if any(word in unit for word in ("answer>", '"answer"', "####", "ox", "not")):
        return  # marks of their own, and a denial
    much = (unit * (SIZE // len(unit) + 1))[:SIZE]
    assert (final_value(f"{much} \n\\boxed{{71}}") or ("", ""))[:2] == ("71", "boxed")
    assert (final_value(f"so \\boxed{{71}}\n {much}") or ("", ""))[:2] == ("71", "boxed")


def test_only_the_end_of_a_long_response_is_searched_for_phrases() -> None:
    assert final_answer("The answer is 5. " + "word " * 2000) is None
    assert final_answer("word " * 2000 + "The answer is 5.") == ("5", "phrase", False)


def test_the_example_in_the_documentation_holds() -> None:
    assert all(doctest.testmod(m).failed == 0 for m in (reading, choices, phrases))


def test_real_answers_are_found_in_every_style(data: Path) -> None:
    """Of the real responses that the source's own reader calls right, nearly all mark their answer."""
    for name, least in (("lineage_early", 0.97), ("farel", 0.99), ("rgym_multisample", 0.97)):
        found = total = 0
        with gzip.open(data / "traces" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                response = split_thinking(row["response"]).response
                if row["label"] and response.strip():
                    total += 1
                    answer = final_answer(response)
                    found += answer is not None and answer.text.split(".")[0] == row["gold"].split(".")[0]
        assert found / total > least, name
