"""A verifier called on one pair answers alike in a thread, a fork and an event loop, under its limits."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pytest

import curate
from curate.engines.sampling import Sampling
from curate.engines.scripted import Scripted
from curate.errors import UserError
from curate.filters.failed import Failed
from curate.filters.shortest_k import ShortestK
from curate.filters.top_k import TopK
from curate.pair import REMEMBERED, _repeated
from curate.sample import Sample
from curate.schema import Row
from curate.step import Engine, Rewriter, Text, Verdict, Verifier, user
from curate.verifiers.format import Format
from curate.verifiers.keywords import Keywords
from curate.verifiers.length import Length
from curate.verifiers.math_equal import MathEqual

HALF: dict[str, Any] = {"response": r"so \boxed{1/2}", "answer": "0.5"}


@dataclass(frozen=True)
class Slow(Verifier):
    """Sleeps as long as the response says, and says when it woke."""

    timeout_s: float = 1.0
    reads = ("response",)

    def row(self, row: Row) -> Verdict:
        time.sleep(float(row["response"]))
        return Verdict(True, f"equal: {time.monotonic_ns()}")


@dataclass(frozen=True)
class Asks(Verifier):
    """Passes where the model says yes."""

    engine: Engine
    reads = ("response",)

    async def ask(self, row: Row) -> Verdict:
        [said] = await self.engine.chat(user(row["response"]))
        return Verdict(said.response == "yes", "equal")


@dataclass(frozen=True)
class Long(Verifier):
    """Passes responses of three characters and more."""

    reads = ("response",)

    def expr(self) -> pl.Expr:
        passed = pl.col("response").str.len_chars() >= 3
        nothing = pl.lit(None, dtype=pl.String)
        score = pl.lit(None, dtype=pl.Float64)
        return pl.struct(passed=passed, score=score, extracted=nothing, why=pl.lit("met"))


@dataclass(frozen=True)
class Whole(Verifier):
    """Looks at the table."""

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        return frame


def test_a_pair_is_judged() -> None:
    assert MathEqual()(**HALF).passed is True
    assert MathEqual()(response=r"\boxed{3}", answer="4").passed is False


def test_a_whole_row_may_be_given_and_columns_left_out_are_null() -> None:
    assert MathEqual()(**HALF, question="What?", sample=3).passed is True
    assert MathEqual()(response=r"\boxed{3}").why == "no_gold"
    assert MathEqual()(answer="3").passed is False


def test_what_is_no_text_is_read_as_a_table_would_hold_it() -> None:
    assert MathEqual()(response=r"\boxed{4}", answer=4).passed is True
    assert MathEqual()(response="4", answer=b"4").why.startswith("gold_invalid")


def test_half_a_surrogate_pair_does_not_stop_a_run() -> None:
    verdict = MathEqual().row({"response": "4\ud800", "answer": "4"})
    packed = MathEqual().pack(verdict)
    pl.DataFrame([packed], schema=MathEqual().writes)


def test_a_name_that_no_row_has_is_one_sentence() -> None:
    with pytest.raises(UserError, match="no row has a column 'respones': did you mean 'response'"):
        MathEqual()(respones="1", answer="1")


def test_values_without_a_name_are_one_sentence() -> None:
    with pytest.raises(UserError, match="Call it by name: math_equal\\(response=…, answer=…\\)"):
        MathEqual()("4", "4")


def test_past_its_time_it_abstains_and_is_asked_again() -> None:
    late = Slow(timeout_s=0.3)
    assert [late(response="30").why for _ in range(2)] == ["timeout: 0.3 s"] * 2
    assert late(response="0").passed is True


def test_repeats_come_from_a_bounded_cache() -> None:
    assert Slow()(response="0.01") == Slow()(response="0.01")
    assert Slow()(response="0.01") != Slow(timeout_s=2.0)(response="0.01")
    assert _repeated.cache_info().maxsize == REMEMBERED


def test_a_verifier_that_asks_opens_and_closes_its_engine() -> None:
    engine = Scripted(script=lambda messages: "yes" if messages[-1]["content"] == "ok" else "no")
    assert Asks(engine)(response="ok").passed is True
    assert Asks(engine)(response="ko").passed is False


def test_an_expression_is_judged_too() -> None:
    assert Long()(response="abc") == Verdict(True, "met")
    assert Long()(response="ab").passed is False


def test_a_look_at_the_whole_table_says_that_it_needs_one() -> None:
    with pytest.raises(UserError, match="whole looks at all traces"):
        Whole()()


def test_threads_and_event_loops_may_call() -> None:
    rows = [{"response": rf"\boxed{{{i}}}", "answer": str(i - i % 2)} for i in range(40)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda row: MathEqual()(**row).passed, rows))
    assert found == [i % 2 == 0 for i in range(40)]

    async def inside() -> Verdict:
        return MathEqual()(**HALF)

    assert asyncio.run(inside()).passed is True


PROGRAM = r"""
import os, sys
from curate.verifiers.format import Format
from curate.verifiers.length import Length
from curate.verifiers.math_equal import MathEqual
half = dict(response=r"so \boxed{1/2}", answer="0.5")
assert MathEqual()(**half).passed is True
child = os.fork()
if child == 0:
    os._exit(0 if MathEqual()(response="3", answer="3").passed is True else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_script_and_its_fork_may_call_and_end_quietly() -> None:
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM.replace("\\\\\\\\", "\\\\")],
                          capture_output=True, text=True, timeout=120)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "annotation",
    ['Literal["a", "b"] | None', 'None | Literal["a", "b"]', 'Literal["a"] | Literal["b", None]'],
)
def test_a_field_that_lists_its_values_takes_no_other_wherever_the_list_stands(annotation: str) -> None:
    @dataclass(frozen=True)
    class Listed(Verifier):
        choice: Any = "a"

    Listed.__dataclass_fields__["choice"].type = annotation  # type: ignore[assignment]
    assert [Listed(c).choice for c in ("a", "b", None)] == ["a", "b", None]
    with pytest.raises(UserError, match="choice is .*'a' or 'b'.*, not 'c'"):
        Listed("c")


def test_a_field_that_lists_some_values_beside_a_type_is_not_checked() -> None:
    @dataclass(frozen=True)
    class Open(Verifier):
        choice: int | Literal["all"] = "all"

    assert Open(3).choice == 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ShortestK("2"), "shortest_k: k is a whole number, not '2'"),
        (lambda: ShortestK(1.5), "shortest_k: k is a whole number, not 1.5"),
        (lambda: ShortestK(True), "shortest_k: k is a whole number, not True"),
        (lambda: ShortestK(None), "shortest_k: k is a whole number, not None"),
        (lambda: Length(min_words=[3]), "length: min_words is a whole number or None, not [3]"),
        (lambda: Failed(MathEqual()), "failed: verdict is a text, not MathEqual("),
        (lambda: MathEqual(timeout_s="5"), "math_equal: timeout_s is a number, not '5'"),
        (lambda: MathEqual(rounded=3), "math_equal: rounded is 'different' or 'equal', not 3"),
        (lambda: Format(title="yes"), "format: title is True or False or None, not 'yes'"),
        (
            lambda: Keywords("fish"),
            "keywords: required is a tuple, not 'fish'; for one write required=('fish',)",
        ),
        (
            lambda: TopK(("a",), reverse=True),
            "top_k: reverse is a tuple, not True; for one write reverse=(True,)",
        ),
        (lambda: Sample(Scripted(script=["a"]), n="4"), "sample: n is a whole number, not '4'"),
        (
            lambda: Sampling(temperature="hot"),
            "temperature='hot' cannot be sampled with: it must be a number.",
        ),
        (lambda: Sampling(top_k=1.5), "top_k=1.5 cannot be sampled with: it must be a whole number or None."),
    ],
)
def test_a_value_of_another_type_is_one_sentence(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        make()


def test_a_whole_number_is_a_number_and_a_default_may_be_anything() -> None:
    @dataclass(frozen=True)
    class Sloppy(Verifier):
        most: int = None  # type: ignore[assignment]

    assert MathEqual(timeout_s=5).timeout_s == 5 and Sloppy().most is None
    assert ShortestK(np.int64(2)).k == 2  # type: ignore[arg-type]


def test_bytes_are_no_text() -> None:
    found = MathEqual()(response=b"6", answer="6")  # type: ignore[arg-type]
    assert (found.passed, found.why) == (None, "unsupported: the response is bytes, not a text")


@dataclass(frozen=True)
class Calls(Rewriter):
    """Asks a model, and another verifier of what it said."""

    engine: Engine
    reads = ("question", "answer", "response")

    async def ask(self, row: Row) -> Text:
        [said] = await self.engine.chat(user(row["question"]))
        found = await asyncio.to_thread(lambda: MathEqual()(response=said.response, answer=row["answer"]))
        return Text(None, f"{said.response}: {found.passed}")


def test_within_a_run_the_workers_of_the_run_judge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are there already, and gone with it: a call after the run starts others."""

    def not_these(pid: int) -> Any:
        raise AssertionError("a second pool")

    rows = pl.DataFrame({"question": ["a", "b"], "answer": ["7919", "7920"], "response": ["7919", "7920"]})
    monkeypatch.setattr(curate.pair, "_pool", not_these)
    engine = Scripted(script=lambda messages, seed: r"\boxed{7919}")
    run = curate.Pipeline(rows, [Calls(engine)]).run(tmp_path)
    found = run.traces.filter(pl.col("parent_id").is_not_null()).collect()
    assert sorted(said.rpartition(": ")[2] for said in found["response"]) == ["False", "True"]
    monkeypatch.undo()
    assert MathEqual()(response="7921", answer="7921").passed


def test_threads_may_call_beside_a_module_that_no_worker_can_import() -> None:
    """Such a module is pickled by value, which cloudpickle is told and untold, for all threads at once."""
    program = """
import sys, types
from concurrent.futures import ThreadPoolExecutor
from curate.verifiers.math_equal import MathEqual
from curate.worker import portable

recipe = types.ModuleType("recipe")
recipe.__file__ = "/nowhere/recipe.py"
sys.modules["recipe"] = recipe
sys.setswitchinterval(1e-6)
with ThreadPoolExecutor(4) as threads:
    sent = set(threads.map(lambda _: portable(MathEqual()), range(200)))
sys.exit(len(sent) != 1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
