"""The whole road on the demo world, measured: sample, verify, trim, publish, train, evaluate before and
after.

Nothing here knows that the teacher and the student are special; they are ordinary `hf:` engines and
checkpoints. What this proves is the plumbing and the measurement; see docs/demo-world.md for what it does
not.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from tqdm import tqdm

from curate.columns import Function
from curate.engines import engine
from curate.errors import Interrupted
from curate.evaluate import Evaluation, evaluate
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import read
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.run import Funnel, Run
from curate.sample import Sample
from curate.step import Engine, Step
from curate.train import train
from curate.verifiers.math_equal import MathEqual

WORLD = Path(__file__).parent / "demo_world"
PROBLEMS, SAMPLES, HELD_OUT, MAX_TOKENS = 800, 2, 200, 240
STEPS = 320  # the same for every arm: what differs is what a student saw, not how long it was trained


@dataclass(frozen=True)
class Arm:
    """One student: the traces it saw, and how it does afterwards on held-out problems."""

    name: str
    traces: int
    sampled: Evaluation  # one sample a problem at temperature 1
    greedy: Evaluation


@dataclass(frozen=True)
class Demo:
    """Before, after, and what the filters removed. Every number was measured in this call."""

    before: Arm
    after: Arm
    arms: tuple[Arm, ...]
    funnel: Funnel
    folder: Path
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """`before` and `after` with accuracy (T=1), its 95 % interval and mean_tokens; and the funnel."""
        return {
            "before": _json(self.before),
            "after": _json(self.after),
            "arms": [{"arm": a.name, **_json(a)} for a in self.arms],
            "funnel": self.funnel.table.to_dicts(),
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        lines = [
            str(self.funnel),
            "",
            f"{'student':26s} {'traces':>7s} {'accuracy at T=1':>24s} {'greedy':>8s} {'tokens':>7s}",
        ]
        for arm in (self.before, *self.arms):
            low, high = arm.sampled.interval
            accuracy = f"{arm.sampled.accuracy:6.1%}  [{low:.1%}, {high:.1%}]"
            greedy, tokens = f"{arm.greedy.accuracy:.1%}", f"{arm.sampled.mean_tokens:.0f}"
            lines.append(f"{arm.name:26s} {arm.traces:7,d} {accuracy:>24s} {greedy:>8s} {tokens:>7s}")
        gain = self.after.sampled.accuracy - self.before.sampled.accuracy
        lines += [
            "",
            f"{gain * 100:+.0f} points at T=1 in {self.seconds:.0f} s; everything is in {self.folder}",
        ]
        return "\n".join(lines)

    __repr__ = __str__


def _json(arm: Arm) -> dict[str, Any]:
    e = arm.sampled
    return {
        "accuracy": e.accuracy,
        "interval": list(e.interval),
        "mean_tokens": e.mean_tokens,
        "greedy_accuracy": arm.greedy.accuracy,
        "traces": arm.traces,
    }


def demo(
    out: Path | None = None, *, compare: bool = False, teacher: str | None = None, ray: int | None = None
) -> Demo:
    """Walk the road; with `compare`, train two more students, on raw and on verified traces.

    teacher: another engine for the demo's teacher, such as `vllm:PATH` or `server:URL?model=NAME`. ray: so
    many replicas of each model, and hosts for the rows, on a Ray cluster; only the training is done here.
    """
    folder = Path(tempfile.mkdtemp(prefix="curate-demo-")) if out is None else out
    try:
        return _walked(folder, compare, teacher, ray)
    except Interrupted:
        raise Interrupted(
            f"stopped; the same command with --out {folder} goes on: nothing that was answered is asked again"
        ) from None


def _walked(folder: Path, compare: bool, teacher: str | None, ray: int | None) -> Demo:
    started = time.monotonic()
    spec = teacher or f"hf:{WORLD / 'teacher'}?dtype=float32"
    asked = engine(spec, temperature=1.0, max_tokens=MAX_TOKENS)
    before = _measure("before", WORLD / "student", 0, folder, ray)
    arms = []
    for name, steps in _arms(asked).items():
        if name == "verified + trimmed" or compare:
            tqdm.write(f"── {name}", file=_stderr())
            run = Pipeline(read(WORLD / "problems.jsonl").head(PROBLEMS), steps).run(folder / "run", ray=ray)
            arms.append(_student(name, run, folder, ray))
    return Demo(before, arms[-1], tuple(arms), run.funnel(), folder, time.monotonic() - started)


def _arms(teacher: Engine) -> dict[str, list[Step | Function]]:
    """Three pipelines over the same samples: what is sampled once is remembered for the others."""
    sample = Sample(teacher, n=SAMPLES)
    verified: list[Step | Function] = [
        sample,
        Truncated(),
        MathEqual(),
        Failed("math_equal", abstained="drop"),
        ExactDuplicates(),
    ]
    trimmed: list[Step | Function] = [
        *verified,
        TrimAfterAnswer(),
        MathEqual(),
        Failed("math_equal", abstained="drop"),
    ]
    return {"raw": [sample], "verified": verified, "verified + trimmed": trimmed}


def _student(name: str, run: Run, folder: Path, ray: int | None) -> Arm:
    """Publish the run, train a student on it, and measure it."""
    slug = name.replace(" + ", "-")
    data, student = folder / "data" / slug, folder / "students" / slug
    run.publish(data)
    train(
        data,
        model=WORLD / "student",
        output_dir=student,
        max_steps=STEPS,
        learning_rate=3e-3,
        batch_size=8,
        max_length=320,
        warmup_steps=10,
        optimizer="muon",
    )
    return _measure(name, student, run.traces.select(pl.len()).collect().item(), folder, ray)


def _measure(name: str, model: Path, traces: int, folder: Path, ray: int | None) -> Arm:
    """Accuracy on the held-out problems, sampled and greedy."""
    heldout = read(WORLD / "heldout.jsonl").head(HELD_OUT)
    out = folder / "eval" / name.replace(" + ", "-")
    student = f"hf:{model}?dtype=float32"
    how: dict[str, Any] = {"max_tokens": MAX_TOKENS, "ray": ray}
    sampled = evaluate(student, heldout, out=out / "sampled", temperature=1.0, **how)
    greedy = evaluate(student, heldout, out=out / "greedy", temperature=0.0, **how)
    return Arm(name, traces, sampled, greedy)


def _stderr() -> Any:
    import sys

    return sys.stderr
