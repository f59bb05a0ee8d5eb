"""Pictures for notebooks: a funnel, a trace with its spans in colour, a plan, as small self-contained HTML.

Pure functions of plain values. No script, no style sheet, no fixed foreground or background: a picture takes
the page's own colours, light or dark. Every character of a text is shown, and text never becomes markup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import cycle
from typing import Any

import polars as pl

from curate.schema import SAMPLED, SPANS, VERDICT

Spans = Sequence[Mapping[str, Any]]

TEXTS = ("question", "thinking", "response", "answer")
HUES = (210, 30, 140, 280, 0, 55, 180, 320)  # degrees; far apart for the first labels, and again after eight


def shade(hue: int) -> str:
    """The style of a stretch of text that has this colour."""
    return f"background:hsla({hue},80%,55%,.3)"


ORIGINS = {
    "teacher": (42, shade(140)), "student": (43, shade(55)),
    "common": (0, "background:none"), "shared": (0, "background:none"),
    "boosted": (44, shade(210)), "boosted_down": (45, shade(320)), "unscored": (2, "opacity:.6"),
}  # fmt: skip
"""The labels of `provenance`: the terminal's number for the colour of each, and the same on a page."""

SPAN_FIELDS = {f.name for f in SPANS.inner.fields}  # type: ignore[union-attr]
VERDICT_FIELDS = {f.name for f in VERDICT.fields}
MARKS = {True: "passed", False: "failed", None: "abstains"}
BLUE = "hsla(210,70%,50%,.6)"
CELL = "padding:2px 8px;text-align:{};vertical-align:top"
BOX = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:28em;overflow-y:auto;padding:0 8px 6px"


@dataclass(frozen=True)
class Picture:
    """One thing, shown twice: its `str` is text for a terminal, and Jupyter draws its HTML."""

    text: str
    html: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.html


def funnel_html(funnel: pl.DataFrame) -> str:
    """Rows in, rows out and why, a line for each step, with a bar as long as the share of rows that came out.

    Columns: step, role, rows_in, rows_out, born, dropped, reasons (list of {why, rows}).
    """
    steps = funnel.to_dicts()
    most = max((max(s["rows_in"], s["rows_out"]) for s in steps), default=0) or 1
    lines = []
    for s in steps:
        width = 100 * s["rows_out"] / most
        bar = f"<div style='width:{width:.1f}%;min-width:1px;height:.8em;background:{BLUE}'></div>"
        why = "<br>".join(f"{r['rows']:,} {escape(r['why'] or '')}" for r in s["reasons"] or ())
        numbers = [f"{s[c]:,}" for c in ("rows_in", "born", "dropped", "rows_out")]
        lines.append(
            [escape(s["step"]), escape(s["role"]), *numbers, f"<div style='width:9em'>{bar}</div>", why]
        )
    return table_html(
        ["step", "role", "rows in", "born", "dropped", "rows out", "", "why"], lines, "llrrrrll"
    )


def plan_html(plan: Mapping[str, Any]) -> str:
    """What each step would ask and cost; `plan` is a plan's plain JSON. A null is shown as nothing known."""
    lines, priced = [], any(s.get("usd") is not None for s in plan["steps"])
    for i, s in enumerate(plan["steps"], 1):
        bound = "≤ " if s["at_most"] else ""
        asks = bool(s["new"])
        lines.append([
            str(i), escape(s["name"]), escape(s["role"]), bound + _number(s["rows"]), _number(s["known"]),
            (bound if asks else "") + _number(s["new"]),
            ("~" + _number(s["tokens"]) if s["tokens"] is not None else "?") if asks else "",
            (f"~{s['seconds']:,.0f} s" if s["seconds"] is not None else "?") if asks else "",
            *([f"~{s['usd']:,.2f}" if asks and s["usd"] is not None else ""] if priced else []),
            escape(", ".join(s["columns"])),
        ])  # fmt: skip
    head = [
        "",
        "step",
        "role",
        "rows",
        "known",
        "new",
        "tokens",
        "time",
        *(["USD"] if priced else []),
        "writes",
    ]
    return f"<div>{plan['read']:,} rows read</div>" + table_html(
        head, lines, "r" + "l" * 2 + "r" * (len(head) - 4) + "l"
    )


def trace_html(row: Mapping[str, Any], spans: Spans | None = None) -> str:
    """One trace: where it comes from, its texts with `spans` in colour, and every verdict on it.

    Without `spans`, the row's span columns with labels are drawn. Of overlapping spans the shortest gives the
    colour; all of them are named when the mouse rests there.
    """
    found = spans_of(row) if spans is None else list(spans)
    colours = _colours(found)
    parts = [f"<div style='opacity:.7'>{escape(origin(row))}</div>"]
    if colours:
        parts.append(legend(colours))
    for name in TEXTS:
        if row.get(name) is not None:
            mine = [s for s in found if s["field"] == name]
            parts.append(f"<b>{name}</b><div style='{BOX}'>{_coloured(row[name], mine, colours)}</div>")
    parts += [f"<div>{escape(line)}</div>" for line in judged(row)]
    return f"<div style='border-left:3px solid {BLUE};padding-left:8px'>{''.join(parts)}</div>"


def trace_text(
    row: Mapping[str, Any], spans: Spans | None = None, paint: Callable[[str, str], str] | None = None
) -> str:
    """The same as plain text; a stretch with a label is written ⟦label: stretch⟧, or as `paint` says."""
    found = spans_of(row) if spans is None else list(spans)
    mark = paint or (lambda label, stretch: f"⟦{label}: {stretch}⟧")
    lines = [origin(row)]
    for name in TEXTS:
        if row.get(name) is not None:
            pieces = _pieces(row[name], [s for s in found if s["field"] == name])
            lines.append(
                f"{name}: "
                + "".join(mark(c[0]["label"], t) if c and c[0]["label"] is not None else t for t, c in pieces)
            )
    return "\n".join([*lines, *judged(row)])


def _coloured(text: str, spans: Spans, colours: Mapping[str, str]) -> str:
    out = []
    for piece, cover in _pieces(text, spans):
        if not cover:
            out.append(escape(piece))
            continue
        title = ", ".join(_label(s) + ("" if s["value"] is None else f" {s['value']:.3g}") for s in cover)
        style = colours[_label(cover[0])]
        out.append(f"<span style='{style}' title='{escape(title)}'>{escape(piece)}</span>")
    return "".join(out)


def _pieces(text: str, spans: Spans) -> Iterator[tuple[str, Spans]]:
    """The text cut wherever a span starts or ends, each piece with the spans over it, the shortest first."""
    edges = sorted({0, len(text), *(min(max(s[e], 0), len(text)) for s in spans for e in ("start", "end"))})
    opening = sorted(spans, key=lambda s: s["start"])
    over: list[Mapping[str, Any]] = []
    for start, end in zip(edges, edges[1:], strict=False):
        while opening and opening[0]["start"] <= start:
            over.append(opening.pop(0))
        over = [s for s in over if s["end"] > start]
        yield text[start:end], sorted(over, key=lambda s: s["end"] - s["start"])


def spans_of(row: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The spans of the row's columns; those without a label (tokens, sentences) only where none has one."""
    lists = [v for v in row.values() if isinstance(v, list) and v and isinstance(v[0], Mapping)]
    spans = [span for spans in lists if set(spans[0]) == SPAN_FIELDS for span in spans]
    return [s for s in spans if s["label"] is not None] or spans


def legend(styles: Mapping[str, str]) -> str:
    """Every label in its style."""
    chips = (f"<span style='{style};padding:0 6px;margin-right:6px'>{escape(label)}</span>"
             for label, style in styles.items())  # fmt: skip
    return f"<div>{''.join(chips)}</div>"


def printable(text: str) -> str:
    """For a terminal: what cannot be printed is a space."""
    return "".join(c if c.isprintable() else " " for c in text)


def _label(span: Mapping[str, Any]) -> str:
    return span["label"] or "span"


def _colours(spans: Spans) -> dict[str, str]:
    """A style for each label: an origin's own, for others in the order in which they appear."""
    labels = dict.fromkeys(_label(s) for s in spans)
    found = {label: ORIGINS[label][1] for label in labels if label in ORIGINS}
    free = cycle([style for style in map(shade, HUES) if style not in found.values()])
    return {label: found[label] if label in found else next(free) for label in labels}


def origin(row: Mapping[str, Any]) -> str:
    """A line on where a trace comes from, and why it was set aside if it was."""
    ids = " · ".join(str(row[c]) for c in ("trace_id", "model", "source", "source_id") if row.get(c))
    if row.get("why") == SAMPLED and row.get("response") is None:
        return f"{ids} · a problem that was sampled: its traces are rows of their own"
    return ids + (f" · dropped by {row['dropped_by']}: {row['why']}" if row.get("dropped_by") else "")


def judged(row: Mapping[str, Any]) -> Iterator[str]:
    """A line for each verdict on a trace."""
    for name, value in row.items():
        if isinstance(value, Mapping) and set(value) == VERDICT_FIELDS:
            yield f"{name}: {MARKS[value['passed']]} ({value['why']}; found {value['extracted']!r})"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def table_html(head: Sequence[str], lines: Sequence[Sequence[str]], sides: str) -> str:
    """A table of cells that are HTML already; sides: `l` or `r` for each column."""
    styles = [CELL.format("left" if side == "l" else "right") for side in sides]
    top = "".join(f"<th style='{style}'>{cell}</th>" for cell, style in zip(head, styles, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td style='{s}'>{c}</td>" for c, s in zip(line, styles, strict=True)) + "</tr>"
        for line in lines
    )
    return (
        f"<table style='border-collapse:collapse'><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )
