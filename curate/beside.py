"""A child beside its parent, in two columns: what was cut, what is new, and by whom."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from itertools import accumulate, zip_longest
from typing import Any
from unicodedata import combining, east_asian_width

from curate.difference import Stretch, difference
from curate.picture import BOX, CELL, HUES, Picture, judged, legend, origin, printable, shade

FIELDS = ("thinking", "response")
SAME, CUT, NEW = "same", "cut", "new"
SHOWN = {SAME: 400, CUT: 1_500, NEW: 1_500}  # characters of a stretch in a terminal; the others are counted
SIGNS = {SAME: " ", CUT: "-", NEW: "+"}
RED, CODES = 31, (32, 34, 35, 36, 33)  # a terminal's colours: of what was cut, and of what each owner wrote

Groups = Sequence[Sequence[Stretch]]


def beside(
    parent: Mapping[str, Any], child: Mapping[str, Any], *, colour: bool = False, width: int = 100
) -> Picture:
    """Thinking and response of two traces. The HTML has every character of both; the text leaves the middle
    of long stretches out and says so. Without `colour` a new stretch is written ⟦owner: stretch⟧.
    """
    spans = child.get("spans") or ()
    fields = {}
    for name in FIELDS:
        mine = [span for span in spans if span["field"] == name]
        if found := difference(parent[name] or "", child[name] or "", mine):
            fields[name] = found
    owners = list(dict.fromkeys(s.by for g in fields.values() for x in g for s in x if s.kind == NEW))
    head = [origin(child), f"made of {parent['trace_id']} by {parent['dropped_by']}"]
    verdicts = list(judged(child))
    painted = {CUT: RED, **{_label(by): CODES[i % len(CODES)] for i, by in enumerate(owners)}}
    lines = [*head, "  ".join(_painted(code, label) for label, code in painted.items())] if colour else head
    styles = {CUT: shade(HUES[4]), **{_label(by): shade(HUES[i % 4]) for i, by in enumerate(owners)}}
    html = [f"<div style='opacity:.7'>{escape(' · '.join(head))}</div>", legend(styles)]
    for name, groups in fields.items():
        lines += [_told(name, groups), *_columns(groups, painted if colour else {}, (width - 7) // 2)]
        html += [f"<b>{escape(_told(name, groups))}</b>", _table(groups, styles)]
    html += [f"<div>{escape(line)}</div>" for line in verdicts]
    return Picture("\n".join([*lines, *verdicts]), "".join(html))


def _told(name: str, groups: Groups) -> str:
    """How many characters of a field are the same, were cut, and are new, by each owner."""
    every = [stretch for group in groups for stretch in group]
    before, after = sum(len(s.parent) for s in every), sum(len(s.child) for s in every)
    counts = Counter({"the same": 0, CUT: 0})
    for s in every:
        counts[{SAME: "the same", CUT: CUT, NEW: _label(s.by)}[s.kind]] += len(s.child or s.parent)
    told = ", ".join(f"{n:,} {what}" for what, n in counts.items())
    return f"{name}: {before:,} → {after:,} characters, {told}"


def _label(by: str | None) -> str:
    return f"{NEW} by {by}" if by else NEW


def _painted(code: int, text: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _columns(groups: Groups, painted: Mapping[str, int], cells: int) -> Iterator[str]:
    """Lines of a terminal, each side so many cells wide: behind - what was cut, behind + what is new."""
    for group in groups:
        left: list[str] = []
        right: list[str] = []
        for s in group:
            if s.kind != NEW:
                left += _side(s.parent, s.kind, CUT, painted, cells)
            if s.kind != CUT:
                mark = s.kind == NEW and s.by and not painted
                text = f"⟦{s.by}: {s.child.strip()}⟧" if mark else s.child
                right += _side(text, s.kind, _label(s.by), painted, cells)
        for one, other in zip_longest(left, right, fillvalue=" " * (cells + 2)):
            yield f"{one} │ {other}".rstrip()


def _side(text: str, kind: str, label: str, painted: Mapping[str, int], cells: int) -> Iterator[str]:
    code = None if kind == SAME else painted.get(label)
    for line in _wrapped(_shortened(text.strip("\n"), SHOWN[kind]), cells):
        padded = line + " " * (cells - sum(map(_cells, line)))
        yield f"{SIGNS[kind]} {padded if code is None else _painted(code, padded)}"


def _shortened(text: str, most: int) -> str:
    half = most // 2
    left_out = f"\n[… {len(text) - 2 * half:,} characters not shown …]\n"
    return text if len(text) <= most else text[:half] + left_out + text[-half:]


def _wrapped(text: str, cells: int) -> Iterator[str]:
    """Lines of at most so many cells, broken at spaces where there are any; what cannot be printed is one."""
    for line in text.split("\n"):
        rest = printable(line)
        while (fits := bisect_right(list(accumulate(map(_cells, rest))), cells)) < len(rest):
            at = rest.rfind(" ", 0, fits + 1)
            at = at if at > 0 else max(fits, 1)
            yield rest[:at]
            rest = rest[at:].lstrip(" ")
        yield rest


def _cells(character: str) -> int:
    """How many columns of a terminal a character takes."""
    return 0 if combining(character) else 2 if east_asian_width(character) in "WF" else 1


def _table(groups: Groups, styles: Mapping[str, str]) -> str:
    """Two columns, in which every character of both texts stands."""
    cell = CELL.format("left") + ";white-space:pre-wrap;overflow-wrap:anywhere"
    rows = (
        f"<tr><td style='{cell}'>{_marked(((s.parent, s.kind, CUT) for s in group), styles)}</td>"
        f"<td style='{cell}'>{_marked(((s.child, s.kind, _label(s.by)) for s in group), styles)}</td></tr>"
        for group in groups
    )
    return (
        f"<div style='{BOX}'><table style='border-collapse:collapse;table-layout:fixed;width:100%'>"
        f"<thead><tr><th style='{cell}'>parent</th><th style='{cell}'>child</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _marked(stretches: Iterable[tuple[str, str, str]], styles: Mapping[str, str]) -> str:
    """One side of a group; what is the same has no mark."""
    return "".join(
        escape(text)
        if kind == SAME
        else f"<span style='{styles[label]}' title='{escape(label)}'>{escape(text)}</span>"
        for text, kind, label in stretches
        if text
    )
