"""Where a string ends, its last token is one that can end it: nothing is missed by looking only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("transformers")

from curate.demo import WORLD  # noqa: E402
from curate.engines.hf_checkpoint import load_tokenizer  # noqa: E402
from curate.engines.hf_words import Words  # noqa: E402

SAID = [
    "Wait",
    " But wait, ",
    "\n\n",
    "</think>",
    "so it is 漢字。",
    "👩\u200d👧",
    "e\u0301",
    "  ",
    ". ",
    "\u00a0x",
]


def with_metaspaces() -> Any:
    """A tokenizer that writes a space as a letter of the word behind it, and drops it where a text begins."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE(byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    space, first = decoders.Replace("▁", " "), decoders.Strip(" ", 1)
    made.decoder = decoders.Sequence([space, decoders.ByteFallback(), decoders.Fuse(), first])
    some_bytes = [f"<0x{i:02X}>" for i in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=some_bytes, show_progress=False)
    made.train_from_iterator(["Wait But wait so it is the end. a b c"] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=made)


@pytest.fixture(scope="module")
def some_words(tiny_model: Path) -> list[tuple[Words, Any]]:
    read = [load_tokenizer(str(place), None) for place in (WORLD / "teacher", tiny_model)]
    return [(Words(tokenizer), tokenizer) for tokenizer in (*read, with_metaspaces())]


@given(data=st.data())
def test_a_string_ends_only_in_a_token_that_can_end_it(
    some_words: list[tuple[Words, Any]], data: st.DataObject
) -> None:
    words, tokenizer = data.draw(st.sampled_from(some_words))
    said = data.draw(st.lists(st.sampled_from(SAID), max_size=4).map("".join))
    any_token = st.integers(0, len(tokenizer) - 1)
    ids = tokenizer(said, add_special_tokens=False)["input_ids"] + data.draw(st.lists(any_token, max_size=6))
    whole = words.text(ids)
    begin = data.draw(st.integers(0, len(whole)))
    string = whole[begin : begin + data.draw(st.integers(1, 8))] or "it"
    for k in range(len(ids)):
        if string in words.text(ids[: k + 1]) and string not in words.text(ids[:k]):
            assert words.can_end(ids[k], (string, "never said"))


def test_a_text_that_is_cut_ends_in_a_whole_character(some_words: list[tuple[Words, Any]]) -> None:
    said = "so it is 漢字。👩x é"
    for words, tokenizer in some_words:
        before, ids = ([*tokenizer(t, add_special_tokens=False)["input_ids"]] for t in ("a b", said))
        assert len(ids) > len(said) and words.whole_after(before, ids) == (words.after(before, ids), ids)
        for k in range(len(ids)):
            text, own = words.whole_after(before, ids[:k])
            assert own == ids[: len(own)] and words.after(before, own) == text
            assert "\ufffd" not in text and words.after(before, ids).startswith(text)
            assert len(text) >= len(words.after(before, ids[:k]).rstrip("\ufffd"))
        garbage = [i for i in range(len(tokenizer)) if tokenizer.decode([i]) == "\ufffd"][:1] * 4
        assert words.whole_after(before, garbage) == (words.after(before, garbage), garbage)
        assert words.after(before, garbage) == "\ufffd" * 4


def test_a_byte_behind_one_that_is_no_character_is_none_either() -> None:
    """Then both are shown as what stands for bytes, though the second alone would be a character."""
    tokenizer = with_metaspaces()
    ids = tokenizer.convert_tokens_to_ids(["<0x80>", "<0x41>"])
    assert Words(tokenizer).text(ids) == "\ufffd\ufffd" and Words(tokenizer).text(ids[1:]) == "A"
    assert Words(tokenizer).can_end(ids[1], ("\ufffd\ufffd",))


def test_most_tokens_end_nothing(some_words: list[tuple[Words, Any]]) -> None:
    words, tokenizer = some_words[0]
    can = [words.can_end(i, ("\n\n", "</think>")) for i in range(len(tokenizer))]
    assert 0 < sum(can) < len(can) / 2


def test_a_space_that_a_token_begins_with_can_end_a_string() -> None:
    """By itself such a token is decoded without it."""
    tokenizer = with_metaspaces()
    [_, token] = tokenizer("so the", add_special_tokens=False)["input_ids"]
    assert Words(tokenizer).text([token]) == "the" and Words(tokenizer).can_end(token, ("so ",))
