"""Right traces whose thinking ends early and whose answer, given from there, is right as well.

High, Medium and Low of ThinkDial (arXiv 2508.18773), where the mode stands in the system prompt, and the two
budgets of Elastic Reasoning (arXiv 2505.05315). Shares and budgets are as published; the system prompts, and
the sentences that end the thinking, are in our own words; how a join is found coherent is not published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl

from curate.columns import Function
from curate.engines import as_engine
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.filters.not_rewritten import NotRewritten
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_traces
from curate.rewriters.budget_forcing import MODES, BudgetForcing
from curate.run import Run
from curate.schema import REWRITTEN
from curate.scores.token_logprobs import TokenLogprobs
from curate.step import Engine, Step
from curate.verifiers.math_equal import MathEqual

STEP = "budget_forcing"
SYSTEM = {  # by the mode; not those of the paper, but of the same three meanings
    "high": "Take all the time you need. Think as long as it helps, and check your work before you answer.",
    "medium": "You have enough time, but none to waste. Think economically, then answer.",
    "low": "You have almost no time. Think as little as you can, and answer at once.",
}


def budget_forcing(
    traces: list[str] | Source,
    teacher: str | Engine,
    *,
    mode: Literal["mixed", "high", "medium", "low", "elastic"] = "mixed",
    medium: float = 0.5,
    low: float = 0.25,
    thinking_tokens: int = 1024,
    answer_tokens: int = 1024,
    boundary: Literal["token", "sentence", "step"] = "token",
    count: Literal["words", "tokens"] | None = None,
    max_leaks: int = 0,
    max_tokens: int | None = None,
    seed: int = 0,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Stored traces → the right ones, cut to a mode's budget where the answer from there is right.

    Parameters
    ----------
    traces
        files, folders or hub ids with question, gold answer and response; or a Source
    teacher
        the engine that answers from the cut: hf:PATH, server:URL?model=NAME, or an Engine
    mode
        high, medium, low; mixed: each problem in one of these three; elastic: two budgets in tokens. For
        every trace in several modes, run each mode into a folder of its own
    medium
        the share of the thinking that is kept in this mode
    low
        the share of the thinking that is kept in this mode; 0 makes it empty
    thinking_tokens
        elastic: the longest thinking, in what `count` says
    answer_tokens
        elastic: the longest answer, in the teacher's tokens; of a trace that stays, in what `count` says
    boundary
        where the thinking may be cut: anywhere (token), or at the end of a sentence or a step
    count
        in what the thinking is measured: words, or the teacher's tokens, for which it has to score each
        trace; without it, tokens for elastic and words for the other modes
    max_leaks
        words of thinking that a new answer may hold, such as "wait" and "let me check"
    max_tokens
        the longest answer in the other modes; without it, what the model's context allows
    seed
        of the modes that problems get
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    asked = as_engine(teacher, max_tokens=max_tokens)
    judged = [MathEqual(), Failed("math_equal", abstained="drop")]
    in_tokens = (count or ("tokens" if mode == "elastic" else "words")) == "tokens"
    steps: list[Step | Function] = [Truncated(), *judged]
    steps += [TokenLogprobs(asked, of="teacher")] if in_tokens else []
    forced = BudgetForcing(
        asked,
        MathEqual(),
        mode=mode,
        medium=medium,
        low=low,
        thinking_tokens=thinking_tokens,
        answer_tokens=answer_tokens,
        boundary=boundary,
        of="teacher" if in_tokens else None,
        max_leaks=max_leaks,
        seed=seed,
    )
    steps += [forced, NotRewritten(STEP), *judged]
    return Pipeline(as_traces(traces, bad_rows), steps)


def mode_rows(run: Run, *more: Run, balance: bool = True) -> pl.DataFrame:
    """The kept traces as training rows: `mode`, and `messages` that begin with the mode's system prompt.

    more: runs of the other modes, each in a folder of its own; a folder has the tables of its last run.
    balance: as many rows of each mode as of the rarest, the first by the hash of their traces. Elastic traces
    have no system prompt: their budget is the engine's business.
    """
    folders = [one.folder.resolve() for one in (run, *more)]
    if twice := next((f for f in folders if folders.count(f) > 1), None):
        raise UserError(
            f"two of these runs are of {twice}, which has the tables of its last run alone; run each mode "
            "into a folder of its own"
        )
    tables = [one.traces.filter(pl.col(STEP).is_not_null()) for one in (run, *more)]
    rows = pl.concat(tables, how="diagonal_relaxed").collect()
    rows = rows.with_columns(mode=pl.col(STEP).struct.field("mode")).sort("trace_id")
    if balance and len(rows):
        least = rows.group_by("mode").len()["len"].min()
        rows = rows.filter(pl.int_range(pl.len()).over("mode") < least)
    asked = pl.struct(role=pl.lit("user"), content="question")
    told = pl.struct(role=pl.lit("system"), content=pl.col("mode").replace_strict(SYSTEM, default=None))
    messages = pl.when(pl.col("mode").is_in(MODES)).then(pl.concat_list(told, asked)).otherwise(
        pl.concat_list(asked)
    )  # fmt: skip
    return rows.with_columns(messages=messages)


def act_score(modes: Mapping[str, tuple[float, float]], base: tuple[float, float]) -> float:
    """How well a model keeps its modes (ThinkDial): accuracy held against that of the base, and cost saved.

    modes: accuracy (0 to 1) and mean output tokens of each mode; base: those of the untrained model. High
    counts accuracy alone, the other modes accuracy and saving by halves; 1 is a base that costs nothing.

    >>> act_score({"high": (0.8, 10_000), "medium": (0.76, 5_000), "low": (0.7, 2_500)}, (0.8, 10_000))
    0.845833...
    """
    accuracy, cost = base
    weights = {mode: 1.0 if mode == "high" else 0.5 for mode in modes}
    scores = [w * modes[m][0] / accuracy + (1 - w) * (1 - modes[m][1] / cost) for m, w in weights.items()]
    return sum(scores) / len(scores)


def report(run: Run) -> pl.DataFrame:
    """A line for each mode: how many traces, how many of them are kept, and how much of their thinking.

    kept: traces that are there at the end, children or as they were; keep_rate says how much of the answer
    the beginning of the thinking decides. thinking_ratio: the mean share of the parents' thinking that the
    kept children have, for those that were cut. leak_rate: the share of the new answers with words of
    thinking. reasons: why there is no child, and how often. A line without a mode has the traces whose call
    failed, which the next run asks again.
    """
    live = run.traces.with_columns(dropped_by=pl.lit(None, pl.String))
    rows = pl.concat([live, run.dropped], how="diagonal_relaxed")
    here = pl.col("dropped_by").eq_missing(STEP)
    failed = here & (pl.col("why") != REWRITTEN)
    mine = rows.filter(failed | ~here & pl.col(STEP).is_not_null())
    said = {f: pl.col(STEP).struct.field(f) for f in ("mode", "why", "tokens", "kept", "closed", "leaks")}
    said["why"] = pl.when(failed).then("why").otherwise(said["why"])
    flat = mine.select("dropped_by", **said).collect()
    return pl.DataFrame(
        [_line(mode[0], part) for mode, part in flat.sort("mode").group_by("mode", maintain_order=True)]
    )


def _line(mode: Any, rows: pl.DataFrame) -> dict[str, Any]:
    kept = rows.filter(pl.col("dropped_by").is_null())
    cut = kept.filter(pl.col("closed").not_())
    reasons = rows["why"].drop_nulls().str.split(":").list.first().value_counts(sort=True)
    return {
        "mode": mode,
        "traces": len(rows),
        "kept": len(kept),
        "keep_rate": len(kept) / len(rows),
        "cut": len(cut),
        "thinking_ratio": (cut["kept"] / cut["tokens"]).mean() if len(cut) else None,
        "leak_rate": (rows["leaks"].drop_nulls() > 0).mean(),
        "reasons": reasons.rename({"why": "reason"}).to_dicts(),
    }
