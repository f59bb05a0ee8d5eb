"""Ray Data: `map_batches` with an asynchronous class, a batch of the concurrency at once, parquet out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pyarrow.parquet as pq
import ray
from task import CONCURRENCY, Task, late, question, reply, run


class Model:
    def __init__(self, delay_s: float) -> None:
        self.delay_s = delay_s

    async def chat(self, asked: str) -> str:
        await late(self.delay_s)
        return reply(asked)

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        batch["answer"] = await asyncio.gather(*(self.chat(str(asked)) for asked in batch["question"]))
        yield batch


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    rows = ray.data.from_items([{"question": question(i)} for i in range(task.rows)])
    told = {"fn_constructor_args": (task.delay_s,), "batch_size": CONCURRENCY, "concurrency": 1}
    rows.map_batches(Model, **told).write_parquet(str(task.folder / "out"))

    def results() -> Iterable[tuple[str, str]]:
        table = pq.read_table(task.folder / "out").to_pydict()
        return zip(table["question"], table["answer"], strict=True)

    return results


if __name__ == "__main__":
    run(work)
