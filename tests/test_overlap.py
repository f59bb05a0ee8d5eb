"""Rows that are answered go ahead to the next step while others are still with the engine, and nothing else
changes: no table, no call, no line of the ledger."""

from __future__ import annotations

import _thread
import asyncio
import functools
import json
import operator
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.ahead import looks_at_no_other_row
from curate.engines.scripted import Scripted
from curate.errors import CallFailed, Interrupted, RunError, UserError
from curate.filters.failed import Failed
from curate.step import Engine, Filter, Message, Rewriter, Step, Text, Verdict, Verifier, user
from curate.verifiers.math_equal import MathEqual

ROWS, LAST = 12, "11 + 1"
WAIT_S = 30.0  # so long the last row of a step waits for a row that goes ahead


@dataclass
class Shop:
    """What an engine was asked, and what its slowest row waits for."""

    until: str = ""  # begins a question; "": no row waits
    at_most_s: float = WAIT_S
    asked: list[str] = field(default_factory=list)
    waited_s: float = 0.0

    async def __call__(self, messages: Sequence[Message], seed: int) -> str:
        question = messages[-1]["content"]
        self.asked.append(question)
        if question == LAST and self.until:
            began = time.monotonic()
            while not self._came() and time.monotonic() - began < self.at_most_s:
                await asyncio.sleep(0.01)
            self.waited_s = time.monotonic() - began
        number = int(question.split()[-3])
        return f"<think>\n{question} {seed}\n</think>\n\n\\boxed{{{number + (number % 4 != 3)}}}"

    def _came(self) -> bool:
        return any(question.startswith(self.until) for question in self.asked)


@dataclass(frozen=True)
class Rethink(Rewriter):
    """Asks about every row once more."""

    engine: Engine
    word: str = "again"
    broken: bool = False
    reads = ("question", "thinking", "response")

    async def ask(self, row: dict[str, Any]) -> Text:
        if self.broken:
            raise ValueError("a bug")
        [reply] = await self.engine.chat(user(f"{self.word}: {row['question']}"))
        return Text(reply.thinking, f"{row['response']} {self.word}")


@dataclass(frozen=True)
class Broken(Verifier):
    """Fails on every row."""

    reads = ("response",)

    def row(self, row: dict[str, Any]) -> Verdict:
        raise ValueError("a bug")


@dataclass(frozen=True)
class NoneLikeIt(Filter):
    """Drops the rows of an answer that more than one row has."""

    def expr(self) -> pl.Expr:
        return pl.when(pl.col("question").is_duplicated()).then(pl.lit("twice"))


def note(frame: pl.LazyFrame) -> pl.LazyFrame:
    """A plain function may look at the whole table."""
    return frame


def engine_of(shop: Shop) -> Scripted:
    async def script(messages: Sequence[Message], seed: int) -> str:
        return await shop(messages, seed)

    return Scripted(script=script)


def run(
    folder: Path, shop: Shop, *steps: Callable[[Engine], Any], n: int = 1, budget: int | None = None
) -> curate.Run:
    """Sample, and what these make of the engine."""
    source = pl.DataFrame(
        {"question": [f"{i} + 1" for i in range(ROWS)], "answer": [str(i + 1) for i in range(ROWS)]}
    )
    engine = engine_of(shop)
    pipeline = curate.Pipeline(source, [curate.Sample(engine, n=n), *(step(engine) for step in steps)])
    return pipeline.run(folder, budget_tokens=budget)


def tables(run: curate.Run) -> dict[str, Any]:
    """All that a run says, without its seconds."""
    names = ("live", "dropped", "funnel")
    found: dict[str, Any] = {name: (run.folder / f"{name}.parquet").read_bytes() for name in names}
    return {**found, "ledger": run.ledger.drop("seconds", "fingerprint").rows()}


def right(_: Engine) -> Step:
    return MathEqual()


def kept(_: Engine) -> Step:
    return Failed("math_equal")


def more(engine: Engine) -> Step:
    return Rethink(engine, "more")


STEPS = (right, kept, Rethink, right, kept, more)


@pytest.mark.parametrize("until", ["again: ", "more: "])
def test_rows_go_ahead_and_nothing_else_changes(tmp_path: Path, until: str) -> None:
    """The last row of the first step waits until the next one has been asked, or the one behind that."""
    waits, alone = Shop(until), Shop()
    ahead, one_by_one = run(tmp_path / "ahead", waits, *STEPS), run(tmp_path / "alone", alone, *STEPS)
    assert waits.waited_s < WAIT_S
    assert Counter(waits.asked) == Counter(alone.asked)
    assert tables(ahead) == tables(one_by_one)
    assert ahead.ledger["rows_cached"].sum() == 0
    assert ahead.ledger["calls"].sum() == len(waits.asked)


@pytest.mark.parametrize(
    ("between", "budget"),
    [
        (lambda _: note, None),
        (lambda _: NoneLikeIt(), None),
        (right, 10**6),
    ],
    ids=["a plain function", "a look at other rows", "a budget"],
)
def test_nobody_goes_ahead(tmp_path: Path, between: Callable[[Engine], Any], budget: int | None) -> None:
    """Where what a row becomes depends on the others, or money may not reach for the first step."""
    shop = Shop("again: ", at_most_s=2)
    run(tmp_path, shop, right, between, Rethink, budget=budget)
    assert shop.waited_s >= 2
    assert shop.asked.index(LAST) < min(i for i, q in enumerate(shop.asked) if q.startswith("again: "))


def test_another_engine_is_not_asked_ahead(tmp_path: Path) -> None:
    shop, other = Shop("again: ", at_most_s=2), Shop()
    run(tmp_path, shop, lambda _: Rethink(engine_of(other)))
    assert shop.waited_s >= 2
    assert len(other.asked) == ROWS


@pytest.mark.parametrize("broken", [lambda _: Broken(), lambda engine: Rethink(engine, broken=True)])
def test_a_bug_of_a_later_step_breaks_no_call_off(tmp_path: Path, broken: Callable[[Engine], Any]) -> None:
    """It stops the run once the rows of the first step have their answer, which is paid."""
    shop = Shop("never", at_most_s=2)
    with pytest.raises(RunError, match="a bug"):
        run(tmp_path, shop, broken, more)
    assert shop.waited_s >= 2
    ledger = pl.read_parquet(tmp_path / "ledger.parquet").filter(step="sample")
    assert ledger.select("rows_paid", "calls").row(0) == (ROWS, ROWS)


@dataclass(frozen=True)
class Sulks(Rewriter):
    """Fails on every third row."""

    engine: Engine
    reads = ("question", "response")

    async def ask(self, row: dict[str, Any]) -> Text | None:
        [reply] = await self.engine.chat(user(f"again: {row['question']}"))
        if int(row["question"].split()[0]) % 3 == 0:
            raise CallFailed("no")
        return Text(None, reply.response) if int(row["question"].split()[0]) % 2 else None


def test_a_row_that_failed_ahead_is_asked_once(tmp_path: Path) -> None:
    """And rows that a rewriter leaves as they are are known to the verifier behind it, as without overlap."""
    waits, alone = Shop("again: "), Shop()
    steps = (right, Sulks, right)
    ahead, one_by_one = run(tmp_path / "ahead", waits, *steps), run(tmp_path / "alone", alone, *steps)
    assert waits.waited_s < WAIT_S
    assert Counter(waits.asked) == Counter(alone.asked)
    assert tables(ahead) == tables(one_by_one)
    assert ahead.ledger["failed"].sum() == ROWS // 3 and ahead.ledger["rows_cached"].sum() > 0


def test_where_every_call_failed_ahead_the_run_says_so(tmp_path: Path) -> None:
    class Never(Sulks):
        async def ask(self, row: dict[str, Any]) -> Text | None:
            await super().ask(row)
            raise CallFailed("not one")

    with pytest.raises(UserError, match="every call of never failed; the first said: (no|not one)$"):
        run(tmp_path / "ahead", Shop("again: "), Never)


def test_a_source_that_changed_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = Shop(), Shop("again: ")
    run(tmp_path, first, right, Rethink)
    for noted in (tmp_path / "answers").glob("*/sources.json"):
        noted.write_text('["another"]')
    run(tmp_path, second, right, Rethink, n=2)
    assert second.waited_s < WAIT_S
    assert [caplog.text.count(f"the source of `{s}` changed") for s in ("math_equal", "rethink")] == [1, 1]
    (noted,) = (tmp_path / "answers").glob("rethink-*/sources.json")
    assert len(json.loads(noted.read_text())) == 2


@dataclass(frozen=True)
class Slow(Verifier):
    """Takes longer than anybody waits, and writes down when it begins and when it is done."""

    folder: str
    reads = ("response",)

    def row(self, row: dict[str, Any]) -> Verdict:
        (Path(self.folder) / "begun").touch()
        time.sleep(20)
        (Path(self.folder) / "done").touch()
        return Verdict(True, "met")


def test_ctrl_c_waits_for_no_row_that_went_ahead(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "begun").exists():
            time.sleep(0.01)
        _thread.interrupt_main()

    shop = Shop("again: ")
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Interrupted):
        run(tmp_path / "run", shop, lambda _: Slow(str(tmp_path)), Rethink)
    assert not (tmp_path / "done").exists()
    again = Shop()
    run(tmp_path / "run", again, right, kept, Rethink)
    assert [question for question in again.asked if not question.startswith("again: ")] == [LAST]


PLAIN = st.sampled_from([pl.col("a"), pl.col("b"), pl.lit(2)])
EXPRESSIONS = st.recursive(
    PLAIN,
    lambda inner: st.one_of(
        st.builds(lambda x, y: x + y, inner, inner),
        st.builds(lambda x, y: pl.when(x > y).then(x).otherwise(y), inner, inner),
        st.builds(lambda x, y: pl.coalesce(x, y), inner, inner),
        st.builds(lambda x, how: getattr(x, how)(), inner, st.sampled_from(["sum", "cum_sum", "abs"])),
        st.builds(lambda x: x.fill_null(strategy="forward"), inner),
        st.builds(lambda x: x.sum().over("b"), inner),
        st.builds(lambda x: x.rank(), inner),
        st.builds(lambda c: pl.col("a").is_in(pl.col(c)).cast(pl.Int64), st.sampled_from("ab")),
    ),
    max_leaves=5,
)  # fmt: skip


@given(
    expr=EXPRESSIONS, rows=st.lists(st.tuples(st.integers(-3, 3) | st.none(), st.integers(0, 2)), min_size=2)
)
def test_what_looks_at_no_other_row_is_the_same_of_any_part(
    expr: pl.Expr, rows: list[tuple[int | None, int]]
) -> None:
    table = pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Int64}, orient="row")
    if looks_at_no_other_row(expr):
        whole, half = (t.with_columns(x=expr)["x"].to_list() for t in (table, table[len(table) // 2 :]))
        assert half == whole[len(table) // 2 :]


@pytest.mark.parametrize(
    ("expr", "alone"),
    [
        (pl.col("a") + 1, True),
        (pl.when(pl.col("a").struct.field("passed")).then(pl.lit("x")), True),
        (Failed("math_equal").expr(), True),
        (pl.when(pl.col("a") > pl.col("a").mean()).then(pl.lit("above")), False),
        (pl.col("a").sum().over("b"), False),
        (pl.col("a").is_in([1, 2]), True),
        (pl.col("a").replace({1: 2}), True),
        (pl.col("a").is_in(pl.col("b")), False),
        (pl.col("a").replace(pl.col("b"), pl.col("c")), False),
        (pl.col("a").list.sample(1, seed=3), False),
        (pl.col("a").is_in(list(range(100_000))), False),  # which would take long to look into
        (functools.reduce(operator.or_, [pl.col("a") == i for i in range(2_000)]), False),
        (pl.all_horizontal(pl.col("a").struct.field("passed", "score").is_null()), False),
        (pl.col("a").map_batches(lambda s: s), False),
    ],
)
def test_expressions_that_look_at_no_other_row(expr: pl.Expr, alone: bool) -> None:
    assert looks_at_no_other_row(expr) is alone
