"""Asynchronous work runs to its end for a caller who is not asynchronous, wherever he stands."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from curate.errors import first_error


class Loop:
    """An event loop in a thread of its own, so that notebooks and asyncio programs may use it.

    It starts with the first work; what that leaves open in it, later work finds open.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ends = False
        self._thread = threading.Thread(target=self._drive, name="asks", daemon=True)

    def run(self, work: Coroutine[Any, Any, None], stopped: Callable[[], None] | None = None) -> None:
        """Run to the end. Ctrl-C cancels the work, and comes out as KeyboardInterrupt once it has ended.

        stopped: called at once at Ctrl-C, in the caller's thread.
        """
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread.start()
        loop, ended, context = self._loop, threading.Event(), contextvars.copy_context()
        begun: list[asyncio.Task[None]] = []

        def begin() -> None:
            begun.append(loop.create_task(work, context=context))
            begun[0].add_done_callback(lambda _: ended.set())

        loop.call_soon_threadsafe(begin)
        try:
            while not ended.wait(0.2):
                pass
        except KeyboardInterrupt:
            if stopped:
                stopped()
            loop.call_soon_threadsafe(lambda: begun[0].cancel())
            ended.wait()
            raise
        if not begun[0].cancelled() and (error := begun[0].exception()):
            raise first_error(error)

    def close(self) -> None:
        """End the thread."""
        if self._loop is not None:
            self._ends = True
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = None

    def _drive(self) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        while not self._ends:  # a task's SystemExit is raised out of the loop as well as kept for `run`
            with contextlib.suppress(SystemExit, KeyboardInterrupt):
                loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def run_async(work: Coroutine[Any, Any, None]) -> None:
    """Run one piece of work to its end, in a loop of its own."""
    loop = Loop()
    try:
        loop.run(work)
    finally:
        loop.close()
