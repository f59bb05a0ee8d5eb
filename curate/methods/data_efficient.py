"""A few hard problems, each with several right traces that lie far apart.

DED, "Beyond Scaling Law: A Data-Efficient Distillation Framework for Reasoning" (Wu et al. 2025, arXiv
2508.09883), known here from its abstract and a digest: that the teacher is chosen by how well it teaches
(`curate.teacher_report`), that problems the student already solves go, that answers are checked by rules and
a judge, and that the farthest trajectories in edit distance stay, is reported; the numbers of samples, the
pass rate, k and which answers the judge sees are inferred or derived.
"""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from curate.columns import Function
from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.farthest import Farthest
from curate.filters.length_band import LengthBand
from curate.filters.nearest import Nearest
from curate.filters.pass_rate_band import PassRateBand
from curate.filters.score_band import ScoreBand
from curate.filters.shortest_k import ShortestK
from curate.filters.top_k import TopK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.sample import Sample
from curate.scores.distance import Distance
from curate.scores.student_pass_rate import StudentPassRate
from curate.step import Engine, Filter, Step
from curate.verifiers.judge import Judge
from curate.verifiers.math_equal import MathEqual
from curate.verifiers.think_format import ThinkFormat

Rule = Literal["farthest", "nearest", "first", "random", "shortest"]
Doubt = Literal["failed", "undecided"]
Thinking = Literal["required", "optional"]


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
    thinking: Thinking = "required",
    rule: Rule = "farthest",
    judge: str | Engine | None = None,
    judge_sees: Doubt = "failed",
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
    thinking
        whether a trace has to have some; optional: none is as good as one closed block
    rule
        which right traces stay: farthest (the method), or, to compare it with, nearest, first (sampled),
        random or shortest
    judge
        an engine that says whether answer and gold are the same where math_equal does not pass a trace;
        without it the rule alone decides. The student's own samples are judged by the rule
    judge_sees
        failed: every trace that math_equal does not pass; undecided: only those on which it abstains
    temperature
        of sampling; counts only where an engine is given as text
    max_tokens
        the longest answer; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if rule not in get_args(Rule):
        raise UserError(f"there is no rule {rule!r}; the rules are {', '.join(get_args(Rule))}")
    if judge_sees not in get_args(Doubt):
        raise UserError(f"judge_sees={judge_sees!r} is none of {', '.join(get_args(Doubt))}")
    if thinking not in get_args(Thinking):
        raise UserError(f"thinking={thinking!r} is none of {', '.join(get_args(Thinking))}")
    how = {"temperature": temperature, "max_tokens": max_tokens}
    asked = as_engine(teacher, **how)
    learner = as_engine(student, **how)
    arbiter = None if judge is None else as_engine(judge, temperature=0.0)
    verdict = "math_equal" if arbiter is None else "judge"
    return Pipeline(
        as_source(problems, bad_rows),
        [
            StudentPassRate(learner, MathEqual(), n=student_samples),
            PassRateBand(high=max_pass_rate, z=z),
            Sample(asked, n=n),
            Truncated(),
            LengthBand(min_tokens=0, max_tokens=longest),
            ThinkFormat(required=thinking == "required"),
            Failed("think_format"),
            MathEqual(),
            *([] if arbiter is None else second_look(arbiter, judge_sees)),
            _right(verdict),
            Failed(verdict, abstained="drop"),
            ScoreBand("right_traces", low=min_right),
            ExactDuplicates(),
            Distance(),
            chosen(rule, keep),
        ],
    )


def second_look(arbiter: Engine, sees: Doubt) -> list[Step | Function]:
    """A model's verdict, `judge`, where the rule has failed a trace, or only where it has not decided."""
    return [Judge(arbiter)] if sees == "undecided" else [by_rule, Judge(arbiter, after=("rule",))]


def by_rule(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Adds `rule`: the verdict of math_equal where it passed, else null, so that a judge looks again."""
    passed = pl.col("math_equal").struct.field("passed")
    return rows.with_columns(rule=pl.when(passed).then("math_equal"))


def chosen(rule: Rule, keep: int) -> Filter:
    """The filter that keeps so many right traces of each problem."""
    kept: dict[str, Filter] = {
        "farthest": Farthest(keep),
        "nearest": Nearest(keep),
        "first": TopK(("sample",), k=keep, reverse=(True,)),
        "random": TopK(("trace_id",), k=keep, reverse=(True,)),  # the smallest of hashes
        "shortest": ShortestK(keep),
    }
    return kept[rule]


def _right(verdict: str) -> Function:
    """Adds `right_traces`: how many traces of its problem passed."""
    passed = pl.col(verdict).struct.field("passed").fill_null(False)

    def right_traces(rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows.with_columns(right_traces=passed.sum().over("problem_id").cast(pl.Int64))

    return right_traces
