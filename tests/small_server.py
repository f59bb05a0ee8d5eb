"""An OpenAI-compatible server in a process of its own, to be killed: `python tests/small_server.py --port 0`.

Every answer is a hash of what was asked, so that all of them say the same. GET /v1/sold tells what it has
answered, and how many requests there were at a time.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Shop(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, given: argparse.Namespace) -> None:
        super().__init__(("127.0.0.1", given.port), Till)
        self.given, self.lock = given, threading.Lock()
        self.inside, self.most, self.refused, self.sold = 0, 0, 0, []  # type: ignore[var-annotated]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what these tests are about."""


class Till(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def do_GET(self) -> None:
        shop = self.server
        if self.path == "/v1/sold":
            return self._send(200, {"sold": shop.sold, "most": shop.most, "refused": shop.refused})
        more = {"root": shop.given.root} if shop.given.root else {}
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
            if too_many:
                return self._send(429, {"error": {"message": "too many"}})
            time.sleep(shop.given.sleep_s)
            said = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:12]
            choice = {"message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
            usage = {"prompt_tokens": 5, "completion_tokens": 7}
            with shop.lock:
                shop.sold.append(body["messages"][0]["content"])
            self._send(200, {"choices": [choice], "usage": usage})
        finally:
            with shop.lock:
                shop.inside -= 1

    def _send(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--model", default="m")
    parser.add_argument("--root", default="")
    parser.add_argument("--sleep-s", type=float, default=0.01)
    parser.add_argument("--bears", type=int, default=1_000_000, help="more at a time are refused with 429")
    with Shop(parser.parse_args()) as shop:
        print(f"http://127.0.0.1:{shop.server_address[1]}/v1", flush=True)
        shop.serve_forever(0.05)


if __name__ == "__main__":
    main()
