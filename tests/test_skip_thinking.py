"""Chunks, the search for their boundaries, removal trials with their log, and the rows to train on."""

from __future__ import annotations

import asyncio
import re
from itertools import combinations, pairwise
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.chunks import dispersion, even, search
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import TooLong, UserError
from curate.methods.skip_thinking import chunk_rows, skip_thinking
from curate.rewriters.skip_thinking import SkipThinking
from curate.rewriting import Revision
from curate.train.data import conversations
from curate.train.model import load_tokenizer
from curate.train.render import encode
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"
loss_lists = st.lists(st.floats(0, 5), min_size=1, max_size=9)


@given(st.integers(1, 30), st.integers(1, 30))
def test_even_chunks_differ_by_one_step_at_most(n_steps: int, wanted: int) -> None:
    n = min(n_steps, wanted)
    sizes = [b - a for a, b in pairwise([0, *even(n_steps, n), n_steps])]
    assert len(sizes) == n and sum(sizes) == n_steps and max(sizes) - min(sizes) <= 1 <= min(sizes)


@given(loss_lists, st.integers(1, 4))
def test_every_move_lowers_the_objective_and_the_best_cut_is_no_worse(
    losses: list[float], wanted: int
) -> None:
    start = even(len(losses), min(wanted, len(losses)))
    found, moves = search(losses, start)
    objectives = [dispersion(losses, start), *(m.objective for m in moves)]
    assert all(b < a for a, b in pairwise(objectives))
    assert dispersion(losses, found) == pytest.approx(objectives[-1])
    assert (
        found == sorted(set(found)) and len(found) == len(start) and all(0 < b < len(losses) for b in found)
    )
    cuts = combinations(range(1, len(losses)), len(start))
    assert min(dispersion(losses, cut) for cut in cuts) <= objectives[-1] + 1e-9
    again = search(losses, found)
    assert again == (found, []), "it ended where no move helps"


@given(loss_lists.filter(lambda x: len(x) > 2), st.data())
def test_the_sum_of_losses_would_not_tell_one_cut_from_another(
    losses: list[float], data: st.DataObject
) -> None:
    cut = sorted(data.draw(st.sets(st.integers(1, len(losses) - 1), max_size=3)))
    parts = [sum(losses[a:b]) for a, b in pairwise([0, *cut, len(losses)])]
    assert sum(parts) == pytest.approx(sum(losses))


def test_searched_boundaries_lie_where_filler_ends_more_often_than_even_ones() -> None:
    rng, hits = Random(1), {"even": 0, "search": 0}
    for _ in range(200):
        lengths = [rng.randint(1, 6) for _ in range(3)]
        true = {lengths[0], lengths[0] + lengths[1]}
        losses = [
            level + rng.gauss(0, 0.05)
            for n, level in zip(lengths, (2, 0.1, 2), strict=True)
            for _ in range(n)
        ]
        start = even(len(losses), 3)
        hits["even"] += len(true & set(start))
        hits["search"] += len(true & set(search(losses, start)[0]))
    assert hits["search"] > 1.5 * hits["even"]


FILLER = "Let us go on with it.\n\n"


def knows(messages: Any, prefix: str) -> str:
    """Adds up the results that the thinking names; without one of them it is wrong."""
    return f"\\boxed{{{sum(int(n) for n in re.findall(r'= (-?[0-9]+)', prefix))}}}"


def ask(step: SkipThinking, **row: Any) -> Revision:
    async def go() -> Revision:
        async with step.engine:
            return await step.ask({c: row.get(c) for c in step.columns})

    return asyncio.run(go())


THINKING = f"1 + 1 = 2.\n\n{FILLER}2 + 3 = 5.\n\n{FILLER}So both together."
ROW = dict(question="?", answer="7", thinking=THINKING, response="\\boxed{7}")


def test_what_the_student_does_not_need_is_skipped_and_every_trial_is_noted() -> None:
    child, record, trials = ask(SkipThinking(Scripted(script=knows), MathEqual(), chunks=5), **ROW)
    assert child and child.thinking == "1 + 1 = 2.\n\n2 + 3 = 5." and child.response == "\\boxed{7}"
    assert [c["skipped"] for c in record["chunks"]] == [False, True, False, True, True]
    assert "".join(THINKING[c["start"] : c["end"]] for c in record["chunks"]) == THINKING
    assert [(t["chunk"], t["context"], t["correct"]) for t in trials] == [
        (None, [0, 1, 2, 3, 4], True),
        (0, [1, 2, 3, 4], False),
        (1, [0, 2, 3, 4], True),
        (2, [0, 3, 4], False),
        (3, [0, 2, 4], True),
        (4, [0, 2], True),
    ]
    assert [t["predicted"] for t in trials] == ["7", "5", "7", "2", "7", "7"]
    assert record["skip_ratio"] == pytest.approx(3 / 5) and record["why"] is None
    assert record["model"] == "scripted" and record["fingerprint"]


def test_the_student_sees_the_question_and_the_kept_chunks_closed() -> None:
    seen: list[tuple[Any, str, float]] = []

    def say(messages: Any, prefix: str, temperature: float) -> str:
        seen.append((messages, prefix, temperature))
        return knows(messages, prefix)

    ask(SkipThinking(Scripted(script=say), MathEqual(), chunks=5), **ROW)
    assert seen[0] == ([{"role": "user", "content": "?"}], f"<think>\n{THINKING}\n</think>\n\n", 0.0)
    assert all(prefix.endswith(".\n</think>\n\n") for _, prefix, _ in seen)


def test_where_nothing_can_be_learnt_the_trace_stays_with_the_reason() -> None:
    def step(script: Any) -> SkipThinking:
        return SkipThinking(Scripted(script=script), MathEqual(), chunks=5)

    wrong = ask(step(["\\boxed{0}"]), **ROW)
    assert wrong.child is None and wrong.record["why"].startswith("uninformative")
    assert len(wrong.events) == 1, "nothing more is paid for"
    assert not any(c["skipped"] for c in wrong.record["chunks"]) and wrong.record["skip_ratio"] == 0
    needed = ask(step(knows), **{**ROW, "thinking": "1 + 1 = 2.\n\n2 + 3 = 5."})
    assert needed.child is None and needed.record["why"] == "needed: every chunk"

    def nobody(messages: Any) -> str:
        raise AssertionError("it was asked")

    for more, why in (
        (dict(answer=None), "no_gold"),
        (dict(thinking=None), "no_thinking"),
        (dict(thinking=" "), "no_thinking"),
        (dict(thinking="One step"), "one_chunk"),
    ):
        child, record, trials = ask(step(nobody), **{**ROW, **more})
        assert child is None and record["why"] == why and not trials


def test_a_trace_too_long_for_the_student_stays_with_the_reason() -> None:
    def narrow(messages: Any) -> str:
        raise TooLong("the prompt has 9 tokens")

    child, record, trials = ask(SkipThinking(Scripted(script=narrow), MathEqual(), chunks=5), **ROW)
    assert child is None and record["why"] == "no_room: the prompt has 9 tokens" and not trials
    assert len(record["chunks"]) == 5 and not any(c["skipped"] for c in record["chunks"])


def test_a_guess_needs_no_chunk_and_yet_one_is_left() -> None:
    child, record, _ = ask(SkipThinking(Scripted(script=["\\boxed{7}"]), MathEqual(), chunks=5), **ROW)
    assert child and child.thinking == "So both together." and record["skip_ratio"] == pytest.approx(4 / 5)


def test_an_answer_that_is_cut_is_not_right() -> None:
    engine = Scripted(script=lambda messages: "\\boxed{7} and so on and on", max_tokens=2)
    child, record, _ = ask(SkipThinking(engine, MathEqual(), chunks=5), **ROW)
    assert child is None and record["why"].startswith("uninformative")


def test_where_options_are_listed_chance_must_strike_several_times() -> None:
    question = "Which is it?\n(A) 5\n(B) 7\n(C) 9"
    made: list[int] = []

    def lucky(messages: Any, prefix: str, seed: int) -> str:
        made.append(seed)
        whole = prefix.count("= ") == 2
        return "\\boxed{7}" if whole or seed % 2 else "\\boxed{9}"

    row = {**ROW, "question": question}
    asked = SkipThinking(Scripted(script=lucky), MathEqual(), chunks=5, choice_trials=8)
    _, record, trials = ask(asked, **row)
    assert len(made) == 8 * len(trials), "so many samples each"
    needed = [c["skipped"] for c in record["chunks"]]
    assert needed == [False, True, False, True, True], "eight coins seldom all show heads"


def test_losses_move_the_boundaries() -> None:
    steps = ["Now then.\n\n", "1 + 1 = 2.\n\n", "2 + 3 = 5.\n\n", "7 = 7."]
    thinking, at, tokens = "".join(steps), 0, []
    for text, value in zip(steps, (-0.1, -3.0, -3.1, -2.9), strict=True):
        tokens.append(dict(field="thinking", start=at, end=at + len(text), label=None, value=value))
        at += len(text)
    step = SkipThinking(Scripted(script=knows), MathEqual(), chunks=2, losses="student")
    assert "student_tokens" in step.columns
    _, record, _ = ask(step, **{**ROW, "answer": "14", "thinking": thinking, "student_tokens": tokens})
    assert [m["to"] for m in record["moves"]] == [1] and record["chunks"][0]["end"] == len(steps[0])
    assert [c["loss"] for c in record["chunks"]] == pytest.approx([0.1, 3.0])
    assert [c["skipped"] for c in record["chunks"]] == [True, False]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UserError, match="chunks=0"):
        SkipThinking(Scripted(script=knows), MathEqual(), chunks=0)
    with pytest.raises(UserError, match="choice_trials=0"):
        SkipThinking(Scripted(script=knows), MathEqual(), choice_trials=0)


def table(n: int, *, filler: bool, seed: int = 0) -> pl.DataFrame:
    """Chained sums, with filler between the steps or without any."""
    rng, rows = Random(seed), []
    for _ in range(n):
        results = [rng.randint(1, 99) for _ in range(rng.randint(2, 4))]
        lines = [f"{r - 1} + 1 = {r}.\n\n" for r in results]
        for _ in range(rng.randint(1, 3) if filler else 0):
            lines.insert(rng.randint(0, len(lines)), FILLER)
        rows.append(dict(question=f"Add up {results}.", answer=str(sum(results)),
                         thinking="".join(lines).rstrip(),
                         response=f"\\boxed{{{sum(results)}}}"))  # fmt: skip
    return pl.DataFrame(rows)


@pytest.mark.slow
def test_filler_is_found_and_where_there_is_none_nothing_goes(tmp_path: Path) -> None:
    student = Scripted(script=knows)
    run = skip_thinking(curate.read(table(40, filler=True)), student, chunks=9).run(tmp_path / "filler")
    marked = right = there = 0
    texts = dict(
        run.dropped.filter(dropped_by="skip_thinking").select("trace_id", "thinking").collect().rows()
    )
    for row in run.traces.collect().to_dicts():
        for chunk in row["skip_thinking"]["chunks"]:
            is_filler = texts[row["parent_id"]][chunk["start"] : chunk["end"]].startswith("Let us")
            marked, right = marked + chunk["skipped"], right + (chunk["skipped"] and is_filler)
            there += is_filler
    assert marked > 40 and right / marked >= 0.9 and right == there
    live = run.traces.collect()
    assert len(live) == 40 and live["parent_id"].null_count() == 0
    assert not live["thinking"].str.contains("Let us").any()
    none = skip_thinking(curate.read(table(40, filler=False)), student, chunks=9).run(tmp_path / "none")
    kept = none.traces.collect()
    assert kept["parent_id"].null_count() == 40
    assert kept["skip_thinking"].struct.field("skip_ratio").mean() == 0


def test_the_rows_of_chunk_wise_training_join_to_the_traces(tmp_path: Path) -> None:
    source = curate.read(pl.concat([table(6, filler=True), table(6, filler=False, seed=1)]))
    run = skip_thinking(source, Scripted(script=knows), chunks=3).run(tmp_path / "run")
    rows = chunk_rows(run)
    everything = pl.concat([run.traces, run.dropped], how="diagonal_relaxed").collect()
    texts = {r["trace_id"]: (r["thinking"], r["response"]) for r in everything.to_dicts()}
    assert set(rows["trace_id"]) == set(texts)
    born = set(run.traces.filter(pl.col("parent_id").is_not_null()).collect()["trace_id"])
    assert set(rows.filter("skipping")["trace_id"]) == born and 0 < len(born) < 12
    for (trace,), part in rows.group_by("trace_id", maintain_order=True):
        thinking, response = texts[trace]  # type: ignore[index]
        targets = part["target"].to_list()
        assert ("".join(targets[:-1]), targets[-1]) == (thinking, response)
        assert part["prefix"].to_list() == ["".join(targets[:i]) for i in range(len(targets))]
        assert part["field"].to_list() == ["thinking"] * (len(part) - 1) + ["response"]
        assert part["chunk_index"].to_list() == list(range(len(part)))
        assert set(part["n_chunks"]) == {len(part)} and len(part) <= 4


def test_equal_traces_have_the_rows_of_one_each(tmp_path: Path) -> None:
    rows = {}
    for n in (1, 2):
        source = curate.read(pl.concat([table(1, filler=True)] * n))
        run = skip_thinking(source, Scripted(script=knows), chunks=3).run(tmp_path / str(n))
        rows[n] = chunk_rows(run).sort("trace_id", "chunk_index")
    assert rows[1]["skipping"].any() and rows[2].equals(
        pl.concat([rows[1]] * 2).sort("trace_id", "chunk_index")
    )


def test_the_trainer_learns_the_target_of_each_row_and_nothing_else(tmp_path: Path, tiny_model: Path) -> None:
    source = curate.read(table(4, filler=True))
    run = skip_thinking(source, Scripted(script=knows), chunks=3).run(tmp_path / "run")
    rows = chunk_rows(run)
    rows.write_parquet(tmp_path / "chunks.parquet")
    tokenizer = load_tokenizer(tiny_model)
    found = encode(tokenizer, list(conversations([tmp_path / "chunks.parquet"])))
    learnt = [tokenizer.decode(row.ids[row.learn]) for row in found]
    assert len(learnt) == len(rows) > 12
    for row, text in zip(rows.to_dicts(), learnt, strict=True):
        before = "<think>\n" if row["chunk_index"] == 0 else ""
        if row["field"] == "thinking":
            assert text.strip("\n") == (before + row["target"]).strip("\n")
        else:
            assert text == f"\n</think>\n\n{row['target']}<|im_end|>"


def test_a_real_student_tries_its_own_chunks(tmp_path: Path) -> None:
    from curate.demo_world.world import problems, solve

    rng, source, rows = Random(3), problems(3, "sample"), []
    for _ in range(3):
        problem = next(source)
        thinking, response = solve(problem, rng)
        rows.append(
            dict(question=problem.question, answer=str(problem.answer), thinking=thinking, response=response)
        )
    engine = HF(str(WORLD / "teacher"), dtype="float32", device="cpu", max_tokens=24)
    made = skip_thinking(curate.read(pl.DataFrame(rows)), engine, chunker="loss")
    run = made.run(tmp_path / "run")
    live = run.traces.collect()
    found = live["skip_thinking"].to_list()
    assert len(found) == 3 and all(c["loss"] is not None for r in found for c in r["chunks"])
    assert live["skip_thinking_events"].list.len().max() > 1, (
        "the student was never right: this test shows nothing"
    )
    for record in found:
        assert record["model"] == "teacher"
