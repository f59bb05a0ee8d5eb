"""Several teachers answer the same questions, each until it is right, and share their problems afterwards.

"Not All Correct Answers Are Equal: Why Your Distillation Source Matters" (Tian et al. 2025, arXiv 2505.14464)
holds queries, student and training fixed and changes only the teacher. How often a teacher may try, and what
becomes of a question that one of them never solves, it does not say: 8 times, and it goes (both inferred).
"Retry until right" represents hard questions by lucky attempts: `report` says at which attempt.
"""

from __future__ import annotations

from typing import Any, Literal

import polars as pl

from curate.attempts import Attempts
from curate.columns import Function
from curate.engines import as_engine
from curate.errors import need
from curate.filters.answered_by_all import AnsweredByAll
from curate.filters.failed import Failed
from curate.filters.score_band import ScoreBand
from curate.filters.truncated import Truncated
from curate.identity import model_name
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.run import Run
from curate.scores.length import Length
from curate.scores.perplexity import Perplexity
from curate.scores.token_logprobs import TokenLogprobs
from curate.stages import kind_of_reason
from curate.step import Engine, Step
from curate.verifiers.math_equal import MathEqual

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def parallel_teachers(
    problems: str | Source,
    teachers: list[str] | tuple[Engine, ...],
    student: str | Engine | None = None,
    *,
    attempts: int = 8,
    intersection: bool = True,
    max_perplexity: float | None = None,
    temperature: float = 1.0,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Every teacher's first right trace of each problem; every other attempt is set aside with its reason.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source
    teachers
        two engines or more: hf:PATH, server:URL?model=NAME, or a tuple of Engines
    student
        an engine that can score, for length in its tokens and perplexity; without it nothing is scored
    attempts
        how often a teacher may try a problem
    intersection
        whether problems that one of the teachers never solves go
    max_perplexity
        under the student; a trace above it goes. The companion report took 20, under a model of 32B
    temperature
        of sampling; counts only where the teachers are given as text
    max_tokens
        the longest answer; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    asked = tuple(as_engine(t, temperature=temperature, max_tokens=max_tokens) for t in teachers)
    steps: list[Step | Function] = [
        Attempts(asked, verifier=MathEqual(), n=attempts),
        Truncated(),
        MathEqual(),
        Failed("math_equal", abstained="drop"),
    ]
    if student is not None:
        scorer = as_engine(student)
        steps += [TokenLogprobs(scorer, of="student"), Length("student"), Perplexity("student")]
        if max_perplexity is not None:
            steps.append(ScoreBand("student_perplexity", high=max_perplexity))
    if intersection and len(asked) > 1:
        steps.append(AnsweredByAll(tuple(model_name(t) for t in asked)))
    return Pipeline(as_source(problems, bad_rows), steps)


def report(run: Run) -> pl.DataFrame:
    """A line for each teacher and domain of a run of this method; the counts reconcile.

    problems: those that the teacher was asked about; failed: those of them of which a call failed, so that
    none of the attempts is a row before the next run, which goes on at that call. For the others, attempts =
    kept + the sum of drops, and attempts = the sum of tried. tried: attempts that were the first, second, …;
    accepted: the share of each that passed and came to its end. drops: how many attempts went for each kind
    of reason. tokens: the 5, 25, 50, 75 and 95 % quantiles of the kept traces' lengths, in the student's
    tokens where they were scored, else as the teacher counted. perplexity: the mean of the kept;
    perplexities: the same quantiles; null without a student.
    """
    need(run.traces.collect_schema(), ["math_equal"], "report reads a run of parallel_teachers")
    live = run.traces.with_columns(dropped_by=pl.lit(None, pl.String), why=pl.lit(None, pl.String))
    failed = pl.col("model").is_not_null() & pl.col("why").str.starts_with("call failed")
    went = run.dropped.filter(pl.col("trace_id").is_not_null() | failed)
    rows = pl.concat([live, went], how="diagonal_relaxed").with_columns(kind=kind_of_reason()).collect()
    lines = [
        {"model": model, "domain": domain, **_measured(part)}
        for (model, domain), part in rows.group_by("model", "domain")
    ]
    return pl.DataFrame(lines).sort("model", "domain", nulls_last=True)


def _measured(asked: pl.DataFrame) -> dict[str, Any]:
    rows = asked.drop_nulls("trace_id")
    kept = rows.filter(pl.col("dropped_by").is_null())
    right = pl.col("math_equal").struct.field("passed").fill_null(False)
    tries = rows.group_by("sample").agg(tried=pl.len(), passed=right.sum()).sort("sample")
    drops = rows.drop_nulls("dropped_by").group_by("dropped_by", "kind").agg(rows=pl.len())
    scored = "student_token_count" in rows.columns
    length = kept["student_token_count" if scored else "output_tokens"]
    return {
        "problems": asked["problem_id"].n_unique(),
        "failed": len(asked) - len(rows),
        "attempts": len(rows),
        "kept": len(kept),
        "tried": tries["tried"].to_list(),
        "accepted": (tries["passed"] / tries["tried"]).to_list(),
        "drops": drops.sort("rows", "dropped_by", "kind", descending=[True, False, False]).to_dicts(),
        "tokens": [length.quantile(q) for q in QUANTILES],
        "perplexity": kept["student_perplexity"].mean() if scored else None,
        "perplexities": [kept["student_perplexity"].quantile(q) for q in QUANTILES] if scored else None,
    }
