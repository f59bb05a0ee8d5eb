"""Retro-Search as one would write it down: one trace, one rollout after the other, each to its very end.

No slices, no breaking off, nothing ahead, no memory. What is measured, and where a text is cut into steps and
thoughts, is `curate.pieces`, which has tests of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from curate.pieces import TRANSITIONS, delimiter, steps, thoughts

OPEN, CLOSE = "<think>\n", "</think>"
ENDS = {
    "blank": ("\n\n", "\n \n"),
    "line": ("\n",),
    "sentence": (". ", "? ", "! ", "\n", "。", "？", "！"),
}


class Reply(Protocol):
    text: str
    finish: str
    stopped: str
    words: int


Say = Callable[[str, tuple[str, ...], tuple[str, ...], int], Reply]
"""What a model says after a begun turn, given stop strings, banned ones, and the most words."""


def revised(
    thinking: str, response: str, say: Say, right: Callable[[str], bool], most: int
) -> tuple[str, str]:
    """The trace after a full search. right: whether a response has the right answer."""
    if not right(response):
        return thinking, response
    by, cursor = delimiter(thinking), 0
    while True:
        cuts = [start for start, _ in thoughts(thinking, by=by)[1:] if start > cursor]
        if not cuts:
            return thinking, response
        cursor = cuts[0]
        kept = thinking[:cursor]
        said = rollout(kept, say, ENDS[by], most)
        if said is None:
            continue
        tail, new_response = said
        new = (kept + tail).rstrip()
        if right(new_response) and len(steps(new, by)) < len(steps(thinking, by)):
            thinking, response = new, new_response


def rollout(kept: str, say: Say, ends: tuple[str, ...], most: int) -> tuple[str, str] | None:
    """How the model ends the thinking, and its response; None where it comes to no good end."""
    first = say(OPEN + kept, (*ends, CLOSE), TRANSITIONS, most)
    if first.finish == "length" or not first.stopped:
        return None
    text = first.text + first.stopped
    rest = say(OPEN + kept + text, (), (), most - first.words)
    text += rest.text
    if rest.finish == "length" or "<think>" in text or text.count(CLOSE) != 1:
        return None
    tail, response = text.split(CLOSE)
    return tail, response.lstrip()
