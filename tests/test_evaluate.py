"""An evaluation is a run and its metrics; what was not judged is counted apart, never as wrong."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from some_traces import table

from curate.engines.scripted import Scripted
from curate.errors import CallFailed, InputError, UserError
from curate.evaluate import Evaluation, evaluate
from curate.metrics import bootstrap, pass_at_k
from curate.run import Run
from curate.step import Message, Verifier


@dataclass(frozen=True)
class Same(Verifier):
    """The response is the answer, to the letter; without an answer it abstains."""

    reads = ("response", "answer")

    def expr(self) -> pl.Expr:
        passed = pl.col("response") == pl.col("answer")
        none = pl.lit(None, pl.String)
        why = pl.when(passed.is_null()).then(pl.lit("no_gold")).otherwise(pl.lit("equal"))
        return pl.struct(passed=passed, score=pl.lit(None, pl.Float64), extracted=none, why=why)


def problems(n: int = 8, **columns: Any) -> pl.DataFrame:
    """`Say i.`, and the answer is i; two domains."""
    frame = pl.DataFrame(
        {
            "question": [f"Say {i}." for i in range(n)],
            "answer": [str(i) for i in range(n)],
            "domain": ["small" if i < 4 else "large" for i in range(n)],
        }
    )
    return frame.with_columns(**columns)


def number(messages: list[Message]) -> int:
    return int(messages[-1]["content"].split()[1].strip("."))


def small_ones(messages: list[Message]) -> str:
    """Right below 4, wrong from there on, where it also talks longer."""
    n = number(messages)
    return str(n) if n < 4 else "I do not know"


def by_chance(messages: list[Message], seed: int) -> str:
    return str(number(messages)) if seed % 3 == 0 else "no"


def refuses(messages: list[Message]) -> str:
    if number(messages) == 1:
        raise CallFailed("the server had a cold")
    return str(number(messages))


def run(script: Any, given: Any = None, **options: Any) -> Evaluation:
    given = problems() if given is None else given
    return evaluate(Scripted(script=script), given, verifier=Same(), **options)


def test_golden_numbers() -> None:
    found = run(small_ones, k=2)
    assert (found.model, found.k, found.problems, found.samples) == ("scripted", 2, 8, 16)
    assert found.accuracy == 0.5 and found.pass_at == {1: 0.5, 2: 0.5}
    assert found.interval == bootstrap([1.0] * 4 + [0.0] * 4)
    ends = [0.0, 0.489891, 0.510109, 1.0]  # Wilson's of 0 of 4 and of 4 of 4, where resampling has no width
    assert found.by_domain.select("low", "high").to_numpy().ravel() == pytest.approx(ends, abs=1e-6)
    assert found.mean_tokens == (4 * 1 + 4 * 4) / 8
    assert (found.truncated, found.abstained, found.failed, found.unjudged) == (0.0, 0, 0, 0)
    assert found.by_domain.select("domain", "problems", "samples", "accuracy").rows() == [
        ("large", 4, 8, 0.0),
        ("small", 4, 8, 1.0),
    ]


def test_pass_at_k_is_that_of_the_samples(tmp_path: Path) -> None:
    found = run(by_chance, k=6, out=tmp_path)
    passed = pl.col("same").struct.field("passed").sum()
    right = Run(tmp_path).traces.group_by("problem_id").agg(passed).collect()["passed"].to_list()
    assert 0 < sum(right) < 48 and len(right) == 8
    assert list(found.pass_at) == [1, 2, 4, 6]
    for k, value in found.pass_at.items():
        assert value == pytest.approx(sum(pass_at_k(6, c, k) for c in right) / 8)
    assert found.accuracy == pytest.approx(sum(right) / 48) == found.pass_at[1]


def test_what_cannot_be_judged_is_not_wrong() -> None:
    some = problems(
        answer=pl.when(pl.col("question").is_in(["Say 0.", "Say 5."])).then(None).otherwise("answer")
    )
    found = run(small_ones, some, k=2)
    assert (found.abstained, found.unjudged, found.problems) == (4, 2, 8)
    assert found.accuracy == 0.5  # 3 of the 6 that were judged
    assert "not counted as wrong: 4 samples" in str(found)


def test_a_failed_call_is_not_wrong() -> None:
    found = run(refuses)
    assert (found.failed, found.unjudged, found.problems, found.samples) == (1, 1, 8, 7)
    assert found.accuracy == 1.0
    assert "1 failed calls; 1 problems have no judged sample" in str(found)


def test_truncated_samples_are_counted() -> None:
    found = run(small_ones, max_tokens=2)
    assert found.truncated == 0.5 and found.mean_tokens == 1.5


def test_another_seed_draws_other_samples_and_the_same_seed_the_same() -> None:
    first, again, other = (run(by_chance, k=16, seed=s) for s in (0, 0, 1))
    assert first.as_json() == again.as_json()
    assert first.by_domain.rows() != other.by_domain.rows()


def test_what_was_asked_is_not_asked_again(tmp_path: Path) -> None:
    first = run(small_ones, out=tmp_path)
    paid = Run(tmp_path).ledger["calls"].sum()
    assert paid == 8 and run(small_ones, out=tmp_path).as_json() == first.as_json()
    assert Run(tmp_path).ledger["calls"].sum() == paid
    assert run(small_ones, out=tmp_path, k=2).samples == 16
    assert Run(tmp_path).ledger["calls"].sum() == 16


def test_a_problem_counts_once_and_somebody_elses_trace_not_at_all() -> None:
    twice = pl.concat([problems(), problems(2)])
    assert run(small_ones, twice).as_json() == run(small_ones).as_json()
    traces = (
        table(8)
        .select("question", "response", "thinking", "model")
        .with_columns(
            question=pl.concat_str(pl.lit("Say "), pl.int_range(pl.len()).cast(pl.String), pl.lit(".")),
            answer=pl.int_range(pl.len()).cast(pl.String),
        )
    )
    found = run(small_ones, traces)
    assert (found.accuracy, found.samples) == (0.5, 8)


def test_limit() -> None:
    assert run(small_ones, limit=3).problems == 3


def test_math_equal_judges_where_nobody_else_is_named(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(
        "".join(json.dumps({"question": f"Say {i}.", "answer": f"{i}.0"}) + "\n" for i in range(3))
    )
    found = evaluate(Scripted(script=["\\boxed{1}"]), path)
    assert found.accuracy == pytest.approx(1 / 3) and found.abstained == 0


def test_json_text_and_picture() -> None:
    found = run(by_chance, k=4)
    plain = json.loads(json.dumps(found.as_json()))
    assert plain["accuracy"] == found.accuracy and plain["interval"] == list(found.interval)
    assert list(plain["pass_at"]) == ["1", "2", "4"] and plain["by_domain"][0]["domain"] == "large"
    for said in ("scripted: 8 problems, 32 samples", "avg@4", "pass@2", "% truncated", "small"):
        assert said in str(found) and said in found._repr_html_()


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"k": 0}, UserError, "k=0 samples"),
        (
            {"given": problems(answer=pl.lit(None, pl.String))},
            InputError,
            "judged none of the 8 samples, .* no_gold",
        ),
        ({"script": ["x"], "given": problems(0)}, InputError, "empty"),
    ],
)
def test_an_evaluation_of_nothing_is_one_sentence(
    options: dict[str, Any], error: type, sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        run(**{"script": small_ones, **options})


def test_problems_without_answers_are_not_asked_about() -> None:
    without = problems().drop("answer")
    said = "none of the 8 rows read has an answer, and math_equal judges nothing without one; I looked for"
    with pytest.raises(InputError, match=said):
        evaluate(Scripted(script=refuses), without)


def test_calls_that_all_fail_are_no_accuracy_of_zero() -> None:
    with pytest.raises(UserError, match="every call of draw failed.*had a cold"):
        run(refuses, problems().filter(pl.col("question") == "Say 1."))


def test_an_engine_without_the_option_is_named() -> None:
    class Fixed:
        model = "fixed"

    with pytest.raises(UserError, match="fixed has no field 'temperature'"):
        evaluate(Fixed(), problems(), temperature=0.5)  # type: ignore[arg-type]
