"""curate: `Sample` over an engine of our own, into a run folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from task import CONCURRENCY, Task, late, question, reply, run

import curate
from curate.step import Completion


@dataclass(frozen=True)
class Null:
    """Answers at once, or after a while."""

    delay_s: float
    model: str = "null"
    concurrency: int = CONCURRENCY

    @property
    def fingerprint(self) -> str:
        return "null"

    def describe(self) -> dict[str, Any]:
        return {"engine": "null", "model": self.model}

    async def __aenter__(self) -> Null:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """There is nothing to stop."""

    async def chat(self, messages: Sequence[dict[str, str]], **options: Any) -> list[Completion]:
        await late(self.delay_s)
        text = reply(messages[-1]["content"])
        return [Completion(None, text, text, "stop", 20, 50)]


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    problems = task.folder / "problems.jsonl"
    with open(problems, "w", encoding="utf-8") as out:
        out.writelines(json.dumps({"question": question(i)}) + "\n" for i in range(task.rows))
    done = curate.Pipeline(curate.read(str(problems)), [curate.Sample(Null(task.delay_s))]).run(
        task.folder / "run"
    )
    return lambda: done.traces.select("question", "response").collect().iter_rows()


if __name__ == "__main__":
    run(work)
