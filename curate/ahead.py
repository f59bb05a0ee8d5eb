"""The way behind a step that asks: rows that have their answer can go it while others have not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from curate.columns import Function
from curate.match import known_rows, match, new_rows
from curate.parts import set_aside_damaged, sink
from curate.sample import Sample
from curate.step import Step

if TYPE_CHECKING:
    from curate.remember import Memory
    from curate.stages import Walk

LONGEST = 1 << 17  # characters of an expression that is looked into, written as JSON
TAKES_A_SET = ("IsIn", "Replace", "ReplaceStrict")  # polars' functions of values and a set of them


@dataclass(frozen=True)
class Way:
    """What is behind a step that asks.

    walk: as it stands at the step. keyed: the rows of the step, each with its `key`. coming: what follows it.
    """

    walk: Walk
    step: Step
    keyed: Path
    coming: Sequence[Step | Function]

    def steps(self, can_ask: Callable[[Step], bool]) -> list[Step]:
        """Those up to the last one that can be asked, of those that a row can go alone to.

        Alone means that it becomes what it would become among the others: by an expression that looks at no
        other row, a row function, or a step that can be asked now.
        """
        found: list[Step] = []
        asked = {self.step.fingerprint}
        while coming := self._to_the_next_that_asks(len(found)):
            step = coming[-1]
            if step.fingerprint in asked or not can_ask(step):
                break
            if not all(s.body == "row" or _looks_at_no_other_row(s) for s in coming[:-1]):
                break
            asked.add(step.fingerprint)
            found += coming
        return found

    def _to_the_next_that_asks(self, first: int) -> list[Step]:
        """The steps from this one on, up to one that asks; none where there is no such way."""
        way: list[Step] = []
        for step in self.coming[first:]:
            if not isinstance(step, Step) or step.body == "mark":
                return []
            way.append(step)
            if step.body == "ask":
                return way
        return []

    def go(self, steps: Sequence[Step], memory: Memory, begun: Path) -> Iterator[tuple[Step, Path]]:
        """Take the answered rows as far as they come; yields each step that asks, and new rows for it.

        memory: that of the walk, with scratch space of its own, which is removed. begun: a folder in which
        those rows are noted, so that none is yielded twice.
        """
        empty: dict[str, Any] = {"funnel": [], "dropped": [], "pending": []}
        walk = replace(self.walk, memory=memory, measured=set(self.walk.measured), **empty)
        memory.scratch.mkdir(parents=True)
        try:
            _go_on(walk, self.step, self.keyed)
            for step in steps:
                if step.body != "ask":
                    walk.take(step)
                    continue
                keyed = walk.key(step)
                yield step, _not_begun(memory, step, keyed, begun / memory.answers(step).name)
                if step is not steps[-1]:
                    _go_on(walk, step, keyed)
        finally:
            shutil.rmtree(memory.scratch)


def _not_begun(memory: Memory, step: Step, keyed: Path, begun: Path) -> Path:
    """Rows of a step that are neither answered nor begun, noted as begun."""
    answers = memory.answers(step)
    if not begun.exists():
        set_aside_damaged(answers)
        begun.mkdir(parents=True)
    todo = memory.scratch / "todo.parquet"
    new = new_rows(keyed, answers, memory.scratch / "new.parquet", begun)
    sink(new.select("key", *step.columns), todo).collect()
    return todo.rename(begun / f"{memory.scratch.name}.parquet")


def _go_on(walk: Walk, step: Step, keyed: Path) -> None:
    """Through a step that asks, with those of its rows that are answered."""
    memory = walk.memory
    answers, here = memory.answers(step), memory.scratch / f"{walk.number:03d}.known"
    known = here.with_suffix(".parquet")
    sink(known_rows(keyed, answers, here.with_suffix(".marks")), known).collect()
    if not isinstance(step, Sample):  # whose births are beside the rows
        walk.source, walk.live = known, pl.scan_parquet(known).drop("key")
    walk.through(step, known, match(known, answers, here, here.with_suffix(".answers"), step.writes))


def _looks_at_no_other_row(step: Step) -> bool:
    return looks_at_no_other_row(step.expr())  # type: ignore[attr-defined]


def looks_at_no_other_row(expr: pl.Expr) -> bool:
    """Whether what an expression says of a row is the same beside any others; False where that is not sure.

    polars says it of a node and not of its inputs: of `when(a > a.mean())` it says that rows are separable,
    and of a column in which `is_in` looks for values, too.
    """
    try:
        written = expr.meta.serialize(format="json")
        if len(written) > LONGEST or any(map(_looks_into_a_column, _functions(json.loads(written)))):
            return False
        return _is_separable(expr)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, TypeError, ValueError, RecursionError):
        return False


def _is_separable(expr: pl.Expr) -> bool:
    inputs = expr.meta.pop()
    if expr.meta.has_multiple_outputs() or not all(map(_is_separable, inputs)):
        return False  # asked first: of what is above several outputs polars cannot be asked
    return expr.meta.is_row_separable()


def _functions(node: Any) -> Iterator[dict[str, Any]]:
    """The functions in an expression that is written as JSON."""
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _functions(value)
    if isinstance(node, dict) and isinstance(node.get("Function"), dict):
        yield node["Function"]


def _looks_into_a_column(function: dict[str, Any]) -> bool:
    """It takes an input for a set of values, and that is no literal; or it draws at random."""
    name, (_, *others) = json.dumps(function["function"]), function["input"] or [None]
    if '"Sample"' in name:
        return True
    return any(f'"{n}"' in name for n in TAKES_A_SET) and not all("Literal" in other for other in others)
