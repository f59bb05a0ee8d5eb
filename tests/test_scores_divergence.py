"""KL divergence from top-k lists: a lower bound, exact with the whole vocabulary, zero for equal models."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import curate
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.errors import RunError, UserError
from curate.scores.divergence import Divergence
from curate.scores.token_logprobs import TokenLogprobs
from curate.scores.topk_divergence import TopkDivergence, kl

WORLD = Path(curate.__file__).parent / "demo_world"
WEIGHTS = st.lists(st.just(0.0) | st.floats(0.01, 1), min_size=6, max_size=6).filter(any)


def chances(weights: list[float]) -> list[tuple[int, float]]:
    """A distribution as (id, log-probability), the likeliest first; -inf where a weight is 0."""
    total = sum(weights)
    logs = [math.log(w / total) if w else -math.inf for w in weights]
    return sorted(enumerate(logs), key=lambda pair: -pair[1])


def exact(p: list[tuple[int, float]], q: list[tuple[int, float]]) -> float:
    theirs = dict(q)
    return sum(math.exp(x) * (x - theirs[i]) for i, x in p if x > -math.inf)


@given(p=WEIGHTS, q=WEIGHTS, k=st.integers(1, 6))
def test_top_lists_bound_the_divergence_from_below(p: list[float], q: list[float], k: int) -> None:
    one, other = chances(p), chances(q)
    truth = exact(one, other)
    assert 0 <= kl(one[:k], other[:k]) <= truth + 1e-6
    assert kl(one, other) == pytest.approx(truth, abs=1e-6)
    assert kl(one[:k], one[:k]) == pytest.approx(0, abs=1e-9)


def test_lists_that_share_nothing_are_far_apart() -> None:
    """Two models, each sure of another token: with one list of one token the bound still sees it."""
    sure, other = [(1, math.log(0.9))], [(2, math.log(0.9))]
    assert kl(sure, other) == pytest.approx(0.9 * math.log(9) + 0.1 * math.log(0.1 / 0.9))
    assert kl([(1, math.log(0.9)), (2, -math.inf)], [(1, math.log(0.9)), (3, math.log(0.05))]) < 0.1


def test_what_a_model_rules_out_is_infinitely_far_and_what_it_hardly_grants_is_not() -> None:
    """Of the first token the other list says no more than that it is no likelier than its last."""
    sure = [(1, 0.0), (2, -3.0)]
    assert kl(sure, [(2, 0.0), (3, -math.inf)]) == math.inf == kl(sure, [(1, 0.0), (2, -math.inf)])
    assert kl(sure, [(2, 0.0), (3, -800.0)]) == pytest.approx(800 - 3 * math.exp(-3), abs=1e-6)
    assert kl(sure, [(1, -800.0), (2, 0.0)]) == pytest.approx(800 - 3 * math.exp(-3), abs=1e-6)
    assert kl([(1, -745.0), (2, 0.0)], [(2, 0.0), (3, -9.0)]) == pytest.approx(0, abs=1e-6)
    top, at = {"id": 1, "ids": [1, 2], "logprobs": [0.0, -3.0]}, dict(field="response", start=0, end=2)
    other = {"id": 1, "ids": [2, 3], "logprobs": [0.0, -math.inf]}
    said = {f"{of}_tokens": [{**at, "label": None, "value": 0.0}] for of in ("teacher", "student")}
    row = {"thinking": None, "response": "4.", "teacher_top": [top], "student_top": [other], **said}
    assert TopkDivergence().row(row)["forward_kl"] == math.inf


ROWS = pl.DataFrame(
    {
        "question": ["Ben has 4 coins, finds 2, then buys 3. How many coins now?"] * 2,
        "thinking": ["First 4 + 2 = 6. 🙂\n\nThen 6 + 3 = 9.", "漢"],
        "response": [r"\boxed{9}", ""],
    }
)


def run_of(tmp_path: Path, *models: str, top_k: int = 8) -> list[dict[str, Any]]:
    engines: dict[str, Any] = {m: HF(str(WORLD / m), dtype="float32", device="cpu") for m in models}
    names = ("teacher", "student")
    steps = [
        *(TokenLogprobs(engines[m], of=n, top_k=top_k) for n, m in zip(names, models, strict=True)),
        TopkDivergence(min_words=1),
    ]
    return curate.Pipeline(curate.read(ROWS), steps).run(tmp_path / "run").traces.collect().to_dicts()


def test_equal_models_do_not_diverge(tmp_path: Path) -> None:
    for row in run_of(tmp_path, "teacher", "teacher"):
        assert row["forward_kl"] == row["reverse_kl"] == 0.0
        assert {s["value"] for s in row["forward_kl_tokens"]} == {0.0} and row["teacher_top"]


def test_every_token_and_sentence_has_its_divergence(tmp_path: Path) -> None:
    few, many = (run_of(tmp_path / str(k), "teacher", "student", top_k=k) for k in (2, 64))
    for row, more in zip(few, many, strict=True):
        places = [(t["field"], t["start"], t["end"]) for t in row["teacher_tokens"]]
        for way in ("forward", "reverse"):
            spans = more[f"{way}_kl_tokens"]
            assert [(s["field"], s["start"], s["end"]) for s in spans] == places
            assert more[f"{way}_kl"] == pytest.approx(sum(s["value"] for s in spans) / len(spans))
            assert 0 < row[f"{way}_kl"] <= more[f"{way}_kl"] + 1e-6
        for name in ("thinking", "response"):
            cut = [s for s in more["forward_kl_sentences"] if s["field"] == name]
            assert "".join(more[name][s["start"] : s["end"]] for s in cut) == more[name]
        assert all(len(t["ids"]) == len(t["logprobs"]) == 64 for t in more["teacher_top"])
        if more["response"]:
            assert [t["id"] in t["ids"] for t in more["teacher_top"]].count(True) > len(places) / 2


def worded(whole: bool) -> Any:
    """A scorer that cuts at words, or takes a text as one token; it knows two tokens at every place."""

    class Words(Scripted):
        async def score(self, messages: Any, text: str, **asked: Any) -> Any:
            from curate.step import TokenScores

            cuts = [0, len(text)] if whole else [0, text.find(" "), len(text)]
            n = len(cuts) - 1
            top = (((7, math.log(0.5)), (8, math.log(0.5))),) * n
            return TokenScores((7,) * n, tuple(cuts[:-1]), tuple(cuts[1:]), (math.log(0.5),) * n, None, top)

    return Words(model=f"words-{whole}", script=["-"])


def test_tokens_that_cannot_be_compared_are_refused_in_one_sentence(tmp_path: Path) -> None:
    rows = pl.DataFrame({"question": ["q"], "response": ["two words"]})
    steps = [
        TokenLogprobs(worded(True), of="teacher", top_k=2),
        TokenLogprobs(worded(False), of="student", top_k=2),
    ]
    with pytest.raises((UserError, RunError), match="cut this text into other tokens.*take divergence"):
        curate.Pipeline(curate.read(rows), [*steps, TopkDivergence()]).run(tmp_path / "run")


def test_the_log_ratio_of_tokens_is_there_where_the_tokens_are_the_same() -> None:
    def spans(*values: float, first: int = 1) -> list[dict[str, Any]]:
        ends = [first, 2][: len(values)]
        return [
            dict(field="response", start=a, end=b, label=None, value=v)
            for a, b, v in zip([0, *ends], ends, values, strict=False)
        ]

    empty: dict[str, Any] = dict(teacher_sentences=[], student_sentences=[])
    mine = dict(student_tokens=spans(-1.0, -math.inf))
    same = Divergence().row({**empty, **mine, "teacher_tokens": spans(-0.25, -math.inf)})
    assert [s["value"] for s in same["divergence_tokens"]] == [0.75, None]
    ruled_out = Divergence().row({**empty, **mine, "teacher_tokens": spans(-0.25, -0.5)})
    assert ruled_out["divergence"] == ruled_out["divergence_tokens"][1]["value"] == math.inf
    other = Divergence().row({**empty, **mine, "teacher_tokens": spans(-0.25, first=2)})
    assert other["divergence_tokens"] is None and other["divergence_sentences"] == []


def test_an_engine_that_tells_no_top_k_is_refused_at_once() -> None:
    with pytest.raises(UserError, match="'scripted' tells no most probable tokens"):
        TokenLogprobs(Scripted(script=["x"]), top_k=4)
    with pytest.raises(UserError, match="top_k=-1"):
        TokenLogprobs(HF(str(WORLD / "student")), top_k=-1)
