"""Every problem has n traces, each a row: the births of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import polars as pl

from curate.errors import UserError
from curate.identity import model_name
from curate.schema import TRACE, Row
from curate.step import Completion, Engine, Step, user


@dataclass(frozen=True)
class Sample(Step):
    """Asks the engine n times for each problem. The problem's own row is set aside as "sampled".

    Rows that already hold a trace pass through untouched. `prompt` is filled with the problem's question
    (`{question}`); `system` is sent before it where it is given. Sample i of a problem has a seed of its own,
    made from the question and i: raising n later asks only for the new ones, and no order of work changes a
    trace.
    """

    engine: Engine
    n: int = 1
    prompt: str = "{question}"
    system: str | None = None
    reads: ClassVar[tuple[str, ...]] = ("question", "sample")
    not_identity: ClassVar[tuple[str, ...]] = ("n",)  # each sample's index is a column that is read

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n < 1:
            raise UserError(f"n={self.n} samples a problem cannot be drawn; ask for 1 or more")

    @property
    def writes(self) -> dict[str, Any]:
        return {c: t for c, t in TRACE.items() if c not in ("trace_id", "parent_id", "sample")}

    @cached_property
    def _model(self) -> str:
        return model_name(self.engine)  # which looks at the disk

    @property
    def asks(self) -> int:
        """How many questions each problem is; `sample` counts them."""
        return self.n

    @property
    def most(self) -> int:
        """The most rows that are born of a problem."""
        return self.n

    def births(self, answered: pl.LazyFrame) -> pl.LazyFrame:
        """The rows that are born of the answers."""
        return answered

    def unanswered(self, failed: pl.LazyFrame) -> pl.LazyFrame:
        """The rows of calls that failed, each with the model that was asked."""
        return failed.with_columns(model=pl.lit(self._model))

    async def ask(self, row: Row) -> tuple[list[dict[str, str]], Completion]:
        """One trace of one problem: what was sent, and what came back."""
        messages = user(self.prompt.replace("{question}", row["question"]), self.system)
        [completion] = await self.engine.chat(messages)
        return messages, completion

    def pack(self, value: tuple[list[dict[str, str]], Completion]) -> dict[str, Any]:
        return self.trace(self._model, *value)

    def trace(self, model: str, messages: list[dict[str, str]], c: Completion) -> dict[str, Any]:
        """The columns of a trace that this model wrote."""
        return {
            "model": model,
            "messages": messages,
            "thinking": c.thinking,
            "response": c.response,
            "finish": c.finish,
            "prompt_tokens": c.prompt_tokens,
            "output_tokens": c.output_tokens,
        }
