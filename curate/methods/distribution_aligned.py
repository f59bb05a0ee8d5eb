"""Of each problem's traces, the one whose sentences the teacher finds likely and the student does not.

DASD, "Distribution-Aligned Sequence Distillation" (arXiv 2601.09088), in three stages that one run folder
holds: traces sampled at a low temperature, then at a high one, then traces that the student begins and the
teacher continues. Train on them in this order, each stage from the student of the one before. As published no
answer is verified. The rule of the selection within a problem is inferred from the companion paper (arXiv
2512.20908), and so are how many candidates there are and what counts as a repetition.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, get_args

import polars as pl

from curate.columns import Function
from curate.engines import as_engine, engine
from curate.errors import UserError
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.not_rewritten import NotRewritten
from curate.filters.repetition import Repetition
from curate.filters.score_band import ScoreBand
from curate.filters.tool_calls import ToolCalls
from curate.filters.top_k import TopK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.rewriters.student_prefix import StudentPrefix
from curate.sample import Sample
from curate.scores.length import Length
from curate.scores.provenance import Provenance
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs
from curate.step import Engine, Step
from curate.verifiers.math_equal import MathEqual
from curate.verifiers.think_format import ThinkFormat

Stage = Literal["low", "high", "mixed"]


def distribution_aligned(
    problems: str | Source,
    teacher: str | Engine,
    student: str | Engine,
    *,
    stage: Stage = "high",
    n: int = 4,
    low: float = 0.6,
    high: float = 1.0,
    beta: float = 0.1,
    min_words: int = 4,
    count_in: Literal["thinking", "response"] = "thinking",
    longest: int | None = None,
    cap: float = 1.5,
    verify: bool = False,
    max_tokens: int | None = None,
    seed: int = 0,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """n traces a problem at the stage's temperature; the one with the most sentences of the teacher stays.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions, or a Source
    teacher
        an engine that can score: hf:PATH, or an Engine, of which the temperature does not count
    student
        the checkpoint that training is to start from, as an engine that can score
    stage
        low: sampled at the low temperature; high: at the high one; mixed: traces of the high stage that the
        student begins and the teacher continues. All three may share a run folder: nothing is asked twice
    n
        samples a problem
    low
        temperature of the first stage
    high
        temperature of the second stage, and of the teacher in the third
    beta
        a sentence is the teacher's if its probability is greater by more than this under the teacher
    min_words
        a sentence of fewer words is joined to the next one
    count_in
        where sentences are counted: thinking, which every trace then has to have; response, for models that
        do not think aloud
    longest
        the longest trace that is kept, in the student's tokens: what training has room for. Children of the
        mixed stage are measured again
    cap
        the student may write so many times the tokens of the teacher's trace before it is cut
    verify
        set aside what math_equal does not pass; children of the mixed stage are verified again, and their
        text is kept with the trace where they fail
    max_tokens
        the longest answer; without it, what the model's context allows
    seed
        of the places where the student is cut
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if stage not in get_args(Stage):
        raise UserError(f"there is no stage {stage!r}; the stages are {', '.join(get_args(Stage))}")
    temperature = low if stage == "low" else high
    if isinstance(teacher, str):
        asked = engine(teacher, temperature=temperature, max_tokens=max_tokens)
    else:
        asked = replace(teacher, temperature=temperature)  # type: ignore[type-var]
    learner = as_engine(student)
    thought = [ThinkFormat(required=count_in == "thinking"), Failed("think_format")]
    tidy: list[Step | Function] = [*thought, ToolCalls(), Repetition()]
    judged: list[Step | Function] = [MathEqual(), Failed("math_equal", abstained="drop")] if verify else []
    room = [] if longest is None else [ScoreBand("student_token_count", high=longest)]
    steps = [
        Sample(asked, n=n),
        Truncated(),
        *tidy,
        *judged,
        ExactDuplicates(),
        TokenLogprobs(asked, of="teacher"),
        TokenLogprobs(learner, of="student"),
        SentenceLogprob("teacher", min_words=min_words),
        SentenceLogprob("student", min_words=min_words),
        Provenance(alpha=min(0.05, beta), beta=beta),
        Length("student"),
        *room,
        _share(count_in),
        TopK(
            (f"teacher_in_{count_in}", "teacher_share", "student_token_count"), reverse=(False, False, True)
        ),
    ]
    if stage == "mixed":
        begun = StudentPrefix(asked, learner, cap, seed, MathEqual() if verify else None)
        steps += [begun, NotRewritten(begun.name), *tidy, *judged]
        steps += [TokenLogprobs(learner, of="student"), Length("student"), *room] if room else []
    return Pipeline(as_source(problems, bad_rows), steps)


def _share(count_in: str) -> Function:
    """Adds `teacher_share`: the teacher's part of the sentences with a label; NaN where there are none."""
    labels = [f"{label}_in_{count_in}" for label in ("teacher", "student", "common")]

    def teacher_share(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(teacher_share=pl.col(labels[0]) / pl.sum_horizontal(labels))

    return teacher_share
