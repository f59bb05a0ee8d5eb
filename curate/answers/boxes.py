r"""The last complete box of a response (`\boxed{}`, `\fbox{}`), searched from the end, one look a brace.

A box that is not closed is no box. Boxes joined by "and", "or" or a comma are one list; two different ones
that nothing joins are several answers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from curate.answers.found import LONGEST, Found
from curate.answers.tidy import is_denied, is_empty, is_rejected, is_undecided, plain

_MOST_MARKS = 4000  # boxes looked at, from the end
_MOST_BRACES = 100_000  # braces looked at, in all
_LONGEST_BOX = 20_000  # characters
_INSIDE = re.compile(r"(?:\[[^\[\]\n]{0,20}\])?\s{0,9}(?:(\{)|\s?([-+]?\w[\w.,/]{0,40}(?<=\w)))")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)


def last_box(text: str) -> Found | None:
    """The last complete box that says something, with the boxes that are joined to it."""
    last: Found | None = None
    for count, box in enumerate(_complete(text)):
        if is_empty(box.text) or is_denied(text, box.start) or is_rejected(text, box.end):
            continue
        if last is None:
            last = box
            continue
        if box.end > last.start or last.start - box.end > 80 or len(last.text) > LONGEST or count > 400:
            break
        gap = text[box.end : last.start]
        same = _squeezed(box.text) == _squeezed(last.text)
        if _SPACE.fullmatch(gap):
            doubt = last.several or not same
        elif _JOINS.fullmatch(gap):
            doubt = last.several or is_undecided(gap)
        else:
            break
        joined = last.text if same else f"{box.text}, {last.text}"
        last = Found(box.start, last.end, joined, "boxed", doubt)
    if last is None:
        return None
    before, after = text[max(0, last.start - 30) : last.start], text[last.end : last.end + 12]
    return last._replace(
        several=last.several
        or is_undecided(last.text)
        or (", " in last.text and bool(_EITHER.search(before) or _ASKED.match(after)))
    )


def _complete(text: str) -> Iterator[Found]:
    """Complete boxes from the last to the first. Of nested ones the inner comes first."""
    stop, budget = len(text), _MOST_BRACES
    for start, after in _marks(text):
        inside = _INSIDE.match(text, after)
        if inside is None:
            continue
        if inside.group(2):
            if text[start] == "\\":
                yield Found(start, inside.end(), inside.group(2), "boxed")
            continue
        closed, seen = _closing(text, inside.end(), min(stop, inside.end() + _LONGEST_BOX), budget)
        budget -= seen
        if closed is not None:
            yield Found(start, closed + 1, text[inside.end() : closed].strip(), "boxed")
        else:
            stop = start  # what is open from here on is open for every earlier box that reaches this far


def _marks(text: str) -> Iterator[tuple[int, int]]:
    r"""Start and end of each `\boxed`, `\fbox` and `\framebox`, from the end; also one that lost its `\b`."""
    at = len(text)
    for _ in range(_MOST_MARKS):
        at = text.rfind("ox", 0, at)
        if at < 0:
            return
        for word, back, forward in (("boxed", 1, 4), ("fbox", 2, 2), ("framebox", 6, 2), ("\boxed", 1, 4)):
            start = at - back
            if start >= 0 and text.startswith(word, start):
                slash = start > 0 and text[start - 1] == "\\"
                if slash or word in ("boxed", "\boxed"):
                    yield start - slash, at + forward
                break


def _closing(text: str, start: int, stop: int, budget: int) -> tuple[int | None, int]:
    """Where the brace that was opened before `start` is closed, or None; and how many braces were seen."""
    depth, seen = 1, 0
    for token in _BRACE.finditer(text, start, stop):
        seen += 1
        brace = token.group()
        if brace == "{":
            depth += 1
        elif brace == "}":
            depth -= 1
            if not depth:
                return token.start(), seen
        if seen >= budget:
            break
    return None, seen


def _squeezed(text: str) -> str:
    return "".join(plain(text).split())


_SET = r"[\s$.*_]|\\[()\[\],; !]|\\q?quad\b"
_SPACE = re.compile(rf"(?:{_SET}){{0,80}}")
_EITHER = re.compile(r"\b(?:either|entweder|soit|либо)\W{0,8}\Z|(?:要么|或者)\W{0,8}\Z", re.IGNORECASE)
_ASKED = re.compile(r"[\s$)*\\\]]{0,8}\?")
_WORD = (
    r"and|or|or maybe|or perhaps|or possibly|as well as|&|\\&|et|ou|und|oder|y|o|e|и|или|ve|veya|và"
    r"|hoặc|dan"
    r"|atau|en|of|i|lub|और|या|و|أو|と|または|和|与|與|及|以及|或|或者|그리고|또는"
)
_JOINS = re.compile(
    rf"(?:{_SET}|;){{0,40}}(?:[,;、，；]|[,;、，]?\s?(?:{_WORD})|[,;]?\s?\\(?:text|mbox"
    rf"|textrm)\s?\{{\s?(?:{_WORD})\s?\}})"
    rf"(?:{_SET}|\\text\s?\{{\s?\}}|(?:\\?[a-zA-Z]{{1,7}}(?:_\{{?\w{{1,3}}\}}?)?\s?=)){{0,40}}",
    re.IGNORECASE,
)
