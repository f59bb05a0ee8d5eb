"""The search in one trace, as a tree: each place where something else was tried, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any, NamedTuple

from curate.picture import BLUE, Picture, origin, printable, table_html
from curate.revision import UNTAKEN

HEAD = ("steps", "calls", "tokens in", "tokens out", "discarded")
ENDS = {
    "length": "ran into its limit",
    "dominated": "broken off, could not be shorter any more",
    "loop": "said one thing again and again",
    "unclosed": "never came to the end of its thinking",
    "other_tags": "has a think tag too many",
    "no_step": "no first step without a change of thought",
    "no_room": "the context holds no more",
    "refused": "the server does not take it",
}
"""Why a rollout that did not end by itself did end."""

Event = Mapping[str, Any]


class Line(NamedTuple):
    """A line of the tree. accepted: of a rollout, None of a place. title: how the rollout began."""

    branch: str
    said: str
    numbers: tuple[str, ...]
    accepted: bool | None = None
    title: str = ""


def search_tree(row: Mapping[str, Any], *, colour: bool = False) -> Picture:
    """What the columns `retro` and `retro_events` of a trace hold: every step at which it would have changed
    its mind, with the rollouts that tried something else there.

    steps: behind such a step, how many the trace had from there on; behind a rollout, its own. Tokens are
    what was paid; those of first steps that had to be drawn again are counted among them, and beside them.
    """
    lines, told = list(_lines(row["retro_events"] or ())), [origin(row), _summary(row["retro"])]
    text = [*told, _columns(HEAD)] if lines else told
    for line in lines:
        said = f"{_columns(line.numbers)}  {line.branch}{printable(line.said)}"
        painted = colour and line.accepted is not None
        text.append(f"\x1b[{32 if line.accepted else 31}m{said}\x1b[0m" if painted else said)
    cells = [[_html(line), *line.numbers] for line in lines]
    html = "".join(f"<div>{escape(line)}</div>" for line in told)
    return Picture("\n".join(text), html + (table_html(["", *HEAD], cells, "l" + "r" * 5) if lines else ""))


def _columns(numbers: Sequence[str]) -> str:
    return "".join(f"{number:>{len(name) + 2}s}" for name, number in zip(HEAD, numbers, strict=True))


def _summary(retro: Mapping[str, Any]) -> str:
    """What the search has come to. Tokens of the thinking are told where the search counts in them."""
    status, rollouts = f"{retro['status']}, reviser {retro['reviser']}", retro["rollouts"]
    if not rollouts:
        return f"{status}: nothing was tried"
    units = [unit for unit in ("steps", "thoughts", "tokens") if retro[f"{unit}_before"] is not None]
    lengths = [f"{retro[f'{unit}_before']:,} → {retro[f'{unit}_after']:,} {unit}" for unit in units]
    spent = f"{retro['rollout_tokens']:,} tokens of {rollouts:,} rollouts, {retro['accepted']:,} accepted"
    return f"{status}: {', '.join(lengths)}; {spent}"


def _lines(events: Sequence[Event]) -> Iterator[Line]:
    ordered = sorted(events, key=lambda e: (e["iteration"], e["attempt"]))
    places = [list(tries) for _, tries in groupby(ordered, key=lambda e: e["iteration"])]
    for tries in places:
        corner, trunk = ("└─ ", "   ") if tries is places[-1] else ("├─ ", "│  ")
        begins = tries[0]["untaken"]
        said = " ".join(begins.split()) + ("…" if len(begins) == UNTAKEN else "")
        numbers = (f"{tries[0]['remaining_steps']:,}", "", "", "", "")
        yield Line(corner, f"step {tries[0]['cursor_step'] + 1:,}: {said}", numbers)
        for e in tries:
            paid = (e[c] for c in ("steps", "calls", "prompt_tokens", "output_tokens", "discarded_tokens"))
            branch = trunk + ("└─ " if e is tries[-1] else "├─ ")
            yield Line(branch, _came_to(e, tries), tuple(f"{n:,}" for n in paid), e["accepted"],
                       e["first_step"])  # fmt: skip


def _came_to(e: Event, tries: Sequence[Event]) -> str:
    """What a rollout has come to, in words."""
    if e["accepted"]:
        return f"✓ accepted: {e['cursor_step'] + e['steps']:,} steps now"
    if e["end"] != "stop":
        return f"✗ {ENDS[e['end']]}"
    if not e["passed"]:
        return f"✗ {'unverified' if e['passed'] is None else 'wrong'}: {e['why']}"
    return "✗ right, another was taken" if any(t["accepted"] for t in tries) else "✗ right, not shorter"


def _html(line: Line) -> str:
    """The first cell of a line; an accepted one is lit."""
    style = f";background:{BLUE}" if line.accepted else ""
    branch = f"<span style='white-space:pre;font-family:monospace'>{line.branch}</span>"
    return (
        f"{branch}<span style='padding:0 4px{style}' title='{escape(line.title)}'>{escape(line.said)}</span>"
    )
