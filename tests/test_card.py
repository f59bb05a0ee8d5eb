"""The card says what recipe, funnel, ledger and rows say, and leaves what a person wrote alone."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
import yaml
from some_traces import FUNNEL, LEDGER, RECIPE, rows, table

import curate.card
from curate.card import BEGIN, END, Facts, block, metadata, readme
from curate.errors import InputError

PUBLISHED = {"published": {"name": "sums", "form": "messages", "split": "train"}}


def facts(frame: pl.DataFrame | None = None, configs: tuple[str, ...] = ("all",)) -> Facts:
    """Of the table as it is published: verdicts flat."""
    frame = table() if frame is None else frame
    flat = [pl.col("math_equal").struct.field(f).alias(f"math_equal_{f}")
            for f in ("passed", "score", "extracted", "why")]  # fmt: skip
    return Facts.of(frame.lazy().with_columns(flat).drop("math_equal", "judge"), configs)


def card(frame: pl.DataFrame | None = None) -> str:
    return block(facts(frame), RECIPE | PUBLISHED, FUNNEL, LEDGER)


def test_facts_are_measured() -> None:
    found = facts()
    assert (found.rows, found.problems, found.rewritten) == (12, 6, 2)
    assert found.counts["license"] == [("mit", 6), (None, 3), ("MIT", 3)]
    assert found.counts["domain"] == [(None, 4), ("logic/x", 4), ("math", 4)]
    thinking = [len(r["thinking"]) for r in rows() if r["thinking"] is not None]
    assert found.lengths["characters of thinking"]["known"] == len(thinking) == 8
    assert found.lengths["characters of thinking"]["sum"] == sum(thinking)
    tokens = [r["output_tokens"] for r in rows() if r["output_tokens"] is not None]
    assert found.lengths["output tokens"][0.5] in sorted(tokens)[2:4]
    assert found.lengths["output tokens"][1.0] == 110
    assert found.verdicts == [
        {"verifier": "math_equal", "passed": 4, "failed": 4, "abstained": 4, "absent": 0}
    ]


def test_the_card_holds_every_number_a_reader_asks_for() -> None:
    text = card()
    for said in (
        "12 traces of 6 problems, 2 of them rewritten",
        "| read | source | 20 | 0 | 2 | 18 | 2 could not be read |",
        "| math_equal | 4 | 4 | 4 | 0 |",
        "| sample | scripted | 9 | 9 | 3 | 1 | 1,234 | 56,789 | 2.50 |  |",
        "a kept row cost 103 tokens in, 4,732 tokens out and 0.21 seconds.",
        "| sample | Qwen3 | engine=server, ",
        "temperature=0.6, top_p=1.0 |",
        "| 1 | sample | engine=Qwen3, n=8 | 0123456789ab |",
        "| 2 | &lt;lambda> |",
        "| output tokens | 6 rows | 360 |",
        "| *not stated* | 3 |",
        'load_dataset("path/or/name", split="train")',
    ):
        assert said in text, said


def test_without_recipe_funnel_and_ledger_the_card_says_so() -> None:
    text = block(facts(), PUBLISHED, None, None)
    for said in ("No funnel came", "No ledger came", "No recipe came", "The recipe asks no model"):
        assert said in text, said


def test_the_runs_before_are_named_with_their_models_rows_and_cost() -> None:
    first = {**RECIPE, "run": "drawn", "funnel": FUNNEL.to_dicts(), "ledger": LEDGER.to_dicts()}
    second = {"run": "kept", "steps": [], "earlier": [first]}
    text = block(facts(), {"steps": [], "earlier": [second], **PUBLISHED}, FUNNEL.clear(), LEDGER.clear())
    before, here = text.partition("## The earlier run `drawn`")[::2]
    assert "| sample (run drawn) | Qwen3 | engine=server, " in before and "asks no model" not in before
    drawn, kept = here.partition("## The earlier run `kept`")[::2]
    assert "| read | source | 20 | 0 | 2 | 18 | 2 could not be read |\n" in drawn
    assert "| sample | scripted | 9 | 9 | 3 | 1 | 1,234 | 56,789 | 2.50 |  |\n\n" in drawn
    assert "No funnel came with its rows." in kept and "No ledger came with its rows." in kept
    paid = block(facts(), {**RECIPE, "earlier": [second], **PUBLISHED}, FUNNEL, LEDGER)
    assert "0.21 seconds; what the earlier run cost is not in it." in paid


def test_a_value_cannot_break_the_card() -> None:
    text = card(table(source=f"a | b\n{END}", domain="<script>"))
    assert text.count(END) == text.count(BEGIN) == 1
    assert "a \\| b &lt;!-- curate:end -->" in text and "<script>" not in text
    assert "6 different \\| &lt;!-- curate:end --> |" in text  # the funnel's reason holds our comment


def test_unknown_lengths_are_unknown_not_zero() -> None:
    text = card(table(output_tokens=None, thinking=None))
    assert "| output tokens | 0 rows | unknown | unknown |" in text
    assert "| characters of thinking | 0 rows | unknown |" in text


def test_many_values_are_counted_together() -> None:
    frame = table(60).with_columns(source=pl.int_range(pl.len()).cast(pl.String))
    assert "| *40 others* | 40 |" in card(frame)


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        (["mit"], "mit"),
        (["MIT"], "mit"),
        (["Apache 2.0"], "apache-2.0"),
        ([None], "unknown"),
        ([" "], "unknown"),
        (["free, I think"], "other"),
        (["mit", None, "CC-BY-4.0", "ask us"], ["cc-by-4.0", "mit", "other", "unknown"]),
    ],
)
def test_a_licence_is_what_the_rows_say(stated: list[str | None], said: object) -> None:
    licenses = pl.Series("license", stated * 12, dtype=pl.String).head(12)
    assert metadata(facts(table().with_columns(licenses)), "train")["license"] == said


@pytest.mark.parametrize(
    ("rows", "said"),
    [(1, "n<1K"), (999, "n<1K"), (1_000, "1K<n<10K"), (22_975, "10K<n<100K"), (10**9, "n>1B")],
)
def test_size_category(rows: int, said: str) -> None:
    assert curate.card._size(rows) == said


def test_configurations_name_their_files() -> None:
    one = metadata(facts(), "train")["configs"]
    assert one == [
        {
            "config_name": "all",
            "data_files": [{"split": "train", "path": "data/all/train-*.parquet"}],
            "default": True,
        }
    ]
    two = metadata(facts(configs=("math", "logic")), "test")["configs"]
    assert [c["config_name"] for c in two] == ["all", "math", "logic"]
    assert two[0]["data_files"] == [{"split": "test", "path": "data/*/test-*.parquet"}]
    assert two[2] == {
        "config_name": "logic",
        "data_files": [{"split": "test", "path": "data/logic/test-*.parquet"}],
    }


OURS = {
    "configs": [],
    "license": "mit",
    "size_categories": ["n<1K"],
    "tags": ["reasoning-traces", "trace-curate"],
}


def head(text: str) -> dict[str, object]:
    found: dict[str, object] = yaml.safe_load(text.split("---\n")[1])
    return found


def test_metadata_of_others_survives_and_ours_is_set() -> None:
    old = (
        "---\npretty_name: Sums é\nlicense: gpl\ntags: [mine, trace-curate]\n"
        "task_categories: [other]\n---\n\n# T\n"
    )
    text = readme(old, f"{BEGIN}\nx\n{END}", OURS)
    found = head(text)
    assert found["pretty_name"] == "Sums é" and found["license"] == "mit"
    assert found["tags"] == ["reasoning-traces", "trace-curate", "mine"]
    assert found["task_categories"] == ["other"]
    assert text.endswith(f"# T\n\n{BEGIN}\nx\n{END}\n")


def test_our_part_is_written_anew_where_it_stands_and_writing_it_twice_changes_nothing() -> None:
    old = f"# T\n\nabove\n\n{BEGIN}\nold\n{END}\n\nbelow --- \n---\nstill below\n"
    once = readme(old, f"{BEGIN}\nnew\n{END}", OURS)
    assert f"above\n\n{BEGIN}\nnew\n{END}\n\nbelow --- \n---\nstill below\n" in once and "old" not in once
    assert readme(once, f"{BEGIN}\nnew\n{END}", OURS) == once


@pytest.mark.parametrize(
    ("old", "sentence"),
    [
        (f"# T\n{BEGIN}\nno end", "without the other"),
        (f"# T\n{END}\n{BEGIN}", "without the other"),
        ("---\na: [1\n---\n", "is not YAML"),
        ("---\njust words\n---\n", "are no `key: value` lines"),
    ],
)
def test_a_readme_that_cannot_be_merged_is_refused(old: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        readme(old, f"{BEGIN}\n{END}", OURS)


def test_the_template_is_inside_the_package() -> None:
    link = Path(curate.card.__file__).parent / "data_cards"
    assert (link / "template.md").read_text() == curate.card._template()


def test_what_a_kept_row_cost_in_money_where_every_price_is_known() -> None:
    known = LEDGER.with_columns(usd=pl.lit(0.6))
    assert "and 0.21 seconds, 0.050000 USD." in block(facts(), RECIPE | PUBLISHED, FUNNEL, known)
    partly = pl.concat([known, LEDGER.with_columns(usd=pl.lit(None, pl.Float64))])
    assert "USD." not in block(facts(), RECIPE | PUBLISHED, FUNNEL, partly)
    served = {"served": {RECIPE["steps"][0]["engine"]["fingerprint"]: {"root": "/models/a"}}}  # type: ignore[index]
    assert "root=/models/a" in block(facts(), RECIPE | PUBLISHED | served, FUNNEL, None)
