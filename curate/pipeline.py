"""A source and a list of steps: inert, printable, and the same every time it is asked."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from curate.budget import Budget, Prices
from curate.columns import Function, role, schema_after, step_name
from curate.errors import InputError, UserError
from curate.plan import Plan, make_plan
from curate.read import Source, as_source
from curate.step import Step

if TYPE_CHECKING:
    from curate.run import Run


@dataclass(frozen=True)
class Pipeline:
    """`problems` (a Source, or what `curate.read` takes) through `steps`, in order. Building it touches no
    data.

    A step is a Step, or any function LazyFrame → LazyFrame that neither adds nor loses rows.
    """

    problems: Source
    steps: Sequence[Step | Function] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        object.__setattr__(self, "problems", as_source(self.problems))
        if isinstance(self.steps, Step):
            raise InputError(
                f"the steps of a pipeline are a list, not one {self.steps!r}; write [{self.steps!r}]"
            )
        object.__setattr__(self, "steps", tuple(self.steps))
        for step in self.steps:
            if isinstance(step, type) or not (isinstance(step, Step) or callable(step)):
                raise InputError(
                    f"{step!r} is not a step: give an instance of a Step, like MathEqual(), or a function "
                    "LazyFrame → LazyFrame"
                )

    def head(self, n: int) -> Pipeline:
        """The same steps over the first n problems."""
        return Pipeline(self.problems.head(n), self.steps)

    def schemas(self) -> list[dict[str, pl.DataType]]:
        """The columns after each step. Raises InputError for a column that nobody writes."""
        return schema_after(self.steps)

    def plan(self, out: str | Path | None = None, *, price: Prices = None, probe: int | None = None) -> Plan:
        """Steps, columns, and for each paying step how many answers are known and what the new ones cost.

        `out` is the run folder whose answers and ledger count; without it nothing is known. Reads the source;
        spends nothing, unless it is told to `probe`: then so many problems go the whole way first, at full
        price. Their answers stay in `out`, so that the run does not ask them again.
        price: USD per million tokens in and out, (in, out) or {model: (in, out)}.
        """
        if probe is not None:
            if out is None or probe < 1:
                raise UserError(
                    f"probe={probe} needs a run folder (out) to keep its answers in, and 1 problem or more"
                )
            from curate.run import probe as ask_some

            ask_some(self.head(probe), Path(out), price)
        if out is not None:
            return make_plan(self, Path(out), price)
        with tempfile.TemporaryDirectory(prefix="curate-plan-") as folder:
            return make_plan(self, Path(folder), price)

    def run(
        self,
        out: str | Path,
        *,
        price: Prices = None,
        budget_tokens: int | None = None,
        budget_usd: float | None = None,
        ray: int | None = None,
    ) -> Run:
        """Go the whole way, into the folder `out`; run it again after a crash, and it goes on.

        A budget is of the folder, earlier runs included; once it is spent, the calls in flight finish and the
        run stops with BudgetSpent. price: USD per million tokens in and out, (in, out) or
        {model: (in, out)}; the folder remembers it. ray: so many replicas of each model, and so many
        hosts for the rows, on the Ray cluster that RAY_ADDRESS names, else on one that is started here.
        """
        from curate.run import execute

        run = self if ray is None else self._on_cluster(ray)
        return execute(run, Path(out), Budget(budget_tokens, budget_usd), price, ray)

    def _on_cluster(self, replicas: int) -> Pipeline:
        from curate.engines.ray import on_cluster

        steps = [on_cluster(s, replicas) if isinstance(s, Step) else s for s in self.steps]
        return Pipeline(self.problems, steps)

    def __repr__(self) -> str:
        lines = [f"Pipeline: {self.problems!r}"]
        for i, s in enumerate(self.steps, 1):
            lines.append(f"  {i:2d}. {role(s):9s} {repr(s) if isinstance(s, Step) else step_name(s)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(repr(self))}</pre>"
