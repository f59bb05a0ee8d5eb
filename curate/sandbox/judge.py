"""A program is judged by its tests: a word, a note, and how many cases held. Nothing of it runs in here.

Expected values stay in this process, or, for assert-style tests, in a second sandbox beside the program's.
"""

from __future__ import annotations

import json
import secrets
import time
from contextlib import suppress
from typing import Any

from curate.sandbox.bounds import Bounds
from curate.sandbox.compare import same_output, same_value
from curate.sandbox.outcome import TEXT, Outcome, ended, failure, raised
from curate.sandbox.output import collect
from curate.sandbox.server import Run, Server
from curate.sandbox.shapes import Asserts, Calls, Streams, Tests
from curate.sandbox.values import pack
from curate.sandbox.wire import Late, Line, TooLong


def judge(server: Server, units: list[str], tests: Tests, bounds: Bounds) -> Outcome:
    """Run the program (its source, in parts executed in turn) against the tests. Raises SandboxDown."""
    end = time.monotonic() + bounds.all_s
    if isinstance(tests, Streams):
        return _streams(server, units, tests, bounds, end)
    if isinstance(tests, Calls):
        return _calls(server, units, tests, bounds, end)
    return _asserts(server, units, tests, bounds, end)


def _streams(server: Server, units: list[str], tests: Streams, bounds: Bounds, end: float) -> Outcome:
    held, worst = 0, Outcome("equal")
    for number, (given, wanted) in enumerate(tests.cases, 1):
        deadline = min(end, time.monotonic() + bounds.case_s)
        with server.run("main", {"units": units}, bounds.limits, given.encode("utf-8", "replace")) as run:
            said = collect(run, deadline, bounds.output_mb << 20)
        word, note = said.word, said.note
        if word == "equal" and not same_output(wanted, said.text, bounds.tolerance):
            word, note = "wrong_answer", ""
        held += word == "equal"
        if worst.word == "equal" and word != "equal":
            worst = Outcome(word, f"case {number} of {len(tests.cases)}{note and ', ' + note}")
        if word in ("timeout", "syntax_error"):
            break
    return worst._replace(held=held, total=len(tests.cases))


def _calls(server: Server, units: list[str], tests: Calls, bounds: Bounds, end: float) -> Outcome:
    total, held, worst = len(tests.arguments), 0, Outcome("equal")
    job = {"units": [LIBRARY, *units], "name": "solution"}
    with server.run("serve", job, bounds.limits) as run:
        line = Line(run.line, bounds.output_mb << 20)
        asks = [{"what": "find", "name": tests.name}] + [
            {"what": "call", "object": 0, "args": _packed(a), "named": {}, "watch": False}
            for a in tests.arguments
        ]
        for number, ask in enumerate([{}, *asks], -1):
            deadline = min(end, time.monotonic() + bounds.case_s)
            told = _exchange(line, ask and {"number": number, **ask}, deadline, run)
            if isinstance(told, Outcome):
                found = told
            elif number < 1:
                continue
            else:
                right = any(
                    same_value(g, told.get("value"), bounds.tolerance) for g in tests.answers[number - 1]
                )
                found = Outcome("equal" if right else "wrong_answer")
            held += found.word == "equal"
            if worst.word == "equal" and found.word != "equal":
                note = found.note and ", " + found.note
                worst = Outcome(found.word, f"case {number} of {total}{note}" if number > 0 else found.note)
            if number < 1 or run.ended is not None or found.word == "timeout":
                break
    return worst._replace(held=held, total=total)


LIBRARY = """
import string, re, datetime, collections, heapq, bisect, copy, math, random, statistics, itertools, functools
import operator, io, sys, json
from typing import *
from collections import *
from heapq import *
from bisect import *
from itertools import *
from functools import *
from math import ceil, comb, factorial, floor, gcd, inf, isqrt, lcm, log, log2, perm, pi, prod, sqrt
"""
"""What the sites that such functions are written for have loaded; programs often rely on it."""


def _packed(arguments: list[Any]) -> list[Any]:
    return [pack(a, repr) for a in arguments]


def _exchange(line: Line, ask: dict[str, Any], deadline: float, run: Run) -> dict[str, Any] | Outcome:
    """Ask, and hear an answer or what went wrong. An empty `ask` only listens."""
    try:
        if ask:
            line.send(ask, deadline)
        told = line.receive(deadline)
    except Late:
        return Outcome("timeout")
    except TooLong:
        run.end()
        return Outcome("output_limit")
    except OSError:
        told = None
    except (ValueError, RecursionError):
        run.end()
        return Outcome("runtime_error", "it wrote on the line of its answers")
    if told is None:
        return ended(run.end())
    if not isinstance(told, dict) or ask and told.get("to") != ask["number"]:
        run.end()
        return Outcome("runtime_error", "it wrote on the line of its answers")
    return failure(told) or told


def _asserts(server: Server, units: list[str], tests: Asserts, bounds: Bounds, end: float) -> Outcome:
    mark = secrets.token_hex(16)
    job = {
        "test": tests.test, "entry_point": tests.entry_point, "mark": mark,
        "helpers": [tests.prompt] if tests.prompt else [],
        "longest": bounds.output_mb << 20, "call_s": bounds.case_s,
    }  # fmt: skip
    with (
        server.run("serve", {"units": units, "name": "solution"}, bounds.limits) as program,
        server.run("test", job, bounds.limits, None, program.line.fileno()) as test,
    ):
        told = None
        with suppress(TooLong, ValueError, RecursionError):
            try:
                told = Line(test.line, 1 << 16).receive(end)
            except Late:
                return Outcome("timeout")
        if told is None or told.get("mark") != mark:
            test.end()
            return _of_end(program) or Outcome("runtime_error", "the tests did not come to an end")
        outcome = _told(told, program)
        program.stop()  # the two end side by side
        return outcome


def _told(told: dict[str, Any], program: Run) -> Outcome:
    """The outcome of what the test process says last."""
    word, first, held, total = told["word"], told["first"], told["held"], max(told["asserts"], told["seen"])
    count = {"held": held, "total": max(total, 1)}
    if word == "end":
        if not first:
            return Outcome("equal", held=count["total"], total=count["total"])
        kind, _, text = first.partition(" ")
        found = Outcome("wrong_answer", f"{text} of {total}") if kind == "wrong" else raised(text)
        return found._replace(**count)
    if word.startswith("{"):
        return failure(json.loads(word)) or Outcome("runtime_error")
    kind, _, text = word.partition(" ")
    if kind in ("unreadable", "untestable"):
        return Outcome("gold_invalid" if kind == "unreadable" else "unsupported", text[:TEXT])
    if kind == "no":
        return Outcome("wrong_answer", word)
    if kind == "gone":
        return (_of_end(program) or Outcome("runtime_error"))._replace(**count)
    outcome = {"late": "timeout", "long": "output_limit"}.get(kind, "runtime_error")
    return Outcome(
        outcome, "" if outcome != "runtime_error" else "it wrote on the line of its answers", **count
    )


def _of_end(program: Run) -> Outcome | None:
    how = program.wait(time.monotonic() + 0.5)
    return ended(how) if how else None
