"""How good a model is on problems with known answers: samples, a verifier, and the metrics of both."""

from __future__ import annotations

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate.engines import engine
from curate.errors import InputError, UserError
from curate.metrics import Interval, mean, of_shares, pass_at_k
from curate.pipeline import Pipeline
from curate.read import Source, as_source, read
from curate.run import Run
from curate.sample import Sample
from curate.schema import PROBLEM, SAMPLED
from curate.step import Engine, Verifier
from curate.verifiers.math_equal import MathEqual
from curate.without_gold import check_golds_of


@dataclass(frozen=True)
class Evaluation:
    """What a model did on some problems, k samples each. Its repr is a table.

    accuracy: avg@k, the mean over problems of the share of right samples, among those that were judged;
    interval: 95 %, by resampling problems, or Wilson's where all have the same share. pass_at: {k: the chance
    that one of k samples is right}, over the problems with k judged samples. mean_tokens: written tokens a
    sample, None where nobody counted. truncated: the share of samples that ran into max_tokens. Neither right
    nor wrong, and in no share: abstained (samples that the verifier could not judge), failed (calls without
    an answer), unjudged (problems with no judged sample).
    """

    model: str
    k: int
    problems: int
    samples: int
    accuracy: float
    interval: Interval
    pass_at: dict[int, float]
    mean_tokens: float | None
    truncated: float
    abstained: int
    failed: int
    unjudged: int
    by_domain: pl.DataFrame

    def as_json(self) -> dict[str, Any]:
        """The same as plain JSON."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        pass_at = {str(k): v for k, v in self.pass_at.items()}
        return {
            **plain,
            "interval": list(self.interval),
            "pass_at": pass_at,
            "by_domain": self.by_domain.to_dicts(),
        }

    def __str__(self) -> str:
        low, high = self.interval
        tokens = "tokens unknown" if self.mean_tokens is None else f"{self.mean_tokens:,.0f} tokens a sample"
        lines = [
            f"{self.model}: {self.problems:,} problems, {self.samples:,} samples",
            f"  avg@{self.k}  {self.accuracy:6.1%}  [{low:.1%}, {high:.1%}]",
            *(f"  pass@{k}  {value:.1%}" for k, value in self.pass_at.items() if k > 1),
            f"  {tokens}, {self.truncated:.1%} truncated",
        ]
        if self.abstained or self.failed:
            lines.append(
                f"  not counted as wrong: {self.abstained:,} samples that the verifier could not judge and "
                f"{self.failed:,} failed calls; {self.unjudged:,} problems have no judged sample"
            )
        if len(self.by_domain) > 1:
            lines += [_line(d) for d in self.by_domain.to_dicts()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


@dataclass(frozen=True)
class Draw(Sample):
    """Sample, with a seed: another seed gives other samples of the same problems."""

    seed: int = 0


def evaluate(
    model: str | Path | Engine,
    problems: Source | str | Path | pl.DataFrame | pl.LazyFrame,
    *,
    out: str | Path | None = None,
    k: int = 1,
    temperature: float | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    verifier: Verifier | None = None,
    limit: int | None = None,
    ray: int | None = None,
) -> Evaluation:
    """Ask `model` every problem k times, and verify the answers.

    model: a checkpoint folder, an engine's name (`hf:PATH`), or an engine. problems: what `curate.read`
    takes; of a source that holds traces only the problems count, each once. out: the run's folder, whose
    answers are not asked again; a temporary one where it is None. temperature, max_tokens: None leaves them
    to the engine (temperature 1, up to the end of the context). seed: another seed draws other samples.
    verifier: who judges, math_equal where it is None. limit: only the first so many problems.
    ray: so many replicas of the model on a Ray cluster.
    """
    if k < 1:
        raise UserError(f"k={k} samples a problem cannot be evaluated; ask for 1 or more")
    teacher = _engine(model, temperature, max_tokens)
    source = as_source(problems)
    judge = verifier or MathEqual()
    draw = Draw(teacher, n=k, seed=seed)
    source = _problems_of(source if limit is None else source.head(limit), judge)
    pipeline = Pipeline(source, [draw, judge])
    if out is not None:
        return _evaluation(pipeline.run(out, ray=ray), draw, judge)
    with tempfile.TemporaryDirectory(prefix="curate-eval-") as folder:
        return _evaluation(pipeline.run(folder, ray=ray), draw, judge)


def _problems_of(source: Source, judge: Verifier) -> Source:
    """The problems of a source, nobody's traces of them; a problem that is there twice, once.

    InputError where the judge needs golds, and there are none.
    """
    with tempfile.TemporaryDirectory(prefix="curate-eval-") as folder:
        loaded = source.load(Path(folder))
        check_golds_of(judge, loaded.rows)
        rows = pl.read_parquet(loaded.rows, columns=list(PROBLEM))
    return read(rows.unique("problem_id", keep="first", maintain_order=True))


def _engine(model: str | Path | Engine, temperature: float | None, max_tokens: int | None) -> Engine:
    given = {"temperature": temperature, "max_tokens": max_tokens}
    options = {name: value for name, value in given.items() if value is not None}
    if isinstance(model, (str, Path)):
        return engine(f"hf:{model}" if Path(model).is_dir() else str(model), **options)
    if not options:
        return model
    if not dataclasses.is_dataclass(model) or not set(options) <= {f.name for f in dataclasses.fields(model)}:
        raise UserError(
            f"{model.model} has no field {next(iter(options))!r}; make the engine with it instead"
        )
    return dataclasses.replace(model, **options)


def _evaluation(run: Run, draw: Draw, judge: Verifier) -> Evaluation:
    ids = ["problem_id", "sample"]
    verdict = pl.col(judge.name).struct
    columns = [*ids, "domain", "finish", "output_tokens"]
    rows = run.traces.select(*columns, verdict.field("passed"), verdict.field("why")).collect()
    rows = rows.unique(ids, keep="first", maintain_order=True)
    is_failure = (pl.col("dropped_by") == draw.name) & (pl.col("why") != SAMPLED)
    failures = run.dropped.filter(is_failure).select(ids).unique().collect()
    problems = _problems(rows)
    if problems.is_empty():
        raise InputError(_nothing_judged(rows, failures, judge, run))
    measured = _measured(rows, draw.seed)
    asked = pl.concat([rows.select("problem_id"), failures.select("problem_id")]).n_unique()
    domains = [{"domain": d, **_measured(part, draw.seed)} for (d,), part in rows.group_by("domain")]
    by_domain = pl.DataFrame(sorted(domains, key=lambda d: (d["domain"] is None, d["domain"] or "")))
    low, high = measured.pop("low"), measured.pop("high")
    return Evaluation(
        model=draw.engine.model, k=draw.n, **{**measured, "problems": asked},
        interval=Interval(low, high), pass_at=_pass_at(problems, draw.n), failed=len(failures),
        unjudged=asked - len(problems), by_domain=by_domain,
    )  # fmt: skip


def _problems(rows: pl.DataFrame) -> pl.DataFrame:
    """Judged and right samples of every problem that has a judged one."""
    judged = pl.col("passed").count().cast(pl.Int64).alias("judged")
    right = pl.col("passed").sum().cast(pl.Int64).alias("right")
    return rows.group_by("problem_id", maintain_order=True).agg(judged, right).filter(pl.col("judged") > 0)


def _measured(rows: pl.DataFrame, seed: int) -> dict[str, Any]:
    problems = _problems(rows)
    shares = (problems["right"] / problems["judged"]).to_list()
    interval = of_shares(shares, seed=seed) if shares else (None, None)
    return {
        "problems": rows["problem_id"].n_unique(),
        "samples": len(rows),
        "accuracy": mean(shares) if shares else None,
        "low": interval[0],
        "high": interval[1],
        "mean_tokens": rows["output_tokens"].mean(),
        "truncated": (rows["finish"] == "length").sum() / len(rows),
        "abstained": rows["passed"].null_count(),
    }


def _pass_at(problems: pl.DataFrame, k: int) -> dict[int, float]:
    """pass@1, 2, 4, ... and k, each over the problems that have as many judged samples."""
    found = {}
    for i in sorted({2**e for e in range(k.bit_length())} | {k}):
        enough = problems.filter(pl.col("judged") >= i)
        values = [pass_at_k(n, c, i) for n, c in enough.select("judged", "right").rows()]
        if values:
            found[i] = mean(values)
    return found


def _nothing_judged(rows: pl.DataFrame, failures: pl.DataFrame, judge: Verifier, run: Run) -> str:
    if rows.is_empty():
        first = run.dropped.filter(pl.col("why") != SAMPLED).select("why").head(1).collect()
        why = first.item() if len(first) else "there was no problem"
        return f"no problem was answered ({len(failures):,} failed calls): {why}"
    why = rows["why"].mode().sort()[0]
    return (
        f"{judge.name} judged none of the {len(rows):,} samples, mostly for {why}; look at the column answer"
    )


def _line(domain: dict[str, Any]) -> str:
    name = "no domain" if domain["domain"] is None else domain["domain"]
    if domain["accuracy"] is None:
        return f"  {name:24s} {domain['problems']:>7,}  not judged"
    share = f"{domain['accuracy']:6.1%}  [{domain['low']:.1%}, {domain['high']:.1%}]"
    return f"  {name:24s} {domain['problems']:>7,}  {share}"
