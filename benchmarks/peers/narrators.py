"""Teachers with planted differences: each tells the way to the right answer in a manner of its own.

They are scripts, not models, so what differs is known: the wording, the length, and how often an attempt is
right. Where a student of one does better, that is why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from curate.demo_world.world import Problem, apply, solve
from curate.engines.scripted import Scripted
from curate.step import Engine, Message

SIGNS = {"finds": "+", "buys": "+", "loses": "-", "sells": "-"}
TIMES = {"doubles": 2, "triples": 3}
WORDINGS = {
    "+": (
        "adding {k} to {a} gives {b}",
        "{a} plus {k} makes {b}",
        "count on by {k} from {a}, that is {b}",
        "{k} more than {a} are {b}",
        "put {k} beside the {a}: {b}",
        "from {a} up {k}, so {b}",
    ),
    "-": (
        "taking {k} from {a} leaves {b}",
        "{a} minus {k} makes {b}",
        "count back by {k} from {a}, that is {b}",
        "{k} fewer than {a} are {b}",
        "without {k} of the {a}: {b}",
        "from {a} down {k}, so {b}",
    ),
    "*": (
        "{k} times {a} gives {b}",
        "{a} taken {k} times makes {b}",
        "with {k} groups of {a} that is {b}",
        "a {k}-fold {a} comes to {b}",
        "{a} by {k}: {b}",
        "make {a} larger {k} times, so {b}",
    ),
}
LEADS = ("", "Now ", "Next ", "Well, ", "Here ", "I see: ")


def understood(question: str) -> Problem:
    """The problem that a question of the demo world tells."""
    first, *told = question.partition(". How many")[0].split(", ")
    name, _, start, thing = first.split()
    ops = []
    for verb, count in (part.removeprefix("then ").split() for part in told):
        ops.append(("*", TIMES[verb]) if verb in TIMES else (SIGNS[verb], int(count)))
    return Problem(name, thing, int(start), tuple(ops), (), False)


def steady(p: Problem, dice: Random) -> str:
    """One line a step, always in the same words."""
    lines = [f"{a} {sign} {k} = {b}." for a, sign, k, b in steps(p)]
    return "\n\n".join([f"First {lines[0]}", *(f"Then {line}" for line in lines[1:]), so(p)])


def fickle(p: Problem, dice: Random) -> str:
    """One line a step, never twice in the same words."""
    lines = [
        dice.choice(LEADS) + dice.choice(WORDINGS[sign]).format(a=a, k=k, b=b) + "."
        for a, sign, k, b in steps(p)
    ]
    return "\n\n".join([*lines, so(p)])


def hesitant(p: Problem, dice: Random) -> str:
    """Slips, doubts and checks: the traces that the demo's own teacher was taught."""
    return solve(p, dice)[0]


def terse(p: Problem, dice: Random) -> str:
    """The answer, and no step that leads to it."""
    return so(p)


Style = Callable[[Problem, Random], str]
STYLES: dict[Style, float] = {steady: 0.7, hesitant: 0.8, fickle: 0.9, terse: 1.0}
"""Each with the share of its attempts that are right: the better it scores, the worse it should teach."""


def steps(p: Problem) -> list[tuple[int, str, int, int]]:
    return [(a, sign, k, apply(a, sign, k)) for a, (sign, k) in zip(p.totals, p.ops, strict=False)]


def so(p: Problem) -> str:
    return f"So {p.name} has {p.answer} {p.thing}."


@dataclass(frozen=True)
class Narrator:
    """The script of one teacher; where the dice say so it answers one too many."""

    style: str
    right: float

    def __call__(self, messages: list[Message], seed: int) -> str:
        dice, problem = Random(f"{self.style} {seed}"), understood(messages[-1]["content"])
        said = problem.answer + (dice.random() >= self.right)
        tell = next(f for f in STYLES if f.__name__ == self.style)
        return f"<think>\n{tell(problem, dice)}\n</think>\n\nThe answer is \\boxed{{{said}}}"


def teachers() -> tuple[Engine, ...]:
    """One engine a style, named after it."""
    styles = [(tell.__name__, right) for tell, right in STYLES.items()]
    return tuple(Scripted(model=name, script=Narrator(name, right)) for name, right in styles)
