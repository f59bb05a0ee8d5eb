"""A run folder: what was asked, every paid answer, live rows, dropped rows with reasons, and the ledger."""

from __future__ import annotations

import fcntl
import inspect
import json
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

import polars as pl

import curate
from curate import golds
from curate.columns import schema_after, step_name
from curate.errors import InputError, RunError, UserError
from curate.journal import Journal
from curate.parts import count, full_disk_in_one_sentence, is_full, sink, whole, write_json
from curate.pool import Pool
from curate.remember import Memory
from curate.schema import DROPPED, ROW, content_hash
from curate.stages import FUNNEL, Walk
from curate.step import Step, Verifier, describe

if TYPE_CHECKING:
    from curate.pipeline import Pipeline
    from curate.publish import Publication

PACKAGES = ("torch", "transformers", "datasets", "polars", "duckdb", "math-verify", "sympy", "vllm")


@dataclass(frozen=True)
class Run:
    """A finished run, opened by its folder. Everything here is read from files; nothing is computed again."""

    folder: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))
        if not (self.folder / "live.parquet").exists():
            raise InputError(
                f"{self.folder} holds no finished run (no live.parquet); run the pipeline into it first"
            )

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
    def recipe(self) -> dict[str, Any]:
        """recipe.json, parsed."""
        found: dict[str, Any] = json.loads((self.folder / "recipe.json").read_text(encoding="utf-8"))
        return found

    def funnel(self) -> Funnel:
        """Rows in, rows out and why, step by step."""
        return Funnel(pl.read_parquet(self.folder / "funnel.parquet"))

    def sql(self, query: str) -> pl.DataFrame:
        """DuckDB over this run: the tables are `live`, `dropped`, `ledger` and `funnel`."""
        import duckdb

        with duckdb.connect() as db:
            for name in ("live", "dropped", "ledger", "funnel"):
                path = str(self.folder / f"{name}.parquet").replace("'", "''")
                db.execute(f"create view {name} as select * from read_parquet('{path}')")
            try:
                return db.sql(query).pl()
            except duckdb.Error as e:
                said = str(e).split("\n")[0]
                raise UserError(f"SQL: {said}") from None

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

        push_to: a name on the Hub to upload to as well; dry_run: write and upload nothing, say what would be.
        """
        from curate.publish import publish

        made_of = {"recipe": self.recipe, "funnel": self.funnel().table, "ledger": self.ledger}
        where = {"push_to": push_to, "private": private, "dry_run": dry_run}
        with full_disk_in_one_sentence(Path(out)):
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


def execute(pipeline: Pipeline, out: Path) -> Run:
    """Run a pipeline into a folder. What the folder already knows is not asked again.

    Raises InputError for a column that nobody writes and for a folder of another recipe, UserError when
    another run writes here, EngineDown, RunError (a bug in a step, a broken invariant, a full disk),
    Interrupted.
    """
    schema_after(pipeline.steps)
    with ExitStack() as stack:
        stack.enter_context(full_disk_in_one_sentence(out))
        _make(out)
        stack.enter_context(_alone(out))
        _check_recipe(pipeline, out)
        pool = cache(lambda: stack.enter_context(Pool()))
        shutil.rmtree(out / "scratch", ignore_errors=True)
        (out / "scratch").mkdir()
        journal = Journal(out / "journal.sqlite")
        stack.callback(journal.close)
        loaded = pipeline.problems.load(out / "scratch")
        asked = recipe(pipeline, loaded.revision)
        write_json(out / "begun.json", asked)
        judges = [s for s in pipeline.steps if isinstance(s, Verifier) and s.reflexive]
        golds.report(loaded.rows, loaded.revision, judges, out / "golds.parquet", pool)
        walk = Walk(Memory(out, out / "scratch", journal, pool), loaded.rows, pl.scan_parquet(loaded.rows))
        if loaded.unreadable is not None:
            walk.dropped.append(loaded.unreadable)
        rows = count(loaded.rows)
        reasons = [{"why": "could not be read", "rows": loaded.read - rows}] if loaded.read > rows else []
        line = ("read", "source", loaded.read, rows, 0, loaded.read - rows, reasons)
        walk.funnel.append(dict(zip(FUNNEL, line, strict=True)))
        for step in pipeline.steps:
            walk.take(step)
        walk.close()
        _finish(out, walk, journal, loaded.read, asked)
    return Run(out)


def _finish(out: Path, walk: Walk, journal: Journal, read: int, asked: dict[str, Any]) -> None:
    """Check the invariant, then put the tables in place."""
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
    with whole(out / "ledger.parquet") as path:
        journal.ledger().write_parquet(path)
    write_json(out / "recipe.json", asked)
    with whole(out / "live.parquet") as path:
        shutil.move(walk.source, path) if walk.number else shutil.copy(walk.source, path)
    shutil.rmtree(out / "scratch")


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        if is_full(e):
            raise
        raise InputError(f"the run folder {out} cannot be made: {e.strerror}; choose another") from None


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Only one process writes to a run folder; the lock dies with the process."""
    lock: IO[str] = open(out / "lock", "a+")  # noqa: SIM115 - held open as long as the lock
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise UserError(
                f"another run (process {lock.read().strip() or 'unknown'}) is writing to {out}; "
                "wait for it, or choose another folder"
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


def recipe(pipeline: Pipeline, revision: str) -> dict[str, Any]:
    """All that is needed to ask the same again: source, steps with fields and fingerprints, versions."""
    return {
        "curate": curate.__version__,
        "source": pipeline.problems.describe(),
        "revision": revision,
        "steps": [_recorded(step) for step in pipeline.steps],
        "packages": {"python": platform.python_version(), **dict(_versions())},
    }


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def _recorded(step: Any) -> dict[str, Any]:
    if isinstance(step, Step):
        return {**describe(step), "fingerprint": step.fingerprint}
    try:
        source = inspect.getsource(step).strip()
    except (OSError, TypeError):
        source = "not available"
    return {"function": step_name(step), "source": source}


def _check_recipe(pipeline: Pipeline, out: Path) -> None:
    """A folder goes on with its own recipe: fields and steps may change, the source may not."""
    path = out / "begun.json"
    if not path.exists():
        return
    begun = json.loads(path.read_text(encoding="utf-8"))
    was, names = begun["source"], {s.get("step", s.get("function")) for s in begun["steps"]}
    if names and pipeline.steps and not names & {step_name(s) for s in pipeline.steps}:
        raise InputError(
            f"{out} belongs to another recipe: none of its steps ({', '.join(sorted(names))}) is here; "
            "choose another folder"
        )
    now = pipeline.problems.describe()
    if _same_source(was) != _same_source(now):
        raise InputError(
            f"{out} belongs to another recipe: it was read from {_short(was)}, this one reads {_short(now)}; "
            "choose another folder"
        )


def _same_source(source: dict[str, Any]) -> str:
    """What two runs on one folder must share: inputs, wherever one stands when naming them, and columns."""
    names = [
        str(Path(s).resolve()) if isinstance(s, str) and Path(s).exists() else s for s in source["source"]
    ]
    rest = {k: v for k, v in source.items() if k not in ("problems", "source", "bad_rows")}
    return content_hash(names, rest)


def _short(source: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v}" for k, v in source.items() if v)
