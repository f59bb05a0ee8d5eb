"""Teachers' traces only of problems that the student never solves; of each those that it can follow best.

AMPO, "Adaptive Multi-Guidance Policy Optimization" (arXiv 2510.02227), without its reinforcement learning:
the trigger, that none of the student's own samples is right; and the choice, by the probability that the
student gives the gold answer once it has read the trace's reasoning. Two of at most four traces, the
geometric mean and the shorter one of equal ones are as published; how often a teacher may try is inferred.
"""

from __future__ import annotations

from typing import Literal, get_args

from curate.attempts import Attempts
from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.pass_rate_band import PassRateBand
from curate.filters.top_k import TopK
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_source
from curate.scores.comprehension import Comprehension
from curate.scores.student_pass_rate import StudentPassRate
from curate.step import Engine
from curate.verifiers.math_equal import MathEqual

Rule = Literal["geometric", "arithmetic", "random"]


def guidance_on_demand(
    problems: str | Source,
    teachers: list[str] | tuple[Engine, ...],
    *,
    student: str | Engine,
    keep: int = 2,
    attempts: int = 8,
    student_samples: int = 8,
    rule: Rule = "geometric",
    leak: Literal["cut", "keep"] = "cut",
    temperature: float = 1.0,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Problems that the student never solves, and of each the right traces that it can follow best.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source; rows that already hold a trace are
        not asked about again
    teachers
        one engine or more: hf:PATH, server:URL?model=NAME, or a tuple of Engines
    student
        the checkpoint that training is to start from, as an engine that can score; it is asked first, so
        problems that it solves cost the teachers nothing
    keep
        right traces kept for each problem
    attempts
        how often a teacher may try a problem
    student_samples
        samples of the student for each problem; if one of them is right, the problem goes
    rule
        which right traces stay: those with the largest mean, geometric (the paper) or arithmetic (its code),
        of the answer's token probabilities, or, to compare them with, random
    leak
        reasoning that states the answer is read up to there (cut), or whole, as published (keep)
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
    asked = tuple(as_engine(t, **how) for t in teachers)
    learner = as_engine(student, **how)
    column = "student_comprehension" + ("_arithmetic" if rule == "arithmetic" else "")
    best = TopK((column, "output_tokens"), k=keep, reverse=(False, True))
    drawn = TopK(("trace_id",), k=keep, reverse=(True,))  # the smallest of hashes
    return Pipeline(
        as_source(problems, bad_rows),
        [
            StudentPassRate(learner, MathEqual(), n=student_samples),
            PassRateBand(high=0.0),
            Attempts(asked, verifier=MathEqual(), n=attempts),
            Truncated(),
            MathEqual(),
            Failed("math_equal", abstained="drop"),
            ExactDuplicates(),
            Comprehension(learner, leak=leak, verdict="math_equal"),
            drawn if rule == "random" else best,
        ],
    )
