"""An OpenAI-compatible server in a process of its own, to be killed: `python tests/small_server.py --port 0`.

Every answer is a hash of what was asked, so that all of them say the same. GET /v1/sold tells what it has
answered, and how many requests there were at a time. Of its requests some may be answered with errors, with
garbage, or not at all. With --log it writes a line when a request comes ("+ hash when") and one before it is
answered ("- hash when"), which outlive it; "when" is the request's own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HALF = {"choices": [{"message": {"role": "assistant", "content": "half \ud800"}, "finish_reason": "stop"}]}
GARBAGE = ["<html>busy</html>", "", "null", "[1]", '{"choices": []}', '{"choices": [7]}', json.dumps(HALF)]
GARBAGE += ['{"choices": [{"message": {"content": [7]}}]}', '{"choices": [{"message": {}, "logprobs": "x"}]}']
GARBAGE += ["[" * 100_000, "no gzip"]  # the second is said to be some
ERRORS = [500, 502, 503, 429, 400, 0]  # 0 drops the connection


class Shop(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, given: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", given.port), Till)
        self.given, self.lock = given, threading.Lock()
        self.inside, self.most, self.refused, self.sold = 0, 0, 0, []  # type: ignore[var-annotated]
        self.random = random.Random(given.seed)
        self.log = os.open(given.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY) if given.log else None

    def note(self, line: str) -> None:
        if self.log is not None:
            os.write(self.log, f"{line}\n".encode())

    def fault(self) -> str:
        """What is done to this request: "error", "hang", "garbage" or nothing."""
        with self.lock:
            drawn = self.random.random()
        for name in ("error", "hang", "garbage"):
            drawn -= getattr(self.given, name)
            if drawn < 0:
                return name
        return ""

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what these tests are about."""


class Till(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def do_GET(self) -> None:
        shop = self.server
        if self.path == "/v1/sold":
            return self._send(200, {"sold": shop.sold, "most": shop.most, "refused": shop.refused})
        said = {"root": shop.given.root, "max_model_len": shop.given.max_model_len}
        more = {k: v for k, v in said.items() if v}
        self._send(200, {"object": "list", "data": [{"id": shop.given.model, **more}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        shop = self.server
        with shop.lock:
            shop.inside += 1
            too_many = shop.inside > shop.given.bears
            shop.most = max(shop.most, shop.inside)
            shop.refused += too_many
        try:
            said = sum(len(m["content"]) for m in body["messages"])
            if too_many:
                self._send(429, {"error": {"message": "too many"}})
            elif shop.given.key and self.headers["authorization"] != f"Bearer {shop.given.key}":
                self._send(401, {"error": {"message": "no such key"}})
            elif said > shop.given.context:
                words = f"maximum context length is {shop.given.context}, the messages have {said}"
                self._send(400, {"error": {"message": words}})
            elif fault := shop.fault():
                getattr(self, f"_{fault}")()
            else:
                self._sell(body)
        finally:
            with shop.lock:
                shop.inside -= 1

    def _sell(self, body: dict[str, Any]) -> None:
        shop, sale = self.server, hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        request = f"{sale} {time.monotonic_ns()}"
        shop.note(f"+ {request}")
        slow = int(sale[:8], 16) < shop.given.slow * 2**32
        time.sleep(shop.given.slow_s if slow else shop.given.sleep_s)
        choice = {"message": {"role": "assistant", "content": sale[:12]}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 5, "completion_tokens": 7}
        if shop.log is None:  # the log is for runs of hours, whose sales memory should not hold
            with shop.lock:
                shop.sold.append(body["messages"][0]["content"])
        shop.note(f"- {request}")
        self._send(200, {"choices": [choice], "usage": usage})

    def _error(self) -> None:
        status = self.server.random.choice(ERRORS)
        if status:
            self._send(status, {"error": {"message": "a bad moment"}})
        else:
            self._drop()

    def _hang(self) -> None:
        time.sleep(self.server.given.hang_s)
        self._drop()

    def _garbage(self) -> None:
        self._send(200, self.server.random.choice(GARBAGE))

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, value: Any) -> None:
        data = (value if isinstance(value, str) else json.dumps(value)).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        if value == "no gzip":
            self.send_header("content-encoding", "gzip")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="m")
    parser.add_argument("--root", default="")
    parser.add_argument("--max-model-len", type=int, default=0, help="what it tells of its context")
    parser.add_argument("--sleep-s", type=float, default=0.01)
    parser.add_argument("--slow", type=float, default=0.0, help="share of questions that take --slow-s")
    parser.add_argument("--slow-s", type=float, default=1.0)
    parser.add_argument("--bears", type=int, default=1_000_000, help="more at a time are refused with 429")
    parser.add_argument("--key", default="", help="another is refused with 401")
    parser.add_argument("--context", type=int, default=1_000_000, help="longer messages: 400")
    parser.add_argument("--error", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument("--hang", type=float, default=0.0, help="share that hang for --hang-s")
    parser.add_argument("--garbage", type=float, default=0.0, help="share with what is no answer")
    parser.add_argument("--hang-s", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="of the faults")
    parser.add_argument("--log", default="", help="a file that is added to")
    with Shop(parser.parse_args()) as shop:
        print(f"http://127.0.0.1:{shop.server_address[1]}/v1", flush=True)
        shop.serve_forever(0.05)


if __name__ == "__main__":
    main()
