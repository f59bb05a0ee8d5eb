"""Several turns of one call at a server: what came is paid for once, whatever became of the others."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import QUICK, Answer, ask, told

import curate
from curate.engines.sampling import sample_seed
from curate.engines.server import Server
from curate.errors import EngineDown, RunError, UserError
from curate.schema import Row
from curate.step import Engine, Score, user
from curate.writer import Writer

SEED = 5


@dataclass(frozen=True)
class Thrice(Score):
    """Three turns of one call."""

    engine: Engine
    reads = ("question",)

    @property
    def writes(self) -> dict[str, Any]:
        return {"said": pl.List(pl.String)}

    async def ask(self, row: Row) -> Any:
        turns = await self.engine.chat(user(row["question"]), n=3, seed=SEED)
        return {"said": [turn.text for turn in turns]}


@dataclass
class Till:
    """A server that gives turns in one request or one by one, and counts what it has sold of each question.

    sick: places of the turns of `q0` that have no answer now; withheld: it says so after drawing them.
    """

    honours: bool
    withheld: bool
    sick: set[int]
    usage: bool = True
    tokens: int = 0

    def answer(self, nth: int, body: dict[str, Any]) -> Answer:
        places = range(body["n"]) if self.honours and "n" in body else [SEEDS.index(body["seed"])]
        sick = self.sick if body["messages"][0]["content"] == "q0" else set()
        if not self.withheld and sick & {*places}:
            return 400, "no"
        self.tokens += 5 + 7 * len(places)
        choices = [
            {
                "message": {"content": str(SEEDS[i])},
                "finish_reason": "content_filter" if i in sick else "stop",
            }
            for i in places
        ]
        usage = {"prompt_tokens": 5, "completion_tokens": 7 * len(places)}
        return 200, {"choices": choices, **({"usage": usage} if self.usage else {})}


SEEDS = [sample_seed(SEED, i) for i in range(3)]


def thrice(url: str, rows: int) -> curate.Pipeline:
    problems = pl.DataFrame({"question": [f"q{i}" for i in range(rows)]})
    return curate.Pipeline(problems, [Thrice(Server("m", url=url, concurrency=1, **QUICK))])


def spent(out: Path) -> int:
    return int(
        pl.read_parquet(out / "ledger.parquet").select(pl.col("^.*_tokens$").sum()).sum_horizontal()[0]
    )


@settings(deadline=None, max_examples=12)
@given(st.booleans(), st.booleans(), st.lists(st.sets(st.integers(0, 2)), max_size=3), st.booleans())
def test_what_came_is_bought_once_and_all_that_was_sold_is_in_the_ledger(
    honours: bool, withheld: bool, sick: list[set[int]], budget: bool
) -> None:
    """Run after run other turns are missing, then none."""
    import tempfile

    till = Till(honours, withheld, set())
    more = {"budget_tokens": 10_000} if budget else {}
    with told(till.answer) as server, tempfile.TemporaryDirectory() as folder:
        out, came = Path(folder) / "run", set()
        for till.sick in [*sick, set()]:
            server.bodies.clear()
            run = thrice(server.url, 3).run(out, **more)
            asked = [b for b in server.bodies if b["messages"][0]["content"] == "q0"]
            alone = [SEEDS.index(b["seed"]) for b in asked if "n" not in b]
            assert not came & {*alone}, "a turn that had come was asked again"
            assert spent(out) == till.tokens, "what was sold and what was counted differ"
            first = any("n" in b for b in asked) and (
                withheld or not till.sick & {*range(3 if honours else 1)}
            )
            came |= {
                i for i in (*alone, *(range(3 if honours else 1) if first else ())) if i not in till.sick
            }
            plan = thrice(server.url, 3).plan(out)
            assert plan.steps[0].known == 3 - (len(came) < 3)
            said = run.traces.select("question", "said").collect().rows()
            assert {q for q, _ in said} >= {"q1", "q2"} and len(said) == 2 + (len(came) == 3)
            assert all(turns == [*map(str, SEEDS)] for _, turns in said)


@pytest.mark.parametrize(("status", "sold", "left"), [(400, 2, [1]), (401, 1, [1, 2])])
def test_of_turns_asked_one_by_one_those_that_came_are_not_bought_again(
    status: int, sold: int, left: list[int], tmp_path: Path
) -> None:
    """The second has no answer: its row fails, or the run stops there."""
    till = Till(honours=False, withheld=False, sick={1})

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        found = till.answer(nth, body)
        return (status, "no") if found and found[0] == 400 else found

    with told(answer) as server:
        with pytest.raises(UserError):
            thrice(server.url, 1).run(tmp_path, price=(1, 1))
        paid = pl.read_parquet(tmp_path / "ledger.parquet").row(0, named=True)
        assert (paid["calls"], paid["prompt_tokens"], paid["output_tokens"]) == (1, 5 * sold, 7 * sold)
        till.sick.clear()
        server.bodies.clear()
        run = thrice(server.url, 1).run(tmp_path, price=(1, 1))
        assert [body["seed"] for body in server.bodies] == [SEEDS[i] for i in left]
    assert run.traces.collect()["said"].to_list() == [[*map(str, SEEDS)]]
    paid = run.ledger.row(0, named=True)
    assert (paid["calls"], paid["prompt_tokens"], paid["output_tokens"], paid["usd"]) == (2, 15, 21, 36e-6)


def test_a_server_that_tells_no_tokens_stops_a_run_with_a_budget_also_where_a_turn_fails(
    tmp_path: Path,
) -> None:
    till = Till(honours=False, withheld=False, sick={1}, usage=False)
    with told(till.answer) as server:
        with pytest.raises(EngineDown, match="do not say how many tokens"):
            thrice(server.url, 3).run(tmp_path, budget_tokens=1_000)


def test_a_withheld_turn_is_a_failure_that_says_what_came_and_what_it_cost() -> None:
    till = Till(honours=True, withheld=True, sick={0})
    with told(till.answer) as server:
        [error] = ask(server.url, {"messages": user("q0"), "n": 3, "seed": SEED})
    assert [turn and turn.text for turn in error.paid] == [None, str(SEEDS[1]), str(SEEDS[2])]
    assert error.spent == (5, 21)


def test_a_row_that_nobody_answers_or_sets_aside_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would stand in the tables with nulls, and no reason."""
    keep, lost = Writer.answer, iter([True])
    monkeypatch.setattr(Writer, "answer", lambda *answer: next(lost, False) or keep(*answer))
    with told(Till(honours=True, withheld=False, sick=set()).answer) as server:
        with pytest.raises(RunError, match="thrice neither answered nor set aside 1 of 3 rows"):
            thrice(server.url, 3).run(tmp_path)
