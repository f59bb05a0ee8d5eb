"""On a Ray cluster a run is the same run: replicas, hosts and drivers are killed, and it ends the same.

One cluster on this machine, with several worker processes, serves all the tests of this file.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_steps import Measure, Shop, Sleeps, Talk, killing, lines
from small_demo import small_demo

import curate
from curate.cluster import Cluster
from curate.engines import engine
from curate.engines.fleet import Fleet
from curate.engines.hf import HF
from curate.engines.ray import Ray
from curate.engines.ray_replica import Died, Door, Place
from curate.engines.server import Server
from curate.errors import CallFailed, EngineDown, Interrupted, MissingDependency, RunError, UserError
from curate.filters.failed import Failed
from curate.parts import iter_rows
from curate.step import user
from curate.verifiers.math_equal import MathEqual

PROBLEMS = pl.DataFrame([{"question": f"question {i}", "answer": "4"} for i in range(60)])
CALLS = len(PROBLEMS) * 2
TABLES = ("live.parquet", "dropped.parquet")


def pipeline(till: Path, ledger: Path) -> curate.Pipeline:
    shop = Shop(till=str(till))
    steps = [curate.Sample(shop, n=2), MathEqual(), Failed("math_equal"), Talk(shop), Measure(str(ledger))]
    return curate.Pipeline(curate.read(PROBLEMS), steps)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the same run in one process, undisturbed."""
    folder = tmp_path_factory.mktemp("quiet")
    pipeline(folder / "till", folder / "ledger").run(folder / "run")
    return folder


def assert_same(folder: Path, quiet: Path, bought_twice: int, work_twice: int) -> None:
    """The same tables, and no more calls and rows twice than that."""
    for table in TABLES:
        here, there = (f / "run" / table for f in (folder, quiet))
        assert here.read_bytes() == there.read_bytes(), f"{table} differs"
    for file, twice in (("till", bought_twice), ("ledger", work_twice)):
        once = Counter(what for _, what in lines(quiet / file))
        now = Counter(what for _, what in lines(folder / file))
        assert set(now) == set(once) and max(once.values()) == 1
        assert now.total() - once.total() <= twice


def ask(engine: Any, *calls: dict[str, Any]) -> list[Any]:
    async def work() -> list[Any]:
        async with engine as opened:
            return await asyncio.gather(*(opened.chat(**{"messages": user("2 + 2"), **c}) for c in calls))

    return asyncio.run(work())


def test_a_run_on_the_cluster_is_the_same_run(cluster: str, quiet: Path, tmp_path: Path) -> None:
    run = pipeline(tmp_path / "till", tmp_path / "ledger").run(tmp_path / "run", ray=2)
    assert_same(tmp_path, quiet, 0, 0)
    for file in ("till", "ledger"):
        assert len({pid for pid, _ in lines(tmp_path / file)}) >= 2, f"one process did all of the {file}"
    assert run.recipe["steps"][0]["engine"]["replicas"] == 2
    there = curate.run.Run(quiet / "run")
    for column in ("step", "fingerprint", "engine", "rows_paid", "calls", "prompt_tokens", "output_tokens"):
        assert run.ledger[column].to_list() == there.ledger[column].to_list(), column


@pytest.mark.slow
def test_replicas_killed_in_mid_run(cluster: str, quiet: Path, tmp_path: Path) -> None:
    kills = killing(tmp_path / "till", at=[20, CALLS + 40, CALLS + 150])
    pipeline(tmp_path / "till", tmp_path / "ledger").run(tmp_path / "run", ray=2)
    kills.join(timeout=10)
    assert not kills.is_alive(), "a replica was never killed"
    assert_same(tmp_path, quiet, 3 * Shop().concurrency, 0)


@pytest.mark.slow
def test_hosts_killed_in_mid_run(cluster: str, quiet: Path, tmp_path: Path) -> None:
    kills = killing(tmp_path / "ledger", at=[10, 60])
    pipeline(tmp_path / "till", tmp_path / "ledger").run(tmp_path / "run", ray=2)
    kills.join(timeout=10)
    assert not kills.is_alive(), "a host was never killed"
    assert_same(tmp_path, quiet, 0, len(lines(quiet / "ledger")))
    assert any(curate.run.Run(tmp_path / "run").folder.glob("answers/measure-*/*.parquet"))


RECIPE = """
from pathlib import Path
from types import SimpleNamespace
import curate, test_ray

def recipe(folder: str):
    return test_ray.pipeline(Path(folder) / "till", Path(folder) / "ledger")
"""


def start(folder: Path, address: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curate.cli", "run", str(folder / "recipe.py"), "--folder", str(folder)]
    command += ["--out", str(folder / "run"), "--ray", "2", "--json"]
    environment = {**os.environ, "RAY_ADDRESS": address, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True
    )


@pytest.mark.slow
def test_a_driver_killed_in_mid_run_goes_on(cluster: str, quiet: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)
    for file, wanted in (("till", 50), ("ledger", 20)):
        process = start(tmp_path, cluster)
        while len(lines(tmp_path / file)) < wanted and process.poll() is None:
            time.sleep(0.005)
        assert process.poll() is None, process.communicate()[1].decode()[-2000:]
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    process = start(tmp_path, cluster)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()[-2000:]
    assert json.loads(out)[-1]["step"] == "measure", "standard output is for results"
    assert b"ray" not in err.lower().replace(b"test_ray", b""), err.decode()
    assert_same(tmp_path, quiet, 2 * 2 * Shop().concurrency, len(lines(quiet / "ledger")))


@pytest.mark.slow
def test_it_answers_as_the_engine_behind_it(cluster: str, tiny_model: Path) -> None:
    behind = HF(str(tiny_model), dtype="float32", device="cpu", max_tokens=24)
    messages = [user(f"What is {i} + {i}?") for i in range(6)]
    calls: list[dict[str, Any]] = [{"messages": m, "seed": i, "n": 2} for i, m in enumerate(messages)]
    calls += [
        {"seed": 5, "prefix": "<think>\nSo", "ban": ["e"], "stop": ["wi"], "logprobs": True, "top_k": 50}
    ]

    async def work(opened: Any) -> list[Any]:
        async with opened, opened:
            doomed = asyncio.create_task(opened.chat(user("1 + 1"), seed=1))
            await asyncio.sleep(0.01)
            doomed.cancel()
            said = [await opened.chat(**{"messages": messages[0], **call}) for call in calls]
            with pytest.raises(CallFailed, match=r"the prompt has \d+ tokens"):
                await opened.chat(user("sum " * 600))
            with pytest.raises(UserError, match="'temperatur'"):
                await opened.chat(messages[0], temperatur=1)
            said += [await opened.score(messages[0], "four", top_k=2), await opened.opened(messages[0])]
            return [*said, await opened.count_tokens("Wait, so it is four.")]

    both = [asyncio.run(work(Ray(behind, replicas))) for replicas in (2,)] + [asyncio.run(work(behind))]
    begun = len(calls) - 1  # a replica may have read its prompt before or not: the last bits hang on that
    (ours,), (theirs,) = (found.pop(begun) for found in both)
    assert both[0] == both[1]
    assert replace(ours, logprobs=None) == replace(theirs, logprobs=None)
    assert ours.logprobs == pytest.approx(theirs.logprobs, abs=1e-5)


@pytest.mark.slow
def test_the_demo_has_the_same_figures(cluster: str, tmp_path: Path) -> None:
    here, there = (small_demo(tmp_path / str(ray), ray=ray) for ray in (None, 2))
    assert here["funnel"] and {**here, "seconds": 0} == {**there, "seconds": 0}


def test_a_replica_that_dies_of_a_call_costs_that_call(cluster: str, tmp_path: Path) -> None:
    rows = pl.DataFrame([{"question": q, "answer": "4"} for q in ("a", "b", "please die", "please refuse")])
    run = curate.Pipeline(curate.read(rows), [curate.Sample(Shop(), n=1)]).run(tmp_path, ray=2)
    assert sorted(run.traces.collect()["question"]) == ["a", "b"]
    failed = run.dropped.filter(pl.col("why").str.starts_with("call failed")).collect()
    why = dict(failed.select("question", "why").iter_rows())
    assert "5 replicas died over this call" in why["please die"]
    assert why["please refuse"] == "call failed: we do not sell that"


@pytest.mark.slow
def test_a_replica_that_dies_while_it_is_loaded_is_loaded_again(cluster: str, tmp_path: Path) -> None:
    [[reply]] = ask(Ray(Shop(opens=str(tmp_path / "opens"), dies=2), 1), {"seed": 1})
    assert reply.response and (tmp_path / "opens").read_text() == "..."
    with pytest.raises(EngineDown, match="^a replica died while it was loaded: "):
        ask(Ray(Shop(opens=str(tmp_path / "others"), dies=99), 1), {})
    assert (tmp_path / "others").read_text() == "..."


TWO_RUNS = """
import sys, polars as pl, curate, ray_steps

if __name__ == "__main__":
    for run in ("one", "two"):
        pipe = curate.Pipeline(pl.DataFrame({"question": [run]}), [curate.Sample(ray_steps.Shop(), n=1)])
        print(pipe.run(f"{sys.argv[1]}/{run}", ray=1).traces.collect().height)
"""


@pytest.mark.slow
def test_one_process_runs_twice_on_the_ray_that_it_started(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray is not installed here: pip install 'trace-curate[ray]'")
    (tmp_path / "two.py").write_text(TWO_RUNS)
    environment = {**os.environ, "RAY_ADDRESS": "", "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    command = [sys.executable, str(tmp_path / "two.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (0, "1\n1\n"), done.stderr[-2000:]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_cluster_that_is_not_there_is_a_sentence_at_once(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.cluster import attach

    class Absent:
        """Ray, before it is asked for a cluster; it would look for one for minutes."""

        @staticmethod
        def is_initialized() -> bool:
            return False

    monkeypatch.setitem(sys.modules, "ray", Absent)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(EngineDown, match=f"no Ray cluster at '{address}': .*; is RAY_ADDRESS right"):
        attach()


def test_what_cannot_start_is_a_sentence(cluster: str, tmp_path: Path) -> None:
    with pytest.raises(EngineDown, match="^the shop is closed today$"):
        ask(Ray(Shop(till="closed"), 2), {})
    with pytest.raises(UserError, match="2 replicas on 1 GPUs each do not fit: the cluster has 0"):
        ask(Ray(Shop(), 2, gpus=1), {})
    with pytest.raises(UserError, match="ray=0 hosts do nothing"):
        curate.Pipeline(curate.read(PROBLEMS), [MathEqual()]).run(tmp_path, ray=0)


def test_hosts_stop_when_nobody_waits_for_their_rows(cluster: str, tmp_path: Path) -> None:
    """As where a run is stopped while rows of a later step have gone ahead."""
    todo = tmp_path / "todo.parquet"
    pl.DataFrame({"key": [*"abcd"], "response": [str(tmp_path)] * 4}).write_parquet(todo)

    def check() -> None:
        if (tmp_path / "begun").exists():
            raise Interrupted("nobody waits")

    with Cluster(2) as hosts, pytest.raises(Interrupted, match="nobody waits"):
        into = tmp_path / "answers", tmp_path / "failures"
        list(hosts.answer(Sleeps(), todo, into, (2_000, 10.0), check))
    assert not (tmp_path / "done").exists()


def test_a_bug_on_a_host_is_named_with_its_row_and_traceback(cluster: str, tmp_path: Path) -> None:
    bad = [{"question": "q", "response": r, "trace_id": f"t{i}"} for i, r in enumerate(["x", "bug"])]
    with pytest.raises(RunError, match="step measure has a bug: row .* raised ZeroDivisionError") as e:
        curate.Pipeline(curate.read(pl.DataFrame(bad)), [Measure()]).run(tmp_path, ray=2)
    assert "nobody divides by that" in str(e.value) and "ray_steps.py" in str(e.value.__cause__)


def test_without_ray_one_sentence_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install 'trace-curate\[ray\]'"):
        pipeline(tmp_path / "till", tmp_path / "ledger").run(tmp_path / "run", ray=2)
    with pytest.raises(MissingDependency, match=r"pip install 'trace-curate\[ray\]'"):
        ask(Ray(Shop()), {})


def test_where_it_runs_is_not_its_identity() -> None:
    shop = Shop(temperature=0.5)
    here = Ray(shop, 3)
    assert here.fingerprint == shop.fingerprint and here.model == shop.model
    assert curate.Sample(here, n=2).fingerprint == curate.Sample(shop, n=2).fingerprint
    assert here.describe() == {**shop.describe(), "replicas": 3} and here.concurrency == 12
    named = engine("ray:hf:org/model?replicas=4&temperature=0.5", top_k=3)
    assert named == Ray(HF("org/model", temperature=0.5, top_k=3), 4)
    served = engine("server:http://localhost:1/v1", model="m")
    assert callable(getattr(here, "score", None)) and isinstance(served, Server)
    assert callable(getattr(Ray(served), "score", None)) == callable(getattr(served, "score", None))
    mute = Ray(replace_score())
    assert not hasattr(mute, "score") and not hasattr(mute, "count_tokens")


def replace_score() -> Any:
    class Mute:
        model = "mute"

    return Mute()


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 45), st.integers(0, 45))
@settings(deadline=None, max_examples=50)
def test_a_range_of_rows_is_a_slice(
    tmp_path_factory: Any, values: list[int], start: int, length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "range.parquet"
    pl.DataFrame({"n": values}).write_parquet(path, row_group_size=7)
    assert [r["n"] for r in iter_rows(path, start, start + length)] == values[start : start + length]
    assert [r["n"] for r in iter_rows(path)] == values


def test_a_replica_that_is_gone_sends_its_calls_to_the_others() -> None:
    places = [Place("one", 4, gone=True, words="out of memory"), Place("other", 4)]
    door = Door(None, lambda: None, b"", Fleet(places, 8))
    with pytest.raises(Died, match="out of memory"):
        asyncio.run(door.ask(places[0], "chat", []))
    places[1].gone = True
    with pytest.raises(EngineDown, match="no replica stays alive.*out of memory"):
        asyncio.run(door.ask(places[0], "chat", []))


class Actor:
    """A replica's actor that counts the calls it has, and those that it had at most."""

    def __init__(self) -> None:
        self.now, self.most, self.call = 0, 0, self

    async def remote(self, method: str) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return "said"


def test_calls_that_waited_while_no_replica_was_there_crowd_none() -> None:
    async def ask_both() -> list[int]:
        places = [Place("one", 4, Actor(), back_at=1.0), Place("other", 4, Actor(), back_at=2.0)]
        fleet = Fleet(places, 8)

        async def start(place: Place, seconds: float) -> None:
            await asyncio.sleep(seconds)
            place.starting = None
            fleet.grant()

        for place, seconds in zip(places, (0.01, 0.02), strict=True):
            place.starting = asyncio.create_task(start(place, seconds))
        engine = Ray(Shop(), 2)
        ray = SimpleNamespace(exceptions=SimpleNamespace(RayTaskError=KeyError, RayError=LookupError))
        object.__setattr__(engine, "_door", Door(ray, lambda: None, b"", fleet))
        answers = await asyncio.gather(*(engine._ask("chat", str(i)) for i in range(40)))
        assert answers == ["said"] * 40
        assert fleet.out == sum(place.out for place in places) == 0
        return [place.actor.most for place in places]

    assert asyncio.run(ask_both()) == [4, 4]


class Nodes:
    """Ray, as far as it says which machines there are."""

    def __init__(self, *gpus: int) -> None:
        self.gpus = gpus

    def nodes(self) -> list[dict[str, Any]]:
        gone = [{"Alive": False, "Resources": {"GPU": 64.0}}]
        return gone + [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": float(n)}} for n in self.gpus]


def test_a_replica_has_to_fit_on_one_machine() -> None:
    def held(replicas: int, gpus: float | None, *nodes: int) -> float:
        return Ray(Shop(), replicas, gpus)._gpus(Nodes(*nodes))

    with pytest.raises(UserError, match="1 replicas on 16 GPUs .*has 32, its largest machine 8, and each"):
        held(1, 16, 8, 8, 8, 8)
    with pytest.raises(UserError, match="3 replicas on 2 GPUs each do not fit: the cluster has 6"):
        held(3, 2, 3, 3)
    with pytest.raises(UserError, match="11 replicas on 0.1 GPUs each do not fit"):
        held(11, 0.1, 1)
    assert (held(10, 0.1, 1), held(4, 8, 8, 8, 8, 8), held(2, 2, 3, 3), held(9, None)) == (0.1, 8, 2, 0)
    with pytest.raises(UserError, match=r"gpus=1\.5 is no option .*whole number, or below 1"):
        held(1, 1.5, 8)


def test_a_replica_that_comes_back_with_another_model_stops_the_run() -> None:
    class Remote:
        def __init__(self, root: str) -> None:
            self.open, self.root = self, root

        async def remote(self, pickled: bytes) -> dict[str, Any]:
            return {"root": self.root, "max_model_len": 9}

    roots = iter(["one", "one", "other"])
    places = [Place("replica 0", 4), Place("replica 1", 4)]
    door = Door(None, lambda: Remote(next(roots)), b"", Fleet(places, 8))

    async def work() -> None:
        await door.start()
        with pytest.raises(EngineDown, match="replica 1 now has root 'other' .*had root 'one'"):
            await door._load(places[1])
        with pytest.raises(EngineDown, match="one engine is one model"):
            await door.ask(places[0], "chat", [])

    asyncio.run(work())
    assert places[1].served["root"] == "one"
