"""The journal: what is kept, what is forgotten, and who waits for it."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.errors import BudgetSpent, CallFailed, EngineDown, RunError
from curate.journal import AT_ONCE, Call, Journal
from curate.step import Completion, Engine, Rewriter, Text, user


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with closing(Journal(tmp_path / "journal.sqlite")) as opened:
        yield opened


def call(number: int, row: str = "r", usd: float | None = None, engine: str = "m") -> Call:
    return Call(f"key {number}", "sample", row, f"reply {number}", "f", engine, 10, number, usd)


def keep(journal: Journal, *calls: Call) -> None:
    async def all_at_once() -> None:
        await asyncio.gather(*map(journal.keep, calls))

    asyncio.run(all_at_once())


def test_a_group_larger_than_a_statement_is_kept_whole_and_in_order(journal: Journal) -> None:
    calls = [call(i) for i in range(2 * AT_ONCE + 1)]
    keep(journal, *calls)
    assert list(journal.replies("sample").items()) == [(c.key, c.reply) for c in calls]
    assert journal.ledger()["calls"].to_list() == [len(calls)]


def test_a_call_that_cannot_be_kept_is_an_error_and_no_wait(journal: Journal) -> None:
    with pytest.raises(OverflowError):
        keep(journal, call(1)._replace(prompt_tokens=1 << 80))
    keep(journal, call(2))
    assert set(journal.replies("sample")) == {"key 2"}


def test_a_door_without_a_call_settles_behind_another_that_had_some(journal: Journal) -> None:
    keep(journal, call(1))
    asyncio.run(journal.settled())  # another loop: that of the call is closed
    assert set(journal.replies("sample")) == {"key 1"}


def test_forgotten_are_the_calls_of_the_row_and_no_others_also_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(Journal(path)) as journal:
        keep(journal, *(call(i, row=f"row {i % 3}") for i in range(9)))
        journal.forget("sample", ["row 1"])
        journal.forget("other", ["row 0"])
    with closing(Journal(path)) as journal:
        keep(journal, call(9, row="row 2"))
        assert set(journal.replies("sample")) == {f"key {i}" for i in (0, 2, 3, 5, 6, 8, 9)}
        journal.forget("sample", ["row 2"])
        assert set(journal.replies("sample")) == {f"key {i}" for i in (0, 3, 6)}


def test_the_ledger_has_a_line_for_each_engine_and_money_only_where_a_price_is_known(
    journal: Journal,
) -> None:
    keep(journal, call(1), call(2, usd=0.5, engine="n"), call(3, engine="n"), call(4, usd=0.25, engine="n"))
    keep(journal, call(5), call(6, usd=1.0, engine="n"))
    lines = journal.ledger().select("engine", "calls", "prompt_tokens", "output_tokens", "usd").rows()
    assert lines == [("m", 2, 20, 6, None), ("n", 4, 40, 15, 1.75)]


def test_calls_of_a_folder_that_was_begun_with_an_earlier_version_are_found(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as db, db:
        columns = "key text primary key, step text, row text, reply text"
        db.execute(f"create table calls ({columns}) without rowid")
        db.execute("create index calls_by_step on calls (step, row)")
        db.execute("insert into calls values ('k', 'sample', 'r', 'said')")
    for _ in range(2):
        with closing(Journal(path)) as journal:
            assert journal.replies("sample") == {"k": "said"}
    with closing(Journal(path)) as journal:
        journal.replies("sample")
        journal.forget("sample", ["r"])
        assert journal.replies("sample") == {}


@dataclass(frozen=True)
class Narrow:
    """Takes two calls at a time; from the third on it says so."""

    model: str = "narrow"
    concurrency: int = 2
    third: threading.Event = field(default_factory=threading.Event, compare=False)
    seen: list[int] = field(default_factory=lambda: [0, 0, 0], compare=False)  # calls, in flight, the most

    @property
    def fingerprint(self) -> str:
        return "narrow"

    def describe(self) -> dict[str, Any]:
        return {"engine": "narrow", "model": self.model}

    async def __aenter__(self) -> Narrow:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def chat(self, messages: Sequence[dict[str, str]], **options: Any) -> list[Completion]:
        self.seen[0] += 1
        self.seen[1] += 1
        self.seen[2] = max(self.seen[1:])
        if self.seen[0] == 3:
            self.third.set()
        await asyncio.sleep(0.001)
        self.seen[1] -= 1
        return [Completion(None, "yes", "yes", "stop", 1, 1)]


def test_an_engine_never_waits_for_the_disk_nor_has_more_calls_than_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, insert, waited = Narrow(), Journal._insert, []

    def slow_disk(journal: Journal, calls: Sequence[Call]) -> None:
        waited.append(engine.third.wait(timeout=20))
        insert(journal, calls)

    monkeypatch.setattr(Journal, "_insert", slow_disk)
    (tmp_path / "problems.jsonl").write_text('{"question": "is it?"}\n')
    problems = curate.read(str(tmp_path / "problems.jsonl"))
    run = curate.Pipeline(problems, [curate.Sample(engine, n=12)]).run(tmp_path / "run")
    assert run.traces.collect().height == engine.seen[0] == 12
    assert all(waited), "the third call began only after the first two were on disk"
    assert engine.seen[2] == 2


def test_calls_of_rows_that_are_answered_are_forgotten_when_a_door_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(problems: int) -> curate.run.Run:
        rows = pl.DataFrame({"question": [f"question {i}" for i in range(problems)]})
        return curate.Pipeline(curate.read(rows), [curate.Sample(Narrow(), n=2)]).run(tmp_path)

    with monkeypatch.context() as killed:
        killed.setattr(Journal, "forget", lambda *_: None)  # after the part was written, before this
        run(3)
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert len(journal.replies("sample")) == 6
        keep(journal, call(1, row="of a row that is not answered"))
    run(4)
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert set(journal.replies("sample")) == {"key 1"}
        assert journal.ledger()["calls"].sum() == 8 + 1, "nothing was bought twice for that"


@dataclass(frozen=True)
class Dying(Narrow):
    """Sells three answers; then no call can succeed."""

    concurrency: int = 4

    async def chat(self, messages: Sequence[dict[str, str]], **options: Any) -> list[Completion]:
        self.seen[0] += 1
        number = self.seen[0]
        await asyncio.sleep(0.02 * number)  # the second and the third come while the first is written down
        if number < 4:
            return [Completion(None, "yes", "yes", "stop", 1, 1)]
        threading.Timer(0.2, self.third.set).start()
        raise EngineDown("it died")


def test_what_was_bought_is_kept_where_the_engine_dies_while_the_disk_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, insert = Dying(), Journal._insert

    def slow_disk(journal: Journal, calls: Sequence[Call]) -> None:
        engine.third.wait(timeout=20)
        insert(journal, calls)

    monkeypatch.setattr(Journal, "_insert", slow_disk)
    rows = curate.read(pl.DataFrame({"question": [f"question {i}" for i in range(4)]}))
    with pytest.raises(EngineDown):
        curate.Pipeline(rows, [curate.Sample(engine, n=1)]).run(tmp_path)
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert len(journal.replies("sample")) == 3


@dataclass(frozen=True)
class AtOnce(Rewriter):
    """Makes the calls that its row's response names, all at once."""

    engine: Engine
    grouped: bool = False
    reads = ("response",)

    async def ask(self, row: Any) -> Text:
        asked = [self.engine.chat(user(word)) for word in row["response"].split()]
        if self.grouped:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(call) for call in asked]
            said = [await task for task in tasks]
        else:
            said = await asyncio.gather(*asked)
        return Text(None, " ".join(reply.response for [reply] in said))


@dataclass(frozen=True)
class Shop(Narrow):
    """Says yes, at once to `quick` and later to the others; what is in `refused` fails."""

    concurrency: int = 8
    refused: dict[str, Exception] = field(default_factory=dict, compare=False)
    made: list[str] = field(default_factory=list, compare=False)
    ended: list[str] = field(default_factory=list, compare=False)

    async def chat(self, messages: Sequence[dict[str, str]], **options: Any) -> list[Completion]:
        word = messages[-1]["content"]
        self.made.append(word)
        if word in self.refused:
            raise self.refused[word]
        await asyncio.sleep(0 if word == "quick" else 0.1)
        self.ended.append(word)
        return [Completion(None, "yes", "yes", "stop", 1, 1)]


def at_once(shop: Shop, rows: list[str], *, grouped: bool = False) -> curate.Pipeline:
    table = pl.DataFrame({"question": [f"question {i}" for i in range(len(rows))], "response": rows})
    return curate.Pipeline(table, [AtOnce(shop, grouped)])


def test_calls_in_flight_when_another_of_their_row_fails_are_kept_and_never_bought_again(
    tmp_path: Path,
) -> None:
    shop = Shop(refused={"bad": CallFailed("no")})
    for times in (1, 2):
        run = at_once(shop, ["quick", "good bad fine"]).run(tmp_path)
        assert sorted(shop.made) == sorted(["quick", "good", "fine", *times * ["bad"]])
        assert sorted(shop.ended) == ["fine", "good", "quick"]
        assert run.ledger.select("calls", "failed").rows() == [(3, times)]
    del shop.refused["bad"]
    assert at_once(shop, ["quick", "good bad fine"]).run(tmp_path).ledger["calls"].to_list() == [4]


def test_a_call_that_waits_for_a_place_when_its_row_fails_is_not_bought(tmp_path: Path) -> None:
    shop = Shop(refused={"bad": CallFailed("no")}, concurrency=1)
    run = at_once(shop, ["quick", "bad good fine"]).run(tmp_path)
    assert sorted(shop.made) == ["bad", "good", "quick"], "`good` had the place before anybody knew"
    assert run.ledger["calls"].to_list() == [2]


def test_calls_in_flight_when_the_run_stops_are_broken_off_and_not_waited_for(tmp_path: Path) -> None:
    shop = Shop(refused={"bad": EngineDown("it is gone")})
    with pytest.raises(EngineDown, match="^it is gone$"):
        at_once(shop, ["quick", "good bad"]).run(tmp_path)
    assert "good" in shop.made and "good" not in shop.ended


def test_an_error_in_a_task_group_of_a_step_is_what_it_is_alone(tmp_path: Path) -> None:
    shop = Shop(refused={"bad": CallFailed("no")})
    run = at_once(shop, ["quick", "good bad"], grouped=True).run(tmp_path / "failed")
    assert sorted(run.dropped.collect()["why"]) == ["call failed: no", "rewritten"]
    with pytest.raises(BudgetSpent):
        at_once(Shop(), ["a b", "c d"], grouped=True).run(tmp_path / "spent", budget_tokens=2)
    bug = Shop(refused={"bad": CallFailed("no"), "bug": KeyError("oh")})
    with pytest.raises(RunError, match="failed on the row with .*: KeyError: 'oh'"):
        at_once(bug, ["bad bug"], grouped=True).run(tmp_path / "bug")
