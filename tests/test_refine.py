"""Drafts, workspaces and the path through them: bounded, rebuilt every round, and honestly counted."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.scripted import Scripted
from curate.errors import TooLong, UserError
from curate.methods.refine import call_rows, refine
from curate.rewriters.refine import Refine
from curate.rewriting import Revision, first_words
from curate.step import Completion
from curate.verifiers.math_equal import MathEqual

ROW = dict(question="2 + 2?", answer="4", thinking="Hm.", response="Parent says \\boxed{5}")


def role(messages: list[dict[str, str]]) -> str:
    """Told from what is asked."""
    said = messages[-1]["content"]
    return "distill" if said.startswith("Several") else "refine" if said.startswith("Solve the") else "draft"


class Talk:
    """A script that writes down what it was asked, and answers by role."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def __call__(self, messages: Any, seed: int) -> str:
        self.asked.append((role(messages), messages[-1]["content"]))
        number = sum(r == "draft" for r, _ in self.asked)
        said = {
            "draft": f"<think>secret</think>Draft {number} says \\boxed{{{[4, 5, 4][number % 3]}}}"
            + " on" * number,
            "distill": "<think>secret</think>" + " ".join(f"note{i}" for i in range(50)),
            "refine": f"<think>from {len(self.asked)}</think>It is \\boxed{{4}}",
        }
        return said[self.asked[-1][0]]


def ask(talk: Any, row: dict[str, Any] | None = None, **more: Any) -> Revision:
    async def go() -> Revision:
        step = Refine(Scripted(script=talk), MathEqual(), **more)
        async with step.engine:
            return await step.ask({c: (row or ROW).get(c) for c in step.columns})

    return asyncio.run(go())


def test_drafts_are_distilled_and_the_last_round_sees_the_workspace_alone() -> None:
    talk = Talk()
    child, record, calls = ask(talk, drafts=(3, 1), words=20)
    assert child and child.response == "It is \\boxed{4}" and child.thinking == "from 5"
    assert [r for r, _ in talk.asked] == ["draft", "draft", "draft", "distill", "refine"]
    assert [t for r, t in talk.asked if r == "draft"] == ["2 + 2?"] * 3
    distil, last = talk.asked[3][1], talk.asked[4][1]
    assert all(f"Draft {i} says" in distil for i in (1, 2, 3)) and "secret" not in distil
    assert record["workspace"] == " ".join(f"note{i}" for i in range(20)), "bounded"
    assert record["workspace"] in last and "note20" not in last and "Draft" not in last
    assert "2 + 2?" in last and "Parent" not in "".join(t for _, t in talk.asked)
    assert [(c["call"], c["round"], c["role"], c["parents"]) for c in calls] == [
        (0, 1, "draft", []), (1, 1, "draft", []), (2, 1, "draft", []),
        (3, 1, "distill", [0, 1, 2]), (4, 2, "refine", [3]),
    ]  # fmt: skip
    assert [c["accepted"] for c in calls] == [False, False, True, True, True], (
        "the costliest draft is on the path"
    )


def cost(calls: Any) -> int:
    return sum(c["prompt_tokens"] + c["output_tokens"] for c in calls)


@pytest.mark.parametrize("workspace", ["summary", "top", "random"])
@pytest.mark.parametrize("drafts", [(1, 1), (1, 1, 1), (3, 1), (2, 3, 1), (3, 2, 2, 1)])
def test_the_path_is_connected_and_costs_less_than_all_unless_there_is_one_draft(
    workspace: Any, drafts: tuple[int, ...]
) -> None:
    child, record, calls = ask(Talk(), drafts=drafts, workspace=workspace)
    assert child and record["rounds"] == len(drafts)
    path = [c for c in calls if c["accepted"]]
    assert path[-1] is calls[-1] and path[0]["parents"] == []
    for before, after in zip(path, path[1:], strict=False):
        assert before["call"] in after["parents"]
    assert all(parent < c["call"] for c in calls for parent in c["parents"]), "no call comes from a later one"
    assert (record["sequential"], record["total"]) == (cost(path), cost(calls))
    assert (record["sequential"] == record["total"]) == (set(drafts) == {1})
    made = [
        sum(c["role"] in ("draft", "refine") and c["round"] == r for c in calls)
        for r in range(1, len(drafts) + 1)
    ]
    assert made == list(drafts)
    for c in calls:
        shown = {calls[p]["round"] for p in c["parents"]}
        assert shown <= {c["round"] if c["role"] == "distill" else c["round"] - 1}, (
            "rebuilt, never carried on"
        )


def test_the_top_drafts_are_those_that_most_agree_with_the_shorter_first() -> None:
    talk = Talk()
    _, record, calls = ask(talk, drafts=(5, 1), workspace="top", k=2)
    by_hand = [c for c in calls if c["role"] == "draft" and "\\boxed{4}" in c["response"]][:2]
    assert record["workspace"] == "\n\n".join(c["response"] for c in by_hand)
    assert calls[-1]["parents"] == [c["call"] for c in by_hand]
    assert "distill" not in [r for r, _ in talk.asked]
    short = ask(Talk(), drafts=(5, 1), workspace="top", k=2, words=8)[1]
    assert len(short["workspace"].split()) <= 8


def test_random_drafts_differ_from_draft_to_draft_and_not_from_run_to_run() -> None:
    how: dict[str, Any] = dict(drafts=(6, 5, 1), workspace="random", k=2)
    first, again, other = (ask(Talk(), **how, seed=seed).events for seed in (0, 0, 1))
    parents = [c["parents"] for c in first if c["round"] == 2]
    assert len({tuple(p) for p in parents}) > 1 and all(len(p) == 2 for p in parents)
    assert parents == [c["parents"] for c in again if c["round"] == 2]
    assert parents != [c["parents"] for c in other if c["round"] == 2]


def test_it_may_begin_with_the_trace() -> None:
    talk = Talk()
    child, record, calls = ask(talk, drafts=(1, 1), begin="trace")
    assert child and [r for r, _ in talk.asked] == ["distill", "refine"]
    assert "Parent says" in talk.asked[0][1] and "Hm." not in talk.asked[0][1]
    assert [c["role"] for c in calls] == ["given", "distill", "refine"]
    assert cost(calls[:1]) == 0 and record["sequential"] == record["total"] > 0


FAULTS = {
    "a wrong answer": ("\\boxed{5}", "wrong: different"),
    "prose": ("I cannot say.", "wrong: no_answer"),
    "silence": ("", "unclosed_thinking: "),
    "thinking that never ends": ("<think>\\boxed{4}", "unclosed_thinking: "),
    "tags of another model": ("<reasoning>2 + 2</reasoning>\\boxed{4}", "stray_tag: <reasoning>"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_last_draft_that_fails_leaves_the_trace_with_the_reason(fault: str) -> None:
    said, why = FAULTS[fault]
    child, record, calls = ask([*["\\boxed{4}"] * 3, said], drafts=(2, 1))
    assert child is None and record["why"].startswith(why), record["why"]
    assert calls[-1]["role"] == "refine" and record["total"] > 0


def test_a_draft_that_says_nothing_is_not_distilled_and_without_any_it_ends_there() -> None:
    child, record, calls = ask(["<think>on and on", "\\boxed{4}", "notes", "\\boxed{4}"], drafts=(2, 1))
    assert child and calls[2]["parents"] == [1]
    child, record, calls = ask(["<think>on and on"], drafts=(2, 1))
    assert child is None and record["why"].startswith("no_workspace") and len(calls) == 2
    child, record, calls = ask(["\\boxed{4}", "<think>notes"], drafts=(1, 1))
    assert child is None and record["why"].startswith("no_workspace")


def test_where_the_model_has_no_room_the_trace_stays_with_what_was_drafted() -> None:
    talk = Talk()

    def narrow(messages: Any, seed: int) -> str:
        if role(messages) == "refine":
            raise TooLong("the prompt has 9 tokens")
        return talk(messages, seed)

    child, record, calls = ask(narrow, drafts=(2, 1))
    assert child is None and record["why"] == "no_room: the prompt has 9 tokens"
    assert [call["role"] for call in calls] == ["draft", "draft", "distill"] and record["workspace"]


def test_without_a_gold_answer_nothing_is_paid() -> None:
    def nobody(messages: Any) -> str:
        raise AssertionError("it was asked")

    child, record, calls = ask(nobody, {**ROW, "answer": None})
    assert child is None and record["why"] == "no_gold" and not calls


def test_what_cannot_be_is_refused() -> None:
    for more, match in (
        (dict(drafts=(1,)), "two rounds or more"),
        (dict(drafts=(2, 2)), "the last of 1"),
        (dict(drafts=(0, 1)), "1 draft or more"),
        (dict(drafts=(2, 1), begin="trace"), "one draft in the first round"),
        (dict(words=0), "must be 1 or more"),
        (dict(workspace="all"), "workspace"),
    ):
        with pytest.raises(UserError, match=match):
            ask(Talk(), **more)


@given(st.text(alphabet="ab \n", max_size=40), st.integers(1, 9))
def test_the_first_words_of_a_text_are_its_beginning(text: str, n: int) -> None:
    short = first_words(text, n)
    assert text.strip().startswith(short) and short.split() == text.split()[:n]


def test_a_workspace_in_chinese_is_bounded_too() -> None:
    notes = "二加二等于四。" * 20

    def say(messages: Any) -> str:
        return notes if role(messages) == "distill" else "\\boxed{4}"

    child, record, _ = ask(say, drafts=(1, 1), words=9)
    assert child and record["workspace"] == notes[:10], "nine characters, and a stop"


def test_drafts_share_what_their_call_cost_where_it_is_counted_with_the_first() -> None:
    """Else the first would be the costliest path, though the last said more."""

    class Counting(Scripted):
        async def chat(self, messages: Any, **more: Any) -> list[Completion]:
            replies = await super().chat(messages, **more)
            asked = [1000, *[0] * (len(replies) - 1)]
            return [replace(r, prompt_tokens=p) for r, p in zip(replies, asked, strict=True)]

    async def go(talk: Talk) -> Revision:
        async with (step := Refine(Counting(script=talk), MathEqual(), drafts=(3, 1))).engine:
            return await step.ask({c: ROW.get(c) for c in step.columns})

    _, record, calls = asyncio.run(go(Talk()))
    assert [c["prompt_tokens"] for c in calls] == [334, 333, 333, 1000, 1000]
    assert [c["accepted"] for c in calls] == [False, False, True, True, True], "the longest draft"
    assert record["sequential"] == cost(calls[2:]) and record["total"] == cost(calls)


def test_a_run_keeps_the_calls_and_gives_them_as_rows(tmp_path: Path) -> None:
    def say(messages: Any, seed: int) -> str:
        """Right in the last round, but for 3 + 3."""
        a = int(re.search(r"(\d+) \+", messages[-1]["content"])[1])  # type: ignore[index]
        return f"<think>hm</think>\\boxed{{{2 * a + (a == 3)}}}"

    sums = [2 * i for i in range(6)]
    table = pl.DataFrame({"question": [f"{i} + {i}?" for i in range(6)], "answer": [str(s) for s in sums],
                          "response": [f"\\boxed{{{s if s % 4 else 7}}}" for s in sums]})  # fmt: skip
    run = refine(curate.read(table), Scripted(script=say), drafts=(2, 1)).run(tmp_path / "run")
    live = run.traces.collect()
    assert len(live) == 6, "wrong traces become right, and the one that could not be refined was right"
    assert live.filter(pl.col("parent_id").is_null())["question"].to_list() == ["3 + 3?"]
    rows = call_rows(run)
    assert rows.group_by("role").len().sort("role").rows() == [("distill", 5), ("draft", 5), ("refine", 5)]
    last = rows.filter(role="refine").join(live, on="trace_id", suffix="_of_trace")
    assert (last["response"] == last["response_of_trace"]).all() and len(last) == 5
    assert all(m[0]["role"] == "user" for m in rows["messages"].to_list())
    dropped = refine(curate.read(table), Scripted(script=say), drafts=(2, 1), on_fail="drop").run(
        tmp_path / "drop"
    )
    assert dropped.dropped.filter(dropped_by="not_rewritten").collect()["question"].to_list() == ["3 + 3?"]
    assert run.ledger["calls"].sum() == 6 * 3, "two samples are one call"
