"""A run folder at work: one process writes to it, its journal is open, and what it has cost is known."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from errno import EACCES, ENOTDIR
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import polars as pl

from curate.budget import Budget, Price, Prices, prices
from curate.cluster import Cluster
from curate.columns import schema_after
from curate.doors import Doors
from curate.errors import CurateError, InputError, Interrupted, UserError
from curate.identity import engines, model_name
from curate.inputs import files_of
from curate.journal import Journal, damage
from curate.parts import disk_trouble, disk_trouble_in_one_sentence, whole, write_json
from curate.pool import Pool
from curate.read import Loaded
from curate.record import begun_as, check_recipe, recipe
from curate.remember import GO_ON, Memory
from curate.stages import Walk
from curate.step import Step
from curate.without_gold import check_answers

if TYPE_CHECKING:
    from curate.pipeline import Pipeline

logger = logging.getLogger(__name__)
MADE = {
    *("answers", "scratch", "lock", "journal.sqlite", "begun.json", "recipe.json", "served.json"),
    *(f"{table}.parquet" for table in ("live", "dropped", "funnel", "ledger", "golds")),
}  # by a run, in its folder


class Site(NamedTuple):
    """A run folder at work: locked, its source read, its journal open."""

    out: Path
    asked: dict[str, Any]  # the recipe
    loaded: Loaded
    journal: Journal
    walk: Walk


@contextmanager
def at_work(
    pipeline: Pipeline, out: Path, budget: Budget, price: Prices, ray: int | None = None
) -> Iterator[Site]:
    """Open the folder; where the run stops, the ledger still says what was spent.

    ray: rows are worked on by so many hosts of a Ray cluster; None: by processes of this machine.
    """
    schema_after(pipeline.steps)
    said = said_prices(pipeline, price)
    with ExitStack() as stack:
        stack.enter_context(disk_trouble_in_one_sentence(out))
        _make(out)
        stack.enter_context(_alone(out))
        check_recipe(pipeline, out)

        @cache
        def workers() -> Pool:
            return stack.enter_context(Pool())

        @cache
        def cluster() -> Cluster:
            return stack.enter_context(Cluster(ray or 0))

        def pool() -> Pool | Cluster:
            return workers() if ray is None else cluster()

        shutil.rmtree(out / "scratch", ignore_errors=True)
        (out / "scratch").mkdir()
        journal = open_journal(out)
        stack.callback(journal.close)
        _count_spending(pipeline, journal, budget, said)
        loaded = pipeline.problems.load(out / "scratch", None if ray is None else cluster)
        check_answers(pipeline.steps, loaded.rows)  # before the folder is bound to this source
        asked = recipe(pipeline, loaded.revision)
        asked["begun_as"] = begun_as(out, asked)
        write_json(out / "begun.json", {**asked, "files": files_of(pipeline)})
        doors = stack.enter_context(Doors(pipeline.steps))
        memory = Memory(out, out / "scratch", journal, pool, workers, budget, doors)
        site = Site(out, asked, loaded, journal, Walk(memory, loaded.rows, pl.scan_parquet(loaded.rows)))
        try:
            yield site
        except KeyboardInterrupt:  # between two doors; one that is at work says where it was
            write_ledger(site)
            raise Interrupted(f"stopped; {GO_ON}") from None
        except CurateError:
            write_ledger(site)
            raise


def said_prices(pipeline: Pipeline, price: Prices) -> dict[str, Price]:
    """The price of each model that this pipeline asks, as far as it is said here."""
    steps = [s for s in pipeline.steps if isinstance(s, Step)]
    return prices(price, {model_name(e) for s in steps for e in engines(s).values()})


def _count_spending(pipeline: Pipeline, journal: Journal, budget: Budget, said: dict[str, Price]) -> None:
    budget.prices = journal.prices(said)
    if budget.usd is not None:
        for step in pipeline.steps:
            for engine in engines(step).values() if isinstance(step, Step) else ():
                if model_name(engine) not in budget.prices:
                    raise UserError(
                        f"budget_usd needs the price of {model_name(engine)!r}: price=(in, out), or "
                        "--price-in and --price-out, in USD per million tokens"
                    )
    spent = journal.ledger()
    budget.spent_tokens = int((spent["prompt_tokens"] + spent["output_tokens"]).sum())
    budget.spent_usd = float(spent["usd"].sum())


def write_ledger(site: Site) -> None:
    """What was asked and spent so far, over all runs on the folder."""
    with whole(site.out / "ledger.parquet") as path:
        site.journal.ledger().write_parquet(path)


def _make(out: Path) -> None:
    check_folder(out)
    with _one_that_can_be_made(out):
        (out / "answers").mkdir(parents=True, exist_ok=True)


def check_folder(out: Path) -> None:
    """The folder is a run's, or empty, or not there yet, and can be added to. Nothing is made or written."""
    with _one_that_can_be_made(out):
        _check_ours(out)
        there = next(path for path in (out, *out.absolute().parents) if path.exists())
        if not there.is_dir():
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR))
        if not out.exists() and not os.access(there, os.W_OK):
            raise PermissionError(EACCES, os.strerror(EACCES))
        parts = [*(out / "answers").iterdir()] if (out / "answers").exists() else []
    for folder in (out, out / "answers", *parts):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise InputError(
                f"{folder} cannot be written to, and what a run pays for is kept there; make it writable, or "
                "choose another folder"
            )


@contextmanager
def _one_that_can_be_made(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as e:
        if disk_trouble(e, out).startswith("the disk"):
            raise
        raise InputError(f"the run folder {out} cannot be made: {e.strerror}; choose another") from None


def _check_ours(out: Path) -> None:
    """Raise InputError for a folder of somebody else's files; beside those of a run, others may lie."""
    found = {path.name for path in out.iterdir() if path.name[0] != "."} if out.is_dir() else set()
    strange = sorted(found - MADE)
    if strange and not found & {"begun.json", "journal.sqlite"}:
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise InputError(
            f"{out} is no run folder, and it is not empty: it holds {', '.join(strange[:3])}{more}; choose "
            f"another folder, or a new one in it: {out / 'run'}"
        )


def open_journal(out: Path) -> Journal:
    """The folder's journal. A damaged one is set aside with a warning; its ledger is the last table's."""
    path, table = out / "journal.sqlite", out / "ledger.parquet"
    if not (words := damage(path)):
        return Journal(path)
    for suffix in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(f"{path.name}.damaged{suffix}"))
    logger.warning(
        "%s is damaged (%s) and set aside as .damaged; calls of unfinished rows are asked again, and the "
        "ledger goes on from where %s stands",
        *(path, words, table if table.exists() else "nothing"),
    )
    journal = Journal(path)
    if table.exists():
        journal.restore(pl.read_parquet(table))
    return journal


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
