"""Right traces of the same problems are made shorter in four ways, and students of each way are measured.

The signature of Retro-Search's paper is looked for in both, the traces and what their students write: clearly
shorter, right as often, in fewer and longer thoughts.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
from peers.plans import level_of, taught_rewriter, wider
from peers.report import table
from peers.students import LENGTH, MAX_TOKENS, STUDENT, Arms, Notes, arms_table, points, signed, taught, told

from curate.demo import WORLD
from curate.demo_world.world import LEVELS as OPERATIONS
from curate.difficulty import LEVELS
from curate.engines import engine
from curate.methods import difficulty_aware_pruning as dap
from curate.methods import retro_search as retro
from curate.methods.random_right_of_k import random_right_of_k
from curate.methods.shortest_of_k import affordable, shortest_of_k
from curate.methods.trim_after_answer import trim_after_answer
from curate.pieces import thoughts
from curate.read import Source
from curate.rewriting import words
from curate.run import Run
from curate.step import Engine
from curate.train.model import load_tokenizer

ORIGINAL, CONTEXT = "original", 512
HOW: dict[str, Any] = {"dtype": "float32", "max_tokens": MAX_TOKENS}
TEACHER = engine(f"hf:{WORLD / 'teacher'}", temperature=0.6, top_p=0.95, **HOW)
TEMPLATE = 20  # tokens of a chat beside its texts, and some


class Sets(NamedTuple):
    """The traces of each arm in one seed, and what was reported on the way."""

    rows: dict[str, pl.DataFrame]
    k: int
    search: pl.DataFrame
    plans: pl.DataFrame
    judged: pl.DataFrame  # a line a trace: the level that was said, and the one that the script would have


class Manner(NamedTuple):
    """How texts are written, on average: words of a text, thoughts of a text, words of a thought."""

    words: float
    thoughts: float
    words_a_thought: float


def rewritten(sources: Sequence[Source], steps: int, out: Path) -> None:
    """A student for each arm and seed; all tables are printed."""
    untaught = wider(STUDENT, out / "student", CONTEXT)
    rewriter = engine(f"hf:{taught_rewriter(out / 'rewriter')}", temperature=0.0, **HOW)
    arms: Arms = {}
    traces: dict[str, list[Manner]] = {}
    samples: dict[str, list[Manner]] = {}
    made: list[Sets] = []
    for seed, source in enumerate(sources):
        made.append(sets(source, rewriter, untaught, out / f"shortened-{seed}"))
        print(f"seed {seed}", plans_table(made[-1:]), search_table(made[-1:]), sep="\n\n", file=sys.stderr)
        for name, rows in made[-1].rows.items():
            folder = out / f"{name}-{seed}"
            arms.setdefault(name, []).append(taught(rows, folder, steps, seed, untaught))
            traces.setdefault(name, []).append(manner(rows["thinking"]))
            said = Run(folder / "eval").traces.select("thinking").collect()["thinking"]
            samples.setdefault(name, []).append(manner(said))
            told(f"rewriting, seed {seed}, {name}", arms[name][-1])
    print(plans_table(made), search_table(made), sep="\n\n", end="\n\n")
    print(arms_table("traces of", arms, noted("trace", traces)), end="\n\n")
    print(students_table(arms, samples))


def sets(source: Source, rewriter: Engine, untaught: Path, out: Path) -> Sets:
    """The same problems in every arm: those that all of them have a trace of, short enough to learn from."""
    alone, shared = out / "search", out / "all"
    found = retro.retro_search(source, TEACHER, max_tokens=MAX_TOKENS).run(alone)  # its ledger is its own
    if not shared.exists():  # what was sampled is not sampled again
        shutil.copytree(alone, out / "half", dirs_exist_ok=True)
        os.replace(out / "half", shared)
    ways = {
        ORIGINAL: random_right_of_k(source, TEACHER, k=1),
        "shortest_of_k": shortest_of_k(source, TEACHER, like=alone),
        "trim_after_answer": trim_after_answer(source, TEACHER),
        "difficulty_aware_pruning": dap.difficulty_aware_pruning(
            problems=source, teacher=TEACHER, rewriter=rewriter
        ),
    }
    rows = {ORIGINAL: pl.DataFrame(), "retro_search": found.traces.collect()}  # in the order of the tables
    rows |= {name: way.run(shared).traces.collect() for name, way in ways.items()}
    lots = [set(fitting(frame, untaught)) for frame in rows.values()]
    same = pl.col("problem_id").is_in(sorted(set.intersection(*lots)))
    return Sets(
        {name: frame.filter(same) for name, frame in rows.items()},
        affordable(Run(alone)),
        retro.report(found),
        dap.report(Run(shared)),
        judged(rows["difficulty_aware_pruning"]),
    )


def fitting(rows: pl.DataFrame, model: Path) -> Iterable[str]:
    """The problems of the traces that a student's sequence has room for."""
    tokenizer = load_tokenizer(model)
    texts = rows.select(pl.concat_str("question", "thinking", "response", ignore_nulls=True)).to_series()
    for problem, text in zip(rows["problem_id"], texts, strict=True):
        if len(tokenizer(text, add_special_tokens=False)["input_ids"]) + TEMPLATE <= LENGTH:
            yield problem


def judged(rows: pl.DataFrame) -> pl.DataFrame:
    """The level that was said of each problem, and the one that the script would have said."""
    true = pl.col("domain").replace_strict({f"steps-{n}": level_of(n) for n in OPERATIONS})
    return rows.select(pl.col("difficulty_aware").struct.field("level"), true=true)


def manner(texts: Iterable[str | None]) -> Manner:
    size = [(words(text, None), len(thoughts(text or "", by="blank"))) for text in texts]
    total, parts = sum(w for w, _ in size), sum(t for _, t in size)
    return Manner(total / len(size), parts / len(size), total / max(1, parts))


def noted(what: str, manners: dict[str, list[Manner]]) -> Notes:
    heads = (f"words a {what}", f"thoughts a {what}", "words a thought")
    return {h: {name: [m[i] for m in of] for name, of in manners.items()} for i, h in enumerate(heads)}


def plans_table(made: Sequence[Sets]) -> str:
    """How well the taught copy judges and writes, level by level, over all seeds."""
    said, plans = pl.concat([m.judged for m in made]), pl.concat([m.plans for m in made])
    lines = []
    for level in (*LEVELS, None, "all"):
        here = plans.filter(pl.col("level").eq_missing(pl.lit(level, pl.String)) & (pl.col("traces") > 0))
        own = said if level == "all" else said.filter(pl.col("level").eq_missing(pl.lit(level, pl.String)))
        if here.is_empty():
            continue
        traces, kept = int(here["traces"].sum()), int(here["kept"].sum())
        size = [(here[c] * here["kept"]).sum() / max(1, kept) for c in ("words_before", "words_after")]
        why = here.select(pl.col("reasons").explode()).unnest("reasons").drop_nulls().group_by("reason")
        reasons = [f"{r} {n}" for r, n in why.agg(pl.col("count").sum()).sort("count", "reason").rows()[::-1]]
        right = (own["level"] == own["true"]).sum() / max(1, len(own))
        lines.append([level or "none said", traces, f"{right:.0%}", kept, f"{kept / max(1, traces):.0%}",
                      f"{size[0]:.0f}", f"{size[1]:.0f}", ", ".join(reasons)])  # fmt: skip
    head = ["level said", "traces", "judged as the script does", "rewritten", "share",
            "words before", "words after", "why not"]  # fmt: skip
    return table(head, lines)


def search_table(made: Sequence[Sets]) -> str:
    """What the search found in a seed's traces, on average over seeds."""
    columns = ("revised", "kept", "single_thought", "rollouts", "accepted", "thoughts_before",
               "thoughts_after", "steps_per_thought_before", "steps_per_thought_after")  # fmt: skip
    cells = [statistics.mean(float(m.search[c].item()) for m in made) for c in columns]
    k = ", ".join(str(m.k) for m in made)
    return table([*(c.replace("_", " ") for c in columns), "k that it pays for, seed by seed"], [[*cells, k]])


def students_table(arms: Arms, samples: dict[str, list[Manner]]) -> str:
    """Each arm's students beside those of the original traces: paired differences, and their intervals."""
    head = ["students of", "accuracy, points", "tokens a sample, %", "right in 1,000 tokens", "difference",
            "thoughts a sample", "difference", "words a thought", "difference"]  # fmt: skip
    lines = []
    for name, students in arms.items():
        pairs = list(zip(students, arms[ORIGINAL], strict=True))
        cells = [points([a.accuracy - b.accuracy for a, b in pairs]),
                 points([a.tokens / b.tokens - 1 for a, b in pairs])]  # fmt: skip
        for mine, theirs in (
            ([1000 * s.accuracy / s.tokens for s in of] for of in (students, arms[ORIGINAL])),
            ([m.thoughts for m in samples[of]] for of in (name, ORIGINAL)),
            ([m.words_a_thought for m in samples[of]] for of in (name, ORIGINAL)),
        ):
            apart = [a - b for a, b in zip(mine, theirs, strict=True)]
            cells += [f"{statistics.mean(mine):.2f}", signed(apart)]
        lines.append([name, *("–" if name == ORIGINAL and "[" in cell else cell for cell in cells)])
    return table(head, lines)
