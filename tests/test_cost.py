"""What a run will cost, what it did cost, and that it stops where its budget ends."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import QUICK, Answer, shop, told

import curate
from curate.budget import Budget, prices
from curate.engines.scripted import Scripted
from curate.engines.server import Server
from curate.errors import BudgetSpent, EngineDown, UserError
from curate.filters.failed import Failed
from curate.journal import Call, Journal
from curate.remember import with_key
from curate.run import Run
from curate.scores.token_logprobs import TokenLogprobs
from curate.step import Completion, Engine, Rewriter, Text, user
from curate.verifiers.math_equal import MathEqual


@dataclass(frozen=True)
class Meter:
    """Every call costs 10 tokens in and 30 out; it notes its calls, and those that were broken off."""

    model: str = "meter"
    concurrency: int = 4
    made: list[str] = field(default_factory=list, compare=False)
    broken_off: list[str] = field(default_factory=list, compare=False)

    @property
    def fingerprint(self) -> str:
        return f"meter {self.model}"

    def describe(self) -> dict[str, Any]:
        return {"engine": "meter", "model": self.model}

    async def __aenter__(self) -> Meter:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def chat(self, messages: Any, *, seed: int | None = None, **options: Any) -> list[Completion]:
        asked = messages[-1]["content"]
        self.made.append(asked)
        try:
            for _ in range(1 + len(asked) % 5):
                await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.broken_off.append(asked)
            raise
        return [Completion("hm", f"so {seed}", "", "stop", 10, 30)]


@dataclass(frozen=True)
class Twice(Rewriter):
    """Two calls at the same time, and a third about both."""

    engine: Engine
    reads = ("question", "response")

    async def ask(self, row: Any) -> Text:
        both = await asyncio.gather(*(self.engine.chat(user(f"{row['response']} {i}")) for i in (0, 1)))
        [last] = await self.engine.chat(user(" ".join(b[0].response for b in both)))
        return Text(None, last.response)


def problems(n: int) -> pl.DataFrame:
    return pl.DataFrame({"question": [f"question {i}" for i in range(n)], "answer": ["1"] * n})


def road(engine: Any, n: int = 20, other: Any = None) -> curate.Pipeline:
    return curate.Pipeline(problems(n), [curate.Sample(engine), Twice(other or engine)])


def spent(out: Path) -> int:
    ledger = pl.read_parquet(out / "ledger.parquet")
    return int((ledger["prompt_tokens"] + ledger["output_tokens"]).sum())


def step(plan: Any, name: str) -> Any:
    return next(s for s in plan.steps if s.name == name)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """The traces of a run that no budget stopped."""
    return road(Meter()).run(tmp_path_factory.mktemp("quiet") / "run").traces.collect()


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 90), st.integers(1, 9))
@pytest.mark.slow
def test_a_budget_is_kept_to_and_what_it_bought_is_never_bought_again(
    quiet: pl.DataFrame, calls: int, width: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        out, engine = Path(folder) / "run", Meter(concurrency=width)
        if calls >= 80:
            run = road(engine).run(out, budget_tokens=40 * 80 + 1)
        else:
            with pytest.raises(BudgetSpent, match="of .* tokens.*with a larger budget to go on"):
                road(engine).run(out, budget_tokens=40 * calls)
            assert spent(out) == 40 * calls
            run = road(engine).run(out)
        assert engine.broken_off == [] and len(engine.made) == 80 == run.ledger["calls"].sum()
        assert run.traces.collect().equals(quiet)


@pytest.mark.parametrize("probe", [None, 5])
def test_a_budget_is_kept_to_from_the_first_call_of_a_step_however_many_go_at_a_time(
    probe: int | None, tmp_path: Path
) -> None:
    pipe = curate.Pipeline(problems(80), [curate.Sample(Meter(concurrency=64))])
    if probe:
        pipe.plan(tmp_path, probe=probe)
    with pytest.raises(BudgetSpent):
        pipe.run(tmp_path, budget_tokens=40 * 20)
    assert spent(tmp_path) == 40 * 20


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 5}, {"completion_tokens": 7}])
def test_a_budget_at_a_server_that_counts_no_tokens_stops_after_one_answer(
    usage: Any, tmp_path: Path
) -> None:
    def answer(nth: int, body: dict[str, Any]) -> Answer:
        return 200, {"choices": [{"message": {"content": "4"}}], "usage": usage}

    with told(answer) as server:
        pipe = curate.Pipeline(problems(20), [curate.Sample(Server("m", url=server.url, **QUICK))])
        for i, bound in enumerate(({"budget_tokens": 100}, {"budget_usd": 1.0, "price": (1, 1)})):
            with pytest.raises(EngineDown, match="'m' do not say how many tokens they cost, so no budget"):
                pipe.run(tmp_path / str(i), **bound)
            assert len(server.bodies) == i + 1
        run = pipe.run(tmp_path / "1", budget_usd=1.0, price=(0, 0))  # what costs nothing needs no count
    assert run.traces.collect().height == 20 == len(server.bodies) - 1, "what was answered is kept"


def test_a_spent_budget_keeps_the_tables_of_the_last_run_and_has_an_exit_code(tmp_path: Path) -> None:
    road(Meter(), 3).run(tmp_path)
    before = Run(tmp_path).traces.collect()
    with pytest.raises(
        BudgetSpent, match=r"^stopped in sample: the budget is spent \(480 of 400 tokens\)"
    ) as e:
        road(Meter(), 5).run(tmp_path, budget_tokens=400)
    assert e.value.exit_code == 3 and Run(tmp_path).traces.collect().equals(before)
    road(Meter(), 3).run(tmp_path, budget_tokens=1)  # all is known, so nothing is bought and nothing stops
    road(Meter(), 5).run(tmp_path, budget_tokens=801)


def test_a_budget_in_money_needs_every_price_and_counts_earlier_runs(tmp_path: Path) -> None:
    teacher, judge = Meter("teacher"), Meter("judge", concurrency=1)
    with pytest.raises(UserError, match="budget_usd needs the price of 'judge'"):
        road(teacher, other=judge).run(tmp_path, budget_usd=1, price={"teacher": (1, 2)})
    assert teacher.made == []
    price = {"teacher": (1.0, 2.0), "judge": (100.0, 0.0)}  # 70 and 1000 millionths of a dollar a call
    with pytest.raises(BudgetSpent, match=r"stopped in twice: .*\(0.0054 of 0.0050 USD\)"):
        road(teacher, other=judge).run(tmp_path, budget_usd=0.005, price=price)
    usd = pl.read_parquet(tmp_path / "ledger.parquet").group_by("engine").agg(pl.col("usd").sum())
    assert dict(usd.rows()) == pytest.approx({"teacher": 20 * 70e-6, "judge": 4 * 1000e-6})
    with pytest.raises(BudgetSpent):  # the folder knows the prices, and what was spent before
        road(teacher, other=judge).run(tmp_path, budget_usd=0.005)
    assert len(judge.made) == 4


def test_a_price_said_later_is_that_of_earlier_calls_too(tmp_path: Path) -> None:
    run = road(Meter(), 4).run(tmp_path)
    assert run.ledger["usd"].null_count() == 2
    run = road(Meter(), 4).run(tmp_path, price=(10, 20))
    assert run.ledger["usd"].sum() == pytest.approx(16 * (10 * 10 + 30 * 20) / 1e6)
    run = road(Meter(), 5).run(tmp_path)  # and the folder remembers it
    assert run.ledger["usd"].sum() == pytest.approx(20 * (10 * 10 + 30 * 20) / 1e6)


@pytest.mark.parametrize(
    ("price", "sentence"),
    [
        ({"metre": (1, 2)}, "'metre', which nothing here asks; did you mean 'meter'"),
        ((1,), r"price=\(1,\) is no price"),
        ((1, -2), "is no price"),
        ((1, "2"), "is no price"),
        (5, "price=5 is no price"),
        ({"meter": 5}, "price=5 is no price"),
        ((float("inf"), 1), r"price=\(inf, 1\) is no price"),
        ((1, float("nan")), "is no price"),
    ],
)
def test_a_price_that_is_none_is_refused(price: Any, sentence: str, tmp_path: Path) -> None:
    for act in (road(Meter()).plan, road(Meter()).run):
        with pytest.raises(UserError, match=sentence):
            act(tmp_path / "run", price=price)


def test_a_budget_of_nothing_is_refused() -> None:
    for name in ("budget_tokens", "budget_usd"):
        with pytest.raises(UserError, match=f"{name}=0 buys nothing"):
            road(Meter()).run("never", **{name: 0})
        for none in (float("nan"), "many", True):
            with pytest.raises(UserError, match=f"{name}={none} buys nothing"):
                road(Meter()).run("never", **{name: none})
    assert prices(None, {"a"}) == {} and not Path("never").exists()


def test_a_probe_asks_a_few_rows_for_the_plan_and_for_the_run(tmp_path: Path) -> None:
    engine = Meter()
    plan = road(engine).plan(tmp_path, probe=3, price=(10, 20))
    assert len(engine.made) == 3 * 4 and not (tmp_path / "live.parquet").exists()
    sample, twice = step(plan, "sample"), step(plan, "twice")
    assert (sample.known, sample.new, sample.tokens) == (3, 17, 17 * 40)
    assert (twice.new, twice.at_most, twice.tokens) == (20, True, 20 * 3 * 40)
    assert sample.usd == pytest.approx(17 * 700e-6) and twice.usd == pytest.approx(60 * 700e-6)
    assert plan.cost["tokens"] == 17 * 40 + 20 * 120 and plan.cost["usd"] == pytest.approx(77 * 700e-6)
    last = str(plan).splitlines()[-1]
    assert last.split()[:6] == ["in", "all", "≥", "3", "≤", "37"] and json.dumps(plan.as_json())
    road(engine).run(tmp_path)
    assert len(engine.made) == 80, "the probe's answers were bought again"
    assert "≥" not in str(road(engine).plan(tmp_path)) and "≤" not in str(road(engine).plan(tmp_path))


@pytest.mark.parametrize("calls", [5, 20])
def test_the_seconds_of_a_step_are_those_in_which_its_engine_is_there(
    calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("curate.writer.time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Meter):
        async def __aenter__(self) -> Meter:
            now[0] += 1000
            return self

        async def __aexit__(self, *exc: object) -> None:
            now[0] += 1000

        async def chat(self, *asked: Any, **options: Any) -> list[Completion]:
            now[0] += 1
            return await super().chat(*asked, **options)

    sampled = curate.Pipeline(problems(20), [curate.Sample(Slow(concurrency=1))])
    if calls < 20:
        with pytest.raises(BudgetSpent):
            sampled.run(tmp_path, budget_tokens=40 * calls)
    else:
        sampled.run(tmp_path)
    assert pl.read_parquet(tmp_path / "ledger.parquet")["seconds"].to_list() == [calls]


def test_a_score_pays_for_its_prompt_as_for_its_text(tmp_path: Path) -> None:
    traces = pl.DataFrame({"question": ["one two three"], "response": ["four five"]})
    model = Scripted(model="m", script=lambda messages: "four five")
    run = curate.Pipeline(traces, [TokenLogprobs(model)]).run(tmp_path, price=(1e6, 0))
    paid = run.ledger.row(0, named=True)
    assert (paid["prompt_tokens"], paid["output_tokens"], paid["usd"]) == (3 + 2, 0, 5.0)


def test_a_probe_leaves_the_tables_of_a_finished_run_alone(tmp_path: Path) -> None:
    before = road(Meter(), 10).run(tmp_path)
    tables = {p.name: p.read_bytes() for p in tmp_path.glob("*.parquet")}
    plan = road(Meter("another"), 10).plan(tmp_path, probe=2)
    after = {p.name: p.read_bytes() for p in tmp_path.glob("*.parquet")}
    assert {n for n in tables if tables[n] != after[n]} == {"ledger.parquet"}
    assert step(plan, "sample").tokens == 8 * 40 and before.traces.collect().height == 10


def bought(out: Path, step: Any, rows: pl.LazyFrame, calls: int) -> Journal:
    """The folder as a kill leaves it: so many calls of each of these rows are kept, and no answer; open."""
    keys = with_key(step, rows).collect()["key"]
    of_step = step.fingerprint, "meter", 10, 30, 700e-6
    reply = json.dumps([{"prompt_tokens": 10, "output_tokens": 30}])
    journal = Journal(out / "journal.sqlite")

    async def keep() -> None:
        for key, i in product(keys, range(calls)):
            await journal.keep(Call(f"{key} {i}", step.name, key, reply, *of_step))

    asyncio.run(keep())
    return journal


@pytest.mark.parametrize("finished", [0, 3])
def test_a_plan_counts_the_samples_that_a_killed_run_has_bought(finished: int, tmp_path: Path) -> None:
    if finished:
        road(Meter(), finished).run(tmp_path, price=(10, 20))
    rows = problems(finished + 4)[finished:].lazy().with_columns(sample=pl.lit(0, pl.Int64))
    with closing(bought(tmp_path, curate.Sample(Meter()), rows, 1)):
        before = {p: p.read_bytes() for p in tmp_path.glob("*.sqlite")}
        plan = road(Meter()).plan(tmp_path)
        assert {p: p.read_bytes() for p in tmp_path.glob("*.sqlite")} == before
        all_of_them = road(Meter(), finished + 4).plan(tmp_path)
    sample = step(plan, "sample")
    assert (sample.known, sample.new, sample.tokens) == (finished + 4, 16 - finished, (16 - finished) * 40)
    assert sample.usd == pytest.approx((16 - finished) * 700e-6) and (sample.seconds is None) == (
        not finished
    )
    assert (step(all_of_them, "sample").new, step(all_of_them, "twice").at_most) == (0, True)


def test_a_plan_counts_what_the_calls_of_unfinished_rows_have_cost(tmp_path: Path) -> None:
    road(Meter(), 5).run(tmp_path)
    live = curate.Pipeline(problems(8), [curate.Sample(Meter())]).run(tmp_path).traces
    bought(tmp_path, Twice(Meter()), live.tail(2), 2).close()
    names = {p.name for p in tmp_path.iterdir()}
    twice = step(road(Meter(), 8).plan(tmp_path), "twice")
    assert (twice.known, twice.new, twice.tokens) == (5, 3, 3 * 120 - 4 * 40)
    assert {p.name for p in tmp_path.iterdir()} == names, "reading made no file"


def test_a_probe_needs_a_folder(tmp_path: Path) -> None:
    for arguments in ({"probe": 4}, {"probe": 0, "out": tmp_path}):
        with pytest.raises(UserError, match="needs a run folder"):
            road(Meter()).plan(**arguments)


def test_without_a_ledger_a_cost_is_unknown_and_not_nothing(tmp_path: Path) -> None:
    plan = road(Meter()).plan()
    assert plan.cost == {"tokens": None, "seconds": None, "usd": None} and "?" in str(plan)
    road(Meter()).run(tmp_path)
    assert road(Meter()).plan(tmp_path).cost == {"tokens": 0, "seconds": 0, "usd": 0}


def test_a_step_that_asks_nobody_counts_no_tokens_before_it_has_answered(tmp_path: Path) -> None:
    road(Meter(), 5).run(tmp_path)
    sampled, twice = road(Meter()).steps
    plan = curate.Pipeline(problems(20), [sampled, MathEqual(), twice]).plan(tmp_path)
    judged = step(plan, "math_equal")
    assert (judged.new, judged.tokens, judged.seconds) == (20, 0, None)
    assert plan.cost == {"tokens": 15 * 40 + 20 * 120, "seconds": None, "usd": None}
    assert str(plan).splitlines()[-1].split()[-2:] == ["~3,000", "?"]
    unknown = curate.Pipeline(problems(20), [sampled, MathEqual(), twice]).plan()
    assert unknown.cost["tokens"] is None and "in all" not in str(unknown)


def test_few_rows_take_as_long_as_one_round_of_the_engine(tmp_path: Path) -> None:
    road(Meter(concurrency=4), 8).run(tmp_path)
    ledger = pl.read_parquet(tmp_path / "ledger.parquet").with_columns(seconds=pl.lit(10.0))
    ledger.write_parquet(tmp_path / "ledger.parquet")  # two rounds of four rows in ten seconds
    for rows, seconds in ((9, 5.0), (12, 5.0), (16, 10.0), (108, 125.0)):
        assert step(road(Meter(concurrency=4), rows).plan(tmp_path), "sample").seconds == pytest.approx(
            seconds
        )


def test_a_ledger_of_an_older_version_gets_its_column(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as db, db:
        db.execute(
            "create table ledger (step text, fingerprint text, engine text, rows_cached int, rows_paid int,"
            " calls int, failed int, prompt_tokens int, output_tokens int, seconds real,"
            " primary key (step, fingerprint, engine)) without rowid"
        )
        db.execute("insert into ledger values ('sample', 'f', 'm', 0, 2, 2, 0, 20, 60, 1.0)")
    with closing(Journal(tmp_path / "journal.sqlite")) as journal:
        assert journal.ledger()["usd"].to_list() == [None]
        assert journal.prices({"m": (1.0, 2.0)}) == {"m": (1.0, 2.0)}
        assert journal.ledger()["usd"].to_list() == [140 / 1e6]


def test_what_a_kept_row_cost_is_one_statement(tmp_path: Path) -> None:
    def say(messages: list[dict[str, str]]) -> str:
        return "\\boxed{1}" if messages[-1]["content"].endswith("0") else "\\boxed{2}"

    steps = [curate.Sample(Scripted(script=say)), MathEqual(), Failed("math_equal")]
    run = curate.Pipeline(problems(20), steps).run(tmp_path / "run", price=(1, 1))
    query = "select sum(usd) / (select count(*) from live) as usd from ledger"
    [(usd,)] = run.sql(query).rows()
    assert run.traces.collect().height == 2 and usd == pytest.approx(20 * 3 / 2 / 1e6)
    card = run.publish(tmp_path / "set").folder / "README.md"
    assert (
        "a kept row cost 20 tokens in, 10 tokens out" in card.read_text()
        and "0.000030 USD." in card.read_text()
    )


def test_a_call_that_is_cancelled_gives_its_place_in_the_budget_back() -> None:
    async def work() -> None:
        budget = Budget(tokens=100)
        budget.open_door(0, 0, 0.0)
        await budget.begin()
        budget.pay("m", 50, 0)
        budget.end()

        async def hold() -> None:
            await budget.begin()
            try:
                await asyncio.sleep(60)
            finally:
                budget.end()

        held = asyncio.create_task(hold())
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(hold()) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        held.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting[1].done() and budget._in_flight == 1
        waiting[1].cancel()
        await asyncio.gather(held, *waiting, return_exceptions=True)
        assert budget._in_flight == 0

    asyncio.run(work())


def test_a_server_that_changes_its_model_under_the_same_name_is_named_and_nothing_is_bought(
    tmp_path: Path,
) -> None:
    def pipeline(url: str, n: int) -> curate.Pipeline:
        return curate.Pipeline(problems(n), [curate.Sample(Server("m", url=url, **QUICK))])

    with shop(root="/models/a") as a, shop(root="/models/b") as b, shop() as silent:
        run = pipeline(a.url, 2).run(tmp_path / "run")
        assert list(run.recipe["served"].values()) == [{"root": "/models/a"}]
        with pytest.raises(
            EngineDown, match="now serves root '/models/b', and the answers in .* are of root"
        ) as e:
            pipeline(b.url, 4).run(tmp_path / "run")
        assert b.sold() == [] and "delete" in str(e.value)
        pipeline(silent.url, 3).run(tmp_path / "run")  # says nothing, so nothing is known against it
        (tmp_path / "run" / "served.json").unlink()
        run = pipeline(b.url, 4).run(tmp_path / "run")
    assert list(run.recipe["served"].values()) == [{"root": "/models/b"}]
    assert run.ledger["calls"].sum() == 4


def test_a_plan_shows_money_where_it_is_known_and_a_sum(tmp_path: Path) -> None:
    assert "USD" not in str(road(Meter()).plan()) and "in all" not in str(road(Meter()).plan())
    plan = road(Meter()).plan(tmp_path, probe=2, price=(10, 20))
    *_, total = str(plan).splitlines()
    assert total.split() == ["in", "all", "≥", "2", "≤", "38", "~3,120", *total.split()[7:9], "~0.05"]
    assert "~0.01" in plan._repr_html_() and ">USD<" in plan._repr_html_()
    assert ">USD<" not in road(Meter()).plan()._repr_html_()
