"""Majorities: who votes, who wins, what a tie is; the gold is held against them and never replaced."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.schema import ROW, VERDICT
from curate.verifiers.agree import Agree
from curate.verifiers.exact import Exact
from curate.verifiers.gold_audit import GoldAudit
from curate.votes import keys


def table(votes: dict[str, list[str | None]], gold: str | None = None) -> pl.DataFrame:
    """One row a response, {problem: responses}, with a verdict `v` that extracted the response itself."""
    rows = [
        {
            "problem_id": problem,
            "trace_id": f"{problem}-{i}",
            "response": None if said is None else rf"\boxed{{{said}}}",
            "answer": gold,
            "v": {
                "passed": said is not None and said == gold,
                "score": None,
                "extracted": said,
                "why": "no_answer" if said is None else "different",
            },
        }
        for problem, answers in votes.items()
        for i, said in enumerate(answers)
    ]
    schema = {c: ROW[c] for c in ("problem_id", "trace_id", "response", "answer")} | {"v": VERDICT}
    return pl.DataFrame(rows, schema=schema)


def judge(step: Any, frame: pl.DataFrame) -> list[dict[str, Any] | None]:
    """The verdict of each row, in the order of the rows."""
    marks = step.mark(frame.lazy().with_row_index("row").select("row", *step.columns)).collect()
    found = dict(marks.iter_rows())
    return [found.get(i) for i in range(len(frame))]


def passed(step: Any, *answers: str | None, gold: str | None = None) -> list[bool | None]:
    return [v["passed"] for v in judge(step, table({"p": list(answers)}, gold)) if v]


def whys(step: Any, *answers: str | None, gold: str | None = None) -> list[str]:
    return [v["why"] for v in judge(step, table({"p": list(answers)}, gold)) if v]


def test_the_majority_passes_and_says_its_votes() -> None:
    verdicts = judge(Agree(), table({"p": ["4", "4", "5"], "q": ["7", "8", "8", "8"]}))
    assert [v and v["passed"] for v in verdicts] == [True, True, False, False, True, True, True]
    assert verdicts[0] == {"passed": True, "score": 2 / 3, "extracted": "4", "why": "equal: 2 of 3 votes"}
    assert verdicts[3] == {
        "passed": False,
        "score": 0.25,
        "extracted": "7",
        "why": "different: 3 of 4 votes say 8",
    }


def test_answers_written_otherwise_are_one() -> None:
    assert passed(Agree(), "$4$", "4.", "5", "5", r"\text{4}") == [True, True, False, False, True]
    assert passed(Agree(), "East", "east", "west") == [True, True, False]
    assert passed(Agree(), "0.5", r"\frac{1}{2}", "1/2", "2") == [True, True, True, False]
    assert passed(Agree(), "tea", "eat", "ate", "tea") == [True, False, False, True]


def test_a_missing_unit_is_no_other_answer_and_another_unit_is() -> None:
    assert passed(Agree(), "300", r"300 \text{ miles}", "300 mi", "4") == [True, True, True, False]
    assert passed(Agree(), "5 km", "5 miles", "5 km") == [True, False, True]
    assert passed(Agree(), "5 km", "5000 meters", "5 miles") == [True, True, False]
    assert passed(Agree(), "5", "5 km", "5 miles", "5 km", "5") == [None, None, False, None, None]
    assert passed(Agree(), r"\$45.00", "45 dollars", "45", "54") == [True, True, True, False]
    assert passed(Agree(), "28 birds", "28", "28 birds are left", "27") == [True, True, True, False]
    assert passed(Agree(), "x = 5", "5", "y=5", "6") == [True, True, True, False]
    assert passed(Agree(), "50%", "0.5", "50") == [True, True, False]
    assert passed(Agree(), "2x", "2", "2x") == [True, False, True]
    assert passed(Agree(), r"5,\!760", "5,760", "5760", "5.76") == [True, True, True, False]


def test_too_few_votes_abstain_whoever_they_are_for() -> None:
    assert passed(Agree(), "4", "4") == [None, None]
    assert whys(Agree(), "4", "4", None)[2] == "too_few_votes: 2 of 3"
    assert passed(Agree(min_votes=1), "4") == [True]


def test_who_only_says_hmm_has_no_vote() -> None:
    assert passed(Agree(), "...", "idk", "Hmm…", "7", "7") == [False, False, False, True, True]


def test_a_row_without_an_answer_has_no_vote_and_is_false() -> None:
    assert passed(Agree(), "4", "4", "4", None) == [True, True, True, False]
    assert whys(Agree(), "4", "4", "4", None)[3] == "no_answer"
    assert judge(Agree(), table({"p": ["4", "4", "4", None]}))[0]["score"] == 1.0  # type: ignore[index]


@pytest.mark.parametrize(("ties", "says"), [("abstain", None), ("pass", True), ("fail", False)])
def test_a_tie_follows_the_rule_and_what_is_behind_is_false(ties: Any, says: bool | None) -> None:
    assert passed(Agree(ties=ties), "4", "4", "5", "5", "6") == [says, says, says, says, False]
    assert whys(Agree(ties=ties), "4", "4", "5", "5")[0] == "tie: 2 answers have 2 of 4 votes"


def test_the_votes_of_a_verdict_column_are_what_it_extracted() -> None:
    frame = table({"p": ["4", "4", "5", None]}).with_columns(response=pl.lit("nothing"))
    assert [v and v["passed"] for v in judge(Agree("v"), frame)] == [True, True, False, False]
    assert "response" not in Agree("v").columns and "v" not in Agree().columns


def test_where_the_verdict_abstained_without_an_answer_nobody_says_false() -> None:
    frame = table({"p": ["4", "4", "4", None]}).with_columns(
        v=pl.when(pl.col("response").is_null())
        .then(pl.lit({"passed": None, "score": None, "extracted": None, "why": "timeout"}, VERDICT))
        .otherwise("v")
    )
    last = judge(Agree("v"), frame)[3]
    assert last is not None and last["passed"] is None and "timeout" in last["why"]


def test_problems_that_nobody_answered_have_no_verdict() -> None:
    frame = table({"p": ["4", "4", "4"]})
    frame = pl.concat([frame, frame.head(1).with_columns(trace_id=pl.lit(None, pl.String))])
    assert judge(Agree(), frame)[3] is None


def test_fields_that_make_no_sense_are_refused() -> None:
    for wrong in (lambda: Agree(min_votes=0), lambda: Agree(ties="first"), lambda: GoldAudit(min_share=1.0)):  # type: ignore[arg-type]
        with pytest.raises(UserError):
            wrong()


@pytest.mark.parametrize(
    "text", ["9**9**9**9", r"10^{5000}", "1e999999999", "1" * 5000, "(" * 2000, "1/0", "0/0 km", "\0"]
)
def test_no_answer_is_too_large_to_be_counted(text: str) -> None:
    assert keys(text) == keys(text)


ANSWERS = st.lists(st.sampled_from(["4", "5", "6", "4.", "$5$", None]), min_size=1, max_size=9)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from("pqr"), ANSWERS, min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_rows_never_changes_a_verdict(votes: dict[str, list[str | None]], rng: Any) -> None:
    frame = table(votes, gold="4")
    order = list(range(len(frame)))
    rng.shuffle(order)
    for step in (Agree(), Agree("v", min_votes=1, ties="pass"), GoldAudit("v")):
        here = dict(zip(frame["trace_id"], judge(step, frame), strict=True))
        other = frame[order]
        assert here == dict(zip(other["trace_id"], judge(step, other), strict=True))


@settings(deadline=None, max_examples=60)
@given(ANSWERS)
def test_verdicts_are_those_of_counting_by_hand(answers: list[str | None]) -> None:
    keys = [a and a.strip("$.") for a in answers]
    count = Counter(k for k in keys if k)
    best = max(count.values(), default=0)
    winners = [k for k, n in count.items() if n == best]
    for key, verdict in zip(keys, passed(Agree(), *answers), strict=True):
        if sum(count.values()) < 3:
            assert verdict is None
        elif key not in winners:
            assert verdict is False
        else:
            assert verdict is (True if len(winners) == 1 else None)


def test_the_gold_is_held_against_the_majority() -> None:
    assert passed(GoldAudit("v"), "13", "13", "12", gold="13") == [True] * 3
    assert passed(GoldAudit("v"), "12", "12", "13", gold="13") == [False] * 3
    verdict = judge(GoldAudit("v"), table({"p": ["12", "12", "12", "13"]}, "13"))[3]
    assert verdict == {
        "passed": False,
        "score": 0.75,
        "extracted": "12",
        "why": "different: 3 of 4 votes say 12, the gold is 13",
    }


def test_the_audit_abstains_where_nobody_knows() -> None:
    for answers, gold, says in (
        (["1", "2"], "1", "too_few_votes: 2 of 3"),
        (["1", "1", "2", "2"], "1", "tie"),
        (["1", "1", "2", "3", "4"], "5", "too_few_votes: 2 of 5 votes say 1"),
        (["1", "1", "1"], None, "no_gold"),
    ):
        found = judge(GoldAudit("v"), table({"p": list(answers)}, gold))
        assert {v and v["passed"] for v in found} == {None}
        assert all(v and v["why"].startswith(says) for v in found), found


def test_what_the_verdict_passed_is_the_gold_however_it_is_written() -> None:
    frame = table({"p": ["0.5", "1/2", "3"]}, "0.5").with_columns(
        v=pl.col("v").struct.with_fields(passed=pl.field("extracted").is_in(["0.5", "1/2"]))
    )
    assert [v and v["passed"] for v in judge(GoldAudit("v"), frame)] == [True] * 3


def test_a_majority_that_the_verdict_abstains_from_is_no_conflict() -> None:
    frame = table({"p": ["x", "x", "x"]}, "y").with_columns(
        v=pl.col("v").struct.with_fields(passed=pl.lit(None, pl.Boolean), why=pl.lit("unsupported"))
    )
    assert {v and v["why"].partition(":")[0] for v in judge(GoldAudit("v"), frame)} == {"unsupported"}


def test_one_question_with_two_golds_is_audited_twice() -> None:
    both = pl.concat([table({"p": ["1", "1", "1"]}, gold) for gold in ("1", "2")])
    assert [v and v["passed"] for v in judge(GoldAudit("v"), both)] == [True] * 3 + [False] * 3


def test_a_run_adds_the_columns_and_keeps_every_row_and_gold(tmp_path: Path) -> None:
    said = {"2 + 2?": ("4", "4", "5"), "3 + 3?": ("6", "6", "6"), "1 + 1?": ("2", "3", "3")}
    gold = {"2 + 2?": "4", "3 + 3?": "7", "1 + 1?": "2"}
    rows = [
        {"question": q, "answer": gold[q], "response": rf"\boxed{{{a}}}"} for q, all_ in said.items()
        for a in all_
    ]  # fmt: skip
    steps = [Exact(), Agree(), GoldAudit("exact"), Agree("exact"), Failed("agree")]
    pipe = curate.Pipeline(pl.DataFrame(rows), steps)
    assert "agree" in pipe.schemas()[1]
    run = pipe.run(tmp_path / "run")
    live, dropped = run.traces.collect(), run.dropped.collect()
    assert len(live) == 7 and len(dropped) == 2
    assert dropped["why"].to_list() == ["agree: different: 2 of 3 votes say 4",
                                        "agree: different: 2 of 3 votes say 3"]  # fmt: skip
    audited = pl.concat([live, dropped], how="diagonal").select(
        "question", "answer", passed=pl.col("gold_audit").struct.field("passed")
    )
    assert dict(audited.select("question", "passed").unique().iter_rows()) == {
        "2 + 2?": True,
        "3 + 3?": False,
        "1 + 1?": False,
    }
    assert dict(audited.select("question", "answer").unique().iter_rows()) == gold
    again = pipe.run(tmp_path / "run").traces.collect()
    assert again.equals(live)


def test_a_verifier_that_marks_a_row_twice_stops_the_run(tmp_path: Path) -> None:
    from dataclasses import dataclass

    from curate.errors import RunError
    from curate.step import Verifier

    @dataclass(frozen=True)
    class Twice(Verifier):
        """Judges every row twice."""

        reads = ("trace_id",)

        def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
            one = frame.select("row", twice=pl.lit(None, VERDICT))
            return pl.concat([one, one])

    rows = pl.DataFrame({"question": ["q"], "response": ["r"]})
    with pytest.raises(RunError, match="twice"):
        curate.Pipeline(rows, [Twice()]).run(tmp_path / "run")


def test_a_child_of_a_rewriter_has_no_majority_yet(tmp_path: Path) -> None:
    from test_run import Shorter

    rows = [{"question": "q", "answer": "4", "response": "4", "thinking": t} for t in ("a", "b", None)]
    run = curate.Pipeline(pl.DataFrame(rows), [Agree(), Shorter()]).run(tmp_path / "run")
    live = run.traces.collect()
    assert (
        live["agree"].is_null().sum() == 2
        and live.filter(pl.col("agree").is_not_null())["agree"][0]["passed"]
    )
