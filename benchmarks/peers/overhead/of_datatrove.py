"""datatrove: `InferenceRunner` with a rollout function that answers by itself, so no HTTP is in the way."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable
from typing import Any

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner
from datatrove.pipeline.inference.types import InferenceResult
from datatrove.pipeline.writers import JsonlWriter
from task import CONCURRENCY, Task, late, question, reply, run


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    async def rollout(document: Document, generate: Any) -> InferenceResult:
        await late(task.delay_s)
        text = reply(document.text)
        return InferenceResult(
            text=text, finish_reason="stop", usage={"prompt_tokens": 20, "completion_tokens": 50}
        )

    config = InferenceConfig(
        server_type="dummy",
        model_name_or_path="null",
        max_concurrent_generations=CONCURRENCY,
        server_ready_delay_sec=0.1,
    )
    out = task.folder / "out"
    writer = JsonlWriter(str(out), output_filename="${rank}.jsonl.gz")
    documents = [Document(text=question(i), id=str(i)) for i in range(task.rows)]
    runner = InferenceRunner(rollout, config, writer)
    LocalPipelineExecutor([documents, runner], logging_dir=str(task.folder / "logs")).run()

    def results() -> Iterable[tuple[str, str]]:
        for path in out.glob("*.jsonl.gz"):
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                for row in map(json.loads, lines):
                    yield row["text"], row["metadata"]["rollout_results"][0]["text"]

    return results


if __name__ == "__main__":
    run(work)
