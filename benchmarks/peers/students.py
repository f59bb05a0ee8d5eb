"""Students of equal budget are trained and measured, and what differs between them has an interval.

A seed is a whole repetition: other problems to learn from, another order of training, other held-out
problems and other samples of them. Within a seed all students share these, so differences are paired.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import polars as pl
from peers.report import table

from curate.demo import WORLD
from curate.demo_world import world
from curate.demo_world.make_models import problem_row
from curate.evaluate import evaluate
from curate.metrics import Interval
from curate.publish import publish
from curate.read import read
from curate.train import train
from curate.train.data import conversations, find_files
from curate.train.model import load_tokenizer
from curate.train.pack import batches, pack
from curate.train.tokens import tokenize

STUDENT = WORLD / "student"
BATCH, LENGTH, RATE, WARMUP = 4, 384, 3e-3, 10
MAX_TOKENS, TEMPERATURE = 240, 0.6  # of the evaluation; the papers', and at 1 so small a student is all noise
HELD_OUT = pl.read_ndjson(WORLD / "heldout.jsonl")
MEASURED_ON = 160  # problems of a seed, drawn from those that no smoke test uses
SMOKE_HELD_OUT = 80


def made(count: int) -> pl.DataFrame:
    """So many problems of the demo world that neither its models nor its held-out problems have seen."""
    return pl.DataFrame([problem_row(p) for p in islice(world.problems(1, "sample"), count)])


@dataclass(frozen=True)
class Student:
    """What one student saw, and how it does afterwards."""

    traces: int
    tokens_a_trace: float
    learnt: int  # tokens of assistant turns, over all steps
    accuracy: float
    tokens: float  # a sample


def taught(rows: pl.DataFrame, out: Path, steps: int, seed: int, untaught: Path = STUDENT) -> Student:
    """Publish these traces, train a student on them, and measure it."""
    publish(rows.lazy(), out / "data")
    train(
        out / "data",
        model=untaught,
        output_dir=out / "student",
        max_steps=steps,
        learning_rate=RATE,
        batch_size=BATCH,
        max_length=LENGTH,
        warmup_steps=WARMUP,
        optimizer="muon",
        seed=seed,
    )
    problems = HELD_OUT.head(len(HELD_OUT) - SMOKE_HELD_OUT).sample(MEASURED_ON, seed=seed)
    model = f"hf:{out / 'student'}?dtype=float32"
    found = evaluate(
        model, read(problems), out=out / "eval", temperature=TEMPERATURE, max_tokens=MAX_TOKENS, seed=seed
    )
    once, learnt = seen(out / "data", steps, seed, untaught)
    assert found.mean_tokens is not None
    return Student(len(rows), once / len(rows), learnt, found.accuracy, found.mean_tokens)


def told(what: str, student: Student) -> None:
    print(f"{what}: {student.accuracy:.1%}", file=sys.stderr, flush=True)


def seen(data: Path, steps: int, seed: int, untaught: Path) -> tuple[int, int]:
    """The learnt tokens of all traces once, and of the batches that training takes from them."""
    tokenizer = load_tokenizer(untaught)
    with tempfile.TemporaryDirectory() as folder:
        rows = conversations(find_files(data))
        documents, tokens = tokenize(rows, tokenizer, Path(folder), LENGTH, "error")
        packs = pack(documents.lengths, LENGTH, seed)
        taken = islice(batches(documents, packs, 0, BATCH, 1, seed, 0), steps)
        return tokens.learnt, sum(int(b.learn.sum()) for step in taken for b in step)


def t_quantile(freedom: int) -> float:
    """How far 95 % of Student's distribution reach to either side, in standard errors."""
    from mpmath import mp

    def beyond(t: float) -> float:
        return mp.betainc(freedom / 2, 0.5, 0, freedom / (freedom + t * t), regularized=True)

    return float(mp.findroot(lambda t: beyond(t) - 0.05, (1.5, 15.0), solver="anderson"))


def spread(values: Sequence[float]) -> Interval:
    """The 95 % interval of the mean over seeds."""
    middle, error = statistics.mean(values), statistics.stdev(values) / len(values) ** 0.5
    reach = t_quantile(len(values) - 1) * error
    return Interval(middle - reach, middle + reach)


def per_cent(values: Sequence[float]) -> str:
    """Mean and interval of shares, in per cent."""
    low, high = spread(values)
    return f"{statistics.mean(values):.1%} [{max(low, 0.0):.1%}, {min(high, 1.0):.1%}]"


def points(values: Sequence[float]) -> str:
    """Mean and interval of differences of shares, in points."""
    return signed([100 * value for value in values])


def signed(values: Sequence[float]) -> str:
    """Mean and interval of differences."""
    low, high = spread(values)
    return f"{statistics.mean(values):+.1f} [{low:+.1f}, {high:+.1f}]"


def verdict(differences: Sequence[float]) -> str:
    """What the interval allows to say."""
    low, high = spread(differences)
    if low > 0:
        return "better"
    return "worse" if high < 0 else "no difference to be seen"


Arms = dict[str, list[Student]]  # a student for each seed
Notes = dict[str, dict[str, list[float]]]  # what is noted of the traces → arm → a number for each seed


def arms_table(what: str, arms: Arms, notes: Notes) -> str:
    """A line for each arm: what its students saw, and how they do."""
    head = [what, "traces", "tokens a trace", *notes, "tokens trained on", "accuracy", "tokens a sample"]
    lines = []
    for name, students in arms.items():
        traces, once, learnt, tokens = (
            statistics.mean(getattr(s, field) for s in students)
            for field in ("traces", "tokens_a_trace", "learnt", "tokens")
        )
        noted = [f"{statistics.mean(of[name]):.2f}" for of in notes.values()]
        cells = [f"{traces:.0f}", f"{once:.0f}", *noted, f"{learnt:,.0f}"]
        lines.append([name, *cells, per_cent([s.accuracy for s in students]), f"{tokens:.0f}"])
    return table(head, lines)


def differences_table(method: str, arms: Arms) -> str:
    """The method against each other arm: paired differences of accuracy, seed by seed."""
    lines = []
    for name, students in arms.items():
        if name != method:
            pairs = zip(arms[method], students, strict=True)
            found = [a.accuracy - b.accuracy for a, b in pairs]
            seeds = " ".join(f"{100 * d:+.1f}" for d in found)
            lines.append([f"{method} − {name}", points(found), verdict(found), seeds])
    return table(["accuracy, points", "mean and 95 %", "the method is", "seed by seed"], lines)
