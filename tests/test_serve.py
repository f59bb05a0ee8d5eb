"""The small server over `hf` says nothing of a client that went away, and shows every error of its own."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from typing import Any

import pytest

from curate.engines.serve import _Server

AT_ONCE = struct.pack("ii", 1, 0)  # for SO_LINGER: closing resets the connection


class Named:
    """As much of an engine as the list of models asks for; `identity` does what it is told first."""

    model = "m"

    def __init__(self, first: Callable[[], Any]) -> None:
        self.first = first

    @property
    def identity(self) -> dict[str, str]:
        self.first()
        return {"revision": "r"}


def lists_models_to_a_client_that_leaves(first: Callable[[], Any]) -> None:
    """The server has begun to answer, the client resets the connection, then `first` is called."""
    begun, left = threading.Event(), threading.Event()

    def waits() -> None:
        begun.set()
        left.wait(60)
        first()

    loop = asyncio.new_event_loop()
    with _Server(("127.0.0.1", 0), Named(waits), loop) as server:  # type: ignore[arg-type]
        server.daemon_threads = False  # so that closing the server waits for them
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        with socket.create_connection(server.server_address[:2]) as client:  # type: ignore[arg-type]
            client.sendall(b"GET /v1/models HTTP/1.1\r\nHost: h\r\n\r\n")
            begun.wait(60)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        left.set()
        server.shutdown()
        thread.join()
    loop.close()


def test_a_client_that_leaves_before_its_answer_is_not_a_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    lists_models_to_a_client_that_leaves(lambda: None)
    assert capfd.readouterr().err == ""


def test_an_error_of_the_server_itself_is_shown(capfd: pytest.CaptureFixture[str]) -> None:
    def breaks() -> None:
        raise RuntimeError("a bug here")

    lists_models_to_a_client_that_leaves(breaks)
    assert "RuntimeError: a bug here" in capfd.readouterr().err
