"""Chunks of a rationale: runs of its steps, equally many in each, or bounded where the loss changes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple


class Move(NamedTuple):
    """One accepted move of a search: boundary number `boundary` now stands before step `to`."""

    boundary: int
    to: int
    objective: float


def even(n_steps: int, n_chunks: int) -> list[int]:
    """The first step of every chunk but the first; no chunk has more than one step more than another.

    >>> even(7, 3)
    [3, 5]
    """
    sizes = [n_steps // n_chunks + (i < n_steps % n_chunks) for i in range(n_chunks)]
    return list(accumulate(sizes))[:-1]


def dispersion(losses: Sequence[float], boundaries: Sequence[int]) -> float:
    """The squared distances of the steps' losses from the mean of their chunk, summed.

    The sum of the losses themselves does not depend on where boundaries lie, so it could not drive a search.
    """
    total = 0.0
    for start, end in pairwise([0, *boundaries, len(losses)]):
        mean = sum(losses[start:end]) / (end - start)
        total += sum((loss - mean) ** 2 for loss in losses[start:end])
    return total


def search(losses: Sequence[float], boundaries: Sequence[int]) -> tuple[list[int], list[Move]]:
    """Moves a boundary by one step, the one that lowers the dispersion most, until no move does.

    No chunk is ever empty. It may end in a local optimum.
    """
    now, moves = list(boundaries), list[Move]()
    best = dispersion(losses, now)
    while True:
        tried = []
        for i, at in enumerate(now):
            low, high = ([0, *now, len(losses)][j] for j in (i, i + 2))
            for to in (at - 1, at + 1):
                if low < to < high:
                    tried.append(Move(i, to, dispersion(losses, [*now[:i], to, *now[i + 1 :]])))
        move = min(tried, key=lambda m: m.objective, default=None)
        if move is None or move.objective >= best - 1e-12:
            return now, moves
        now[move.boundary], best = move.to, move.objective
        moves.append(move)
