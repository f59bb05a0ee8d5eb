"""The program in a response: its last block of Python, or all of it where it is nothing but code."""

from __future__ import annotations

import re
from typing import NamedTuple

_OPEN = re.compile(r"^([ \t>]*)(`{3,}|~{3,})[ \t]*([^\s`{]*)[^`\n]*$", re.MULTILINE)
_PYTHON = {"python", "py", "python3", "py3", "python2", "cpython", "pypy", "pypy3", "python3.11", "sage"}
_CODE = re.compile(
    r"^[ \t]*(?:def \w|class \w|import \w|from [\w.]+ import|print\(|for .+:|while .+:|if .+:|return\b"
    r"|with .+:|try:|@\w|[A-Za-z_][\w.,\[\] \t]{0,80}[-+*/%|&]?=(?!=)|[\w.]{1,80}\()",
    re.MULTILINE,
)
_PROSE = re.compile(r"^[A-Z][a-z']+[ ,][^=()#\n]*[a-z.!?:][ \t]*$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block: the word after the fence, and the text."""

    language: str
    text: str


def blocks(response: str) -> list[Block]:
    """All fenced blocks, in order; one that is never closed goes to the end."""
    found: list[Block] = []
    at = 0
    while opened := _OPEN.search(response, at):
        indent, fence, language = opened.groups()
        close = re.compile(rf"^[ \t>]{{0,{len(indent) + 3}}}{fence[0]}{{{len(fence)},}}[ \t]*$", re.MULTILINE)
        start = min(opened.end() + 1, len(response))
        closed = close.search(response, start)
        end = closed.start() if closed else len(response)
        found.append(Block(language.lower(), _outdent(response[start:end], indent)))
        if closed is None:
            break
        at = closed.end()
    return found


def _outdent(text: str, indent: str) -> str:
    if not indent:
        return text
    return "\n".join(line.removeprefix(indent) for line in text.split("\n"))


def program_in(response: str, name: str = "") -> str | None:
    """The program, or None where there is none.

    The last block marked as Python counts; where a function `name` is asked for, the last that defines it.
    Without such a block, the last one without a mark. Without any block: the whole response, where it reads
    as code and no line reads as prose.
    """
    found = blocks(response)
    for marked in (True, False):
        texts = [b.text for b in found if (b.language in _PYTHON if marked else not b.language)]
        texts = [t for t in texts if t.strip()]
        if texts:
            defining = [t for t in texts if name and defines(t, name)]
            return (defining or texts)[-1]
    if found or not _CODE.search(response) or _PROSE.search(response):
        return None
    return response


def defines(text: str, name: str) -> bool:
    return bool(
        re.search(rf"^[ \t]*(?:async )?(?:def|class) {re.escape(name)}\b|^{re.escape(name)} ?=", text, re.M)
    )


def is_body(text: str) -> bool:
    """Whether a text continues a function begun elsewhere: its first line is indented."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    return first[:1] in (" ", "\t")
