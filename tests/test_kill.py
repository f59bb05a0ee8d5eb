"""Nothing is lost: a run against a real HTTP server, killed again and again, ends as if nobody had touched
it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

KILLS, CONCURRENCY, PROBLEMS, SAMPLES, TURNS = 20, 8, 30, 3, 6
RECIPE = f'''
from dataclasses import dataclass
import curate
from curate.step import Engine, Rewriter, Text, user


@dataclass(frozen=True)
class Talk(Rewriter):
    """Many calls for one row: each asks about the answer before it."""

    engine: Engine
    reads = ("question", "response")

    async def ask(self, row):
        said = row["response"]
        for turn in range({TURNS}):
            [reply] = await self.engine.chat(user(f"{{turn}} {{said}}"))
            said = reply.response
        return Text(None, said)


def recipe(url: str, problems: str):
    teacher = curate.engine("server:" + url, model="shop", concurrency={CONCURRENCY})
    return curate.Pipeline(curate.read(problems), [curate.Sample(teacher, n={SAMPLES}), Talk(teacher)])
'''


class Shop(ThreadingHTTPServer):
    """Answers every request with a hash of it, after a moment, and writes down what it sold."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Till)
        self.sold: Counter[str] = Counter()
        self.lock = threading.Lock()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    @property
    def total(self) -> int:
        with self.lock:
            return self.sold.total()

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed client is what this test is about."""


class Till(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def do_GET(self) -> None:
        self._send({"data": [{"id": "shop"}]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked = json.loads(body)
        sale = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
        time.sleep(0.005 + int(sale[:4], 16) / 65536 * 0.02)
        with self.server.lock:
            self.server.sold[sale] += 1
        message = {"role": "assistant", "content": f"<think>hm {sale[:6]}</think>so {sale[6:12]}"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        self._send({"choices": [choice], "usage": {"prompt_tokens": 3, "completion_tokens": 5}})

    def _send(self, answer: dict[str, object]) -> None:
        data = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def shop() -> Iterator[Shop]:
    server = Shop()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def start(folder: Path, shop: Shop, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curate.cli", "run", str(folder / "recipe.py"), "--out", str(out)]
    command += ["--url", shop.url, "--problems", str(folder / "problems.jsonl")]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )


def finish(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()[-2000:]


@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_like_one_that_never_was(tmp_path: Path, shop: Shop) -> None:
    (tmp_path / "recipe.py").write_text(RECIPE)
    rows = [json.dumps({"question": f"question {i}", "answer": str(i)}) for i in range(PROBLEMS)]
    (tmp_path / "problems.jsonl").write_text("\n".join(rows))
    finish(start(tmp_path, shop, tmp_path / "quiet"))
    calls = PROBLEMS * SAMPLES * (1 + TURNS)
    assert shop.total == len(shop.sold) == calls
    once = set(shop.sold)
    shop.sold.clear()

    rng = random.Random(0)
    kills, inside_ask = 0, 0
    while kills < KILLS:
        process = start(tmp_path, shop, tmp_path / "killed")
        before, wanted = shop.total, rng.randint(1, calls // KILLS)
        while process.poll() is None and shop.total - before < wanted:
            time.sleep(0.002)
        time.sleep(rng.random() * 0.05)
        assert process.poll() is None, f"the run ended before kill {kills + 1}: {process.communicate()[1]!r}"
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kills += 1
        inside_ask += shop.total > PROBLEMS * SAMPLES
    finish(start(tmp_path, shop, tmp_path / "killed"))

    assert inside_ask >= 5, "the kills never hit the many-call step"
    assert set(shop.sold) == once, "another call was asked than in the quiet run"
    in_flight = 2 * CONCURRENCY  # as many with the server, and as many on their way to the disk
    assert shop.total - calls <= KILLS * in_flight, "more was bought twice than was in flight"
    ledger = pl.read_parquet(tmp_path / "killed" / "ledger.parquet")
    assert ledger["calls"].sum() == calls, "the ledger forgot or doubled what a killed run had bought"
    for table in ("live.parquet", "dropped.parquet"):
        quiet, killed = (tmp_path / run / table for run in ("quiet", "killed"))
        assert quiet.read_bytes() == killed.read_bytes(), f"{table} differs from the uninterrupted run"
