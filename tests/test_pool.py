"""The pool: a row that hangs, hogs, crashes or exits costs its own answer, and nothing outlives the pool."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pool_steps import Act, Length, Many, Reads

from curate.errors import RunError
from curate.pool import Abstained, Pool, WorkerTraceback

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(2) as pool:
        yield pool


def rows(*questions: str) -> list[dict[str, str]]:
    return [{"question": q} for q in questions]


def answers(pool: Pool, step: Any, given: list[Any]) -> list[Any]:
    found = list(pool.map(step, given))
    assert sorted(i for i, _ in found) == list(range(len(given)))  # each row once
    return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def eventually(true: Callable[[], bool]) -> bool:
    """Whether it becomes true at all; the wait is generous, because the machine may be busy."""
    for _ in range(600):
        if true():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("power", "timeout: 1.0 s"),
        ("loop", "timeout: 1.0 s"),
        ("hog 1000", "memory: 256 MB"),
        ("exit 3", "crashed: exit 3"),
        ("exit 0", "crashed: exit 0"),
        ("segfault", "crashed: signal 11"),
    ],
)
def test_a_row_that_misbehaves_abstains(pool: Pool, question: str, why: str) -> None:
    assert pool.run(Act(), {"question": question}) == Abstained(why)


def test_the_rows_around_it_are_answered(pool: Pool) -> None:
    bad = {"loop": "timeout: 1.0 s", "hog 1000": "memory: 256 MB", "exit 3": "crashed: exit 3"}
    given: list[str] = []
    for i, question in enumerate(bad):
        given += [f"say {i}a", question, f"say {i}b", *(f"say {i}.{j}" for j in range(40))]
    expected = [Abstained(bad[q]) if q in bad else q.removeprefix("say ") for q in given]
    assert answers(pool, Act(), rows(*given)) == expected


def test_a_row_before_a_crash_is_worked_on_once(pool: Pool, tmp_path: Path) -> None:
    log = tmp_path / "log"
    given = [f"mark {log} {i}" for i in range(30)]
    given[20:20] = ["exit 1"]
    answers(pool, Act(), rows(*given))
    assert sorted(log.read_text().split(), key=int) == [str(i) for i in range(30)]


@pytest.mark.parametrize("times", [1, 2])
def test_a_row_whose_worker_is_killed_is_tried_once_more(pool: Pool, tmp_path: Path, times: int) -> None:
    given = ["say a", f"killed {tmp_path / 'log'} {times}", "say b"]
    expected = "alive" if times == 1 else Abstained("crashed: signal 9")
    assert answers(pool, Act(), rows(*given)) == ["a", expected, "b"]


@pytest.mark.parametrize("times", [2, 3])
def test_a_worker_that_is_killed_while_it_starts_is_started_again(
    tmp_path: Path, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python imports sitecustomize before anything of ours, so the worker dies before it is ready."""
    log = tmp_path / "log"
    (tmp_path / "sitecustomize.py").write_text(
        f"import os, sys\n"
        f"if sys.argv[0] == '-c':\n"
        f"    open({str(log)!r}, 'a').write('x')\n"
        f"    if os.path.getsize({str(log)!r}) <= {times}:\n"
        f"        os.kill(os.getpid(), 9)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with Pool(1) as pool:
        if times < 3:
            assert pool.run(Act(), {"question": "say a"}) == "a"
        else:
            with pytest.raises(RunError, match="a worker process did not start .signal 9."):
                pool.run(Act(), {"question": "say a"})
    assert len(log.read_text()) == 3


def test_memory_is_counted_anew_for_each_row(pool: Pool) -> None:
    assert answers(pool, Act(), rows(*["hog 180"] * 10)) == [180 << 20] * 10


def test_a_bug_stops_the_run_and_says_where(pool: Pool) -> None:
    given = [{"question": "say a", "trace_id": "t0"}, {"question": "bug", "trace_id": "t1"}]
    with pytest.raises(
        RunError,
        match=r"step act has a bug: row t1 raised ZeroDivisionError.*pool_steps.py, line \d+\).*question",
    ) as e:
        list(pool.map(Act(), given))
    assert isinstance(e.value.__cause__, WorkerTraceback) and "1 / 0" in str(e.value.__cause__)
    assert pool.run(Act(), {"question": "say on"}) == "on"  # the pool goes on


@pytest.mark.parametrize("question", ["leave now", "no_such_verb"])
def test_other_exceptions_are_bugs_too(pool: Pool, question: str) -> None:
    with pytest.raises(
        RunError, match=r"row with question=.* raised (SystemExit|AttributeError): .*pool_steps.py, line"
    ):
        pool.run(Act(), {"question": question})


def test_an_answer_that_cannot_be_sent_is_a_bug(pool: Pool) -> None:
    class Lock(Length):
        def row(self, row: Any) -> Any:
            return threading.Lock()

    with pytest.raises(RunError, match="step lock has a bug.*TypeError"):
        pool.run(Lock(), {"question": ""})


def test_an_answer_may_be_an_array(pool: Pool) -> None:
    assert list(pool.run(Many(), {"question": "q"})) == [0, 0, 0]


def test_what_a_row_prints_does_not_disturb(pool: Pool) -> None:
    assert answers(pool, Act(), rows("shout a", "stdin", "shout b")) == ["a", "", "b"]


def test_only_the_columns_it_reads_are_sent(pool: Pool) -> None:
    unsendable = threading.Lock()
    assert pool.run(Reads(), {"answer": "4", "question": unsendable}) == {"answer": "4"}


def test_a_step_of_this_function_travels(pool: Pool) -> None:
    class Local(Length):
        def row(self, row: Any) -> Any:
            return Local, row["question"] + "!"

    kind, text = pool.run(Local(), {"question": "hey"})
    assert kind is Local and text == "hey!"


def test_a_step_of_a_file_read_by_path_travels(pool: Pool, tmp_path: Path) -> None:
    import importlib.util

    file = tmp_path / "my_recipe.py"
    file.write_text(
        "from pool_steps import Length\n\n"
        "class Mine(Length):\n    def row(self, row): return helper()\n\n"
        "def helper(): return 'helped'\n"
    )
    spec = importlib.util.spec_from_file_location("my_recipe", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["my_recipe"] = module
    try:
        spec.loader.exec_module(module)
        assert pool.run(module.Mine(), {"question": ""}) == "helped"
    finally:
        del sys.modules["my_recipe"]


def test_imports_are_not_held_against_a_row(pool: Pool, tmp_path: Path) -> None:
    for name, nested in (("slow_a", "import slow_b"), ("slow_b", "import slow_c"), ("slow_c", "")):
        (tmp_path / f"{name}.py").write_text(f"import time\ntime.sleep(0.6)\n{nested}\n")
    assert pool.run(Act(), {"question": f"slow_import {tmp_path}"}) == "imported"


def test_workers_stay_warm(pool: Pool) -> None:
    first = set(answers(pool, Act(), rows(*["pid"] * 50)))
    assert first & set(answers(pool, Act(), rows(*["pid"] * 50)))
    assert len(first) <= 2


def test_what_a_killed_row_started_dies_with_it(pool: Pool, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    assert pool.run(Act(), {"question": f"child {note}"}) == Abstained("timeout: 1.0 s")
    assert eventually(lambda: not alive(int(note.read_text())))


@given(
    st.lists(st.text(max_size=200), max_size=80),
    st.integers(1, 40),
    st.sampled_from([60, 3000, 1 << 20]),
)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_map_is_the_step_on_every_row(pool: Pool, questions: list[str], size: int, limit: int) -> None:
    """In any chunking: by rows and by bytes."""
    given = rows(*questions)
    step = Length()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("curate.pool.CHUNK_ROWS", size)
        patch.setattr("curate.pool.CHUNK_BYTES", limit)
        assert answers(pool, step, given) == [step.row(row) for row in given]


def test_rows_of_megabytes_both_ways(pool: Pool) -> None:
    """Chunks and answers far larger than a pipe: nobody waits for the other."""
    big = "say " + "x" * 3_000_000
    assert [len(a) for a in answers(pool, Act(timeout_s=60.0), rows(*[big] * 12))] == [3_000_000] * 12


def test_it_does_not_run_ahead_of_its_reader(pool: Pool) -> None:
    pulled = 0

    def source() -> Iterator[dict[str, str]]:
        nonlocal pulled
        for i in range(1_000_000):
            pulled += 1
            yield {"question": str(i)}

    stream = pool.map(Length(), source())
    for _ in range(10):
        next(stream)
    stream.close()
    assert pulled < 20_000


def test_rows_are_pulled_in_the_thread_that_asks(pool: Pool) -> None:
    threads = set()

    def source() -> Iterator[dict[str, str]]:
        for i in range(100):
            threads.add(threading.get_ident())
            yield {"question": str(i)}

    list(pool.map(Length(), source()))
    assert threads == {threading.get_ident()}


def test_leaving_early_kills_what_runs(tmp_path: Path) -> None:
    with Pool(2) as pool:
        note = tmp_path / "pid"
        stream = pool.map(Act(timeout_s=600.0), rows("say a", f"child {note}"))
        assert next(stream) == (0, "a")
        assert eventually(lambda: note.exists() and note.read_text() != "")
        stream.close()
        assert eventually(lambda: not alive(int(note.read_text())))
        assert pool.run(Act(), {"question": "say on"}) == "on"


def test_an_error_in_the_rows_reaches_the_caller(pool: Pool) -> None:
    def source() -> Iterator[dict[str, str]]:
        yield {"question": "a"}
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(pool.map(Length(), source()))


def test_closing_in_the_middle_is_no_verdict() -> None:
    pool = Pool(1)
    with ThreadPoolExecutor(1) as other:
        asked = other.submit(pool.run, Act(timeout_s=600.0), {"question": "loop"})
        assert eventually(lambda: bool(pool._all))
        time.sleep(0.3)
        pool.close()
        with pytest.raises(RunError, match="closed"):
            asked.result()
    with pytest.raises(RunError, match="closed"):
        pool.run(Length(), {"question": ""})


def test_closing_under_an_open_map() -> None:
    with Pool(1) as pool:
        stream = pool.map(Length(), rows(*["x"] * 5000))
        next(stream)
    with pytest.raises(RunError, match="closed"):
        list(stream)


def test_threads_share_it(pool: Pool) -> None:
    def ask(i: int) -> Any:
        if i % 10 == 5:
            return pool.run(Act(), {"question": "exit 7"})
        return [value["n"] for value in answers(pool, Length(), rows("x" * i, "y"))]

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(ask, range(40)))
    assert found == [Abstained("crashed: exit 7") if i % 10 == 5 else [i, 1] for i in range(40)]


def test_one_map_left_early_does_not_cost_another_its_rows(pool: Pool) -> None:
    def leave(_: int) -> None:
        stream = pool.map(Act(timeout_s=60.0), rows(*["say a"] * 200))
        next(stream)
        stream.close()

    with ThreadPoolExecutor(4) as threads:
        left = [threads.submit(leave, i) for i in range(8)]
        whole = [threads.submit(answers, pool, Length(), rows(*["x"] * 300)) for _ in range(10)]
        assert all(f.result() == [{"n": 1}] * 300 for f in whole)
        assert [f.result() for f in left] == [None] * 8


def test_an_event_loop_may_ask(pool: Pool) -> None:
    async def ask() -> list[Any]:
        calls = (asyncio.to_thread(pool.run, Length(), {"question": "x" * i}) for i in range(20))
        return await asyncio.gather(*calls)

    assert asyncio.run(ask()) == [{"n": i} for i in range(20)]


SCRIPT = """
import os, sys
sys.path[:0] = [{root!r}, {tests!r}]
from dataclasses import dataclass
from curate.pool import Pool
from curate.step import Score
@dataclass(frozen=True)
class Here(Score):
    reads = ("question",)
    def row(self, row):
        if row["question"] == "hang":
            print(os.getpid(), file=open({note!r}, "w"), flush=True)
            while True: pass
        return row["question"] * 2
with Pool(1) as pool:
    print(pool.run(Here(), {{"question": "ab"}}), flush=True)
    {then}
"""


def script(tmp_path: Path, then: str) -> str:
    return SCRIPT.format(root=str(ROOT), tests=str(ROOT / "tests"), note=str(tmp_path / "pid"), then=then)


@pytest.mark.parametrize("how", ["-c", "stdin"])
def test_a_step_of_main_in_a_fresh_process(tmp_path: Path, how: str) -> None:
    text = script(tmp_path, "pass")
    env = {**os.environ, "PYTHONPATH": ""}
    command, said = ([sys.executable, "-c", text], None) if how == "-c" else ([sys.executable, "-"], text)
    done = subprocess.run(command, input=said, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert (done.stdout, done.stderr, done.returncode) == ("abab\n", "", 0)


def test_kill_9_of_the_parent_leaves_no_worker(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = script(tmp_path, 'pool.run(Here(), {"question": "hang"})')
    parent = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.DEVNULL)
    assert eventually(lambda: note.exists() and note.read_text().endswith("\n"))
    worker = int(note.read_text())
    assert alive(worker)
    parent.kill()
    parent.wait()
    assert eventually(lambda: not alive(worker))


def test_ctrl_c_stops_a_map_and_its_workers(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    text = script(tmp_path, 'list(pool.map(Here(), [{"question": "hang"}] * 9))')
    parent = subprocess.Popen(
        [sys.executable, "-c", text], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert eventually(lambda: note.exists() and note.read_text().endswith("\n"))
    parent.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in parent.communicate()[1]
    assert eventually(lambda: not alive(int(note.read_text())))
