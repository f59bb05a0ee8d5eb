"""One process of benchmarks/overhead.py: its seconds, the peak of its memory, and what it answered."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

import psutil
from peers.environment import ROOT

HERE = ROOT / "benchmarks" / "peers" / "overhead"
OURS = ("curate", "bare", "durable")
LIMIT_S = 300


class Took(NamedTuple):
    """One process."""

    rows: int
    seconds: float
    peak: int
    digest: str


class Slow(Exception):
    """Nothing came out in the time that there was; nothing was wrong."""


def once(python: Path | str, name: str, rows: int, delay_s: float) -> Took:
    """Run it in a process and a folder of its own; RuntimeError with what it said last where it fails."""
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder, open(f"{folder}/log", "w+") as log:
        command = [str(python), str(HERE / f"of_{name}.py"), str(rows), str(delay_s), folder]
        variables = {**os.environ, "PYTHONPATH": str(ROOT) if name in OURS else "", "TQDM_DISABLE": "1"}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=variables, cwd=folder
        )
        began = time.monotonic()
        timer = threading.Timer(LIMIT_S, kill, [process.pid])
        timer.start()
        try:
            peak, said = watch(process)
        finally:
            timer.cancel()
            kill(process.pid)
            process.wait()
        if "DONE" not in said or "SAID" not in said:
            log.seek(0)
            lines = [line.strip() for line in log.read().splitlines() if line.strip(" │╰╯─")]
            last = lines[-1][:300] if lines else "no word"
            if time.monotonic() - began >= LIMIT_S:
                raise Slow(f"stopped after {LIMIT_S} s: {last}")
            raise RuntimeError(last)
        if said["SAID"]["rows"] != rows:
            raise RuntimeError(f"{said['SAID']['rows']} rows came back of {rows}")
        return Took(rows, said["DONE"]["seconds"], peak, said["SAID"]["digest"])


def watch(process: subprocess.Popen[str]) -> tuple[int, dict[str, dict[str, float]]]:
    """Peak resident bytes of it and its children until it says DONE, and what it said."""
    peak, stop, said = 0, threading.Event(), {}

    def sample() -> None:
        nonlocal peak
        while not stop.wait(0.1):
            peak = max(peak, resident(process.pid))

    sampler = threading.Thread(target=sample)
    sampler.start()
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(("DONE", "SAID")):
            stop.set()
            said[line[:4]] = json.loads(line[4:])
    stop.set()
    sampler.join()
    return peak, said


def family(pid: int) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [*parent.children(recursive=True), parent]
    except psutil.NoSuchProcess:
        return []


def resident(pid: int) -> int:
    total = 0
    for process in family(pid):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total


def kill(pid: int) -> None:
    for process in family(pid):
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
