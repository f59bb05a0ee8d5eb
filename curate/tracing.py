"""Where in a trace each origin stands, and whether the labels tell a teacher from one who never taught.

Two checks of `provenance` (arXiv:2512.20908, section 4 of arXiv:2601.09088): the position profile, and the
spurious teacher, whose share of sentences should be smaller than the real one's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from curate.errors import UserError
from curate.metrics import Interval, bootstrap, mean
from curate.scores.provenance import Provenance


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
    missing = [c for c in columns if c not in traces.collect_schema()]
    if missing:
        raise UserError(f"the traces have no column {missing[0]!r}; score them with sentence_logprob first")
    drops: dict[str, list[tuple[float, float]]] = {}
    for row in traces.select("problem_id", *columns).collect().iter_rows(named=True):
        shares = [_share(step, row) for step in (real, fake)]
        if None not in shares:
            drops.setdefault(row["problem_id"], []).append((shares[0], shares[1]))  # type: ignore[arg-type]
    if not drops:
        raise UserError("no trace is scored by all of the models; the check has nothing to compare")
    each = [tuple(mean([pair[i] for pair in pairs]) for i in (0, 1)) for pairs in drops.values()]
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
