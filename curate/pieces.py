r"""A text in sentences, steps and thoughts: pieces that tile it, so that joining them gives the text back.

Each splitter answers offsets [start, end); white space after a piece belongs to it, white space at the very
start to the first. Nothing is cut inside fenced code, formulas or LaTeX environments. Linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

TRANSITIONS = (
    "But", "Wait", "Alternatively", "However", "Hmm", "Hmmm", "Not sure", "Going back", "Backtrack",
    "Trace back", "Another",
)  # fmt: skip
"""Words that open a new thought (Retro-Search, arXiv:2504.04383; recalled, not confirmed)."""


Delimiter = Literal["blank", "line", "sentence"]
"""What steps end with: a blank line, a line, or a sentence."""


class Piece(NamedTuple):
    """Character offsets [start, end) of one piece."""

    start: int
    end: int


_OPENS = re.compile(
    r"^[ \t]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<fence>```+|~~~+)"
    r"|\\begin\{(?P<name>[a-zA-Z]{1,20}\*?)\}|(?P<display>\$\$|\\\[|\\\()"
    r"|(?P<inline>(?<!\\)\$[^$\n]{1,300}(?<!\\)\$(?!\d)|`[^`\n]{1,300}`)",
    re.MULTILINE,
)
_BEGINS = re.compile(rf"{_OPENS.pattern}|(?P<begun>[$`])[^\n]*\Z", re.MULTILINE)
_CLOSES = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_STOP = re.compile(r"[.!?…]{1,9}[\"'”’)\]*_]{0,4}\s+|[。！？]{1,9}[\"”’」』）]{0,4}\s*|\n\s*")
_NO_STOP = re.compile(
    r"(?:\b(?:e\.g|i\.e|cf|vs|etc|al|Dr|Mr|Mrs|Ms|Prof|St|No|Nos|Eqs?|Figs?|Sec|Thm|Lem|Prop|Def|approx|resp"
    r"|w\.r\.t|a\.k\.a|[ap]\.m|U\.S)|(?<![\w.])[A-Z]|(?:^|\n)[ \t]*\(?(?:\d{1,3}|[a-z]))\Z"
)
_GAPS: dict[Delimiter, re.Pattern[str]] = {
    "blank": re.compile(r"\n[^\S\n]*\n\s*"), "line": re.compile(r"\n\s*")
}  # fmt: skip


def sentences(text: str) -> list[Piece]:
    r"""Sentences: up to a full stop and white space, a CJK full stop, or the end of a line.

    Not at decimal points and abbreviations, not after the number of a list, and not where a line goes on in
    the next one with a small letter.

    >>> [text[a:b] for text in ["So 1.5 + 2 = 3.5, e.g. here. Done."] for a, b in sentences(text)]
    ['So 1.5 + 2 = 3.5, e.g. here. ', 'Done.']
    """
    cuts = [found.end() for found in _outside(text, _STOP) if _is_end(text, found)]
    return _tiles(text, cuts)


def delimiter(text: str) -> Delimiter:
    """A blank line where one cuts the text, else a line, else a sentence."""
    return next((gap for gap in _GAPS if len(_cut(text, gap)) > 1), "sentence")


def steps(text: str, by: Delimiter | None = None) -> list[Piece]:
    """Paragraphs, up to a blank line; lines where none is blank; sentences where there is one line.

    by: what they end with, whatever the text holds; so two versions of a text are measured alike.
    """
    for gap in _GAPS if by is None else ():
        if len(pieces := _cut(text, gap)) > 1:
            return pieces
    return _cut(text, by) if by in _GAPS else sentences(text)


def settled(text: str) -> str:
    """As much of an unfinished text as has no more steps than any text that begins with it.

    What is opened and not closed may yet be; then all that stands in it is a part of one step.
    """
    text, at = text.rstrip(), 0
    while found := _BEGINS.search(text, at):
        at = found.end()
        if found["begun"]:
            return text[: found.end("begun")]
        if found["inline"]:
            continue
        if (stop := _closed(text, found)) is None:
            return text[:at]
        at = stop
    return text


def _cut(text: str, by: Delimiter) -> list[Piece]:
    return _tiles(text, [found.end() for found in _outside(text, _GAPS[by])])


def thoughts(
    text: str,
    transitions: Sequence[str] = TRANSITIONS,
    where: Literal["step_start", "near_start"] = "step_start",
    by: Delimiter | None = None,
) -> list[Piece]:
    """Steps joined into thoughts: a new one begins at a step that opens with a transition.

    where: the transition is the step's first word, as it is written (step_start), or stands within its first
    20 characters in any case (near_start, which cuts at ordinary uses of "but", too).
    """
    words = "|".join(re.escape(word) for word in sorted(transitions, key=len, reverse=True))
    opens = re.compile(rf"(?:[^\w`]|_){{0,4}}(?:{words})(?!\w)")
    near = re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    cuts = []
    for start, end in steps(text, by)[1:]:
        step = text[start : min(end, start + 40)]
        if step.startswith(("```", "~~~")):
            continue  # what code begins with is no change of mind
        if opens.match(step) if where == "step_start" else near.search(step[:20]):
            cuts.append(start)
    return _tiles(text, cuts)


def joined(text: str, pieces: list[Piece], min_words: int) -> list[Piece]:
    """Pieces of fewer words joined to the next one; the last of them to the one before."""
    out: list[Piece] = []
    start = 0
    for _, end in pieces:
        if len(text[start:end].split()) >= min_words:
            out.append(Piece(start, end))
            start = end
    if start < len(text):
        begin = out.pop().start if out else start
        out.append(Piece(begin, len(text)))
    return out


def by_piece(text: str, pieces: list[Piece], tokens: list[dict[str, Any]]) -> list[tuple[Piece, list[float]]]:
    """Each piece with the values of the tokens that begin in it, leading white space not counted."""
    found: list[tuple[Piece, list[float]]] = [(piece, []) for piece in pieces]
    at = 0
    for token in tokens:
        first = token["start"]
        while first < token["end"] - 1 and text[first].isspace():
            first += 1
        while at + 1 < len(found) and found[at][0].end <= first:
            at += 1
        if found:
            found[at][1].append(token["value"])
    return found


def _outside(text: str, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """The matches of `pattern` that do not begin inside of code, a formula or an environment."""
    whole = _kept_whole(text)
    start, end = next(whole, (len(text), len(text)))
    for found in pattern.finditer(text):
        while end <= found.start() and start < len(text):
            start, end = next(whole, (len(text), len(text)))
        if found.start() < start:
            yield found


def _kept_whole(text: str) -> Iterator[tuple[int, int]]:
    """Where code, formulas and environments stand; what is opened and never closed is ordinary text."""
    at, missing = 0, set[str]()  # closings that do not come any more
    while found := _OPENS.search(text, at):
        at = found.end()
        if found["inline"]:
            yield found.span()
            continue
        opened = found["fence"] or found["name"] or found["display"]
        stop = None if opened in missing else _closed(text, found)
        if stop is None:
            missing.add(opened)
            continue
        at = stop
        yield found.start(), at


def _closed(text: str, opened: re.Match[str]) -> int | None:
    """Where what is opened is closed; a fence on a line of its own, however far that is indented."""
    if opened["fence"]:
        found = re.compile(rf"\n[ \t]*{opened['fence']}").search(text, opened.end())
        return found and found.end()
    close = f"\\end{{{opened['name']}}}" if opened["name"] else _CLOSES[opened["display"]]
    stop = text.find(close, opened.end())
    return stop + len(close) if stop >= 0 else None


def _is_end(text: str, stop: re.Match[str]) -> bool:
    """Whether a sentence ends here: no abbreviation, no list number, no line that goes on in the next."""
    if stop.group()[0] == ".":
        return not _NO_STOP.search(text[max(0, stop.start() - 12) : stop.start()])
    goes_on = text[stop.end() : stop.end() + 1]
    return not (stop.group()[0] == "\n" and stop.group().count("\n") == 1 and goes_on.islower())


def _tiles(text: str, cuts: list[int]) -> list[Piece]:
    """The pieces between the cuts; one that is only white space joins its neighbour."""
    pieces: list[Piece] = []
    start = 0
    for cut in [*cuts, len(text)]:
        if text[start:cut].strip():
            pieces.append(Piece(start, cut))
            start = cut
    if start < len(text):
        pieces = [*pieces[:-1], Piece(pieces[-1].start if pieces else 0, len(text))]
    return pieces
