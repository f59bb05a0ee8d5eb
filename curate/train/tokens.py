"""Every row stands as tokens in two flat files, mapped into memory; every token that is left out is counted.

Rows longer than `max_length` follow `on_overflow`. The pieces of a split row overlap by one token, from which
the first new one is predicted: no learnt token is lost at a cut, and none is learnt twice.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from curate.errors import InputError
from curate.train.render import Conversation, Encoded, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Overflow = Literal["error", "drop", "split"]


@dataclass
class Tokens:
    """What became of the rows, and of their tokens: each is learnt, masked or dropped."""

    rows: int = 0
    rows_dropped: int = 0  # too long, or nothing in it to learn
    rows_split: int = 0
    documents: int = 0  # what training sees: rows, and the pieces of split rows
    learnt: int = 0
    masked: int = 0  # seen as context
    dropped: int = 0

    def table(self) -> str:
        """Three lines of tokens and one of rows."""
        total = max(1, self.learnt + self.masked + self.dropped)
        lines = [
            f"{name:<14}{count:>14,}{count / total:>8.1%}"
            for name, count in (("learnt", self.learnt), ("masked", self.masked), ("dropped", self.dropped))
        ]
        rows = f"{self.rows:,} rows: {self.rows_dropped:,} dropped, {self.rows_split:,} split"
        return "\n".join(
            [f"{'tokens':<14}{'count':>14}{'share':>8}", *lines, f"{rows}; {self.documents:,} documents"]
        )


@dataclass(frozen=True)
class Documents:
    """All documents one after the other; document i is [bounds[i], bounds[i + 1]).

    ids: int32; learn: bool; bounds: int64; ends: the tokens that end a learnt turn.
    """

    ids: np.ndarray
    learn: np.ndarray
    bounds: np.ndarray
    ends: frozenset[int]

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.bounds)


def tokenize(
    rows: Iterable[Conversation],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    max_length: int,
    on_overflow: Overflow,
) -> tuple[Documents, Tokens]:
    """Write ids.bin and learn.bin into `folder`; answer them as arrays, with what became of every token."""
    count, bounds, ends = Tokens(), array("q", [0]), set[int]()
    too_long: list[tuple[str, int]] = []
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ids.bin").open("wb") as ids, (folder / "learn.bin").open("wb") as learn:
        for row in _encoded(tokenizer, rows):
            count.rows += 1
            ends |= row.ends
            if len(row.ids) > max_length and on_overflow == "error":
                too_long.append((row.where, len(row.ids)))
                continue
            for piece in _keep(row, max_length, on_overflow, count):
                ids.write(piece.ids.tobytes())
                learn.write(piece.learn.tobytes())
                bounds.append(bounds[-1] + len(piece.ids))
    count.documents = len(bounds) - 1
    _check(count, too_long, max_length)
    ids_map = np.memmap(folder / "ids.bin", dtype=np.int32, mode="r")
    learn_map = np.memmap(folder / "learn.bin", dtype=np.bool_, mode="r")
    return Documents(ids_map, learn_map, np.array(bounds, dtype=np.int64), frozenset(ends)), count


def _encoded(tokenizer: PreTrainedTokenizerBase, rows: Iterable[Conversation]) -> Iterator[Encoded]:
    """A few rows at a time: the tokenizer works on several at once, and offsets are large Python lists."""
    rest = iter(rows)
    while batch := list(islice(rest, 32)):
        yield from encode(tokenizer, batch)


def _keep(row: Encoded, max_length: int, on_overflow: Overflow, count: Tokens) -> Iterator[Encoded]:
    """The documents that a row gives, counted; none where nothing of it can be learnt."""
    row.learn[0] = False  # there is nothing it could be predicted from
    length = len(row.ids)
    if not row.learn.any() or (length > max_length and on_overflow == "drop"):
        count.rows_dropped += 1
        count.dropped += length
        return
    count.rows_split += length > max_length
    for start in range(0, max(1, length - 1), max_length - 1):  # one token of overlap
        ids, learn = row.ids[start : start + max_length], row.learn[start : start + max_length].copy()
        learn[0] = False
        new = len(ids) - (start > 0)
        if learn.any():
            count.learnt += int(learn.sum())
            count.masked += new - int(learn.sum())
            yield row._replace(ids=ids, learn=learn)
        else:
            count.dropped += new


def _check(count: Tokens, too_long: list[tuple[str, int]], max_length: int) -> None:
    """Raise where nothing may be trained on, or something would have to be cut."""
    if too_long:
        where, length = too_long[0]
        raise InputError(
            f"{len(too_long):,} of {count.rows:,} rows are longer than max_length={max_length:,} tokens, the "
            f"first is {where} with {length:,}; pass on_overflow='drop' or 'split', or a larger max_length"
        )
    if count.rows == 0:
        raise InputError("the table is empty: there is no row to train on")
    if count.documents == 0:
        raise InputError(
            f"no row is left to train on: all {count.rows:,} are longer than {max_length:,} tokens "
            "or masked from end to end"
        )
