"""While the last rows of a step are with the engine, rows that are answered go ahead to the next one.

They take the places that are free: of those that wait, a row of the first step comes first. Their answers go
where the next step's answers go; when the walk comes to it, it finds them known. Only of what failed the run
keeps a note until then (`Memory.ahead`).
"""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from curate.ahead import Way
from curate.identity import engines
from curate.parts import count
from curate.step import Step
from curate.writer import Writer

if TYPE_CHECKING:
    from curate.asking import Desk
    from curate.remember import Memory

PATIENCE_S = 0.25  # before a look: perhaps all rows are at their end by then
REST = 3  # after a look, so many times as long as it took, before the next
ROWS_A_PLACE = 100  # in a table with more rows for each place the last ones take a hundredth of the time


class Overlap:
    """Rows of later steps at the desk of one that is being asked.

    When half as many rows are left as before, it is looked how far the answered ones come (`Way.go`, in a
    thread, with all workers but one where there are several). Once some have gone ahead the others follow,
    until none is left. What goes wrong with rows that went ahead is raised when no call is in flight any
    more. Under a budget none goes ahead: the first step might have used all of it.
    """

    group: asyncio.TaskGroup  # in which all of it runs; set before any row is at its end

    def __init__(self, memory: Memory, way: Way, desk: Desk, own: Writer) -> None:
        self._memory, self._desk, self._writers = memory, desk, {own.folder.name: own}
        bounded = memory.budget.tokens is not None or memory.budget.usd is not None
        large = count(way.keyed) > ROWS_A_PLACE * desk.places
        self._way, self._steps = way, [] if bounded or large else way.steps(self._is_open)
        self._folder = memory.scratch / f"ahead-{time.monotonic_ns()}"
        self._few, self._looking, self._number, self._rests_until = self._half(), False, 0, 0.0
        self._none_left = asyncio.Event()
        self._unwanted = threading.Event()
        self._trouble: Exception | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Overlap:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None
    ) -> None:
        self._unwanted.set()
        self._stack.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if e is None and self._trouble is not None:
            raise self._trouble

    def row_ended(self) -> bool:
        """To be called when a row of the first step is at its end. Answers True: another may be begun."""
        left = self._left()
        if not left:
            self._none_left.set()
        due = left <= self._few if left else self._some_ahead()
        if due and self._steps and not self._looking and self._trouble is None:
            self._looking = True
            self.group.create_task(self._look())
        return True

    def _row_ahead_ended(self) -> bool:
        return self.row_ended() and self._trouble is None

    def _left(self) -> int:
        return sum(writer.left for writer in self._writers.values())

    def _half(self) -> int:
        return min(self._desk.places, self._left()) // 2

    def _is_open(self, step: Step) -> bool:
        return all(self._desk.seat(name, engine) for name, engine in engines(step).items())

    def _some_ahead(self) -> bool:
        return len(self._writers) > 1

    async def _look(self) -> None:
        """Ask for the rows that have come to a later step; once some have, until there are no more."""
        with suppress(TimeoutError):
            rest = self._rests_until - time.monotonic()
            await asyncio.wait_for(self._none_left.wait(), max(PATIENCE_S, rest))
        try:
            while self._left() or self._some_ahead():
                all_answered = not self._left()
                began, parts = time.monotonic(), [writer.flush() for writer in self._writers.values()]
                came = await asyncio.to_thread(self._come_so_far, parts)
                self._rests_until = time.monotonic() + REST * (time.monotonic() - began)
                if (self._left() or self._some_ahead()) and self._trouble is None:
                    for step, todo in came:
                        self._ask(step, todo)
                if self._left() or all_answered:
                    break
        except Exception as e:  # noqa: BLE001 - raised when no call is in flight that it would break off
            self._trouble = e
        self._few, self._looking = self._half(), False

    def _come_so_far(self, parts: Sequence[Future[None]]) -> list[tuple[Step, Path]]:
        """The later steps, and rows that can be asked of them now."""
        for part in parts:
            part.result()
        self._number += 1
        memory = replace(self._memory, scratch=self._folder / f"{self._number:03d}", unwanted=self._unwanted)
        came = self._way.go(self._steps, memory, self._folder / "begun")
        return [(step, todo) for step, todo in came if count(todo)]

    def _ask(self, step: Step, todo: Path) -> None:
        answers, new = self._memory.answers(step), count(todo)
        if (writer := self._writers.get(answers.name)) is None:
            self._memory.check_source(step, adds=True)
            failures = self._folder / "failed" / answers.name
            writer = Writer(step, self._memory.journal, answers, failures, new, cached=0)
            self._stack.callback(self._memory.note_ahead, writer, todo.parent)
            self._stack.callback(writer.close)
            self._stack.enter_context(writer.at_work())
            self._writers[answers.name] = writer
        else:
            writer.more(new)
        self._none_left.clear()
        for work in self._desk.ask(step, todo, writer, self._row_ahead_ended):
            self.group.create_task(self._held(work))

    async def _held(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as e:  # noqa: BLE001 - raised when no call is in flight that it would break off
            self._trouble = self._trouble or e
