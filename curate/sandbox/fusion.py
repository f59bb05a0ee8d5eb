"""Programs run by a SandboxFusion server (POST /run_code) instead of here; judged here all the same.

How well a program is kept in is that server's affair. Streams and calls are judged; assert-style tests are
not: their expected values would have to travel into the process that runs the program.

The server stops reading a pipe after some 200,000 characters, and may lose the last of fewer. So what a
program prints goes to two files, which are fetched.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

from curate.sandbox import values
from curate.sandbox.bounds import Bounds
from curate.sandbox.compare import same_output, same_value
from curate.sandbox.outcome import TEXT, Outcome, raised
from curate.sandbox.server import SandboxDown
from curate.sandbox.shapes import Calls, Streams, Tests

STARTER = """
import os, resource, sys
for _name, _fd in (("curate-out", 1), ("curate-err", 2)):
    os.dup2(os.open(_name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), _fd)
_soft, _hard = resource.getrlimit(resource.RLIMIT_STACK)
_stack = 128 << 20 if _hard == resource.RLIM_INFINITY else min(128 << 20, _hard)
resource.setrlimit(resource.RLIMIT_STACK, (_stack, _hard))
resource.setrlimit(resource.RLIMIT_FSIZE, (MOST, MOST))
os.execv(sys.executable, [sys.executable, "curate-program.py"])
"""
"""What the server runs: the program, with its output in files, and with a stack that leaves a thread room."""

CALLER = """
import json as _json, sys as _sys
_asked = _json.loads(_sys.stdin.read())
_space = {"__name__": "solution"}
_answers = []
for _unit in _asked["units"]:
    exec(compile(_unit, "program.py", "exec"), _space)
_f = _space.get(_asked["name"]) or getattr(_space["Solution"](), _asked["name"])
for _arguments in _asked["arguments"]:
    try:
        _answers.append({"value": pack(_f(*_arguments), lambda v: {"o": 0})})
    except Exception as _e:
        _answers.append({"error": f"{type(_e).__name__}: {_e}"[:300]})
print("\\n" + _asked["mark"] + _json.dumps(_answers))
"""
"""Runs after values.py in the other place. What it prints behind the mark are values, compared here."""


def judge_there(url: str, units: list[str], tests: Tests, bounds: Bounds) -> Outcome:
    """As judge.judge, at a server. Raises SandboxDown when it does not answer, or says that it failed."""
    if isinstance(tests, Streams):
        return _streams(url, units, tests, bounds)
    if isinstance(tests, Calls):
        return _calls(url, units, tests, bounds)
    return Outcome("unsupported", "assert-style tests are not sent to a server")


def _streams(url: str, units: list[str], tests: Streams, bounds: Bounds) -> Outcome:
    end, held, worst = time.monotonic() + bounds.all_s, 0, Outcome("equal")
    total = len(tests.cases)
    for number, (given, wanted) in enumerate(tests.cases, 1):
        said = run_code(url, "\n".join(units), given, bounds, end)
        if isinstance(said, str):
            said = Outcome("equal" if same_output(wanted, said, bounds.tolerance) else "wrong_answer")
        held += said.word == "equal"
        if worst.word == "equal" and said.word != "equal":
            worst = Outcome(said.word, f"case {number} of {total}{said.note and ', ' + said.note}")
        if said.word in ("timeout", "syntax_error"):
            break
    return worst._replace(held=held, total=total)


def _calls(url: str, units: list[str], tests: Calls, bounds: Bounds) -> Outcome:
    mark, total = secrets.token_hex(16), len(tests.arguments)
    given = json.dumps({"units": units, "name": tests.name, "arguments": tests.arguments, "mark": mark})
    code = Path(values.__file__).read_text(encoding="utf-8") + CALLER
    said = run_code(url, code, given, bounds, time.monotonic() + bounds.all_s)
    if isinstance(said, Outcome):
        return said._replace(total=total)
    try:
        answers = json.loads(said.rpartition(mark)[2])
    except (ValueError, RecursionError):
        answers = None
    if not isinstance(answers, list) or len(answers) != total:
        return Outcome("runtime_error", "it ended before all calls were answered", 0, total)
    found = [_one(wanted, a, bounds) for wanted, a in zip(tests.answers, answers, strict=True)]
    held = sum(o.word == "equal" for o in found)
    worst = next((o for o in found if o.word != "equal"), found[0])
    return worst._replace(held=held, total=total)


def _one(wanted: list[Any], answer: Any, bounds: Bounds) -> Outcome:
    if not isinstance(answer, dict) or "value" not in answer:
        return raised(str(answer.get("error") if isinstance(answer, dict) else answer))
    right = any(same_value(w, answer["value"], bounds.tolerance) for w in wanted)
    return Outcome("equal" if right else "wrong_answer")


def run_code(url: str, code: str, stdin: str, bounds: Bounds, end: float) -> str | Outcome:
    """What one program printed, or what went wrong with it."""
    import httpx

    seconds = min(bounds.case_s, end - time.monotonic())
    if seconds <= 0:
        return Outcome("timeout")
    most = bounds.output_mb << 20
    body = {
        "code": STARTER.replace("MOST", str(most + 1)), "language": "python",
        "stdin": stdin.encode("utf-8", "replace").decode(),  # a lone surrogate has no place in JSON
        "run_timeout": seconds, "compile_timeout": seconds, "memory_limit_MB": bounds.memory_mb,
        "files": {"curate-program.py": base64.b64encode(code.encode("utf-8", "replace")).decode()},
        "fetch_files": ["curate-out", "curate-err"],
    }  # fmt: skip
    try:
        answered = httpx.post(f"{url.rstrip('/')}/run_code", json=body, timeout=seconds + 10)
        answered.raise_for_status()
        told = answered.json()
        status, result = told["status"], told.get("run_result") or {}
        files = told.get("files") or {}
        out, err = (base64.b64decode(files.get(name) or "") for name in ("curate-out", "curate-err"))
    except (httpx.HTTPError, ValueError, KeyError, AttributeError) as e:
        raise SandboxDown(f"{url} did not answer as SandboxFusion does: {type(e).__name__}: {e}") from None
    if status == "SandboxError" or not result:
        raise SandboxDown(f"{url}: {told.get('message') or status}"[:TEXT])
    if not files:
        raise SandboxDown(f"{url} gives no files back: {result.get('stderr') or told}"[:TEXT])
    if len(out) > most:
        return Outcome("output_limit")
    if result.get("status") == "TimeLimitExceeded":
        return Outcome("timeout")
    return out.decode("utf-8", "replace") if result.get("return_code") == 0 else _fault(result, err)


def _fault(result: dict[str, Any], err: bytes) -> Outcome:
    lines = err.decode("utf-8", "replace").strip().splitlines()
    last = lines[-1][:TEXT] if lines else f"exit code {result.get('return_code')}"
    if last.startswith(("SyntaxError", "IndentationError", "TabError")):
        return Outcome("syntax_error", last)
    return raised(last)
