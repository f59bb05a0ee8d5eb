"""Do the methods that choose or rewrite help a student? Claims of papers, in miniature, on the demo world.

    python benchmarks/reproductions.py [selection|teachers|trajectories|rewriting] [--seeds 5] [--out FOLDER]

    python benchmarks/reproductions.py rewriter --out FOLDER

Without a word all four, by the tokens they take ten minutes or more each on two idle cores; busy ones take
far longer. With --out everything is kept, each part in a folder of its own, and the same command, or one with
more seeds, goes on from it; parts can then run side by side.

1. selection: of each problem's right traces the one with the most sentences of the teacher
   (`teacher_guided_selection`), against a random one, the longest, and random traces as many and as long.
2. teachers: four scripted teachers with planted differences; `teacher_report`, a smoke test of 80 problems
   and 20 steps, against students of 400 other problems and 60 steps. The better a teacher scores, the worse
   it is meant to teach. Has the report's pick the best student, and would a cheaper sign have found it?
3. trajectories: of each problem's right traces the two farthest apart (`data_efficient`), against two
   random ones and the two shortest.
4. rewriting: the teacher's right traces as they are, searched by itself (`retro_search`), written anew by a
   copy that was taught to (`difficulty_aware_pruning`), trimmed, and the shortest of as many as the search
   has cost. Are they, and what students of them write, shorter, and are these right as often? The students
   know the headings of the plans as tokens, and so does that copy, of which a table says how well it does.

`rewriter` compares nothing: it teaches the copy that rewrites, for runs of your own, and says where it lies.

Within a part all students take the same number of steps over the same number of traces, packed to the same
length, so they learn from about as many tokens: of longer traces fewer passes. A seed is a whole repetition:
other problems (no two seeds share one), another order of training, other held-out problems, other samples;
only smoke tests share their held-out problems. Accuracy is that of one sample a problem at temperature 0.6
(smoke tests: 1); intervals are 95 % of Student's t over seeds, of differences paired, with no correction for
several comparisons. Samples and trainings depend on their seeds alone, up to rounding, which threads change.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "20000")  # as the command line does, before anything loads torch
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

import polars as pl  # noqa: E402
from peers.machine import facts  # noqa: E402
from peers.narrators import teachers  # noqa: E402
from peers.picks import picks_table, teachers_table  # noqa: E402
from peers.plans import taught_rewriter  # noqa: E402
from peers.shortening import rewritten  # noqa: E402
from peers.students import (  # noqa: E402
    BATCH,
    HELD_OUT,
    LENGTH,
    MAX_TOKENS,
    MEASURED_ON,
    RATE,
    SMOKE_HELD_OUT,
    STUDENT,
    TEMPERATURE,
    Arms,
    Notes,
    arms_table,
    differences_table,
    made,
    taught,
    told,
)

from curate.demo import WORLD  # noqa: E402
from curate.distance import distances  # noqa: E402
from curate.engines import engine  # noqa: E402
from curate.methods.data_efficient import data_efficient  # noqa: E402
from curate.methods.parallel_teachers import parallel_teachers  # noqa: E402
from curate.methods.teacher_guided_selection import teacher_guided_selection  # noqa: E402
from curate.read import Source, read  # noqa: E402
from curate.teacher_report import Smoke, teacher_report  # noqa: E402

EACH, N = 400, 4  # problems a seed, samples a problem
HARD, TRIES, KEEP = 200, 8, 2  # for trajectories: problems, samples a problem, traces kept of each
STEPS = 160
SMOKE_PROBLEMS, SMOKE_STEPS, WHOLE_STEPS = 80, 20, 60  # of teachers: their traces are shorter
MOST_SEEDS = 5
PROBLEMS = made(MOST_SEEDS * (EACH + SMOKE_PROBLEMS))
TEACHER = engine(f"hf:{WORLD / 'teacher'}", dtype="float32", temperature=1.0, max_tokens=MAX_TOKENS)
LEARNER = engine(f"hf:{STUDENT}", dtype="float32", temperature=1.0, max_tokens=MAX_TOKENS)

Chosen = dict[str, pl.DataFrame]  # the traces of each arm; all rules share a run, so models are asked once
Note = tuple[str, Callable[[pl.DataFrame], float]]  # what is noted of an arm's traces, and how


def problems(seed: int, count: int) -> Source:
    """Problems of this seed alone."""
    return read(PROBLEMS.slice(seed * EACH, count))


def compared(
    what: str, method: str, choose: Callable[[int, Path], Chosen], note: Note, seeds: int, out: Path
) -> None:
    """Train a student for each arm and seed on what `choose` gives, and print both tables."""
    arms: Arms = {}
    label, noted = note
    notes: Notes = {label: {}, f"share in {method}": {}}
    for seed in range(seeds):
        rows = choose(seed, out / f"traces-{seed}")
        own = set(rows[method]["trace_id"])
        for name, mine in rows.items():
            shared = sum(trace in own for trace in mine["trace_id"]) / len(mine)
            for of, value in zip(notes.values(), (noted(mine), shared), strict=True):
                of.setdefault(name, []).append(value)
            arms.setdefault(name, []).append(taught(mine, out / f"{name}-{seed}", STEPS, seed))
            told(f"{what}, seed {seed}, {name}", arms[name][-1])
    print(arms_table("traces chosen by", arms, notes))
    print()
    print(differences_table(method, arms))


def selection(seeds: int, out: Path) -> None:
    """Traces chosen by provenance, against three controls."""
    rules: tuple[Any, ...] = ("most_teacher", "random", "longest", "length_matched")

    def choose(seed: int, run: Path) -> Chosen:
        of = partial(teacher_guided_selection, problems(seed, EACH), TEACHER, LEARNER, n=N, seed=seed)
        return {rule: of(rule=rule).run(run).traces.collect() for rule in rules}

    def sentences(rows: pl.DataFrame) -> float:
        return statistics.mean(rows["teacher_in_thinking"])

    print(f"{EACH} problems a seed, {N} samples each, one right trace a problem, {STEPS} steps\n")
    compared("selection", rules[0], choose, ("teacher's sentences", sentences), seeds, out)


def trajectories(seeds: int, out: Path) -> None:
    """Traces of the same problems that lie far apart, against random and short ones."""
    rules: tuple[Any, ...] = ("farthest", "random", "shortest")
    how = {"n": TRIES, "keep": KEEP, "student_samples": 2, "min_right": KEEP}

    def choose(seed: int, run: Path) -> Chosen:
        of = partial(data_efficient, problems(seed, HARD), TEACHER, LEARNER, **how)
        arms = {rule: of(rule=rule).run(run).traces.collect() for rule in rules}
        full = [set(a.filter(pl.len().over("problem_id") == KEEP)["problem_id"]) for a in arms.values()]
        same = pl.col("problem_id").is_in(sorted(set.intersection(*full)))  # as many traces in every arm
        return {rule: rows.filter(same) for rule, rows in arms.items()}

    def apart(rows: pl.DataFrame) -> float:
        parts = [distances(part["thinking"].to_list()) for part in rows.partition_by("problem_id")]
        return statistics.mean(float(d.sum() / (len(d) * (len(d) - 1))) for d in parts)

    print(f"{HARD} problems a seed, {TRIES} samples each, {KEEP} right traces a problem, {STEPS} steps\n")
    compared("trajectories", rules[0], choose, ("mean distance", apart), seeds, out)


def rewriting(seeds: int, out: Path) -> None:
    """Traces of the same problems made shorter in four ways, against the traces as they were."""
    print(f"{EACH} problems a seed, of those with a right trace in every arm one trace each, {STEPS} steps\n")
    rewritten([problems(seed, EACH) for seed in range(seeds)], STEPS, out)


def smoke(seed: int, out: Path) -> pl.DataFrame:
    """The teacher report of a seed, on problems that no other part of this file uses."""
    first = MOST_SEEDS * EACH + seed * SMOKE_PROBLEMS
    how = Smoke(SMOKE_STEPS, RATE, BATCH, LENGTH, "muon", seeds=1, max_tokens=MAX_TOKENS)
    source, test = read(PROBLEMS.slice(first, SMOKE_PROBLEMS)), read(HELD_OUT.tail(SMOKE_HELD_OUT))
    return teacher_report(source, teachers(), STUDENT, test, out=out, smoke=how).table


def teachers_compared(seeds: int, out: Path) -> None:
    """Smoke tests beside whole students; which sign finds the teacher whose student is best."""
    reports, arms = [], Arms()
    for seed in range(seeds):
        reports.append(smoke(seed, out / f"report-{seed}"))
        rows = (
            parallel_teachers(problems(seed, EACH), teachers()).run(out / f"parallel-{seed}").traces.collect()
        )
        for (name,), mine in sorted(rows.group_by("model"), key=lambda part: str(part[0])):
            student = taught(mine, out / f"{name}-{seed}", WHOLE_STEPS, seed)
            arms.setdefault(str(name), []).append(student)
            told(f"teachers, seed {seed}, {name}", student)
    tests = f"{SMOKE_PROBLEMS} problems, {SMOKE_STEPS} steps"
    print(f"Whole students: {EACH} problems a seed, {WHOLE_STEPS} steps; smoke tests: {tests}\n")
    print(teachers_table(reports, arms))
    print()
    print(picks_table(reports, arms))


PARTS: dict[str, Callable[[int, Path], None]] = {
    "selection": selection,
    "teachers": teachers_compared,
    "trajectories": trajectories,
    "rewriting": rewriting,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", nargs="?", choices=[*PARTS, "rewriter"], help="all four, where none is named")
    parser.add_argument("--seeds", type=int, choices=range(2, MOST_SEEDS + 1), default=MOST_SEEDS)
    parser.add_argument("--out", type=Path, help="keep everything here; without it, in a temporary folder")
    asked = parser.parse_args()
    if asked.part == "rewriter":
        if asked.out is None:
            parser.error("where to? rewriter needs --out FOLDER")
        print(f"hf:{taught_rewriter(asked.out / 'rewriter')}")
        return
    import torch

    print(f"{facts('torch')}; {torch.get_num_threads()} threads; {asked.seeds} seeds, steps of {BATCH} × "
          f"{LENGTH} tokens, {MEASURED_ON} held-out problems a seed at temperature {TEMPERATURE}",
          flush=True)  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="curate-reproductions-") as scratch:
        for part in [asked.part] if asked.part else PARTS:
            started = time.monotonic()
            print(f"\n## {part}\n", flush=True)
            PARTS[part](asked.seeds, (asked.out or Path(scratch)) / part)
            print(f"\n{time.monotonic() - started:,.0f} s, load average {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
