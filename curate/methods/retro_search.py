"""Right traces, made shorter where they had changed their mind too early or gone on too long.

Retro-Search (Lu et al. 2025, arXiv:2504.04383): at each change of thought a reviser goes on with the thought
that was left; where that gets to the right answer in fewer steps, it takes the place of the rest. The reviser
is the teacher itself, or a smaller model. The full text of the paper was not at hand: the words that change a
thought, one rollout for each, and how is sampled are recalled, not confirmed.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.pieces import TRANSITIONS
from curate.pipeline import Pipeline
from curate.read import Source, as_source, as_traces
from curate.rewriters.retro_search import RetroSearch
from curate.run import Run
from curate.sample import Sample
from curate.step import Engine
from curate.verifiers.math_equal import MathEqual

STATUS = (
    "revised", "kept", "kept_incorrect", "single_thought", "no_thinking", "no_gold", "skipped_incorrect",
    "unverified",
)  # fmt: skip
WHEN = ("before", "after")
PARAPHRASED = (
    r"^(?:Let me (?:double[- ]?)?(?:re-?)?(?:check|verify|think again|reconsider)|On second thought|Hold on"
    r"|Actually|Maybe|Perhaps|Instead|Is that right)\b"
)


def retro_search(
    problems: str | Source | None = None,
    teacher: str | Engine | None = None,
    *,
    traces: list[str] | None = None,
    reviser: str | Engine | None = None,
    n: int = 1,
    mode: Literal["full", "partial"] = "full",
    n_rollouts: int = 1,
    length_unit: Literal["steps", "tokens", "both"] = "steps",
    stop_when_dominated: bool = True,
    window: int = 0,
    transitions: tuple[str, ...] = TRANSITIONS,
    where: Literal["step_start", "near_start"] = "step_start",
    gamma: float = 0.9,
    redraws: int = 3,
    loop_repeats: int = 8,
    opening: str = "<think>",
    reference: Literal["gold", "self"] = "gold",
    revise_incorrect: bool = False,
    temperature: float = 0.6,
    top_p: float = 0.95,
    max_tokens: int = 16_384,
    seed: int = 0,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Traces of a teacher, or of a file, revised; those that are wrong in the end are set aside.

    Parameters
    ----------
    problems
        a file, folder or hub id with questions and answers, or a Source
    teacher
        an engine: hf:PATH, server:URL?model=NAME, or an Engine
    traces
        files or hub ids with traces and gold answers, in place of problems and a teacher
    reviser
        an engine that goes on with a begun turn; without it, the teacher
    n
        samples a problem
    mode
        full: from the first change of thought on; partial: from one that is drawn, for a large reviser
    n_rollouts
        tries at each change of thought; the best one counts
    length_unit
        what has to become less: steps, tokens of the reviser, or both
    stop_when_dominated
        break off a rollout that is as long as what it would replace
    window
        so many changes of thought are tried ahead, for speed where few rollouts win; it changes no result
    transitions
        words that open another thought; the defaults are recalled, not confirmed
    where
        step_start: such a word is the first of its step; near_start: it stands in the first 20 characters
    gamma
        the discount of the values in `retro_events`; it changes no result
    redraws
        how often a first step that holds such a word is drawn again, where an engine cannot forbid it
    loop_repeats
        one thing said so often in a row ends a rollout
    opening
        the tag that begins the reviser's thinking, on a line of its own
    reference
        gold, or self: a trace without a gold answer is held to its own
    revise_incorrect
        search in wrong traces, too, where any right rollout is better; without it they cost nothing. Traces
        that their length has cut are set aside all the same
    temperature
        of sampling; counts only where engines are given as text
    top_p
        as temperature
    max_tokens
        the longest trace, and the longest rollout
    seed
        of the rollouts; another seed draws others
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    if (traces is None) == (problems is None) or (problems is None) != (teacher is None):
        raise UserError(
            "retro_search revises the traces of a teacher (problems and teacher), or of files (traces)"
        )
    if reviser is None and teacher is None:
        raise UserError("who revises these traces? Give a reviser: hf:PATH, or server:URL?model=NAME")
    how = {"temperature": temperature, "top_p": top_p}
    asked = None if teacher is None else as_engine(teacher, **how, max_tokens=max_tokens)
    by = asked if reviser is None else as_engine(reviser, **how)
    assert by is not None
    search = RetroSearch(
        by, MathEqual(), mode, n_rollouts, length_unit, stop_when_dominated, window,
        tuple(transitions), where, gamma, reference, revise_incorrect, max_tokens, redraws, loop_repeats,
        f"{opening.strip()}\n", seed,
    )  # fmt: skip
    given = [] if traces is None else traces
    source = as_traces(given, bad_rows) if problems is None else as_source(problems, bad_rows)
    births = [] if asked is None else [Sample(asked, n=n)]
    unjudged: Literal["without_gold", "drop"] = "without_gold" if reference == "self" else "drop"
    steps = [*births, Truncated(), search, MathEqual(), Failed("math_equal", abstained=unjudged)]
    return Pipeline(source, steps)


def retro_events(run: Run) -> pl.DataFrame:
    """Every rollout of a run, in the order of its trace's search, with the ids of the trace it was made for.

    Rejected ones hold their text, too: those that passed are more right samples. `retro` in the run's tables
    sums them up for each trace. What a window tried in vain is in the ledger alone, as far as it had ended.
    """
    tables = [t.filter(pl.col("retro_events").list.len() > 0) for t in (run.traces, run.dropped)]
    found = pl.concat([t.select("problem_id", "trace_id", "parent_id", "retro_events") for t in tables])
    return found.explode("retro_events").unnest("retro_events").collect()


def report(run: Run) -> pl.DataFrame:
    """One line on a run. steps, thoughts, steps_per_thought: sums and their ratio over all traces searched.

    words likewise. rollout_tokens: output tokens of the rollouts in `retro_events`; wasted_tokens: what the
    ledger counts beside them, tried ahead in vain (calls that were broken off are counted nowhere).
    paraphrased: the share of first steps that open with a change of thought
    in other words, which no ban catches: where it is large, give `transitions` more words.
    """
    tables = [t.select("retro").drop_nulls().unnest("retro") for t in (run.traces, run.dropped)]
    traces = pl.concat(tables).collect()
    events = retro_events(run)
    asked = int(run.paid.filter(pl.col("step") == "retro_search")["output_tokens"].sum())
    used = int(events["output_tokens"].sum())
    sums = {
        c: int(traces[c].sum()) for c in (f"{a}_{b}" for a in ("steps", "thoughts", "words") for b in WHEN)
    }
    opened = events["first_step"].str.strip_chars_start().str.contains(PARAPHRASED)
    line = {
        **{status: (traces["status"] == status).sum() for status in STATUS},
        "rollouts": len(events),
        "accepted": events["accepted"].sum(),
        **sums,
        **{f"steps_per_thought_{w}": sums[f"steps_{w}"] / max(1, sums[f"thoughts_{w}"]) for w in WHEN},
        "rollout_tokens": used,
        "discarded_tokens": events["discarded_tokens"].sum(),
        "wasted_tokens": asked - used,
        "paraphrased": opened.mean(),
    }
    return pl.DataFrame([line])
