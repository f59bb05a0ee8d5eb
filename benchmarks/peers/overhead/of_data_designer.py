"""DataDesigner: a seed table, and a custom column that answers by itself, so no HTTP is in the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import data_designer.config as dd
import pandas as pd
from data_designer.interface import DataDesigner
from task import CONCURRENCY, Task, late, question, reply, run


def work(task: Task) -> Callable[[], Iterable[tuple[str, str]]]:
    @dd.custom_column_generator(required_columns=["question"])
    async def answer(row: dict[str, Any]) -> dict[str, Any]:
        await late(task.delay_s)
        return {**row, "answer": reply(row["question"])}

    builder = dd.DataDesignerConfigBuilder(model_configs=[])
    table = pd.DataFrame({"question": [question(i) for i in range(task.rows)]})
    builder.with_seed_dataset(dd.DataFrameSeedSource(df=table))
    builder.add_column(dd.CustomColumnConfig(name="answer", generator_function=answer))
    designer = DataDesigner(artifact_path=task.folder)
    designer.set_run_config(dd.RunConfig(max_in_flight_tasks=CONCURRENCY, display_tui=False))
    found = designer.create(builder, num_records=task.rows).load_dataset()
    return lambda: zip(found["question"], found["answer"], strict=True)


if __name__ == "__main__":
    run(work)
