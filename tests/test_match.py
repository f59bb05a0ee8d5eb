"""Keyed rows get their answers back in order, whatever the order, number and doubling of the parts."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from curate.errors import RunError
from curate.match import match, new_rows
from curate.parts import add_part, disk_trouble, sink

WRITES = {"said": pl.Struct({"text": pl.String, "n": pl.List(pl.Int64)})}
N = 5_000


@pytest.fixture
def keyed(tmp_path: Path) -> Path:
    """Rows whose keys repeat every N / 2 rows, with an older answer that must go."""
    i = pl.int_range(0, N)
    frame = pl.LazyFrame({"n": [0]}).select(i=i, key=pl.format("k{}", i % (N // 2)), said=pl.lit("old"))
    sink(frame, tmp_path / "keyed.parquet").collect()
    return tmp_path / "keyed.parquet"


def answer(k: int) -> dict[str, object]:
    return {"key": f"k{k}", "said": {"text": f"it's {k}", "n": [k]} if k % 3 else None}


def test_only_the_first_row_of_a_key_without_an_answer_is_new(keyed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it's answers"
    assert new_rows(keyed, folder, tmp_path / "new.parquet").collect()["i"].to_list() == list(range(N // 2))
    add_part(folder, [answer(k) for k in range(0, N // 2, 2)], {"key": pl.String, **WRITES})
    found = new_rows(keyed, folder, tmp_path / "new.parquet").collect()
    assert found["i"].to_list() == list(range(1, N // 2, 2))
    assert found.columns == ["i", "key", "said"]


@pytest.mark.parametrize("doubled", [False, True])
def test_answers_and_failures_come_back_beside_their_rows(keyed: Path, tmp_path: Path, doubled: bool) -> None:
    folder, failures = tmp_path / "answers", tmp_path / "failures"
    known = [k for k in range(N // 2 - 1, -1, -1) if k % 10]
    for first in range(0, len(known), 600):
        add_part(folder, [answer(k) for k in known[first : first + 600]], {"key": pl.String, **WRITES})
    if doubled:
        add_part(folder, [answer(k) for k in known[:700]], {"key": pl.String, **WRITES})
    failed = [{"key": f"k{k}", "why": f"call failed: {k}"} for k in range(0, N // 2, 20)]
    add_part(failures, failed, {"key": pl.String, "why": pl.String})
    rows = match(keyed, folder, failures, tmp_path / "out.parquet", WRITES).collect()
    assert dict(rows.schema) == {"i": pl.Int64, "key": pl.String, **WRITES, "why": pl.String}
    for row in rows.to_dicts():
        k = int(row["key"][1:])
        assert row["i"] % (N // 2) == k
        assert row["said"] == (answer(k)["said"] if k % 10 else None)
        assert row["why"] == (None if k % 20 else f"call failed: {k}")
    assert rows["i"].to_list() == list(range(N))


def test_without_any_answer_the_columns_are_there_and_null(keyed: Path, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    rows = match(keyed, nothing, nothing, tmp_path / "out.parquet", WRITES).collect()
    assert dict(rows.schema) == {"i": pl.Int64, "key": pl.String, **WRITES, "why": pl.String}
    assert rows["said"].null_count() == rows["why"].null_count() == len(rows) == N


def test_a_full_disk_is_said_as_everywhere(keyed: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        new_rows(keyed, tmp_path / "answers", Path("/dev/full"))
    assert disk_trouble(caught.value, tmp_path).endswith("is full; free some space")


def test_a_join_for_which_memory_and_disk_do_not_suffice_is_one_sentence(
    keyed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("curate.match.MEMORY", "300KB")
    said = f"more than 300KB of memory, for which the disk of {tmp_path} has no room; free some space"
    with pytest.raises(RunError, match=said):
        new_rows(keyed, tmp_path / "answers", tmp_path / "out.parquet")


def test_of_two_answers_to_a_key_the_same_one_counts_every_time(keyed: Path, tmp_path: Path) -> None:
    for said in range(4):
        rows = [{"key": f"k{i}", "said": {"text": str(said), "n": []}} for i in range(N // 2)]
        add_part(tmp_path / "answers", rows, {"key": pl.String, **WRITES})
    given = (keyed, tmp_path / "answers", tmp_path / "failures", tmp_path / "out.parquet", WRITES)
    first, *others = (match(*given).collect() for _ in range(8))
    assert len(first) == N and all(other.equals(first) for other in others)
