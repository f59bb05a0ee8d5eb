"""Every gold answer is judged against itself: one that fails there can pass no trace.

A verifier says with `reflexive` how a gold is written as a response. A gold is in order when one verifier of
the pipeline passes it; the others may say that it is not for them.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from curate.cluster import Cluster
from curate.errors import UserError
from curate.parts import count, iter_rows, sink, whole
from curate.pool import Pool, settled
from curate.schema import content_hash
from curate.step import Verifier

REPORT: dict[str, Any] = {"answer": pl.String, "question": pl.String, "rows": pl.Int64, "why": pl.String}
logger = logging.getLogger(__name__)


def unreadable_golds(
    verifiers: Sequence[Verifier], rows: pl.LazyFrame, scratch: Path, pool: Pool | Cluster
) -> tuple[pl.DataFrame, int]:
    """The distinct golds that no verifier passes against themselves, and how many golds there are in all.

    rows: a table with `question` and `answer`. Of the table: `rows` is how many rows have this gold (and this
    question, where a verifier reads it; else `question` is the first of them), `why` what each verifier said.
    Raises UserError for a verifier without `reflexive`: its golds are no answers (tests of a program), or
    nobody has set it.
    """
    if unlike := next((v for v in verifiers if v.reflexive is None), None):
        raise UserError(
            f"{unlike.name} does not say how a gold is written as a response that it must pass, so no gold "
            "can be judged against itself; where a gold is an answer, set it in the class "
            f"{type(unlike).__name__}, such as reflexive = r'\\boxed{{%s}}'"
        )
    asked = any("question" in v.columns for v in verifiers)
    key, more = (["answer", "question"], []) if asked else (["answer"], [pl.col("question").first()])
    path = scratch / "golds.parquet"
    counted = rows.group_by(key, maintain_order=True).agg(*more, rows=pl.len().cast(pl.Int64)).sort(key)
    sink(counted, path).collect()
    left: list[dict[str, Any]] = []
    for number, verifier in enumerate(verifiers):
        todo = left if number else iter_rows(path)
        failed = []
        waiting: dict[int, dict[str, Any]] = {}
        for i, value in pool.map(verifier, _given(verifier, todo, waiting)):
            row = waiting.pop(i)
            verdict = settled(verifier, value)
            verifier.pack(verdict)  # what is no verdict stops the run here, in the sentence that rows get
            if verdict.passed is not True:
                said = f"{verifier.name}: {verdict.why}"
                failed.append({**row, "why": f"{row['why']}; {said}" if number else said})
        left = sorted(failed, key=lambda row: (row["answer"] or "", row["question"] or ""))
    return pl.DataFrame(left, schema=REPORT), count(path)


def _given(verifier: Verifier, rows: Any, waiting: dict[int, dict[str, Any]]) -> Any:
    """Each gold as the response to itself; what is in flight is kept in `waiting`."""
    assert verifier.reflexive is not None  # unreadable_golds has looked
    for i, row in enumerate(rows):
        waiting[i] = row
        said = None if row["answer"] is None else verifier.reflexive.replace("%s", row["answer"])
        given = {"question": row["question"], "answer": row["answer"], "response": said}
        yield {column: given.get(column) for column in verifier.columns}


def report(
    rows: Path, revision: str, verifiers: Sequence[Verifier], kept: Path, pool: Callable[[], Pool | Cluster]
) -> None:
    """Warn of the golds that no verifier reads, in one sentence, and keep the list of them in `kept`. Rows
    without an answer are not among those that are counted.

    The same golds under the same verifiers are not judged twice. pool: started where there is work.
    """
    if not verifiers:
        return
    asked = content_hash(revision, *(v.fingerprint for v in verifiers))
    if not kept.exists() or pl.read_parquet_metadata(kept).get("asked") != asked:
        found, golds = unreadable_golds(verifiers, pl.scan_parquet(rows), rows.parent, pool())
        with whole(kept) as path:
            found.write_parquet(path, metadata={"asked": asked, "golds": str(golds)})
    found, golds = pl.read_parquet(kept), int(pl.read_parquet_metadata(kept)["golds"])
    said = found.filter(answered())
    if len(said):
        words = Counter(why.split("; ")[0].split(": ")[1] for why in said["why"])
        kinds = ", ".join(f"{n:,} {word}" for word, n in words.most_common())
        logger.warning(
            f"{len(said):,} of {golds - len(found) + len(said):,} gold answers do not pass against "
            f"themselves ({kinds}), such as {said['answer'][0][:60]!r}: no trace can pass with them; they "
            f"are listed in {kept}"
        )


def answered() -> pl.Expr:
    """Whether there is an answer, and not an empty one."""
    return pl.col("answer").str.strip_chars().fill_null("") != ""
