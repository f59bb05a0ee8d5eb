"""The benchmark of selection methods: its intervals, planted teachers, and what its rewriter learns."""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

import polars as pl
import pytest
from conftest import ROOT

import curate
from curate.demo import WORLD
from curate.demo_world.make_models import problem_row
from curate.demo_world.world import problems, solve
from curate.difficulty import INSTRUCTIONS
from curate.engines.scripted import Scripted
from curate.methods.difficulty_aware_pruning import difficulty_aware_pruning, report

sys.path.insert(0, str(ROOT / "benchmarks"))

from peers.narrators import STYLES, Narrator, teachers, understood  # noqa: E402
from peers.plans import CONTEXT, lessons, level_of, oracle, wider  # noqa: E402
from peers.shortening import Manner, Sets, judged, manner, plans_table  # noqa: E402
from peers.students import HELD_OUT, made, points, spread, t_quantile, verdict  # noqa: E402


def test_intervals_are_those_of_students_t() -> None:
    table = {1: 12.7062, 2: 4.3027, 4: 2.7764, 9: 2.2622, 100: 1.9840}
    assert {k: round(t_quantile(k), 4) for k in table} == table
    low, high = spread([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (low, high) == pytest.approx((3 - 2.7764 * 0.5**0.5, 3 + 2.7764 * 0.5**0.5), abs=1e-4)
    assert points([0.01, 0.02, 0.03]) == "+2.0 [-0.5, +4.5]"
    differences = ([0.10, 0.11, 0.12], [-0.10, -0.11, -0.12], [0.1, -0.05, 0.0])
    assert [verdict(d) for d in differences] == ["better", "worse", "no difference to be seen"]


def test_a_planted_teacher_is_right_as_often_as_it_should_and_tells_it_its_own_way() -> None:
    rows = [*made(1_000).iter_rows(named=True), *HELD_OUT.iter_rows(named=True)]
    assert [e.model for e in teachers()] == [style.__name__ for style in STYLES]
    texts = {}
    for style, right in STYLES.items():
        tell = Narrator(style.__name__, right)
        said = [tell([{"role": "user", "content": r["question"]}], seed=i) for i, r in enumerate(rows)]
        ends = sum(f"\\boxed{{{r['answer']}}}" in text for r, text in zip(rows, said, strict=True))
        assert ends / len(rows) == pytest.approx(right, abs=0.04)
        texts[style.__name__] = sum(map(len, said)) / len(said)
    assert texts["terse"] < texts["steady"] < texts["hesitant"]


def test_a_question_is_understood() -> None:
    for row in [*made(1_000).iter_rows(named=True), *HELD_OUT.iter_rows(named=True)]:
        assert str(understood(row["question"]).answer) == row["answer"]


def test_what_the_rewriter_is_taught_is_what_the_method_asks_and_takes() -> None:
    rows = list(lessons(40))
    judging = [row for row in rows if len(row["prompt"]) == 1]
    assert 5 < len(judging) < 25 and 20 < len(rows) - len(judging) < 40
    for row in rows:
        first, said = row["prompt"][0]["content"], row["completion"][0]["content"]
        assert first.startswith(INSTRUCTIONS) and said.startswith("<think>\n</think>\n\n")
        problem = understood(first.split(" PROBLEM\n")[1].split("\nPROBLEM")[0])
        assert problem.split == "models", "no lesson has the numbers of a problem that is used elsewhere"
        level = level_of(len(problem.ops))
        if row in judging:
            assert said.endswith(f"</think>\n\nDIFFICULTY: {level.upper()}")
        else:
            assert f"DIFFICULTY: {level.upper()}" == row["prompt"][1]["content"]


def test_phrases_become_tokens_and_nothing_else_changes(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    wide = wider(WORLD / "teacher", tmp_path / "wide", CONTEXT)
    tokenizers = [AutoTokenizer.from_pretrained(folder) for folder in (WORLD / "teacher", wide)]
    old, new = (
        AutoModelForCausalLM.from_pretrained(f, dtype=torch.float32) for f in (WORLD / "teacher", wide)
    )
    long, short = (len(t(INSTRUCTIONS, verbose=False)["input_ids"]) for t in tokenizers)
    assert long > 512 and short < 64
    ids, same = (t(HELD_OUT["question"][0], return_tensors="pt")["input_ids"] for t in tokenizers)
    assert ids.tolist() == same.tolist() and new.config.max_position_embeddings == CONTEXT
    with torch.no_grad():
        before, after = old(ids).logits, new(ids).logits[..., : old.config.vocab_size]
    assert torch.allclose(before, after, atol=1e-4)


def test_the_tables_of_rewriting_say_how_well_a_rewriter_does(tmp_path: Path) -> None:
    dice, generated = Random(5), problems(5, "sample")
    made_up = [(problem_row(p), *solve(p, dice)) for p in (next(generated) for _ in range(24))]
    traces = pl.DataFrame([{**row, "thinking": t, "response": r} for row, t, r in made_up])
    method = difficulty_aware_pruning(rewriter=Scripted(script=oracle), traces=curate.read(traces))
    run = method.run(tmp_path / "run")
    rows = run.traces.collect()
    [total] = report(run).filter(level="all").to_dicts()
    assert 0.4 < total["keep_rate"] < 1 and {r["reason"] for r in total["reasons"]} == {"not_shorter"}
    table = plans_table([Sets({}, 1, pl.DataFrame(), report(run), judged(rows))])
    lines = {line.split(" | ")[0]: line for line in table.replace("| ", "", 1).split("\n| ")}
    assert lines["easy"].split(" | ")[1:3] == ["6", "100%"]
    assert f"| {total['kept']} | {total['keep_rate']:.0%} |" in lines["all"]
    assert "not_shorter" in lines["all"]
    assert manner(["One two.\n\nWait, three.", None]) == Manner(2.0, 1.0, 2.0)
