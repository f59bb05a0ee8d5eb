"""Two versions of a text are stretches that both have, that were cut, or that are new; nothing is lost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate, groupby, pairwise
from os.path import commonprefix
from typing import Any, Literal, NamedTuple

from curate.pieces import sentences


class Stretch(NamedTuple):
    """A stretch of the parent's text and of the child's, "" where one of them does not have it.

    In a stretch that both have they are equal, but for white space around sentences. by: who wrote the
    child's side; None where nothing says so, and where it was cut.
    """

    parent: str
    child: str
    by: str | None = None

    @property
    def kind(self) -> Literal["same", "cut", "new"]:
        return "new" if not self.parent else "same" if self.child else "cut"


def difference(parent: str, child: str, spans: Sequence[Mapping[str, Any]] = ()) -> list[tuple[Stretch, ...]]:
    """The stretches in order, in groups: what is the same, and what was cut with what stands there now.

    What both begin with, in whole words, is the same; behind it they are compared sentence by sentence (a
    longest common subsequence). The parent's sides of all stretches join to the parent byte for byte, the
    child's to the child. spans: who wrote which characters of the child, as in the column `spans`.
    """
    from rapidfuzz.distance import LCSseq

    begin = _begin(parent, child)
    edges = {min(max(span[edge], 0), len(child)) for span in spans for edge in ("start", "end")}
    old = _pieces(parent, begin, {edge for edge in edges if edge <= begin})
    new = _pieces(child, begin, edges)
    by = [_owner(spans, at) for at in accumulate(map(len, new[:-1]), initial=0)][: len(new)]
    numbers: dict[str, int] = {}
    known = [[numbers.setdefault(piece.strip(), len(numbers)) for piece in side] for side in (old, new)]
    found: list[Stretch] = []
    for op in LCSseq.opcodes(*known):
        was, now = slice(op.src_start, op.src_end), slice(op.dest_start, op.dest_end)
        if op.tag == "equal":
            found += map(Stretch, old[was], new[now], by[now])
        else:
            found += [Stretch(piece, "") for piece in old[was]]
            found += [Stretch("", piece, owner) for piece, owner in zip(new[now], by[now], strict=True)]
    return list(_grouped(found))


def _begin(parent: str, child: str) -> int:
    """How many characters both begin with, without half a word at the end."""
    at = len(commonprefix([parent, child]))
    while at and not parent[at - 1].isspace():
        if all(at == len(text) or text[at].isspace() for text in (parent, child)):
            break
        at -= 1
    return at


def _pieces(text: str, begin: int, edges: Iterable[int]) -> list[str]:
    """The text in pieces: as it begins, then sentence by sentence; and cut wherever there is an edge."""
    cuts = {0, begin, len(text), *edges, *(begin + piece.end for piece in sentences(text[begin:]))}
    return [text[start:end] for start, end in pairwise(sorted(cuts))]


def _owner(spans: Sequence[Mapping[str, Any]], at: int) -> str | None:
    return next((span["label"] for span in spans if span["start"] <= at < span["end"]), None)


def _grouped(stretches: Iterable[Stretch]) -> Iterator[tuple[Stretch, ...]]:
    """Neighbours of one kind and owner joined; between two that are the same, what was cut comes first."""
    for _, run in groupby(stretches, key=lambda s: s.kind == "same"):
        cut_first = sorted(run, key=lambda s: s.kind != "cut")  # and else the order stays
        yield tuple(_joined(list(one)) for _, one in groupby(cut_first, key=lambda s: (s.kind, s.by)))


def _joined(stretches: Sequence[Stretch]) -> Stretch:
    return Stretch("".join(s.parent for s in stretches), "".join(s.child for s in stretches), stretches[0].by)
