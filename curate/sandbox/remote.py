"""The program as the tests see it, from the other side of the wall: names, stand-ins, values, exceptions."""

from __future__ import annotations

import builtins
import time
from typing import Any

from curate.sandbox.values import Unreadable, pack, unpack
from curate.sandbox.wire import Late, Line, TooLong


class Gone(BaseException):
    """The program will not answer any more: "gone", "late", "long" or "garbled"."""


class Program:
    """The far end of the line, and the arguments that a call may have changed."""

    def __init__(self, line: Line, call_s: float) -> None:
        self.line, self.call_s, self.number = line, call_s, 0

    def hear(self) -> dict[str, Any]:
        try:
            told = self.line.receive(time.monotonic() + self.call_s)
        except Late:
            raise Gone("late") from None
        except TooLong:
            raise Gone("long") from None
        except (ValueError, RecursionError):
            raise Gone("garbled") from None
        if told is None:
            raise Gone("gone")
        if not isinstance(told, dict):
            raise Gone("garbled")
        return told

    def ask(self, what: str, **more: Any) -> Any:
        self.number += 1
        try:
            self.line.send({"number": self.number, "what": what, **more}, time.monotonic() + self.call_s)
        except Late:
            raise Gone("late") from None
        except OSError:
            raise Gone("gone") from None
        told = self.hear()
        if told.get("to") != self.number:
            raise Gone("garbled")
        if "error" in told:
            raise _as_exception(told["error"])
        return told

    def value(self, told: dict[str, Any]) -> Any:
        try:
            return unpack(told.get("value"), self.stand_in)
        except Unreadable:
            raise Gone("garbled") from None

    def stand_in(self, told: Any) -> Any:
        number, truth, calls = told
        return StandIn(self, int(number), bool(truth), bool(calls))

    def call(self, number: int, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        packed = [pack(a, _send) for a in args]
        more = {k: pack(v, _send) for k, v in named.items()}
        watch = any(isinstance(a, list | dict | set) for a in args)
        told = self.ask("call", object=number, args=packed, named=more, watch=watch)
        for mine, after in zip(args, told.get("after") or (), strict=False):
            _become(mine, unpack(after, self.stand_in))
        return self.value(told)


class StandIn:
    """An object of the program's. It equals only itself."""

    def __init__(self, program: Program, number: int, truth: bool, calls: bool) -> None:
        self.__dict__.update(_program=program, _number=number, _truth=truth, _calls=calls)

    def __call__(self, *args: Any, **named: Any) -> Any:
        return self._program.call(self._number, args, named)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._program.value(self._program.ask("attribute", object=self._number, name=name))

    def __iter__(self) -> Any:
        return iter(self._program.value(self._program.ask("list", object=self._number)))

    def __bool__(self) -> bool:
        return self._truth


class Untestable(Exception):
    """The test gives the program something that cannot cross the wall."""


def _send(value: Any) -> Any:
    if isinstance(value, StandIn):
        return {"o": [value._number]}
    raise Untestable(f"the test passes a {type(value).__name__}")


def _become(mine: Any, after: Any) -> None:
    """What a call did to a mutable argument happens to ours too."""
    if type(mine) is list and type(after) is list:
        mine[:] = after
    elif type(mine) in (dict, set) and type(after) is type(mine):
        mine.clear()
        mine.update(after)


def _as_exception(told: Any) -> Exception:
    name, text = (
        (str(told[0]), str(told[1])) if isinstance(told, list) and len(told) == 2 else ("Exception", "")
    )
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError):
        error = kind(text)
    else:
        error = Exception(text)
    error.__dict__["_curate_program"] = text or name
    return error
