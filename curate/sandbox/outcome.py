"""What became of a program, in a word of curate.step.Why, out of how it ended and what it said at last."""

from __future__ import annotations

from typing import Any, NamedTuple

from curate.sandbox.server import SandboxDown

TEXT = 160  # characters of an error that are worth keeping


class Outcome(NamedTuple):
    """`word` of curate.step.Why; `held` of `total` cases passed."""

    word: str
    note: str = ""
    held: int = 0
    total: int = 1


def failure(told: dict[str, Any]) -> Outcome | None:
    """What the harness tells of a program that failed, as an outcome."""
    if "syntax" in told:
        return Outcome("syntax_error", str(told["syntax"])[:TEXT])
    if "error" in told:
        parts = told["error"] if isinstance(told["error"], list) else []
        return raised(str(parts[-1] if parts else ""))
    return None


def raised(text: str) -> Outcome:
    """The outcome that an exception's last line stands for."""
    text = text[:TEXT]
    if text.startswith("MemoryError"):
        return Outcome("memory")
    blocked = ("PermissionError", "OSError: [Errno 30]", "OSError: [Errno 1]", "OSError: [Errno 38]")
    return Outcome("blocked" if text.startswith(blocked) else "runtime_error", text)


def ended(how: dict[str, Any]) -> Outcome:
    """The outcome of a program that ended by itself, or was killed for what it used."""
    if "broken" in how:
        raise SandboxDown(how["broken"])
    if how["killed"] == "memory":
        return Outcome("memory")
    code = how["code"]
    if code == -31:
        return Outcome("blocked", "a system call that is not allowed")
    if code in (-24, -9):
        return Outcome("timeout", "processor time")
    return Outcome("runtime_error", f"signal {-code}" if code < 0 else f"exit code {code}")
