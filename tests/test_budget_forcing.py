"""Thinking that is cut at a budget: what is kept, who wrote what, and which new answers are children."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import CallFailed, TooLong, UserError
from curate.methods.budget_forcing import SYSTEM, act_score, budget_forcing, mode_rows, report
from curate.publish import publish
from curate.rewriters.budget_forcing import CONNECTIVES, MODES, BudgetForcing
from curate.rewriting import Revision
from curate.train.data import conversations, find_files
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"
THINKING = " ".join(f"w{i}" for i in range(40))
ROW = dict(question="2 + 2?", answer="4", thinking=THINKING, response="\\boxed{4}")


def ask(step: BudgetForcing, **row: Any) -> Revision:
    async def go() -> Revision:
        async with step.engine:
            return await step.ask({c: row.get(c) for c in step.columns})

    return asyncio.run(go())


def step(script: Any = ("It is \\boxed{4}",), **more: Any) -> BudgetForcing:
    return BudgetForcing(Scripted(script=script), MathEqual(), **more)


@pytest.mark.parametrize(("mode", "words"), [("medium", 20), ("low", 10)])
def test_a_mode_keeps_its_share_says_so_and_lets_the_engine_answer(mode: Any, words: int) -> None:
    seen: list[str] = []

    def say(messages: Any, prefix: str) -> str:
        seen.append(prefix)
        return "It is \\boxed{4}."

    child, record, _ = ask(step(say, mode=mode), **ROW)
    assert child and child.response == "It is \\boxed{4}."
    kept, said = child.thinking.split("\n\n")
    assert kept == " ".join(THINKING.split()[:words]) and said == CONNECTIVES[mode]
    assert seen == [f"<think>\n{child.thinking}\n</think>\n\n"], "closed, and the answer begins"
    assert (record["mode"], record["tokens"], record["kept"], record["closed"]) == (mode, 40, words, False)
    assert [s["label"] for s in child.spans] == ["parent", "injected", "engine"]


@given(
    st.text(alphabet="ab. \n", min_size=1, max_size=80).filter(str.strip),
    st.floats(0, 1),
    st.sampled_from(["token", "sentence", "step"]),
)
def test_what_is_kept_is_a_beginning_and_the_spans_tile_both_fields(
    text: str, share: float, cut: Any
) -> None:
    forced = step(mode="medium", medium=share, low=0.0, boundary=cut)
    child, record, _ = ask(forced, **{**ROW, "thinking": text})
    assert child and record["kept"] <= round(share * record["tokens"])
    for field in ("thinking", "response"):
        whole, mine = getattr(child, field), [s for s in child.spans if s["field"] == field]
        assert "".join(whole[s["start"] : s["end"]] for s in mine) == whole
    own = [child.thinking[s["start"] : s["end"]] for s in child.spans if s["label"] == "parent"]
    assert text.startswith("".join(own)) and len(own) <= 1
    assert len("".join(own).split()) == record["kept"]


def test_a_cut_may_wait_for_the_end_of_a_sentence_or_a_step() -> None:
    thinking = "One and one. Two and two.\n\nThree and three. Four and four."
    kept = {}
    for boundary in ("token", "sentence", "step"):
        child, *_ = ask(step(mode="medium", medium=0.7, boundary=boundary), **{**ROW, "thinking": thinking})
        assert child
        kept[boundary] = child.thinking.removesuffix("\n\n" + CONNECTIVES["medium"])
    assert kept == {
        "token": "One and one. Two and two.\n\nThree and",
        "sentence": "One and one. Two and two.",
        "step": "One and one. Two and two.",
    }


def test_of_chinese_every_character_is_a_word_and_keeps_its_stop() -> None:
    child, record, _ = ask(step(mode="medium"), **{**ROW, "thinking": "二加二等于四，但是我再检查一遍。"})
    assert child and child.thinking == f"二加二等于四，但\n\n{CONNECTIVES['medium']}"
    assert (record["tokens"], record["kept"]) == (14, 7)


def test_tokens_are_those_of_a_model_where_it_has_scored_the_trace() -> None:
    letters = [dict(field="thinking", start=i, end=i + 1, label=None, value=-1.0) for i in range(10)]
    forced = step(mode="medium", of="teacher")
    child, record, _ = ask(forced, **{**ROW, "thinking": "abcdefghij", "teacher_tokens": letters})
    assert child and child.thinking.startswith("abcde\n\n") and record["tokens"] == 10
    assert ask(forced, **ROW, teacher_tokens=None).record["why"].startswith("unscored")


FAULTS = {
    "a wrong answer": ("\\boxed{5}", "wrong: different"),
    "no answer": ("I do not know.", "wrong: no_answer"),
    "silence": ("  ", "no_answer: "),
    "it thinks again": ("<think>Hm.</think>\\boxed{4}", "thinks_again: <think>"),
    "it thinks again in other tags": ("[THINK]Hm.[/THINK]\\boxed{4}", "thinks_again: [THINK]"),
    "it thinks aloud": ("Wait, let me check. It is \\boxed{4}", "leak: "),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_keeps_the_trace_with_its_reason_and_its_text(fault: str) -> None:
    reply, why = FAULTS[fault]
    child, record, events = ask(step([reply], mode="low"), **ROW)
    assert child is None and record["why"].startswith(why), record["why"]
    assert list(events) == [dict(response=reply.strip(), finish="stop")]


def test_a_trace_too_long_for_the_model_stays_with_the_reason() -> None:
    def narrow(messages: Any) -> str:
        raise TooLong("the prompt has 9 tokens")

    child, record, _ = ask(step(narrow, mode="low"), **ROW)
    assert child is None and record["why"] == "no_room: the prompt has 9 tokens" and record["kept"] == 10


def test_leaks_may_be_allowed_and_are_counted() -> None:
    child, record, _ = ask(step(["However, wait: \\boxed{4}"], mode="low", max_leaks=2), **ROW)
    assert child and record["leaks"] == 2
    assert ask(step(["The waiter stays: \\boxed{4}"], mode="low"), **ROW).record["leaks"] == 0


def test_where_there_is_nothing_to_cut_nobody_is_asked() -> None:
    def nobody(messages: Any) -> str:
        raise AssertionError("it was asked")

    high = ask(step(nobody, mode="high"), **ROW)
    assert high.child is None and high.record["why"] is None and high.record["mode"] == "high"
    for more, why in ((dict(answer=None), "no_gold"), (dict(thinking=None), "no_thinking")):
        assert ask(step(nobody, mode="low"), **{**ROW, **more}).record["why"] == why
    within = ask(step(nobody, mode="elastic", thinking_tokens=40, answer_tokens=1), **ROW)
    assert within.child is None and within.record["why"] is None and within.record["closed"]


def test_elastic_keeps_both_budgets_and_says_nothing() -> None:
    seen: list[Any] = []

    def say(messages: Any, prefix: str, max_tokens: int) -> str:
        seen.append(max_tokens)
        return "\\boxed{4} " + "more " * (20 if "w5" in prefix else 0)

    child, record, _ = ask(step(say, mode="elastic", thinking_tokens=5, answer_tokens=7), **ROW)
    assert child and child.thinking == "w0 w1 w2 w3 w4" and seen == [7]
    assert [s["label"] for s in child.spans] == ["parent", "injected", "engine"] and not record["closed"]
    assert child.spans[1] == dict(field="response", start=0, end=0, label="injected", value=None)
    cut = ask(step(say, mode="elastic", thinking_tokens=6, answer_tokens=7), **ROW)
    assert (
        cut.child is None and cut.record["why"].startswith("truncated") and cut.record["answer_tokens"] == 7
    )
    wordy = {**ROW, "response": "\\boxed{4}" + " so" * 20}
    whole = ask(step(mode="elastic", thinking_tokens=40, answer_tokens=7), **wordy)
    assert whole.child and whole.child.thinking == THINKING and whole.record["closed"]
    assert [s["label"] for s in whole.child.spans] == ["parent", "engine"], "nobody closed it but the parent"


def test_no_thinking_at_all_for_easy_problems() -> None:
    child, *_ = ask(step(mode="low", low=0.0), **ROW)
    assert child and child.thinking == "" and [s["label"] for s in child.spans] == ["injected", "engine"]


def test_what_cannot_be_is_refused() -> None:
    for more, match in (
        (dict(low=0.6), "must be in order"),
        (dict(medium=1.5), "must be in order"),
        (dict(answer_tokens=0), "answer_tokens=0"),
        (dict(mode="tiny"), "mode"),
    ):
        with pytest.raises(UserError, match=match):
            step(**more)


def table(n: int) -> pl.DataFrame:
    thinking = [
        " ".join([*(["so"] * (20 + i % 7)), f"the sum is {2 * i}", *(["then"] * 20)]) for i in range(n)
    ]
    return pl.DataFrame(
        {"question": [f"{i} + {i}?" for i in range(n)], "answer": [str(2 * i) for i in range(n)],
         "thinking": thinking, "response": [f"\\boxed{{{2 * i}}}" for i in range(n)]}
    )  # fmt: skip


def honest(messages: Any, prefix: str) -> str:
    """Right where the kept thinking already says the sum."""
    found = re.search(r"the sum is (\d+)", prefix)
    return f"\\boxed{{{found[1] if found else 0}}}"


def test_modes_are_balanced_and_every_kept_answer_is_verified(tmp_path: Path) -> None:
    made = budget_forcing(curate.read(table(120)), Scripted(script=honest), medium=0.7)
    run = made.run(tmp_path / "run")
    lines = {line["mode"]: line for line in report(run).to_dicts()}
    assert sum(line["traces"] for line in lines.values()) == 120
    assert all(25 <= lines[mode]["traces"] <= 55 for mode in MODES), "about as many of each"
    assert lines["high"]["keep_rate"] == 1 and lines["medium"]["keep_rate"] == 1
    assert lines["low"]["kept"] == 0 and lines["low"]["reasons"] == [
        {"reason": "wrong", "count": lines["low"]["traces"]}
    ], "a quarter of the thinking does not say the sum"
    assert lines["medium"]["thinking_ratio"] == pytest.approx(0.7, abs=0.02)
    live = run.traces.collect()
    assert live["math_equal"].struct.field("passed").all()
    gone = run.dropped.filter(dropped_by="not_rewritten").collect()
    assert len(live) + len(gone) == 120
    again = budget_forcing(curate.read(table(120).reverse()), Scripted(script=honest), medium=0.7)
    other = again.run(tmp_path / "again").traces.collect()
    assert other.sort("trace_id").equals(live.sort("trace_id")), "the order of rows draws no other modes"


def test_the_report_counts_the_traces_whose_call_failed(tmp_path: Path) -> None:
    def say(messages: Any, prefix: str) -> str:
        if messages[-1]["content"] == "3 + 3?":
            raise CallFailed("the line was cut")
        return honest(messages, prefix)

    run = budget_forcing(curate.read(table(6)), Scripted(script=say), mode="medium", medium=0.7)
    lines = {line["mode"]: line for line in report(run.run(tmp_path / "run")).to_dicts()}
    assert {mode: (line["traces"], line["kept"]) for mode, line in lines.items()} == {
        None: (1, 0), "medium": (5, 5),
    }  # fmt: skip
    assert lines[None]["reasons"] == [{"reason": "call failed", "count": 1}]


def test_rows_of_a_mode_begin_with_its_system_prompt(tmp_path: Path) -> None:
    made = budget_forcing(curate.read(table(60)), Scripted(script=honest), medium=0.7, low=0.6)
    run = made.run(tmp_path / "run")
    rows = mode_rows(run)
    counts = rows.group_by("mode").len()["len"].to_list()
    assert len(counts) == 3 and len(set(counts)) == 1, "as many of each"
    assert len(mode_rows(run, balance=False)) == len(run.traces.collect()) >= len(rows)
    for row in rows.to_dicts():
        system, user = row["messages"]
        assert system == {"role": "system", "content": SYSTEM[row["mode"]]}
        assert user == {"role": "user", "content": row["question"]}
        assert (row["parent_id"] is None) == (row["mode"] == "high")
    publish(rows, tmp_path / "published")
    taught = list(conversations(find_files(tmp_path / "published")))
    assert [[m["role"] for m in c.messages] for c in taught] == [["system", "user", "assistant"]] * len(rows)


def test_each_trace_has_a_row_in_every_mode_where_each_mode_has_a_folder(tmp_path: Path) -> None:
    source, engine = curate.read(table(6)), Scripted(script=honest)
    runs = {
        m: budget_forcing(source, engine, mode=m, medium=0.7, low=0.6).run(tmp_path / m)  # type: ignore[arg-type]
        for m in MODES
    }
    rows = mode_rows(*runs.values())
    assert rows.group_by("question").agg(pl.col("mode").sort()).sort("question").rows() == [
        (f"{i} + {i}?", ["high", "low", "medium"]) for i in range(6)
    ]
    assert len(mode_rows(runs["low"])) == 6
    with pytest.raises(UserError, match="has the tables of its last run alone"):
        mode_rows(runs["low"], runs["high"], type(runs["low"])(tmp_path / "low"))


def test_the_score_of_kept_modes_has_its_golden_value() -> None:
    base = (0.8, 10_000.0)
    modes = {"high": (0.8, 10_000.0), "medium": (0.76, 5_000.0), "low": (0.7, 2_500.0)}
    assert act_score(modes, base) == pytest.approx(0.845833, abs=1e-6)
    assert act_score({"high": base}, base) == 1 and act_score({"low": base}, base) == 0.5


def test_the_budgets_of_elastic_are_the_teachers_tokens_unless_words_are_asked_for(tmp_path: Path) -> None:
    def double(messages: Any, prefix: str) -> str:
        return f"\\boxed{{{2 * int(messages[0]['content'].split()[0])}}}"

    def letters(messages: Any, text: str) -> list[tuple[str, float]]:
        return [(letter, -1.0) for letter in text]

    teacher, longest = Scripted(script=double, chances=letters), {}
    for count in (None, "words"):
        made = budget_forcing(curate.read(table(4)), teacher, mode="elastic", count=count, thinking_tokens=9)  # type: ignore[arg-type]
        kept = made.run(tmp_path / str(count)).traces.collect()
        assert kept["parent_id"].null_count() == 0 and len(kept) == 4
        longest[count] = kept["thinking"].unique().to_list()
    assert longest == {None: ["so so so"], "words": [" ".join(["so"] * 9)]}


def test_elastic_rows_have_no_system_prompt(tmp_path: Path) -> None:
    made = budget_forcing(curate.read(table(8)), Scripted(script=honest), mode="elastic", thinking_tokens=35)
    rows = mode_rows(made.run(tmp_path / "run"))
    assert len(rows) == 8 and all(len(m) == 1 for m in rows["messages"].to_list())
    assert rows["thinking"].str.split(" ").list.len().max() <= 35


@pytest.mark.slow
def test_a_real_model_answers_from_the_cut(tmp_path: Path) -> None:
    from random import Random

    from curate.demo_world.world import problems, solve

    rng, source, rows = Random(3), problems(3, "sample"), []
    for _ in range(4):
        problem = next(source)
        thinking, response = solve(problem, rng)
        rows.append(
            dict(question=problem.question, answer=str(problem.answer), thinking=thinking, response=response)
        )
    engine = HF(str(WORLD / "teacher"), dtype="float32", device="cpu", max_tokens=24)
    made = budget_forcing(curate.read(pl.DataFrame(rows)), engine, mode="medium", medium=0.9, count="tokens")
    run = made.run(tmp_path / "run")
    records = pl.concat([run.traces, run.dropped], how="diagonal_relaxed").select("budget_forcing").collect()
    flat = records["budget_forcing"].struct.unnest().drop_nulls("tokens")
    assert len(flat) >= 4 and (flat["kept"] / flat["tokens"]).mean() == pytest.approx(0.9, abs=0.02)
