"""A difference loses no character of either text, and says who wrote what is new."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from curate.difference import Stretch, difference

words = st.sampled_from(["So ", "it is. ", "Wait, no.\n\n", "18", " ", "\n", "𝛼é ", "U.S. ", "$a. b$ ", "。"])
texts = st.lists(words, max_size=12).map("".join)


def span(start: int, end: int, label: str) -> dict[str, Any]:
    return {"field": "thinking", "start": start, "end": end, "label": label, "value": None}


owned = st.lists(st.builds(span, st.integers(-2, 60), st.integers(-2, 60), st.sampled_from("ab")), max_size=4)


@given(texts, texts, owned)
@example("", "", [])
@example(" ", "\n", [span(0, 1, "a")])
def test_the_sides_join_to_parent_and_child_byte_for_byte(
    parent: str, child: str, spans: list[dict[str, Any]]
) -> None:
    groups = difference(parent, child, spans)
    stretches = [s for group in groups for s in group]
    assert "".join(s.parent for s in stretches) == parent
    assert "".join(s.child for s in stretches) == child
    at = 0
    for stretch in stretches:
        assert stretch.parent or stretch.child
        if stretch.kind == "same":
            assert "".join(stretch.parent.split()) == "".join(stretch.child.split())
        for i in range(at, at + len(stretch.child)):
            owner = next((s["label"] for s in spans if s["start"] <= i < s["end"]), None)
            assert stretch.by == owner or child[i].isspace()
        at += len(stretch.child)
    same = [[s.kind == "same" for s in group] for group in groups]
    assert all(len(set(kinds)) == 1 for kinds in same), "a group is the same, or changed"
    assert all(a[0] != b[0] for a, b in zip(same, same[1:], strict=False)), "the two take turns"


@given(texts, owned)
def test_nothing_is_cut_from_a_text_that_stays(text: str, spans: list[dict[str, Any]]) -> None:
    for group in difference(text, text, spans):
        assert {s.kind for s in group} == {"same"}


@given(texts, texts)
def test_what_both_begin_with_is_never_cut(begin: str, more: str) -> None:
    kinds = [s.kind for group in difference(begin + " " + more, begin) for s in group]
    assert "new" not in kinds or not begin.strip()


def test_a_revised_trace_by_hand() -> None:
    parent = "Two and two. It is 4.\n\nWait, or 5? I check it.\n\nYes, it is 4. Done."
    child = "Two and two. It is 4.\n\nSo I am sure. Done."
    spans = [span(0, 23, "author"), span(23, len(child), "reviser")]
    assert difference(parent, child, spans) == [
        (Stretch("Two and two. It is 4.\n\n", "Two and two. It is 4.\n\n", "author"),),
        (Stretch("Wait, or 5? I check it.\n\nYes, it is 4. ", ""), Stretch("", "So I am sure. ", "reviser")),
        (Stretch("Done.", "Done.", "reviser"),),
    ]


def test_a_cut_in_mid_sentence_is_where_it_was_made() -> None:
    child = "The dog runs\n\nEnough."
    [same], [cut, new] = difference(
        "The dog runs over there. Then back.", child, [span(0, 12, "parent"), span(12, 21, "injected")]
    )
    assert same == Stretch("The dog runs ", "The dog runs\n\n", "parent")
    assert cut == Stretch("over there. Then back.", "")
    assert new == Stretch("", "Enough.", "injected")


def test_a_loop_of_thousands_of_sentences_is_compared() -> None:
    parent, child = "Around we go. Is it so? No it is. " * 3_000, "Around we go. Or not? " * 3_000
    stretches = [s for group in difference(parent, child) for s in group]
    assert "".join(s.parent for s in stretches) == parent and "".join(s.child for s in stretches) == child
    assert sum(s.kind == "same" for s in stretches) == 3_000


def test_of_real_paragraphs_with_single_letters_each_is_compared() -> None:
    """A capital and a full stop may be an initial; a line ends all the same."""
    parent = "A is near B.\n\nThen C.\n\nAnd D is near E.\n\nAnd so on."
    child = "A is near B.\n\nAnd so on."
    assert [s.kind for group in difference(parent, child) for s in group] == ["same", "cut", "same"]
