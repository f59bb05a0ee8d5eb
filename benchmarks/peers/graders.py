r"""Other people's graders as verifiers, each called as its users call it; a peer that is not there says why.

Math-Verify 0.9.0   `verify(parse(gold), parse(response))`, default readers and default time limits; a letter
                    as gold is read by its reader of letters
mathruler 0.1.0     `grade_answer(extract_boxed_content(response), gold)`: PRM800K's grader, as EasyR1 uses it
verl prime_math     `compute_score(response, gold)`: PRM800K's grader in PRIME's form (verl 0.9.1)
verl math_reward    `compute_score(response, gold)`: Hendrycks' strings, verl's default for MATH
verl math_dapo      `compute_score(response, gold)`: Minerva's strings, verl's default for DAPO and AIME

Only verl's grader files are loaded: its package asks for ray and torch servers that a grader does not need.
Nothing of a peer is copied here. None of them is asked in this process: all run in killable workers.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from curate.step import Verdict, Verifier

ROOT = Path(__file__).resolve().parent.parent.parent
VERL = "verl==0.9.1"
LIMIT_S = 30.0  # nobody is waited for longer; what a peer's own time limit misses ends here


@dataclass(frozen=True)
class Peer(Verifier):
    """A grader of the pair (response, answer) that says true or false; it never abstains."""

    label: str = ""
    timeout_s: float = LIMIT_S
    memory_mb: int = 4096
    reads = ("response", "answer")

    def row(self, row: Any) -> Verdict:
        with contextlib.redirect_stdout(io.StringIO()):  # several print
            try:
                return Verdict(bool(self.grade(row["response"] or "", row["answer"])), "")
            except ImportError:
                raise  # it is not there: that is no verdict, and stops the run
            except Exception as e:  # noqa: BLE001  a peer that raises has said nothing
                return Verdict(False, f"raised: {type(e).__name__}")

    def grade(self, response: str, gold: str) -> bool:
        raise NotImplementedError


@dataclass(frozen=True)
class MathVerify(Peer):
    label: str = "Math-Verify 0.9.0"

    def grade(self, response: str, gold: str) -> bool:
        from math_verify import LatexExtractionConfig, StringExtractionConfig, parse, verify

        logging.getLogger("math_verify").setLevel(logging.ERROR)
        if len(gold) == 1 and gold in "ABCDEFGHIJ":  # as its README does for multiple choice
            letters = (StringExtractionConfig(strings=tuple("ABCDEFGHIJ")), LatexExtractionConfig())
            return verify(parse(gold, letters), parse(response, letters))
        key = parse(gold) if "$" in gold or "\\boxed" in gold else parse(f"${gold}$")
        return verify(key, parse(response))


@dataclass(frozen=True)
class Mathruler(Peer):
    label: str = "mathruler 0.1.0"

    def grade(self, response: str, gold: str) -> bool:
        from mathruler.grader import extract_boxed_content, grade_answer

        return grade_answer(extract_boxed_content(response), gold)


@dataclass(frozen=True)
class Verl(Peer):
    module: str = "prime_math"
    folder: str = ""

    def grade(self, response: str, gold: str) -> bool:
        score = _verl(self.folder, self.module).compute_score(response, gold)
        if isinstance(score, dict):  # math_dapo
            return score["acc"]
        return score[0] if isinstance(score, tuple) else score > 0


def _verl(folder: str, module: str) -> ModuleType:
    """One file of verl's rewards, without the packages above it."""
    name = f"verl.utils.reward_score.{module}"
    if name in sys.modules:
        return sys.modules[name]
    for package in ("verl", "verl.utils", "verl.utils.reward_score"):
        if package not in sys.modules:
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [os.path.join(folder, *package.split("."))]
    sys.modules.setdefault("verl.utils.metric", _metric())
    return importlib.import_module(name)


def _metric() -> ModuleType:
    """What `verl.utils.py_functional` imports and no grader uses; the real one loads torch."""
    stub = ModuleType("verl.utils.metric")
    stub.Metric = object  # type: ignore[attr-defined]
    return stub


def peers(install: bool = True) -> tuple[list[Peer], list[str]]:
    """The peers that are there, and a sentence for each that is not."""
    found: list[Peer] = [MathVerify()]
    missing = []
    if importlib.util.find_spec("mathruler"):
        found.append(Mathruler())
    else:
        missing.append("mathruler is not installed: pip install -r requirements-dev.lock")
    folder, trouble = _folder(install)
    if trouble:
        missing.append(trouble)
    else:
        found += [
            Verl(label=f"verl 0.9.1 {module}", module=module, folder=str(folder))
            for module in ("prime_math", "math_reward", "math_dapo")
        ]
    return found, missing


def _folder(install: bool) -> tuple[Path, str]:
    """Where verl's files lie (build/peers), installed there without its dependencies; and what went wrong."""
    folder = ROOT / "build" / "peers"
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), VERL]
    if install and not (folder / "verl").is_dir():
        out = subprocess.run(command, capture_output=True, text=True)
        if out.returncode:
            return folder, f"{VERL} could not be installed: {out.stderr.strip().splitlines()[-1]}"
    there = (folder / "verl").is_dir()
    return folder, "" if there else f"{VERL} is not in build/peers"
