"""Sentences, steps and thoughts tile their text, and are cut where a reader would cut."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.pieces import Piece, delimiter, sentences, settled, steps, thoughts

SPLITTERS: list[Callable[[str], list[Piece]]] = [
    sentences,
    steps,
    thoughts,
    lambda text: thoughts(text, where="near_start"),
]
PARTS = [
    "So 1.5 + 2 = 3.5", ". ", "\n", "\n\n", "Wait, ", "but no", "!", "。", "e.g. ", "$x. y$", "$$",
    "\\[", "\\]", "```", "`", "\\begin{align}", "\\end{align}", " ", "\t", "答案是三", "🙂",
    "A. ", "1. ", "“yes.” ", "\\(", "\\)", "?", "x", "\u2028",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PARTS), max_size=25).map("".join) | st.text(max_size=60)


def cut(split: Callable[[str], list[Piece]], text: str) -> list[str]:
    return [text[a:b] for a, b in split(text)]


@pytest.mark.parametrize("split", SPLITTERS)
@given(text=TEXTS)
def test_the_pieces_tile_the_text(split: Callable[[str], list[Piece]], text: str) -> None:
    pieces = split(text)
    assert "".join(text[a:b] for a, b in pieces) == text
    assert all(a < b for a, b in pieces) and all(
        x.end == y.start for x, y in zip(pieces, pieces[1:], strict=False)
    )
    assert all(text[a:b].strip() for a, b in pieces) or len(pieces) == 1


@given(text=TEXTS)
def test_steps_end_with_what_the_text_has_unless_they_are_told_to(text: str) -> None:
    assert steps(text, delimiter(text)) == steps(text)
    assert steps(text, "sentence") == sentences(text)
    assert {p.start for p in thoughts(text, by="line")} <= {p.start for p in steps(text, "line")} | {0}


@given(text=TEXTS, more=TEXTS)
def test_a_text_comes_to_no_fewer_steps_than_what_is_settled_of_its_beginning(text: str, more: str) -> None:
    for by in ("blank", "line", "sentence"):
        assert len(steps(settled(text), by)) <= len(steps((text + more).rstrip(), by))


def test_what_is_settled_is_all_but_what_is_open() -> None:
    whole = "One.\n\n```\na\n\nb\n```\n\n$x$ and $$y$$.\n\nThen"
    assert settled(f"{whole}\n\n") == whole
    for opened in ("```", "$$", "\\[", "\\begin{align}", "$", "`"):
        assert settled(f"{whole}\n\n{opened} and so on") == f"{whole}\n\n{opened}"
    assert settled(f"{whole} for $5,\n\nand so on") == f"{whole} for $5,\n\nand so on"


def test_a_text_is_measured_by_what_it_is_told() -> None:
    text = "One. Two\nthree\n\nfour"
    assert [cut(lambda t, by=by: steps(t, by), text) for by in ("blank", "line", "sentence")] == [  # type: ignore[misc]
        ["One. Two\nthree\n\n", "four"],
        ["One. Two\n", "three\n\n", "four"],
        ["One. ", "Two\nthree\n\n", "four"],
    ]
    assert (delimiter(text), delimiter("a\nb"), delimiter("a. B")) == ("blank", "line", "sentence")


@given(text=TEXTS)
def test_thoughts_are_whole_steps(text: str) -> None:
    assert {p.start for p in thoughts(text)} <= {p.start for p in steps(text)} | {0}


SENTENCES = [
    ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
    ("It is 3.5 m, e.g. here. Done.", ["It is 3.5 m, e.g. here. ", "Done."]),
    ("By Eq. 3 and Dr. Who, A. Euler is right. So.", ["By Eq. 3 and Dr. Who, A. Euler is right. ", "So."]),
    ("He said “no.” Then left.", ["He said “no.” ", "Then left."]),
    ("答案是三。所以停。", ["答案是三。", "所以停。"]),
    ("First 1 + 1 = 2.\nThen 3.\n", ["First 1 + 1 = 2.\n", "Then 3.\n"]),
    ("a line that goes\non here. End", ["a line that goes\non here. ", "End"]),
    ("1. First item\n2. Second item", ["1. First item\n", "2. Second item"]),
    ("See $a. B$ here. And\n\\[ x. \n\n Y \\]\nend.",
     ["See $a. B$ here. ", "And\n", "\\[ x. \n\n Y \\]\nend."]),
    ("```\na. B\n\nc. D\n```\nAfter. It", ["```\na. B\n\nc. D\n```\n", "After. ", "It"]),
    ("1. So:\n   ```\n   a. B\n   ```\n2. One. Two.\n\n```\nb\n```\nEnd.",
     ["1. So:\n   ", "```\n   a. B\n   ```\n", "2. One. ", "Two.\n\n", "```\nb\n```\n", "End."]),
    ("- ```\n  a. B\n  ```\n- Then. So", ["- ```\n  a. B\n  ```\n", "- Then. ", "So"]),
    ("It costs $5. Or $6. Yes.", ["It costs $5. ", "Or $6. ", "Yes."]),
    ("\\begin{cases} a. \\\\\n\n B. C \\end{cases} Then. So",
     ["\\begin{cases} a. \\\\\n\n B. C \\end{cases} Then. ", "So"]),
    ("  \n x", ["  \n x"]), ("", []), (" \n", [" \n"]),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), SENTENCES)
def test_sentences(text: str, expected: list[str]) -> None:
    assert cut(sentences, text) == expected


def test_steps_are_paragraphs_else_lines_else_sentences() -> None:
    assert cut(steps, "a\nb\n\nc\n \n\nd") == ["a\nb\n\n", "c\n \n\n", "d"]
    assert cut(steps, "a\nb\n") == ["a\n", "b\n"]
    assert cut(steps, "One. Two.") == ["One. ", "Two."]
    assert cut(steps, "```\na\n\nb\n```\n\nc") == ["```\na\n\nb\n```\n\n", "c"]


def test_thoughts_begin_at_transitions() -> None:
    text = "So 3.\n\nThen 4, but no.\n\nWait, 5.\n\nYes.\n\nHmmm. 6.\n\n**Alternatively**, 7.\n\nButter.\n\n"
    text += "Not sure."
    assert [t.split()[0] for t in cut(thoughts, text)] == [
        "So",
        "Wait,",
        "Hmmm.",
        "**Alternatively**,",
        "Not",
    ]
    near = cut(lambda t: thoughts(t, where="near_start"), text)
    assert [t.split()[0] for t in near] == ["So", "Then", "Wait,", "Hmmm.", "**Alternatively**,", "Not"]
    assert cut(lambda t: thoughts(t, ["Yes"]), text)[1].startswith("Yes.")


def test_thoughts_go_on_behind_code_that_is_indented() -> None:
    text = "First:\n\n   ~~~\n   a\n\n   Wait\n   ~~~\n\nThen.\n\nWait, 5.\n\n~~~\nb\n~~~\n\nEnd."
    assert [t.split()[0] for t in cut(thoughts, text)] == ["First:", "Wait,"]


@pytest.mark.parametrize(
    "code", ["```\nWait, x\n```", "~~~\nBut\n\nWait\n~~~", "```\nWait, never closed", "`Wait` it is"]
)
def test_a_thought_does_not_begin_with_code(code: str) -> None:
    text = f"So 3.\n\n{code}\n\nThen 4."
    assert len(thoughts(text, by="blank")) == 1
    fenced = not code.startswith("`W")
    assert len(thoughts(text, where="near_start", by="blank")) == (1 if fenced else 2)


@pytest.mark.parametrize(
    "unit", ["```", "$$", "\\[", "\\begin{a}", "$", "`", ". ", "\n", "。", "A. ", "e.g. "]
)
@pytest.mark.slow
def test_a_long_text_of_one_thing_is_cut_in_linear_time(unit: str) -> None:
    text = unit * (400_000 // len(unit))
    for split in SPLITTERS:
        assert sum(b - a for a, b in split(text)) == len(text)
    settled(text)
