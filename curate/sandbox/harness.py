"""Beside the program: runs it as a script, or loads it and answers calls. Holds nothing worth reading.

Descriptor 3 is the program's text, as JSON. As a script, descriptor 4 takes one word ("run", "syntax") and
is closed before the first line runs. Loaded, descriptor 4 is the line on which calls come and answers go;
the program may write there whatever it likes, since an answer is compared elsewhere.
"""

from __future__ import annotations

import atexit
import builtins
import json
import os
import sys
import threading
import traceback
import types
from typing import Any

from curate.sandbox.values import pack, unpack
from curate.sandbox.wire import Line

JOB, LINE = 3, 4
LONGEST = 64 << 20


def job() -> dict[str, Any]:
    with open(JOB, "rb") as f:
        return json.loads(f.read())


def main() -> int:
    """Run the program as `python program.py` would; the exit code."""
    _standard_streams()
    namespace = _namespace("__main__")
    try:
        units = [compile(text, "program.py", "exec") for text in job()["units"]]
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as e:
        os.write(LINE, f"syntax {e}"[:300].encode("utf-8", "replace"))
        return 1
    os.write(LINE, b"run")
    os.close(LINE)
    code = 0
    try:
        for unit in units:
            exec(unit, namespace)
    except SystemExit as e:
        code = _exit_code(e)
    except BaseException as e:  # noqa: BLE001 - as the interpreter does
        sys.excepthook(type(e), e, e.__traceback__ and e.__traceback__.tb_next)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as the interpreter does
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def _exit_code(e: SystemExit) -> int:
    if e.code is None or isinstance(e.code, int):
        return (e.code or 0) & 255
    sys.stderr.write(f"{e.code}\n")
    return 1


def _standard_streams() -> None:
    for fd, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        errors = "backslashreplace" if fd == 2 else "surrogateescape"
        stream = open(fd, mode, encoding="utf-8", errors=errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _namespace(name: str) -> dict[str, Any]:
    module = types.ModuleType(name)
    module.__dict__.update(__builtins__=builtins, __file__="program.py")
    sys.modules[name] = module
    return module.__dict__


def serve() -> int:
    """Load the program, say "ready" or what went wrong, then answer calls until the line is closed."""
    import socket

    _standard_streams()
    wanted = job()
    line = Line(socket.socket(fileno=LINE), LONGEST)
    namespace = _namespace(wanted["name"])
    try:
        units = [compile(text, "program.py", "exec") for text in wanted["units"]]
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError) as e:
        line.send({"syntax": f"{e}"[:300]})
        return 1
    try:
        for unit in units:
            exec(unit, namespace)
    except BaseException as e:  # noqa: BLE001 - the program's failure is told, not suffered
        line.send({"error": _told(e)})
        return 1
    line.send({"ready": True})
    shelf = Shelf(namespace)
    while (asked := line.receive()) is not None:
        try:
            answer = shelf.answer(asked)
        except BaseException as e:  # noqa: BLE001
            answer = {"error": _told(e)}
        try:
            line.send({"to": asked["number"], **answer})
        except BaseException as e:  # noqa: BLE001 - too long, not JSON: nothing was sent yet
            line.send({"to": asked["number"], "error": _told(e)})
    return 0


def _told(e: BaseException) -> list[str]:
    """Exception type and text, cut short; a text that cannot be had is empty."""
    try:
        text = traceback.format_exception_only(type(e), e)[-1].strip()
        return [type(e).__name__, text[:300]]
    except BaseException:  # noqa: BLE001 - __str__ may do anything
        return [type(e).__name__[:100], ""]


class Shelf:
    """The program's objects that others hold by number."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self.namespace, self.objects = namespace, []  # type: dict[str, Any], list[Any]

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What was asked for: {"value": json}, with {"after": arguments} where a call changed them."""
        what = asked["what"]
        if what == "find":
            return {"value": pack(self.find(asked["name"]), self.keep)}
        target = self.objects[asked["object"]]
        if what == "attribute":
            return {"value": pack(getattr(target, asked["name"]), self.keep)}
        if what == "list":
            return {"value": pack(list(target), self.keep)}
        args = [unpack(a, self.take) for a in asked["args"]]
        named = {k: unpack(v, self.take) for k, v in asked["named"].items()}
        value = pack(target(*args, **named), self.keep)
        after = [pack(a, self.keep) for a in args] if asked["watch"] else asked["args"]
        return {"value": value} if after == asked["args"] else {"value": value, "after": after}

    def find(self, name: str) -> Any:
        """A global of the program, else a method of its class Solution."""
        if name in self.namespace:
            return self.namespace[name]
        solution = self.namespace.get("Solution")
        if solution is not None and hasattr(solution, name):
            return getattr(solution(), name)
        raise NameError(f"name {name!r} is not defined")

    def keep(self, value: Any) -> Any:
        self.objects.append(value)
        try:
            truth = bool(value)
        except Exception:  # noqa: BLE001
            truth = True
        return {"o": [len(self.objects) - 1, truth, callable(value)]}

    def take(self, told: Any) -> Any:
        return self.objects[told[0]]
