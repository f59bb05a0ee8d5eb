"""Frames on a stream socket: a length in four bytes, then that many bytes of JSON."""

from __future__ import annotations

import json
import select
import socket
import struct
import time
from typing import Any

HEAD = struct.Struct(">I")


class Late(Exception):
    """Nothing came before the deadline."""


class TooLong(Exception):
    """A frame is longer than was allowed."""


class Line:
    """One end of a conversation. `longest`: the most bytes of one frame that this end takes."""

    def __init__(self, end: socket.socket, longest: int) -> None:
        self.end, self.longest, self.buffer = end, longest, bytearray()

    def send(self, message: Any, deadline: float | None = None) -> None:
        """Raises Late when the other end does not read, and OSError when it is gone."""
        data = json.dumps(message, separators=(",", ":")).encode()
        self.end.settimeout(None if deadline is None else max(0.001, deadline - time.monotonic()))
        try:
            self.end.sendall(HEAD.pack(len(data)) + data)
        except TimeoutError:
            raise Late from None
        finally:
            self.end.settimeout(None)

    def receive(self, deadline: float | None = None) -> Any:
        """The next message, or None at the end. Raises Late, TooLong, ValueError and RecursionError."""
        if not self._fill(HEAD.size, deadline):
            return None
        (length,) = HEAD.unpack_from(self.buffer)
        if length > self.longest:
            raise TooLong
        if not self._fill(HEAD.size + length, deadline):
            return None
        data = bytes(self.buffer[HEAD.size : HEAD.size + length])
        del self.buffer[: HEAD.size + length]
        return json.loads(data)

    def _fill(self, size: int, deadline: float | None) -> bool:
        while len(self.buffer) < size:
            if deadline is not None:
                poll = select.poll()
                poll.register(self.end, select.POLLIN)
                if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                    raise Late
            try:
                data = self.end.recv(1 << 18)
            except ConnectionError:
                return False
            if not data:
                return False
            self.buffer += data
        return True
