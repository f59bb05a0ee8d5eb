"""The traces of one problem are counted by the answer they give; equal answers, however written, are one."""

from __future__ import annotations

import re

import polars as pl

from curate.answers import final_value, last_words, plain
from curate.maths import canonical
from curate.maths.answer import read
from curate.maths.canon import canon
from curate.maths.numerals import rational, squeezed
from curate.maths.quantity import measured
from curate.maths.settle import settle
from curate.maths.tree import Node

PIECE = 60  # characters of an answer that a reason quotes


def ballots(frame: pl.LazyFrame, verdict: str | None) -> pl.DataFrame:
    """What every trace of a table votes for: `row`, `problem`, `said`, `key`, `passed` and `no_vote`.

    verdict: the column whose `extracted` is the vote; None takes the final answer of the response. said: the
    answer as written; null where there is none, and `no_vote` says why. key: equal for equal answers. passed:
    of the verdict; null without one. Of each trace these few values are held, never its text. Rows that are
    no trace (problems that nobody has answered yet) are left out.
    """
    traces = frame.filter(pl.col("trace_id").is_not_null())
    problem = pl.col("problem_id").hash()
    if verdict is None:
        said = pl.col("response").map_batches(_read, return_dtype=_READ, is_elementwise=True)
        rows = traces.select("row", problem=problem, said=said).unnest("said")  # once: it is Python
    else:
        rows = traces.select("row", problem=problem, **_of_verdicts(verdict))
    found = rows.collect(engine="streaming")
    texts = found["said"].drop_nulls().unique()
    table = pl.DataFrame(
        [keys(text) for text in texts], schema={"key": pl.String, "bare": pl.String}, orient="row"
    )
    table = table.select(said=texts, key=pl.col("key").hash(), bare=pl.col("bare").hash())
    votes = found.join(table, on="said", how="left")
    # 3 says the same as 3 km where nobody says 3 miles.
    units = pl.col("key").filter(pl.col("key") != pl.col("bare"))
    only = pl.when(units.n_unique() == 1).then(units.first()).over("problem", "bare")
    return votes.with_columns(key=pl.coalesce(only, "key")).drop("bare")


def tally(votes: pl.DataFrame) -> pl.DataFrame:
    """The ballots with what their problem's count came to; neither order nor ties are left to chance.

    votes: for this row's answer, null without a vote. cast: on the problem. top: for the most frequent
    answer; winners: how many answers have as many; majority: the shortest of its spellings, of equal ones the
    first in alphabetical order; null where there is none.
    """
    by_length = pl.col("said").sort_by(pl.col("said").str.len_chars(), "said", nulls_last=True).first()
    classes = votes.filter(pl.col("key").is_not_null()).group_by("problem", "key")
    counted = classes.agg(votes=pl.len(), text=by_length)
    first = pl.col("text").sort_by("votes", "text", descending=[True, False], nulls_last=True).first()
    best = pl.col("votes").max()
    problems = counted.group_by("problem").agg(
        cast=pl.col("votes").sum(), top=best, winners=(pl.col("votes") == best).sum(), majority=first
    )
    counts = votes.join(counted.drop("text"), on=["problem", "key"], how="left")
    return counts.join(problems, on="problem", how="left").with_columns(pl.col("cast", "top").fill_null(0))


def piece(text: pl.Expr) -> pl.Expr:
    """As much of an answer as a reason can quote."""
    whole = text.str.len_chars() <= PIECE
    return pl.when(whole).then(text).otherwise(text.str.slice(0, PIECE) + pl.lit("…"))


def first_of(*cases: tuple[pl.Expr, pl.Expr], otherwise: pl.Expr) -> pl.Expr:
    """The value of the first case whose condition holds."""
    for condition, value in reversed(cases):
        otherwise = pl.when(condition).then(value).otherwise(otherwise)
    return otherwise


def _of_verdicts(name: str) -> dict[str, pl.Expr]:
    verdict = pl.col(name).struct
    extracted, passed, why = (verdict.field(f) for f in ("extracted", "passed", "why"))
    silent = extracted.is_null() | (extracted.str.strip_chars() == "")
    none = silent | why.str.starts_with("several_answers").fill_null(False)
    reason = pl.when(none & (passed == False)).then(why.fill_null("no_answer"))  # noqa: E712 - a column
    abstains = pl.format("unsupported: {} found no answer ({})", pl.lit(name), why.fill_null("not asked"))
    return {
        "said": pl.when(~none).then(extracted),
        "passed": passed,
        "no_vote": reason.when(none).then(abstains),
    }


_READ = pl.Struct({"said": pl.String, "passed": pl.Boolean, "no_vote": pl.String})


def _read(responses: pl.Series) -> pl.Series:
    rows = [_answer(text or "") for text in responses]
    return pl.DataFrame(rows, schema=_READ.to_schema(), orient="row").to_struct(responses.name)


def _answer(response: str) -> tuple[str | None, None, str | None]:
    found = final_value(response) or last_words(response)
    if found is None or not found.text.strip():
        return None, None, "no_answer"
    if found.several:
        return None, None, "several_answers"
    return found.text, None, None


_WORDS = re.compile(r"[^\W\d_]{2,}(?:[ '’-]{1,3}[^\W\d_]+)*")


def keys(text: str) -> tuple[str, str]:
    """Two keys of an answer: equal for equal answers, and equal for answers that are so without their units.

    A counting noun is no unit: 28 birds is 28. Words are words: as mathematics "tea" is the product of "eat".
    """
    short = " ".join(plain(text).split())
    if _WORDS.fullmatch(short):
        return short.casefold(), short.casefold()
    try:
        return _as_mathematics(text)
    except (ValueError, ZeroDivisionError, RecursionError, OverflowError):  # unreadable, or far too large
        return squeezed(text).casefold(), squeezed(text).casefold()


def _as_mathematics(text: str) -> tuple[str, str]:
    number = rational(text)
    if number is not None:
        return str(number), str(number)
    whole, node = canonical(text), settle(read(text))
    value = node.args[1] if node.head == "def" else node  # x = 5 is 5
    said = measured(value)
    bare = _plain_key(value if said.kind == "percent" else said.value)
    if said.kind in ("none", "noun", "percent"):
        return bare, bare
    if said.kind == "degree" or said.value.head != "num":
        return whole, bare
    return f"{said.value.args[0] * said.factor + said.offset} {said.kind}", bare


def _plain_key(node: Node) -> str:
    simple = canon(node)
    return str(simple.args[0]) if simple.head == "num" else repr(simple)
