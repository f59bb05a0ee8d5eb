"""split_thinking: nothing is lost, each style of delimiter is found, and a megabyte of junk is no trouble."""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curate.text import Split, split_thinking

PIECES = [
    "<think>", "</think>", "<thinking>", "</thinking>", "<|begin_of_thought|>", "<|end_of_thought|>",
    "<|begin_of_solution|>", "<|end_of_solution|>", "think\n", "\nanswer\n", "think", "answer", "\n", " ",
    "\t", "\r\n",
    "\x0b", "\x85", "\u2028", "\u3000", "x", "1 + 1 = 2.", "<", ">", "/", "|", "é", "思考", "\0",
]  # fmt: skip
TURNS = st.one_of(st.text(), st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3))).map("".join))


@given(TURNS)
@example("")
@example("<think>")
@example("</think></think>")
@example("think\nanswer\n")
@example("think\n\nanswer\n")
@example("<|end_of_thought|><|begin_of_solution|><|end_of_solution|>")
def test_the_pieces_are_the_text(text: str) -> None:
    assert "".join(split_thinking(text)) == text


@given(TURNS)
def test_the_first_closing_tag_counts(text: str) -> None:
    split = split_thinking(text)
    tag = re.match(r"\s*(<[^>]*>)", split.closing)
    if tag:
        assert tag[1] not in split.thinking
    if not split.opening and not split.closing:
        assert split == Split("", "", "", text)
    assert (split.thought is None) == (not split.opening and not split.closing)


@given(TURNS)
def test_the_delimiters_keep_the_white_space(text: str) -> None:
    split = split_thinking(text)
    if split.opening:
        assert split.thinking == split.thinking.lstrip()
    if split.closing:
        assert split.thinking == split.thinking.rstrip()
        assert split.response == split.response.lstrip()


@pytest.mark.parametrize("opened", ["", "<think>", "<|begin_of_thought|>", "think\n"])
@pytest.mark.parametrize(
    "unit", ["<think", "</think", "<|end_of_thought|", "\n", " ", "\nanswer", "\n answer \t", "<"]
)
def test_a_megabyte_of_junk(opened: str, unit: str) -> None:
    """Quadratic work on it would not end."""
    junk = unit * (1_000_000 // len(unit))
    for text in (opened + junk, opened + junk + "</think>done", opened + "x" + junk + "<|end_of_solution|>"):
        assert "".join(split_thinking(text)) == text


STYLES = [
    ("<think>\n1+1\n</think>\n\n2", Split("<think>\n", "1+1", "\n</think>\n\n", "2")),
    ("\n <think>1+1</think>2\n", Split("\n <think>", "1+1", "</think>", "2\n")),
    ("1+1\n</think>\n\n2", Split("", "1+1", "\n</think>\n\n", "2")),
    ("</think>2", Split("", "", "</think>", "2")),
    ("<think>\n\n</think>\n\n2", Split("<think>\n\n", "", "</think>\n\n", "2")),
    ("<think>\nendless", Split("<think>\n", "endless", "", "")),
    ("<think>a</think>b</think>c", Split("<think>", "a", "</think>", "b</think>c")),
    ("<thinking>a</thinking>b", Split("<thinking>", "a", "</thinking>", "b")),
    (
        "<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\nb\n\n<|end_of_solution|>",
        Split(
            "<|begin_of_thought|>\n\n",
            "a",
            "\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n",
            "b",
            "\n\n<|end_of_solution|>",
        ),
    ),
    (
        "<|begin_of_thought|>a<|end_of_thought|>b",
        Split("<|begin_of_thought|>", "a", "<|end_of_thought|>", "b"),
    ),
    ("<|begin_of_thought|>\na", Split("<|begin_of_thought|>\n", "a", "", "")),
    ("think\na\nanswer\nb", Split("think\n", "a", "\nanswer\n", "b")),
    ("think\n\na\n\nanswer\n\nb", Split("think\n\n", "a", "\n\nanswer\n\n", "b")),
    ("the answer\nis 2", Split("", "", "", "the answer\nis 2")),
    (
        "a\nanswer\nb",
        Split("", "", "", "a\nanswer\nb"),
    ),  # the bare words close nothing that they did not open
    ("thinking about it\nanswer\n2", Split("", "", "", "thinking about it\nanswer\n2")),
    ("see <think> in the middle", Split("", "", "", "see <think> in the middle")),
    ("plain", Split("", "", "", "plain")),
]


@pytest.mark.parametrize(("text", "expected"), STYLES, ids=[repr(text)[:40] for text, _ in STYLES])
def test_styles(text: str, expected: Split) -> None:
    assert split_thinking(text) == expected


def style(split: Split) -> str:
    """The delimiters without the white space around them."""
    words = ["".join(d.split()) for d in (split.opening, split.closing, split.ending)]
    return " … ".join(words) if any(words) else "none"


REAL = {
    "farel": {"none": 1110},
    "lineage_2025": {"<think> … </think> … ": 1333, "<think> …  … ": 19},
    "lineage_early": {"none": 919, "<think> … </think> … ": 149},
    "mip_answerable": {" … </think> … ": 1526, "none": 1063, "think … answer … ": 509},
    "mip_unanswerable": {" … </think> … ": 727, "none": 20, "think … answer … ": 85},
    "misguided_attention": {"<think> … </think> … ": 724, "<think> …  … ": 17},
    "rgym_multisample": {"<think> … </think> … ": 2185, "<think> …  … ": 265},
    "short_graded": {"none": 4800},
    "skythought_math": {
        "none": 2999,
        "<|begin_of_thought|> … <|end_of_thought|><|begin_of_solution|> … <|end_of_solution|>": 470,
        "<|begin_of_thought|> …  … ": 339,
        "<|begin_of_thought|> … <|end_of_thought|><|begin_of_solution|> … ": 23,
        " … <|end_of_thought|><|begin_of_solution|> … <|end_of_solution|>": 1,
    },
    "thought_anchors_math": {"<think> … </think> … ": 120, "<think> …  … ": 8},
    "zeroeval_math_l5": {"none": 3564},
}


@pytest.mark.parametrize("name", REAL)
def test_real_traces(data: Path, name: str) -> None:
    """How many traces of each style there are, as counted from the raw text."""
    found: Counter[str] = Counter()
    with gzip.open(data / "traces" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
        for line in file:
            text = json.loads(line)["response"]
            split = split_thinking(text)
            assert "".join(split) == text
            found[style(split)] += 1
    assert found == REAL[name]
