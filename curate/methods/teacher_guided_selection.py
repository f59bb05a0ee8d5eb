"""Of each problem's verified traces, the one with the most sentences that come from the teacher.

"Where Did This Sentence Come From? Tracing Provenance in LLM Reasoning Distillation" (arXiv 2512.20908),
as far as public notes and the report of the same group (arXiv 2601.09088) tell it: beta is reported, how ties
are broken and what counts as a repetition are inferred. Counting favours a trace that says the same again and
again, so such traces go first. In its ablation the longest trace comes within a point of the method, so look
at the control `length_matched` before you believe a gain.
"""

from __future__ import annotations

from typing import Literal, get_args

import polars as pl

from curate.columns import Function
from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.length_matched import LengthMatched
from curate.filters.repetition import Repetition
from curate.filters.top_k import TopK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.sample import Sample
from curate.scores.length import Length
from curate.scores.perplexity import Perplexity
from curate.scores.provenance import Provenance
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs
from curate.step import Engine, Step
from curate.verifiers.math_equal import MathEqual

Rule = Literal[
    "most_teacher", "fewest_teacher", "teacher_share", "longest", "grape", "random", "length_matched"
]


def teacher_guided_selection(
    problems: str | Source,
    teacher: str | Engine,
    student: str | Engine,
    *,
    n: int = 4,
    beta: float = 0.1,
    min_words: int = 4,
    count_in: Literal["thinking", "response"] = "thinking",
    rule: Rule = "most_teacher",
    seed: int = 0,
    temperature: float = 1.0,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """n traces a problem, verified; both models score them; by `rule` one trace of each problem stays.

    Parameters
    ----------
    problems
        a file, folder or hub id, or a Source; rows that already hold a trace are not sampled again
    teacher
        an engine that can score: hf:PATH, or an Engine
    student
        the checkpoint that training is to start from, as an engine that can score
    n
        samples a problem
    beta
        a sentence is the teacher's if its probability is greater by more than this under the teacher
    min_words
        a sentence of fewer words is joined to the next one
    count_in
        where sentences are counted; response, for models that do not think aloud
    rule
        which trace stays. most_teacher: the method. The others are what the paper compares it with:
        fewest_teacher; teacher_share, of the scored sentences; longest, in the student's tokens; grape, the
        likeliest under the student; random; and length_matched, random traces as many and as long as
        most_teacher would keep, from all problems
    seed
        of the draw of length_matched
    temperature
        of sampling; counts only where the teacher is given as text
    max_tokens
        the longest answer; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if rule not in get_args(Rule):
        raise UserError(f"there is no rule {rule!r}; the rules are {', '.join(get_args(Rule))}")
    teacher = as_engine(teacher, temperature=temperature, max_tokens=max_tokens)
    student = as_engine(student)
    return Pipeline(
        as_source(problems, bad_rows),
        [
            Sample(teacher, n=n),
            Truncated(),
            MathEqual(),
            Failed("math_equal", abstained="drop"),
            Repetition(),
            ExactDuplicates(),
            TokenLogprobs(teacher, of="teacher"),
            TokenLogprobs(student, of="student"),
            SentenceLogprob("teacher", min_words=min_words),
            SentenceLogprob("student", min_words=min_words),
            Provenance(alpha=min(0.05, beta), beta=beta),
            Length("student"),
            Perplexity("student"),
            *selection(rule, count_in, seed),
        ],
    )


def selection(rule: Rule, count_in: str, seed: int = 0) -> list[Step | Function]:
    """The steps that keep one trace a problem, over the columns of provenance, length and perplexity.

    Ties: the larger mean margin of the teacher's sentences, then the shorter trace (inferred). Random is the
    smallest trace_id, a hash of the text.
    """
    most = (f"teacher_in_{count_in}", f"margin_in_{count_in}", "student_token_count")
    if rule == "length_matched":
        chosen = _first(*most, "problem_id")
        return [chosen, LengthMatched("chosen", length="student_token_count", seed=seed)]
    if rule == "teacher_share":
        labels = [f"{x}_in_{count_in}" for x in ("teacher", "student", "common")]
        return [_share(labels), TopK(("teacher_share", "student_token_count"), reverse=(False, True))]
    simple = {
        "most_teacher": TopK(most, reverse=(False, False, True)),
        "fewest_teacher": TopK((most[0],), reverse=(True,)),
        "longest": TopK(("student_token_count",)),
        "grape": TopK(("student_perplexity",), reverse=(True,)),
        "random": TopK(("trace_id",), reverse=(True,)),
    }
    return [simple[rule]]


def _first(count: str, margin: str, size: str, per: str) -> Function:
    """Adds `chosen`: whether `most_teacher` would keep the row."""

    def chosen(frame: pl.LazyFrame) -> pl.LazyFrame:
        order = pl.struct(-pl.col(count), -pl.col(margin).fill_null(-1.0), size, "trace_id")
        return frame.with_columns(chosen=order.rank("ordinal").over(per) == 1)

    return chosen


def _share(labels: list[str]) -> Function:
    """Adds `teacher_share`: the teacher's part of the sentences with a label; NaN where there are none."""

    def teacher_share(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(teacher_share=pl.col(labels[0]) / pl.sum_horizontal(labels))

    return teacher_share
