"""Right traces that were drafted in parallel, distilled into a short workspace, and written from it.

Parallel-Distill-Refine (PDR, arXiv 2510.01123), known here from its abstract and notes on it: rounds of
drafts, a bounded workspace rebuilt in every round, and two budgets not to be taken for one another, along the
path and in all. How many drafts there are, and how long the workspace is, are inferred.
"""

from __future__ import annotations

from typing import Literal

import polars as pl

from curate.columns import Function
from curate.engines import as_engine
from curate.filters.failed import Failed
from curate.filters.not_rewritten import NotRewritten
from curate.pipeline import Pipeline
from curate.read import Source, as_traces
from curate.rewriters.refine import Refine
from curate.run import Run
from curate.step import Engine, Step
from curate.verifiers.math_equal import MathEqual


def refine(
    traces: list[str] | Source,
    reviser: str | Engine,
    *,
    drafts: tuple[int, ...] = (4, 1),
    workspace: Literal["summary", "top", "random"] = "summary",
    k: int = 2,
    words: int = 512,
    begin: Literal["anew", "trace"] = "anew",
    on_fail: Literal["parent", "drop"] = "parent",
    temperature: float = 1.0,
    max_tokens: int | None = None,
    seed: int = 0,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Stored traces, right or wrong → traces written from the distillate of several drafts, where right.

    Parameters
    ----------
    traces
        files, folders or hub ids with question, gold answer and response; or a Source
    reviser
        the engine that drafts, distils and writes: hf:PATH, server:URL?model=NAME, or an Engine
    drafts
        how many there are in each round; the last has 1
    workspace
        what the next round sees: a summary, or k drafts, the top ones or random ones
    k
        so many drafts
    words
        the longest workspace
    begin
        anew, or with the trace as the only draft of the first round
    on_fail
        parent: where the new trace is not right, the old one stays, and is verified; drop: it goes
    temperature
        of sampling; counts only where the reviser is given as text
    max_tokens
        the longest reply; without it, what the model's context allows
    seed
        of the random drafts
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    how = {"temperature": temperature, "max_tokens": max_tokens}
    asked = as_engine(reviser, **how)
    refined = Refine(
        asked, MathEqual(), drafts=drafts, workspace=workspace, k=k, words=words, begin=begin, seed=seed
    )
    steps: list[Step | Function] = [refined]
    steps += [NotRewritten("refine")] if on_fail == "drop" else []
    steps += [MathEqual(), Failed("math_equal", abstained="drop")]
    return Pipeline(as_traces(traces, bad_rows), steps)


def call_rows(run: Run) -> pl.DataFrame:
    """Every call on the path to a child that was kept, as a training row of its own: `role`, `round`, and
    `messages`, `thinking` and `response` exactly as they were. PDR trains on these beside whole traces."""
    born = pl.col("refine").struct.field("why").is_null() & pl.col("refine").is_not_null()
    rows = run.traces.filter(born).select("problem_id", "trace_id", "refine_events")
    calls = rows.explode("refine_events").unnest("refine_events")
    return calls.filter(pl.col("accepted") & (pl.col("role") != "given")).collect()
