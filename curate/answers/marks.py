r"""Marked answers other than boxes: `<answer>` tags, answer fields of JSON objects, `####`.

Only the last 65,536 characters are searched, and of each kind the last 200 marks, so that no text takes long.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from itertools import zip_longest

from curate.answers.amounts import natural_words
from curate.answers.found import LONGEST, MARKED, Found

_MOST = 200  # marks of a kind, from the end


def marks(text: str) -> list[Found]:
    """Every marked answer near the end, place-holders included; offsets count in the whole text."""
    cut = max(0, len(text) - MARKED)
    tail = text[cut:]
    found = [*_tagged(tail), *_tokens(tail), *_fields(tail), *_hashes(tail)]
    return [f._replace(start=f.start + cut, end=f.end + cut) for f in found]


_TAG = re.compile(
    r"<(/?) ?(?:(?:final[_ ])?(?:answers?|result|solution)|(?<=[</])final) ?>"
    r"|\[(/?)(?:final[_ ])?answer\]",
    re.IGNORECASE,
)
_STOP = re.compile(r"[<\n]")
_BEFORE = re.compile(r"(?:^|>|\n|answer\s?:)(?:\*\*answer\*\*)?([^<>\n:]{1,200})\Z", re.IGNORECASE)


def _tagged(text: str) -> Iterator[Found]:
    """Between two tags; without a good partner, up to the next tag or the end of the line.

    "in the <ANSWER> tag as asked" marks nothing, and an opening tag without a partner must end its response.
    """
    tags = list(deque(_TAG.finditer(text), maxlen=_MOST))
    for here, after in zip_longest(tags, tags[1:]):
        closing = bool(here.group(1) or here.group(2))
        if after and (after.group(1) or after.group(2)) and after.start() - here.end() <= LONGEST:
            inside = text[here.end() : after.start()]
            if inside.strip() and not (closing and "\n" in inside.strip()):
                yield Found(here.start(), after.end(), inside, "tag")
                continue
        if closing:
            before = _BEFORE.search(text, max(0, here.start() - 200), here.start())
            if before and not _TAG.search(text, before.start(), here.start()):
                yield Found(before.start(), here.end(), before.group(1), "tag")
            continue
        stop = _STOP.search(text, here.end())
        end = stop.start() if stop else len(text)
        inside = text[here.end() : end]
        rest = text[end : end + 40].strip()
        if not inside.lstrip().lower().startswith("tag") and (after or not rest or rest.startswith("<")):
            yield Found(here.start(), end, inside, "tag")


_BOX_TOKENS = ("<|begin_of_box|>", "<|end_of_box|>")


def _tokens(text: str) -> Iterator[Found]:
    """What stands between the special tokens that some chat models put around their answer."""
    closed = text.rfind(_BOX_TOKENS[1])
    opened = text.rfind(_BOX_TOKENS[0], 0, closed) if closed >= 0 else -1
    if opened >= 0:
        inside = text[opened + len(_BOX_TOKENS[0]) : closed]
        yield Found(opened, closed + len(_BOX_TOKENS[1]), inside, "tag")


_KEY = re.compile(r"answer[\"']\s{0,20}:\s{0,20}", re.IGNORECASE)
_OPENS = re.compile(r"[\"'](?:final[_ ]?|correct[_ ]?|the[_ ]?)?\Z", re.IGNORECASE)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*+)(?:"|\Z)', re.DOTALL)
_QUOTED = re.compile(r"'([^'\n]{0,400})'(?=\s{0,9}[,}\n])")
_LISTED = re.compile(r"\[([^\[\]\n]{0,400})\]")
_BARE = re.compile(r"[^,}\n]{0,200}")


def _fields(text: str) -> Iterator[Found]:
    """The answer fields of JSON objects, read without a JSON parser: the objects are often broken."""
    ended = 0
    for key in deque(_KEY.finditer(text), maxlen=_MOST):
        if key.start() < ended or not _OPENS.search(text, max(0, key.start() - 12), key.start()):
            continue
        value = _STRING.match(text, key.end())
        if value:
            ended = value.end()
            yield Found(key.start(), value.end(), _unescape(value.group(1)), "json")
        elif value := _LISTED.match(text, key.end()):
            yield Found(key.start(), value.end(), value.group(1).replace('"', ""), "json")
        elif value := _QUOTED.match(text, key.end()):
            yield Found(key.start(), value.end(), value.group(1), "json")
        elif value := _BARE.match(text, key.end()):
            yield Found(key.start(), value.end(), value.group().strip().strip("'"), "json")


def _unescape(text: str) -> str:
    r"""JSON's escapes undone; a lone backslash before a letter is LaTeX that nobody escaped (`\frac`)."""
    return re.sub(r'\\(["\\/]|n(?![a-z]))', lambda m: "\n" if m.group(1) == "n" else m.group(1), text)


_HASHES = re.compile(r"^####(?!#)[ \t]?([^#\n]{1,200})$", re.MULTILINE)
_VALUE_LIKE = re.compile(r"[-+−$\\(]{0,3}\d[\d.,/%\s]{0,60}\w{0,12}\.?|\(?[A-Z]\)?\.?")
_SYMBOLS = re.compile(r"[-+−$\\(\[{\d√π∞]|[a-zA-Z]\s?[=<>^(]")


def _hashes(text: str) -> Iterator[Found]:
    """`#### 26` on a line of its own, as in GSM8K; a Markdown heading ("#### Step 2") is none."""
    for found in deque(_HASHES.finditer(text), maxlen=_MOST):
        said = found.group(1).strip()
        if _VALUE_LIKE.fullmatch(said) or (_SYMBOLS.match(said) and not natural_words(said)):
            yield Found(found.start(), found.end(), found.group(1), "hashes")
