"""Laws of the rewriters, beyond the examples that each file carries."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from curate.demo_world.world import problems, solve
from curate.rewriters.trim_after_answer import TrimAfterAnswer, thoughts
from curate.step import Text


def trim(
    thinking: str | None, answer: str | None, question: str = "How many?", response: str = "R"
) -> Text | None:
    row = {"question": question, "thinking": thinking, "response": response, "answer": answer}
    return TrimAfterAnswer().row(row)


def end(thinking: str, answer: str, question: str = "How many?") -> str:
    """The thinking that is left; all of it where the trace stays."""
    child = trim(thinking, answer, question)
    return thinking if child is None else child.thinking or ""


lines = st.lists(
    st.sampled_from(
        [
            "So 42 it is.",
            "6 * 7 = 42",
            "42 + 1 = 43",
            "Hm.",
            "",
            " ",
            "\\boxed{42}",
            "The answer is 7.",
            "420 or 4.2",
        ]
    ),
    max_size=8,
).map("\n".join)


@given(lines | st.text(max_size=60), st.sampled_from(["42", "7", "Hm", "43", None]))
def test_the_child_is_a_beginning_of_its_parent_with_the_same_response(
    thinking: str, answer: str | None
) -> None:
    child = trim(thinking, answer)
    if child is not None:
        assert child.response == "R" and child.output_tokens is None
        assert child.thinking and thinking.startswith(child.thinking)
        assert thinking[len(child.thinking) :].strip(), "a child that lost nothing"
        assert child.thinking == child.thinking.rstrip()


STATES = ["So 42 it is.", "6 * 7 = 42", "\\boxed{42}", "Is it 42?\n42."]
SILENT = ["42 + 1 = 43", "Hm.", "The answer is 7.", "420 or 4.2", "a\nb"]


@given(st.lists(st.sampled_from(STATES + SILENT), min_size=1, max_size=8))
def test_the_child_ends_with_the_first_paragraph_that_states_the_answer(paragraphs: list[str]) -> None:
    assume(len(paragraphs) > 1 or "\n" not in paragraphs[0])
    stating = [i for i, paragraph in enumerate(paragraphs) if paragraph in STATES]
    left = paragraphs[: stating[0] + 1] if stating else paragraphs
    assert end("\n\n".join(paragraphs), "42") == "\n\n".join(left)


@given(st.lists(st.sampled_from(STATES[:3] + SILENT[:4]), min_size=1, max_size=8))
def test_where_there_is_no_blank_line_it_ends_with_the_first_such_line(thinking: list[str]) -> None:
    stating = [i for i, line in enumerate(thinking) if line in STATES]
    left = thinking[: stating[0] + 1] if stating else thinking
    once = end("\n".join(thinking), "42")
    assert once == "\n".join(left)
    assert trim(once, "42") is None, "a second trim finds nothing more"


@given(st.text(alphabet="ab \n\t", max_size=40))
def test_thoughts_leave_out_nothing_but_white_space(thinking: str) -> None:
    cut = list(thoughts(thinking))
    assert "".join("".join(t.split()) for _, t in cut) == "".join(thinking.split())
    assert all(thinking[:stop].endswith(thought) and thought.strip() for stop, thought in cut)
    assert [stop for stop, _ in cut] == sorted({stop for stop, _ in cut})


def test_thoughts_are_paragraphs_or_else_lines() -> None:
    assert [t for _, t in thoughts("a\nb\n \nc\n")] == ["a\nb", "c"]
    assert [t for _, t in thoughts("a\nb\n\n")] == ["a", "b"]


@pytest.mark.parametrize(
    ("before", "whole", "after"),
    [
        ("Code:\n\n", "```python\nx = 18\n\nprint(x)\n```", "\n\nSo it is 18.\n\nWait."),
        ("We have\n\n", "$$\nx = 18\n\ny = 2\n$$", "\n\nSo."),
        ("We have\n\n", "\\[\nx = 18\n\ny = 2\n\\]", "\n\nSo."),
        ("Code:\n", "```\nx = 18\n\nprint(x)\n```", "\nSo it is 18.\nWait."),
        ("We have\n", "\\begin{align}\nx &= 18\n\\end{align}", "\nSo."),
    ],
)
def test_code_and_formulas_are_not_cut(before: str, whole: str, after: str) -> None:
    assert end(before + whole + after, "18") == before + whole


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("18", "So 18 apples."),
        ("18", "That gives $18$."),
        ("18", "It is **18**!"),
        ("18", "x = 18.00"),
        ("1800", "In total \\$1,800."),
        ("1,800", "1800 it is"),
        ("-18", "x = -18"),
        ("-18", "It is −18."),
        ("\\frac{1}{2}", "so p = \\dfrac{1}{2}"),
        ("2x + 1", "we get 2x+1."),
        ("Amsterdam", "it must be amsterdam, then"),
        ("B", "The answer is B."),
        ("B", "\\boxed{\\text{B}}"),
        ("7", "3 + 4 = 7"),
        ("7", "the answer is 7"),
        ("1/2", "that leaves 1/2 of it"),
    ],
)
def test_a_thought_that_states_the_answer_ends_the_thinking(answer: str, said: str) -> None:
    assert end(f"Hm.\n\n{said}\n\nWait, is it?", answer) == f"Hm.\n\n{said}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("18", "118 or 180 or 1.18 or 18.5 or 2,318"),
        ("18", "18 + 2 = 20"),
        ("18", "20 - 18 = 2"),
        ("18", "3 \\times 18 = 54"),
        ("18", "x^{18} and x_18"),
        ("18", "\\frac{18}{5} = 3.6"),
        ("18", "18. Next we look at the rest."),
        ("18", "an 18% share"),
        ("18", "x = -18"),
        ("-18", "20-18 = 2"),
        ("B", "Option B says so. B and A are alike."),
        ("no", "There is no way to see it."),
        ("7", "seven of 7 are red"),
        ("Amsterdam", "Amsterdammers"),
        ("2x + 1", "12x+1 and 2x + 15"),
    ],
)
def test_a_thought_that_only_holds_the_characters_does_not(answer: str, said: str) -> None:
    thinking = f"Hm.\n\n{said}\n\nWait, is it?"
    assert end(thinking, answer) == thinking


def test_what_the_question_names_is_not_stated_by_naming_it() -> None:
    thinking = "Tom has 18 apples and gives none.\n\nSo he has = 18 left.\n\nYes."
    assert (
        end(thinking, "18", "Tom has 18 apples. How many are left?") == thinking[: thinking.index("\n\nYes")]
    )
    assert end(thinking, "18", "How many are left?") == "Tom has 18 apples and gives none."


@pytest.mark.parametrize(
    ("thinking", "answer"), [(None, "4"), ("", "4"), ("4\n\n5", None), ("4\n\n5", " "), ("a", "x" * 201)]
)
def test_without_thinking_or_a_usable_answer_the_trace_stays(
    thinking: str | None, answer: str | None
) -> None:
    assert trim(thinking, answer) is None


def test_long_runs_of_white_space_and_digits_take_linear_time() -> None:
    """Would run for hours with a pattern that backtracks; pytest's timeout is what fails it."""
    for piece in ("\n", " ", "\n ", "1", "1,", "- ", "{", "\\", "answer "):
        assert trim(piece * 50_000 + "x", "42") is None


def test_in_the_demo_world_nothing_after_the_answer_is_left() -> None:
    """Its traces say where the answer first stands, so the cut can be held to the thought."""
    rng, source = Random(5), problems(5, "sample")
    for _ in range(200):
        problem = next(source)
        thinking, response = solve(problem, rng)
        answer = str(problem.answer)
        left = end(thinking, answer, problem.question)
        *before, last = left.split("\n\n")
        assert f"= {answer}" in last or answer in last.replace(".", " ").split()
        assert not any(f"= {answer}." in thought for thought in before)
