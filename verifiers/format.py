"""The response has the form asked for: lists, headings, title, case, JSON, how it starts and ends."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import Literal

from curate.instructions import Unasked, asked, without_code
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class Format(Verifier):
    """Everything that is asked must hold. Where no field is set, the row's gold may name some.

    bullets, numbered: exactly so many items ("-", "*", "+", "•"; "1.", "1)"), nested ones counted.
    headings, highlights, placeholders: at least so many markdown headings, *emphasised* pieces, [bracketed]
    names. title: a first line that is a heading, **bold**, or <<in these>>. case: all letters "lower" or
    "upper". json: nothing but JSON, a fence around it allowed. quoted: within double quotation marks.
    no_commas: none. starts_with, ends_with: these words, in any case, white space around the response not
    counted. Nothing inside fenced code is a list, a heading or a highlight.
    """

    bullets: int | None = None
    numbered: int | None = None
    headings: int | None = None
    highlights: int | None = None
    placeholders: int | None = None
    title: bool | None = None
    case: Literal["lower", "upper"] | None = None
    json: bool | None = None
    quoted: bool | None = None
    no_commas: bool | None = None
    starts_with: str | None = None
    ends_with: str | None = None
    reads = ("response", "answer")
    examples = (
        (dict(response="Two:\n- a\n- b", answer='{"format": {"bullets": 2}}'), True),
        (dict(response='```json\n{"a": 1}\n```', answer='{"format": {"json": true}}'), True),
        (dict(response="# Plan\nall is well", answer='{"format": {"title": true, "case": "lower"}}'), False),
        (dict(response="That is all.", answer='{"format": {"ends_with": "Any questions?"}}'), False),
        (dict(response="", answer='{"format": {"case": "lower"}}'), False),
        (dict(response="- a", answer=None), None),
    )

    def row(self, row: Row) -> Verdict:
        try:
            check = asked(self, row["answer"])
        except Unasked as e:
            return Verdict(None, str(e))
        text = (row["response"] or "").strip()
        if not text:
            return Verdict(False, "not_met: the response is empty")
        wanted = [f.name for f in fields(check) if getattr(check, f.name) is not None]
        broken = [note for name in wanted if (note := _broken(name, getattr(check, name), text))]
        return Verdict(not broken, "not_met: " + ", ".join(broken)[:200] if broken else "met")


_ITEMS = {
    "bullets": re.compile(r"^[ \t]*[-*+•][ \t]+\S", re.MULTILINE),
    "numbered": re.compile(r"^[ \t]*\(?\d{1,4}[.)][ \t]+\S", re.MULTILINE),
    "headings": re.compile(r"^ {0,3}#{1,6}[ \t]+\S", re.MULTILINE),
    "highlights": re.compile(r"\*\*[^\s*][^*\n]{0,500}\*\*|(?<![*\w])\*[^\s*][^*\n]{0,500}\*(?!\*)"),
    "placeholders": re.compile(r"\[[^\[\]\n]{1,200}\](?!\()"),
}
_EXACT = ("bullets", "numbered")
_RULE = re.compile(r"^[ \t]*[-*_](?:[ \t]*[-*_]){2,}[ \t]*$", re.MULTILINE)
_TITLE = re.compile(r"#{1,6}[ \t]+\S.*|<<[^\n<>]*\w[^\n<>]*>>|\*\*[^*\n]+\*\*:?")
_FENCED = re.compile(r"```[ \t]*\w*[ \t]*\n(.*)\n[ \t]*```", re.DOTALL)


def _broken(name: str, wanted: int | bool | str, text: str) -> str:
    """How a text fails one demand, or nothing."""
    if name in _ITEMS:
        n = len(_ITEMS[name].findall(_RULE.sub("", without_code(text))))
        holds = n == wanted if name in _EXACT else n >= int(wanted)
        return "" if holds else f"{n} {name} for {wanted}"
    if name == "case":
        return (
            "" if text == (text.lower() if wanted == "lower" else text.upper()) else f"not all {wanted} case"
        )
    if name in ("starts_with", "ends_with"):
        said, part = _folded(text), _folded(str(wanted))
        holds = said.startswith(part) if name == "starts_with" else said.endswith(part)
        return "" if holds else f"it {'starts' if name == 'starts_with' else 'ends'} otherwise"
    has = {"title": _has_title, "json": _is_json, "quoted": _is_quoted, "no_commas": _has_no_comma}[name](
        text
    )
    return "" if has == wanted else f"{name} is {str(has).lower()}"


def _folded(text: str) -> str:
    return " ".join(text.casefold().split())


def _has_title(text: str) -> bool:
    first = text.splitlines()[0].strip()
    return bool(_TITLE.fullmatch(first) or re.search(r"<<[^\n<>]*\w[^\n<>]*>>", text))


def _is_quoted(text: str) -> bool:
    return len(text) > 1 and (text[0], text[-1]) in (('"', '"'), ("“", "”"))


def _has_no_comma(text: str) -> bool:
    return not re.search("[,，、،]", text)


def _is_json(text: str) -> bool:
    fenced = _FENCED.fullmatch(text)
    try:
        json.loads(fenced[1] if fenced else text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return False
    return True


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
