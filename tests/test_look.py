"""What look shows of revised traces: a child beside its parent, and the search in a trace, lose nothing."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate
from curate.beside import _cells, beside
from curate.cli import main
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.look import diff, look, tree
from curate.rewriters.retro_search import RetroSearch
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.rollout import End
from curate.run import Run
from curate.schema import ROW
from curate.searched import ENDS, search_tree
from curate.verifiers.math_equal import MathEqual


class Columns(HTMLParser):
    """The text in the cells of each table's two columns, and what is in each style."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tables: list[list[str]] = []
        self.titled: dict[str, str] = {}
        self.cell, self.title = -1, None  # type: tuple[int, str | None]
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "tbody":
            self.tables.append(["", ""])
        elif tag == "tr":
            self.cell = -1
        elif tag == "td":
            self.cell += 1
        elif tag == "span":
            self.title = dict(attrs).get("title")

    def handle_endtag(self, tag: str) -> None:
        self.title = None if tag == "span" else self.title
        self.cell = -1 if tag == "tbody" else self.cell

    def handle_data(self, data: str) -> None:
        if self.cell >= 0:
            self.tables[-1][self.cell] += data
        if self.title:
            self.titled[self.title] = self.titled.get(self.title, "") + data


words = st.sampled_from(
    ["So ", "it <b> is. ", "Wait, no.\n\n", "18&amp;", " ", "\n", "十八。", "é" * 30, "\x1b[0m"]
)
texts = st.lists(words, max_size=12).map("".join)


def span(start: int, end: int, label: str, field: str = "thinking") -> dict[str, Any]:
    return {"field": field, "start": start, "end": end, "label": label, "value": None}


owned = st.lists(st.builds(span, st.integers(0, 60), st.integers(0, 60), st.sampled_from("ab")), max_size=3)


def pair(thinking: str, became: str, spans: Any = None) -> tuple[dict[str, Any], dict[str, Any]]:
    parent = dict.fromkeys(ROW) | {"trace_id": "p0", "dropped_by": "a_rewriter", "thinking": thinking}
    return parent, dict.fromkeys(ROW) | {"trace_id": "c0", "thinking": became, "spans": spans}


@settings(deadline=None)
@given(texts, texts, owned)
def test_the_columns_of_the_picture_are_parent_and_child_byte_for_byte(
    before: str, after: str, spans: list[dict[str, Any]]
) -> None:
    page = Columns(beside(*pair(before, after, spans)).html)
    assert page.tables == ([[before, after]] if before or after else [])


@settings(deadline=None)
@given(texts, texts, owned, st.integers(20, 90))
def test_the_columns_of_a_terminal_hold_every_word_and_fit_its_width(
    before: str, after: str, spans: list[dict[str, Any]], width: int
) -> None:
    text = beside(*pair(before, after, spans), colour=True, width=width).text
    lines = re.sub("\x1b\\[\\d+m", "", text).split("\n")
    sides = [line.partition("│") for line in lines if "│" in line]
    assert all(sum(map(_cells, "".join(side))) <= width for side in sides)
    for shown, was in ((0, before), (2, after)):
        found = "".join(side[shown].removeprefix(" " if shown else "")[1:] for side in sides)
        assert "".join(found.split()) == "".join(was.replace("\x1b", "").split())


def test_long_stretches_are_counted_in_a_terminal_and_whole_in_the_picture() -> None:
    same, cut, new = "It is so. " * 100, "Wait, why? " * 200, "But then. " * 300
    shown = beside(*pair(same + cut, same + new, [span(1_000, 4_000, "reviser")]))
    told = "thinking: 3,200 → 4,000 characters, 1,000 the same, 2,200 cut, 3,000 new by reviser"
    assert told in shown.text and told in shown.html
    for left_out in (600, 700, 3_000 - 1 + len("⟦reviser: ⟧") - 1_500):
        assert f"[… {left_out:,} characters not shown …]" in re.sub(r"\n[-+ ] | │[-+ ]*", " ", shown.text)
    page = Columns(shown.html)
    assert page.tables == [[same + cut, same + new]]
    assert page.titled == {"cut": cut, "new by reviser": new}


def test_every_owner_has_a_colour_and_a_name() -> None:
    after = "One two. From outside. Then more."
    spans = [span(0, 9, "parent"), span(9, 23, "injected"), span(23, 33, "engine")]
    parent, child = pair("One two. Three four.", after, spans)
    shown = beside(parent, child)
    assert shown.text.split("\n") == [
        "c0",
        "made of p0 by a_rewriter",
        "thinking: 20 → 33 characters, 9 the same, 11 cut, 14 new by injected, 10 new by engine",
        "  One two." + " " * 38 + " │   One two.",
        "- Three four." + " " * 35 + " │ + ⟦injected: From outside.⟧",
        " " * 48 + " │ + ⟦engine: Then more.⟧",
    ]
    assert Columns(shown.html).titled == {
        "cut": "Three four.",
        "new by injected": "From outside. ",
        "new by engine": "Then more.",
    }
    painted = beside(parent, child, colour=True).text
    for code, text in ((31, "cut"), (32, "new by injected"), (34, "new by engine"), (32, "From outside. ")):
        assert f"\x1b[{code}m{text}" in painted, text
    assert "⟦" not in painted and str(shown) == shown.text and shown._repr_html_() == shown.html


THINKING = "It is 18.\n\nWait, is it 8?\n\nI check.\n\nBut no.\n\nIt is 18, surely.\n\nSo it is.\n\nYes."


def says(messages: list[dict[str, str]], prefix: str) -> str:
    """Wanders off at the first change of thought, and is sure at the second."""
    if "</think>" in prefix:
        return "\n\nIt is \\boxed{18}."
    return "I am sure.\n</think>" if "I check." in prefix else "It goes on.\n\n" * 9


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One trace revised, one in which there was nothing to search, one that is wrong."""
    thoughts, answers = [THINKING, "It is 10.", THINKING], ["18", "10", "5"]
    rows = pl.DataFrame({"question": ["9 + 9?", "1 + 9?", "2 + 3?"], "thinking": thoughts, "answer": answers})
    rows = rows.with_columns(response=pl.concat_str(pl.lit("It is \\boxed{"), "answer", pl.lit("}.")))
    rows = rows.with_columns(answer=pl.Series(["18", "10", "6"]))
    steps = [RetroSearch(Scripted(script=says), MathEqual(), n_rollouts=2), MathEqual()]
    return curate.Pipeline(curate.read(rows), steps).run(tmp_path_factory.mktemp("searched") / "run")


def test_a_search_is_a_tree_of_places_and_rollouts(searched: Run) -> None:
    [row] = searched.traces.filter(pl.col("retro_events").list.len() > 0).collect().to_dicts()
    shown = tree(searched)
    head, told, names, *lines = shown.text.split("\n")
    assert head == row["trace_id"] and names == "  steps  calls  tokens in  tokens out  discarded"
    assert told == (
        "revised, reviser scripted: 7 → 4 steps, 3 → 2 thoughts; 72 tokens of 4 rollouts, 1 accepted"
    )
    assert [line[len(names) :] for line in lines] == [
        "  ├─ step 2: Wait, is it 8? I check. But no. It is…",
        "  │  ├─ ✗ never came to the end of its thinking",
        "  │  └─ ✗ never came to the end of its thinking",
        "  └─ step 4: But no. It is 18, surely. So it is. Y…",
        "     ├─ ✓ accepted: 4 steps now",
        "     └─ ✗ right, another was taken",
    ]
    numbers = [[int(n) for n in line[: len(names)].split()] for line in lines]
    assert numbers == [[6], *[[10, 2, 17, 30, 0]] * 2, [4], *[[1, 2, 30, 6, 0]] * 2]
    for said in ("✓ accepted: 4 steps now", "title='I am sure.", "revised, reviser scripted: 7 → 4 steps"):
        assert said in shown.html
    assert sum(n[3] for n in numbers if n[1:]) == row["retro"]["rollout_tokens"]
    assert "\x1b[32m      1" in tree(searched, colour=True).text
    assert tree(searched, trace=row["parent_id"][:9]).text == shown.text, "a parent's id names its child"


def test_every_end_of_a_rollout_has_words() -> None:
    assert set(ENDS) == set(End.__args__) - {"stop"}
    event = {"iteration": 0, "attempt": 0, "cursor_step": 3, "remaining_steps": 2, "untaken": "<b>Wait",
             "accepted": False, "passed": None, "why": None, "end": "stop", "steps": 2, "calls": 1,
             "prompt_tokens": 1_000, "output_tokens": 1, "discarded_tokens": 0, "first_step": ""}  # fmt: skip
    kinds = [
        ({"why": "timeout"}, "✗ unverified: timeout"),
        ({"passed": False, "why": "different"}, "✗ wrong: different"),
        ({"passed": True}, "✗ right, not shorter"),
        *(({"end": end}, f"✗ {words}") for end, words in ENDS.items()),
    ]
    retro = {"status": "kept", "reviser": "r", "rollouts": len(kinds), "accepted": 0, "rollout_tokens": 9,
             "steps_before": 5, "steps_after": 5, "thoughts_before": 2, "thoughts_after": 2,
             "tokens_before": 70, "tokens_after": 70}  # fmt: skip
    events = [event | {"iteration": i} | change for i, (change, _) in enumerate(kinds)]
    shown = search_tree({"trace_id": "t", "retro": retro, "retro_events": events[::-1]})
    said = [line.partition("└─ ")[2] for line in shown.text.split("\n") if "✗" in line]
    assert said == [words for _, words in kinds]
    assert "kept, reviser r: 5 → 5 steps, 2 → 2 thoughts, 70 → 70 tokens; 9 tokens of 11" in shown.text
    assert "step 4: &lt;b&gt;Wait<" in shown.html and "<b>" not in shown.html and "1,000" in shown.text


def test_where_nothing_was_searched_the_tree_says_why(searched: Run) -> None:
    ids = dict(searched.traces.select("question", "trace_id").collect().rows())
    assert tree(searched, trace=ids["1 + 9?"]).text.endswith(
        "single_thought, reviser scripted: nothing was tried"
    )
    assert tree(searched, trace=ids["2 + 3?"]).text.endswith(
        "skipped_incorrect, reviser scripted: nothing was tried"
    )


def test_a_child_stands_beside_its_parent(searched: Run) -> None:
    [row] = searched.traces.filter(pl.col("parent_id").is_not_null()).collect().to_dicts()
    shown = diff(searched)
    assert Columns(shown.html).tables[0] == [THINKING, row["thinking"]]
    assert "⟦reviser: I am sure.⟧" in shown.text and "math_equal: passed" in shown.text
    for begins in (row["trace_id"], row["parent_id"][:8]):
        assert diff(searched, trace=begins).text == shown.text
    found = look(searched, trace=row["parent_id"]).text
    assert row["trace_id"] in found and "rewritten" in found


def test_a_child_that_was_dropped_is_shown_on_request_and_whoever_has_no_parent_is_counted(
    searched: Run, tmp_path: Path
) -> None:
    thinking = "So the answer is 14.\n\nWait, is it? Yes, it is."
    row = {"question": "q", "answer": "14", "thinking": thinking, "response": r"\boxed{14}"}
    steps = [MathEqual(), TrimAfterAnswer()]
    one = curate.Pipeline(curate.read(pl.DataFrame([row])), steps).run(tmp_path / "one")
    children = pl.concat([one.traces.collect(), searched.traces.collect()], how="diagonal_relaxed")
    children.write_parquet(tmp_path / "one" / "live.parquet")
    shown = diff(one)
    assert "by trim_after_answer" in shown.text and "1 more were made of traces that are not in" in shown.text
    assert Columns(shown.html).tables[0] == [thinking, "So the answer is 14."]
    with pytest.raises(
        UserError, match="no dropped trace that a rewriter made; 2 are live: look at them witho"
    ):
        diff(one, dropped=True)
    [parent] = one.dropped.filter(pl.col("why") == "rewritten").collect()["trace_id"]
    with pytest.raises(UserError, match=f"a rewriter made of '{parent}'; 1 are live: look at them without"):
        diff(one, dropped=True, trace=parent)
    gone = children.with_columns(dropped_by=pl.lit("failed"), why=pl.lit("different"))
    dropped = pl.concat([one.dropped.collect(), gone], how="diagonal_relaxed")
    dropped.write_parquet(tmp_path / "one" / "dropped.parquet")
    children.clear().write_parquet(tmp_path / "one" / "live.parquet")
    with pytest.raises(
        UserError, match="no live trace that a rewriter made; 2 are dropped: look at them with -"
    ):
        diff(one)
    shown = diff(one, dropped=True)
    assert "dropped by failed: different" in shown.text
    assert Columns(shown.html).tables[0] == [thinking, "So the answer is 14."]


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in argv])
    err = capsys.readouterr().err
    assert stop.value.code == 2 and err.startswith("curate: ") and err.count("\n") == 1, err
    return err


def test_what_cannot_be_shown_is_one_sentence(
    searched: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = searched.folder
    rows = pl.DataFrame({"question": ["q"], "answer": ["1"], "response": ["1"]})
    plain = curate.Pipeline(curate.read(rows), []).run(tmp_path / "plain")
    again = curate.Pipeline(curate.read(str(folder / "live.parquet")), []).run(tmp_path / "again")
    capsys.readouterr()
    assert "has no live trace that a rewriter made; put a rewriter into the pipeline" in refused(
        capsys, "look", plain.folder, "--diff"
    )
    assert "has no column retro_events; put RetroSearch(...) into" in refused(
        capsys, "look", plain.folder, "--tree"
    )
    for picture in ("--diff", "--tree", "--provenance"):
        assert "has no trace whose id begins with 'nobody'" in refused(
            capsys, "look", folder, picture, "--trace", "nobody"
        )
    said = refused(capsys, "look", folder, "--dropped", "--trace", "nobody")
    assert f"curate sql {folder} 'select trace_id from dropped'" in said
    [wrong] = searched.traces.filter(pl.col("question") == "2 + 3?").collect().to_dicts()
    assert "no rewriter of" in refused(capsys, "look", folder, "--diff", "--trace", wrong["trace_id"])
    [child] = searched.traces.drop_nulls("parent_id").collect().to_dicts()
    said = refused(capsys, "look", again.folder, "--diff", "--trace", child["trace_id"])
    assert f"has no trace {child['parent_id']!r}, of which {child['trace_id']!r} was made" in said
    assert "no dropped trace that was searched" in refused(capsys, "look", folder, "--tree", "--dropped")
    assert "are different pictures; ask for one" in refused(capsys, "look", folder, "--tree", "--diff")
    assert "k=0 traces cannot be shown" in refused(capsys, "look", folder, "--tree", "-k", "0")


def test_the_command_prints_both(
    searched: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    main(["look", str(searched.folder), "--diff"])
    out = capsys.readouterr().out
    assert "│ + ⟦reviser: I am sure.⟧" in out and "\x1b" not in out
    assert max(len(line) for line in out.split("\n") if "│" in line) <= 60
    main(["look", str(searched.folder), "--tree"])
    assert "✓ accepted: 4 steps now" in capsys.readouterr().out
