"""Laws that hold for every score of the room: its columns are documented, and start empty in a child."""

from __future__ import annotations

import importlib
import inspect
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import ROOT

import curate
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.filters.farthest import Farthest
from curate.filters.nearest import Nearest
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.scores.comprehension import Comprehension, another_reasoning
from curate.scores.fidelity import Fidelity
from curate.scores.provenance import Provenance
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs
from curate.scores.topk_divergence import TopkDivergence
from curate.step import Score
from curate.turns import reasoning, reasoning_of
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"
SCORES = sorted(p.stem for p in (ROOT / "curate" / "scores").glob("*.py"))
ALL: dict[str, dict[str, Any]] = {  # what makes a score write all the columns it can write
    "token_logprobs": dict(of="student", entropy=True, rank=True, top_k=2),
    "provenance": dict(distilled="distilled"),
    "comprehension": dict(control="other_reasoning", verdict="math_equal"),
    "fidelity": dict(reference="teacher"),
}


def engine() -> HF:
    return HF(str(WORLD / "student"), dtype="float32", device="cpu", max_tokens=8)


def made(name: str, **options: Any) -> Score:
    """The score of a file, with an engine and a verifier where it needs them."""
    module = importlib.import_module(f"curate.scores.{name}")
    [step] = [c for c in vars(module).values() if inspect.isclass(c) and c.__module__ == module.__name__
              and issubclass(c, Score)]  # fmt: skip
    given = {"engine": engine(), "verifier": MathEqual()}
    needed = {f.name: given[f.name] for f in fields(step) if f.name in given}
    score: Score = step(**needed, **options)
    return score


def documented() -> dict[str, list[tuple[str, list[str]]]]:
    """From the table of docs/scores.md: of each step its column patterns, with the unit and the null."""
    table = (ROOT / "docs" / "scores.md").read_text(encoding="utf-8").partition("## Every column")[2]
    lines = [line for line in table.partition("\n## ")[0].splitlines() if line.startswith("| ")][1:]
    found: dict[str, list[tuple[str, list[str]]]] = {}
    step = ""
    for line in lines:
        first, columns, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
        step = re.match(r"`?(\w*)", first)[1] or step  # type: ignore[index]
        found.setdefault(step, []).extend((name, rest) for name in re.findall(r"`([^`]+)`", columns))
    return found


def is_named(column: str, pattern: str) -> bool:
    r"""Whether `{of}_tokens` or `…_tokens` is this column."""
    loose = re.sub(r"\\\{\w+\\\}|…", r"\\w+", re.escape(pattern))
    return re.fullmatch(loose, column) is not None


@pytest.mark.parametrize("name", SCORES)
def test_every_column_has_its_unit_its_range_and_what_null_means(name: str) -> None:
    written = {*made(name, **ALL.get(name, {})).writes, *(made(name).writes if name != "fidelity" else ())}
    told = documented().get(name, [])
    for column in written:
        mine = [rest for pattern, rest in told if is_named(column, pattern)]
        assert mine, f"docs/scores.md does not name {column} of {name}"
        for rest in mine:
            assert len(rest) == 2 and all(rest), f"{column} has no unit, or does not say what null means"
    for pattern, _ in told:
        assert any(is_named(column, pattern) for column in written), f"{name} writes no {pattern}"


def test_no_score_is_documented_that_is_not_there() -> None:
    assert set(documented()) == set(SCORES)


def test_every_score_of_a_child_starts_empty(tmp_path: Path) -> None:
    """All scores there are, in one pipeline, and a rewriter behind them."""
    thinking = "First 5 + 9 = 14.\n\nSo the answer is 14.\n\nWait, is it? Yes, it is."
    rows = pl.DataFrame({"question": ["5 + 9?", "5 + 9?", "9 + 5?"], "model": ["teacher", "me", "me"]})
    rows = rows.with_columns(answer=pl.lit("14"), thinking=pl.lit(thinking), response=pl.lit(r"\boxed{14}"))
    models = ("teacher", "student", "distilled")
    first: list[Any] = [MathEqual(), another_reasoning]
    first += [TokenLogprobs(engine(), of=of, entropy=True, rank=True, top_k=2) for of in models]
    first += [SentenceLogprob(of, min_words=1) for of in models]
    done = ("token_logprobs", "sentence_logprob")
    how = {
        "topk_divergence": dict(min_words=1),
        **dict.fromkeys(("entropy", "perplexity"), dict(of="student")),
    }
    others = [made(name, **how.get(name, {}), **ALL.get(name, {})) for name in SCORES if name not in done]
    run = curate.Pipeline(curate.read(rows), [*first, *others, TrimAfterAnswer()]).run(tmp_path / "run")
    children, parents = run.traces.collect(), run.dropped.collect()
    assert len(children) == len(parents) == 3 and children["parent_id"].null_count() == 0
    written = {c for step in (*first, *others) if isinstance(step, Score) for c in step.writes}
    assert len(written) > 50
    assert all(children[c].null_count() == 3 for c in written)
    silent = {"inherited", "student_pass_rate", "margin_in_thinking", "margin_in_response"}
    full = [c for c in written if parents[c].null_count() < 3]
    assert written - {*full} <= silent, "a score that says nothing shows nothing"


def test_one_checkpoint_three_times_shares_every_sentence_and_does_not_diverge(tmp_path: Path) -> None:
    """With a real model, scored in batches of other company each time."""
    rows = pl.read_ndjson(WORLD / "problems.jsonl").select("question").head(5)
    texts = ["First 24 + 3 = 27. 🙂\n\nThen 27 + 6 = 33.", "漢字。", "so " * 40, "No, 5.", r"$\frac{1}{2}$."]
    rows = rows.with_columns(thinking=pl.Series(texts), response=pl.lit(r"\boxed{9}"))
    models = ("teacher", "student", "distilled")
    places = [WORLD / "student"] * 3
    steps = [
        *(TokenLogprobs(HF(str(p), dtype="float32", device="cpu", batch_size=size), of=of, top_k=4)
          for of, p, size in zip(models, places, (1, 3, 8), strict=True)),
        *(SentenceLogprob(of, min_words=1) for of in models),
        Provenance(distilled="distilled", alpha=1e-4, beta=1e-4),
        TopkDivergence(min_words=1),
        made("divergence"),
    ]  # fmt: skip
    for row in curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run").traces.collect().to_dicts():
        assert {s["label"] for s in row["provenance"]} <= {"shared", "unscored"}
        assert row["divergence"] == pytest.approx(0, abs=1e-5)
        assert row["forward_kl"] == pytest.approx(0, abs=1e-6) == row["reverse_kl"]


def test_a_chance_that_is_no_number_sets_a_row_aside_wherever_it_is_asked_for(tmp_path: Path) -> None:
    def chances(messages: Any, text: str) -> list[tuple[str, float]]:
        return [(text, math.nan if "13" in text else -1.0)]

    rows = pl.DataFrame({"question": ["a", "b"], "answer": ["4", "13"], "response": ["so", "so"]})
    step = Comprehension(Scripted(script=["-"], chances=chances))
    run = curate.Pipeline(curate.read(rows), [step]).run(tmp_path / "run")
    assert run.traces.collect()["answer"].to_list() == ["4"]
    [why] = run.dropped.collect()["why"].to_list()
    assert "is no number (NaN)" in why


def test_two_tokenizers_share_their_sentences_and_not_their_tokens(tiny_model: Path, tmp_path: Path) -> None:
    """A sentence is a place in the text, so models that cut it into other tokens are compared."""
    rows = pl.DataFrame({"question": ["2 + 3?"], "thinking": ["First 2 + 3 = 5. 🙂 Then 漢字 it is. $5$."]})
    rows = rows.with_columns(response=pl.lit("5"))
    models: dict[str, Any] = {"teacher": HF(str(tiny_model), dtype="float32"), "student": engine()}
    steps = [
        *(TokenLogprobs(e, of=of) for of, e in models.items()),
        *(SentenceLogprob(of, min_words=1) for of in models),
        Provenance(),
        made("divergence"),
    ]
    [row] = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run").traces.collect().to_dicts()
    assert len(row["teacher_tokens"]) != len(row["student_tokens"])
    spans = [s for s in row["provenance"] if s["field"] == "thinking"]
    assert "".join(row["thinking"][s["start"] : s["end"]] for s in spans) == row["thinking"]
    assert len(spans) > 2 and row["divergence"] is not None and row["divergence_tokens"] is None


EMPTY = [None, "", "\n\n", " \t\u3000"]
WAYS = ["First 1 + 2 = 3, then 4.", "17 35 70", "Look: two pairs are four of them."]


@pytest.mark.parametrize("tags", ["", "<think>\n\n</think>\n\n", *EMPTY[2:]])
def test_traces_with_empty_thinking_are_told_apart_by_their_responses(tags: str, tmp_path: Path) -> None:
    """A model that may think and does not writes tags with nothing between them."""
    rows = pl.DataFrame({"question": ["2 + 2?"] * 3, "answer": ["4"] * 3, "model": ["teacher", "me", "me"]})
    tagged = tags.startswith("<")
    rows = rows.with_columns(response=pl.Series([tags * tagged + way for way in WAYS]))
    rows = rows if tagged or not tags else rows.with_columns(thinking=pl.lit(tags))
    steps = [MathEqual(), Fidelity("teacher"), made("distance"), Farthest(4)]
    found = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "far").traces.collect()
    assert set(found["response"]) == {*WAYS} and tagged is (found["thinking"].to_list() == [""] * 3)
    assert found["nearest_distance"].min() > 0.5  # type: ignore[operator]
    assert found.filter(model="me")["reasoning_agreement"].null_count() == 0
    close = pl.concat([rows, rows.with_columns(response=pl.col("response") + "!", model=pl.lit("you"))])
    near = curate.Pipeline(curate.read(close), [Nearest(2)]).run(tmp_path / "near").traces.collect()
    assert len({text.rstrip("!") for text in near["response"]}) == 1, "one way, twice"


@pytest.mark.parametrize("thinking", EMPTY)
def test_an_answer_is_comprehended_after_the_response_where_the_thinking_is_empty(
    thinking: str | None, tmp_path: Path
) -> None:
    def chances(messages: Any, text: str, prefix: str = "") -> list[tuple[str, float]]:
        assert "<think>" not in prefix or prefix.startswith("<think>\n\n</think>\n\n")
        after = [way for way in WAYS if way in prefix]
        return [(text, -1.0 if after == [way] else -2.0 if after else -4.0)]

    way, other, _ = WAYS
    rows = pl.DataFrame({"question": ["2 + 2?", "a"], "answer": ["4", "b"], "response": [way, other]})
    rows = rows.with_columns(thinking=pl.lit(thinking, pl.String))
    steps = [
        another_reasoning,
        Comprehension(Scripted(script=["-"], chances=chances), control="other_reasoning"),
    ]
    found = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run").traces.collect()
    mine = found.row(by_predicate=pl.col("answer") == "4", named=True)
    assert mine["other_reasoning"] == other
    names = [f"student_comprehension{which}" for which in ("", "_shuffled", "_bare")]
    assert [math.log(mine[c]) for c in names] == pytest.approx([-1, -2, -4])
    assert [reasoning_of(row) for row in found.to_dicts()] == found.select(reasoning()).to_series().to_list()
