"""The run: what it counts, what it remembers, what it refuses."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import importlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate
from curate.attempts import Attempts
from curate.engines.scripted import Scripted
from curate.errors import CallFailed, EngineDown, InputError, RunError, UserError
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.shortest_k import ShortestK
from curate.filters.truncated import Truncated
from curate.rewriters.difficulty_aware import DifficultyAware
from curate.rewriters.retro_search import RetroSearch
from curate.run import Run
from curate.step import Completion, Filter, Rewriter, Score, Text, Verdict, Verifier
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual


@dataclass(frozen=True)
class Counting:
    """An engine whose answer depends on the seed alone; it counts its calls and can fail."""

    model: str = "counting"
    concurrency: int = 16
    fail_on: str = ""
    down: bool = False
    calls: list[str] = field(default_factory=list, compare=False)

    @property
    def fingerprint(self) -> str:
        return "counting-1"

    def describe(self) -> dict[str, Any]:
        return {"kind": "counting", "model": self.model}

    async def __aenter__(self) -> Counting:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def chat(
        self, messages: Sequence[dict[str, str]], *, seed: int | None = None, **options: Any
    ) -> list[Completion]:
        await asyncio.sleep(0)
        question = messages[-1]["content"]
        self.calls.append(question)
        if self.down:
            raise EngineDown("the server is gone")
        if self.fail_on and self.fail_on in question:
            raise CallFailed("the server said 500")
        assert seed is not None
        number = seed % 4
        return [Completion("hm " * number, f"it is {number}", "", "stop", 7, number + 2)]


@dataclass(frozen=True)
class Says(Verifier):
    """The response ends in the answer."""

    timeout_s: float = 1.0
    reads = ("response", "answer")

    def row(self, row: Any) -> Verdict:
        if row["answer"] == "hang":
            while True:
                pass
        return Verdict(row["response"].endswith(row["answer"]), "equal")


@dataclass(frozen=True)
class Wrong(Filter):
    """Rows that `says` fails or abstains from."""

    reads = ("says",)

    def expr(self) -> pl.Expr:
        passed = pl.col("says").struct.field("passed")
        why = pl.col("says").struct.field("why")
        return pl.when(passed.fill_null(False).not_()).then(pl.format("says: {}", why))


@dataclass(frozen=True)
class Shorter(Rewriter):
    """Drops the thinking, where there is some."""

    word: str = "ok"
    reads = ("thinking", "response")

    def row(self, row: Any) -> Text | None:
        return Text(self.word, row["response"]) if row["thinking"] else None


@dataclass(frozen=True)
class Length(Score):
    """Characters of the response."""

    reads = ("response",)

    def expr(self) -> pl.Expr:
        return pl.col("response").str.len_chars().alias("length")


def problems(n: int, answer: str = "1") -> pl.DataFrame:
    return pl.DataFrame({"question": [f"question {i}" for i in range(n)], "answer": [answer] * n})


def road(engine: Counting, rows: pl.DataFrame, n: int = 3) -> curate.Pipeline:
    steps = [
        curate.Sample(engine, n=n),
        Says(),
        Wrong(),
        Length(),
        Shorter(),
        Says(),
        Wrong(),
        ExactDuplicates(),
    ]
    return curate.Pipeline(rows, steps)


def test_every_row_is_live_or_dropped_with_a_reason(tmp_path: Path) -> None:
    run = road(Counting(), problems(20)).run(tmp_path / "run")
    live, dropped = run.traces.collect(), run.dropped.collect()
    funnel = run.funnel().table
    assert len(live) + len(dropped) == funnel["rows_in"][0] + funnel["born"].sum()
    assert funnel["rows_out"].to_list()[:-1] == funnel["rows_in"].to_list()[1:]
    assert dropped["why"].null_count() == 0 and dropped["dropped_by"].null_count() == 0
    assert set(dropped["dropped_by"]) >= {"sample", "wrong", "shorter"}
    assert live["says"].struct.field("passed").all()
    parents = dropped.filter(pl.col("why") == "rewritten")
    children = live.filter(pl.col("parent_id").is_not_null())
    assert set(children["parent_id"]) <= set(parents["trace_id"]) and children[
        "thinking"
    ].unique().to_list() == ["ok"]
    assert children["length"].null_count() == len(children), "a child's scores start empty"


def test_a_run_that_keeps_no_row_says_which_step_dropped_most(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pl.DataFrame({"question": ["a", "b", "c"], "answer": ["1"] * 3, "response": ["1", "2", "3"]})

    @dataclass(frozen=True)
    class Rest(Filter):
        def expr(self) -> pl.Expr:
            return pl.lit("it was left")

    for steps, said in (([Exact()], 0), ([Exact(), Failed("exact"), Rest()], 1)):
        caplog.clear()
        curate.Pipeline(rows, steps).run(tmp_path / f"run{said}")
        found = [r.getMessage() for r in caplog.records if "no row is left" in r.getMessage()]
        assert len(found) == said
    assert found[0].startswith("no row is left: failed dropped most, 2 of 3 rows, most ")
    caplog.clear()
    sampled = [curate.Sample(Counting(fail_on="question 0")), Exact(), Failed("exact")]
    curate.Pipeline(problems(4, "none"), sampled).run(tmp_path / "sampled")
    assert "no row is left: failed dropped most, 3 of 3 rows, most often with 'exact: " in caplog.text


@pytest.mark.parametrize(
    "there", [["notes.txt"], ["README.md", "data", "recipe.json"], ["scratch", "a", "b"]]
)
def test_a_folder_of_other_files_is_refused_and_left_as_it_is(there: list[str], tmp_path: Path) -> None:
    for name in there:
        (tmp_path / "mine" / name).mkdir(parents=True)
    shown = ", ".join(n for n in there if n not in ("recipe.json", "scratch"))
    nothing = curate.Pipeline(problems(1), [])
    for go in (nothing.plan, nothing.run):
        with pytest.raises(InputError) as refused:
            go(tmp_path / "mine")
        assert str(refused.value).startswith(
            f"{tmp_path / 'mine'} is no run folder, and it is not empty: it holds "
        )
        assert shown in str(refused.value) and str(tmp_path / "mine" / "run") in str(refused.value)
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == sorted(there)


def test_a_run_folder_is_one_whatever_lies_beside_or_was_deleted(tmp_path: Path) -> None:
    nothing = curate.Pipeline(problems(1), [])
    (tmp_path / ".gitignore").write_text("*")
    nothing.run(tmp_path)
    made = {p.name for p in tmp_path.iterdir()}
    for name in ("begun.json", "journal.sqlite"):
        (tmp_path / name).unlink()
    nothing.run(tmp_path)  # knows by their names what a run makes
    (tmp_path / "notes.txt").write_text("mine")
    nothing.run(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == made | {"notes.txt"}


def test_tables_of_a_run_with_a_step_that_is_gone_are_told_before_they_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = pl.DataFrame({"question": ["a", "b"], "answer": ["1"] * 2, "response": ["1", "2"]})

    def said(*steps: Any) -> list[str]:
        caplog.clear()
        curate.Pipeline(rows, steps).run(tmp_path / "run")
        return [r.getMessage() for r in caplog.records if "written anew" in r.getMessage()]

    assert said(Exact()) == [] == said(Exact(), Failed("exact")), "a recipe that grows goes on"
    assert len(said(Exact(), Failed("exact", abstained="drop"))) == 1, "fields may change"
    [line] = said(Exact(), Truncated())
    assert line.startswith(f"the tables in {tmp_path / 'run'} are of a run that also had failed: they are")
    (tmp_path / "run" / "recipe.json").write_text("{")
    assert said(Exact()) == [], "what is damaged is written anew"


def test_tables_of_a_run_with_another_setting_are_told_before_they_go(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def said(n: int, take: int | None = None, keep: int = 1, **sampling: Any) -> str:
        caplog.clear()
        steps = [curate.Sample(Scripted(script=["1"], **sampling), n=n), Exact(), ShortestK(keep)]
        pipeline = curate.Pipeline(problems(3), steps)
        (pipeline if take is None else pipeline.head(take)).run(tmp_path / "run")
        return " | ".join(r.getMessage() for r in caplog.records if "written anew" in r.getMessage())

    kept = "and every answer is kept, and used where the same is asked again"
    begin = f"the tables in {tmp_path / 'run'} are of a run with"
    assert said(1) == "" == said(1)
    assert said(2) == f"{begin} sample.n 1, now 2: they are written anew, {kept}"
    warm = said(2, temperature=0.5)
    heat = "sample.engine.sampling.temperature"
    assert warm == f"{begin} {heat} 1.0, now 0.5: they are written anew (asked anew: sample), {kept}"
    assert said(2).endswith(f"{heat} 0.5, now 1.0: they are written anew, {kept}"), "it is all known"
    assert said(2, take=2, keep=2) == (
        f"{begin} all problems, now 2, shortest_k.k 1, now 2: they are written anew, {kept}"
    )
    assert said(2, keep=2).startswith(f"{begin} 2 problems, now all: they are written anew")


LONG = "{question}" * 8


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("Q: {question}", "P: {question}", "Q: {question}, now P: {question}"),
        ("{question}" + "x" * 60, "{question}y", f"{{question}}{'x' * 47}…, now {{question}}y"),
        (
            "{question}" * 8 + "?",
            "{question}" * 8 + "!",
            "…" + "{question}" * 2 + "?, now …{question}{question}!",
        ),
        (
            "{question}" * 8,
            "{question}" * 8 + "\nso",
            r"…{question}{question}, now …{question}{question}\nso",
        ),
    ],
)
def test_of_long_settings_it_is_shown_where_they_part(
    was: str, now: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for prompt in (was, now):
        teacher = curate.Sample(Scripted(script=["1"]), prompt=prompt)
        curate.Pipeline(problems(1), [teacher]).run(tmp_path / "run")
    [line] = [m for m in caplog.messages if "written anew" in m]
    assert f" with sample.prompt {said}: they are written anew (" in line


def test_what_counts_for_a_fingerprint_is_another_setting_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def said(folder: str, *steps: Any) -> str:
        caplog.clear()
        rows = problems(2).with_columns(response=pl.lit("1"))
        curate.Pipeline(rows, steps).run(tmp_path / folder)
        return " | ".join(m for m in caplog.messages if "written anew" in m)

    def written(**fields: Any) -> DifficultyAware:
        return DifficultyAware(Scripted(script=["x"]), MathEqual(), **fields)

    def searched(**fields: Any) -> RetroSearch:
        return RetroSearch(Scripted(script=["x"]), MathEqual(timeout_s=fields.pop("s", 5.0)), **fields)

    assert said("a", written(retries=3)) == ""
    assert "difficulty_aware.retries 3, now 5: they are written anew (asked" in said("a", written(retries=5))
    assert said("b", searched()) == "" == said("b", searched(window=2))
    more = said("b", searched(n_rollouts=2, s=6.0))
    assert "of a run with retro_search.verifier.timeout_s 5.0, now 6.0, retro_search.n_rollouts 1, n" in more
    assert "window" not in more and said("b", searched(n_rollouts=2, s=6.0)) == ""

    def asked(*names: str) -> Attempts:
        return Attempts(tuple(Scripted(name, script=["1"]) for name in names), verifier=Exact(), n=1)

    def drawn(*names: str) -> str:
        caplog.clear()
        curate.Pipeline(problems(2), [asked(*names)]).run(tmp_path / "c")
        return " | ".join(m for m in caplog.messages if "written anew" in m)

    assert drawn("a", "b") == "" and "attempts.engine[1].model b, now c: they" in drawn("a", "c")
    assert "attempts.engine[1].engine scripted, now None, attempts.engine[1].model c, now None" in drawn("a")


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    engine = Counting()
    road(engine, problems(10)).run(tmp_path / "run")
    first = (tmp_path / "run" / "live.parquet").read_bytes()
    asked = len(engine.calls)
    run = road(engine, problems(10)).run(tmp_path / "run")
    assert asked == 30 and len(engine.calls) == 30
    assert (tmp_path / "run" / "live.parquet").read_bytes() == first
    sample = run.ledger.row(by_predicate=pl.col("step") == "sample", named=True)
    assert (sample["rows_cached"], sample["rows_paid"], sample["calls"]) == (30, 30, 30)
    assert sample["prompt_tokens"] == 7 * 30


def test_the_bar_of_a_first_run_says_of_rows_alike_that_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = curate.Pipeline(problems(10), [curate.Sample(Counting(), n=3), Says()]).run(tmp_path / "run")
    says = run.ledger.row(by_predicate=pl.col("step") == "says", named=True)
    assert says["rows_cached"] + says["rows_paid"] == 30 and says["rows_paid"] <= 4
    drawn = capsys.readouterr().err
    assert f"known or alike {says['rows_cached'] / 30:.0%}]" in drawn and "known or alike 0%]" in drawn


def test_a_changed_field_asks_only_what_changed(tmp_path: Path) -> None:
    engine = Counting()
    road(engine, problems(10), n=2).run(tmp_path / "run")
    run = road(engine, problems(10), n=5).run(tmp_path / "run")
    assert len(engine.calls) == 50, "samples 0 and 1 were known"
    fingerprints = set(run.ledger["fingerprint"])
    changed = curate.Pipeline(
        problems(10), [*road(engine, problems(10), n=5).steps[:4], Shorter("fine"), Says()]
    )
    again = changed.run(tmp_path / "run")
    assert len(engine.calls) == 50
    assert set(again.ledger["fingerprint"]) - fingerprints == {Shorter("fine").fingerprint}


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = tmp_path_factory.mktemp("in_order")
    return road(Counting(concurrency=3), problems(8)).run(folder / "run").traces.collect()


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(st.permutations(range(8)), st.integers(1, 20))
def test_neither_the_order_of_rows_nor_the_width_changes_a_trace(
    in_order: pl.DataFrame, order: list[int], width: int
) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run = road(Counting(concurrency=width), problems(8)[order]).run(Path(folder) / "run")
        other = run.traces.collect()
    assert in_order.sort("trace_id").equals(other.sort("trace_id"))


def test_a_failed_call_is_set_aside_and_asked_again(tmp_path: Path) -> None:
    run = road(Counting(fail_on="question 3"), problems(5)).run(tmp_path / "run")
    failed = run.dropped.filter(pl.col("why").str.starts_with("call failed")).collect()
    assert failed["question"].to_list() == ["question 3"] * 3 and "500" in failed["why"][0]
    mended = Counting()
    run = road(mended, problems(5)).run(tmp_path / "run")
    assert mended.calls == ["question 3"] * 3
    assert run.dropped.filter(pl.col("why").str.starts_with("call failed")).collect().is_empty()


def test_an_engine_that_is_down_stops_the_run_and_keeps_what_was_paid(tmp_path: Path) -> None:
    engine = Counting()
    road(engine, problems(4)).run(tmp_path / "run")
    with pytest.raises(EngineDown, match="gone"):
        road(Counting(down=True), problems(6)).run(tmp_path / "run")
    later = Counting()
    road(later, problems(6)).run(tmp_path / "run")
    assert sorted(set(later.calls)) == ["question 4", "question 5"]


def test_a_row_that_hangs_abstains_and_the_run_goes_on(tmp_path: Path) -> None:
    rows = pl.concat([problems(3), pl.DataFrame({"question": ["bad"], "answer": ["hang"]})])
    run = road(Counting(), rows, n=1).run(tmp_path / "run")
    hung = run.dropped.filter(pl.col("question") == "bad", pl.col("dropped_by") == "wrong").collect()
    assert hung["why"].to_list() == ["says: timeout: 1.0 s"] or hung["why"][0].startswith("says: timeout")


def test_a_bug_in_a_step_stops_the_run_by_name(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Buggy(Verifier):
        reads = ("response", "answer")

        def row(self, row: Any) -> Verdict:
            return Verdict(row["respons"], "equal")

    with pytest.raises(RunError, match=r"buggy.*respons"):
        curate.Pipeline(problems(2), [curate.Sample(Counting()), Buggy()]).run(tmp_path / "run")


def test_a_why_that_is_no_word_of_the_vocabulary_stops_the_run(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Fancy(Verifier):
        reads = ("response",)

        def row(self, row: Any) -> Verdict:
            return Verdict(True, "equals: nearly")

    with pytest.raises(RunError, match="fancy answered why='equals: nearly'.* did you mean 'equal'"):
        curate.Pipeline(problems(1), [curate.Sample(Counting(), n=1), Fancy()]).run(tmp_path / "run")


STEP = """
from dataclasses import dataclass
from curate.step import Score

@dataclass(frozen=True)
class Mine(Score):
    reads = ("question",)
    writes = {"mine": int}

    def row(self, row):
        return {"mine": 1}
"""


def test_a_step_whose_source_changed_says_that_its_answers_are_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    said = []
    for number, (source, rows) in enumerate([(STEP, 1), (STEP, 2), (STEP.replace("1}", "2}"), 2)]):
        (tmp_path / f"mine_{number}.py").write_text(source)
        step = importlib.import_module(f"mine_{number}").Mine()
        caplog.clear()
        run = curate.Pipeline(problems(rows), [step]).run(tmp_path / "run")
        said.append([r.getMessage() for r in caplog.records])
    assert said[:2] == [[], []] and run.traces.collect()["mine"].to_list() == [1, 1]
    assert said[2] == [
        "the source of `mine` changed since its answers were stored, and its version is still 1; "
        "raise `version` to have them worked out again"
    ]


def test_a_bug_in_a_script_names_its_file_and_line(tmp_path: Path) -> None:
    def say(messages: Any) -> str:
        return str(1 / 0)

    line = say.__code__.co_firstlineno + 1
    with pytest.raises(RunError, match=rf"question 0.*ZeroDivisionError.*\(.*test_run.py, line {line}\)"):
        curate.Pipeline(problems(1), [curate.Sample(Scripted(script=say))]).run(tmp_path / "run")


def test_a_function_that_loses_rows_is_named(tmp_path: Path) -> None:
    def careless(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.filter(pl.col("question") != "question 1")

    def careful(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(twice=pl.col("response"))

    steps = [curate.Sample(Counting()), careful, careless, Length()]
    with pytest.raises(RunError, match="careless turned 4 rows into 3"):
        curate.Pipeline(problems(4), steps).run(tmp_path / "run")


def test_a_column_that_nobody_writes_is_refused_before_any_call(tmp_path: Path) -> None:
    engine = Counting()
    pipe = curate.Pipeline(problems(2), [curate.Sample(engine), Wrong()])
    for act in (lambda: pipe.plan(), lambda: pipe.run(tmp_path / "run")):
        with pytest.raises(InputError, match=r"wrong reads the column 'says'.*question, answer"):
            act()
    missing = curate.Pipeline(problems(2), [lambda lf: lf.with_columns(x=pl.col("nothing"))])
    with pytest.raises(InputError, match=r"nothing.*columns there are"):
        missing.plan()
    assert engine.calls == []


def test_plan_knows_what_is_known_and_spends_nothing(tmp_path: Path) -> None:
    engine = Counting()
    pipe = road(engine, problems(10), n=2)
    steps = pipe.plan(tmp_path / "run").steps
    assert (steps[0].known, steps[0].new, steps[0].tokens) == (0, 20, None)
    assert steps[1].at_most and steps[1].new == 20
    assert engine.calls == []
    pipe.run(tmp_path / "run")
    known = pipe.plan(tmp_path / "run").steps
    assert (known[0].known, known[0].new) == (20, 0) and known[1].new == 0 and not known[-1].at_most
    more = road(engine, problems(10), n=4).plan(tmp_path / "run").steps[0]
    spent = Run(tmp_path / "run").ledger.filter(pl.col("step") == "sample")
    each = (spent["prompt_tokens"].sum() + spent["output_tokens"].sum()) / 20
    assert (more.known, more.new) == (20, 20) and more.tokens == round(each * 20)
    assert len(engine.calls) == 20


def test_head_takes_the_first_problems_all_the_way(tmp_path: Path) -> None:
    run = road(Counting(), problems(10), n=2).head(3).run(tmp_path / "run")
    assert run.funnel().table["rows_in"][0] == 3
    road(Counting(), problems(10), n=2).run(tmp_path / "run")  # the same folder goes on with the rest


def test_a_folder_that_cannot_be_made_is_refused_by_plan_in_the_words_of_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nothing = curate.Pipeline(problems(1), [])
    for out in (tmp_path / "file", tmp_path / "file" / "in" / "it"):
        for go in (nothing.plan, nothing.run):
            with pytest.raises(InputError, match=f"the run folder {out} cannot be made: Not a directory"):
                go(out)
    nothing.plan(tmp_path / "new" / "one")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_of_another_recipe_and_a_folder_in_use_are_refused(tmp_path: Path) -> None:
    for name in ("a", "b"):
        problems(3).write_ndjson(tmp_path / f"{name}.jsonl")
    steps = [curate.Sample(Counting())]
    curate.Pipeline(curate.read(tmp_path / "a.jsonl"), steps).run(tmp_path / "run")
    other = curate.Pipeline(curate.read(tmp_path / "b.jsonl"), steps)
    for go in (other.plan, other.run):
        with pytest.raises(InputError, match=r"belongs to another recipe.*a\.jsonl.*b\.jsonl"):
            go(tmp_path / "run")
    with open(tmp_path / "run" / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another run"):
            curate.Pipeline(curate.read(tmp_path / "a.jsonl"), steps).run(tmp_path / "run")


def test_a_file_is_the_same_however_and_wherever_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (below := tmp_path / "below").mkdir()
    problems(2).write_ndjson(tmp_path / "a.jsonl")
    problems(2).write_ndjson(below / "b.jsonl")
    engine = Counting()

    def go(here: Path, name: str) -> None:
        monkeypatch.chdir(here)
        curate.Pipeline(curate.read(name), [curate.Sample(engine)]).run(tmp_path / "run")

    go(tmp_path, "a.jsonl")
    for here, name in ((below, "../a.jsonl"), (below, str(tmp_path / "a.jsonl")), (tmp_path, "./a.jsonl")):
        go(here, name)
    assert len(engine.calls) == 2
    with pytest.raises(InputError, match=r"belongs to another recipe.*a\.jsonl.*b\.jsonl"):
        go(below, "b.jsonl")
    with pytest.raises(InputError, match="belongs to another recipe"):
        go(below, "../a.jsonl?answer=question")
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert "files" not in recipe, "it is published with the data"


def test_another_file_of_the_same_name_is_refused_and_a_project_that_moved_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, n in (("a", 2), ("b", 1)):
        (tmp_path / folder).mkdir()
        problems(n).write_ndjson(tmp_path / folder / "p.jsonl")
    engine = Counting()

    def go(here: str, name: str = "p.jsonl") -> int:
        monkeypatch.chdir(tmp_path / here)
        done = curate.Pipeline(curate.read(name), [curate.Sample(engine)]).run(tmp_path / "run")
        return done.traces.collect().height

    assert go("a") == 2
    for name in ("p.jsonl", str(tmp_path / "b" / "p.jsonl")):
        with pytest.raises(InputError, match=r"another recipe: it was read from .*a.p\.jsonl.*b.p\.jsonl"):
            go("b", name)
    (tmp_path / "a").rename(tmp_path / "c")
    assert go("c") == go("c", str(tmp_path / "c" / "p.jsonl")) == 2 and len(engine.calls) == 2
    (tmp_path / "c").rename(tmp_path / "d")
    assert go("d", str(tmp_path / "d" / "p.jsonl")) == 2
    problems(3).write_ndjson(tmp_path / "d" / "p.jsonl")
    assert go("d") == 3, "in its place it may grow"


def tear(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-40])


def flip(part: Path) -> None:
    data = bytearray(part.read_bytes())
    data[len(data) // 3] ^= 1  # still a parquet file, and mostly one that can be read
    part.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [tear, flip, lambda part: part.write_bytes(b"")])
def test_a_damaged_part_is_set_aside_and_its_rows_asked_again(
    damage: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Counting()
    road(engine, problems(6)).run(tmp_path / "run")
    whole = (tmp_path / "run" / "live.parquet").read_bytes()
    [part] = (tmp_path / "run" / "answers").glob("sample-*/*.parquet")
    damage(part)
    planned = road(engine, problems(6)).plan(tmp_path / "run")
    assert part.exists() and next(s for s in planned.steps if s.name == "sample").new == 18
    assert [r.getMessage() for r in caplog.records] == [
        f"{part} is damaged; a run sets it aside and asks its rows again"
    ]
    caplog.clear()
    road(engine, problems(6)).run(tmp_path / "run")
    assert len(engine.calls) == 36 and [r.getMessage() for r in caplog.records] == [
        f"{part} is damaged and set aside as .damaged; its rows are asked again"
    ]
    assert [p.name for p in part.parent.glob("*.damaged")] == [part.stem + ".damaged"]
    assert (tmp_path / "run" / "live.parquet").read_bytes() == whole


def test_the_name_of_a_part_is_the_hash_of_its_bytes_and_older_names_are_read(tmp_path: Path) -> None:
    engine = Counting()
    road(engine, problems(6)).run(tmp_path / "run")
    [part] = (tmp_path / "run" / "answers").glob("sample-*/*.parquet")
    assert part.stem == hashlib.sha256(part.read_bytes()).hexdigest()
    part.rename(part.with_stem("0" * 32))
    road(engine, problems(6)).run(tmp_path / "run")
    assert len(engine.calls) == 18


@pytest.mark.slow
def test_runs_inside_an_asyncio_loop_and_in_threads(tmp_path: Path) -> None:
    async def inside() -> int:
        return len(road(Counting(), problems(3)).run(tmp_path / "loop").traces.collect())

    expected = asyncio.run(inside())
    found: list[int] = []

    def work(i: int) -> None:
        found.append(len(road(Counting(), problems(3)).run(tmp_path / f"thread{i}").traces.collect()))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 3


def test_recipe_records_what_was_asked(tmp_path: Path) -> None:
    def mine(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(mine=pl.lit(1))

    run = curate.Pipeline(problems(2), [curate.Sample(Counting(), n=2), mine, Shorter("w")]).run(
        tmp_path / "run"
    )
    sample, function, shorter = run.recipe["steps"]
    assert sample["step"] == "sample" and sample["engine"]["model"] == "counting" and sample["n"] == 2
    assert function["function"] == "mine" and "pl.lit(1)" in function["source"]
    assert shorter["word"] == "w" and shorter["fingerprint"] == Shorter("w").fingerprint
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["packages"]["polars"] == pl.__version__


def test_the_recipe_of_a_run_has_the_runs_whose_tables_it_read(tmp_path: Path) -> None:
    first = road(Counting(), problems(5)).run(tmp_path / "first")
    live = first.folder / "live.parquet"
    out = tmp_path / "second"
    second = curate.Pipeline(curate.read([live, live]), [Says()]).run(out)
    [before] = second.recipe["earlier"]
    assert before["run"] == "first" and before["steps"] == first.recipe["steps"]
    assert before["funnel"] == first.funnel().table.to_dicts() and before["ledger"] == first.ledger.to_dicts()
    (first.folder / "ledger.parquet").write_text("damaged")
    assert "earlier" not in curate.Pipeline(curate.read(live), []).run(tmp_path / "third").recipe
    for table in first.folder.glob("*.parquet"):
        table.unlink()
    card = (second.publish(tmp_path / "set").folder / "README.md").read_text()
    assert "## The earlier run `first`" in card and "| sample (run first) | counting |" in card
    last = curate.Pipeline(curate.read(tmp_path / "set"), []).run(tmp_path / "last").recipe
    assert [(e["run"], e["earlier"]) for e in last["earlier"]] == [("second", [before])], "a published set"


def test_a_frame_has_no_run_before_it_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    road(Counting(), problems(5)).run(tmp_path / "first").publish(tmp_path / "set")
    monkeypatch.chdir(tmp_path / "set")
    assert "earlier" in curate.Pipeline(curate.read("."), []).run(tmp_path / "second").recipe
    assert "earlier" not in road(Counting(), problems(5)).run(tmp_path / "third").recipe


def test_sql_sees_the_tables(tmp_path: Path) -> None:
    run = road(Counting(), problems(5)).run(tmp_path / "run")
    [(live, dropped)] = run.sql("select (select count(*) from live), (select count(*) from dropped)").rows()
    assert live == len(run.traces.collect()) and dropped == len(run.dropped.collect())
    with pytest.raises(UserError, match="SQL"):
        run.sql("select nothing from nowhere")


def test_a_function_may_neither_edit_a_text_nor_swap_rows(tmp_path: Path) -> None:
    def hack(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(response=pl.lit("it is 1"))

    def swap(frame: pl.LazyFrame) -> pl.LazyFrame:
        return pl.concat([frame.head(1), frame.head(1), frame.tail(1)])

    for function in (hack, swap):
        steps = [curate.Sample(Counting()), Says(), function]
        with pytest.raises(RunError, match=f"{function.__name__} changed the ids or texts"):
            curate.Pipeline(problems(3), steps).run(tmp_path / function.__name__)


def test_what_a_pipeline_may_not_hold_is_said_before_any_call(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Editor(Score):
        """Writes over the response."""

        reads = ("response",)

        @property
        def writes(self) -> dict[str, Any]:
            return {"response": pl.String}

        def row(self, row: Any) -> dict[str, Any]:
            return {"response": "edited"}

    @dataclass(frozen=True)
    class Unnamed(Score):
        """Forgets the name of what it counts: polars gives it that of what it reads."""

        reads = ("thinking",)
        writes = {"hops": pl.UInt32}

        def expr(self) -> pl.Expr:
            return pl.col("thinking").str.count_matches("Wait")

    @dataclass(frozen=True)
    class Nameless(Unnamed):
        """Says nothing of it, either."""

        writes = {}

    @dataclass(frozen=True)
    class Undeclared(Score):
        """Does not say what it writes."""

        reads = ("thinking",)

        def row(self, row: Any) -> dict[str, Any]:
            return {"hops": 1}

    @dataclass(frozen=True)
    class Listed(Undeclared):
        """Says no types."""

        writes = ("hops",)  # type: ignore[assignment]

    @dataclass(frozen=True)
    class Bodiless(Score):
        """Measures nothing."""

        writes = {"hops": pl.UInt32}

    @dataclass(frozen=True)
    class Halves(Bodiless):
        """Says whole numbers and answers others."""

        reads = ("thinking",)

        def expr(self) -> pl.Expr:
            return (pl.col("thinking").str.len_chars() / 2).alias("hops")

    sample = curate.Sample(Counting())
    wrong: list[tuple[list[Any], str]] = [
        ([sample, Editor()], "no text is ever edited"),
        ([sample, Unnamed()], r"answers thinking, and its `writes` names hops.*\.alias\('hops'\)"),
        ([sample, Nameless()], r"'thinking', a column of the row.*\.alias\('nameless'\)"),
        ([sample, Undeclared()], "does not say which columns it adds.*writes = "),
        ([sample, Listed()], "does not say which columns it adds.*writes = "),
        ([sample, Bodiless()], "Bodiless must define one of expr, row, ask, mark"),
        ([sample, Halves()], "answers Float64 in the column 'hops', and its `writes` says UInt32"),
        ([sample, curate.Sample(Counting(), n=2)], "second Sample"),
        ([sample, lambda lf: lf.with_columns(why=pl.lit("x"))], "'why'"),
        ([sample, lambda lf: lf.select("question")], "drops the column"),
        ([sample, lambda lf: None], "answers NoneType"),
    ]
    for steps, says in wrong:
        with pytest.raises(UserError, match=says):
            curate.Pipeline(problems(2), steps).run(tmp_path / "run")


def test_a_look_at_a_column_that_a_step_does_not_read_is_a_sentence(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Peeks(Score):
        """Reads no response."""

        reads = ("question",)
        writes = {"hops": pl.UInt32}

        def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
            return frame.select("row", hops=pl.col("response").str.len_chars())

    pipeline = curate.Pipeline(problems(2), [curate.Sample(Counting()), Peeks()])
    with pytest.raises(RunError, match="uses a column that is not there: .*response.* name: row, question$"):
        pipeline.run(tmp_path / "run")


def test_a_field_named_n_counts_wherever_it_changes_an_answer(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Votes(Score):
        """Writes its own n."""

        n: int = 1
        reads = ("response",)

        @property
        def writes(self) -> dict[str, Any]:
            return {"votes": pl.Int64}

        def row(self, row: Any) -> dict[str, Any]:
            return {"votes": self.n}

    for n in (1, 5):
        run = curate.Pipeline(problems(2), [curate.Sample(Counting()), Votes(n)]).run(tmp_path / "run")
        assert run.traces.collect()["votes"].to_list() == [n, n]


def test_a_child_keeps_what_functions_added_and_forgets_how_its_parent_ended(tmp_path: Path) -> None:
    def group(frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame.with_columns(of=pl.len().over("problem_id"))

    run = curate.Pipeline(problems(6), [curate.Sample(Counting(), n=3), group, Says(), Shorter()]).run(
        tmp_path / "r"
    )
    children = run.traces.filter(pl.col("parent_id").is_not_null()).collect()
    assert len(children) > 3 and children["of"].to_list() == [3] * len(children)
    assert children["says"].null_count() == len(children) and children["finish"].null_count() == len(children)


def test_an_ask_that_gives_a_call_little_time_does_not_stop_the_others(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Impatient(Rewriter):
        """Cancels its own call as soon as it is made."""

        engine: Counting
        reads = ("question", "response")

        async def ask(self, row: Any) -> Text | None:
            call = asyncio.create_task(self.engine.chat([{"role": "user", "content": row["response"]}]))
            for _ in range(3):
                await asyncio.sleep(0)
            if row["question"].endswith("0"):
                call.cancel()
                return None
            [reply] = await call
            return Text(None, reply.response)

    pipe = curate.Pipeline(problems(60), [curate.Sample(Counting()), Impatient(Counting())])
    assert pipe.run(tmp_path / "run").funnel().table["born"].to_list() == [0, 60, 54]


def test_half_a_surrogate_pair_costs_its_row_only(tmp_path: Path) -> None:
    from curate.engines.scripted import Scripted

    def say(messages: list[dict[str, str]]) -> str:
        return "x \ud83d" if messages[-1]["content"] == "question 1" else "1"

    run = curate.Pipeline(problems(3), [curate.Sample(Scripted(script=say))]).run(tmp_path / "run")
    [why] = run.dropped.filter(pl.col("why") != "sampled").collect()["why"].to_list()
    assert "surrogate" in why and len(run.traces.collect()) == 2


def test_a_failed_run_leaves_the_last_one_whole(tmp_path: Path) -> None:
    road(Counting(), problems(2)).run(tmp_path / "run")
    before = Run(tmp_path / "run").recipe
    with pytest.raises(EngineDown):
        road(Counting(down=True), problems(4)).run(tmp_path / "run")
    assert Run(tmp_path / "run").recipe == before
    with pytest.raises(InputError, match="none of its steps"):
        curate.Pipeline(problems(2), [Truncated()]).run(tmp_path / "run")
