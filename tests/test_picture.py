"""A picture shows every character it was given, and no text of a trace becomes markup."""

from __future__ import annotations

from html.parser import HTMLParser
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from some_traces import FUNNEL, rows

from curate.picture import ORIGINS, _coloured, _colours, funnel_html, plan_html, trace_html, trace_text
from curate.scores.provenance import THREE, TWO


class Page(HTMLParser):
    """The text of a page, its tags, and for each span its style, its title and what it holds."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text, self.tags, self.spans, self.open = "", [], [], []  # type: ignore[var-annotated]
        self.feed(html)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "br":
            self.open.append(tag)
        if tag == "span":
            self.spans.append([dict(attrs).get("style"), dict(attrs).get("title"), ""])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "span":
            self.spans[-1][2] += data


def span(start: int, end: int, label: str | None = "a", field: str = "thinking", value: float | None = None):  # type: ignore[no-untyped-def]
    return {"field": field, "start": start, "end": end, "label": label, "value": value}


texts = st.text(st.sampled_from("ab <>&'\"\n𝛼é"), min_size=0, max_size=30)
edges = st.integers(-3, 40)
labels = st.sampled_from(["a", "b", "<b>", None])


@settings(deadline=None)
@given(texts, st.lists(st.builds(span, edges, edges, labels), max_size=6))
def test_every_character_is_shown_whatever_the_spans(text: str, spans: list[dict]) -> None:  # type: ignore[type-arg]
    page = Page(_coloured(text, spans, _colours(spans)))
    assert page.text == text
    assert set(page.tags) <= {"span"}
    covered = {i for s in spans for i in range(max(s["start"], 0), min(s["end"], len(text)))}
    assert sum(len(s[2]) for s in page.spans) == len(covered)


def test_the_shortest_of_overlapping_spans_gives_the_colour() -> None:
    spans = [span(0, 10, "outer"), span(4, 6, "inner", value=0.25)]
    colours = _colours(spans)
    outer, inner, again = Page(_coloured("0123456789", spans, colours)).spans
    assert [outer[2], inner[2], again[2]] == ["0123", "45", "6789"]
    assert outer[0] == again[0] == colours["outer"] != inner[0] == colours["inner"]
    assert inner[1] == "inner 0.25, outer"


def test_an_origin_has_one_colour_in_every_trace_and_it_is_the_terminals() -> None:
    assert set(ORIGINS) == {*TWO, *THREE}
    spans = {label: span(0, 1, label) for label in ("repair", *ORIGINS, "idle")}
    colours = _colours([*spans.values()])
    assert _colours([*spans.values()][::-1]).items() >= {o: colours[o] for o in ORIGINS}.items()
    assert all(_colours([spans[o]]) == {o: colours[o]} for o in ORIGINS)
    for one, other in combinations(colours, 2):
        alike = one in ORIGINS and other in ORIGINS and ORIGINS[one][0] == ORIGINS[other][0]
        assert (colours[one] == colours[other]) is alike, (one, other)


def test_a_trace_draws_its_own_span_columns_and_verdicts() -> None:
    row = {**rows()[1], "thinking": "one <b> two", "thoughts": [span(0, 3, "idle"), span(8, 11, "repair")]}
    row |= {"dropped_by": "failed", "why": "different"}
    page = Page(trace_html(row))
    assert (
        "b" in page.tags and page.tags.count("b") == 4
    )  # the names of the four texts, not the trace's own <b>
    assert [s[2] for s in page.spans] == ["idle", "repair", "one", "two"]  # the legend first
    for said in (
        "one <b> two",
        "math_equal: failed (equal; found '1')",
        "dropped by failed: different",
        "t00001",
    ):
        assert said in page.text, said
    assert Page(trace_html(row, spans=[])).spans == []


def test_a_trace_as_text() -> None:
    row = {**rows()[1], "thinking": "one two"}
    text = trace_text(row, [span(4, 7, "repair"), span(0, 3, "x", field="answer")])
    assert "thinking: one ⟦repair: two⟧\n" in text and "answer: ⟦x: 2⟧\n" in text
    assert "math_equal: failed (equal; found '1')" in text


def test_a_problem_without_a_trace_is_drawn() -> None:
    row = {**rows()[0], "thinking": None, "response": None, "math_equal": None}
    assert "What is 0 + 1?" in Page(trace_html(row)).text and "thinking" not in trace_text(row)


def test_the_funnel_shows_every_step_and_reason() -> None:
    page = Page(funnel_html(FUNNEL))
    assert page.tags.count("tr") == 3
    for said in ("could not be read", "6 different | <!-- curate:end -->", "18", "filter"):
        assert said in page.text, said
    assert "width:90.0%" in funnel_html(FUNNEL) and "width:60.0%" in funnel_html(
        FUNNEL
    )  # of the 20 rows read
    assert "<td" not in funnel_html(FUNNEL.clear())


def test_a_plan_says_what_is_known_and_what_is_not() -> None:
    step = {"name": "sample", "role": "sample", "columns": ["model"], "rows": 4, "at_most": False}
    free = step | {"name": "length<band", "known": None, "new": None, "tokens": None, "seconds": None}
    paid = step | {"known": 3, "new": 1_000, "tokens": 12_345, "seconds": 7.4}
    bound = step | {"at_most": True, "known": 0, "new": 8, "tokens": None, "seconds": None}
    page = Page(plan_html({"read": 4, "steps": [free, paid, bound]}))
    for said in ("4 rows read", "length<band", "1,000", "~12,345", "~7 s", "≤ 8", "?"):
        assert said in page.text, said
    assert "?" not in Page(plan_html({"read": 4, "steps": [free, paid]})).text
