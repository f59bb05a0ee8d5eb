"""Three stages of distribution-aligned distillation, and who wrote which characters of a mixed trace."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import TooLong, UserError
from curate.methods.distribution_aligned import distribution_aligned
from curate.rewriters.student_prefix import StudentPrefix, owned
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.text import split_thinking
from curate.verifiers.judge import Judge
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"


@given(
    thinking=st.text(alphabet="ab \n", min_size=1).filter(str.strip),
    response=st.text(alphabet="cd \n"),
    share=st.floats(0, 1),
)
def test_the_owners_tile_the_texts(thinking: str, response: str, share: float) -> None:
    whole = f"<think>\n{thinking}\n</think>\n\n{response}"
    begun = whole[: int(share * len(whole))]
    found = split_thinking(whole)
    spans = list(owned(begun, found.thought, found.response))
    for name, text in (("thinking", found.thinking), ("response", found.response)):
        mine = [s for s in spans if s["field"] == name]
        assert "".join(text[s["start"] : s["end"]] for s in mine) == text
        assert [s["label"] for s in mine] in (["student"], ["teacher"], ["student", "teacher"], [])
    written = sum(s["end"] - s["start"] for s in spans if s["label"] == "student")
    assert written <= len(begun)


def rambling(messages: Any) -> str:
    return "<think>" + " ".join(f"w{i}" for i in range(40)) + "</think>done"


def concise(messages: Any, prefix: str) -> str:
    return " so it is 4.</think>4" if prefix else "<think>2 + 2 = 4 at once</think>4"


def checking(messages: Any) -> str:
    return " the answer is 4.\n\nWait, is it? Yes, it is.</think>4"


def ask(step: StudentPrefix, row: dict[str, Any]) -> Any:
    async def go() -> Any:
        async with step.engine, step.student:
            return await step.ask({c: row.get(c) for c in step.columns})

    return asyncio.run(go())


def test_the_teacher_goes_on_where_the_student_was_cut() -> None:
    row = dict(question="2 + 2?", output_tokens=8)
    teacher, student = Scripted(model="t", script=concise), Scripted(model="s", script=rambling)
    found = [ask(StudentPrefix(teacher, student, seed=seed), row) for seed in range(8)]
    cuts = set()
    for text, record, events in found:
        assert text and record == {"why": None} and [e["role"] for e in events] == ["student", "teacher"]
        first, second, last = text.spans
        assert (first["label"], second["label"], last["label"]) == ("student", "teacher", "teacher")
        assert text.response == "4" and text.thinking.endswith("so it is 4.")
        head = text.thinking[: first["end"]]
        assert rambling([])[len("<think>") :].startswith(head.rstrip())
        # 12 words of the student, and so the cut stands behind the sixth or later
        assert 5 <= len(head.split()) <= 12
        cuts.add(first["end"])
    assert len(cuts) > 1
    with pytest.raises(UserError, match="cap=0"):
        StudentPrefix(teacher, student, cap=0)
    with pytest.raises(UserError, match="give one that needs no model"):
        StudentPrefix(teacher, student, verifier=Judge(teacher))


@pytest.mark.parametrize("said", ["<think>a", "<think>ab cd", "<think>a\n</think>\n\nb cd", "ab cd"])
def test_the_cut_falls_within_what_the_student_said_and_not_into_a_tag(said: str) -> None:
    begun: list[str] = []

    def going_on(messages: Any, prefix: str) -> str:
        begun.append(prefix)
        return " so it is 4.</think>4"

    teacher, student = Scripted(model="t", script=going_on), Scripted(model="s", script=[f"{said} more"])
    for seed in range(12):
        ask(
            StudentPrefix(teacher, student, cap=1.0, seed=seed),
            dict(question="?", output_tokens=len(said.split())),
        )
    whole = split_thinking(said)
    for prefix in begun:
        mine = split_thinking(prefix)
        cut, text = mine.thinking + mine.response, whole.thinking + whole.response
        assert bool(mine.opening) == bool(whole.opening), prefix
        assert text.startswith(cut) and 2 * len(cut) >= len(text), prefix
    assert len(begun) == 12


FAULTS = {
    "it thinks anew": ("<think>anew</think>4", "thinks_again: <think>"),
    "it thinks anew in other tags": (" [THINK]x[/THINK]</think>4", "thinks_again: [THINK]"),
    "it never closes its thinking": (" never closed, it is 4", "unclosed_thinking: "),
    "it answers nothing": (" so it is.</think>\n", "unclosed_thinking: "),
    "it comes to no end": (" so it is 4.</think>4" + " and on" * 20, "truncated: "),
    "it is wrong": (" so it is 5.</think>\\boxed{5}", "wrong: different"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_teacher_that_does_not_go_on_well_leaves_the_trace_with_reason_and_text(fault: str) -> None:
    said, why = FAULTS[fault]
    row = dict(question="2 + 2?", output_tokens=8, answer="4")
    teacher = Scripted(model="t", script=[said], max_tokens=9)
    step = StudentPrefix(teacher, Scripted(model="s", script=rambling), verifier=MathEqual())
    child, record, events = ask(step, row)
    assert child is None and record["why"].startswith(why), record["why"]
    assert events[-1]["role"] == "teacher" and said.startswith(events[-1]["text"])
    assert events[0]["text"].startswith("<think>w0 w1") and events[0]["output_tokens"] == 12


def test_where_nobody_is_cut_the_trace_stays_and_says_why() -> None:
    def narrow(messages: Any, prefix: str) -> str:
        raise TooLong("the prompt has 9 tokens")

    teacher, student = Scripted(model="t", script=concise), Scripted(model="s", script=rambling)
    row = dict(question="2 + 2?", output_tokens=8)
    brief = Scripted(model="s", script=["<think>short</think>4"])
    for step, more, why, calls in (
        (StudentPrefix(teacher, brief), {}, "own_end: ", 1),
        (StudentPrefix(teacher, student), dict(output_tokens=None), "uncounted: ", 0),
        (StudentPrefix(teacher, Scripted(model="s", script=[" " * 99 + "w w"]), cap=0.1), {}, "no_prefix", 1),
        (StudentPrefix(teacher, Scripted(model="s", script=["<think>\n  w w"]), cap=0.1), {}, "no_prefix", 1),
        (StudentPrefix(Scripted(model="t", script=narrow), student), {}, "no_room: the prompt has 9", 1),
    ):
        child, record, events = ask(step, {**row, **more})
        assert child is None and record["why"].startswith(why) and len(events) == calls, record["why"]


def test_as_published_no_answer_is_verified_and_none_can_be_without_a_gold() -> None:
    said = Scripted(model="t", script=[" so it is 5.</think>\\boxed{5}"])
    student = Scripted(model="s", script=rambling)
    row = dict(question="2 + 2?", output_tokens=8)
    assert ask(StudentPrefix(said, student), {**row, "answer": "4"}).child
    assert ask(StudentPrefix(said, student, verifier=MathEqual()), {**row, "answer": None}).child


@pytest.mark.slow
def test_a_mixed_stage_keeps_what_was_said_where_no_trace_is_mixed(tmp_path: Path) -> None:
    def teacher(messages: Any, prefix: str) -> str:
        q = messages[0]["content"]
        if not prefix:
            return "<think>2 + 2 = 4 and that is all that there is.</think>\\boxed{4}"
        return " so it is.</think>\\boxed{%s}" % (5 if q == "wrong?" else 4)

    student = Scripted(model="s", script=lambda messages: "<think>" + " ".join(f"w{i}" for i in range(99)))
    rows = curate.read(pl.DataFrame({"question": ["right?", "wrong?"], "answer": ["4", "4"]}))
    found = {}
    for verify in (False, True):
        asked = Scripted(model="t", script=teacher)
        made = distribution_aligned(rows, asked, student, stage="mixed", n=1, verify=verify)
        run = made.run(tmp_path / str(verify))
        found[verify] = sorted(run.traces.collect()["question"])
    assert found == {False: ["right?", "wrong?"], True: ["right?"]}, "as published, nothing is verified"
    [gone] = run.dropped.filter(dropped_by="not_rewritten").collect().to_dicts()
    assert gone["why"].startswith("student_prefix: wrong: different") and gone["parent_id"] is None
    assert "\\boxed{5}" in gone["student_prefix_events"][-1]["text"]


def test_the_spans_are_a_column_and_no_later_child_inherits_them(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"question": ["2 + 2?", "long?"], "answer": ["4", "4"], "thinking": ["2 + 2 = 4", "x"],
         "response": ["4", "4"], "output_tokens": [8, 100]}
    )  # fmt: skip
    teacher, student = Scripted(model="t", script=concise), Scripted(model="s", script=rambling)
    steps = [StudentPrefix(teacher, student)]
    pipeline = curate.Pipeline(curate.read(rows), steps)
    assert "spans" in pipeline.schemas()[-1]
    live = pipeline.run(tmp_path / "run").traces.collect()
    child, stays = live.sort("output_tokens", nulls_last=False).to_dicts()
    assert stays["spans"] is None and stays["parent_id"] is None
    assert {s["label"] for s in child["spans"]} == {"student", "teacher"} and child["parent_id"]
    longer = [StudentPrefix(Scripted(model="t", script=checking), student), TrimAfterAnswer()]
    trimmed = curate.Pipeline(curate.read(rows), longer).run(tmp_path / "two").traces.collect()
    [later] = trimmed.filter(pl.col("thinking").str.ends_with("the answer is 4.")).to_dicts()
    assert later["spans"] is None and later["parent_id"]


def scoring(model: str, script: Any, each: float) -> Any:
    """An engine to which every character is a token of the same probability."""
    return Scripted(model=model, script=script, chances=lambda messages, text: [(c, each) for c in text])


def test_a_trace_has_thinking_and_calls_no_tool(tmp_path: Path) -> None:
    said = {
        "thinks": "<think>2 + 2 = 4 at once</think>4",
        "does not": "just 4",
        "calls": '<think>let me ask the tool</think><tool_call>{"name": "add"}</tool_call>',
        "plans to": "<think>a call to=functions.add it is</think>4",
    }
    models = scoring("t", lambda messages: said[messages[0]["content"]], -0.1), scoring("s", ["z"], -2.0)
    problems, kept = curate.read(pl.DataFrame({"question": [*said]})), dict[str, set[str]]()
    for where in ("thinking", "response"):
        made = distribution_aligned(problems, *models, n=1, count_in=where)  # type: ignore[arg-type]
        run = made.run(tmp_path / "run")
        kept[where] = set(run.traces.collect()["question"])
        gone = run.dropped.filter(pl.col("dropped_by") == "tool_calls").collect()
        assert set(gone["why"]) == {"a call of a tool: <tool_call>", "a call of a tool: to=functions.add"}
    assert kept == {"thinking": {"thinks"}, "response": {"thinks", "does not"}}


def test_a_child_of_the_mixed_stage_is_as_long_as_the_student_can_be_taught(tmp_path: Path) -> None:
    models = scoring("t", concise, -0.1), scoring("s", rambling, -2.0)
    problems = curate.read(pl.DataFrame({"question": ["2 + 2?"]}))
    for longest in (60, 20, None):
        made = distribution_aligned(problems, *models, n=1, stage="mixed", longest=longest)
        run = made.run(tmp_path / "run")
        live, gone = run.traces.collect(), run.dropped.filter(pl.col("dropped_by") == "score_band").collect()
        [child] = (gone if longest == 20 else live).to_dicts()
        assert child["parent_id"] and len(live) == (longest != 20)
        length = len(child["thinking"] + child["response"])
        assert child["student_token_count"] == (length if longest else None) and 20 < length <= 60


@pytest.mark.slow
def test_three_stages_in_one_folder(tmp_path: Path) -> None:
    """Each stage has its own temperature; the mixed one asks nothing of the high one again."""
    student = HF(str(WORLD / "student"), dtype="float32", device="cpu")
    teacher = HF(str(WORLD / "teacher"), dtype="float32", device="cpu", max_tokens=128)
    source = curate.read(WORLD / "problems.jsonl").head(4)
    kept, paid = {}, {}
    for stage in ("low", "high", "mixed"):
        made = distribution_aligned(source, teacher, student, stage=stage, n=2, cap=0.5)  # type: ignore[arg-type]
        run = made.run(tmp_path / "run")
        kept[stage], asked = run.traces.collect(), run.ledger.filter(pl.col("step") == "sample")
        paid[stage] = asked["rows_paid"].sum()
    assert paid == {"low": 8, "high": 16, "mixed": 16}
    for stage in ("low", "high"):
        assert 0 < len(kept[stage]) == kept[stage]["problem_id"].n_unique()
    assert set(kept["low"]["trace_id"]) != set(kept["high"]["trace_id"])
    mixed = kept["mixed"]
    assert len(mixed) > 0, "the student was never cut: this test shows nothing"
    assert set(mixed["parent_id"]) <= set(kept["high"]["trace_id"])
    for row in mixed.to_dicts():
        labels = [s["label"] for s in row["spans"]]
        assert labels[0] == "student" and labels[-1] == "teacher"
        assert row["teacher_tokens"] is None, "scores of a child start empty"
    with pytest.raises(UserError, match="there is no stage 'third'"):
        distribution_aligned(source, teacher, student, stage="third")  # type: ignore[arg-type]
