"""How many programs a second `CodeTests` judges, beside the two runners that papers use.

    python benchmarks/code_runners.py [--data FOLDER] [--rows N] [--rounds N]

Timed are the canonical solutions of HumanEval and MBPP, the first N of each (all by default), from
FOLDER/code (CURATE_DATA, else ../shared/data): one row at a time in one process, the runners in turn within
each round, and the figure is the median over rounds. Verdicts are compared on these rows and on one mutant of
each (an operator changed), with a limit of 3 s for all.

The peers are written anew after their published programs, as methods: nothing of theirs is imported.
- human-eval: a multiprocessing.Manager for each row; a forked process that makes a folder, takes away
  functions of `os`, `shutil` and `subprocess`, swallows the streams, and executes prompt, completion and test
  under SIGALRM; "passed" is what that process says.
- livecodebench: a forked process a row that takes functions away in the same way, and executes the program
  and the asserts under SIGALRM, standard input and output patched; the result comes over a pipe.
Neither keeps a program from the files, the network or the judge.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from peers.machine import facts

from curate.sandbox.level import isolation
from curate.verifiers.code_tests import CodeTests

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 3
FORK = multiprocessing.get_context("fork")
TAKEN = {
    "os": "kill system putenv remove removedirs rmdir fchdir setuid fork forkpty killpg rename renames "
    "truncate replace unlink fchmod fchown chmod chown chroot getcwd chdir",
    "shutil": "rmtree move chown",
    "subprocess": "Popen",
}
SWAPS = (
    (" + ", " - "), (" - ", " + "), (" < ", " >= "), (" > ", " <= "), (" == ", " != "), (" * ", " + "),
    (" % ", " // "), (" and ", " or "), (" <= ", " > "), (" in ", " not in "),
)  # fmt: skip


class Case(NamedTuple):
    """A row for us, and the one text that the peers execute."""

    row: dict[str, Any]
    whole: str
    canonical: bool


def cases(folder: Path, name: str, rows: int | None) -> list[Case]:
    found = []
    for p in map(json.loads, (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()[:rows]):
        if name == "humaneval":
            program, keys = p["prompt"] + p["canonical_solution"], ("entry_point", "test")
            test = f"{p['test']}\ncheck({p['entry_point']})"
        else:
            program, keys = p["code"], ("test_list", "test_imports")
            test = "\n".join([*p["test_imports"], *p["test_list"]])
        answer = json.dumps({k: p[k] for k in keys})
        start = len(p["prompt"]) if name == "humaneval" else 0
        for text in dict.fromkeys((program, mutant(program, start))):
            row = {"question": p["prompt"], "response": f"```python\n{text}\n```", "answer": answer}
            found.append(Case(row, f"{text}\n{test}", text == program))
    return found


def mutant(program: str, start: int) -> str:
    """The program with one operator changed that stands at or after `start`; itself where there is none."""
    for old, new in SWAPS:
        if (at := program.find(old, start)) >= 0:
            return program[:at] + new + program[at + len(old) :]
    return program


def guard() -> None:
    """What both peers take away from the process that runs the program."""
    import builtins

    builtins.exit = builtins.quit = None  # type: ignore[assignment]
    for module, names in TAKEN.items():
        for name in names.split():
            setattr(__import__(module), name, None)


def executes(whole: str) -> bool:
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError()))
    signal.alarm(LIMIT_S)
    stream = io.StringIO()
    try:
        with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
            sys.stdin = io.StringIO()
            exec(whole, {})
        return True
    except BaseException:  # noqa: BLE001 - as the peers do
        return False
    finally:
        signal.alarm(0)


def _human_eval_child(whole: str, result: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        import shutil

        kept = shutil.rmtree, os.rmdir, os.unlink, os.chdir
        here = os.getcwd()
        os.chdir(folder)
        guard()
        result.append("passed" if executes(whole) else "failed")
        shutil.rmtree, os.rmdir, os.unlink, os.chdir = kept
        os.chdir(here)


def human_eval(case: Case) -> bool:
    with FORK.Manager() as manager:
        result = manager.list()
        process = FORK.Process(target=_human_eval_child, args=(case.whole, result))
        process.start()
        process.join(timeout=LIMIT_S + 1)
        if process.is_alive():
            process.kill()
            process.join()
        return bool(result) and result[0] == "passed"


def _livecodebench_child(whole: str, end: Any) -> None:
    guard()
    end.send(executes(whole))


def livecodebench(case: Case) -> bool:
    ours, theirs = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_livecodebench_child, args=(case.whole, theirs))
    process.start()
    theirs.close()
    try:
        said = ours.poll(LIMIT_S + 1) and ours.recv()
    except EOFError:
        said = False
    process.kill()
    process.join()
    ours.close()
    return bool(said)


VERIFIER = CodeTests(case_timeout_s=float(LIMIT_S))


def ours(case: Case) -> bool:
    return VERIFIER.row(case.row).passed is True


RUNNERS: dict[str, Callable[[Case], bool]] = {
    "CodeTests": ours,
    "human-eval's method": human_eval,
    "livecodebench's method": livecodebench,
}


def main() -> None:
    folder = os.environ.get("CURATE_DATA", ROOT.parent / "shared" / "data")
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--data", type=Path, default=Path(folder))
    options.add_argument("--rows", type=int, default=None, help="problems of each set")
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    print(f"{facts()}\n\nisolation here: {isolation().level}; {given.rounds} rounds\n")
    print("| rows | runner | rows/s | ms a row | passed | mutants passed | verdicts unlike ours |")
    print("|---|---|---|---|---|---|---|")
    for name in ("humaneval", "mbpp_sanitized"):
        found = cases(given.data / "code", name, given.rows)
        for line in measured(name, found, given.rounds):
            print(line, flush=True)


def measured(name: str, found: list[Case], rounds: int) -> list[str]:
    """A line of the table for each runner."""
    right, mutants = [c for c in found if c.canonical], [c for c in found if not c.canonical]
    speed: dict[str, list[float]] = {runner: [] for runner in RUNNERS}
    verdicts: dict[str, list[bool]] = {}
    for _ in range(rounds):
        for runner, judge in RUNNERS.items():
            began = time.perf_counter()
            verdicts[runner] = [judge(case) for case in right]
            speed[runner].append(len(right) / (time.perf_counter() - began))
    changed = {runner: [judge(case) for case in mutants] for runner, judge in RUNNERS.items()}
    lines = []
    for runner in RUNNERS:
        both = zip(
            verdicts["CodeTests"] + changed["CodeTests"], verdicts[runner] + changed[runner], strict=True
        )
        other = sum(a != b for a, b in both)
        rate = statistics.median(speed[runner])
        passed = f"{sum(verdicts[runner])} of {len(right)} | {sum(changed[runner])} of {len(mutants)}"
        lines.append(f"| {name} | {runner} | {rate:.0f} | {1000 / rate:.1f} | {passed} | {other} |")
    return lines


if __name__ == "__main__":
    main()
