"""Servers that tests talk to over HTTP: real ones over a checkpoint, and one that answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from curate.engines.hf import HF
from curate.engines.server import Server
from curate.step import Completion, TokenScores, user

HELLO = user("What is 2 + 2?")
QUICK = {"retries": 3, "backoff_s": 0.001}
ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@contextlib.contextmanager
def serving(model: Path) -> Iterator[str]:
    """The address of `curate.engines.serve`, in a process of its own."""
    command = [sys.executable, "-m", "curate.engines.serve", str(model), "--port", "0", "--dtype", "float32"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        try:
            assert process.stderr
            said = next((line for line in process.stderr if line.startswith("serving ")), None)
            assert said, "the server ended before it served"
            yield said.rsplit(" on ", 1)[1].strip()
        finally:
            process.terminate()
        assert process.wait(30) == 0


@contextlib.contextmanager
def transformers_serving(model: Path) -> Iterator[str]:
    """The address of `transformers serve`, in a process of its own, where nothing came from the hub yet."""
    command = [str(Path(sys.executable).parent / "transformers"), "serve", "--device", "cpu"]
    with healthy([*command, "--dtype", "float32", str(model)], HF_HOME=str(model / "none")) as url:
        yield url


@contextlib.contextmanager
def healthy(command: list[str], **more: str) -> Iterator[str]:
    """The address of a server in a process of its own, once its `/health` answers; more: its environment."""
    port = free_port()
    command = [*command, "--host", "127.0.0.1", "--port", str(port)]
    env = {**ENVIRONMENT, **more}
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=env) as process:
        try:
            for _ in range(3000):
                assert process.poll() is None, f"{command[0]} ended before it served"
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health").close()
                    break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()


@contextlib.contextmanager
def shop(**options: Any) -> Iterator[Shop]:
    """tests/small_server.py in a process of its own, which may be killed; options as on its command line."""
    flags = [f"--{k.replace('_', '-')}={v}" for k, v in options.items()]
    command = [sys.executable, "-S", str(ROOT / "tests" / "small_server.py"), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            yield Shop(process, process.stdout.readline().strip())
        finally:
            process.kill()


@dataclass
class Shop:
    """A server's process, and its address."""

    process: subprocess.Popen[str]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1].split("/")[0])

    def sold(self) -> list[str]:
        """The first message of every call it has answered."""
        return list(self._told()["sold"])

    def most(self) -> int:
        """The most requests it has seen at a time."""
        return int(self._told()["most"])

    def refused(self) -> int:
        """How many requests were more than it bears."""
        return int(self._told()["refused"])

    def _told(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/sold") as reply:
            found: dict[str, Any] = json.load(reply)
        return found

    def kill(self) -> None:
        """As `kill -9` does."""
        self.process.kill()
        self.process.wait()


def sampling_copy(model: Path, folder: Path) -> Path:
    """A copy that samples unless it is told otherwise: `transformers serve` cannot be told to."""
    shutil.copytree(model, folder)
    config = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**config, "do_sample": True}))
    return folder


def free_port() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]] | None
"""Status, body (an object, or text), headers. None drops the connection."""


@dataclass
class Told:
    """A server that answers each request by a function of (how many came before, its body)."""

    answer: Callable[[int, dict[str, Any]], Answer]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["content-length"])))
        with self.lock:
            nth = len(self.bodies)
            self.bodies.append(body)
            self.keys.append(request.headers.get("authorization"))
        self.reply(request, self.answer(nth, body))

    def reply(self, request: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer is None:
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        status, said, *more = answer
        data = said.encode() if isinstance(said, str) else json.dumps(said).encode()
        request.send_response(status)
        for name, value in {**(more[0] if more else {}), "content-length": str(len(data))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(data)


class Listener(ThreadingHTTPServer):
    """A server in this process, which says nothing of a client that went away."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def told(
    answer: Callable[[int, dict[str, Any]], Answer], listing: Callable[[], Answer] = lambda: (404, "")
) -> Iterator[Told]:
    """A server in a thread of this process; `GET /models` is not there, as with many servers."""
    it = Told(answer)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            it.reply(self, listing())

        def do_POST(self) -> None:
            it.handle(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = Listener(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    it.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield it
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(text: str, **choice: Any) -> Answer:
    """A plain good answer."""
    message = {"role": "assistant", "content": text}
    usage = {"prompt_tokens": 5, "completion_tokens": 7}
    return 200, {"choices": [{"message": message, "finish_reason": "stop", **choice}], "usage": usage}


def ask(url: str, *calls: dict[str, Any], **options: Any) -> list[Any]:
    """The completion, or the error, of each call; the calls are made at the same time."""

    async def work() -> list[Any]:
        async with Server("m", url=url, **{**QUICK, **options}) as engine:
            asked = (engine.chat(**{"messages": HELLO, **call}) for call in calls or [{}])
            return await asyncio.gather(*asked, return_exceptions=True)

    return asyncio.run(work())


def one(url: str, **options: Any) -> Completion:
    """The only completion of one call; an error is raised."""
    [found] = ask(url, **options)
    if isinstance(found, BaseException):
        raise found
    return found[0]


def work(engine: Any, *jobs: tuple[str, dict[str, Any]]) -> list[Any]:
    """Open the engine and do the jobs ("chat" or "score", arguments) at the same time."""

    async def inside() -> list[Any]:
        async with engine:
            asked = (getattr(engine, k)(**{"messages": HELLO, **v}) for k, v in jobs)
            return await asyncio.gather(*await queued(engine, *asked))

    return asyncio.run(inside())


async def queued(engine: Any, *asked: Coroutine[Any, Any, Any]) -> list[asyncio.Future[Any]]:
    """Calls that are under way; an `hf` engine sees none before it sees all, however slow the machine is."""
    door = engine._door if isinstance(engine, HF) else None
    with door.worker._changed if door else contextlib.nullcontext():
        calls = [asyncio.ensure_future(one) for one in asked]
        await asyncio.sleep(0)  # each goes as far as it can without an answer
    return calls


def same_scores(one: TokenScores, other: TokenScores) -> None:
    """The same tokens at the same places, as probable as each other up to the rounding of float32."""
    assert (one.ids, one.start, one.end) == (other.ids, other.start, other.end)
    assert one.prompt_tokens == other.prompt_tokens
    assert one.logprob == pytest.approx(other.logprob, abs=1e-4)
    near = None if other.rank is None else pytest.approx(other.rank, abs=1)  # near ties may change places
    assert one.rank == near
    for mine, theirs in zip(one.top or (), other.top or (), strict=True):
        assert [i for i, _ in mine] == [i for i, _ in theirs]
        assert [x for _, x in mine] == pytest.approx([x for _, x in theirs], abs=1e-4)
