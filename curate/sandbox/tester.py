"""Beside the tests, away from the program: runs assert-style tests, where every call goes over the wall.

The names that a test uses and does not define are the program's: each is asked for by name, and answers with
a plain value or with a stand-in whose calls, attributes and items are asked for in turn. Each `assert`
counts by itself, so that the share of those that hold is known. Descriptor 3: the job; 4: the line to the
judge, whose last word carries the mark that only this process and the judge know; 5: the line to the program.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import json
import socket
import sys
import types
from typing import Any

from curate.sandbox.remote import Gone, Program, Untestable
from curate.sandbox.wire import Line


class Tally:
    """How many asserts held, and what the first that did not hold said."""

    def __init__(self, line: Line, mark: str) -> None:
        self.line, self.mark, self.first = line, mark, ""
        self.held = self.seen = self.asserts = 0

    def hold(self) -> None:
        self.seen += 1
        self.held += 1

    def miss(self, error: BaseException) -> None:
        self.seen += 1
        if isinstance(error, Untestable):
            self.close(f"untestable {error}")
            raise SystemExit
        self.note(error, f"assert {self.seen}")

    def note(self, error: BaseException, where: str) -> None:
        if not self.first:
            theirs = getattr(error, "__dict__", {}).get("_curate_program")
            plain = isinstance(error, AssertionError) and not theirs
            self.first = (
                f"wrong {where}" if plain else f"error {theirs or f'{type(error).__name__}: {error}'}"
            )

    def close(self, word: str) -> None:
        counts = {"held": self.held, "seen": self.seen, "asserts": self.asserts}
        self.line.send({"mark": self.mark, "word": word, "first": self.first[:300], **counts})


class Counted(ast.NodeTransformer):
    """Makes `assert x` into: try that, count it as held, or count why not, and go on."""

    def __init__(self) -> None:
        self.asserts = 0

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if isinstance(node.test, ast.Constant):
            return node
        self.asserts += 1
        hold = ast.parse("__curate_tally__.hold()").body
        miss = ast.parse("__curate_tally__.miss(__curate_error__)").body
        handler = ast.ExceptHandler(ast.Name("Exception", ast.Load()), "__curate_error__", miss)
        return ast.copy_location(ast.Try([node], [handler], hold, []), node)

    def visit_Try(self, node: ast.Try) -> ast.AST:
        return node  # the test wants to see that assert fail itself


def main() -> int:
    with open(3, "rb") as f:
        job = json.loads(f.read())
    program = Program(Line(socket.socket(fileno=5), job["longest"]), job["call_s"])
    tally = Tally(Line(socket.socket(fileno=4), 0), job["mark"])
    try:
        tree = ast.parse(job["test"])
        helpers = [compile(h, "prompt", "exec") for h in job["helpers"]]
        counted = Counted()
        code = compile(ast.fix_missing_locations(counted.visit(tree)), "test", "exec")
        tally.asserts = counted.asserts
    except (SyntaxError, ValueError, MemoryError, RecursionError) as e:
        tally.close(f"unreadable {e}")
        return 0
    told: dict[str, Any] = {}
    try:
        told = program.hear()
        if "ready" not in told:
            tally.close(json.dumps(told))
            return 0
        _run(job, helpers, code, tree, program, tally)
        tally.close("end" if tally.seen or not tally.asserts else "no assert was reached")
    except Gone as e:
        tally.close(str(e))
    except Untestable as e:
        tally.close(f"untestable {e}")
    except Exception as e:  # noqa: BLE001 - outside any assert: the test ends here, as it would anywhere
        tally.seen += 1
        tally.note(e, "the test")
        tally.close("end")
    return 0


def _run(job: Any, helpers: list[Any], code: Any, tree: ast.AST, program: Program, tally: Tally) -> None:
    """Run the test beside the prompt's own helpers, and, where it uses any, beside the program's as well: a
    program that changes a helper can then neither help itself nor break it unseen."""
    entry, prompt = job["entry_point"], {}  # type: str, dict[str, Any]
    for helper in helpers:
        exec(helper, prompt)
    sys.stdout = sys.stderr = open("/dev/null", "w")
    names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)} - {entry}
    shared = {n for n in names & prompt.keys() if isinstance(prompt[n], types.FunctionType)}
    for mine in [prompt] if not shared else [prompt, {k: v for k, v in prompt.items() if k not in shared}]:
        _run_once(code, tree, entry, program, tally, {**mine, "__name__": "test", "__curate_tally__": tally})


def _run_once(
    code: Any, tree: ast.AST, entry: str, program: Program, tally: Tally, space: dict[str, Any]
) -> None:
    space.pop(entry, None)
    for name in _theirs(tree, space, entry):
        try:
            space[name] = program.value(program.ask("find", name=name))
        except NameError:
            if name == entry:
                raise
    exec(code, space)
    if entry and callable(space.get("check")):
        space["check"](space[entry])
    elif not tally.seen:
        for test in [
            v for k, v in space.items() if k.startswith("test") and isinstance(v, types.FunctionType)
        ]:
            test()


def _theirs(tree: ast.AST, space: dict[str, Any], entry: str) -> list[str]:
    """The names that only the program can mean. Built-in functions and the library's modules are never asked
    of it (its `set` or `math` could say that all is equal), unless the test calls nothing else."""
    names = [n for n in ast.walk(tree) if isinstance(n, ast.Name)]
    bound = {n.id for n in names if not isinstance(n.ctx, ast.Load)} | set(space) | _bound_elsewhere(tree)
    free = {n.id for n in names} - bound
    dotted = {
        n.value.id for n in ast.walk(tree) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    }
    for name in (free & dotted & sys.stdlib_module_names) - {entry}:
        space[name] = importlib.import_module(name)
    own = {name for name in free if not hasattr(builtins, name)} - set(space)
    return sorted(own | {entry} if entry else own or free)


def _bound_elsewhere(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
            found.add(n.name)
        elif isinstance(n, ast.arg):
            found.add(n.arg)
        elif isinstance(n, ast.alias):
            found.add((n.asname or n.name).partition(".")[0])
        elif isinstance(n, ast.ExceptHandler) and n.name:
            found.add(n.name)
    return found
