"""Provenance, divergence and what is derived from tokens: laws, golden values, and a run that selects."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.scripted import Scripted
from curate.errors import RunError, UserError
from curate.look import look
from curate.methods.teacher_guided_selection import selection, teacher_guided_selection
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.schema import SPANS
from curate.scores.divergence import Divergence, log_ratio
from curate.scores.length import Length
from curate.scores.pass_rate import PassRate
from curate.scores.perplexity import Perplexity
from curate.scores.provenance import Provenance, origin
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"
CHANCE = st.floats(0, 1)


def by_words(style: str, high: float = 0.9, low: float = 0.2) -> Any:
    """Chances of a model to whom words in capitals are unlikely, unless `style` is in them."""

    def chances(messages: Any, text: str) -> list[tuple[str, float]]:
        words = re.findall(r"\s*</?think>|\s*[^\s<]+|\s+", text)
        return [(w, math.log(high if not w.isupper() or style in w else low)) for w in words]

    return chances


def model(style: str) -> Scripted:
    return Scripted(model=style, script=["-"], chances=by_words(style))


def scored(*names: str) -> list[Any]:
    engines: dict[str, Any] = {"teacher": model("T"), "student": model("S"), "distilled": model("D")}
    return [
        *(TokenLogprobs(engines[n.split("=")[-1]], of=n.split("=")[0]) for n in names),
        *(SentenceLogprob(n.split("=")[0], min_words=1) for n in names),
    ]


ROWS = pl.DataFrame(
    {
        "question": ["q1", "q1", "q2"],
        "thinking": ["plain words here. TTT TTT. SSS SSS. UUU.", "TT. TT TT.", None],
        "response": ["so four.", "TTT.", "S."],
    }
)


def pipeline(rows: pl.DataFrame, steps: list[Any]) -> curate.Pipeline:
    return curate.Pipeline(curate.read(rows), steps)


def labels(row: dict[str, Any]) -> list[str]:
    return [s["label"] for s in row["provenance"]]


def test_a_planted_sentence_is_found(tmp_path: Path) -> None:
    steps = [*scored("teacher", "student"), Provenance(), Divergence()]
    rows = pipeline(ROWS, steps).run(tmp_path / "run").traces.collect().to_dicts()
    assert [labels(r) for r in rows] == [
        ["common", "teacher", "student", "common", "common"],
        ["teacher", "teacher", "teacher"],
        ["student"],
    ]
    assert [r["teacher_in_thinking"] for r in rows] == [1, 2, 0]
    assert [r["teacher_in_response"] for r in rows] == [0, 1, 0]
    assert rows[0]["margin_in_thinking"] == pytest.approx(0.7)
    assert rows[2]["margin_in_thinking"] is None
    for row in rows:
        for name in ("thinking", "response"):
            spans = [s for s in row["provenance"] if s["field"] == name]
            assert "".join(row[name][s["start"] : s["end"]] for s in spans) == (row[name] or "")
    ratio = math.log(0.9 / 0.2)
    assert [r["divergence"] for r in rows] == pytest.approx([0.0, ratio, -ratio], abs=1e-12)
    assert [s["value"] for s in rows[1]["divergence_sentences"]] == pytest.approx([ratio] * 3)


def test_identical_models_share_everything_and_do_not_diverge(tmp_path: Path) -> None:
    steps = [*scored("teacher", "student=teacher", "distilled=teacher"), Provenance(), Divergence()]
    two = pipeline(ROWS, steps).run(tmp_path / "run").traces.collect()
    assert {x for r in two.to_dicts() for x in labels(r)} == {"common"}
    assert two["divergence"].to_list() == [0.0] * 3
    assert {s["value"] for r in two["divergence_sentences"] for s in r} == {0.0}
    three = pipeline(ROWS, [*steps, Provenance(distilled="distilled")]).run(tmp_path / "run")
    assert {x for r in three.traces.collect().to_dicts() for x in labels(r)} == {"shared"}


def test_three_models_do_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    steps = [*scored("teacher", "student", "distilled"), Provenance(distilled="distilled"), Divergence()]
    rows = pl.concat([ROWS, ROWS.with_columns(thinking=pl.lit("DDD. TT. so."))])
    there = pipeline(rows, steps).run(tmp_path / "a").traces.collect()
    back = pipeline(rows.reverse(), steps).run(tmp_path / "b").traces.collect()
    key = ["question", "thinking", "response"]
    assert there["thinking"].to_list() == back["thinking"].to_list()[::-1]
    same = [*key, *(c for step in steps for c in step.writes)]
    assert there.select(same).sort(key).equals(back.select(same).sort(key))
    assert labels(there.to_dicts()[-1])[:3] == ["boosted", "teacher", "shared"]


@given(t=CHANCE, s=CHANCE, d=CHANCE, alpha=st.floats(0, 0.5), more=st.floats(0, 0.4))
def test_the_labels_follow_the_rule(t: float, s: float, d: float, alpha: float, more: float) -> None:
    beta = alpha + more
    two, three = origin((t, s), alpha, beta), origin((t, s, d), alpha, beta)
    swap = {"teacher": "student", "student": "teacher"}
    assert origin((s, t), alpha, beta) == swap.get(two, two)
    assert origin((s, t, d), alpha, beta) == swap.get(three, three)
    assert (two == "common") == (three in ("shared", "boosted", "boosted_down"))
    assert two == "common" or three == two
    assert origin((t, t), alpha, beta) == "common" and origin((t, t, t), alpha, beta) == "shared"
    assert origin((t, None, d), alpha, beta) == origin((None, s), alpha, beta) == "unscored"
    if three == "boosted_down":
        assert d < min(t, s)


@pytest.mark.parametrize(
    ("known", "label"),
    [
        (
            (0.4, 0.3, 0.3),
            "boosted",
        ),  # exactly beta apart: in no class of the paper, boosted by the specification
        ((0.4, 0.3, 0.2), "boosted_down"),
        ((0.3, 0.4, 0.9), "boosted"),
        ((0.35, 0.3, 0.3), "shared"),  # exactly alpha apart
        ((0.35, 0.3, 0.25), "boosted_down"),
        ((0.41, 0.3, 0.9), "teacher"),
        ((0.3, 0.41, 0.3), "student"),
        ((0.4, 0.3), "common"),
        ((0.41, 0.3), "teacher"),
        ((0.3, 0.41), "student"),
    ],
)
def test_ties_and_equality(known: tuple[float, ...], label: str) -> None:
    assert origin(known, 0.05, 0.1) == label


def test_thresholds_that_swallow_each_other_are_refused() -> None:
    with pytest.raises(UserError, match=r"alpha=0\.2 and beta=0\.1"):
        Provenance(alpha=0.2)


def test_sentences_cut_in_two_ways_are_refused(tmp_path: Path) -> None:
    steps = [*scored("teacher", "student"), SentenceLogprob("student", min_words=4), Provenance()]
    with pytest.raises((UserError, RunError), match="give sentence_logprob one min_words"):
        pipeline(ROWS, steps).run(tmp_path / "run")


@given(p=CHANCE, q=CHANCE)
def test_log_ratio_is_odd(p: float, q: float) -> None:
    there, back = log_ratio(p, q), log_ratio(q, p)
    assert (there is None and back is None) if p == q == 0 else there == -(back or 0)


def test_scores_of_a_child_start_empty(tmp_path: Path) -> None:
    thinking = "TT plus TT is 4.\nSo the answer is 4.\nWait, let me check TT again. Yes, it is still 4."
    rows = pl.DataFrame(
        {"question": ["q"], "answer": ["4"], "thinking": [thinking], "response": [r"\boxed{4}"]}
    )
    steps = [
        *scored("teacher", "student"),
        *(Provenance(), Divergence(), Length(), Perplexity("teacher")),
        MathEqual(),
        TrimAfterAnswer(),
    ]
    run = pipeline(rows, steps).run(tmp_path / "run")
    [child], [parent] = run.traces.collect().to_dicts(), run.dropped.collect().to_dicts()
    assert child["parent_id"] == parent["trace_id"]
    written = [c for s in steps[:-1] for c in s.writes]
    assert len(written) > 20 and all(child[c] is None for c in written)
    assert parent["student_token_count"] == len([*thinking.split(), "4"]) and parent["divergence"] > 0


def test_a_pass_rate_belongs_to_a_problem_and_a_model(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {
            "question": ["a", "a", "a", "a", "b"],
            "answer": ["1", "1", "1", "1", "nothing that parses as a number"],
            "model": ["m", "m", "m", "n", "m"],
            "response": [r"\boxed{1}", r"\boxed{2}", r"\boxed{2} again", r"\boxed{1}", "?"],
        }
    )
    steps = [MathEqual(), PassRate()]
    found = pipeline(rows, steps).run(tmp_path / "run").traces.collect()
    assert found["model"].to_list() == rows["model"].to_list()
    assert found["pass_rate"].to_list()[:4] == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0])


def table(counts: list[tuple[int, float | None, int]]) -> pl.LazyFrame:
    return pl.LazyFrame(
        {
            "problem_id": [f"p{i % 2}" for i in range(len(counts))],
            "trace_id": [f"{i * 7919 % 1000:03d}" for i in range(len(counts))],
            "teacher_in_thinking": [c for c, _, _ in counts],
            "margin_in_thinking": [m for _, m, _ in counts],
            "student_token_count": [n for _, _, n in counts],
        },
        schema_overrides={"margin_in_thinking": pl.Float64, "teacher_in_thinking": pl.Int64,
                          "student_token_count": pl.Int64},
    )  # fmt: skip


@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.none() | st.sampled_from([0.2, 0.5]), st.integers(1, 3)), min_size=1
    )
)
def test_the_control_matches_what_the_method_would_keep(counts: list[tuple[int, float | None, int]]) -> None:
    frame = table(counts).with_row_index("row")
    [top] = selection("most_teacher", "thinking")
    gone = set(top.mark(frame).collect()["row"])  # type: ignore[union-attr]
    chosen, control = selection("length_matched", "thinking")
    marked = chosen(frame).collect()  # type: ignore[operator]
    assert set(marked.filter(~pl.col("chosen"))["row"]) == gone
    drawn = set(range(len(counts))) - set(control.mark(marked.lazy()).collect()["row"])  # type: ignore[union-attr]
    assert len(drawn) == len(counts) - len(gone)
    sizes = [n for _, _, n in counts]
    kept = [sizes[i] for i in range(len(counts)) if i not in gone]
    assert {sizes[i] for i in drawn} <= set(range(min(kept), max(kept) + 1))


@pytest.mark.slow
def test_the_method_from_the_command_line(tmp_path: Path) -> None:
    """Two rules in one folder: the second pays for nothing."""
    argv = [sys.executable, "-m", "curate.cli", "run", "teacher_guided_selection"]
    argv += [str(WORLD / "problems.jsonl"), f"hf:{WORLD / 'teacher'}", f"hf:{WORLD / 'student'}"]
    argv += ["--n", "4", "--max-tokens", "160", "--max-samples", "6", "--out", str(tmp_path / "run")]
    kept = {}
    for rule in ("grape", "most_teacher"):
        done = subprocess.run([*argv, "--rule", rule], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        run = curate.Run(tmp_path / "run")
        live, dropped = run.traces.collect(), run.dropped.collect()
        assert 0 < len(live) == live["problem_id"].n_unique()
        rivals = dropped.filter(pl.col("dropped_by") == "top_k")
        assert len(rivals) > 0
        kept[rule] = {r["problem_id"]: r for r in live.to_dicts()}
        for row in rivals.to_dicts():
            mine = kept[rule][row["problem_id"]]
            if rule == "grape":
                assert mine["student_perplexity"] <= row["student_perplexity"]
            else:
                assert mine["teacher_in_thinking"] >= row["teacher_in_thinking"]
    assert run.ledger["rows_paid"].sum() > 0 and set(kept["grape"]) == set(kept["most_teacher"])
    assert live["teacher_in_thinking"].sum() > 0, "the student knows it all: this test shows nothing"


def test_a_rule_that_nobody_knows_is_refused() -> None:
    with pytest.raises(UserError, match="there is no rule 'best'"):
        teacher_guided_selection("x.jsonl", model("T"), model("S"), rule="best")  # type: ignore[arg-type]


def test_look_marks_sentences_by_origin_and_keeps_to_them_where_the_middle_is_left_out(
    tmp_path: Path,
) -> None:
    filler = "plain words here. " * 200
    rows = pl.DataFrame({"question": ["q", "r"], "thinking": [f"TTT. {filler}TT SSS. TT.", None]})
    rows = rows.with_columns(response=pl.Series(["so.", "plain."]))
    steps = [*scored("teacher", "student"), Provenance()]
    run = pipeline(rows, steps).run(tmp_path / "run")
    text = look(run, provenance=True, k=1).text
    assert "thinking: ⟦teacher: TTT. ⟧⟦common: plain" in text and "⟦teacher: TT.⟧\n" in text
    assert "⟦common: TT SSS. ⟧" in text and "characters not shown" in text
    assert look(run, k=1).text == text, "tokens and sentences without a label are not drawn beside them"
    painted = look(run, provenance=True, colour=True, k=2).text
    assert "\x1b[42mTTT. \x1b[0m" in painted and "response: \x1b[0mplain.\x1b[0m" in painted


def test_in_jupyter_the_same_sentences_have_the_same_labels(tmp_path: Path) -> None:
    """Provenance alone, whatever other spans with labels a row has, and no text left out."""
    mine = pl.Series(
        [[{"field": "response", "start": 0, "end": 4, "label": "student", "value": None}]], dtype=SPANS
    )

    def owners(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(mine=pl.lit(mine))

    thinking = "TTT. plain. " + "plain words here. " * 200
    rows = pl.DataFrame({"question": ["q"], "thinking": [thinking], "response": ["TTT."]})
    run = pipeline(rows, [*scored("teacher", "student"), Provenance(), owners]).run(tmp_path / "run")
    html = look(run, provenance=True)._repr_html_()
    assert "teacher" in html and html.count("plain words here.") == 200
    assert "student" not in html and "student" in look(run)._repr_html_()


def test_look_says_that_a_run_has_no_provenance(tmp_path: Path) -> None:
    run = pipeline(ROWS, []).run(tmp_path / "run")
    with pytest.raises(UserError, match=r"has no column provenance: .* then Provenance\(\)"):
        look(run, provenance=True)


@pytest.mark.slow
def test_every_rule_keeps_what_it_says(tmp_path: Path) -> None:
    thinking = {
        "two": "TTT TTT TTT TTT. one plain word more. TT TT TT TT.",
        "share": "TT TT TT TT TT.",
        "long": "plain words here and there. " * 6,
        "mine": "SSS SSS SSS SSS. so it is.",
        "loop": "TTT TTT TTT TTT. " * 30,  # most of the teacher's, and never kept
    }
    rows = pl.DataFrame({"thinking": list(thinking.values())})
    rows = rows.with_columns(question=pl.lit("q"), answer=pl.lit("4"), response=pl.lit(r"\boxed{4}"))
    teacher, student = (Scripted(model=x, script=["-"], chances=by_words(x, low=0.6)) for x in "TS")
    want = {"most_teacher": "two", "teacher_share": "share", "longest": "long"}
    for rule in [*want, "fewest_teacher", "grape", "random", "length_matched"]:
        method: Any = teacher_guided_selection
        made = method(curate.read(rows), teacher, student, rule=rule, min_words=1)
        run = made.run(tmp_path / "run")
        [kept] = run.traces.collect()["thinking"]
        assert kept == thinking.get(want.get(rule, ""), kept), rule
        [loop] = run.dropped.filter(pl.col("dropped_by") == "repetition").collect()["thinking"]
        assert loop == thinking["loop"]
        if rule in ("fewest_teacher", "grape"):
            assert kept in (thinking["long"], thinking["mine"])
        if rule == "length_matched":
            assert kept == thinking["two"], "no other trace is as long"
