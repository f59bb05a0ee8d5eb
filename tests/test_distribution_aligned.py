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
from curate.errors import UserError
from curate.methods.distribution_aligned import distribution_aligned
from curate.rewriters.student_prefix import StudentPrefix, owned
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.text import split_thinking

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
    for text in found:
        first, second, last = text.spans
        assert (first["label"], second["label"], last["label"]) == ("student", "teacher", "teacher")
        assert text.response == "4" and text.thinking.endswith("so it is 4.")
        head = text.thinking[: first["end"]]
        assert rambling([])[len("<think>") :].startswith(head.rstrip())
        # 12 words of the student, and so the cut stands behind the sixth or later
        assert 5 <= len(head.split()) <= 12
        cuts.add(first["end"])
    assert len(cuts) > 1
    brief = Scripted(model="s", script=["<think>short</think>4"])
    assert ask(StudentPrefix(teacher, brief), row) is None, "the student came to its own end"
    again = Scripted(model="t", script=["<think>anew</think>4"])
    assert ask(StudentPrefix(again, student), row) is None, "the teacher began to think anew"
    cut = Scripted(model="t", script=concise, max_tokens=2)
    assert ask(StudentPrefix(cut, student), row) is None, "the teacher came to no end"
    with pytest.raises(UserError, match="cap=0"):
        StudentPrefix(teacher, student, cap=0)


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
