"""Engines are opened for a step that asks, and stay open where the next one that asks has them, too."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple

from curate.identity import engines
from curate.loop import Loop
from curate.step import Engine, Step


class _Door(NamedTuple):
    engine: Engine
    opened: Engine
    stack: AsyncExitStack


class Doors:
    """The engines of a run. A model is loaded once for steps that ask it one after the other.

    steps: those to come, in their order. What the next one that asks does not have is closed before it
    opens its own, so that two models are never loaded at once that no one step has. Only an engine that
    `loads` stays open; any other is opened for each step anew.
    """

    def __init__(self, steps: Sequence[Any] = ()) -> None:
        self._coming = [step for step in steps if isinstance(step, Step) and engines(step)]
        self._open: list[_Door] = []
        self._loop = Loop()

    def __enter__(self) -> Doors:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if self._open:
                self._loop.run(self._close_all_but(()))
        finally:
            self._loop.close()

    def run(self, work: Coroutine[Any, Any, None], stopped: Callable[[], None]) -> None:
        """Run work that opens engines here to its end; Ctrl-C calls `stopped` and cancels it."""
        self._loop.run(work, stopped)

    @asynccontextmanager
    async def of(self, step: Step) -> AsyncIterator[dict[str, Engine]]:
        """The engines of a step, open, by the names of its fields. Where it fails, `__exit__` closes them."""
        at = next((i for i, later in enumerate(self._coming) if later is step), -1)
        self._coming = self._coming[at + 1 :]
        mine = engines(step)
        await self._close_all_but([*mine.values()])
        async with AsyncExitStack() as of_step:
            opened = {}
            for name, engine in mine.items():
                stays = getattr(engine, "loads", False)
                opened[name] = await (self._opened(engine) if stays else of_step.enter_async_context(engine))
            yield opened
        await self._close_all_but([*engines(self._coming[0]).values()] if self._coming else ())

    async def _opened(self, engine: Engine) -> Engine:
        for door in self._open:
            if door.engine == engine:
                return door.opened
        stack = AsyncExitStack()
        opened = await stack.enter_async_context(engine)
        self._open.append(_Door(engine, opened, stack))
        return opened

    async def _close_all_but(self, needed: Sequence[Engine]) -> None:
        stay = [door for door in self._open if door.engine in needed]
        leave = [door for door in self._open if door.engine not in needed]
        self._open = stay
        async with AsyncExitStack() as closing:
            for door in leave:
                closing.push_async_callback(door.stack.aclose)
