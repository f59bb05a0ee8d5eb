"""Places at an engine: never too many, none lost to who gives up, and a row that is begun gets to its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.budget import Budget
from curate.journal import Journal
from curate.journalled import Journalled, row_of
from curate.line import Line
from curate.match import AT_A_TIME, longest_first
from curate.pieces import TRANSITIONS
from curate.rewriters.retro_search import RetroSearch
from curate.step import Completion, Engine, Rewriter, Text, user
from curate.verifiers.math_equal import MathEqual

CALLERS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4), st.booleans()), max_size=30)


@given(places=st.integers(1, 4), callers=CALLERS)
def test_no_place_is_taken_twice_or_lost(places: int, callers: list[tuple[int, int, bool]]) -> None:
    """Each has a turn, stays for some rounds of the loop, and may be cancelled at any of them."""
    line, inside, most, served = Line(places), 0, 0, []

    async def call(turn: int, rounds: int) -> None:
        nonlocal inside, most
        await line.enter(turn)
        inside += 1
        most = max(most, inside)
        try:
            for _ in range(rounds):
                await asyncio.sleep(0)
            served.append(turn)
        finally:
            inside -= 1
            line.leave()

    async def go() -> None:
        tasks = [asyncio.create_task(call(turn, rounds)) for turn, rounds, _ in callers]
        for task, (_, rounds, gives_up) in zip(tasks, callers, strict=True):
            for _ in range(rounds):
                await asyncio.sleep(0)
            if gives_up:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.wait_for(asyncio.gather(*(line.enter(0) for _ in range(places))), 5)

    asyncio.run(go())
    assert most <= places and inside == 0
    assert len(served) >= sum(not gives_up for _, _, gives_up in callers)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30))
def test_who_waits_is_let_in_by_turn_and_equals_as_they_came(turns: list[int]) -> None:
    line, served = Line(1), []

    async def call(i: int, turn: int) -> None:
        await line.enter(turn)
        served.append((turn, i))
        line.leave()

    async def go() -> None:
        await line.enter(0)
        tasks = [asyncio.create_task(call(i, turn)) for i, turn in enumerate(turns)]
        await asyncio.sleep(0)
        line.leave()
        await asyncio.gather(*tasks)

    asyncio.run(go())
    assert served == sorted((turn, i) for i, turn in enumerate(turns))


@dataclass(frozen=True)
class Listener:
    """Answers anything, and notes what it was asked, in order."""

    model: str = "listener"
    fingerprint: str = "listener"
    concurrency: int = 1
    wait_for: asyncio.Event | None = None  # before the first answer
    heard: list[str] = field(default_factory=list, compare=False)

    def describe(self) -> dict[str, Any]:
        return {"engine": "listener"}

    async def __aenter__(self) -> Listener:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def chat(self, messages: Any, **options: Any) -> list[Completion]:
        self.heard.append(messages[-1]["content"])
        if self.wait_for:
            await self.wait_for.wait()
        return [Completion(None, "so", "so", "stop", 1, 1)]


@dataclass(frozen=True)
class Rounds(Rewriter):
    """Asks as often as the row's answer says."""

    engine: Engine
    reads = ("question", "answer", "response")

    def rounds(self, row: Mapping[str, Any]) -> int:
        return int(row["answer"])

    async def ask(self, row: dict[str, Any]) -> Text:
        for i in range(int(row["answer"])):
            await self.engine.chat(user(f"{row['question']} {i}"))
        return Text(None, "so it is")


def test_rows_of_most_rounds_are_begun_first(tmp_path: Path) -> None:
    rounds = [1, 3, 2, 3]
    traces = pl.DataFrame(
        {"question": [*"abcd"], "answer": [str(n) for n in rounds], "response": ["so"] * len(rounds)}
    )
    listener = Listener()
    curate.Pipeline(traces, [Rounds(listener)]).run(tmp_path)
    wanted = [f"{row} {i}" for row, n in (("b", 3), ("d", 3), ("c", 2), ("a", 1)) for i in range(n)]
    assert sorted(listener.heard) == sorted(wanted)
    assert [said[0] for said in listener.heard if said.endswith(" 0")] == [*"bdca"]


def test_the_call_of_the_row_begun_first_is_next() -> None:
    """Three rows at one place: the third holds it, the second asks, then the first, who is let in before."""

    class Kept:
        async def keep(self, call: Any) -> None:
            pass

    async def go() -> list[str]:
        go_on = [asyncio.Event() for _ in range(3)]
        held = Listener(wait_for=go_on[2])
        line, journal = Line(1), cast(Journal, Kept())
        asked = Journalled(held, journal, "m", "s", "f", {}, Budget(), line, lambda tokens: None)

        async def row(turn: int) -> None:
            async with row_of(f"row {turn}", turn):
                if turn < 2:
                    await go_on[turn].wait()
                await asked.chat(user(f"row {turn}"))

        tasks = [asyncio.create_task(row(turn)) for turn in range(3)]
        for event in (go_on[1], go_on[0], go_on[2]):
            for _ in range(5):
                await asyncio.sleep(0)
            event.set()
        await asyncio.gather(*tasks)
        return held.heard

    assert asyncio.run(go()) == ["row 2", "row 0", "row 1"]


def test_a_reply_is_the_same_when_it_is_bought_and_when_it_is_remembered() -> None:
    """With the tokens that were drawn, or without; also one that an earlier version wrote down."""
    kept: list[Any] = []

    class Kept:
        async def keep(self, call: Any) -> None:
            kept.append(call)

    @dataclass(frozen=True)
    class Says(Listener):
        reply: Any = None

        async def chat(self, messages: Any, **options: Any) -> list[Completion]:
            return [self.reply]

    async def ask(engine: Any, known: dict[str, str]) -> Any:
        asked = Journalled(
            engine, cast(Journal, Kept()), "m", "s", "f", known, Budget(), Line(1), lambda tokens: None
        )
        async with row_of("row", 0):
            return await asked.chat(user("?"), as_drawn=(2, (5, 6)))

    for more in ({}, {"ids": (3, 4), "stopped": "\n"}, {"logprobs": (-0.5,)}):
        said = Completion(None, "so", "so", "length", 1, 1, **more)
        [bought] = asyncio.run(ask(Says(reply=said), {}))
        call = kept.pop()
        [remembered] = asyncio.run(ask(Listener(wait_for=None), {call.key: call.reply}))
        assert bought == remembered == said and not kept
        before = json.dumps([{**vars(said), "ids": None}]) if not more else call.reply
        assert asyncio.run(ask(Listener(), {call.key: before})) == [said]


def test_a_search_has_more_rounds_where_a_trace_changes_its_mind_more_often() -> None:
    search = RetroSearch(Listener(), MathEqual())
    traces = ["It is 3." + f"\n\n{TRANSITIONS[0]}, no." * n for n in range(5)]
    found = [search.rounds({"thinking": thinking}) for thinking in (None, *traces)]
    assert found[:2] == [0, 0] and found[1:] == sorted(set(found))


def test_rows_are_put_in_order_some_at_a_time() -> None:
    rows = ({"answer": str(i)} for i in range(AT_A_TIME + 2))
    order = [int(row["answer"]) for row in longest_first(Rounds(Listener()), rows)]
    assert order == [*range(AT_A_TIME - 1, -1, -1), AT_A_TIME + 1, AT_A_TIME]
