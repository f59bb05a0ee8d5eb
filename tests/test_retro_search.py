"""Retro-Search over real traces is, byte for byte, what a plain sequential search makes of them."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from retro_reference import revised
from reviser import reviser, says
from running import bought
from served import serving

import curate
from curate.bought import unfinished
from curate.demo import WORLD
from curate.demo_world.world import problems, solve
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import BudgetSpent, CallFailed, EngineDown, Refused, TooLong, UserError
from curate.methods.retro_search import STATUS, report, retro_events, retro_search
from curate.pieces import TRANSITIONS, delimiter, steps, thoughts
from curate.recipes import pipeline
from curate.rewriters.retro_search import RetroSearch
from curate.rollout import loops
from curate.run import Run
from curate.step import Completion
from curate.text import split_thinking
from curate.verifiers.math_equal import MathEqual

MOST = 500  # words of a rollout


def real_traces(data: Path, n: int, thoughts_at_most: int) -> list[dict[str, Any]]:
    """Traces of five models on GSM8K and MATH with two thoughts or more, the first of each question."""
    found: list[dict[str, Any]] = []
    for name in ("mip_answerable", "thought_anchors_math"):
        with gzip.open(data / "traces" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                thought = split_thinking(row["response"]).thought or ""
                if 1 < len(thoughts(thought)) <= thoughts_at_most and row["gold"] and len(found) < n:
                    found.append({c: row[c] for c in ("id", "question", "model", "response")})
                    found[-1] |= {
                        "answer": row["gold"] if len(row["question"]) % 9 else "12345"
                    }  # some are wrong
    return found


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "traces.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return path


def run(traces: Path, url: str, out: Path, *, concurrency: int, window: int = 0, **options: Any) -> Run:
    engine = curate.engine(f"{url}#reviser", concurrency=concurrency)
    made = retro_search(traces=[str(traces)], reviser=engine, window=window, max_tokens=MOST, **options)
    return made.run(out)


def texts(run: Run) -> dict[str, tuple[str, str]]:
    """Thinking and response of every trace, by the id that its input had."""
    both = pl.concat([run.traces, run.dropped], how="diagonal_relaxed").collect()
    last = both.filter(pl.col("dropped_by").is_null() | (pl.col("why") != "rewritten"))
    return {r["source_id"]: (r["thinking"], r["response"]) for r in last.to_dicts()}


def wanted(rows: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """What the reference makes of the traces."""
    found = {}
    for row in rows:
        split = split_thinking(row["response"])

        def right(response: str, gold: str = row["answer"]) -> bool:
            return bool(MathEqual()(response=response, answer=gold).passed)

        def say(begun: str, stop: Any, ban: Any, most: int, row: Any = row) -> Any:
            return says(row["question"], row["answer"], begun, stop, ban, most)

        found[row["id"]] = revised(split.thinking, split.response, say, right, MOST)
    return found


@pytest.mark.slow
def test_real_traces_at_once_are_revised_like_one_after_the_other(data: Path, tmp_path: Path) -> None:
    rows = real_traces(data, 30, 4)
    path, want = write(tmp_path, rows), wanted(rows)
    with reviser(path) as url:
        many = run(path, url, tmp_path / "many", concurrency=64, window=3)
        assert texts(many) == want
        check(many, rows)
        to_the_end = run(path, url, tmp_path / "whole", concurrency=64, stop_when_dominated=False)
        assert texts(to_the_end) == want
    check_report(many, 30, 3)
    check_report(to_the_end, 30, 0)


@pytest.mark.slow
def test_hundreds_of_real_traces_at_any_width_and_across_kills(data: Path, tmp_path: Path) -> None:
    """Tables are equal byte for byte; so are the events in them."""
    rows = real_traces(data, 300, 7)
    path, want = write(tmp_path, rows), wanted(rows)
    assert len(rows) == 300 and sum(len(want[r["id"]][0]) < len(r["response"]) // 2 for r in rows) > 20
    with reviser(path) as url:
        one = run(path, url, tmp_path / "one", concurrency=1)
        asked = sold(url)
        assert texts(one) == want
        check(one, rows)
        for name, width, window in (("many", 64, 0), ("ahead", 64, 3), ("ahead by one", 1, 2)):
            same(one, run(path, url, tmp_path / name, concurrency=width, window=window))
    with reviser(path, sleep_s=0.005) as url:
        kills = 0
        while kills < 8:
            process = start(path, url, tmp_path / "killed", window=kills % 3)
            before = sold(url)
            while process.poll() is None and sold(url) - before < asked // 12:
                time.sleep(0.01)
            assert process.poll() is None, f"the run ended before kill {kills + 1}"
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            kills += 1
        process = start(path, url, tmp_path / "killed", window=0)
        _, err = process.communicate(timeout=300)
        assert process.returncode == 0, err.decode()[-2000:]
        # what was tried ahead, and what was in flight at a kill, is all that was bought too much
        assert sold(url) < 2 * asked
        same(one, Run(tmp_path / "killed"))


def same(one: Run, other: Run) -> None:
    for table in ("live.parquet", "dropped.parquet"):
        assert (one.folder / table).read_bytes() == (other.folder / table).read_bytes(), table


def sold(url: str) -> int:
    with urllib.request.urlopen(f"{url}/sold") as reply:
        return int(json.load(reply)["sold"])


def start(traces: Path, url: str, out: Path, window: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "curate.cli", "run", "retro_search", "--out", str(out)]
    command += ["--traces", str(traces), "--reviser", f"{url}#reviser"]
    command += ["--max-tokens", str(MOST), "--window", str(window)]
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
    )


def check_report(done: Run, rows: int, window: int) -> None:
    """The line on a run adds up with its tables."""
    line, events = report(done).row(0, named=True), retro_events(done)
    assert sum(line[status] for status in STATUS) == rows
    assert line["rollouts"] == len(events) and 0 < line["accepted"] < line["rollouts"]
    assert line["steps_after"] < line["steps_before"] and line["thoughts_after"] < line["thoughts_before"]
    assert line["rollout_tokens"] == events["output_tokens"].sum() > 0
    assert line["wasted_tokens"] == 0 if window == 0 else line["wasted_tokens"] > 0
    assert line["paraphrased"] == 0.0 and line["discarded_tokens"] == 0


def check(done: Run, rows: list[dict[str, Any]]) -> None:
    """What is true of any such run: every kind of end occurs, and what was kept is right and shorter."""
    events = retro_events(done)
    assert set(events["end"]) >= {"stop", "dominated", "unclosed", "other_tags"}
    assert set(events["accepted"]) == {True, False}
    said = events.filter(pl.col("accepted"))
    assert said["passed"].all() and (said["steps"] < said["remaining_steps"]).all()
    for first in events["first_step"]:
        assert not any(word in first for word in TRANSITIONS)
    retro = done.traces.select("parent_id", "trace_id", pl.col("retro")).unnest("retro").collect()
    assert set(retro["status"]) == {"revised", "kept"}
    assert (retro["parent_id"].is_not_null() == (retro["status"] == "revised")).all()
    was = retro.filter(pl.col("status") == "revised")
    assert (was["steps_after"] < was["steps_before"]).all() and (was["accepted"] > 0).all()
    both = pl.concat([done.traces, done.dropped], how="diagonal_relaxed").collect()
    wrong = both.filter(pl.col("retro").struct.field("status") == "skipped_incorrect")
    assert len(wrong) > 0 and (wrong["retro_events"].list.len() == 0).all()
    assert set(wrong["dropped_by"]) == {"failed"}
    assert len(both) == len(rows) + both["parent_id"].count()


@dataclass
class Whim:
    """Says what its random numbers make of the turn so far and the seed; it keeps bans, and notes them."""

    rightly: float
    model: str = "whim"
    calls: list[tuple[str, bool]] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)

    async def count_tokens(self, text: str) -> int:
        return len(text.split())

    async def chat(
        self, messages: Any, *, prefix: str, stop: Any, ban: Any, seed: int, max_tokens: int
    ) -> list[Completion]:
        assert bool(stop) == bool(ban), "the ban ends with the first step"
        self.calls.append((prefix, bool(ban)))
        self.seeds.append(seed)
        rng = random.Random(f"{prefix}\0{seed}")
        await asyncio.sleep(rng.random() / 1000)
        words: list[str] = []
        closed = "</think>" in prefix
        while not words or not (closed and words[-1].startswith(" \\boxed")):
            if closed or rng.random() < 0.15:
                words += [] if closed else ["</think>"]
                words += [f" \\boxed{{{7 if rng.random() < self.rightly else 8}}}"]
                closed = True
            else:
                words += [rng.choice(["\n\nWait", "\n\nBut", "\n\nSo", " it", " is", " 7", " long"])]
        free = [w for w in words if not (ban and w.strip() in ban)]
        text = "".join(free[:max_tokens])
        stopped = min(((text.find(s), s) for s in stop if s in text), default=(len(text), ""))
        finish = "length" if len(free) > max_tokens and not stopped[1] else "stop"
        used = min(len(free), max_tokens)
        return [Completion(None, "", text[: stopped[0]], finish, 1, used, None, stopped[1])]


def search(thinking: str, response: str = "\\boxed{7}", rightly: float = 0.8, **options: Any) -> Any:
    """What a search finds in one trace whose answer is 7, and the whim it asked."""

    async def go() -> Any:
        engine = Whim(rightly)
        row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7"}
        step = RetroSearch(engine, MathEqual(), **options)  # type: ignore[arg-type]
        return await step.ask({**row, "thinking": thinking, "response": response}), engine

    return asyncio.run(go())


LINES = [
    "So it is.",
    "Wait, is it 8?",
    "But no",
    "It is 7.",
    "Alternatively, yes.",
    "```\nHmm\n\nWait\n```",
    " x ",
]
TRACES = st.lists(st.sampled_from(LINES), min_size=1, max_size=9)


@given(
    lines=TRACES, joined=st.sampled_from(["\n\n", "\n", "\n \n\n"]), rollouts=st.integers(1, 3),
    mode=st.sampled_from(["full", "partial"]), unit=st.sampled_from(["steps", "tokens", "both"]),
    seed=st.integers(0, 9),
)  # fmt: skip
@settings(max_examples=150)
def test_the_child_is_right_and_shorter_whatever_is_asked_ahead(
    lines: list[str], joined: str, rollouts: int, mode: Any, unit: Any, seed: int
) -> None:
    thinking = joined.join(lines)
    options = {"n_rollouts": rollouts, "mode": mode, "length_unit": unit, "seed": seed}
    found, engine = search(thinking, **options)
    ahead, busy = search(thinking, **options, window=3)
    assert ahead == found and len(busy.calls) >= len(engine.calls)
    whole, _ = search(thinking, **options, stop_when_dominated=False)
    assert whole.child == found.child
    assert [e["accepted"] for e in whole.events] == [e["accepted"] for e in found.events]
    for e in found.events:
        assert not any(re.search(rf"\b{word}\b", e["first_step"]) for word in TRANSITIONS)
    if found.child is None:
        assert found.retro["status"] in ("kept", "single_thought", "no_thinking")
        assert not any(e["accepted"] for e in found.events)
        return
    child, by = found.child, delimiter(thinking)
    assert found.retro["status"] == "revised" and child.response == " \\boxed{7}".lstrip()
    if unit != "tokens":
        assert len(steps(child.thinking, by)) < len(steps(thinking, by))
    if unit != "steps":
        assert len(child.thinking.split()) < len(thinking.split())
    mine = found.retro["author_end"]
    assert child.thinking[:mine] == thinking[:mine]
    spans = [s for s in child.spans if s["field"] == "thinking"]
    assert [(s["start"], s["end"]) for s in spans if s["label"] == "author"] == [(0, mine)]
    assert sum(s["end"] - s["start"] for s in spans) == len(child.thinking)


@given(lines=TRACES, rollouts=st.integers(1, 2))
@settings(max_examples=30)
def test_nothing_better_leaves_the_trace_and_a_wrong_one_costs_nothing(
    lines: list[str], rollouts: int
) -> None:
    thinking = "\n\n".join(lines)
    never, engine = search(thinking, rightly=0.0, n_rollouts=rollouts)
    assert never.child is None
    assert bool(engine.calls) == (never.retro["status"] == "kept")
    cuts = len(thoughts(thinking, by=delimiter(thinking))) - 1
    assert len(never.events) == cuts * rollouts
    wrong, engine = search(thinking, response="\\boxed{8}")
    assert wrong.child is None and wrong.events == [] and engine.calls == []


def test_every_rollout_has_a_seed_of_its_own() -> None:
    """By what it goes on from and by its number, also where the engine is not told apart by what it reads."""
    thinking = "\n\n".join(["It is 7.", *(["Wait, no."] * 6)])
    _, engine = search(thinking, rightly=0.0, n_rollouts=3)
    assert len(engine.seeds) == len(set(engine.seeds)) >= 18
    _, again = search(thinking, rightly=0.0, n_rollouts=3)
    assert sorted(again.seeds) == sorted(engine.seeds)


def test_a_partial_search_begins_where_it_draws_and_goes_on_to_the_end() -> None:
    thinking = "\n\n".join(["It is 7.", *(f"Wait, {i}?" for i in range(6))])
    cuts = [p.start for p in thoughts(thinking)[1:]]
    begun = set()
    for seed in range(20):
        found, _ = search(thinking, rightly=0.0, mode="partial", seed=seed)
        tried = [e["cursor"] for e in found.events]
        assert tried == cuts[cuts.index(tried[0]) :]
        begun.add(tried[0])
    assert len(begun) > 3


def test_where_a_transition_counts_is_as_told() -> None:
    trace = "It is 7.\n\nSo, but no.\n\nYes."
    assert found_by([GOOD], trace).retro["status"] == "single_thought"
    near = found_by([GOOD], trace, where="near_start")
    assert (near.retro["status"], near.retro["thoughts_before"]) == ("revised", 2)


def found_by(texts: Sequence[str], thinking: str, *, deaf: bool = False, **options: Any) -> Any:
    """What a search finds in a trace whose answer is 7, asking a model that says the same at every cut.

    Of several texts, the next one is said each time that a first step is asked for. deaf: it keeps no ban.
    """
    turns = itertools.cycle(texts)
    whole = ""

    def script(messages: Any, prefix: str) -> str:
        nonlocal whole, at
        if at is None or not prefix.startswith(at) or prefix == at:
            at, whole = prefix, next(turns)
        return whole[len(prefix) - len(at) :]

    @dataclass(frozen=True)
    class Deaf(Scripted):
        async def chat(self, messages: Any, *, ban: Any = (), **more: Any) -> Any:
            return await super().chat(messages, **more)

    at: str | None = None
    row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7", "response": "\\boxed{7}"}
    row |= options.pop("row", {})
    step = RetroSearch((Deaf if deaf else Scripted)(script=script), MathEqual(), **options)
    return asyncio.run(step.ask({**row, "thinking": thinking}))


TRACE = "It is 7.\n\nWait, let me see.\n\nIt could be 8.\n\nAnd so on.\n\nNo."
GOOD = "That is so.\n</think>\n\n\\boxed{7}"
ENDS = {
    "stop": [GOOD],
    "other_tags": ["That is so. <think> Anew.\n</think>\n\n\\boxed{7}"],
    "unclosed": ["That is so, and the answer is \\boxed{7}"],
    "length": ["That is so " + " ".join(map(str, range(2000))) + GOOD],
    "loop": ["That is so. " + "Or is it? " * 500 + GOOD],
    "dominated": ["".join(f"step {i}\n\n" for i in range(200)) + GOOD],
    "no_step": ["Wait, no.\n\n" + GOOD],
}


@pytest.mark.parametrize("end", ENDS)
def test_how_a_rollout_can_end(end: str) -> None:
    found = found_by(ENDS[end], TRACE, deaf=True, max_tokens=1000)
    assert [e["end"] for e in found.events] == [end]
    assert (found.child is not None) == (end == "stop")
    [event] = found.events
    if end == "no_step":
        assert (
            event["discarded"] == event["calls"] == 4 and event["discarded_tokens"] == event["output_tokens"]
        )
    else:
        assert event["discarded"] == 0 and event["thinking"]
    if end == "stop":
        assert found.child.thinking == "It is 7.\n\nThat is so." and found.child.response == "\\boxed{7}"
        assert found.child.spans[-1] == dict(field="response", start=0, end=9, label="reviser", value=None)


@pytest.mark.parametrize(
    "said",
    [
        "<reasoning>So it is.</reasoning>\n</think>\n\n\\boxed{7}",
        "[THINK]So it is.[/THINK]\n</think>\n\n\\boxed{7}",
        "So.\n</THINK>\n</think>\n\n\\boxed{7}",
        "So.\n</think>\n\n<thought>Hm.</thought>\\boxed{7}",
        "So. <|begin_of_solution|>\n</think>\n\n\\boxed{7}",
    ],
)
def test_a_reviser_with_the_tags_of_another_model_is_not_taken(said: str) -> None:
    found = found_by([said], TRACE)
    assert found.child is None and [e["end"] for e in found.events] == ["other_tags"]
    mine = TRACE.replace("It is 7.", "It is 7, as <reasoning> says.")
    assert found_by([GOOD], mine).child is not None, "what the author wrote is the author's"


@pytest.mark.parametrize(
    ("trace", "said", "first"),
    [
        (TRACE.replace("\n\n", " "), "Is that so? But yes.\n</think>\n\n\\boxed{7}", "Is that so? "),
        (TRACE.replace("\n\n", " "), "It is so!\nBut yes.\n</think>\n\n\\boxed{7}", "It is so!\n"),
        (TRACE.replace("\n\n", " "), "就是这样。But yes.\n</think>\n\n\\boxed{7}", "就是这样。"),
        (TRACE, "It is so.\n \nBut yes.\n</think>\n\n\\boxed{7}", "It is so.\n \n"),
        (TRACE, "It is so.\n\t\nBut yes.\n</think>\n\n\\boxed{7}", "It is so.\n\t\n"),
    ],
)
def test_the_ban_is_over_with_the_first_step(trace: str, said: str, first: str) -> None:
    found = found_by([said], trace, deaf=True, redraws=0)
    event = found.events[0]
    assert (event["end"], event["accepted"], event["first_step"].strip()) == ("stop", True, first.strip())


SHRINKING = [
    ("steps", "But.\n\nYes.\n\nNo.\n\nYes.", "In code.\n\n```\n" + "x = f(x)\n\n" * 9 + "```\nSo."),
    ("steps", "But.\n\nYes.\n\nNo.\n\nYes.", "Let\n\n$$\nx\n\ny\n\nz\n$$\nbe so."),
    ("steps", "But.\n\nYes.", "Yes.\n\n"),
    ("tokens", "But yes, it is.", "It is approximately so."),
]


@pytest.mark.parametrize(("unit", "rest", "said"), SHRINKING)
def test_what_is_opened_and_not_closed_does_not_end_a_rollout(unit: Any, rest: str, said: str) -> None:
    """A fence, a formula, a tag and a word count for more where they are cut than where they are whole."""
    said += "\n</think>\n\n\\boxed{7}"

    class Spelling(Whim):
        async def count_tokens(self, text: str) -> int:
            return len(re.findall(r"approximately|\S", text))

        async def chat(self, messages: Any, *, prefix: str, stop: Any, max_tokens: int, **_: Any) -> Any:
            left = said.removeprefix(prefix.partition("7.\n\n")[2])
            text = left[:max_tokens]  # a token is a character
            at, end = min(((text.find(s), s) for s in stop if s in text), default=(len(text), ""))
            finish: Any = "length" if text != left and not end else "stop"
            return [Completion(None, "", text[:at], finish, 1, len(text), None, end)]

    row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7", "response": "\\boxed{7}"}
    row["thinking"] = f"It is 7.\n\n{rest}"
    step = RetroSearch(Spelling(1.0), MathEqual(), length_unit=unit)  # type: ignore[arg-type]
    for at_once in range(1, len(said)):
        with mock.patch("curate.rewriters.retro_search.SHORTEST_SLICE", at_once):
            found = asyncio.run(step.ask(row))
        assert [e["end"] for e in found.events] == ["stop"] and found.child is not None, at_once


def test_a_model_that_keeps_no_ban_is_asked_again_and_what_that_costs_is_counted() -> None:
    found = found_by(["Wait, no.\n\nYes.", " \n\nx", GOOD], TRACE, deaf=True)
    [event] = found.events
    assert event["accepted"] and event["discarded"] == 2
    assert event["discarded_tokens"] == 3, "two words, and white space"
    assert event["calls"] == 4 and event["output_tokens"] == 3 + len(GOOD.replace("</think>", "").split())
    assert found_by(["Wait, no.\n\nYes.", GOOD], TRACE, deaf=True, redraws=0).child is None


def test_a_rollout_goes_on_from_the_tokens_that_were_drawn() -> None:
    """As far as they are known; where some are not, all before is text, and that is noted."""
    asked: list[tuple[str, Any]] = []

    class Drawing(Scripted):
        unknown: int | None = None

        async def chat(self, messages: Any, *, prefix: str, as_drawn: Any = None, **more: Any) -> Any:
            asked.append((prefix, as_drawn))
            [said] = await super().chat(messages, prefix=prefix, **more)
            text = said.text + (said.stopped or "")
            known = len(asked) != self.unknown and said.finish == "length" or said.stopped
            return [replace(said, ids=tuple(map(ord, text)) if known else None)]

    row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7", "response": "\\boxed{7}"}
    begun = "<think>\nIt is 7.\n\n"
    good = "So it is.\n\n" + " ".join(map(str, range(200))) + "\n</think>\n\n\\boxed{7}"
    thinking = TRACE + "\n\n" + "\n\n".join(map(str, range(30)))
    for unknown, retokenized in ((None, False), (2, True)):
        asked.clear()
        Drawing.unknown = unknown
        step = RetroSearch(
            Drawing(script=lambda messages, prefix: good[len(prefix) - len(begun) :]), MathEqual()
        )
        with mock.patch("curate.rewriters.retro_search.SHORTEST_SLICE", 20):
            found = asyncio.run(step.ask({**row, "thinking": thinking}))
        [event] = found.events
        assert event["accepted"] and event["retokenized"] == retokenized and event["calls"] == len(asked) > 3
        for i, (prefix, own) in enumerate(asked):
            known = prefix[len(asked[2][0]) if unknown and i > 1 else len(begun) :]
            assert own == ((len(known), tuple(map(ord, known))) if known else None)


def test_a_wrong_trace_is_searched_where_that_is_asked() -> None:
    """Until something right is found, however long that is; from then on as ever."""
    one = "It is 8.\n\n"
    two = one + "Wait, no.\n\n"
    three = two + "Yes.\n\n" * 9
    said = {
        three: "It is.\n\n" * 200 + GOOD,
        two: "Yes.\n\n" * 9 + "But so.\n</think>\n\n\\boxed{7}",
        one: "No.\n</think>\n\n\\boxed{8}",
    }

    def script(messages: Any, prefix: str) -> str:
        turn = prefix.removeprefix("<think>\n")
        begun = next(b for b in said if turn.startswith(b))
        return said[begun][len(turn) - len(begun) :]

    row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7", "response": "\\boxed{8}"}
    row["thinking"] = two + "But yes, it is.\n\nNo."
    step = RetroSearch(Scripted(script=script), MathEqual(), revise_incorrect=True)
    found = asyncio.run(step.ask(row))
    assert [(e["passed"], e["accepted"], e["end"]) for e in found.events] == [
        (False, False, "stop"), (True, True, "stop"), (None, False, "dominated"),
    ]  # fmt: skip
    assert [e["remaining_value"] > 0 for e in found.events] == [False, False, True]
    assert found.child is not None and found.child.response == "\\boxed{7}"
    vain = replace(step, engine=Scripted(script=lambda messages: "No.\n</think>\n\n\\boxed{8}"))
    assert asyncio.run(vain.ask(row)).retro["status"] == "kept_incorrect"
    assert found.retro["status"] == "revised" and found.retro["steps_after"] > found.retro["steps_before"]
    kept = asyncio.run(replace(step, revise_incorrect=False).ask(row))
    assert kept.retro["status"] == "skipped_incorrect"


@pytest.mark.parametrize("error, end", [(TooLong, "no_room"), (Refused, "refused")])
def test_a_cut_that_an_engine_does_not_take_is_passed_over(error: type[CallFailed], end: str) -> None:
    """The trace is not set aside for it: what comes before is still searched."""

    class Short(Whim):
        async def chat(self, messages: Any, *, prefix: str, **more: Any) -> list[Completion]:
            if len(prefix) > 40:
                raise error("the prompt has too many tokens")
            return await super().chat(messages, prefix=prefix, **more)

    row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7", "response": "\\boxed{7}"}
    thinking = "It is 7.\n\nWait, no.\n\nBut yes, it is.\n\nHmm, and so on.\n\nNo."
    step = RetroSearch(Short(0.0), MathEqual())  # type: ignore[arg-type]
    found = asyncio.run(step.ask({**row, "thinking": thinking}))
    assert [e["calls"] > 0 for e in found.events] == [True, True, False]
    assert found.events[-1]["end"] == end and found.child is None
    assert found.events[-1]["why"] == "the prompt has too many tokens"


def test_a_trace_of_which_nothing_is_taken_is_asked_again() -> None:
    """So it is where the server refuses everything: that says nothing of the trace."""

    class Deaf(Whim):
        async def chat(self, messages: Any, **more: Any) -> list[Completion]:
            raise Refused("unknown field bad_words")

    row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7", "response": "\\boxed{7}"}
    step = RetroSearch(Deaf(0.8), MathEqual())  # type: ignore[arg-type]
    with pytest.raises(CallFailed, match="unknown field bad_words"):
        asyncio.run(step.ask({**row, "thinking": TRACE}))


def test_an_engine_that_names_no_stop_string_is_an_error() -> None:
    """Where the thinking is over and where a step is would be guessed, and the text would have it."""

    class Silent(Whim):
        async def chat(self, messages: Any, **more: Any) -> list[Completion]:
            return [replace(reply, stopped=None) for reply in await super().chat(messages, **more)]

    row = {"trace_id": "t", "question": "q", "messages": None, "answer": "7", "response": "\\boxed{7}"}
    step = RetroSearch(Silent(0.8), MathEqual())  # type: ignore[arg-type]
    with pytest.raises(EngineDown, match="'whim' does not tell at which stop string it ended"):
        asyncio.run(step.ask({**row, "thinking": TRACE}))


def test_traces_that_have_nowhere_to_begin() -> None:
    fenced = "Code:\n\n```\nx\n\nWait, y\n```\n\nDone."
    assert found_by([GOOD], fenced).retro["status"] == "single_thought"
    assert found_by([GOOD], " \n").retro["status"] == "no_thinking"
    for trace, by in (
        (TRACE, "blank"),
        (TRACE.replace("\n\n", "\n"), "line"),
        (TRACE.replace("\n\n", " "), "sentence"),
    ):
        found = found_by([GOOD], trace)
        assert (found.retro["status"], found.retro["step_delimiter"]) == ("revised", by)
        assert found.child.thinking.endswith("That is so.")
    nobody = {"row": {"answer": None}}
    assert found_by([GOOD], TRACE, **nobody).retro["status"] == "no_gold"
    mine = found_by([GOOD], TRACE, **nobody, reference="self")
    assert (mine.retro["status"], mine.retro["reference"]) == ("revised", "self")
    blank = {"row": {"answer": " "}}
    assert found_by([GOOD], TRACE, **blank).retro["status"] == "no_gold"
    assert found_by([GOOD], TRACE, **blank, reference="self").retro["status"] == "revised"
    for reference in ("gold", "self"):  # nothing is held against it, and nothing paid
        unsure = found_by([GOOD], TRACE, row={"answer": "see figure"}, reference=reference)
        assert unsure.retro["status"] == "unverified" and not unsure.events
    silent = {"row": {"answer": None, "response": "who knows"}}
    assert found_by([GOOD], TRACE, **silent, reference="self").retro["status"] == "no_gold"


def test_what_cannot_be_searched_with_is_a_sentence() -> None:
    engine = Scripted(script=["7"])
    for options, words in (
        ({"n_rollouts": 0}, "n_rollouts=0 is too few"),
        ({"gamma": 1.0}, "gamma=1.0 is no discount"),
        ({"opening": "<reason>"}, "'<reason>' is no think tag"),
        ({"transitions": ()}, "name the words"),
        ({"length_unit": "words"}, "length_unit is 'steps' or 'tokens' or 'both', not 'words'"),
    ):
        with pytest.raises(UserError, match=re.escape(words)):
            RetroSearch(engine, MathEqual(), **options)  # type: ignore[arg-type]
    mute = type("Mute", (Scripted,), {"count_tokens": None})(model="mute", script=["7"])
    with pytest.raises(UserError, match="'mute' counts no tokens, and length_unit='tokens'; measure in"):
        RetroSearch(mute, MathEqual(), length_unit="tokens")
    for wrong, words in (
        ({}, "or of files"),
        ({"traces": ["x"]}, "who revises"),
        ({"problems": "x"}, "or of files"),
    ):
        with pytest.raises(UserError, match=words):
            retro_search(**wrong)  # type: ignore[arg-type]


def test_every_constant_is_a_flag() -> None:
    problems = WORLD / "problems.jsonl"
    asked = ["--problems", str(problems), "--teacher", "scripted:builtins:len"]

    def search_of(*flags: str) -> RetroSearch:
        made = pipeline("plan", "retro_search", (*asked, *flags), None)
        return next(step for step in made.steps if isinstance(step, RetroSearch))

    plain = search_of()
    assert plain == RetroSearch(plain.engine, MathEqual())
    flags = ["--transitions", "Or", "On second thought", "--where", "near_start", "--gamma", "0.5"]
    flags += ["--redraws", "1", "--loop-repeats", "4", "--opening", "<thinking>"]
    told = replace(plain, transitions=("Or", "On second thought"), where="near_start", gamma=0.5)
    assert search_of(*flags) == replace(told, redraws=1, loop_repeats=4, opening="<thinking>\n")


def test_a_loop_is_seen_and_a_list_is_none() -> None:
    assert loops("So it goes. " * 20, 8) and loops("ab" + "x" * 200, 8)
    assert not loops("So it goes. " * 7, 8) and not loops("".join(f"{i}. item\n" for i in range(99)), 8)
    assert not loops("", 8)


@pytest.mark.slow
def test_the_demo_teacher_revises_its_own_traces_from_the_command_line(tmp_path: Path) -> None:
    world, out = Path(curate.__file__).parent / "demo_world", tmp_path / "run"
    few = (world / "problems.jsonl").read_text(encoding="utf-8").split("\n")[:40]
    (tmp_path / "few.jsonl").write_text("\n".join(few), encoding="utf-8")
    command = [sys.executable, "-m", "curate.cli", "run", "retro_search", "--out", str(out)]
    command += ["--problems", str(tmp_path / "few.jsonl"), "--teacher", f"hf:{world / 'teacher'}"]
    command += ["--max-tokens", "256", "--window", "1"]
    for _ in range(2):  # the second run asks nothing
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr[-2000:]
    made = Run(out)
    assert made.ledger.filter(pl.col("step") == "retro_search")["rows_cached"].sum() > 20
    events, live = retro_events(made), made.traces.collect()
    assert len(events) > 10 and events["passed"].sum() > 0
    children = live.filter(pl.col("parent_id").is_not_null())
    assert len(children) > 0, "nothing was revised: this test shows nothing"
    assert children["math_equal"].struct.field("passed").all()
    columns = pl.read_parquet_schema(next(made.publish(tmp_path / "set").folder.rglob("*.parquet")))
    assert "retro" in columns and "retro_events" not in columns, "the log of a search is no training data"
    retro = children.unnest("retro")
    assert (retro["steps_after"] < retro["steps_before"]).all()


@pytest.mark.slow
def test_a_search_that_is_cut_off_goes_on_from_the_tokens_it_had_drawn(tmp_path: Path) -> None:
    dice, stream = random.Random(3), problems(3, "sample")
    told = [(p, *solve(p, dice)) for p in itertools.islice(stream, 60)]
    rows = [dict(id=str(i), question=p.question, answer=str(p.answer), thinking=t, response=r)
            for i, (p, t, r) in enumerate(told)]  # fmt: skip
    traces = write(tmp_path, rows)
    teacher = HF(str(WORLD / "teacher"), dtype="float32", device="cpu", batch_size=16)

    def search(out: str, **bound: Any) -> Run:
        made = retro_search(traces=[str(traces)], reviser=teacher, max_tokens=200)
        return made.run(tmp_path / out, **bound)

    whole = search("whole")
    spent = whole.ledger["prompt_tokens"].sum() + whole.ledger["output_tokens"].sum()
    with pytest.raises(BudgetSpent):
        search("cut", budget_tokens=spent // 2)
    assert unfinished(tmp_path / "cut", "retro_search"), "no search was cut off in its midst"
    columns = ["trace_id", "iteration", "attempt", "calls", "retokenized", "end", "thinking", "response"]
    one, other = (retro_events(run).select(columns).sort(columns[:3]) for run in (whole, search("cut")))
    assert one.equals(other) and one["calls"].max() > 1
    assert not one["retokenized"].any(), "no step of this model ends within a token"


@pytest.mark.slow
def test_stored_traces_are_revised_over_http_and_a_killed_run_goes_on(tmp_path: Path) -> None:
    """From the command line, with the demo's teacher behind a server, as `http://HOST:PORT/v1#MODEL`."""
    dice, stream = random.Random(3), problems(3, "sample")
    told = [(p, *solve(p, dice)) for p in itertools.islice(stream, 150)]
    rows = [dict(question=p.question, answer=str(p.answer), thinking=t, response=r) for p, t, r in told]
    (tmp_path / "traces.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with serving(WORLD / "teacher") as url:
        command = [sys.executable, "-m", "curate.cli", "run", "retro_search", "--max-tokens", "200"]
        command += ["--traces", str(tmp_path / "traces.jsonl"), "--reviser", f"{url}#{WORLD / 'teacher'}"]

        def start(out: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen([*command, "--out", str(tmp_path / out)], stdout=subprocess.DEVNULL)

        assert start("quiet").wait(600) == 0
        calls = Run(tmp_path / "quiet").ledger["calls"].sum()
        killed, journal = start("killed"), tmp_path / "killed" / "journal.sqlite"
        while bought(journal) < calls // 3:
            assert killed.poll() is None, "the run was over before it could be killed"
            time.sleep(0.01)
        killed.kill()
        killed.wait()
        assert bought(journal) < calls and start("killed").wait(600) == 0
    again, once = Run(tmp_path / "killed"), Run(tmp_path / "quiet")
    assert once.traces.filter(pl.col("parent_id").is_not_null()).collect().height > 10
    assert again.ledger["calls"].sum() == calls, (
        "a call that was kept is not asked again, and none is missing"
    )
    for table in ("live.parquet", "dropped.parquet"):
        assert (once.folder / table).read_bytes() == (again.folder / table).read_bytes()
