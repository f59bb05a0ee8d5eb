"""A full disk stops a run with one sentence; with more room the same command ends as if nothing had
happened."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

RECIPE = """
import random
import curate
from curate.engines.scripted import Scripted
from curate.verifiers.exact import Exact


def say(messages, seed):
    noise = random.Random(seed)
    return "<think>" + "".join(chr(noise.randrange(33, 1000)) for _ in range(20_000)) + "</think>7"


def recipe(problems: str):
    steps = [curate.Sample(Scripted(model="noise", script=say), n=2), Exact()]
    return curate.Pipeline(curate.read(problems), steps)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a disk of 4 MB cannot be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.slow
def test_a_full_disk_loses_nothing(small_disk: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)
    rows = pl.DataFrame({"question": [f"q{i}" for i in range(150)], "answer": ["7"] * 150})
    rows.write_ndjson(tmp_path / "p.jsonl")

    def run(out: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "curate.cli", "run", str(tmp_path / "recipe.py"), "--out", str(out)]
        return subprocess.run(
            [*command, "--problems", str(tmp_path / "p.jsonl")], capture_output=True, text=True
        )

    full = run(small_disk / "run")
    said = [line for line in full.stderr.replace("\r", "\n").split("\n") if line.startswith("curate: ")]
    assert full.returncode == 1 and len(said) == 1, full.stderr
    assert "full" in said[0] and "run the same command again" in said[0] and "Traceback" not in full.stderr
    assert not (small_disk / "run" / "live.parquet").exists()

    subprocess.run(["mount", "-o", "remount,size=256m", str(small_disk)], check=True)
    again = run(small_disk / "run")
    assert again.returncode == 0, again.stderr
    assert run(tmp_path / "quiet").returncode == 0
    for table in ("live.parquet", "dropped.parquet"):
        assert (small_disk / "run" / table).read_bytes() == (tmp_path / "quiet" / table).read_bytes()
