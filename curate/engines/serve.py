"""A checkpoint behind an OpenAI-compatible address: `python -m curate.engines.serve MODEL --port 8000`.

Chat (n, stop, seed, logprobs, bad_words, a continued last message), a text that goes on, and what `score` of
the `server` engine asks, as vLLM has it: /tokenize, /detokenize, /v1/completions with a text, or with tokens
and prompt_logprobs. What is asked at the same time is answered together. An unknown field is refused, not
ignored. Beyond the standard, a choice tells its `output_tokens`, and the tag by which the chat template
`opened` its thinking; an entry of `logprobs.content` has no `token`; the rank of a prompt's own token, a
second look at the vocabulary, is null below the top ones unless `vllm_xargs` has `rank` 1. There is no key
and no encryption: for this machine, not for the internet.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from curate.engines.hf import HF
from curate.engines.serve_work import WORK
from curate.errors import CurateError, InputError


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, address: tuple[str, int], engine: HF, loop: asyncio.AbstractEventLoop) -> None:
        self.engine, self.loop = engine, loop
        super().__init__(address, _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away before its answer is its own affair; every other error is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            engine = self.server.engine
            model = {"id": engine.model, "object": "model", "owned_by": "curate"}
            model["root"] = engine.identity["revision"]  # of a folder its content: another one is told apart
            self._reply(200, {"object": "list", "data": [model]})
        else:
            self._reply(404, _error(f"there is nothing at {self.path}"))

    def do_POST(self) -> None:
        work = WORK.get(self.path)
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if work is None:
            return self._reply(404, _error(f"there is nothing at {self.path}"))
        try:
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise InputError("the body of a request is a JSON object")
            if body.get("model") not in (None, self.server.engine.model):
                return self._reply(404, _error(f"the model here is {self.server.engine.model!r}"))
            answer = asyncio.run_coroutine_threadsafe(work(self.server.engine, body), self.server.loop)
            self._reply(200, answer.result())
        except (CurateError, ValueError, TypeError, KeyError, AttributeError) as e:
            self._reply(400, _error(f"{type(e).__name__}: {e}" if isinstance(e, KeyError) else str(e)))

    def _reply(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """A line for every request would drown the one that says where the server is."""


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


async def serve(engine: HF, host: str, port: int) -> None:
    """Serve until the process is told to stop; says so on stderr once it can be asked."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with engine:
        with _Server((host, port), engine, loop) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            address = f"http://{host}:{server.server_address[1]}/v1"
            sys.stderr.write(f"serving {engine.model} on {address}\n")
            sys.stderr.flush()
            await stop.wait()
            await asyncio.to_thread(server.shutdown)


def main() -> int:
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m curate.engines.serve", description=about)
    parser.add_argument("model", help="a checkpoint folder or a hub id")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one and names it")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default=None)
    parser.add_argument("--batch-size", type=int, default=None)
    given = parser.parse_args()
    engine = HF(given.model, dtype=given.dtype, device=given.device, batch_size=given.batch_size)
    try:
        asyncio.run(serve(engine, given.host, given.port))
    except (CurateError, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return e.exit_code if isinstance(e, CurateError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
