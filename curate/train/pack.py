"""Documents share sequences without seeing each other, and batches follow from seed and step alone.

A pack is one sequence of several documents. Positions start at 0 in every document; from these restarts
transformers makes its attention masks block-diagonal, provided that it is given no mask and no cache
(`masking_utils.find_packed_sequence_indices`). `model.check_packing` proves it for the model at hand.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from curate.train.tokens import Documents

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Packs:
    """Pack i holds the documents `documents[bounds[i]:bounds[i + 1]]`."""

    documents: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds) - 1

    def __getitem__(self, i: int) -> np.ndarray:
        return self.documents[self.bounds[i] : self.bounds[i + 1]]


class Batch(NamedTuple):
    """ids and positions: [B, T] integers; learn: [B, T] booleans. Padding is a document, never learnt."""

    ids: Tensor
    positions: Tensor
    learn: Tensor


def alone(lengths: np.ndarray) -> Packs:
    """Every document a sequence of its own."""
    return Packs(np.arange(len(lengths)), np.arange(len(lengths) + 1))


def pack(lengths: np.ndarray, size: int, seed: int) -> Packs:
    """Documents in seeded order, each into the fullest pack that still has room for it (best fit)."""
    pack_of = np.empty(len(lengths), dtype=np.int64)
    open_packs: dict[int, list[int]] = {}  # by the room that is left
    rooms: list[int] = []  # the keys of open_packs, sorted
    packs = 0
    for document in np.random.default_rng(seed).permutation(len(lengths)):
        length = int(lengths[document])
        at = bisect_left(rooms, length)
        if at == len(rooms):
            room, number, packs = size, packs, packs + 1
        else:
            room = rooms[at]
            number = open_packs[room].pop()
            if not open_packs[room]:
                del open_packs[room], rooms[at]
        pack_of[document] = number
        if left := room - length:
            if left not in open_packs:
                insort(rooms, left)
            open_packs.setdefault(left, []).append(number)
    bounds = np.concatenate([[0], np.bincount(pack_of, minlength=packs).cumsum()])
    return Packs(np.argsort(pack_of, kind="stable"), bounds)


def order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of the packs in an epoch."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def batch(documents: Documents, packs: Packs, numbers: np.ndarray, pad: int) -> Batch:
    """The packs of these numbers as tensors, as wide as the longest of them."""
    import torch

    parts = [packs[int(i)] for i in numbers]
    width = max(int(documents.lengths[p].sum()) for p in parts)
    ids = np.full((len(parts), width), pad, dtype=np.int64)
    positions = np.zeros((len(parts), width), dtype=np.int64)
    learn = np.zeros((len(parts), width), dtype=bool)
    for row, members in enumerate(parts):
        at = 0
        for start, end in ((documents.bounds[d], documents.bounds[d + 1]) for d in members):
            to = at + int(end - start)
            ids[row, at:to] = documents.ids[start:end]
            learn[row, at:to] = documents.learn[start:end]
            positions[row, at:to] = np.arange(to - at)
            at = to
        positions[row, at:] = np.arange(width - at)
    return Batch(*(torch.from_numpy(a) for a in (ids, positions, learn)))


def batches(
    documents: Documents, packs: Packs, start: int, size: int, accumulate: int, seed: int, pad: int
) -> Iterator[list[Batch]]:
    """The micro-batches of step `start` and of all later steps, without end; an epoch's last may be short."""
    per_epoch = steps_per_epoch(packs, size, accumulate)
    for epoch in count(start // per_epoch):
        numbers = order(len(packs), seed, epoch)
        for step in range(start % per_epoch if epoch == start // per_epoch else 0, per_epoch):
            chosen = numbers[step * size * accumulate : (step + 1) * size * accumulate]
            yield [batch(documents, packs, chosen[i : i + size], pad) for i in range(0, len(chosen), size)]


def steps_per_epoch(packs: Packs, size: int, accumulate: int) -> int:
    """Optimizer steps until every pack was seen once."""
    return -(-len(packs) // (size * accumulate))
