"""A trace written anew by the plan of its level: every fault has its reason, and a kill costs nothing."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.difficulty import INSTRUCTIONS, LEVELS, PLANS, leaks
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import CallFailed, TooLong, UserError
from curate.methods.difficulty_aware_pruning import difficulty_aware_pruning, report
from curate.recipes import pipeline
from curate.rewriters.difficulty_aware import DifficultyAware
from curate.rewriting import WORD, Revision, words
from curate.step import Text
from curate.verifiers.judge import Judge
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"
LONG = "Let me see. I add them, and then I add them once more to be sure. " * 40


def test_every_constant_is_a_flag() -> None:
    asked = ("--problems", str(WORLD / "problems.jsonl"), "--teacher", "scripted:builtins:len")

    def rewriter_of(*flags: str) -> DifficultyAware:
        more = ("--rewriter", "scripted:builtins:len", *flags)
        made = pipeline("plan", "difficulty_aware_pruning", (*asked, *more), None)
        return next(step for step in made.steps if isinstance(step, DifficultyAware))

    plain = rewriter_of()
    assert plain == DifficultyAware(plain.engine, MathEqual())
    told = rewriter_of("--floor", "8", "--hints", "16", "32", "64", "--retry-temperature", "0.9")
    assert (told.floor, told.hints, told.retry_temperature) == (8, (16, 32, 64), 0.9)


def text(plan: str, answer: Any, *, filler: int = 6, headings: tuple[str, ...] | None = None) -> str:
    """A reply by the plan."""
    lines = [f"**{h}** {'so and so ' * filler}" for h in headings or PLANS[plan]]
    return (
        f"=== REASONING ===\n{chr(10).join(lines)}\n=== SOLUTION ===\nIt is \\boxed{{{answer}}}\n=== END ==="
    )


def asked(messages: list[dict[str, str]]) -> tuple[str, str]:
    """The problem in the material, and the plan that the last turn wants (empty where the level is asked)."""
    problem = re.search(r"<<<\w+ PROBLEM\n(.*?)\nPROBLEM", messages[0]["content"], re.DOTALL)
    plan = re.search(r"by the plan (\w+)", messages[-1]["content"]) if len(messages) > 1 else None
    assert problem
    return problem[1], plan[1].lower() if plan else ""


def good(messages: list[dict[str, str]]) -> str:
    """Easy with two numbers, medium with three, hard with more; always right."""
    problem, plan = asked(messages)
    numbers = [int(n) for n in re.findall(r"\d+", problem)]
    if not plan:
        return f"{len(numbers)} numbers.\nDIFFICULTY: {LEVELS[min(len(numbers) - 2, 2)].upper()}"
    return text(plan, sum(numbers), filler=3 * len(numbers))


def row(**more: Any) -> dict[str, Any]:
    return dict(question="2 + 2?", thinking=LONG, response="\\boxed{4}", answer="4", **more)


def ask(step: DifficultyAware, **more: Any) -> Revision:
    async def go() -> Revision:
        async with step.engine:
            return await step.ask({**row(), **more})

    return asyncio.run(go())


def told(level: str, *replies: str, **more: Any) -> Revision:
    """What becomes of a trace for which the engine says these things, one after the other."""
    engine = Scripted(script=[f"DIFFICULTY: {level.upper()}", *replies])
    return ask(DifficultyAware(engine, MathEqual(), **{"retries": 0, **more}))


def test_a_right_and_shorter_text_is_the_child() -> None:
    child, record, events = told("medium", text("medium", 4))
    assert (
        child and child.response == "It is \\boxed{4}" and child.thinking.startswith("**Analysis** so and so")
    )
    assert child.thinking.rstrip().endswith("so and so") and child.output_tokens == len(
        text("medium", 4).split()
    )
    assert record["level"] == "medium" and record["why"] is None and record["mode"] == "rewrite"
    assert events == [dict(plan="medium", why=None, text=None, output_tokens=child.output_tokens)]


EASY = text("easy", 4)
FAULTS = {
    "a wrong answer": (text("easy", 5), "wrong: different"),
    "no answer": (EASY.replace("\\boxed{4}", "as it is"), "wrong: no_answer"),
    "a heading missing": (text("easy", 4, headings=("Analysis", "Summary")), "template: no **Approach**"),
    "headings in another order": (text("easy", 4, headings=PLANS["easy"][::-1]), "template: no **Approach**"),
    "the headings of another level": (text("hard", 4), "template: no **Approach**"),
    "longer than the trace": (text("easy", 4, filler=99), "not_shorter: "),
    "nothing but the answer": (text("easy", 4, filler=1), "too_short: "),
    "what the reader has not seen": (EASY.replace("It is", "As the given solution says,"), "leak: "),
    "prose": ("Of course! Two and two are four, so it is \\boxed{4}.", "template: the lines"),
    "no end": (EASY.removesuffix("\n=== END ==="), "template: the lines"),
    "more after the end": (EASY + "\nI hope this helps!", "template: a part is empty, or something follows"),
    "no solution": (re.sub(r"It is.*", "", EASY), "template: a part is empty"),
    "the parts twice": (EASY + "\n" + EASY, "template: the lines"),
    "thinking that never ends": (f"<think>I could write this: {EASY}", "unclosed_thinking: "),
    "thinking that never ends, of another kind": (f"<|begin_of_thought|>Hm. {EASY}", "unclosed_thinking: "),
    "the parts in tags of another model": (
        "<reasoning>two and two</reasoning>\n\\boxed{4}", "template: the lines"),
    "a tag of another model inside": (EASY.replace("It is", "</thinking>It is"), "template: the lines"),
    "an odd tag inside": (EASY.replace("It is", "</reasoning>It is"), "stray_tag: </reasoning>"),
    "silence": ("", "template: the lines"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_keeps_the_trace_and_has_its_reason_and_its_text(fault: str) -> None:
    reply, why = FAULTS[fault]
    child, record, events = told("easy", reply)
    assert child is None and record["why"].startswith(why), record["why"]
    assert record["level"] == "easy" and [a["text"] for a in events] == [reply]


def test_a_text_that_the_limit_cuts_is_no_child_even_if_it_looks_whole() -> None:
    engine = Scripted(script=["DIFFICULTY: EASY", EASY + " and on"], max_tokens=len(EASY.split()))
    child, record, _ = ask(DifficultyAware(engine, MathEqual(), retries=0))
    assert child is None and record["why"] == "truncated: it ran into the token limit"


@pytest.mark.parametrize(
    "own",
    ["<think>\nFirst === REASONING ===, then the rest.\n</think>\n\n", "<thinking>Hm.</thinking>",
     "Hm.</think>", "<reasoning>I plan.</reasoning>\n", "Here it is:\n"],
)  # fmt: skip
def test_what_the_engine_thinks_for_itself_is_no_part_of_the_child(own: str) -> None:
    child, *_ = told("easy", own + EASY)
    assert child and child.thinking.startswith("**Analysis**") and child.output_tokens is None


@pytest.mark.parametrize(
    "said",
    ["It looks quite easy to me.", "DIFFICULTY: EASY.", "Difficulty: easy", "DIFFICULTY: EASY\nOr is it?",
     "DIFFICULTY: HARD\nNo.\nDIFFICULTY: EASY", "DIFFICULTY: SIMPLE", "", "<think>DIFFICULTY: EASY",
     "**DIFFICULTY: EASY**"],
)  # fmt: skip
def test_a_judge_that_answers_otherwise_abstains_and_nothing_is_written(said: str) -> None:
    calls = []

    def judge(messages: Any) -> str:
        calls.append(messages)
        return said

    child, record, _ = ask(DifficultyAware(Scripted(script=judge), MathEqual()))
    assert child is None and record["level"] is None and len(calls) == 1
    assert (
        record["why"].startswith("unreadable_judge: it ends in ")
        and said[-20:].split("\n")[-1] in record["why"]
    )


def test_a_judge_may_think_and_explain_before_its_last_line() -> None:
    thought = Scripted(script=["<think>DIFFICULTY: HARD?</think>One sum.\n\nDIFFICULTY: EASY\n", EASY])
    assert ask(DifficultyAware(thought, MathEqual())).record["level"] == "easy"


def test_a_fault_is_tried_again_by_the_same_plan_or_the_next_longer_one() -> None:
    bad = text("easy", 5)
    child, record, events = told("easy", bad, bad, EASY, retries=3)
    assert child and [a["plan"] for a in events] == ["easy"] * 3
    assert [bool(a["text"]) for a in events] == [True, True, False] and record["why"] is None
    plans: list[str] = []

    def stubborn(messages: Any) -> str:
        plans.append(asked(messages)[1])
        return "DIFFICULTY: EASY" if len(messages) == 1 else bad

    step = DifficultyAware(Scripted(script=stubborn), MathEqual(), retries=3, retry="longer")
    child, record, events = ask(step)
    assert child is None and plans == ["", "easy", "medium", "hard", "hard"]
    assert [a["plan"] for a in events] == plans[1:] and record["level"] == "easy"


def test_a_trace_too_long_for_the_model_stays_with_what_was_tried() -> None:
    def narrow(messages: Any) -> str:
        if len(messages) > 1:
            raise TooLong("the prompt has 9 tokens")
        return "DIFFICULTY: EASY"

    def nothing(messages: Any) -> str:
        raise TooLong("the prompt has 8 tokens")

    child, record, events = ask(DifficultyAware(Scripted(script=narrow), MathEqual()))
    assert child is None and record["why"] == "no_room: the prompt has 9 tokens"
    assert (record["level"], record["attempts"], len(events)) == ("easy", 1, 1), (
        "longer plans have no more room"
    )
    child, record, events = ask(DifficultyAware(Scripted(script=nothing), MathEqual()))
    assert child is None and record["why"] == "no_room: the prompt has 8 tokens" and not events


def test_the_report_counts_what_had_no_room_and_what_failed(tmp_path: Path) -> None:
    def moody(messages: Any) -> str:
        problem = asked(messages)[0]
        if problem.startswith("2 +"):
            raise TooLong("the prompt has 9 tokens")
        if problem.startswith("3 +"):
            raise CallFailed("the line was cut")
        return good(messages)

    made = difficulty_aware_pruning(rewriter=Scripted(script=moody), traces=curate.read(traces(4)))
    run = made.run(tmp_path / "run")
    lines = {line["level"]: line for line in report(run).to_dicts()}
    reasons = sorted(reason["reason"] for reason in lines["all"]["reasons"])
    assert (lines["all"]["traces"], lines["all"]["kept"], lines["all"]["keep_rate"]) == (4, 2, 0.5)
    assert reasons == ["call failed", "no_room"] and lines[None]["traces"] == 2
    [stays] = run.traces.filter(pl.col("question").str.starts_with("2 +")).collect().to_dicts()
    assert stays["parent_id"] is None and stays["difficulty_aware"]["why"].startswith("no_room: ")
    again = made.run(tmp_path / "run").ledger.filter(step="difficulty_aware")
    assert again["failed"].sum() == 2, "what failed is asked again, and what had no room is not"


def test_a_text_without_spaces_is_as_long_as_it_has_characters() -> None:
    headings = "".join(f"**{h}** 二加二等于四，没有别的条件需要考虑。\n" for h in PLANS["easy"])
    reply = f"=== REASONING ===\n{headings}=== SOLUTION ===\n所以答案是 \\boxed{{4}}\n=== END ==="
    engine = Scripted(script=["DIFFICULTY: EASY", reply])
    step = DifficultyAware(engine, MathEqual(), retries=0)
    for times, why in ((60, None), (2, "not_shorter")):
        _, record, _ = ask(
            step, thinking="让我想一想，二加二应该等于四，但是我还要再检查一遍才能放心。" * times
        )
        assert (record["why"] or "").startswith(why or "") and (record["why"] is None) == (why is None)


@given(st.text(alphabet="ab .，。「」二四あ\n\u3000", max_size=40))
def test_the_report_counts_words_as_the_rewriter_does(text: str) -> None:
    assert pl.Series([text]).str.count_matches(WORD).to_list() == [words(text, None)]


def test_only_what_is_tried_again_has_the_temperature_of_retries() -> None:
    seen: list[float] = []

    def hot(messages: Any, temperature: float) -> str:
        seen.append(temperature)
        return "DIFFICULTY: EASY" if len(messages) == 1 else ""

    ask(DifficultyAware(Scripted(script=hot, temperature=0.0), MathEqual(), retries=2))
    assert seen == [0.0, 0.0, 0.6, 0.6]


def prompts(**more: Any) -> list[list[dict[str, str]]]:
    seen: list[list[dict[str, str]]] = []

    def say(messages: Any) -> str:
        seen.append(messages)
        return good(messages)

    step = DifficultyAware(Scripted(script=say), MathEqual(), **more)
    ask(step, thinking=LONG + "Ask the oracle.", answer="4.0")
    return seen


def test_what_is_fixed_stands_first_and_the_second_call_goes_on_where_the_first_ended() -> None:
    first, second = prompts()
    assert first[0]["content"].startswith(INSTRUCTIONS + "\n\n<<<")
    assert second[0] == first[0] and [m["role"] for m in second] == ["user", "assistant", "user"]
    assert second[1]["content"] == "DIFFICULTY: EASY" and "in about 256 tokens" in second[2]["content"]
    assert first[0]["content"].index("PROBLEM") < first[0]["content"].index("oracle"), "the trace comes last"


def test_each_mode_shows_what_it_says_and_not_the_other() -> None:
    shown = {m: prompts(mode=m)[0][0]["content"] for m in ("rewrite", "answer_conditioned")}
    assert "oracle" in shown["rewrite"] and "4.0" not in shown["rewrite"], "the gold answer is not shown"
    assert "4.0" in shown["answer_conditioned"] and "oracle" not in shown["answer_conditioned"]
    engine = Scripted(script=good)
    child, record, _ = ask(DifficultyAware(engine, MathEqual(), mode="answer_conditioned"))
    assert child and record["mode"] == "answer_conditioned"


def test_without_a_gold_answer_nothing_is_paid_unless_the_traces_own_may_count() -> None:
    def nobody(messages: Any) -> str:
        raise AssertionError("it was asked")

    for answer in (None, "", "  "):
        child, record, events = ask(DifficultyAware(Scripted(script=nobody), MathEqual()), answer=answer)
        assert (
            child is None and record["why"].startswith("no_gold") and record["attempts"] == 0 == len(events)
        )
    step = DifficultyAware(Scripted(script=good), MathEqual(), without_gold=True, retries=0)
    assert ask(step, answer=None).child
    assert ask(step, answer=None, response="\\boxed{5}").record["why"].startswith("wrong")
    step = DifficultyAware(Scripted(script=nobody), MathEqual(), without_gold=True)
    assert ask(step, answer=None, response="So be it.").record["why"].startswith("no_gold")
    step = DifficultyAware(Scripted(script=nobody), MathEqual())
    assert ask(step, thinking=None, response="").record["why"].startswith("no_trace")


def test_a_phrase_that_the_question_uses_is_no_leak() -> None:
    reply = EASY.replace("It is", "In the original solution are")
    assert told("easy", reply).record["why"].startswith("leak: it says 'original solution'")
    engine = Scripted(script=["DIFFICULTY: EASY", reply])
    step = DifficultyAware(engine, MathEqual(), retries=0)
    assert ask(step, question="How much salt was in the original solution?").child


@pytest.mark.parametrize(
    ("said", "leak"),
    [
        ("The solution provided says 4.", "The solution provided"),
        ("It is 4, according to the reference.", "according to the reference"),
        ("The answer given is 4.", "The answer given"),
        ("As the solution\ngiven above says, 4.", "the solution\ngiven"),
        ("the reference solution", "reference solution"),
        ("The solution given by the formula is 4.", None),
        ("There is one solution provided that a > 0; the solution provided a > 0 is 4.", None),
        ("the answer given $x = 2$", None),
        ("At rest according to the reference frame", None),
    ],
)
def test_what_the_reader_has_not_seen_is_a_leak_in_either_order(said: str, leak: str | None) -> None:
    assert leaks(Text("", said), "2 + 2?") == leak
    assert leaks(Text("", said), f"Is it true that {(leak or '').lower()} is right?") is None


def test_where_the_gold_is_what_cannot_be_compared_one_text_is_paid_for() -> None:
    child, record, events = ask(DifficultyAware(Scripted(script=good), MathEqual()), answer="see figure")
    assert child is None and len(events) == 1, "another text would be judged no better"
    assert record["why"].startswith(("unverified: unsupported", "unverified: gold_invalid")), record["why"]


def test_a_level_that_is_known_is_not_asked_for() -> None:
    calls: list[Any] = []

    def say(messages: Any) -> str:
        calls.append(messages)
        return text("hard", 4, filler=2)

    step = DifficultyAware(Scripted(script=say), MathEqual(), level="grade")
    assert "grade" in step.columns and ask(step, grade="hard").child
    assert len(calls) == 1 and calls[0][1]["content"] == "DIFFICULTY: HARD"
    for unknown in (None, "tricky", "Hard"):
        assert ask(step, grade=unknown).record["why"] == f"no_level: grade says {unknown!r}"
    assert len(calls) == 1


def test_what_cannot_be_is_refused() -> None:
    engine = Scripted(script=good)
    with pytest.raises(UserError, match="needs no model"):
        DifficultyAware(engine, Judge(engine))
    with pytest.raises(UserError, match="retries=-1"):
        DifficultyAware(engine, MathEqual(), retries=-1)
    with pytest.raises(UserError, match="three numbers"):
        DifficultyAware(engine, MathEqual(), hints=(256, 1024))  # type: ignore[arg-type]
    with pytest.raises(UserError, match="mode"):
        DifficultyAware(engine, MathEqual(), mode="both")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="either traces, or problems and a teacher"):
        difficulty_aware_pruning(rewriter=engine)
    with pytest.raises(UserError, match="either traces, or problems and a teacher"):
        difficulty_aware_pruning(rewriter=engine, problems=curate.read(traces(1)))
    with pytest.raises(UserError, match="needs a student"):
        difficulty_aware_pruning(rewriter=engine, traces=curate.read(traces(1)), difficulty="pass_rate")
    with pytest.raises(UserError, match="in order"):
        difficulty_aware_pruning(rewriter=engine, traces=curate.read(traces(1)), student=engine,
                                 difficulty="pass_rate", hard_below=0.9)  # fmt: skip


def traces(n: int) -> pl.DataFrame:
    """Right traces, all about equally long, with two to four numbers in their problems; one more is wrong."""
    numbers = [list(range(i + 1, i + 3 + i % 3)) for i in range(n)]
    rows = [
        {"question": " + ".join(map(str, ns)) + "?", "answer": str(sum(ns)),
         "thinking": LONG + f"It is {sum(ns)}.", "response": f"\\boxed{{{sum(ns)}}}"} for ns in numbers
    ]  # fmt: skip
    return pl.DataFrame(
        [*rows, {"question": "1 + 1?", "answer": "2", "thinking": LONG, "response": "\\boxed{3}"}]
    )


def sloppy(messages: Any) -> str:
    """As good, but never right about a sum above 50."""
    reply = good(messages)
    return re.sub(r"boxed\{(?:[5-9]\d|\d{3,})\}", r"boxed{0}", reply)


def test_every_trace_is_accounted_for_and_the_report_says_how(tmp_path: Path) -> None:
    pipeline = difficulty_aware_pruning(
        rewriter=Scripted(script=sloppy), traces=curate.read(traces(24)), retries=1
    )
    run = pipeline.run(tmp_path / "run")
    live, gone = run.traces.collect(), run.dropped.collect()
    assert len(live) == 24, "every right trace is there, as itself or as its child"
    assert gone.group_by("dropped_by", "why").len().sort("dropped_by").rows() == [
        ("difficulty_aware", "rewritten", live["parent_id"].count()),
        ("failed", "math_equal: different: boxed, as numbers", 1),
    ]
    assert live["math_equal"].struct.field("passed").all(), "children are verified again"
    record = live["difficulty_aware"].struct
    stayed = live.filter(pl.col("parent_id").is_null())["difficulty_aware"].struct
    assert len(stayed.field("why")) > 0 and all(w.startswith("wrong: ") for w in stayed.field("why"))
    assert stayed.field("attempts").to_list() == [2] * len(stayed.field("why"))
    assert record.field("level").to_list() == [LEVELS[len(q.split("+")) - 2] for q in live["question"]]
    lines = {line["level"]: line for line in report(run).to_dicts()}
    assert list(lines) == ["easy", "medium", "hard", None, "all"] and lines[None]["traces"] == 0
    whole = lines["all"]
    assert whole["traces"] == 24 == sum(lines[level]["traces"] for level in LEVELS)
    assert whole["born"] == whole["kept"] == live["parent_id"].count()
    assert whole["reasons"] == [{"reason": "wrong", "count": len(stayed.field("why"))}]
    after = [lines[level]["words_after"] for level in LEVELS]
    assert after == sorted(after) and len(set(after)) == 3, "the harder, the longer"
    before = [lines[level]["words_before"] for level in LEVELS]
    assert max(before) - min(before) < 3, "and it was not so before"
    assert 0.1 < whole["ratio"] < 0.9 and lines["easy"]["ratio"] < lines["hard"]["ratio"]
    assert lines["easy"]["keep_rate"] > lines["hard"]["keep_rate"], "sums of more numbers are sooner above 50"
    drifts = [lines[level]["drift"] for level in LEVELS]
    assert sum(drifts) == pytest.approx(0) and drifts[0] > 0 > drifts[2]
    assert whole["rank_with_pass_rate"] is None
    paid = run.ledger["rows_paid"].sum()
    assert pipeline.run(tmp_path / "run").ledger["rows_paid"].sum() == paid, "nothing is asked again"


def test_on_request_a_trace_without_a_rewrite_goes_with_its_reason(tmp_path: Path) -> None:
    made = difficulty_aware_pruning(rewriter=Scripted(script=sloppy), traces=curate.read(traces(24)),
                                    retries=0, on_fail="drop")  # fmt: skip
    run = made.run(tmp_path / "run")
    live, gone = run.traces.collect(), run.dropped.filter(dropped_by="not_rewritten").collect()
    assert live["parent_id"].null_count() == 0 and len(live) + len(gone) == 24
    assert set(gone["why"]) == {"difficulty_aware: wrong: different: boxed, as numbers"}
    [attempts] = gone.head(1)["difficulty_aware_events"].to_list()
    assert "\\boxed{0}" in attempts[0]["text"], "the text that failed is kept"
    assert report(run).filter(level="all")["kept"].to_list() == [len(live)]


def test_levels_may_come_from_a_students_pass_rate(tmp_path: Path) -> None:
    def student(messages: Any, seed: int) -> str:
        numbers = [int(n) for n in re.findall(r"\d+", messages[0]["content"])]
        lucky = {2: 10, 3: 5, 4: 0}[len(numbers)] > seed % 10
        return f"\\boxed{{{sum(numbers) if lucky else 0}}}"

    asked_for: list[int] = []

    def writer(messages: Any) -> str:
        asked_for.append(len(messages))
        return good(messages)

    made = difficulty_aware_pruning(rewriter=Scripted(script=writer), traces=curate.read(traces(9)),
                                    student=Scripted(script=student), difficulty="pass_rate")  # fmt: skip
    run = made.run(tmp_path / "run")
    assert set(asked_for) == {3}, "no level was asked for"
    [line] = report(run).filter(level="all").to_dicts()
    assert line["born"] == 9 and line["rank_with_pass_rate"] < -0.8
    other = difficulty_aware_pruning(rewriter=Scripted(script=good), traces=curate.read(traces(9)),
                                     student=Scripted(script=student))  # fmt: skip
    [line] = report(other.run(tmp_path / "other")).filter(level="all").to_dicts()
    assert line["rank_with_pass_rate"] < -0.8, "the judge's levels are held against the rate"


def test_problems_may_be_answered_first(tmp_path: Path) -> None:
    def teacher(messages: Any) -> str:
        total = sum(int(n) for n in re.findall(r"\d+", messages[0]["content"]))
        return f"<think>{LONG}</think>\\boxed{{{total}}}"

    made = difficulty_aware_pruning(rewriter=Scripted(script=good), problems=curate.read(traces(3).select(
        "question", "answer")), teacher=Scripted(script=teacher))  # fmt: skip
    live = made.run(tmp_path / "run").traces.collect()
    assert len(live) == 4 and live["parent_id"].null_count() == 0
    [line] = report(made.run(tmp_path / "run")).filter(level="all").to_dicts()
    assert 0 < line["token_ratio"] < 1


def test_a_model_that_cannot_follow_leaves_every_trace_as_it_is(tmp_path: Path) -> None:
    """The demo teacher was not taught to judge; its context holds a short instruction only."""
    engine = HF(str(WORLD / "teacher"), dtype="float32", device="cpu", max_tokens=24)
    brief = traces(2).with_columns(thinking=pl.lit("I add them up."))
    told = "Judge, then write."
    made = difficulty_aware_pruning(rewriter=engine, traces=curate.read(brief), instructions=told)
    run = made.run(tmp_path / "run")
    whys = run.traces.collect()["difficulty_aware"].struct.field("why").to_list()
    assert len(whys) == 2 and all(w.startswith("unreadable_judge") for w in whys)


SCRIPT = """
import os, time
from {module} import {answer} as answer


def say(messages):
    time.sleep(0.02)
    with open(os.environ["SOLD"], "a") as sold:
        sold.write(repr(messages)[-400:] + "\\n")
    return answer(messages)
"""


def start(folder: Path, out: str, *of: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curate.cli", "run", "difficulty_aware_pruning", *of,
               "--out", str(folder / out), "--rewriter", "scripted:say:say"]  # fmt: skip
    path = os.pathsep.join(map(str, (folder, ROOT, ROOT / "tests", ROOT / "benchmarks")))
    env = {**os.environ, "PYTHONPATH": path, "SOLD": str(folder / f"{out}.sold")}
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env,
                            start_new_session=True)  # fmt: skip


def sold(folder: Path, out: str) -> list[str]:
    log = folder / f"{out}.sold"
    return log.read_text().splitlines() if log.exists() else []


def finish(process: subprocess.Popen[bytes]) -> None:
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()[-2000:]


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.005)
    assert process.poll() is None, "the run was over before it could be killed"


def killed_and_quiet(folder: Path, kills: tuple[int, ...], *of: str) -> tuple[list[str], list[str]]:
    """What was asked in a run left alone, and in one killed at so many calls; their tables are the same."""
    finish(start(folder, "quiet", *of))
    for wanted in kills:
        process = start(folder, "killed", *of)
        wait_for(lambda n=wanted: len(sold(folder, "killed")) >= n, process)  # type: ignore[misc]
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    finish(start(folder, "killed", *of))
    for table in ("live.parquet", "dropped.parquet"):
        assert (folder / "quiet" / table).read_bytes() == (folder / "killed" / table).read_bytes()
    return sold(folder, "quiet"), sold(folder, "killed")


@pytest.mark.slow
def test_from_the_command_line_a_killed_run_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = traces(30).to_dicts()
    (tmp_path / "traces.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "say.py").write_text(SCRIPT.format(module="test_difficulty_aware", answer="good"))
    quiet, killed = killed_and_quiet(tmp_path, (15, 40), "--traces", str(tmp_path / "traces.jsonl"))
    assert len(quiet) == len(set(quiet)) == 60, "a level and a text for each right trace"
    assert set(killed) == set(quiet), "another call was made than in the quiet run"
    assert len(killed) < 60 + 2 * 30, "a killed run bought everything again"


@pytest.mark.slow
def test_what_the_demo_teacher_says_is_rewritten_across_a_kill(tmp_path: Path) -> None:
    """The rewriter is the script by which benchmarks/reproductions.py teaches one."""
    (tmp_path / "say.py").write_text(SCRIPT.format(module="peers.plans", answer="oracle"))
    teacher = f"hf:{WORLD / 'teacher'}?dtype=float32&device=cpu&max_tokens=160"
    asked = ("--problems", str(WORLD / "problems.jsonl"), "--teacher", teacher, "--max-samples", "24")
    quiet, killed = killed_and_quiet(tmp_path, (8,), *asked)
    assert len(set(killed)) == len(set(quiet)) > 16 and len(killed) < 1.5 * len(quiet)
    live = pl.read_parquet(tmp_path / "quiet" / "live.parquet")
    assert 8 < len(live) < 24 and live["parent_id"].null_count() < len(live) / 2
