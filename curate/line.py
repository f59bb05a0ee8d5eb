"""Places at an engine, for the calls of many rows: of those that wait, the row begun first is next."""

from __future__ import annotations

import asyncio
import heapq
import itertools


class Line:
    """As many at a time as there are places; of those that wait the lowest turn is called first.

    So a row that is at work gets to its end before another is begun, and the longest, begun first, are not
    left for the end.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._came = itertools.count()

    async def enter(self, turn: int) -> None:
        """Wait for a place; who is cancelled meanwhile takes none."""
        if self._free:
            self._free -= 1
            return
        called: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (turn, next(self._came), called))
        try:
            await called
        except asyncio.CancelledError:
            if called.done() and not called.cancelled():
                self.leave()  # it was called at the same moment
            raise

    def leave(self) -> None:
        """Give the place to the next in line."""
        while self._waiting:
            _, _, called = heapq.heappop(self._waiting)
            if not called.done():
                called.set_result(None)
                return
        self._free += 1
