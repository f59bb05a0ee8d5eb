"""Scores of tokens and sentences: spans cover the texts, and real checkpoints agree with their sampling."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.hf import HF
from curate.engines.hf_checkpoint import Checkpoint, load_tokenizer
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.pieces import by_piece, joined, sentences
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs, spans_of
from curate.step import Completion, TokenScores, user
from curate.turns import turn_of

WORLD = Path(curate.__file__).parent / "demo_world"
SOME = st.text(alphabet=st.sampled_from("ab 1.。\n\\$🙂漢é"), max_size=30)


@given(thinking=st.none() | SOME, response=SOME, data=st.data())
def test_every_token_of_a_field_is_there_once_and_no_delimiter_is(
    thinking: str | None, response: str, data: st.DataObject
) -> None:
    turn = turn_of({"thinking": thinking, "response": response}, "")
    assert turn is not None
    size = len(turn.text)
    cuts = sorted({0, size, *data.draw(st.lists(st.integers(0, size), max_size=12))})
    pairs = list(zip(cuts, cuts[1:], strict=False))
    scores = TokenScores(
        ids=tuple(range(len(pairs))),
        start=tuple(a for a, _ in pairs),
        end=tuple(b for _, b in pairs),
        logprob=(-1.0,) * len(pairs),
    )
    texts = {"thinking": thinking, "response": response}
    for field in turn.fields:
        assert turn.text[field.start : field.end] == texts[field.name]
    spans = spans_of(turn, scores)
    assert len(spans) <= len(pairs)
    for span in spans:
        assert 0 <= span["start"] < span["end"] <= len(texts[span["field"]] or "")
    for a, b in zip(spans, spans[1:], strict=False):
        assert a["field"] != b["field"] or a["end"] <= b["start"]


@given(text=SOME, min_words=st.integers(1, 4))
def test_joined_sentences_still_tile(text: str, min_words: int) -> None:
    pieces = joined(text, sentences(text), min_words)
    assert "".join(text[a:b] for a, b in pieces) == text
    assert all(len(text[a:b].split()) >= min_words for a, b in pieces) or len(pieces) == 1


@given(text=SOME, data=st.data())
def test_every_token_counts_in_one_sentence(text: str, data: st.DataObject) -> None:
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=9))})
    tokens = [dict(start=a, end=b, value=float(a)) for a, b in zip(cuts, cuts[1:], strict=False)]
    found = by_piece(text, sentences(text), tokens)
    assert [v for _, values in found for v in values] == [t["value"] for t in tokens]


PARTS = [
    "So ", "2 + 2 = 4. ", "e.g. 1.5, ", "🙂", "👩\u200d👧 ", "漢字。", "한국어! ", "\n\n", r"$\frac{1}{2}$ ",
    r"\[x^2\] ", "é", "e\u0301", "```\na. b\n```\n", "</think>", "\t", "\u00a0",
]  # fmt: skip
WRITTEN = st.lists(st.sampled_from(PARTS), max_size=8).map("".join)


@pytest.fixture(scope="module")
def checkpoints(tiny_model: Path) -> list[Checkpoint]:
    """Two tokenizers that cut texts in other places."""
    places = (str(WORLD / "teacher"), str(tiny_model))
    return [Checkpoint(p, None, load_tokenizer(p, None), frozenset(), None) for p in places]


@given(thinking=st.none() | WRITTEN, response=WRITTEN, min_words=st.integers(1, 4))
def test_real_tokenizers_place_every_token_in_one_sentence_and_have_the_same_sentences(
    checkpoints: list[Checkpoint], thinking: str | None, response: str, min_words: int
) -> None:
    """A character of several tokens is one character to each of them."""
    row = {"thinking": thinking, "response": response}
    turn = turn_of(row, "")
    assert turn is not None
    told = []
    for checkpoint in checkpoints:
        _, ids, offsets = checkpoint.continued("<|im_start|>assistant\n", turn.text)
        starts, ends = ([at[i] for at in offsets] for i in (0, 1))
        scores = TokenScores(tuple(ids), tuple(starts), tuple(ends), tuple(map(float, range(len(ids)))))
        tokens = spans_of(turn, scores)
        for name, text in row.items():
            mine = [t for t in tokens if t["field"] == name]
            assert all(0 <= t["start"] < t["end"] <= len(text or "") for t in mine)
            assert {i for t in mine for i in range(t["start"], t["end"])} >= {
                i for i, c in enumerate(text or "") if not c.isspace()
            }
            pieces = by_piece(text or "", joined(text or "", sentences(text or ""), min_words), mine)
            assert [v for _, values in pieces for v in values] == [t["value"] for t in mine]
        found = SentenceLogprob(min_words=min_words).row({**row, "model_tokens": tokens})["model_sentences"]
        told.append([(s["field"], s["start"], s["end"]) for s in found])
    assert told[0] == told[1]


def test_a_sampled_trace_is_scored_as_it_was_sampled(tmp_path: Path) -> None:
    teacher = HF(str(WORLD / "teacher"), dtype="float32", max_tokens=120)
    questions = pl.read_ndjson(WORLD / "problems.jsonl")["question"].head(8).to_list()

    async def sample() -> list[list[Completion]]:
        async with teacher:
            asked = (teacher.chat(user(q), n=3, seed=i, logprobs=True) for i, q in enumerate(questions))
            return await asyncio.gather(*asked)

    said = zip(questions, asyncio.run(sample()), strict=True)
    drawn = [(q, c) for q, replies in said for c in replies if c.finish == "stop" and c.response]
    whole = [c for _, c in drawn]
    assert len(whole) > 12
    rows = pl.DataFrame(
        {
            "question": [q for q, _ in drawn],
            "thinking": [c.thinking for c in whole],
            "response": [c.response for c in whole],
            "sample": range(len(whole)),
        }
    )
    steps = [TokenLogprobs(teacher, of="teacher"), SentenceLogprob("teacher")]
    run = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run")
    scored = run.traces.collect().sort("sample")
    for completion, row in zip(whole, scored.to_dicts(), strict=True):
        assert completion.logprobs is not None
        written, at = completion.logprobs, 0
        for field in ("thinking", "response"):
            own = [t["value"] for t in row["teacher_tokens"] if t["field"] == field]
            assert own
            places = range(at, len(written) - len(own) + 1)
            found = [i for i in places if written[i : i + len(own)] == pytest.approx(own, abs=1e-4)]
            assert len(found) == 1, "scored otherwise than sampled"
            at = found[0] + len(own)
        sentence = row["teacher_sentences"][0]
        inside = [
            t["value"]
            for t in row["teacher_tokens"]
            if t["field"] == sentence["field"] and sentence["start"] <= t["start"] < sentence["end"]
        ]
        assert sentence["value"] == pytest.approx(math.exp(sum(inside) / len(inside)), rel=1e-6)
    assert scored["teacher_fingerprint"].unique().to_list() == [teacher.fingerprint]


def test_a_trace_without_thinking_is_set_aside_where_the_template_begins_it(tmp_path: Path) -> None:
    rows = pl.DataFrame({"question": ["a", "b"], "thinking": ["x", None], "response": ["1", "2"]})
    steps = [TokenLogprobs(HF(str(WORLD / "student")), of="student")]
    run = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run")
    assert run.traces.select("question").collect()["question"].to_list() == ["a"]
    assert "begins its thinking" in run.dropped.select("why").collect()["why"][0]


def test_a_row_without_a_trace_is_told_where_traces_come_from(tmp_path: Path) -> None:
    rows = pl.DataFrame({"question": ["a", "b"], "thinking": ["x", None], "response": ["1", None]})
    steps = [TokenLogprobs(HF(str(WORLD / "student")), of="student")]
    run = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run")
    assert "has no trace; read a file of traces" in run.dropped.select("why").collect()["why"][0]


def test_an_engine_that_cannot_score_says_so_before_anything_is_paid() -> None:
    class Mute:
        model = "mute"

        async def chat(self) -> None: ...

    with pytest.raises(UserError, match="'mute' cannot score"):
        TokenLogprobs(Mute())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="begins the names of columns"):
        TokenLogprobs(Scripted(script=["x"]), of="a b")
