"""An engine is open while its steps ask it: once for neighbours, never longer than that, whatever happens."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines.scripted import Scripted
from curate.errors import RunError
from curate.step import Rewriter, Text

SAID: list[str] = []


@dataclass(frozen=True)
class Door(Scripted):
    """A scripted engine that says when it is opened and closed; `label` tells two apart."""

    loads = True

    label: str = field(default="", kw_only=True)

    async def __aenter__(self) -> Door:
        SAID.append(f"open {self.label}")
        await super().__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        SAID.append(f"close {self.label}")
        await super().__aexit__(*exc)


@dataclass(frozen=True)
class Again(Rewriter):
    """Asks its engines for the whole response anew."""

    engine: Any
    other: Any = None
    broken: bool = False
    number: int = 0
    reads = ("question",)

    async def ask(self, row: dict[str, Any]) -> Text:
        if self.broken:
            raise ValueError("a bug")
        [reply] = await self.engine.chat([{"role": "user", "content": row["question"]}])
        return Text(None, f"{reply.text} {self.number}")


def door(label: str) -> Door:
    return Door(script=["It is 2."], label=label)


A, B = door("A"), door("B")


def note(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A free step that says when its turn is; the walk may ask it more than once."""
    SAID.append("free")
    return frame


def went(tmp_path: Path, *steps: Any) -> str:
    """What happened, in its order."""
    SAID.clear()
    rows = pl.DataFrame({"question": ["1 + 1?", "2 + 0?"], "answer": ["2", "2"]})
    try:
        curate.Pipeline(rows, [curate.Sample(A), *steps]).run(tmp_path / "run")
    finally:
        SAID.append("end")
    return ", ".join(word for i, word in enumerate(SAID) if i == 0 or SAID[i - 1] != word)


def test_neighbours_share_a_door(tmp_path: Path) -> None:
    """Equal engines are one, whoever made them; it closes behind the last that asks it."""
    steps = Again(A), note, Again(door("A"), number=1), note
    assert went(tmp_path, *steps) == "free, open A, free, close A, free, end"


def test_another_model_opens_only_when_the_one_before_is_closed(tmp_path: Path) -> None:
    steps = Again(B), Again(A, number=1)
    assert went(tmp_path, *steps) == "open A, close A, open B, close B, open A, close A, end"


def test_of_two_models_the_one_that_is_asked_again_stays(tmp_path: Path) -> None:
    assert went(tmp_path, Again(B, other=A), Again(A, number=1)) == "open A, open B, close B, close A, end"


def test_an_engine_that_loads_nothing_is_opened_for_each_step(tmp_path: Path) -> None:
    """So what it begins with when it opens does not hang on the step before."""
    said = Scripted(script=["one", "two"])
    rows = pl.DataFrame({"question": ["1 + 1?"], "answer": ["2"]})
    run = curate.Pipeline(rows, [curate.Sample(said), Again(said)]).run(tmp_path / "run")
    assert run.traces.collect()["response"].to_list() == ["one 0"]


def test_a_step_that_exits_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        went(tmp_path, Again(Door(script=lambda messages: sys.exit(3), label="C")))
    assert SAID[-3:] == ["open C", "close C", "end"]


def test_what_is_known_opens_nothing(tmp_path: Path) -> None:
    steps = Again(A), Again(B, number=1)
    assert went(tmp_path, *steps) == "open A, close A, open B, close B, end"
    assert went(tmp_path, *steps) == "end"


def test_a_step_that_fails_closes_what_is_open(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a bug"):
        went(tmp_path, Again(A, broken=True), Again(A, number=1))
    assert SAID == ["open A", "close A", "end"]


def test_a_run_that_stops_between_two_doors_closes_what_is_open(tmp_path: Path) -> None:
    def lose(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.head(1)

    with pytest.raises(RunError, match="turned 2 rows into 1"):
        went(tmp_path, lose, Again(A))
    assert SAID == ["open A", "close A", "end"]
