"""A run folder: what was asked, every paid answer, live rows, dropped rows with reasons, and the ledger."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from curate import golds
from curate.budget import Budget, Prices
from curate.changed import warn_of_other_tables
from curate.errors import InputError, RunError, UserError
from curate.parts import count, disk_trouble_in_one_sentence, read_json, sink, whole, write_json
from curate.read import Loaded
from curate.record import is_recipe, served
from curate.schema import DROPPED, REWRITTEN, ROW, SAMPLED
from curate.site import Site, at_work, write_ledger
from curate.slices import NO_TRACE
from curate.stages import FUNNEL
from curate.step import Verifier
from curate.without_gold import warn_without_answers

if TYPE_CHECKING:
    from curate.pipeline import Pipeline
    from curate.publish import Publication

logger = logging.getLogger(__name__)
TABLES = ("live", "dropped", "ledger", "funnel", "golds")


@dataclass(frozen=True)
class Run:
    """A finished run, opened by its folder. Everything here is read from files; nothing is computed again."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if not (self.folder / "live.parquet").exists():
            more = "; run the pipeline into it first"
            if (self.folder / "begun.json").exists():
                more = (
                    ", but one that was begun: where it is no longer at work, the same run command goes on "
                    "with it, and asks nothing again that was answered"
                )
            raise InputError(f"{self.folder} holds no finished run (no live.parquet){more}")

    @property
    def traces(self) -> pl.LazyFrame:
        """The live rows."""
        return pl.scan_parquet(self.folder / "live.parquet")

    @property
    def dropped(self) -> pl.LazyFrame:
        """Every row that was set aside, with `dropped_by` and `why`."""
        return pl.scan_parquet(self.folder / "dropped.parquet")

    @property
    def ledger(self) -> pl.DataFrame:
        """What was asked and spent, a line for each step and engine."""
        return pl.read_parquet(self.folder / "ledger.parquet")

    @property
    def paid(self) -> pl.DataFrame:
        """The ledger of this recipe alone: the folder's holds what was spent under other settings, too."""
        mine = [step["fingerprint"] for step in self.recipe["steps"] if "fingerprint" in step]
        return self.ledger.filter(pl.col("fingerprint").is_in(mine))

    @property
    def recipe(self) -> dict[str, Any]:
        """recipe.json, parsed."""
        remedy = "run the pipeline into the folder again: that writes it anew, and costs nothing"
        found: dict[str, Any] = read_json(self.folder / "recipe.json", is_recipe, remedy)
        return found

    def funnel(self) -> Funnel:
        """Rows in, rows out and why, step by step."""
        return Funnel(pl.read_parquet(self.folder / "funnel.parquet"))

    def sql(self, query: str) -> pl.DataFrame:
        """DuckDB over this run: the tables are `live`, `dropped`, `ledger` and `funnel`.

        And `golds`, those that fail against themselves, where a verifier of the run says so of golds.
        """
        import duckdb

        names = [name for name in TABLES if (self.folder / f"{name}.parquet").exists()]
        with duckdb.connect(config={"python_enable_replacements": "false"}) as db:
            for name in names:
                path = str(self.folder / f"{name}.parquet").replace("'", "''")
                db.execute(f"create view {name} as select * from read_parquet('{path}')")
            try:
                if (found := db.sql(query)) is None:
                    raise UserError(f"SQL: {query!r} asks for no rows; begin with select")
                return found.pl().cast({pl.Decimal(38, 0): pl.Int64})  # a sum, to DuckDB
            except duckdb.Error as e:
                said = str(e).partition("\n\nLINE ")[0]  # what follows draws an arrow under the query
                tables = f" (the tables are {', '.join(names)})" if "Error: Table with name" in said else ""
                raise UserError(f"SQL: {' '.join(said.split())}{tables}") from None

    def publish(
        self,
        out: str | Path,
        *,
        form: Literal["messages", "prompt_completion"] = "messages",
        push_to: str | None = None,
        private: bool = False,
        dry_run: bool = False,
    ) -> Publication:
        """Write the live rows as a Hugging Face dataset, with a card made of recipe, funnel and ledger.

        A set that was published of this run before is replaced; one of another run is not: InputError.
        push_to: a name on the Hub to upload to as well; dry_run: write and upload nothing, say what would be.
        """
        from curate.publish import publish

        recipe = {"run": self.folder.resolve().name, **self.recipe}
        made_of = {"recipe": recipe, "funnel": self.funnel().table, "ledger": self.ledger}
        where = {"push_to": push_to, "private": private, "dry_run": dry_run}
        with disk_trouble_in_one_sentence(Path(out)):
            return publish(self.traces, Path(out), form=form, **made_of, **where)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return f"Run {self.folder}\n{self.funnel()}"

    def _repr_html_(self) -> str:
        return self.funnel()._repr_html_()


@dataclass(frozen=True)
class Funnel:
    """Rows in, rows out and why, step by step; printable, and a table."""

    table: pl.DataFrame

    def __str__(self) -> str:
        lines = [f"{'step':24s} {'rows in':>9s} {'born':>9s} {'dropped':>9s} {'rows out':>9s}  why"]
        for r in self.table.iter_rows(named=True):
            why = [f"{w['rows']:,} {w['why']}" for w in r["reasons"]]
            numbers = " ".join(f"{r[c]:>9,}" for c in ("rows_in", "born", "dropped", "rows_out"))
            lines.append(f"{r['step']:24s} {numbers}  {why[0] if why else ''}".rstrip())
            lines += [f"{'':66s}{w}" for w in why[1:]]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from curate.picture import funnel_html

        return funnel_html(self.table)


def execute(pipeline: Pipeline, out: Path, budget: Budget, price: Prices, ray: int | None) -> Run:
    """Run a pipeline into a folder. What the folder already knows is not asked again.

    Raises InputError for a column that nobody writes and for a folder of another recipe, UserError when
    another run writes here, EngineDown, RunError (a bug in a step, a broken invariant, a full disk),
    BudgetSpent, Interrupted.
    """
    with at_work(pipeline, out, budget, price, ray) as site:
        warn_of_other_tables(pipeline, out)
        loaded, walk = site.loaded, site.walk
        if not warn_without_answers(pipeline.steps, loaded.rows):
            judges = [s for s in pipeline.steps if isinstance(s, Verifier) and s.reflexive]
            golds.report(loaded.rows, loaded.revision, judges, out / "golds.parquet", walk.memory.pool)
        if loaded.unreadable is not None:
            walk.dropped.append(loaded.unreadable)
        rows = count(loaded.rows)
        reasons = _unread(loaded)
        line = ("read", "source", loaded.read, rows, 0, loaded.read - rows, reasons)
        walk.funnel.append(dict(zip(FUNNEL, line, strict=True)))
        for i, step in enumerate(pipeline.steps):
            walk.take(step, pipeline.steps[i + 1 :])
        walk.close()
        _finish(site)
        if not walk.funnel[-1]["rows_out"]:
            _warn_of_none_left(walk.funnel, out)
    return Run(out)


def _unread(loaded: Loaded) -> list[dict[str, Any]]:
    """Why rows of the input are not among the rows, and how many."""
    if loaded.unreadable is None:
        return []
    why = pl.when(pl.col("why") == NO_TRACE).then("why").otherwise(pl.lit("could not be read")).alias("why")
    return (
        pl.scan_parquet(loaded.unreadable).group_by(why).agg(rows=pl.len()).sort("why").collect().to_dicts()
    )


def _warn_of_none_left(funnel: Sequence[dict[str, Any]], out: Path) -> None:
    """Which step dropped most, where no row is left; what gave way to what was born of it does not count."""
    given_way = (SAMPLED, REWRITTEN)
    lost = [[reason for reason in line["reasons"] if reason["why"] not in given_way] for line in funnel]
    rows = [sum(reason["rows"] for reason in reasons) for reasons in lost]
    said, at = "", rows.index(max(rows))
    if rows[at]:
        why = max(lost[at], key=lambda reason: reason["rows"])["why"]
        of = funnel[at]["rows_out"] + rows[at]
        said = f": {funnel[at]['step']} dropped most, {rows[at]:,} of {of:,} rows, most often with {why!r}"
    logger.warning(f"no row is left{said}; see the funnel, or the rows with `curate look {out} --dropped`")


def probe(pipeline: Pipeline, out: Path, price: Prices) -> None:
    """Go the whole way for the ledger and the answers alone; the folder's tables stay as they are."""
    with at_work(pipeline, out, Budget(), price) as site:
        for step in pipeline.steps:
            site.walk.take(step)
        site.walk.close()
        write_ledger(site)
        shutil.rmtree(out / "scratch")


def _finish(site: Site) -> None:
    """Check the invariant, then put the tables in place."""
    out, walk, read = site.out, site.walk, site.loaded.read
    with whole(out / "dropped.parquet") as path:
        empty = pl.LazyFrame(schema={**ROW, **DROPPED})
        everything = [empty, *(pl.scan_parquet(p) for p in walk.dropped)]
        sink(pl.concat(everything, how="diagonal_relaxed"), path).collect()
        live, dropped = count(walk.source), count(path)
    born = sum(line["born"] for line in walk.funnel)
    if live + dropped != read + born:
        raise RunError(f"rows were lost: {live} live + {dropped} dropped is not {read} read + {born} born")
    with whole(out / "funnel.parquet") as path:
        pl.DataFrame(walk.funnel, schema=FUNNEL, orient="row").write_parquet(path)
    write_ledger(site)
    said = served(out)
    write_json(out / "recipe.json", {**site.asked, "served": said} if said else site.asked)
    with whole(out / "live.parquet") as path:
        shutil.move(walk.source, path) if walk.number else shutil.copy(walk.source, path)
    shutil.rmtree(out / "scratch")
