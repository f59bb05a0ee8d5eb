"""Two versions of a text are stretches that both have, that were cut, or that are new; nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any, Literal, NamedTuple

from curate.pieces import sentences, steps


class Stretch(NamedTuple):
    """A stretch of the parent's text and of the child's, "" where one of them does not have it.

    In a stretch that both have they are equal, up to white space behind sentences. by: who wrote the child's
    side, but for white space at its end; None where nothing says so, and where it was cut.
    """

    parent: str
    child: str
    by: str | None = None

    @property
    def kind(self) -> Literal["same", "cut", "new"]:
        return "new" if not self.parent else "same" if self.child else "cut"


def difference(parent: str, child: str, spans: Sequence[Mapping[str, Any]] = ()) -> list[tuple[Stretch, ...]]:
    """The stretches in order, in groups: what is the same, and what was cut with what stands there now.

    Sentences, and lines, are compared whole (a longest common subsequence); of one that the child breaks off
    the beginning is the same. The parent's sides of all stretches join to the parent byte for byte, the
    child's to the child. spans: who wrote which characters of the child, as in the column `spans`.
    """
    from rapidfuzz.distance import LCSseq

    old, new = _pieces(parent), _pieces(child)
    numbers: dict[str, int] = {}
    known = [[numbers.setdefault(piece.rstrip(), len(numbers)) for piece in side] for side in (old, new)]
    found: list[Stretch] = []
    for op in LCSseq.opcodes(*known):
        was, now = old[op.src_start : op.src_end], new[op.dest_start : op.dest_end]
        if op.tag == "equal":
            found += map(Stretch, was, now)
        else:
            found += [*(Stretch(piece, "") for piece in was), *(Stretch("", piece) for piece in now)]
    return list(_grouped(_owned(_cut_first(found), spans)))


def _pieces(text: str) -> list[str]:
    """Sentences and lines, with the white space behind them."""
    ends = {piece.end for piece in (*sentences(text), *steps(text, "line"))}
    return [text[start:end] for start, end in pairwise(sorted({0, *ends}))]


def _cut_first(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """What was cut comes before what is new in its place, but for what both of them begin with."""
    for same, some in groupby(stretches, key=lambda s: s.kind == "same"):
        if same:
            yield from some
            continue
        run = list(some)
        gone, new = "".join(s.parent for s in run), [s.child for s in run if s.kind == "new"]
        while new and (begins := new[0].rstrip()) and gone.startswith(begins):
            at = len(gone) - len(gone[len(begins) :].lstrip())
            yield Stretch(gone[:at], new.pop(0))
            gone = gone[at:]
        if gone:
            yield Stretch(gone, "")
        yield from (Stretch("", child) for child in new)


def _owned(stretches: Iterable[Stretch], spans: Sequence[Mapping[str, Any]]) -> Iterator[Stretch]:
    """Each with its owner, and cut where that changes."""
    edges = sorted({span[edge] for span in spans for edge in ("start", "end")})
    at = 0
    for stretch in stretches:
        end = at + len(stretch.child.rstrip())
        for start, stop in pairwise([0, *(edge - at for edge in edges if at < edge < end), None]):
            here = at + (start or 0)
            by = next((s["label"] for s in spans if s["start"] <= here < s["end"]), None)
            yield Stretch(
                stretch.parent[start:stop], stretch.child[start:stop], by if stretch.child else None
            )
        at += len(stretch.child)


def _grouped(stretches: Iterable[Stretch]) -> Iterator[tuple[Stretch, ...]]:
    """Neighbours of one kind and owner, joined."""
    for _, run in groupby(stretches, key=lambda s: s.kind == "same"):
        yield tuple(_joined(list(one)) for _, one in groupby(run, key=lambda s: (s.kind, s.by)))


def _joined(stretches: Sequence[Stretch]) -> Stretch:
    return Stretch("".join(s.parent for s in stretches), "".join(s.child for s in stretches), stretches[0].by)
