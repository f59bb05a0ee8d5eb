"""The least that keeps every answer: a plain asyncio loop with a file in, a journal, and a table out.

What a run has to do for a row, and nothing of what makes it one: the question is a line of JSON, it is known
by a hash, its answer is committed to sqlite and synced to the disk before it counts, in groups, by a
thread, and all answers end in one parquet file. No steps, no schema, no ids, no ledger, no resuming.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import polars as pl
from task import CONCURRENCY, Task, late, question, reply, run

Waiting = tuple[str, str, asyncio.Future[None]]


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    problems, finished = task.folder / "problems.jsonl", task.folder / "traces.parquet"
    with open(problems, "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"question": question(i)}) + "\n" for i in range(task.rows))
    disk = ThreadPoolExecutor(1)
    db = disk.submit(sqlite3.connect, task.folder / "journal").result()
    disk.submit(
        db.executescript,
        "pragma journal_mode = wal; pragma synchronous = full; create table calls (key text, reply text)",
    ).result()
    pairs: list[tuple[str, str]] = []
    pending: list[Waiting] = []

    def insert(some: list[Waiting]) -> None:
        values = [value for key, reply, _ in some for value in (key, reply)]
        places = ", ".join(["(?, ?)"] * len(some))  # one statement: after each a thread waits for its turn
        with db:
            db.execute(f"insert into calls values {places}", values)

    async def commit() -> None:
        while pending:
            some = pending[:]
            pending.clear()
            await asyncio.get_running_loop().run_in_executor(disk, insert, some)
            for _, _, done in some:
                done.set_result(None)

    async def some(lines: Iterator[str]) -> None:
        nonlocal committing
        for line in lines:
            asked = json.loads(line)["question"]
            key = hashlib.sha256(asked.encode()).hexdigest()
            await late(task.delay_s)
            answered = reply(asked)
            done = asyncio.get_running_loop().create_future()
            pending.append((key, json.dumps([{"response": answered}]), done))
            if committing is None or committing.done():
                committing = asyncio.create_task(commit())
            await done
            pairs.append((asked, answered))

    async def everything() -> None:
        with open(problems, encoding="utf-8") as lines:
            await asyncio.gather(*(some(lines) for _ in range(CONCURRENCY)))

    committing: asyncio.Task[None] | None = None
    asyncio.run(everything())
    pl.DataFrame(pairs, schema=["question", "response"], orient="row").write_parquet(finished)
    return lambda: pl.read_parquet(finished).iter_rows()


if __name__ == "__main__":
    run(work)
