"""Damaged files, disks that refuse, clocks that jump, servers that are wrong: what a command does then.

Every command is a process of its own, and so is the server; the recipe is that of the kill drills.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from conftest import ROOT
from served import ENVIRONMENT, free_port, shop

import curate
from curate.engines.scripted import Scripted
from curate.errors import InputError
from curate.journal import LEDGER, Journal, damage
from curate.parts import write_json
from curate.run import Run

RECIPE = ROOT / "benchmarks" / "mixed" / "recipe.py"
TABLES = ("live.parquet", "dropped.parquet")


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("given") / "problems.jsonl"
    rows = pl.DataFrame({"question": [f"question {i}" for i in range(8)], "answer": ["1"] * 8})
    rows.write_ndjson(path)
    return path


@pytest.fixture(scope="module")
def quiet(problems: Path, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The tables of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("quiet") / "run"
    with shop() as server:
        assert run(server.url, problems, out) == ["0"]
    return tables(out)


def command(url: str, problems: Path, out: Path, recipe: Path = RECIPE) -> list[str]:
    run = [sys.executable, "-m", "curate.cli", "run", str(recipe), "--out", str(out), "--pause-s", "0"]
    return [*run, "--url", url, "--problems", str(problems)]


def run(url: str, problems: Path, out: Path, recipe: Path = RECIPE, **more: str) -> list[str]:
    """The command's exit code, and what it said about itself, a sentence each; never a traceback."""
    environment = {**ENVIRONMENT, **more}
    ended = subprocess.run(
        command(url, problems, out, recipe), capture_output=True, text=True, env=environment
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    said = re.findall(r"^curate: (.*)$", ended.stderr.replace("\r", "\n"), re.MULTILINE)
    return [str(ended.returncode), *said]


def tables(out: Path) -> list[bytes]:
    return [(out / name).read_bytes() for name in TABLES]


def killed_in_the_middle(log: Path, problems: Path, out: Path, url: str, calls: int) -> None:
    """A run that is killed as soon as the server has answered so many calls."""
    process = subprocess.Popen(command(url, problems, out), stderr=subprocess.DEVNULL, env=ENVIRONMENT)
    while log.read_text().count("-") < calls:
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    process.kill()
    process.wait()


def half(path: Path) -> None:
    with open(path, "r+b") as f:
        f.truncate(path.stat().st_size // 2)


def scribble(path: Path) -> None:
    with open(path, "r+b") as f:
        f.write(b"no database at all, of that one may be sure")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("which", "harm", "said"),
    [
        ("journal.sqlite", half, True),
        ("journal.sqlite", scribble, True),
        ("journal.sqlite-wal", half, False),
        ("journal.sqlite-wal", scribble, False),
    ],
)
def test_a_damaged_journal_costs_the_calls_of_unfinished_rows_at_most(
    which: str, harm: object, said: bool, tmp_path: Path, problems: Path, quiet: list[bytes]
) -> None:
    log, out = tmp_path / "log", tmp_path / "run"
    with shop(log=log, sleep_s=0.02) as server:
        killed_in_the_middle(log, problems, out, server.url, 24 + 30)  # in the middle of the many-call step
        if which == "journal.sqlite":
            with sqlite3.connect(out / which) as db:
                db.execute("pragma wal_checkpoint(truncate)")
                assert db.execute("select count(*) from calls").fetchone()[0] > 8
            db.close()
        assert (out / which).stat().st_size > 4096
        harm(out / which)  # type: ignore[operator]
        told = run(server.url, problems, out)
    assert told[0] == "0" and len(told) == 1 + said
    assert not said or "journal.sqlite is damaged" in told[1]
    assert (out / "journal.sqlite.damaged").exists() is said
    assert tables(out) == quiet


@pytest.mark.slow
def test_the_ledger_of_a_damaged_journal_goes_on_from_its_table(tmp_path: Path, problems: Path) -> None:
    with shop() as server:
        assert run(server.url, problems, tmp_path / "run") == ["0"]
        before = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
        half(tmp_path / "run" / "journal.sqlite")
        code, said = run(server.url, problems, tmp_path / "run")
    assert code == "0" and "the ledger goes on from where" in said and "ledger.parquet stands" in said
    after = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    same = ["step", "fingerprint", "engine", "rows_paid", "calls", "prompt_tokens", "output_tokens", "usd"]
    assert before["calls"].sum() > 20 and after.select(same).equals(before.select(same))


def test_a_sound_journal_is_not_damaged(tmp_path: Path) -> None:
    assert damage(tmp_path / "journal.sqlite") == "" and not (tmp_path / "journal.sqlite").exists()
    journal = Journal(tmp_path / "journal.sqlite")
    lines = [["a", "f", "e", 1, 2, 3, 4, 5, 6, 7.5, None], ["b", "f", "", 0, 1, 0, 0, 0, 0, 0.5, 0.25]]
    table = pl.DataFrame(lines, schema=LEDGER, orient="row")
    journal.restore(table)
    assert journal.ledger().equals(table)
    journal.close()
    assert damage(tmp_path / "journal.sqlite") == ""


@pytest.fixture(scope="module")
def finished(problems: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with all the records there are; copy it before you harm it."""
    out = tmp_path_factory.mktemp("finished") / "run"
    road(problems).run(out)
    write_json(out / "served.json", {"fingerprint": {"id": "m"}})
    return out


def road(problems: Path) -> curate.Pipeline:
    return curate.Pipeline(curate.read(problems), [curate.Sample(Scripted(script=lambda m: "1"), n=1)])


RECORDS = {
    "begun.json": "choose another folder, or delete it if",
    "served.json": "delete it if the same models are served as before",
    "answers/sample-*/sources.json": "delete it: every answer is kept",
    "recipe.json": "run the pipeline into the folder again",
}


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize(
    "holds", [b"", b"{", b"\xff\xfe", b"null", b"7", b'{"source": 1, "steps": [1]}', b'["a", 1]', None]
)
def test_a_damaged_record_is_one_sentence_and_its_remedy_helps(
    record: str, holds: bytes | None, tmp_path: Path, problems: Path, finished: Path
) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    [path] = out.glob(record)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if holds is None else holds)
    before = {p: p.read_bytes() for p in out.rglob("*.parquet")}
    with pytest.raises(InputError) as e:
        assert record == "recipe.json" or road(problems).run(out)
        assert Run(out).recipe
    said = str(e.value)
    assert said.startswith(f"{path} is damaged (") and said.count("\n") == 0 and RECORDS[record] in said
    assert before == {p: p.read_bytes() for p in before}
    if record != "recipe.json":
        path.unlink()
    again = road(problems).run(out)
    assert again.ledger["rows_paid"].to_list() == [8], "nothing is asked again"
    assert again.recipe["steps"] == Run(finished).recipe["steps"] and again.traces.collect().height == 8


def test_a_command_says_a_damaged_record_and_no_more(tmp_path: Path, problems: Path, finished: Path) -> None:
    out = Path(shutil.copytree(finished, tmp_path / "run"))
    half(out / "begun.json")
    code, said = run("http://127.0.0.1:1/v1", problems, out)
    assert code == "2" and said.startswith(f"{out / 'begun.json'} is damaged (")


@pytest.fixture
def answers(tmp_path: Path) -> Iterator[Path]:
    """The answers' folder of a run that has not begun, on a disk of its own."""
    folder = tmp_path / "run" / "answers"
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def remount(folder: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(folder)], check=True)


@pytest.mark.slow
def test_read_only_answers_are_said_before_anything_is_bought(
    answers: Path, tmp_path: Path, problems: Path
) -> None:
    log = tmp_path / "log"
    with shop(log=log) as server:
        remount(answers, "ro")
        code, said = run(server.url, problems, tmp_path / "run")
        assert code == "2" and f"{answers} cannot be written to" in said and log.read_text() == ""
        remount(answers, "rw")
        assert run(server.url, problems, tmp_path / "run") == ["0"]


@pytest.mark.slow
def test_answers_that_become_read_only_in_mid_run_are_kept_and_not_bought_again(
    answers: Path, tmp_path: Path, problems: Path, quiet: list[bytes]
) -> None:
    log, out = tmp_path / "log", tmp_path / "run"
    with shop(log=log, sleep_s=0.05) as server:
        process = subprocess.Popen(
            command(server.url, problems, out), stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
        )
        while log.read_text().count("-") < 5:
            assert process.poll() is None, "it ended before the disk refused"
            time.sleep(0.002)
        remount(answers, "ro")
        said = process.communicate()[1].replace("\r", "\n")
        assert process.returncode == 1 and "Traceback" not in said
        [line] = re.findall(r"^curate: .*$", said, re.MULTILINE)
        assert "cannot be written to" in line and "run the same command again" in line
        remount(answers, "rw")
        assert run(server.url, problems, out) == ["0"]
        sold = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("-")]
        assert len(sold) == len(set(sold)), "what was paid for when the disk refused was in the journal"
    assert tables(out) == quiet


CLOCK = """
import itertools, sys, time
jumps = itertools.cycle([0.0, 4e9, -1e6, 1.7e9, 1e6])
time.time = lambda: next(jumps)
time.time_ns = lambda: int(next(jumps) * 1e9)
sys.path.insert(0, {folder!r})
from recipe import recipe
"""


@pytest.mark.slow
def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, problems: Path, quiet: list[bytes]) -> None:
    jumping = tmp_path / "jumping.py"
    jumping.write_text(CLOCK.format(folder=str(RECIPE.parent)))
    with shop(error=0.1, seed=3) as shaky:
        told = run(shaky.url, problems, tmp_path / "run", jumping)
        while told == ["0"] and _failed(tmp_path / "run"):
            told = run(shaky.url, problems, tmp_path / "run", jumping)
        assert told == ["0"]
    assert tables(tmp_path / "run") == quiet
    ledger = pl.read_parquet(tmp_path / "run" / "ledger.parquet")
    assert ledger["seconds"].min() >= 0 and ledger["seconds"].max() < 1e5


def _failed(out: Path) -> bool:
    return pl.read_parquet(out / "dropped.parquet")["why"].str.starts_with("call failed").any()


def test_nobody_asks_what_time_it_is() -> None:
    """Durations are measured with a clock that cannot jump; a date that a server names is the exception."""
    asks = re.compile(r"\btime\.time\(|\btime_ns\(|datetime\.(now|today|utcnow)|date\.today")
    files = [
        p for room in ("curate", "verifiers", "filters", "rewriters") for p in (ROOT / room).rglob("*.py")
    ]
    asking = {p.name for p in files for line in p.read_text().splitlines() if asks.search(line)}
    assert asking == {"retry.py"}


@pytest.mark.slow
def test_two_runs_on_one_folder(tmp_path: Path, problems: Path) -> None:
    log, out = tmp_path / "log", tmp_path / "run"
    with shop(log=log, sleep_s=0.3) as server:
        first = subprocess.Popen(
            command(server.url, problems, out), stderr=subprocess.DEVNULL, env=ENVIRONMENT
        )
        while not log.read_text():
            assert first.poll() is None, "it ended before the second could begin"
            time.sleep(0.002)
        code, said = run(server.url, problems, out)
        assert first.poll() is None and code == "2"
        assert f"another run (process {first.pid}) is writing to {out}; wait for it" in said
        assert first.wait() == 0
        sold = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("-")]
        assert len(sold) == len(set(sold))


@pytest.mark.parametrize(
    ("given", "key", "says"),
    [
        ({}, "", r"no server answers at \S+/v1: .*is it running, and is the address right\?"),
        ({"key": "open"}, "shut", r"refuses us with 401: no such key; is the key .* right\?"),
        ({"model": "n"}, "", r"does not serve 'm'; there is 'n'"),
    ],
)
def test_a_wrong_address_key_or_model_is_one_sentence(
    given: dict[str, str], key: str, says: str, tmp_path: Path, problems: Path
) -> None:
    with shop(log=tmp_path / "log", **given) as server:
        url = server.url if given else f"http://127.0.0.1:{free_port()}/v1"
        code, said = run(url, problems, tmp_path / "run", OPENAI_API_KEY=key)
    assert code == "2" and re.search(says, said)
    assert (tmp_path / "log").read_text() == "" and not list(
        (tmp_path / "run" / "answers").rglob("*.parquet")
    )


@pytest.mark.slow
def test_one_row_over_the_context_is_set_aside_alone(tmp_path: Path) -> None:
    questions = ["short"] * 99
    questions[50] = "long " * 1000
    rows = pl.DataFrame({"question": [f"{q} {i}" for i, q in enumerate(questions)], "answer": ["1"] * 99})
    rows.write_ndjson(tmp_path / "p.jsonl")
    with shop(context=1000) as server:
        assert run(server.url, tmp_path / "p.jsonl", tmp_path / "run") == ["0"]
    dropped = pl.read_parquet(tmp_path / "run" / "dropped.parquet")
    failed = dropped.filter(pl.col("why").str.starts_with("call failed"))
    assert failed["question"].to_list() == [rows["question"][50]] * 3
    assert "maximum context length is 1000" in failed["why"][0] and set(failed["dropped_by"]) == {"sample"}
    asked = dropped.filter(pl.col("trace_id").is_not_null())
    assert asked["question"].n_unique() == 98
