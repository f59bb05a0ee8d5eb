"""Arithmetic word problems and the way a hesitant solver thinks about them: seeded, pure Python.

A problem is a start and two to five operations; its answer follows from them. A trace is a list of thoughts,
one paragraph each. Some hesitations repair a real mistake, some are idle, some switch to another way of
computing the same quantity: a switch may come too early (the first way was one line from its end), too late
(the first way had already given the value) or in time (the first way was wrong). Once the answer stands, many
traces go on: checks that find nothing, and doubts that deny a right answer and have to find their way back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

NAMES = ("Ann", "Ben", "Cleo", "Dee", "Eli", "Fay", "Gus", "Hana", "Ivo", "Jun", "Kim", "Leo", "Mia", "Noa")
THINGS = ("apples", "books", "coins", "eggs", "nuts", "pens", "shells", "stamps")
VERBS = {"+": ("finds", "buys"), "-": ("loses", "sells")}
TIMES = {2: "doubles them", 3: "triples them"}
LEVELS = (2, 3, 4, 5)

SPLITS = ("models", "sample", "heldout")
"""What a skeleton (start and operations, without the words) may be used for: 80, 10 and 10 % of all."""

HABITS = {  # what a solver does with one step; the rest is a plain line
    "slip": 0.07,  # a mistake, repaired in the next thought
    "idle": 0.08,  # a check that finds nothing
    "early": 0.06,  # a switch away from a way that was one line from its end
    "late": 0.05,  # a switch after the value was already there
    "rescue": 0.04,  # a switch away from a way that had gone wrong
}
CARRIED = 0.06  # a mistake stands until the answer is stated, and the check of the whole finds it
ROUNDS = (0.25, 0.35, 0.25, 0.15)  # how many times a trace goes on once the answer stands
ROUND_KINDS = {"doubt": 0.45, "all": 0.10, "one": 0.15, "other way": 0.10, "reread": 0.20}


@dataclass(frozen=True)
class Problem:
    """A start and operations, told as a story. `wide` problems have operands up to 15, the others up to 9."""

    name: str
    thing: str
    start: int
    ops: tuple[tuple[str, int], ...]
    verbs: tuple[int, ...]
    wide: bool

    @property
    def totals(self) -> tuple[int, ...]:
        """The start, and the running total after each operation."""
        out = [self.start]
        for sign, k in self.ops:
            out.append(apply(out[-1], sign, k))
        return tuple(out)

    @property
    def answer(self) -> int:
        return self.totals[-1]

    @property
    def domain(self) -> str:
        return f"steps-{len(self.ops)}"

    @property
    def question(self) -> str:
        told = [
            TIMES[k] if sign == "*" else f"{VERBS[sign][verb]} {k}"
            for (sign, k), verb in zip(self.ops, self.verbs, strict=True)
        ]
        head = f"{self.name} has {self.start} {self.thing}"
        *most, last = told
        return f"{', '.join([head, *most])}, then {last}. How many {self.thing} now?"

    @property
    def split(self) -> str:
        """The one use this problem has. It depends on the numbers alone, so no wording carries one across."""
        digest = hashlib.blake2b(repr((self.start, self.ops)).encode(), digest_size=4).digest()
        point = int.from_bytes(digest, "big") % 100
        return SPLITS[0] if point < 80 else SPLITS[1] if point < 90 else SPLITS[2]


def apply(a: int, sign: str, k: int) -> int:
    """One operation on a running total."""
    return a + k if sign == "+" else a - k if sign == "-" else a * k


def problems(seed: int, split: str, levels: tuple[int, ...] = LEVELS) -> Iterator[Problem]:
    """Distinct problems of one split, without end; the levels take turns."""
    rng = Random(f"problems {seed} {split}")
    seen: set[str] = set()
    while True:
        for steps in levels:
            while True:
                p = _draw(rng, steps)
                if p is not None and p.split == split and p.question not in seen:
                    break
            seen.add(p.question)
            yield p


def _draw(rng: Random, steps: int) -> Problem | None:
    """A problem whose answer first appears as its last total, or None where the dice gave another."""
    wide = rng.random() < 0.25
    start = total = rng.randint(3, 40)
    ops = []
    for _ in range(steps):
        operands = range(2, 16 if wide else 10)
        choices = [(s, k) for s in "+-" for k in operands if 3 <= apply(total, s, k) <= 99]
        times = [("*", k) for k in (2, 3) if total * k <= 99]
        op = rng.choice(times if times and rng.random() < 0.25 else choices)
        ops.append(op)
        total = apply(total, *op)
    if total in {start} | {k for _, k in ops}:
        return None
    verbs = tuple(rng.randrange(2) for _ in ops)
    p = Problem(rng.choice(NAMES), rng.choice(THINGS), start, tuple(ops), verbs, wide)
    return p if p.totals.count(total) == 1 else None


def solve(p: Problem, rng: Random) -> tuple[str, str]:
    """Thinking and response of one hesitant, in the end correct solution.

    Before the thought that first states the answer, no thought contains its number by accident.
    """
    while True:
        thoughts, ready = _think(p, rng)
        if ready is not None and p.answer not in numbers(" ".join(thoughts[:ready])):
            return "\n\n".join(thoughts), f"The answer is \\boxed{{{p.answer}}}"


def numbers(text: str) -> list[int]:
    """The numbers that stand in a text, in order."""
    return [int(n) for n in re.findall(r"\d+", text)]


def _think(p: Problem, rng: Random) -> tuple[list[str], int | None]:
    """All thoughts, and the index of the first that states the answer; None: a carried mistake led astray."""
    carried = rng.randrange(len(p.ops)) if len(p.ops) > 1 and rng.random() < CARRIED else None
    thoughts: list[str] = []
    total = p.start
    for i, (sign, k) in enumerate(p.ops):
        lead = "Then" if i else "First"
        right = apply(total, sign, k)
        if not 1 <= right <= 99:
            return thoughts, None
        if i == carried:
            wrong = _near(right, rng)
            thoughts.append(f"{lead} {_says(total, sign, k, wrong)}.")
            total = wrong
        else:
            step = _step(lead, total, sign, k, rng)
            last = i == len(p.ops) - 1 and carried is None
            ready = len(thoughts) + next(j for j, t in enumerate(step) if f"= {right}." in t) if last else 0
            thoughts += step
            total = right
    thoughts.append(f"So {p.name} has {total} {p.thing}.")
    if total != p.answer:
        ready = len(thoughts)
        thoughts.append(f"{_recheck(p)} So it is {p.answer}, not {total}.")
    elif carried is not None:  # a later step undid the mistake by luck
        return thoughts, None
    for _ in range(rng.choices(range(len(ROUNDS)), ROUNDS)[0]):
        thoughts += _idle_round(p, rng)
    return thoughts, ready


def _step(lead: str, a: int, sign: str, k: int, rng: Random) -> list[str]:
    """The thoughts of one step, ending with its right total."""
    habit = rng.choices([*HABITS, "plain"], [*HABITS.values(), 1 - sum(HABITS.values())])[0]
    right = apply(a, sign, k)
    plain = _says(a, sign, k, right)
    one, two = _other_way(a, sign, k)
    if habit == "slip":
        wrong = _says(a, sign, k, _near(right, rng))
        return [f"{lead} {wrong}.", f"Wait, no: {plain}."]
    if habit == "idle":
        return [f"{lead} {plain}.", f"Wait, check: {plain}."]
    if habit == "early" and two:
        return [f"{lead} {_says(*one)}.", f"Alternatively, {plain}."]
    if habit == "late":
        way = ", ".join(_says(*piece) for piece in (one, two) if piece)
        return [f"{lead} {plain}.", f"Alternatively, {way}."]
    if habit == "rescue" and two:
        off = _near(one[3], rng)
        carried = _says(off, two[1], two[2], apply(off, two[1], two[2]))
        return [f"{lead} {_says(*one[:3], off)}, {carried}.", f"Alternatively, {plain}."]
    return [f"{lead} {plain}."]


Piece = tuple[int, str, int, int]


def _other_way(a: int, sign: str, k: int) -> tuple[Piece, Piece | None]:
    """Another way to the same value: repeated addition, or two parts that meet at a full ten."""
    if sign == "*":
        first = (a, "+", a, 2 * a)
        return first, (2 * a, "+", a, 3 * a) if k == 3 else None
    to_ten = -a % 10 if sign == "+" else a % 10
    part = to_ten if 0 < to_ten < k else k // 2
    middle = apply(a, sign, part)
    return (a, sign, part, middle), (middle, sign, k - part, apply(a, sign, k))


def _idle_round(p: Problem, rng: Random) -> list[str]:
    """One more look at an answer that was right: a doubt to be undone, or a check that finds nothing."""
    kind = rng.choices([*ROUND_KINDS], [*ROUND_KINDS.values()])[0]
    i = rng.randrange(len(p.ops))
    right = _says(p.totals[i], *p.ops[i], p.totals[i + 1])
    if kind == "doubt":
        return _doubt(p, i, rng)
    if kind == "all":
        return [f"{_recheck(p)} So {p.answer} again."]
    if kind == "reread":
        return [f"Wait, did {p.name} start with {p.start}? Yes. So {p.answer}."]
    if kind == "other way":
        right = ", ".join(_says(*piece) for piece in _other_way(p.totals[i], *p.ops[i]) if piece)
        return [f"Alternatively, {right}. So {p.answer}."]
    return [f"Wait, check: {right}. So {p.answer}."]


def _doubt(p: Problem, i: int, rng: Random) -> list[str]:
    """A check from step `i` on that goes wrong, denies the answer, and then finds its own mistake."""
    total = _near(p.totals[i + 1], rng)
    lines = [_says(p.totals[i], *p.ops[i], total)]
    for op in p.ops[i + 1 :]:
        lines.append(_says(total, *op, apply(total, *op)))
        total = apply(total, *op)
        if not 1 <= total <= 99:
            return _doubt(p, len(p.ops) - 1, rng)
    right = _says(p.totals[i], *p.ops[i], p.totals[i + 1])
    return [
        f"Wait, check: {', '.join(lines)}. So it is {total}, not {p.answer}.",
        f"Wait, no: {right}. So {p.answer}.",
    ]


def _recheck(p: Problem) -> str:
    lines = [_says(a, *op, b) for a, op, b in zip(p.totals, p.ops, p.totals[1:], strict=False)]
    return f"Wait, check it all: {', '.join(lines)}."


def _says(a: int, sign: str, k: int, b: int) -> str:
    return f"{a} {sign} {k} = {b}"


def _near(right: int, rng: Random) -> int:
    """A believable mistake: off by one, two or ten."""
    return rng.choice([n for d in (1, 2, 10) for n in (right - d, right + d) if 1 <= n <= 99])
