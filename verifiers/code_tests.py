"""The Python program in the response passes the tests in the answer, run where it can harm nothing."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from curate.sandbox.bounds import Bounds
from curate.sandbox.fusion import judge_there
from curate.sandbox.judge import judge
from curate.sandbox.level import isolation, server
from curate.sandbox.outcome import Outcome
from curate.sandbox.program import is_body, program_in
from curate.sandbox.server import SandboxDown
from curate.sandbox.shapes import Asserts, Calls, Tests, Unreadable, read_tests
from curate.schema import Row
from curate.step import Verdict, Verifier

_TWO_ADDED = json.dumps({"inputs": ["1 2\n", "3 4\n"], "outputs": ["3\n", "7\n"]})
ABSTAIN = ("gold_invalid", "unsupported", "weak_isolation")


@dataclass(frozen=True)
class CodeTests(Verifier):
    """`score` is the share of cases that passed. Abstains where tests cannot be read, or the sandbox fails.

    The shapes of tests are in curate/sandbox/shapes.py, when two outputs are the same in compare.py, where
    the program stands in a response in program.py; what a program can and cannot do is in docs/sandbox.md.

    timeout_s bounds one row; its cases share nine tenths of it, and after one that runs out of time no other
    is run. case_timeout_s bounds one case or one call. memory_mb bounds all processes of the program
    together. output_mb bounds what a case prints or a call returns. tolerance: of numbers with a point.
    allow_weak_isolation: without it, a machine without full isolation abstains. sandbox_fusion: the URL
    of a SandboxFusion server that runs the programs instead of this machine.
    """

    timeout_s: float = 60.0
    case_timeout_s: float = 6.0
    memory_mb: int = 1024
    output_mb: int = 16
    tolerance: float = 1e-6
    allow_weak_isolation: bool = False
    sandbox_fusion: str | None = None
    not_identity = ("sandbox_fusion",)  # where a program runs does not change what it does
    reads = ("question", "response", "answer")
    examples = (
        (
            dict(
                response="```python\na, b = map(int, input().split())\nprint(a + b)\n```", answer=_TWO_ADDED
            ),
            True,
        ),
        (dict(response="def double(x):\n    return 2 * x", answer="assert double(4) == 8"), True),
        (dict(response="```python\nprint(3)\n```", answer=_TWO_ADDED), False),
        (dict(response="I would add the two numbers.", answer=_TWO_ADDED), False),
        (dict(response="```python\nprint(3)\n```", answer="see the judge's site"), None),
    )

    @property
    def needs_gold(self) -> bool:
        return True

    def row(self, row: Row) -> Verdict:
        if row["answer"] is None:
            return Verdict(None, "no_gold")
        try:
            tests = read_tests(row["answer"], row["question"] or "")
        except Unreadable as e:
            return Verdict(None, f"gold_invalid: {e}")
        program = program_in(row["response"] or "", _function(tests))
        if program is None:
            return Verdict(False, "no_answer: no program in Python", score=0.0)
        try:
            found, place = self._judged(_units(program, tests), tests)
        except SandboxDown as e:
            return Verdict(None, f"crashed: {e}"[:300], program)
        passed = None if found.word in ABSTAIN else found.word == "equal"
        note = f"{found.note} {place}".strip()
        score = None if passed is None else found.held / found.total
        note = note.encode("utf-8", "replace").decode()  # half a character fits into no table
        return Verdict(passed, f"{found.word}: {note}" if note else found.word, program, score)

    def _judged(self, units: list[str], tests: Tests) -> tuple[Outcome, str]:
        """The outcome, and where it was reached, if that is not a full sandbox here."""
        began = time.monotonic()  # the first row of a process waits for the fork server to start
        here = None if self.sandbox_fusion else isolation()
        left = 0.9 * self.timeout_s - (time.monotonic() - began)
        bounds = Bounds(self.case_timeout_s, left, self.memory_mb, self.output_mb, self.tolerance)
        if here is None:
            return judge_there(str(self.sandbox_fusion), units, tests, bounds), "(SandboxFusion)"
        if here.level == "none" or here.level != "full" and not self.allow_weak_isolation:
            return Outcome("weak_isolation", here.reason[:300]), ""
        place = "" if here.level == "full" else f"({here.level} isolation)"
        return judge(server(here.level), units, tests, bounds), place


def _function(tests: Tests) -> str:
    """The function that the tests call by name, or nothing."""
    if isinstance(tests, Calls):
        return tests.name
    return tests.entry_point if isinstance(tests, Asserts) else ""


def _units(program: str, tests: Tests) -> list[str]:
    """The program's source, in the parts it is executed in: a prompt that it goes on from comes first."""
    prompt = tests.prompt if isinstance(tests, Asserts) else ""
    if not prompt:
        return [program]
    return [f"{prompt.rstrip()}\n{program}"] if is_body(program) else [prompt, program]
