"""A published folder reads back as what was published, and no publication loses what was there before."""

from __future__ import annotations

import inspect
import itertools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_traces import FUNNEL, LEDGER, RECIPE, SENT, rows, table

from curate import shards
from curate.card import END
from curate.errors import InputError, UserError
from curate.publish import KEPT, publish


def load(folder: Path, tmp_path: Path, config: str | None = None) -> Any:
    from datasets import load_dataset

    return load_dataset(str(folder), config, split="train", cache_dir=str(tmp_path / "cache"))


def expected_turn(row: dict[str, Any]) -> dict[str, str]:
    thinking = row["thinking"]
    text = row["response"] if thinking is None else f"<think>\n{thinking}\n</think>\n\n{row['response']}"
    return {"role": "assistant", "content": text}


def expected_prompt(row: dict[str, Any]) -> list[dict[str, str]]:
    return row["messages"] or [{"role": "user", "content": row["question"]}]


def test_load_dataset_gives_back_what_was_published(tmp_path: Path) -> None:
    done = publish(table(), tmp_path / "set", recipe=RECIPE, funnel=FUNNEL, ledger=LEDGER)
    back = {r["trace_id"]: r for r in load(done.folder, tmp_path)}
    assert len(back) == done.rows == 12
    for row in rows():
        got = back[row["trace_id"]]
        assert {c: got[c] for c in KEPT} == {c: row[c] for c in KEPT}
        assert got["messages"] == [*expected_prompt(row), expected_turn(row)]
        assert got["math_equal_passed"] == row["math_equal"]["passed"]
        assert got["math_equal_why"] == "equal" and got["judge_why"] is None
        assert got["hard"] == row["hard"]


def test_prompt_completion_is_the_same_conversation_cut_in_two(tmp_path: Path) -> None:
    done = publish(table(), tmp_path / "set", form="prompt_completion")
    back = {r["trace_id"]: r for r in load(done.folder, tmp_path)}
    for row in rows():
        assert back[row["trace_id"]]["prompt"] == expected_prompt(row)
        assert back[row["trace_id"]]["completion"] == [expected_turn(row)]
    assert back["t00001"]["prompt"] == SENT
    assert "messages" not in back["t00001"]


def test_a_configuration_per_domain_and_all(tmp_path: Path) -> None:
    done = publish(table(), tmp_path / "set")
    assert sorted(done.configs) == ["logic-x", "math", "unlabelled"]
    for config, domain in (("math", "math"), ("logic-x", "logic/x"), ("unlabelled", None)):
        back = load(done.folder, tmp_path, config)
        assert back["trace_id"] == [r["trace_id"] for r in rows() if r["domain"] == domain]
    assert len(load(done.folder, tmp_path, "all")) == 12


def test_one_domain_needs_no_configuration_of_its_own(tmp_path: Path) -> None:
    done = publish(table(domain="math"), tmp_path / "set")
    assert done.configs == ("all",)
    assert (tmp_path / "set/data/all/train-00000-of-00001.parquet").exists()
    assert load(done.folder, tmp_path)["trace_id"] == [r["trace_id"] for r in rows()]


def test_features_are_explicit(tmp_path: Path) -> None:
    done = publish(table().with_columns(pl.lit("x").cast(pl.Categorical).alias("kind")), tmp_path / "set")
    types = {f.name: str(f.type) for f in pq.read_schema(done.folder / done.files[1])}
    assert types["question"] == types["parent_id"] == types["kind"] == "string"
    assert types["messages"] == "list<element: struct<role: string, content: string>>"
    assert types["output_tokens"] == "int64" and types["math_equal_passed"] == "bool"


def test_domains_that_no_file_system_takes(tmp_path: Path) -> None:
    domains = ["Math", "math", "m" * 300, "a/../b"] * 3
    done = publish(table().with_columns(pl.Series("domain", domains)), tmp_path / "set")
    assert len(done.configs) == 4
    assert sorted(load(done.folder, tmp_path)["domain"]) == sorted(domains)


@pytest.mark.parametrize("domain", ["all", "ALL", "../up", "", "a/b"])
def test_config_names_are_safe_and_never_alike(domain: str) -> None:
    names = shards.config_names([domain, "a-b", "A-B", None])
    assert len({n.lower() for n in names} | {"all", "default"}) == 6
    assert all(n == Path(n).name and not n.startswith(".") for n in names)


def test_row_groups_and_shards_keep_their_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 50_000)
    monkeypatch.setattr(shards, "SHARD_BYTES", 200_000)
    text = pl.concat_str(pl.lit("y" * 1_000), pl.int_range(pl.len()).cast(pl.String))
    done = publish(table(700, domain="math").with_columns(thinking=text), tmp_path / "set")
    files = [f for f in done.files if f.endswith(".parquet")]
    assert len(files) > 5
    assert files == [f"data/all/train-{i:05d}-of-{len(files):05d}.parquet" for i in range(len(files))]
    ids: list[str] = []
    for f in files:
        meta = pq.read_metadata(done.folder / f)
        groups = [meta.row_group(i).total_byte_size for i in range(meta.num_row_groups)]
        assert max(groups) <= 50_000 and sum(groups) <= 200_000
        ids += pl.read_parquet(done.folder / f)["trace_id"].to_list()
    assert ids == table(700)["trace_id"].to_list()


def test_a_row_larger_than_a_row_group_is_published_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "ROW_GROUP_BYTES", 5_000)
    long = pl.when(pl.col("trace_id") == "t00004").then(pl.lit("z" * 20_000)).otherwise("response")
    done = publish(table(domain=None).with_columns(response=long), tmp_path / "set")
    meta = pq.read_metadata(done.folder / done.files[1])
    sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
    assert sum(sizes) == 12 and 1 in sizes


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.none() | texts, texts), min_size=1, max_size=20))
def test_every_character_of_reasoning_survives(pairs: list[tuple[str | None, str]]) -> None:
    thinking, response = zip(*pairs, strict=True)
    frame = table(len(pairs), domain=None).with_columns(
        thinking=pl.Series(thinking, dtype=pl.String), response=pl.Series(response, dtype=pl.String)
    )
    with tempfile.TemporaryDirectory() as folder:
        done = publish(frame, Path(folder) / "set")
        back = pl.read_parquet(done.folder / "data/all/*.parquet")
    for (thought, said), turns in zip(pairs, back["messages"].to_list(), strict=True):
        content = turns[-1]["content"]
        if thought is None:
            assert content == said
        else:
            head, _, tail = content.partition("\n</think>\n\n")
            assert (head.removeprefix("<think>\n"), tail) == (thought, said)
    assert back["thinking"].to_list() == list(thinking)


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (table(0), "the table has no rows"),
        (table().with_columns(thinking=pl.lit("so </think> it")), "reasoning of 12 rows holds '</think>'"),
        (table().with_columns(response=pl.lit(None, pl.String)), "12 rows have no response"),
        (table().drop("license"), "no column 'license'"),
        (
            table().with_columns(math_equal_why=pl.lit(1)),
            "published columns would be called 'math_equal_why'",
        ),
        (table().with_columns(pl.Series("o", [object()] * 12, pl.Object)), "'o' holds Python objects"),
    ],
)
def test_what_cannot_be_published_is_one_sentence_and_no_folder(
    tmp_path: Path, frame: pl.DataFrame, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        publish(frame, tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_wrong_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown form 'chat'"):
        publish(table(), tmp_path / "set", form="chat")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="'tr ain' is not the name of a split"):
        publish(table(), tmp_path / "set", split="tr ain")
    with pytest.raises(InputError, match="'a/b/c' is not the name of a dataset"):
        publish(table(), tmp_path / "set", push_to="a/b/c")
    assert not (tmp_path / "set").exists()


def test_publishing_again_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    out = tmp_path / "set"
    publish(table(), out, recipe=RECIPE)
    card = out / "README.md"
    text = (
        card.read_text()
        .replace("# set", "# Sums\n\nMade by hand.")
        .replace("task_categories", "pretty_name: S\nx")
    )
    card.write_text(text + "\n## Thanks\n\nTo all.\n")
    (out / "plot.png").write_bytes(b"png")
    done = publish(table(6, domain="math"), out, recipe=RECIPE)
    now = card.read_text()
    assert "# Sums\n\nMade by hand." in now and now.endswith("## Thanks\n\nTo all.\n")
    assert "pretty_name: S\n" in now and now.count(END) == 1
    assert "6 traces of 3 problems" in now and "12 traces" not in now
    assert (out / "plot.png").exists()
    assert sorted(p.name for p in (out / "data").rglob("*")) == ["all", "train-00000-of-00001.parquet"]
    assert len(load(done.folder, tmp_path)) == 6


def test_the_same_table_gives_the_same_bytes(tmp_path: Path) -> None:
    publish(table(), tmp_path / "a", name="n", recipe=RECIPE)
    done = publish(table().lazy(), tmp_path / "b", name="n", recipe=RECIPE)
    publish(table().lazy(), tmp_path / "b", name="n", recipe=RECIPE)
    for f in done.files:
        assert (tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes(), f


def test_a_folder_with_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds 'notes.txt' and is no published set"):
        publish(table(), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]
    with pytest.raises(InputError, match="is a file"):
        publish(table(), tmp_path / "notes.txt")


def test_a_shard_of_another_split_is_never_lost(tmp_path: Path) -> None:
    publish(table(), tmp_path / "set", split="test")
    with pytest.raises(
        InputError, match="test-00000-of-00001.parquet, which is no shard of the split 'train'"
    ):
        publish(table(), tmp_path / "set")
    assert len(list((tmp_path / "set/data").rglob("test-*"))) == 3


def test_the_set_of_another_run_is_never_replaced(tmp_path: Path) -> None:
    """Where no recipe says as what it was begun: steps, and the data or the name of what was read."""
    out, mine = tmp_path / "set", {**RECIPE, "run": "sampled", "source": {"source": ["a.jsonl"]}}
    publish(table(), out, recipe=mine)
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    others = {**mine, "steps": []}, {**mine, "source": {"source": ["b.jsonl"]}, "revision": "def"}
    said = r"another run published \(run sampled, read from a.jsonl(, as this one, but|; this is .*b.json)"
    for other, dry_run in itertools.product(others, (True, False)):
        with pytest.raises(InputError, match=said):
            publish(table(6), out, recipe=other, dry_run=dry_run)
    assert before == {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    grown = {**mine, "source": {"source": ["a.jsonl"], "problems": 9}, "revision": "def"}
    moved = {**grown, "source": {"source": ["there/b.jsonl"]}, "run": "final"}
    for same in (grown, moved, {k: v for k, v in moved.items() if k != "run"}):
        assert publish(table(6), out, recipe=same).rows == 6
    (out / "recipe.json").write_text("{")
    assert publish(table(6), out, recipe=others[0]).rows == 6, "a recipe that cannot be read says nothing"


def test_a_run_is_known_by_what_it_was_begun_as(tmp_path: Path) -> None:
    out, mine = tmp_path / "set", {**RECIPE, "run": "try", "begun_as": "1", "source": {"source": ["a.jsonl"]}}
    publish(table(), out, recipe=mine)
    with pytest.raises(InputError, match="holds what another run published"):
        publish(table(6), out, recipe={**mine, "begun_as": "2"})
    set_anew = {**mine, "run": "final", "steps": [], "revision": "def"}
    assert publish(table(6), out, recipe=set_anew).rows == 6


def test_a_readme_alone_becomes_the_head_of_the_card(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nlanguage: en\n---\n\n# Mine\n")
    publish(table(), tmp_path)
    text = (tmp_path / "README.md").read_text()
    assert "language: en\n" in text and text.index("# Mine") < text.index("## What is in it")


KILLED = """
import itertools, os, sys
from pathlib import Path
from some_traces import table
from curate.publish import publish
calls = itertools.count()
def kill(event, args):
    if event == "os.rename" and next(calls) == int(sys.argv[2]):
        os._exit(9)
sys.addaudithook(kill)
publish(table(8, domain="math"), Path(sys.argv[1]), name="new")
"""


@pytest.mark.slow
def test_killed_at_any_rename_nothing_is_lost(tmp_path: Path) -> None:
    tests = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": f"{tests}{os.pathsep}{tests.parent}"}
    for n in itertools.count():
        out = tmp_path / str(n)
        publish(table(4, domain="math"), out, name="old")
        code = subprocess.run([sys.executable, "-c", KILLED, str(out), str(n)], env=env).returncode
        counts = {len(pl.read_parquet(p)) for p in out.rglob("data/all/*.parquet")}
        assert counts & {4, 8}, "neither the old set nor the new one is left"
        if code == 0:
            break
        assert code == 9
        if (out / shards.READY).exists():  # from here on the new set is what counts
            assert 8 in counts
        publish(table(8, domain="math"), out, name="new")
        assert not [p for p in out.iterdir() if p.name.startswith(".curate")]
        assert len(pl.read_parquet(out / "data/all/*.parquet")) == 8
        assert "8 traces" in (out / "README.md").read_text()
    assert n == 6  # a shard, the declaration, the old data, and each of the three parts


def test_a_dry_run_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    class Never:
        pass

    done = publish(table(), tmp_path / "set", push_to="me/sums", private=True, dry_run=True, api=Never())
    assert not (tmp_path / "set").exists()
    said = str(done)
    assert "12 rows in 5 files" in said and "would be published" in said and "data/math/train-00000" in said
    assert "would be pushed to the dataset me/sums on the Hub (private if it is new)" in said
    assert "nothing was written and nothing was sent" in said
    real = publish(table(), tmp_path / "set")
    assert (real.files, real.bytes) == (done.files, done.bytes)
    before = {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()}
    publish(table(6), tmp_path / "set", dry_run=True)
    assert before == {p: p.read_bytes() for p in (tmp_path / "set").rglob("*") if p.is_file()}


class RecordingApi:
    """Takes what HfApi takes and nothing else: every call is bound to the real signature."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        from huggingface_hub import HfApi

        def call(*args: Any, **kwargs: Any) -> None:
            bound = inspect.signature(getattr(HfApi, name)).bind(self, *args, **kwargs)
            self.calls.append((name, {k: v for k, v in bound.arguments.items() if k != "self"}))

        return call


def test_push_speaks_the_hub_interface(tmp_path: Path) -> None:
    api = RecordingApi()
    done = publish(table(), tmp_path / "set", push_to="me/sums", private=True, api=api)
    (made, create), (sent, upload) = api.calls
    assert (made, sent) == ("create_repo", "upload_folder")
    assert create == {"repo_id": "me/sums", "repo_type": "dataset", "private": True, "exist_ok": True}
    assert upload["repo_id"] == "me/sums" and upload["repo_type"] == "dataset"
    assert Path(upload["folder_path"]) == done.folder
    assert upload["allow_patterns"] == list(done.files) and "README.md" in done.files
    assert upload["delete_patterns"] == ["data/*/*.parquet"]


def test_the_hub_out_of_reach_is_one_sentence_and_the_folder_is_whole(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is complete, but the Hub did not take it as me/sums"):
        publish(table(), tmp_path / "set", push_to="me/sums")  # the tests run with HF_HUB_OFFLINE=1
    assert len(load(tmp_path / "set", tmp_path)) == 12


def test_a_hub_that_nobody_answers_for_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real refusal: nothing listens at port 9 of this machine."""
    from huggingface_hub import HfApi, close_session, constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    close_session()
    nowhere = HfApi(endpoint="http://127.0.0.1:9", token="hf_none")
    with pytest.raises(UserError, match=r"ConnectError: .*; see that the Hub can be reached and publish"):
        publish(table(), tmp_path / "set", push_to="me/sums", api=nowhere)
    close_session()


def test_private_is_said_of_what_is_pushed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing is pushed there; give push_to"):
        publish(table(), tmp_path / "set", private=True)
    assert not (tmp_path / "set").exists()


def test_the_recipe_lies_beside_the_data_without_private_addresses(tmp_path: Path) -> None:
    recipe = RECIPE | {"source": {"source": [str(tmp_path)]}, "prompt": "/no_think {question}"}
    done = publish(table(), tmp_path / "set", recipe=recipe, name="sums")
    saved = json.loads((Path(done) / "recipe.json").read_text())
    assert saved["published"] == {"name": "sums", "form": "messages", "split": "train"}
    assert saved["steps"][0]["n"] == 8 and saved["steps"][0]["engine"]["model"] == "Qwen3"
    text = "".join(p.read_text() for p in done.folder.iterdir() if p.is_file())
    assert "10.0.0.7" not in text and str(tmp_path) not in text
    assert saved["source"] == {"source": [tmp_path.name]} and saved["prompt"] == recipe["prompt"]


def test_a_path_is_as_private_when_what_lay_there_is_gone(tmp_path: Path) -> None:
    student = {"step": "score", "engine": {"engine": "hf", "model": "/home/me/student"}}
    gone = {"source": {"source": ["/home/me/a.jsonl?answer=gold", "b.jsonl"]}, "steps": [student]}
    earlier = [{**gone, "run": "second", "earlier": [{**gone, "run": "first"}]}]
    served = {"ba9876543210": {"root": "/home/me/models/Qwen3"}}
    done = publish(table(), tmp_path / "set", recipe={**RECIPE, **gone, "served": served, "earlier": earlier})
    saved = json.loads((done.folder / "recipe.json").read_text())
    for run in (saved, saved["earlier"][0], saved["earlier"][0]["earlier"][0]):
        assert run["source"]["source"] == ["a.jsonl?answer=gold", "b.jsonl"]
        assert run["steps"][0]["engine"]["model"] == "student"
    text = "".join(p.read_text() for p in done.folder.iterdir() if p.is_file())
    assert "/home/me" not in text
