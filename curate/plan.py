"""What a run would do and cost, printed before anything is spent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curate.bought import ledger, unfinished
from curate.budget import Prices
from curate.columns import is_door, role, schema_after, step_name
from curate.errors import UserError
from curate.estimate import Kept, estimate
from curate.journal import Journal
from curate.parts import count
from curate.pool import Pool
from curate.record import check_recipe
from curate.remember import Memory
from curate.sample import Sample
from curate.schema import ROW
from curate.site import check_folder, said_prices
from curate.stages import Walk
from curate.step import Step
from curate.without_gold import check_answers, warn_without_answers

if TYPE_CHECKING:
    from curate.pipeline import Pipeline


@dataclass(frozen=True)
class PlannedStep:
    """One step of a plan. Counts are null where they depend on answers that nobody has yet.

    rows: rows that arrive, an upper bound where `at_most`; known, new: answers; tokens, seconds, usd: what
    the new ones will cost, from the ledger of earlier runs on this folder, null where it has none; usd also
    where nobody has said a price. What only works on the processor has no tokens even then.
    """

    name: str
    role: str
    columns: tuple[str, ...]
    rows: int
    at_most: bool
    known: int | None = None
    new: int | None = None
    tokens: int | None = None
    seconds: float | None = None
    usd: float | None = None


@dataclass(frozen=True)
class Plan:
    """The steps of a pipeline with what each would ask. Its repr is a table."""

    read: int
    steps: tuple[PlannedStep, ...]

    @property
    def cost(self) -> dict[str, float | None]:
        """tokens, seconds and usd of the whole plan; null where a step that asks something has none."""
        found: dict[str, float | None] = {}
        for name in ("tokens", "seconds", "usd"):
            costs = [getattr(s, name) for s in self.steps if s.new and (name != "usd" or s.tokens != 0)]
            found[name] = None if None in costs else sum(costs)
        return found

    def sizes(
        self, problems: Sequence[int], tokens_per_second: float, replicas: Sequence[int] = (1, 8)
    ) -> pl.DataFrame:
        """What so many problems like these would cost: tokens, and hours where so many replicas are busy.

        tokens_per_second: of one replica, tokens in and out together, as a ledger or a benchmark says. Known
        answers count: other problems have none. Only what models do: no processor time, no start, no tail.
        """
        check_speed(tokens_per_second)
        _check_numbers("problems", problems, "whole numbers in a list, like [1_000, 100_000]", Integral)
        _check_numbers("replicas", replicas, "whole numbers in a list, like (1, 8)", Integral)
        asks = [s for s in self.steps if s.new is not None]
        if any(s.tokens is None or not s.new for s in asks) or not asks:
            raise UserError(
                "a plan without an answer that is known and one that is new has no cost to scale; let it "
                "probe: plan(out, probe=5), or --out DIR --probe 5"
            )
        each = (
            sum(s.tokens / s.new * (s.new + (s.known or 0)) for s in asks if s.tokens and s.new) / self.read
        )
        table = pl.DataFrame({"problems": problems}).with_columns(
            tokens=(pl.col("problems") * each).round().cast(pl.Int64)
        )
        hours = [(pl.col("tokens") / tokens_per_second / n / 3600).alias(f"hours on {n}") for n in replicas]
        return table.with_columns(hours)

    def as_json(self) -> dict[str, Any]:
        """The plan as plain JSON."""
        steps = [vars(s) | {"columns": list(s.columns)} for s in self.steps]
        return {"read": self.read, "steps": steps, "cost": self.cost}

    def __str__(self) -> str:
        priced = any(s.usd is not None for s in self.steps)
        line = "{:>2s}  {:24s} {:9s} {:>10s} {:>10s} {:>10s} {:>12s} {:>9s}" + (" {:>9s}" if priced else "")
        head = line.format("", "step", "role", "rows", "known", "new", "tokens", "time", "USD")
        lines = [f"{self.read:,} rows read", head]
        for i, s in enumerate(self.steps, 1):
            rows = ("≤ " if s.at_most else "") + f"{s.rows:,}"
            known, new = _number(s.known), _number(s.new)
            if s.new is not None and s.at_most:
                new = "≤ " + new
            cost = _words(s.tokens, s.seconds, s.usd if s.tokens != 0 else 0.0) if s.new else ("", "", "")
            lines.append(line.format(str(i), s.name, s.role, rows, known, new, *cost))
            if s.columns:
                lines.append(f"      + {', '.join(s.columns)}")
        if any(s.new and (s.tokens or s.seconds is not None) for s in self.steps):
            lines.append(line.format("", "in all", "", "", *self._answers, *_words(**self.cost)))
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def _answers(self) -> tuple[str, str]:
        """How many are known, and how many new, in all; what hangs on answers to come is a bound."""
        asks = [s for s in self.steps if s.new is not None]
        known = f"{'≥ ' * any(s.known is None for s in asks)}{sum(s.known or 0 for s in asks):,}"
        return known, f"{'≤ ' * any(s.new and s.at_most for s in asks)}{sum(s.new or 0 for s in asks):,}"

    def _repr_html_(self) -> str:
        from curate.picture import plan_html

        return plan_html(self.as_json())


def check_speed(tokens_per_second: float) -> None:
    """Of a replica: a number above 0."""
    _check_numbers("tokens_per_second", [tokens_per_second], "a number above 0, like 2500", Real)


def _check_numbers(name: str, said: Any, wanted: str, kind: type) -> None:
    good = isinstance(said, Iterable) and all(
        isinstance(n, kind) and not isinstance(n, bool) and n > 0  # type: ignore[operator]
        for n in said
    )
    if not good:
        shown = said[0] if name == "tokens_per_second" else said
        raise UserError(f"{name}={shown!r} gives no size; say {wanted}")


def _number(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _words(tokens: float | None, seconds: float | None, usd: float | None) -> tuple[str, str, str]:
    return (
        "?" if tokens is None else f"~{tokens:,.0f}",
        "?" if seconds is None else f"~{seconds:,.0f} s",
        "?" if usd is None else f"~{usd:,.2f}" if usd >= 0.01 or not usd else f"~{usd:.2g}",
    )


def make_plan(pipeline: Pipeline, out: Path, price: Prices = None) -> Plan:
    """Walk as far as the known answers reach, and bound the rest from above; nothing is added to `out`.

    A folder that a run would refuse is refused here; not one in which a run is at work.
    """
    added = _added_columns(pipeline)
    check_folder(out)
    check_recipe(pipeline, out)
    paid, prices = ledger(out), said_prices(pipeline, price)
    with (
        tempfile.TemporaryDirectory(prefix="curate-plan-") as folder,
        closing(Journal(Path(folder) / "journal.sqlite")) as journal,
    ):
        loaded = pipeline.problems.load(Path(folder))
        check_answers(pipeline.steps, loaded.rows)
        warn_without_answers(pipeline.steps, loaded.rows)
        # a door opens only where nothing is new, so no pool is ever started
        memory = Memory(out, Path(folder), journal, Pool, Pool, looks=True)
        walk = Walk(memory, loaded.rows, pl.scan_parquet(loaded.rows))
        steps, rows, certain = [], count(loaded.rows), True
        for step, columns in zip(pipeline.steps, added, strict=True):
            cost: dict[str, Any] = {}
            at_most = not certain
            if is_door(step) and isinstance(step, Step):
                if certain:
                    cost, kept = _answers(walk, step)
                    certain = cost["new"] == kept.rows == 0
                else:
                    cost = {"known": None, "new": rows * (step.asks if isinstance(step, Sample) else 1)}
                    kept = Kept()
                cost |= estimate(paid, step, cost["new"], prices, kept)
                if certain:
                    walk.door(step)
            elif certain:
                walk.take(step)
            steps.append(PlannedStep(step_name(step), role(step), columns, rows, at_most, **cost))
            if certain:
                rows = walk.close()
            elif isinstance(step, Sample):
                rows *= step.most
        return Plan(loaded.read, tuple(steps))


def _answers(walk: Walk, step: Step) -> tuple[dict[str, Any], Kept]:
    """How many answers are known and new, where rows reach the door; those that one call makes are known
    once it is kept, and of the others what their calls have cost is known."""
    keyed, folder = walk.key(step), walk.memory.folder
    todo = walk.memory.todo(step, keyed)
    kept = Kept()
    if calls := unfinished(folder, step.name):
        tokens = [calls[key] for key in pl.read_parquet(todo, columns=["key"])["key"] if key in calls]
        one_call = isinstance(step, Sample) and type(step).ask is Sample.ask
        kept = Kept(rows=len(tokens)) if one_call else Kept(begun=sum(tokens))
    new = count(todo) - kept.rows
    return {"known": count(keyed) - new, "new": new}, kept


def _added_columns(pipeline: Pipeline) -> list[tuple[str, ...]]:
    before: set[str] = set(ROW)
    out = []
    for schema in schema_after(pipeline.steps):
        out.append(tuple(c for c in schema if c not in before))
        before = set(schema)
    return out
