"""Nobody: a plain asyncio loop that keeps answers in a list. What is lost here, the loop itself costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator

from task import CONCURRENCY, Task, late, question, reply, run


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    pairs: list[tuple[str, str]] = []

    async def some(rows: Iterator[str]) -> None:
        for asked in rows:
            await late(task.delay_s)
            pairs.append((asked, reply(asked)))

    async def everything() -> None:
        rows = map(question, range(task.rows))
        await asyncio.gather(*(some(rows) for _ in range(CONCURRENCY)))

    asyncio.run(everything())
    return lambda: pairs


if __name__ == "__main__":
    run(work)
