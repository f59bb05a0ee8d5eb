r"""The final answer of a response, as it stands there, and the place it was found.

The last complete *marked* answer counts: `\boxed{}`, an `<ANSWER>` tag (also with a damaged or missing
partner), the answer field of a JSON object (also of a broken one), or what follows `####`. Where nothing is
marked, the last "the answer is ..." or "A: ..." near the end counts. No text takes more than linear time: no
pattern holds two unbounded repeats that can share characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

LONGEST = 2000  # characters; whatever is longer is a text, not an answer


class Answer(NamedTuple):
    """An answer as it was written, and where: boxed, tag, json, hashes, phrase, line or last value."""

    text: str
    where: str


class _Found(NamedTuple):
    start: int
    end: int
    text: str
    where: str


def final_answer(response: str) -> Answer | None:
    """The last answer that the response marks as its own, or None where it marks none.

    >>> final_answer(r"so x = \\boxed{\\frac{1}{2}} holds")
    Answer(text='\\\\frac{1}{2}', where='boxed')
    """
    marked = [*_boxed(response), *_tagged(response), *_fields(response), *_hashes(response)]
    found = [f for f in marked if f.text.strip()] or [f for f in _phrases(response) if f.text.strip()]
    last = max(found, key=lambda f: f.end, default=None)
    return Answer(_inner(last.text.strip()), last.where) if last else None


def last_value(response: str) -> Answer | None:
    """The last number or piece of mathematics: a guess, for responses that mark no answer."""
    tail = response[-4000:]
    if bold := list(_BOLD_VALUE.finditer(tail, tail.rstrip().rfind("\n\n") + 1)):
        return Answer(bold[-1].group(1).strip(), "last value")
    numbers = (_Found(n.start(), n.end(), n.group(), "last value") for n in _NUMBER.finditer(tail))
    found = [f for f in (*_maths(tail), *numbers) if f.text.strip()]
    last = max(found, key=lambda f: (f.end, -f.start), default=None)
    return Answer(last.text.strip(), "last value") if last else None


def last_words(response: str) -> Answer | None:
    """The last emphasis in the last paragraph, or all of a response of one line: a guess, for words."""
    text = response.strip()
    if bold := list(_BOLD.finditer(text, text.rfind("\n\n") + 1)):
        return Answer(bold[-1].group(1).strip(), "last value")
    return Answer(text, "line") if text and "\n" not in text and len(text) <= LONGEST else None


_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_BOLD_VALUE = re.compile(r"\*\*([-−+\\$€£(]{0,4}\d[^*\n]{0,80})\*\*")
_TOKEN = re.compile(
    r"\\(?:(boxed|fbox)\s{0,9}\{|boxed\s{1,9}([-+]?\w[\w.,/]{0,40}(?<=\w))|.)|[{}]", re.DOTALL
)
_BOX = re.compile(r"\\boxed|\\fbox")
_JOINS = re.compile(
    r"(?:[\s$.;]|\\[()\[\],; ])*(?:,|and|,\s?and|\\text\{\s?and\s?\})(?:[\s$]|\\[()\[\],; ]|[a-z]\s?=)*"
)


def _boxed(text: str) -> Iterator[_Found]:
    """Complete boxes, outermost only; different boxes joined by "and" or a comma are one list."""
    joined: _Found | None = None
    for start, opened, closed, end in _boxes(text):
        inside = text[opened:closed]
        gap = text[joined.end : start] if joined and start - joined.end <= 40 else "."
        if joined and len(joined.text) <= LONGEST and _JOINS.fullmatch(gap) and inside != joined.text:
            inside, start = f"{joined.text}, {inside}", joined.start
        joined = _Found(start, end, inside, "boxed")
        yield joined


def _boxes(text: str) -> list[tuple[int, int, int, int]]:
    """Start, start and end of the inside, and end of every complete outermost box, in one pass."""
    boxes: list[tuple[int, int, int, int]] = []
    stack: list[tuple[int, int] | None] = []
    first = _BOX.search(text)  # what stands before the first box cannot close it
    for token in _TOKEN.finditer(text, first.start()) if first else ():
        word = token.group()
        if word == "{":
            stack.append(None)
        elif word == "}":
            opened = stack.pop() if stack else None
            if opened:
                while boxes and boxes[-1][0] > opened[0]:
                    boxes.pop()
                boxes.append((*opened, token.start(), token.end()))
        elif token.group(1):
            stack.append((token.start(), token.end()))
        elif token.group(2):
            boxes.append((token.start(), token.start(2), token.end(), token.end()))
    return boxes


_TAG = re.compile(r"<(/?) ?(?:final_)?answers? ?>", re.IGNORECASE)
_STOP = re.compile(r"[<\n]")
_BEFORE = re.compile(r"(?:^|>|\n|answer\s?:)([^<>\n:]{1,200})\Z", re.IGNORECASE)


def _tagged(text: str) -> Iterator[_Found]:
    """Between two tags; without a good partner, up to the next tag or the end of the line.

    "in the <ANSWER> tag as asked" marks nothing, and an opening tag without a partner must end its response.
    """
    tags = list(_TAG.finditer(text))
    for here, after in zip_longest(tags, tags[1:]):
        closing = bool(here.group(1))
        if after and after.group(1) and after.start() - here.end() <= LONGEST:
            inside = text[here.end() : after.start()]
            if inside.strip() and not (closing and "\n" in inside.strip()):
                yield _Found(here.start(), after.end(), inside, "tag")
                continue
        if closing:
            before = _BEFORE.search(text, max(0, here.start() - 200), here.start())
            if before and not _TAG.search(text, before.start(), here.start()):
                yield _Found(before.start(), here.end(), before.group(1), "tag")
            continue
        stop = _STOP.search(text, here.end())
        end = stop.start() if stop else len(text)
        inside = text[here.end() : end]
        rest = text[end : end + 40].strip()
        if not inside.lstrip().lower().startswith("tag") and (after or not rest or rest.startswith("<")):
            yield _Found(here.start(), end, inside, "tag")


_KEY = re.compile(r"[\"'](?:final[_ ]?)?answer[\"']\s{0,20}:\s{0,20}", re.IGNORECASE)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)', re.DOTALL)
_BARE = re.compile(r"[^,}\n]{0,200}")


def _fields(text: str) -> Iterator[_Found]:
    """The answer fields of JSON objects, read without a JSON parser: the objects are often broken."""
    for key in _KEY.finditer(text):
        value = _STRING.match(text, key.end())
        if value:
            yield _Found(key.start(), value.end(), _unescape(value.group(1)), "json")
        else:
            bare = _BARE.match(text, key.end())
            if bare:
                yield _Found(key.start(), bare.end(), bare.group().strip().strip("'"), "json")


def _unescape(text: str) -> str:
    r"""JSON's escapes undone; a lone backslash before a letter is LaTeX that nobody escaped (`\frac`)."""
    return re.sub(r'\\(["\\/]|n(?![a-z]))', lambda m: "\n" if m.group(1) == "n" else m.group(1), text)


_HASHES = re.compile(r"^#### ?([^#\n]{1,200})$", re.MULTILINE)
_VALUE_LIKE = re.compile(r"[-+$\\(]{0,3}\d[\d.,/%\s]*\w{0,12}\.?|\(?[A-J]\)?\.?")


def _hashes(text: str) -> Iterator[_Found]:
    """`#### 26` at the end of a line, as in GSM8K; a Markdown heading ("#### Step 2") is none."""
    for found in _HASHES.finditer(text):
        if _VALUE_LIKE.fullmatch(found.group(1).strip()):
            yield _Found(found.start(), found.end(), found.group(1), "hashes")


_PHRASE = re.compile(
    r"(?:\banswers?(?: option| number| choice)?(?: to [^.:\n]{1,80}?)?\*{0,2} ?"
    r"(?:(?:is|are|should be|would be|must be)\b|:|=)"
    r"|^A:|\bfinal answer\*{0,2}\s{0,3}\n|【答案】|答案(?:是|为|：))"
    r"(?: ?(?:indeed|definitely|therefore|thus|simply|option)\b)?[:*\s]{0,9}",
    re.IGNORECASE | re.MULTILINE,
)
_SENTENCE = re.compile(r"[^\n]{1,400}")
_END = re.compile(r"[.!?](?=\s+[A-Z(]|\*{0,2}\s*$)|\s?<(?=/?[a-z|]\w{0,9}>)")


def _phrases(text: str) -> Iterator[_Found]:
    """What follows "the answer is", "Answer:" or "A:" near the end, to the end of its sentence."""
    text = text[-3000:]
    for phrase in _PHRASE.finditer(text):
        rest = _SENTENCE.match(text, phrase.end())
        if rest is None:
            continue
        if rest.group().strip() in ("\\[", "$$"):
            rest = _SENTENCE.match(text, rest.end() + 1) or rest
        stop = _END.search(rest.group())
        said = rest.group()[: stop.start()] if stop and stop.start() else rest.group()
        after = len(text) - rest.start() - len(said)
        if (
            after <= 150 or after <= 1000 and said.count(" ") < 5
        ):  # else the response went on to something else
            yield _Found(phrase.start(), rest.start() + len(said), said, "phrase")


_MATHS = re.compile(
    r"\$\$([^$]{1,400})\$\$|(?<![\\\d$])\$([^$\n]{1,400})(?<!\\)\$(?!\d)|\\\(((?:[^\\\n]|\\(?!\))){1,400})\\\)"
    r"|\\\[((?:[^\\]|\\(?!\])){1,400})\\\]"
)
_NUMBER = re.compile(
    r"(?<![\w.,\\^{])[-−]?\\?[$€£]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)\s?\\?%?"
    r"|(?<![\d\\^_])[-−]?\\?[$€£]?(?:\d+(?:\.\d+)?|\.\d+)(?:/\d+)?\s?\\?%?"
)


def _maths(text: str) -> Iterator[_Found]:
    for found in _MATHS.finditer(text):
        yield _Found(found.start(), found.end(), found.group(found.lastindex or 0), "last value")


def _inner(text: str) -> str:
    """The marked answer inside a marked answer: a box in a JSON field, a tag in a box."""
    for _ in range(3):
        deeper = [*_boxed(text), *_tagged(text)]
        if not deeper or not deeper[-1].text.strip():
            break
        text = deeper[-1].text.strip()
    return text


_WRAP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname|bf|rm|textsf)\s?\{([^{}]*)\}")
_NOISE = re.compile(r"\\[()\[\]]|(?<!\\)\$|\*\*|`|\\[,!;: ]")


def plain(text: str) -> str:
    r"""Without what only sets the type (`$`, `\text{}`, `**`, thin spaces) and a last full stop."""
    return _NOISE.sub(" ", _WRAP.sub(r"\1", text)).strip().rstrip(".").strip()


_SAYS = r"(?:(?i:option|choice|answer|the|correct|is|:)\s?){0,5}"
_LETTER = re.compile(_SAYS + r"(?:\(([A-Ja-j])\)|([A-J])(?=\s?[).:,]|\Z))(?:[\s).:,].{0,400})?", re.DOTALL)
_MORE = re.compile(r"(?:,|\band|\bor|&)\s{0,3}\(?([A-J])(?:\)|(?=[\s,.]|\Z))")


def letters(text: str) -> set[str]:
    """The option letters A to J that a short answer names: "(E)", "C. 12", "option B", "A and C"."""
    text = plain(text)
    if len(text) == 1 and text in "abcdefghij":
        return {text.upper()}
    named = _LETTER.fullmatch(text)
    more = _MORE.findall(text) if named and len(text) <= 40 else ()
    return {(named.group(1) or named.group(2)).upper(), *more} if named else set()
