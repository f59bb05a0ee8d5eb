"""Fidelity side by side, the position profile, and a teacher who taught nobody."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.schema import SPANS, VERDICT
from curate.scores.fidelity import Fidelity, bleu, side_by_side
from curate.scores.pass_rate import PassRate
from curate.scores.provenance import Provenance, origin
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs
from curate.tracing import influence, kendall, position_profile, spurious_teacher, threshold_sweep
from curate.verifiers.math_equal import MathEqual

WORDS = st.lists(st.sampled_from("a b c d".split()), max_size=9)


@given(WORDS, WORDS)
def test_bleu_is_a_share_and_one_for_a_copy(words: list[str], other: list[str]) -> None:
    assert 0 <= bleu(words, other) <= 1 + 1e-12
    assert bleu(words, words) == pytest.approx(1.0 if words else 0.0)
    if not set(words) & set(other):
        assert bleu(words, other) == 0


def test_bleu_by_hand() -> None:
    """Brevity and an order without a hit."""
    assert bleu("a b c d".split(), "a b c d e".split()) == pytest.approx(math.exp(1 - 5 / 4))
    assert bleu("a c b".split(), "a b c".split()) == pytest.approx((1 * 0.1 / 2 * 0.1 / 1) ** (1 / 3))


def traces(model: str, answers: str, thinking: str = "so it is {}") -> list[dict[str, Any]]:
    """One trace for every letter of `answers`, three a problem whose answer is 1."""
    return [
        dict(
            question=f"q{i // 3}",
            answer="1",
            model=model,
            thinking=thinking.format(a),
            response=rf"\boxed{{{a}}}",
        )
        for i, a in enumerate(answers)
    ]


def test_a_copy_agrees_and_another_way_to_the_same_answers_does_not_reason_alike(tmp_path: Path) -> None:
    rows = [*traces("teacher", "112113"), *traces("copy", "112113"), *traces("other", "111111", "{} x y z")]
    source = curate.read(pl.DataFrame(rows))
    steps = [MathEqual(), Fidelity("teacher")]
    found = curate.Pipeline(source, steps).run(tmp_path / "run").traces
    table = {r["model"]: r for r in side_by_side(found).to_dicts()}
    copy, other, teacher = table["copy"], table["other"], table["teacher"]
    assert copy["accuracy"] == teacher["accuracy"] == pytest.approx(4 / 6) and other["accuracy"] == 1.0
    assert copy["agreement"] == pytest.approx((4 * 2 / 3 + 2 * 1 / 3) / 6)
    assert other["agreement"] == pytest.approx(2 / 3)
    assert copy["inherited"] == pytest.approx(2 / 6) and other["inherited"] == 0.0
    assert copy["reasoning_agreement"] > 0.7 > 0.3 > other["reasoning_agreement"]
    assert teacher["agreement"] is None and teacher["confidence"] == pytest.approx((2 * 2 + 1) / 9)
    assert other["confidence"] == 1.0 and other["calibration_error"] == other["overconfidence"] == 0.0
    # of the teacher's six, four are right with confidence 2/3 and two are wrong with 1/3
    assert teacher["calibration_error"] == pytest.approx(1 / 3)
    assert teacher["overconfidence"] == pytest.approx((4 * (2 / 3 - 1) + 2 * (1 / 3)) / 6)
    back = curate.Pipeline(curate.read(pl.DataFrame(rows[::-1])), steps).run(tmp_path / "back").traces
    same = side_by_side(back).to_dicts()
    for line, other_line in zip(side_by_side(found).to_dicts(), same, strict=True):
        assert line == pytest.approx(other_line)


def by_words(style: str) -> Any:
    def chances(messages: Any, text: str) -> list[tuple[str, float]]:
        words = re.findall(r"\s*</?think>|\s*[^\s<]+|\s+", text)
        return [(w, math.log(0.9 if not w.isupper() or style in w else 0.2)) for w in words]

    return chances


def scored(rows: pl.DataFrame, folder: Path) -> pl.LazyFrame:
    """Three models: the teacher likes T, the student S, and U belongs to one who taught nobody."""
    models = {"teacher": "T", "student": "S", "stranger": "U"}
    engines: dict[str, Any] = {
        n: Scripted(model=x, script=["-"], chances=by_words(x)) for n, x in models.items()
    }
    steps = [
        *(TokenLogprobs(engines[n], of=n) for n in models),
        *(SentenceLogprob(n, min_words=1) for n in models),
        Provenance(),
        MathEqual(),
    ]
    return curate.Pipeline(curate.read(rows), steps).run(folder / "run").traces


def test_a_spurious_teacher_has_fewer_sentences_and_the_check_says_how_surely(tmp_path: Path) -> None:
    texts = ["TTT TT. plain words. SS.", "TT. TTT. so.", "plain. UU. TT. TT."] * 8
    rows = pl.DataFrame({"question": [f"q{i}" for i in range(24)], "thinking": texts})
    rows = rows.with_columns(answer=pl.lit("1"), response=pl.lit(r"\boxed{1}"))
    found = scored(rows, tmp_path)
    check = spurious_teacher(found, spurious="stranger")
    # thinking and response: 1 of 4, 2 of 4, 2 of 5 sentences; the stranger's: 0, 0, 1 of 5
    assert check.real == pytest.approx((1 / 4 + 2 / 4 + 2 / 5) / 3)
    assert check.spurious == pytest.approx((1 / 5) / 3)
    assert check.drop == pytest.approx(check.real - check.spurious) and check.problems == 24
    assert check.separates and check.interval.low <= check.drop <= check.interval.high
    assert "the labels tell them apart" in str(check)
    assert spurious_teacher(found.reverse(), spurious="stranger") == check, "whatever the order of rows"
    same = spurious_teacher(found, spurious="teacher")
    assert same.drop == 0 and not same.separates and "do not tell them apart" in str(same)
    with pytest.raises(UserError, match="no column 'nobody_sentences'; score them with sentence_logprob"):
        spurious_teacher(found, spurious="nobody")
    with pytest.raises(UserError, match="no trace is scored by all"):
        spurious_teacher(
            found.with_columns(stranger_sentences=pl.lit(None, pl.List(pl.Null))), spurious="stranger"
        )


def test_the_profile_follows_the_positions_of_right_and_wrong_traces(tmp_path: Path) -> None:
    texts = ["TT. plain. plain.", "TT. plain. SS.", "plain. SS. plain."]
    rows = pl.DataFrame({"question": ["a", "b", "c"], "thinking": texts, "answer": ["1"] * 3})
    rows = rows.with_columns(response=pl.Series([r"\boxed{1}", r"\boxed{1}", r"\boxed{2}"]))
    profile = position_profile(scored(rows, tmp_path), at_least=1)
    at = {(r["position"], r["label"]): (r["right"], r["wrong"]) for r in profile.to_dicts()}
    assert (
        at[0, "teacher"] == (1.0, 0.0) and at[1, "student"] == (0.0, 1.0) and at[2, "student"] == (0.5, 0.0)
    )
    for position in range(3):
        shares = [pair for (p, _), pair in at.items() if p == position]
        assert [sum(x) for x in zip(*shares, strict=True)] == pytest.approx([1.0, 1.0])
    assert profile.select("n_right", "n_wrong").unique().rows() == [(2, 1)]
    area = dict(influence(profile).iter_rows())
    assert area["teacher"] == pytest.approx(1 / 3) and area["student"] == pytest.approx((0 - 1 + 0.5) / 3)
    assert position_profile(scored(rows, tmp_path), at_least=2).is_empty()


def test_kendall_by_hand() -> None:
    assert kendall([1, 2, 3], [10, 20, 30]) == 1 == -(kendall([1, 2, 3], [3, 2, 1]) or 0)
    assert kendall([1, 2, 2], [1, 2, 3]) == pytest.approx(2 / (2 * 3) ** 0.5)
    assert kendall([1, 2, 3, 4], [2, 1, 4, 3]) == pytest.approx((4 - 2) / 6)
    assert kendall([1, 1], [1, 2]) is None and kendall([], []) is None


@given(st.lists(st.tuples(st.sampled_from("pq"), st.lists(st.floats(-1, 1) | st.none(), max_size=4))))
def test_a_larger_beta_gives_the_teacher_less_and_agrees_with_itself(made: list[Any]) -> None:
    spans = [
        [dict(field="thinking", start=i, end=i + 1, label=None, value=v) for i, v in enumerate(values)]
        for _, values in made
    ]
    frame = pl.DataFrame(
        {"problem_id": [p for p, _ in made], "provenance": spans},
        schema={"problem_id": pl.String, "provenance": SPANS},
    )
    sweep = threshold_sweep(frame.lazy(), betas=(0.0, 0.1, 0.2), like=0.1)
    flat = [v for _, values in made for v in values if v is not None]
    assert sweep["teacher"].to_list() == [sum(round(v, 12) > b for v in flat) for b in (0.0, 0.1, 0.2)]
    assert sweep["share"].to_list() == [n / len(flat) if flat else None for n in sweep["teacher"]]
    assert sweep["tau"][1] in (None, pytest.approx(1.0))
    assert all(-1 <= tau <= 1 + 1e-9 for tau in sweep["tau"].drop_nulls())
    several = {p for p, _ in made if sum(q == p for q, _ in made) > 1}
    assert sweep["variance"].null_count() == (0 if several else 3)
    assert threshold_sweep(frame.lazy(), field="response")["teacher"].to_list() == [0] * 4


@given(st.lists(st.tuples(*[st.sampled_from([0.0, 0.1, 0.15, 0.2, 0.4, 0.9])] * 3), min_size=1, max_size=9))
def test_what_three_models_share_stays_shared_at_every_beta(made: list[tuple[float, float, float]]) -> None:
    """As `origin` would label the same probabilities, also at a beta below the alpha that labelled them."""
    spans = [
        dict(field="thinking", start=i, end=i + 1, label=origin(known, 0.1, 0.1), value=known[0] - known[1])
        for i, known in enumerate(made)
    ]
    frame = pl.LazyFrame({"problem_id": ["p"], "provenance": [spans]}, schema_overrides={"provenance": SPANS})
    betas = (0.0, 0.05, 0.1, 0.3)
    expected = [sum(origin(known, 0.1, beta) == "teacher" for known in made) for beta in betas]
    sweep = threshold_sweep(frame, betas=betas)
    assert sweep["teacher"].to_list() == expected
    assert sweep["share"].to_list() == [n / len(made) for n in expected]


def test_a_sweep_of_traces_without_origins_is_one_sentence() -> None:
    with pytest.raises(UserError, match=r"have no column 'provenance'; put .* then Provenance\(\)"):
        threshold_sweep(pl.LazyFrame({"problem_id": ["p"]}))


def test_a_table_that_lacks_a_column_is_one_sentence_with_the_step_that_writes_it() -> None:
    bare = pl.LazyFrame({"trace_id": ["t"], "model": ["m"]})
    spans = bare.with_columns(provenance=pl.lit(None, SPANS))
    judged = bare.with_columns(math_equal=pl.lit(None, VERDICT))
    for ask, said in (
        (lambda: position_profile(judged), r"no column 'provenance'; put .* then Provenance\(\)"),
        (lambda: position_profile(spans), "no column 'math_equal'; put the verifier of this name"),
        (lambda: side_by_side(judged), r"no column 'agreement'; put Fidelity\(REFERENCE\) into the pipeline"),
        (lambda: side_by_side(judged, verdict="nope"), "no column 'nope'; put the verifier of this name"),
    ):
        with pytest.raises(UserError, match=said):
            ask()


def test_measures_over_the_whole_table_start_empty_in_a_child(tmp_path: Path) -> None:
    thinking = "So the answer is 14.\n\nWait, is it? Yes, it is."
    rows = pl.DataFrame({"question": ["q", "q"], "model": ["a", "b"], "answer": ["14"] * 2})
    rows = rows.with_columns(thinking=pl.lit(thinking), response=pl.lit(r"\boxed{14}"))
    steps = [MathEqual(), Fidelity("a"), PassRate(), TrimAfterAnswer()]
    run = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run")
    measured = [*Fidelity("a").writes, "pass_rate"]
    children, parents = run.traces.collect(), run.dropped.collect()
    assert children["parent_id"].null_count() == 0 and len(children) == len(parents) == 2
    assert all(children[c].null_count() == 2 for c in measured)
    assert parents["confidence"].to_list() == [1.0, 1.0] and parents["agreement"].drop_nulls().to_list() == [
        1
    ]
