"""Teachers are ranked by what a student gains from a smoke test of each, not by how well they score.

DED (arXiv:2508.09883): a small corpus of each teacher, a short training on each, the same evaluation. The
fair comparison is inferred: the same questions for all, the same number of rows and steps, several seeds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from curate.drift import hidden_shift
from curate.engines import as_engine, engine
from curate.errors import UserError
from curate.evaluate import Evaluation, evaluate
from curate.filters.answered_by_all import AnsweredByAll
from curate.identity import model_name
from curate.methods.parallel_teachers import parallel_teachers
from curate.metrics import Interval, mean
from curate.pipeline import Pipeline
from curate.publish import publish
from curate.read import Source, as_source
from curate.run import Run
from curate.scores.entropy import Entropy
from curate.scores.length import Length
from curate.scores.perplexity import Perplexity
from curate.scores.token_logprobs import TokenLogprobs
from curate.step import Engine
from curate.train import train
from curate.train.optim import Kind

COLUMNS = (
    "teacher rows verified_rate own_accuracy tokens perplexity entropy before after gain seeds "
    "elsewhere shift"
)
PROBES = 32  # traces, of all teachers, on which the shift is measured


@dataclass(frozen=True)
class TeacherReport:
    """`table` has a line for each teacher, the one whose student gained most first.

    rows: traces its student was trained on, the same for all; verified_rate: right among its attempts, 0 to
    1; own_accuracy: its own share of right first attempts, which does not rank; tokens, perplexity, entropy:
    means of its corpus under the student before training; before, after: the student's accuracy on the
    held-out problems, after: the mean over seeds; gain: the difference; seeds: the gain of each seed;
    elsewhere: the same difference on problems out of the domain, null where none were given: a loss there is
    what the gain costs; shift: how far training moved the student's hidden states, the mean over layers and
    seeds of `curate.drift`. Neither ranks.
    """

    table: pl.DataFrame
    before: Evaluation
    run: Run  # of all teachers

    @property
    def best(self) -> str:
        """The teacher with the largest gain."""
        return str(self.table["teacher"][0])

    def __str__(self) -> str:
        lines = [f"{'teacher':20s} {'own':>6s} {'rows':>6s} {'tokens':>7s} {'ppl':>6s} {'entropy':>7s}  gain"]
        for r in self.table.to_dicts():
            spread = f"[{min(r['seeds']):+.1%}, {max(r['seeds']):+.1%}]"
            other = "" if r["elsewhere"] is None else f"  elsewhere {r['elsewhere']:+.1%}"
            lines.append(
                f"{r['teacher']:20s} {r['own_accuracy']:6.1%} {r['rows']:6,d} {r['tokens']:7.1f} "
                f"{r['perplexity']:6.2f} {r['entropy']:7.3f}  {r['gain']:+.1%} {spread}{other}"
            )
        low, high = Interval(*self.before.interval)
        return "\n".join([*lines, f"before: {self.before.accuracy:.1%} [{low:.1%}, {high:.1%}]"])

    __repr__ = __str__


@dataclass(frozen=True)
class Smoke:
    """How each student is trained and measured; the same for all teachers.

    steps, learning_rate, batch_size, max_length, optimizer: as in `train`. seeds: trainings of each student.
    k: samples a held-out problem, at temperature 1, of up to max_tokens tokens.
    """

    steps: int = 100
    learning_rate: float = 2e-5
    batch_size: int = 8
    max_length: int | None = None
    optimizer: Kind = "adamw"
    seeds: int = 3
    k: int = 1
    max_tokens: int | None = None


def teacher_report(
    problems: str | Path | Source,
    teachers: Sequence[str] | tuple[Engine, ...],
    student: str | Path,
    heldout: str | Path | Source,
    *,
    out: str | Path,
    elsewhere: str | Path | Source | None = None,
    attempts: int = 8,
    smoke: Smoke | None = None,
    max_tokens: int | None = None,
) -> TeacherReport:
    """Sample a right trace of each problem from every teacher, train a student on each, and rank by gain.

    student: a checkpoint folder. heldout: problems that are not among `problems`. elsewhere: problems of
    another kind, which training should not cost. Everything is kept in out: called again after an
    interruption it goes on. The specification's size is 200 problems (inferred).
    """
    out, how = Path(out), smoke or Smoke()
    asked = tuple(as_engine(t, max_tokens=max_tokens) for t in teachers)
    scorer = engine(f"hf:{student}", dtype="float32")
    source = as_source(problems)
    run = Pipeline(source, _steps(source, asked, attempts, scorer)).run(out / "traces")
    live = run.traces.collect()
    if live.is_empty():
        raise UserError(_nothing_left(run, len(asked)))
    tests = {n: as_source(s)
             for n, s in {"eval": heldout, "elsewhere": elsewhere}.items() if s is not None}  # fmt: skip
    before = _measured(Path(student), tests, out / "before", how)
    probes, lines = live.sort("trace_id").head(PROBES), []
    for teacher in map(model_name, asked):
        mine = live.filter(pl.col("model") == teacher)
        places = [out / "students" / teacher / f"seed-{seed}" for seed in range(how.seeds)]
        after = _students(mine, Path(student), tests, places, how)
        gains = {n: [a[n].accuracy - before[n].accuracy for a in after] for n in tests}
        score: dict[str, float | None] = {
            "before": before["eval"].accuracy,
            "after": mean([a["eval"].accuracy for a in after]),
        }
        other = mean(gains["elsewhere"]) if "elsewhere" in gains else None
        moved = [hidden_shift(student, m, probes)["shift"].to_list() for m in places]
        score |= {"gain": mean(gains["eval"]), "elsewhere": other, "shift": mean([*chain(*moved)])}
        lines.append({**_corpus(run, mine, teacher), **score, "seeds": gains["eval"]})
    table = pl.DataFrame(lines, schema_overrides={"elsewhere": pl.Float64}).select(COLUMNS.split())
    return TeacherReport(table.sort("gain", "teacher", descending=[True, False]), before["eval"], run)


def _steps(source: Source, teachers: tuple[Engine, ...], attempts: int, scorer: Engine) -> list[Any]:
    """Right traces, measured; a problem of which the student cannot score a trace goes for all teachers."""
    sampled = parallel_teachers(source, teachers, attempts=attempts, intersection=False).steps
    measured = [TokenLogprobs(scorer, of="student", entropy=True), Length(), Perplexity("student")]
    same = [AnsweredByAll(tuple(map(model_name, teachers)))] if len(teachers) > 1 else []
    return [*sampled, *measured, Entropy("student"), *same]


def _nothing_left(run: Run, teachers: int) -> str:
    """Why no problem has a trace of every teacher, as a sentence."""
    failed = run.dropped.filter(pl.col("dropped_by") == "token_logprobs").select("model", "why").collect()
    if failed.is_empty():
        return f"no problem was solved by all of {teachers} teachers; give more problems or attempts"
    model, why = failed.sort("model", "why").row(0)
    return (
        f"no problem has traces of all of {teachers} teachers that the student can score: {len(failed)} were "
        f"set aside in {run.folder}, one of {model!r} because {why.rstrip('.')}; give more problems, a lower "
        "max_tokens or another student"
    )


def _corpus(run: Run, mine: pl.DataFrame, teacher: str) -> dict[str, Any]:
    """What is known of a teacher's traces, the ones that were set aside included."""
    went = run.dropped.filter((pl.col("model") == teacher) & pl.col("trace_id").is_not_null())
    rows = pl.concat([mine.lazy(), went], how="diagonal_relaxed")
    passed = pl.col("math_equal").struct.field("passed").fill_null(False)
    tries = rows.select("sample", passed=passed & (pl.col("finish") == "stop")).collect()
    return {
        "teacher": teacher,
        "rows": len(mine),
        "verified_rate": tries["passed"].mean(),
        "own_accuracy": tries.filter(pl.col("sample") == 0)["passed"].mean(),
        "tokens": mine["student_token_count"].mean(),
        "perplexity": mine["student_perplexity"].mean(),
        "entropy": mine["student_entropy"].mean(),
    }


def _students(
    rows: pl.DataFrame, student: Path, tests: dict[str, Source], places: list[Path], how: Smoke
) -> list[dict[str, Evaluation]]:
    """A student for each seed, trained on these rows and measured."""
    data = places[0].parent / "data"
    publish(rows.lazy(), data)
    found = []
    for seed, place in enumerate(places):
        train(
            data,
            model=student,
            output_dir=place,
            max_steps=how.steps,
            learning_rate=how.learning_rate,
            batch_size=how.batch_size,
            max_length=how.max_length,
            optimizer=how.optimizer,
            seed=seed,
        )
        found.append(_measured(place, tests, place.with_name(f"{place.name}-eval"), how))
    return found


def _measured(model: Path, tests: dict[str, Source], out: Path, how: Smoke) -> dict[str, Evaluation]:
    """The model on each set of problems."""
    asked = engine(f"hf:{model}", dtype="float32", temperature=1.0)
    asked = dataclasses.replace(asked, max_tokens=how.max_tokens)  # type: ignore[type-var]
    return {name: evaluate(asked, test, out=out / name, k=how.k) for name, test in tests.items()}
