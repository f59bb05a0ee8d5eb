"""What a cluster reads is what one process reads: the same rows, the same revision, the same first error.

The laws hold for slices of any size and need no Ray; the tests at the end read on a cluster of this machine.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import pickle
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray_steps import killing, lines, marked

import curate
from curate import slices
from curate.cluster import Cluster
from curate.errors import InputError, RunError, UserError
from curate.filters.failed import Failed
from curate.read import Source, as_traces, read
from curate.verifiers.math_equal import MathEqual
from curate.worker import portable


class Hosts:
    """A cluster in this process: parts travel, and come back in any order."""

    def __init__(self, seed: int = 0) -> None:
        self.random, self.taken = random.Random(seed), 0

    def read(self, folder: Path, parts: Iterator[tuple[int, Callable[[], Any]]]) -> Iterator[tuple[int, Any]]:
        flying: list[tuple[int, Any]] = []
        while True:
            while len(flying) < 4 and (each := next(parts, None)):
                flying.append((each[0], pickle.loads(portable(each[1]))))
            if not flying:
                return
            number, work = flying.pop(self.random.randrange(len(flying)))
            self.taken += 1
            yield number, work()


def loaded(source: Source, folder: Path, size: int, hosts: Any = None) -> Any:
    """What a source holds, or the sentence that says why not; nothing but tables is left."""
    folder.mkdir(parents=True)
    small = patch.multiple("curate.rowfile", GROUP_BYTES=3_000, GROUP_ROWS=11)
    with patch.object(slices, "SLICE_BYTES", size), patch.object(os, "fsync"), small:
        try:
            found = source.load(folder, hosts and (lambda: hosts))
        except InputError as e:
            return str(e)
    assert {p.name for p in folder.iterdir()} <= {"rows.parquet", "unreadable.parquet"}
    bad = found.unreadable and pl.read_parquet(found.unreadable).to_dicts()
    return pl.read_parquet(found.rows).to_dicts(), bad, found.read, found.revision


def about(found: Any) -> Any:
    """Without the sizes of rows, which in parquet are those of their batch on the average."""
    if isinstance(found, str) or not found[1]:
        return found
    bad = [{**row, "extra": {**json.loads(row["extra"]), "bytes": None}} for row in found[1]]
    return (found[0], bad, *found[2:])


def assert_same(source: Source, folder: Path, size: int, seed: int = 0) -> Any:
    """Hosts read what this process reads, with slices of this size and of any other."""
    hosts = Hosts(seed)
    there = loaded(source, folder / "there", size, hosts)
    assert there == loaded(source, folder / "here", size)
    for table in (folder / "here").iterdir():
        assert table.read_bytes() == (folder / "there" / table.name).read_bytes()
    assert about(there) == about(loaded(source, folder / "whole", 1 << 30))
    return there


def some_rows(n: int) -> list[dict[str, Any]]:
    return [
        {
            "question": f"{i} + 1, «ünï» {'x' * (i % 9)}",
            "answer": str(i + 1),
            "response": f"\\boxed{{{i + 1}}}",
        }
        for i in range(n)
    ]


def jsonl(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


GOOD = st.builds(
    lambda q, a: json.dumps({"question": f"q{q}", "answer": a}, ensure_ascii=False).encode(),
    st.text("aé∑\u2028 ", max_size=5),
    st.integers(0, 99) | st.none(),
)
LINE = GOOD | st.sampled_from(
    [b"", b" \t", b"not json", b'{"answer": "4"}', b"[1]", b'{"question": "\xff"}', b"\0"]
)


@given(
    st.lists(st.tuples(LINE, st.sampled_from([b"\n", b"\r\n"])), max_size=16),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["error", "set_aside"]),
    st.integers(1, 300),
    st.integers(0, 9),
)
@settings(max_examples=150)
def test_lines_cut_anywhere_are_the_same_lines(
    tmp_path_factory: Any, said: Any, bom: bool, ends: bool, bad_rows: Any, size: int, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    text = b"".join(line + end for line, end in said)
    (folder / "in.jsonl").write_bytes(b"\xef\xbb\xbf" * bom + (text if ends else text.rstrip(b"\r\n")))
    assert_same(read(folder / "in.jsonl", bad_rows=bad_rows), folder, size, seed)


@given(st.lists(st.integers(0, 99) | st.none(), max_size=40), st.integers(1, 9), st.integers(1, 2000))
@settings(max_examples=50)
def test_parquet_cut_between_any_row_groups_is_the_same_table(
    tmp_path_factory: Any, asked: list[int | None], group: int, size: int
) -> None:
    folder = tmp_path_factory.mktemp("groups")
    given = [None if n is None else f"question {n}" * (n % 4) for n in asked]
    table = pl.DataFrame({"question": given, "answer": asked}, schema={"question": str, "answer": int})
    table.write_parquet(folder / "in.parquet", row_group_size=group)
    for bad_rows in ("error", "set_aside"):
        assert_same(read(folder / "in.parquet", bad_rows=bad_rows), folder / bad_rows, size)  # type: ignore[arg-type]


def mixed(folder: Path) -> Path:
    """A folder of four kinds of files, with a bad row in each of three."""
    there = folder / "mixed"
    there.mkdir()
    rows, bad = some_rows(60), {"question": " ", "answer": "1"}
    (there / "a.jsonl").write_bytes(jsonl([*rows[:20], bad, *rows[20:30]]))
    pl.DataFrame([*rows[30:40], bad | {"response": None}]).write_parquet(
        there / "b.parquet", row_group_size=4
    )
    (there / "c.jsonl.gz").write_bytes(gzip.compress(jsonl([*rows[40:50], bad, {"question": "none"}])))
    (there / "d.csv").write_text('question,answer,response\n"two\nlines",2,2\n')
    return there


@pytest.mark.parametrize("size", [1, 100, 700, 5_000])
@pytest.mark.parametrize("bad_rows", ["error", "set_aside"])
def test_a_folder_of_several_kinds(tmp_path: Path, size: int, bad_rows: Any) -> None:
    source = as_traces(read(mixed(tmp_path), bad_rows=bad_rows), bad_rows)
    found = assert_same(source, tmp_path, size)
    if bad_rows == "error":
        assert "a.jsonl line 21: the question (question) is empty; or read the others with" in found
    else:
        why = [row["why"].rpartition("/")[2] for row in found[1]]
        empty = "the question (question) is empty"
        assert why == [f"a.jsonl line 21: {empty}", f"b.parquet row 11: {empty}",
                       f"c.jsonl.gz line 11: {empty}", slices.NO_TRACE]  # fmt: skip
        assert [row["answer"] for row in found[0]] == [*map(str, range(1, 51)), "2"]


def test_several_inputs_with_what_only_the_driver_can_read(tmp_path: Path) -> None:
    import datasets

    datasets.Dataset.from_list(some_rows(5)).save_to_disk(tmp_path / "saved")
    (tmp_path / "in.jsonl").write_bytes(jsonl(some_rows(30)))
    source = read([tmp_path / "in.jsonl", tmp_path / "saved", tmp_path / "in.jsonl"])
    rows, *_ = assert_same(source, tmp_path, 200)
    assert [row["source"] for row in rows] == ["in"] * 30 + ["saved"] * 5 + ["in"] * 30


def late(folder: Path) -> Path:
    """Lines of which the first have no rows, the next have two columns, and the last ones one."""
    rows = [
        *({"q": f"a{i}", "n": i} for i in range(9)),
        *({"q": f"b{i}"} for i in range(9)),
        {"q": "c", "z": 1},
    ]
    (folder / "late.jsonl").write_bytes(b"bad\n" * 7 + jsonl(rows))
    return folder / "late.jsonl"


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"question": "q"}, "b8"),
        ({"question": "q", "answer": "n"}, "b8"),
        ({"question": pl.col("q") + pl.col("n").cast(pl.String).fill_null("!")}, "b8!"),
        ({"question": "q", "domain": pl.lit("maths")}, "b8"),
        ({"question": pl.concat_str(pl.all(), separator="|", ignore_nulls=True)}, "b8"),
        ({"question": "quest"}, "question=…: IN has no column 'quest'; it has n, q"),
        ({"question": "q", "answer": "z"}, "answer=…: IN has no column 'z'; it has n, q"),
    ],
)
@pytest.mark.parametrize("size", [1, 40, 130])
def test_columns_that_are_named(tmp_path: Path, columns: Any, said: str, size: int) -> None:
    file = late(tmp_path)
    with patch("curate.formats.BATCH_ROWS", 5):
        found = assert_same(read(file, bad_rows="set_aside", **columns), tmp_path, size)
    if "column" in said:
        assert found == said.replace("IN", str(file))
    else:
        assert said in [row["question"] for row in found[0]] and len(found[1]) == 7


def test_a_line_that_is_too_long_is_in_one_slice(tmp_path: Path) -> None:
    long = b'{"question": "' + b"x" * (3 << 20) + b'"}\n'
    (tmp_path / "in.jsonl").write_bytes(
        jsonl(some_rows(2)) + long + b" " * (2 << 20) + b"\n" + jsonl(some_rows(2))
    )
    with patch("curate.formats.MAX_LINE_MB", 1):
        rows, bad, *_ = assert_same(read(tmp_path / "in.jsonl", bad_rows="set_aside"), tmp_path, 1000)
    assert len(rows) == 4 and [json.loads(row["extra"])["at"] for row in bad] == ["line 3", "line 4"]


@pytest.mark.parametrize("name", ["in.parquet", "in.jsonl.gz", "in.txt"])
def test_what_stops_comes_after_the_bad_rows_before_it(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(jsonl(some_rows(30)) + b"bad\n")
    there = tmp_path / "z"
    there.mkdir()
    (there / name).write_bytes(b"torn")
    source = read([tmp_path / "a.jsonl", there], bad_rows="set_aside")
    assert str(there) in assert_same(source, tmp_path / "one", 100)
    assert "a.jsonl line 31: not JSON" in assert_same(
        read([tmp_path / "a.jsonl", there]), tmp_path / "two", 100
    )


def test_head_reads_few_rows_and_hashes_all(tmp_path: Path) -> None:
    there = mixed(tmp_path)
    (there / "torn.parquet").write_bytes(b"torn")
    hosts = Hosts()
    rows, bad, *_ = found = loaded(read(there).head(3), tmp_path / "out", 100, hosts)
    assert (len(rows), bad, hosts.taken) == (3, None, 0)
    (there / "torn.parquet").write_bytes(b"else")
    assert loaded(read(there).head(3), tmp_path / "again", 100)[-1] != found[-1]


def test_little_is_read_by_the_driver_and_more_by_hosts(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(jsonl(some_rows(40)))
    size = (tmp_path / "in.jsonl").stat().st_size
    for at, taken in ((size, 0), (size // 4, 4)):
        hosts = Hosts()
        loaded(read(tmp_path / "in.jsonl"), tmp_path / str(at), at, hosts)
        assert abs(hosts.taken - taken) <= 1 and bool(hosts.taken) == bool(taken)


def test_a_file_that_a_host_does_not_have_is_read_by_the_driver(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(jsonl(some_rows(40)))
    whole = loaded(read(tmp_path / "in.jsonl"), tmp_path / "whole", 1 << 30)

    class Elsewhere(Hosts):
        def read(self, folder: Path, parts: Any) -> Iterator[tuple[int, Any]]:
            for number, work in parts:
                os.utime(tmp_path / "in.jsonl", ns=(number, number))
                assert work() is None
                yield number, None

    assert loaded(read(tmp_path / "in.jsonl"), tmp_path / "there", 200, Elsewhere()) == whole


def test_what_is_stopped_leaves_no_table_and_can_be_read_again(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(jsonl(some_rows(40)))

    class Stopped(Hosts):
        def read(self, folder: Path, parts: Any) -> Iterator[tuple[int, Any]]:
            yield from itertools.islice(super().read(folder, parts), 5)
            raise KeyboardInterrupt

    with patch.object(slices, "SLICE_BYTES", 200):
        with pytest.raises(KeyboardInterrupt):
            read(tmp_path / "in.jsonl").load(tmp_path / "out", Stopped)  # type: ignore[arg-type]
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["parts"]
        found = read(tmp_path / "in.jsonl").load(tmp_path / "out", Hosts)  # type: ignore[arg-type]
    assert found.read == 40 and [p.name for p in (tmp_path / "out").iterdir()] == ["rows.parquet"]


def test_rows_without_any_column_get_a_constant_as_well(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(b"{}\n{}\n")
    with pytest.raises(InputError, match="no question: the columns are none"):
        read(tmp_path / "in.jsonl", domain=pl.lit("maths")).load(tmp_path / "out")


# --- on Ray


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_BYTES", 2_000)


def test_a_run_whose_input_hosts_read_is_the_same_run(cluster: str, tmp_path: Path, small: None) -> None:
    there = mixed(tmp_path)
    for name, ray in (("here", None), ("there", 2)):
        source = as_traces(read(there, bad_rows="set_aside"), "set_aside")
        pipe = curate.Pipeline(source, [MathEqual(), Failed("math_equal")])
        pipe.run(tmp_path / name, ray=ray)
    for table in ("live.parquet", "dropped.parquet", "funnel.parquet"):
        here, other = (tmp_path / name / table for name in ("here", "there"))
        assert here.read_bytes() == other.read_bytes(), table
    assert not (tmp_path / "there" / "scratch").exists()


def slow(folder: Path, rows: int) -> Source:
    """Lines, each batch of which takes a moment, and says who reads it."""
    (folder / "in.jsonl").write_bytes(jsonl(some_rows(rows)))
    mark = pl.col("answer").map_batches(partial(marked, folder / "ledger"), return_dtype=pl.String)
    return read(folder / "in.jsonl", answer=mark)


@pytest.mark.slow
def test_a_host_killed_while_it_reads(cluster: str, tmp_path: Path, small: None) -> None:
    source = slow(tmp_path, 400)
    whole = loaded(source, tmp_path / "here", 2_000)
    before = len(lines(tmp_path / "ledger"))
    kills = killing(tmp_path / "ledger", at=[before + 3, before + 8])
    with Cluster(2) as hosts:
        assert loaded(source, tmp_path / "there", 2_000, hosts) == whole
    kills.join(timeout=10)
    assert not kills.is_alive(), "a host was never killed"
    assert len({pid for pid, _ in lines(tmp_path / "ledger")} - {os.getpid()}) >= 3


def test_hosts_stop_at_the_first_bad_row_of_the_input(cluster: str, tmp_path: Path, small: None) -> None:
    source = slow(tmp_path, 400)
    text = (tmp_path / "in.jsonl").read_bytes().splitlines(keepends=True)
    for bad in (150, 151, 320):
        text[bad] = b"bad\n"
    (tmp_path / "in.jsonl").write_bytes(b"".join(text))
    whole = loaded(source, tmp_path / "here", 2_000)
    assert "line 151: not JSON" in whole
    with Cluster(2) as hosts:
        assert loaded(source, tmp_path / "there", 2_000, hosts) == whole


@pytest.mark.slow
def test_a_part_that_kills_its_hosts_is_named(cluster: str, tmp_path: Path) -> None:
    with (
        Cluster(1) as hosts,
        pytest.raises(RunError, match="5 hosts .* died over part 1 of the input; the last:"),
    ):
        list(hosts.read(tmp_path, iter([(0, partial(os._exit, 3))])))
    with (
        Cluster(1) as hosts,
        pytest.raises(UserError, match="does not see .*put the run folder on a file system"),
    ):
        list(hosts.read(tmp_path / "elsewhere", iter([(0, int)])))
