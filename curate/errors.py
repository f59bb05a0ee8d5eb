"""Every error a user can meet, each one sentence: what, where, remedy.

CurateError                     exit code 1: it failed, and running again may help
├── UserError                   exit code 2: the input or the command must change
│   ├── InputError              a file, a row, a column
│   ├── MissingDependency       an extra is not installed; the sentence ends with the command that installs it
│   └── EngineDown              the model cannot be reached, refuses us, or answers nonsense every time
├── CallFailed                  one call failed after its retries; its row is set aside, the run goes on
│   ├── TooLong                 because the model's context does not hold it: asked again, it fails again
│   └── Refused                 because the server does not take what it asks: asked again, it fails again
├── RunError                    the run stopped: a bug in a step, a broken invariant, a full disk
├── BudgetSpent                 exit code 3: the budget is spent; what was paid for is kept
└── Interrupted                 exit code 130: Ctrl-C; what was paid for is kept
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

_ROOMS = ("verifiers", "filters", "rewriters", "scores", "methods")


class CurateError(Exception):
    """Something failed that is not the user's mistake; running again may help.

    paid: where a call for several turns failed, those that came, and None at the places of the others.
    spent: tokens in and out that a call has cost though it failed, those of `paid` included.
    """

    exit_code = 1
    paid: Sequence[Any] = ()
    spent: tuple[int, int] = (0, 0)


class UserError(CurateError):
    """The input or the command must change before another try makes sense."""

    exit_code = 2


class InputError(UserError):
    """A file, a row or a column is not what it has to be."""


class MissingDependency(UserError):
    """A package of an extra is not installed."""


class EngineDown(UserError):
    """The model cannot be reached, refuses us, or answers nonsense every time: no call can succeed."""


class CallFailed(CurateError):
    """One call failed after its retries. Its row is set aside with this sentence; the next run asks again."""


class TooLong(CallFailed):
    """The model's context does not hold what this call asks; asked again, it fails again."""


class Refused(CallFailed):
    """The server does not take what this call asks; asked again, it fails again."""


class RunError(CurateError):
    """The run stopped: a bug in a step, a broken invariant, a full disk."""


class BudgetSpent(CurateError):
    """The run has cost what it may. Everything paid for is kept; the sentence says how to go on."""

    exit_code = 3


class Interrupted(CurateError):
    """Ctrl-C. Everything paid for is kept; the sentence says how to go on."""

    exit_code = 130


def first_error(error: BaseException) -> BaseException:
    """The error itself; of a group, at any depth, the first that stops a run, else the first."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = [first_error(inner) for inner in error.exceptions]
    return next((e for e in found if not isinstance(e, (CallFailed, BudgetSpent))), found[0])


def near(name: str, known: Iterable[str]) -> str:
    """Name what was probably meant: `did you mean 'x'?`, or else all that exists."""
    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "there is " + ", ".join(repr(k) for k in known) if known else "there is none"


def need(have: Iterable[str], columns: Iterable[str], remedy: str) -> None:
    """Raise UserError for the first of these columns that a table of traces has not."""
    have = set(have)
    if missing := [c for c in columns if c not in have]:
        raise UserError(f"the traces have no column {missing[0]!r}; {remedy}")


def require(module: str, install: str) -> ModuleType:
    """Import `module`, or raise MissingDependency with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as e:
        if e.name is not None and e.name.split(".")[0] != module.split(".")[0]:
            raise
        raise MissingDependency(f"{module} is not installed; install it with: {install}") from None


def written(step: object, body: str) -> str:
    """` (FILE, line N)`: where the body of a step is written, empty if Python does not know."""
    code = getattr(inspect.unwrap(getattr(type(step), body)), "__code__", None)
    return f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""


def place(trace: str) -> str:
    """` (FILE, line N)`: where in a step, a recipe or a script of the user's the last call of a traceback is.

    Python's own files, installed packages and our core are no such place; our rooms are. Empty if none is.
    """
    core = Path(__file__).resolve().parent
    libraries = [Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")]
    for file, line in reversed(re.findall(r'^ *File "([^"\n]+)", line (\d+)', trace, re.MULTILINE)):
        path = Path(file)
        if path.is_relative_to(core):
            if path.relative_to(core).parts[0] in _ROOMS:
                return f" ({file}, line {line})"
        elif not file.startswith("<") and not any(path.is_relative_to(folder) for folder in libraries):
            return f" ({file}, line {line})"
    return ""
