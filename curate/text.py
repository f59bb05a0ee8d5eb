"""Text, cut without loss: where the thinking ends and the response begins; and what no file can hold."""

from __future__ import annotations

import re
from typing import NamedTuple


class Split(NamedTuple):
    """A raw assistant turn in five pieces; `"".join(split)` is the turn again.

    The delimiters keep the white space around the tags, so `thinking` and `response` start with a word.
    Without any delimiter all of the text is `response`. An unclosed block has an empty `response`.
    """

    opening: str
    thinking: str
    closing: str
    response: str
    ending: str = ""

    @property
    def thought(self) -> str | None:
        """The thinking, or None where the turn has no delimiter at all."""
        return self.thinking if self.opening or self.closing else None


_STYLES = (
    # (opens at the very start, closes): a closing alone is enough where the chat template opened the block
    (re.compile(r"\s*<think>\s*"), re.compile(r"\s*</think>\s*")),
    (re.compile(r"\s*<thinking>\s*"), re.compile(r"\s*</thinking>\s*")),
    (
        re.compile(r"\s*<\|begin_of_thought\|>\s*"),
        re.compile(r"\s*<\|end_of_thought\|>\s*(?:<\|begin_of_solution\|>\s*)?"),
    ),
    (re.compile(r"\s*think[ \t]*\n\s*"), re.compile(r"\s*\n[ \t]*answer[ \t]*\n\s*")),
)


def split_thinking(text: str) -> Split:
    r"""Cut a raw assistant turn at its first delimiter.

    Knows `<think>` and `<thinking>` pairs, the closing tag alone (the chat template had opened the block),
    `<|begin_of_thought|>`, and the bare lines `think` and `answer` of the s1 models.

    >>> split_thinking("<think>\n1+1\n</think>\n\n2")
    Split(opening='<think>\n', thinking='1+1', closing='\n</think>\n\n', response='2', ending='')
    """
    for opens, closes in _STYLES:
        start = opens.match(text)
        if start:
            end = _search(closes, text, start.end())
            if end is None:
                return Split(start.group(), text[start.end() :], "", "")
            return _answered(start.group(), text[start.end() : end[0]], text[end[0] : end[1]], text[end[1] :])
    for _, closes in _STYLES[:3]:
        end = _search(closes, text, 0)
        if end:
            return _answered("", text[: end[0]], text[end[0] : end[1]], text[end[1] :])
    return Split("", "", "", text)


def fault(text: str) -> str:
    """Why no file can hold this text, where none can."""
    if "\0" in text:
        return "a NUL byte"
    try:
        if not text.isascii():
            text.encode()
    except UnicodeEncodeError:
        return "invalid UTF-8 or half a surrogate pair"
    return ""


def _answered(opening: str, thinking: str, closing: str, rest: str) -> Split:
    tail = rest.rfind("<|end_of_solution|>")
    if tail < 0 or rest[tail:].strip() != "<|end_of_solution|>":
        return Split(opening, thinking, closing, rest)
    cut = len(rest[:tail].rstrip())
    return Split(opening, thinking, closing, rest[:cut], rest[cut:])


def _search(closes: re.Pattern[str], text: str, start: int) -> tuple[int, int] | None:
    """Where the first closing delimiter stands, white space around it included; linear in the text."""
    tag = re.compile(closes.pattern.removeprefix(r"\s*"))
    found = tag.search(text, start)
    if found is None:
        return None
    body = text[start : found.start()]
    return start + len(body.rstrip()), found.end()
