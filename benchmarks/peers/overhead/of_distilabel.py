"""distilabel: `TextGeneration` with an `AsyncLLM` of our own, batches of the concurrency, its cache on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from distilabel.models.llms import AsyncLLM
from distilabel.models.llms.utils import prepare_output
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration
from pydantic import validate_call
from task import CONCURRENCY, Task, late, question, reply, run


class Null(AsyncLLM):
    delay_s: float = 0.0

    @property
    def model_name(self) -> str:
        return "null"

    @validate_call
    async def agenerate(self, input: Any, num_generations: int = 1) -> Any:
        await late(self.delay_s)
        return prepare_output([reply(input[-1]["content"])], input_tokens=[20], output_tokens=[50])


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    with Pipeline(name="overhead", cache_dir=task.folder / "cache") as pipeline:
        rows = [{"instruction": question(i)} for i in range(task.rows)]
        load = LoadDataFromDicts(data=rows, batch_size=CONCURRENCY)
        load >> TextGeneration(llm=Null(delay_s=task.delay_s), input_batch_size=CONCURRENCY)
    table = pipeline.run()["default"]["train"]
    return lambda: zip(table["instruction"], table["generation"], strict=True)


if __name__ == "__main__":
    run(work)
