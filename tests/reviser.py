"""A reviser that hangs on nothing but what it reads: `says` in this process, the same over HTTP in another.

It knows the answers. Where a turn is handed to it at the end of a step it makes a plan, of one of many kinds:
short and right, long, wrong, at once at its end, never closed, in a loop, with other tags, with code in which
thoughts seem to change. A plan says where it began, so that it is carried on from any place in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from curate.pieces import TRANSITIONS

OPENERS = ("Wait", "So", "Then", "But", "Now", "Alternatively", "Hence", "Hmm", "We see")
KINDS = (
    "short",
    "short",
    "short",
    "long",
    "wrong",
    "at once",
    "at once",
    "open",
    "loop",
    "tags",
    "code",
    "silent",
)
_WORD = re.compile(r"\s*\S+|\s+\Z")
_PLAN = re.compile(r"\(from (\d+)\)")


class Said(NamedTuple):
    """text: without the stop string; stopped: which it was, "" for none; words: how many."""

    text: str
    finish: str
    stopped: str
    words: int


def plan(question: str, gold: str, begun: str, ban: tuple[str, ...]) -> str:
    """All that is said after `begun`, the thinking so far and its tag; no word of `ban` in the first step."""
    rng = random.Random(hashlib.sha256(f"{question}\0{begun}".encode()).hexdigest())
    kind = rng.choice(KINDS)
    opener = [rng.choice([o for o in OPENERS if o not in ban])] if kind != "at once" else []
    steps = rng.randint(12, 40) if kind == "long" else rng.randint(1, 4)
    openers = opener + [rng.choice(OPENERS) for _ in range(steps - 1)] if opener else []
    body = [
        f"{o}, (from {len(begun)}) it is {rng.randint(0, 99)} of {question[:12].split()}." for o in openers
    ]
    if kind == "code":
        body.append("```\nx = 1\n\nWait, this is code\n```\nthat was code.")
    if kind == "loop":
        body.append("Around we go. " * 400)
    if kind == "tags":
        body.append("Let me begin anew. <think>\nAgain.")
    thinking = "\n\n".join(body)
    if kind == "open":
        return thinking
    answer = "wrong" if kind == "wrong" else gold
    response = "" if kind == "silent" else f"Look.\n\nThe answer is \\boxed{{{answer}}}."
    return f"{thinking}\n</think>\n\n{response}"


def says(
    question: str, gold: str, begun: str, stop: tuple[str, ...], ban: tuple[str, ...], most: int
) -> Said:
    """What follows `begun`, in at most so many words."""
    begins = [int(found[1]) for found in _PLAN.finditer(begun)]
    begins += [at for at in (begun.rfind("\n</think>"),) if at >= 0]  # of a plan to be at once at the end
    rest = plan(question, gold, begun, ban)
    for at in () if ban and begun.endswith("\n\n") else begins:
        whole = plan(question, gold, begun[:at], TRANSITIONS)
        if whole.startswith(begun[at:]):
            rest = whole[len(begun) - at :]
    words = _WORD.findall(rest)
    text = "".join(words[:most])
    cuts = [(at, s) for s in stop if (at := text.find(s)) >= 0]
    if cuts:
        at, s = min(cuts)
        return Said(text[:at], "stop", s, max(1, len(_WORD.findall(text[:at]))))
    return Said(text, "stop" if len(words) <= most else "length", "", min(len(words), most))


class Desk(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def __init__(self, golds: dict[str, str], sleep_s: float) -> None:
        super().__init__(("127.0.0.1", 0), Clerk)
        self.golds, self.sleep_s, self.lock = golds, sleep_s, threading.Lock()
        self.sold = 0

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away breaks off what it does not need, or was killed."""


class Clerk(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Desk

    def do_GET(self) -> None:
        told = {"sold": self.server.sold} if self.path == "/v1/sold" else {"data": [{"id": "reviser"}]}
        self._send(told)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path != "/v1/chat/completions":
            return self._send({"error": f"there is nothing at {self.path}"}, 404)
        desk = self.server
        time.sleep(desk.sleep_s)
        with desk.lock:
            desk.sold += 1
        *asked, begun = [m["content"] for m in body["messages"]]
        stop, ban = tuple(body.get("stop", ())), tuple(body.get("bad_words", ()))
        said = says(asked[-1], desk.golds[asked[-1]], begun, stop, ban, body["max_tokens"])
        choice = {
            "message": {"role": "assistant", "content": said.text},
            "finish_reason": said.finish,
            "stop_reason": said.stopped or None,
        }
        usage = {"prompt_tokens": len(_WORD.findall(begun)), "completion_tokens": said.words}
        self._send({"choices": [choice], "usage": usage})

    def _send(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def reviser(rows: Path, sleep_s: float = 0.0) -> Iterator[str]:
    """The address of a reviser that knows the answers in a file of questions and answers."""
    command = [sys.executable, __file__, str(rows), str(sleep_s)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        try:
            assert process.stdout
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def main() -> None:
    lines = Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")
    known = [json.loads(line) for line in lines if line]
    with Desk({r["question"]: r["answer"] for r in known}, float(sys.argv[2])) as desk:
        print(f"http://127.0.0.1:{desk.server_address[1]}/v1", flush=True)
        desk.serve_forever(0.05)


if __name__ == "__main__":
    main()
