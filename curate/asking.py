"""The rows of a step that asks are with its engines, as many at once as the engines take."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from traceback import format_tb
from typing import TYPE_CHECKING, Any, NamedTuple

from curate.errors import BudgetSpent, CallFailed, CurateError, RunError, place
from curate.identity import engines, model_name, with_engines
from curate.journalled import Journalled, row_of
from curate.line import Line
from curate.match import answered, longest_first
from curate.overlap import Overlap
from curate.pair import judge_with
from curate.parts import count, disk_trouble, iter_rows
from curate.record import check_served
from curate.step import Engine, Step
from curate.writer import Writer

if TYPE_CHECKING:
    from curate.ahead import Way
    from curate.remember import Memory


async def ask_all(memory: Memory, step: Step, todo: Path, writer: Writer, way: Way) -> None:
    """Ask for every row; rows that are answered may go ahead on their way while the last are asked.

    An error that is not one row's stops it all.
    """
    async with AsyncExitStack() as stack:
        stack.push_async_callback(writer.journal.settled)
        opened = await stack.enter_async_context(memory.doors.of(step))
        for engine in opened.values():
            check_served(memory.folder, engine)
        desk = Desk(memory, _seats(step, opened))
        judge_with(memory.judges())
        lines = writer.journal.ledger().filter(step=step.name, fingerprint=step.fingerprint)
        calls, *tokens, usd = lines.select("calls", "prompt_tokens", "output_tokens", "usd").sum().row(0)
        memory.budget.open_door(calls, sum(tokens), usd)
        with writer.at_work(), Overlap(memory, way, desk, writer) as overlap:
            async with asyncio.TaskGroup() as group:
                overlap.group = group
                for work in desk.ask(step, todo, writer, overlap.row_ended):
                    group.create_task(work)
    if memory.budget.stopped:
        raise BudgetSpent(memory.budget.sentence())


class Seat(NamedTuple):
    """An engine as a step has it, as it is open, and the line of those who wait for a place at it."""

    engine: Engine
    opened: Engine
    line: Line


@dataclass
class Desk:
    """Rows are asked here, at engines that are open; of those that wait the first to begin is next.

    seats: by the names of the first step's fields.
    """

    memory: Memory
    seats: Mapping[str, Seat]
    _turns: Iterator[int] = field(default_factory=itertools.count)
    _asked: dict[str, Any] = field(default_factory=dict)  # folder of answers → the step, seated

    @property
    def places(self) -> int:
        """At the widest engine."""
        return max(map(_concurrency, (seat.opened for seat in self.seats.values())), default=256)

    def seat(self, name: str, engine: Engine) -> Seat | None:
        """Where the engine in the field of this name is open, or one that is equal."""
        mine = [self.seats[name]] if name in self.seats else []
        return next((seat for seat in [*mine, *self.seats.values()] if seat.engine == engine), None)

    def ask(
        self, step: Step, todo: Path, writer: Writer, ended: Callable[[], bool]
    ) -> list[Coroutine[Any, Any, None]]:
        """What asks for every row of `todo`, to be run side by side.

        ended: called when a row is at its end; False: whoever asked for it begins no other.
        """
        name = writer.folder.name
        if name not in self._asked:
            self._asked[name] = self._seated(step, writer)
        asked, rows = self._asked[name], zip(self._turns, longest_first(step, iter_rows(todo)), strict=False)
        side_by_side = min(2 * width(step), count(todo))  # half may go to the disk
        return [_ask_some(asked, rows, writer, ended) for _ in range(side_by_side)]

    def _seated(self, step: Step, writer: Writer) -> Any:
        """The step with engines that buy no call twice."""
        journal = writer.journal
        known = journal.replies(step.name)
        journal.forget(step.name, answered(writer.folder, journal.rows(step.name)))
        of_step = step.name, step.fingerprint, known, self.memory.budget
        journalled = {}
        for name, engine in engines(step).items():
            seat = self.seat(name, engine)
            assert seat
            model = model_name(seat.opened)
            journalled[name] = Journalled(
                seat.opened, journal, model, *of_step, seat.line, writer.meter.tokens
            )
        return with_engines(step, journalled)


def _seats(step: Step, opened: Mapping[str, Engine]) -> dict[str, Seat]:
    mine = engines(step)
    return {name: Seat(mine[name], engine, Line(_concurrency(engine))) for name, engine in opened.items()}


def width(step: Step) -> int:
    """How many rows of a step that asks are with its engines at a time: as many as the widest takes."""
    return max(map(_concurrency, engines(step).values()), default=256)


def _concurrency(engine: Engine) -> int:
    return int(getattr(engine, "concurrency", 256))


async def _ask_some(
    step: Any, rows: Iterator[tuple[int, dict[str, Any]]], writer: Writer, ended: Callable[[], bool]
) -> None:
    for turn, row in rows:
        key = row.pop("key")
        try:
            async with row_of(key, turn):
                value = await step.ask(row)
            writer.answer(key, value)
        except CallFailed as e:
            writer.fail(key, f"call failed: {e}")
        except BudgetSpent:
            return  # the rows whose calls are made get to their end
        except CurateError:
            raise
        except Exception as e:  # noqa: BLE001 - a bug in a step: named, with its row, and the run stops
            if disk_trouble(e, writer.folder):
                raise
            where = place("".join(format_tb(e.__traceback__)))
            raise RunError(
                f"{step.name} failed on the row with {_shown(row)}: {type(e).__name__}: {e}{where}"
            ) from e
        if not ended():
            return


def _shown(row: dict[str, Any]) -> str:
    return ", ".join(f"{k}={str(v)[:60]!r}" for k, v in row.items())
