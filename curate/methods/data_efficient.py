"""A few hard problems, each with several right traces that lie far apart.

DED, "Beyond Scaling Law: A Data-Efficient Distillation Framework for Reasoning" (Wu et al. 2025, arXiv
2508.09883), known here from its abstract and a digest: that the teacher is chosen by how well it teaches
(`curate.teacher_report`), that problems the student already solves go, and that the farthest trajectories in
edit distance stay, is reported; the numbers of samples, the pass rate and k are inferred or derived.
"""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from curate.engines import engine
from curate.errors import UserError
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.farthest import Farthest
from curate.filters.length_band import LengthBand
from curate.filters.pass_rate_band import PassRateBand
from curate.filters.score_band import ScoreBand
from curate.filters.shortest_k import ShortestK
from curate.filters.top_k import TopK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, read
from curate.sample import Sample
from curate.scores.student_pass_rate import StudentPassRate
from curate.step import Engine, Filter
from curate.verifiers.math_equal import MathEqual

Rule = Literal["farthest", "random", "shortest"]


def right_traces(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Adds `right_traces`: how many traces of its problem passed."""
    passed = pl.col("math_equal").struct.field("passed").fill_null(False)
    return rows.with_columns(right_traces=passed.sum().over("problem_id").cast(pl.Int64))


def data_efficient(
    problems: str | Source,
    teacher: str | Engine,
    student: str | Engine,
    *,
    n: int = 16,
    keep: int = 4,
    student_samples: int = 8,
    max_pass_rate: float = 0.5,
    z: float = 0.0,
    min_right: int = 2,
    longest: int = 16_384,
    rule: Rule = "farthest",
    temperature: float = 1.0,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Problems that the student seldom solves, and of each the right traces that are farthest apart.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source
    teacher
        an engine: hf:PATH, server:URL?model=NAME, or an Engine; see curate.teacher_report for which
    student
        the checkpoint that training is to start from; it is asked first, so easy problems cost the teacher
        nothing
    n
        samples of the teacher for each problem
    keep
        right traces kept for each problem
    student_samples
        samples of the student for each problem
    max_pass_rate
        a problem that the student solves more often goes
    z
        it goes only if its Wilson interval of so many standard errors lies above; 0 takes the measured rate
    min_right
        with fewer right traces of the teacher the problem goes: a wrong gold answer looks like a hard problem
    longest
        output tokens of the longest trace that is kept
    rule
        which right traces stay: farthest (the method), or, to compare it with, random or shortest
    temperature
        of sampling; counts only where an engine is given as text
    max_tokens
        the longest answer; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if rule not in get_args(Rule):
        raise UserError(f"there is no rule {rule!r}; the rules are {', '.join(get_args(Rule))}")
    how = {"temperature": temperature, "max_tokens": max_tokens}
    asked = engine(teacher, **how) if isinstance(teacher, str) else teacher
    learner = engine(student, **how) if isinstance(student, str) else student
    kept: dict[str, Filter] = {
        "farthest": Farthest(keep),
        "random": TopK(("trace_id",), k=keep, reverse=(True,)),  # the smallest of hashes
        "shortest": ShortestK(keep),
    }
    return Pipeline(
        problems if isinstance(problems, Source) else read(problems, bad_rows=bad_rows),
        [
            StudentPassRate(learner, MathEqual(), n=student_samples),
            PassRateBand(high=max_pass_rate, z=z),
            Sample(asked, n=n),
            Truncated(),
            LengthBand(min_tokens=0, max_tokens=longest),
            MathEqual(),
            right_traces,
            Failed("math_equal", abstained="drop"),
            ScoreBand("right_traces", low=min_right),
            ExactDuplicates(),
            kept[rule],
        ],
    )
