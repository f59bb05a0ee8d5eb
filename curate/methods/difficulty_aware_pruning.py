"""Right traces, written anew as long as their problems are hard, and verified again.

"Concise Reasoning, Big Gains: Pruning Long Reasoning Trace with Difficulty-Aware Prompting" (LiteCoT, Wu et
al. 2025, arXiv 2505.19716), known here from its abstract, its figures and the released code. Not verbatim:
the paper's prompt is not public, and its one call is two of one conversation here. Verification, retries and
what becomes of a trace that could not be shortened are ours; the authors document none.
"""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from curate.columns import Function
from curate.difficulty import INSTRUCTIONS, LEVELS
from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.filters.not_rewritten import NotRewritten
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source, as_traces
from curate.rewriters.difficulty_aware import DifficultyAware
from curate.rewriting import WORD
from curate.run import Run
from curate.sample import Sample
from curate.schema import REWRITTEN
from curate.scores.student_pass_rate import StudentPassRate
from curate.step import Engine, Step
from curate.verifiers.math_equal import MathEqual

STEP = "difficulty_aware"


def difficulty_aware_pruning(
    *,
    rewriter: str | Engine,
    traces: list[str] | Source | None = None,
    problems: str | Source | None = None,
    teacher: str | Engine | None = None,
    student: str | Engine | None = None,
    mode: Literal["rewrite", "answer_conditioned"] = "rewrite",
    difficulty: Literal["judge", "pass_rate"] = "judge",
    easy_from: float = 0.8,
    hard_below: float = 0.3,
    retry: Literal["same", "longer"] = "same",
    retries: int = 3,
    retry_temperature: float = 0.6,
    hints: tuple[int, int, int] = (256, 1024, 4096),
    floor: int = 32,
    on_fail: Literal["parent", "drop"] = "parent",
    without_gold: bool = False,
    instructions: str | None = None,
    n: int = 1,
    student_samples: int = 8,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Stored or sampled traces → the right ones, each shortened to its problem's level, and right again.

    Parameters
    ----------
    rewriter
        the engine that judges and writes: hf:PATH, server:URL?model=NAME, or an Engine
    traces
        files, folders or hub ids with question, gold answer and response; or a Source
    problems
        instead of traces: a file, folder or hub id with questions and answers, for the teacher
    teacher
        an engine that answers the problems
    student
        an engine whose pass rate each problem gets, to hold the levels against or to take them from
    mode
        rewrite: the engine sees the trace, as in the paper; answer_conditioned: it sees the gold answer
        instead, as in the released code, and may rationalise
    difficulty
        whose word the level is: the rewriter's (judge), or the student's pass rate
    easy_from
        the lowest pass rate of an easy problem
    hard_below
        a problem with a pass rate below it is hard
    retry
        a text that fails is tried again by the same plan, or by that of the next longer level
    retries
        how often it is tried again
    retry_temperature
        of these tries
    hints
        tokens for an easy, a medium and a hard problem, told to the rewriter and not enforced
    floor
        words that a rewrite has at least
    on_fail
        parent: a trace without a good rewrite stays as it is; drop: it goes. The reason is kept in both cases
    without_gold
        a trace without gold answer stays, and its own is what the new text must come to; else it goes
    instructions
        what every call begins with, in other words, for a model that was taught others or has little room
    n
        samples of the teacher for each problem
    student_samples
        samples of the student for each problem
    max_tokens
        the longest reply; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if (traces is None) == (problems is None) or (problems is None) != (teacher is None):
        raise UserError("give either traces, or problems and a teacher to answer them")
    if difficulty == "pass_rate" and student is None:
        raise UserError("difficulty='pass_rate' needs a student whose pass rate it is; give student=ENGINE")

    def made(spec: str | Engine) -> Engine:
        return as_engine(spec, max_tokens=max_tokens)

    judged = [MathEqual(), Failed("math_equal", abstained="without_gold" if without_gold else "drop")]
    steps: list[Step | Function] = [Sample(made(teacher), n=n)] if teacher is not None else []
    steps += [Truncated(), *judged]
    if student is not None:
        steps.append(StudentPassRate(made(student), MathEqual(), n=student_samples))
    if difficulty == "pass_rate":
        steps.append(_levels(easy_from, hard_below))
    steps.append(
        DifficultyAware(
            made(rewriter),
            MathEqual(),
            mode=mode,
            level="pass_rate_level" if difficulty == "pass_rate" else None,
            retry=retry,
            retries=retries,
            retry_temperature=retry_temperature,
            hints=hints,
            floor=floor,
            without_gold=without_gold,
            instructions=INSTRUCTIONS if instructions is None else instructions,
        )
    )
    steps += [NotRewritten(STEP), *judged] if on_fail == "drop" else judged
    if traces is not None:
        return Pipeline(as_traces(traces, bad_rows), steps)
    return Pipeline(as_source([] if problems is None else problems, bad_rows), steps)


def _levels(easy_from: float, hard_below: float) -> Function:
    """Adds `pass_rate_level`: easy, medium or hard; null where the student has no pass rate."""
    if not 0 <= hard_below <= easy_from <= 1:
        raise UserError(f"hard_below={hard_below} and easy_from={easy_from} must be in order, from 0 to 1")
    rate = pl.col("student_pass_rate")
    level = pl.when(rate >= easy_from).then(pl.lit("easy")).when(rate < hard_below).then(pl.lit("hard"))

    def pass_rate_level(frame: pl.LazyFrame) -> pl.LazyFrame:
        named = level.when(rate.is_not_null()).then(pl.lit("medium"))
        return frame.with_columns(pass_rate_level=named)

    return pass_rate_level


def report(run: Run) -> pl.DataFrame:
    """A line for each level of a run of this method (null: nobody knows it), and one for `all`.

    traces: right traces that came to the rewriter. born: children; kept: those still there at the end;
    keep_rate: kept / traces. words_before, words_after: mean words of the kept children's parents and of
    these children; ratio: the sum of the latter over that of the former. share, share_after: of the traces,
    and of the kept children; drift: their difference, which says whom failed rewrites hit. reasons: why there
    is no child, and how often; the next run asks again where it is `call failed`. token_ratio: as ratio, in
    output tokens as the models counted them, of the kept pairs where both are known. In the line `all`,
    rank_with_length and rank_with_pass_rate: Spearman's correlation of the level (easy 0 to hard 2) with the
    trace's words and the student's pass rate.
    """
    tried, kept = _rows(run)
    lines = [_line(level, tried, kept) for level in (*LEVELS, None, "all")]
    return pl.DataFrame(lines, infer_schema_length=None)


def _rows(run: Run) -> tuple[pl.DataFrame, pl.DataFrame]:
    """For every trace that came to the rewriter the child, or itself where it stays or its call failed, with
    what was before (`_before`); and of these the children that were kept."""
    live = run.traces.with_columns(dropped_by=pl.lit(None, pl.String))
    record, child = pl.col(STEP).struct, pl.col("why").is_null()
    texts = pl.concat_str("thinking", "response", separator=" ", ignore_nulls=True)
    words = texts.str.count_matches(WORD).cast(pl.Int64)
    rows = pl.concat([live, run.dropped], how="diagonal_relaxed").with_columns(words=words)
    here = pl.col("dropped_by").eq_missing(STEP)
    failed = here & (pl.col("why") != REWRITTEN)
    parents = rows.filter(here & ~failed)
    rate = ["student_pass_rate"] if "student_pass_rate" in live.collect_schema() else []
    of_parent = parents.select("output_tokens", "words", *rate, parent_id="trace_id").unique("parent_id")
    mine = rows.filter(failed | ~here & pl.col(STEP).is_not_null())
    why = pl.when(failed).then("why").otherwise(record.field("why"))
    tried = (
        mine.with_columns(level=record.field("level"), why=why)
        .with_columns(rank=pl.col("level").replace_strict(list(LEVELS), [0, 1, 2], default=None))
        .join(of_parent, on="parent_id", how="left", suffix="_before")
        .with_columns(pl.when(child).then(f"{c}_before").otherwise(c).alias(f"{c}_before")
                      for c in ("words", *rate))
        .collect()
    )  # fmt: skip
    return tried, tried.filter(child & pl.col("dropped_by").is_null())


def _line(level: str | None, tried: pl.DataFrame, kept: pl.DataFrame) -> dict[str, Any]:
    here = pl.lit(True) if level == "all" else pl.col("level").eq_missing(pl.lit(level, pl.String))
    mine, mine_kept = tried.filter(here), kept.filter(here)
    reasons = mine["why"].drop_nulls().str.split(":").list.first().value_counts(sort=True)
    share, after = (len(m) / len(a) if len(a) else None for m, a in ((mine, tried), (mine_kept, kept)))
    before = int(mine_kept["words_before"].sum())
    counted = mine_kept.drop_nulls(["output_tokens_before", "output_tokens"])
    tokens = int(counted["output_tokens_before"].sum())
    return {
        "level": level,
        "traces": len(mine),
        "born": mine["why"].null_count(),
        "kept": len(mine_kept),
        "keep_rate": len(mine_kept) / len(mine) if len(mine) else None,
        "words_before": mine_kept["words_before"].mean(),
        "words_after": mine_kept["words"].mean(),
        "ratio": int(mine_kept["words"].sum()) / before if before else None,
        "token_ratio": int(counted["output_tokens"].sum()) / tokens if tokens else None,
        "share": share,
        "share_after": after,
        "drift": None if share is None or after is None else after - share,
        "reasons": reasons.rename({"why": "reason"}).to_dicts(),
        "rank_with_length": _rank(mine, "words_before") if level == "all" else None,
        "rank_with_pass_rate": _rank(mine, "student_pass_rate_before") if level == "all" else None,
    }


def _rank(rows: pl.DataFrame, column: str) -> float | None:
    """Spearman's correlation of level and column; None where one of them is constant or unknown."""
    if column not in rows.columns:
        return None
    known = rows.select("rank", column).drop_nulls()
    if min((known[c].n_unique() for c in known.columns), default=0) < 2:
        return None
    return float(known.select(pl.corr("rank", column, method="spearman")).item())
