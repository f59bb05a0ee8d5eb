"""Where in a trace each origin stands, whether the labels tell who taught, and what the threshold decides.

Three checks of `provenance` (arXiv:2512.20908, section 4 of arXiv:2601.09088): the position profile; the
spurious teacher, whose share of sentences should be smaller than the real one's; and other thresholds, under
which the same traces of a problem should have the most sentences of the teacher.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import polars as pl

from curate.errors import UserError, need
from curate.metrics import Interval, bootstrap, mean
from curate.scores.provenance import Provenance

SCORED = (
    "put TokenLogprobs and SentenceLogprob of both models, then Provenance(), into the pipeline, as in "
    "docs/scores.md"
)


def position_profile(
    traces: pl.LazyFrame,
    *,
    verdict: str = "math_equal",
    field: Literal["thinking", "response"] = "thinking",
    at_least: int = 30,
) -> pl.DataFrame:
    """Of the j-th sentences of right and of wrong traces, the share with each label.

    Columns: position (from 0), label, right and wrong (shares, 0 to 1), n_right and n_wrong (scored sentences
    at this position). A position has a line for every label, unless one of the two has fewer than at_least
    sentences there. Unscored sentences, and traces without a verdict, do not count.
    """
    need(traces.collect_schema(), ["provenance"], SCORED)
    need(traces.collect_schema(), [verdict], "put the verifier of this name into the pipeline")
    rows = traces.select(passed=pl.col(verdict).struct.field("passed"), span="provenance")
    spans = rows.filter(pl.col("passed").is_not_null()).with_row_index("trace").explode("span").unnest("span")
    spans = spans.filter(pl.col("field") == field)
    spans = spans.with_columns(position=pl.int_range(pl.len()).over("trace", order_by="start"))
    known = spans.filter(pl.col("label") != "unscored").collect()
    count = known.group_by("position").agg(
        n_right=pl.col("passed").sum(), n_wrong=pl.col("passed").not_().sum()
    )
    enough = count.filter((pl.col("n_right") >= at_least) & (pl.col("n_wrong") >= at_least))
    labels = known.select(pl.col("label").unique().sort())
    found = known.group_by("position", "label").agg(
        right=pl.col("passed").sum(), wrong=pl.col("passed").not_().sum()
    )
    table = enough.join(labels, how="cross").join(found, on=["position", "label"], how="left")
    return table.sort("position", "label").select(
        "position",
        "label",
        right=pl.col("right").fill_null(0) / pl.col("n_right"),
        wrong=pl.col("wrong").fill_null(0) / pl.col("n_wrong"),
        n_right=pl.col("n_right").cast(pl.Int64),
        n_wrong=pl.col("n_wrong").cast(pl.Int64),
    )


def influence(profile: pl.DataFrame) -> pl.DataFrame:
    """The signed area between a label's two curves; above 0 where right traces have more. A line a label."""
    area = (pl.col("right") - pl.col("wrong")).mean()
    return profile.group_by("label").agg(influence=area).sort("label")


@dataclass(frozen=True)
class SpuriousTeacher:
    """real, spurious: the mean share of scored sentences labelled teacher, over problems, 0 to 1; drop: real
    minus spurious, with its 95 % interval over problems. separates: the interval lies above 0."""

    real: float
    spurious: float
    drop: float
    interval: Interval
    problems: int

    @property
    def separates(self) -> bool:
        return self.interval.low > 0

    def __str__(self) -> str:
        low, high = self.interval
        words = "the labels tell them apart" if self.separates else "the labels do not tell them apart"
        return (
            f"teacher {self.real:.1%}, spurious teacher {self.spurious:.1%} of the sentences; "
            f"drop {self.drop:.1%} [{low:.1%}, {high:.1%}] over {self.problems:,} problems: {words}"
        )

    __repr__ = __str__


def spurious_teacher(
    traces: pl.LazyFrame, *, spurious: str, provenance: Provenance | None = None, seed: int = 0
) -> SpuriousTeacher:
    """Label each trace twice, with the teacher and with a model that taught nobody; compare the shares.

    spurious: the name under which `sentence_logprob` wrote that model's `{spurious}_sentences`. provenance:
    the models and thresholds of the labels that are checked; Provenance() unless given. Traces that one of
    the models has not scored do not count.
    """
    real = provenance or Provenance()
    fake = replace(real, teacher=spurious)
    columns = dict.fromkeys((*real.columns, *fake.columns))
    need(traces.collect_schema(), columns, "score them with sentence_logprob first")
    drops: dict[str, list[tuple[float, float]]] = {}
    for row in traces.select("problem_id", *columns).collect().iter_rows(named=True):
        shares = [_share(step, row) for step in (real, fake)]
        if None not in shares:
            drops.setdefault(row["problem_id"], []).append((shares[0], shares[1]))  # type: ignore[arg-type]
    if not drops:
        raise UserError("no trace is scored by all of the models; the check has nothing to compare")
    ordered = [pairs for _, pairs in sorted(drops.items())]  # the bootstrap draws by place
    each = [tuple(mean(sorted(pair[i] for pair in pairs)) for i in (0, 1)) for pairs in ordered]
    apart = [a - b for a, b in each]
    return SpuriousTeacher(
        real=mean([a for a, _ in each]),
        spurious=mean([b for _, b in each]),
        drop=mean(apart),
        interval=bootstrap(apart, seed=seed),
        problems=len(each),
    )


def _share(step: Provenance, row: dict[str, object]) -> float | None:
    """The share of the scored sentences of one trace that this teacher gets."""
    labels = [s["label"] for s in step.row(row)["provenance"] or ()]
    known = [label for label in labels if label != "unscored"]
    return known.count("teacher") / len(known) if known else None


def threshold_sweep(
    traces: pl.LazyFrame,
    *,
    betas: Sequence[float] = (0.05, 0.1, 0.15, 0.2),
    like: float = 0.1,
    field: Literal["thinking", "response"] = "thinking",
) -> pl.DataFrame:
    """What another beta would call the teacher's, from `provenance` alone; no model is asked. A line a beta.

    Columns: beta; teacher, the number of sentences; share, of the scored ones, 0 to 1; variance, of the count
    among the traces of a problem, the mean over problems; tau, Kendall's tau-b between the counts at this
    beta and at `like`, the mean over problems in which both vary, -1 to 1, null where there are none. What
    three models share (`distilled`) stays shared at every beta, as alpha stays. traces: all candidates of a
    problem, so those that a selection has set aside as well.
    """
    need(traces.collect_schema(), ["provenance"], SCORED)
    span = pl.element().struct
    inside = span.field("field") == field
    known = inside & span.field("value").is_not_null()
    apart = inside & span.field("label").ne_missing("shared")
    counts = {str(b): apart & (span.field("value").round(12) > b) for b in (*betas, like)}
    rows = traces.filter(pl.col("provenance").is_not_null()).select(
        "problem_id",
        **{
            name: pl.col("provenance").list.eval(found.sum()).list.first().fill_null(0).cast(pl.Int64)
            for name, found in {"known": known, **counts}.items()
        },
    )
    table = rows.collect()
    total, lines = table["known"].sum(), []
    problems = [part for part in table.partition_by("problem_id") if len(part) > 1]
    for beta in betas:
        found, name = int(table[str(beta)].sum()), str(beta)
        spread = [float(part[name].var()) for part in problems]  # type: ignore[arg-type]
        taus = [kendall(part[name].to_list(), part[str(like)].to_list()) for part in problems]
        both = [tau for tau in taus if tau is not None]
        share, variance = found / total if total else None, mean(spread) if spread else None
        lines.append((beta, found, share, variance, mean(both) if both else None))
    kinds = dict.fromkeys(("share", "variance", "tau"), pl.Float64)
    return pl.DataFrame(lines, schema={"beta": pl.Float64, "teacher": pl.Int64, **kinds}, orient="row")


def kendall(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Kendall's tau-b of two lists of equal length, -1 to 1; None where one of them does not vary."""
    pairs = [(a[0] - b[0], a[1] - b[1]) for a, b in combinations(zip(one, other, strict=True), 2)]
    same = sum((x * y > 0) - (x * y < 0) for x, y in pairs)
    vary = sum(x != 0 for x, _ in pairs) * sum(y != 0 for _, y in pairs)
    return same / vary**0.5 if vary else None
