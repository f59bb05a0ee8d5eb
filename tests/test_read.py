"""Reading: what people have becomes rows, losing nothing; what cannot be read says where and why."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from curate import formats
from curate.aliases import to_rows
from curate.errors import InputError
from curate.named import told
from curate.pipeline import Pipeline
from curate.read import Loaded, Source, as_source, read
from curate.schema import DROPPED, ROW, problem_id, trace_id

Q = "What is 1 + 1?"


def lines(path: Path, *rows: Any) -> Path:
    path.write_bytes(b"".join(r if isinstance(r, bytes) else json.dumps(r).encode() + b"\n" for r in rows))
    return path


def table(loaded: Loaded) -> pl.DataFrame:
    frame = pl.read_parquet(loaded.rows)
    assert frame.schema == pl.Schema(ROW)
    return frame


def load(source: Source, tmp_path: Path) -> list[dict[str, Any]]:
    return table(source.load(tmp_path / "out")).to_dicts()


def one(tmp_path: Path, row: dict[str, Any], **columns: Any) -> dict[str, Any]:
    (found,) = load(read(lines(tmp_path / "in.jsonl", row), **columns), tmp_path)
    return found


def extra(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(row["extra"])
    return found


# --- aliases


@pytest.mark.parametrize(
    ("given_name", "ours", "value", "becomes"),
    [
        ("question", "question", "q?", "q?"),
        ("problem", "question", "q?", "q?"),
        ("prompt", "question", "q?", "q?"),
        ("instruction", "question", "q?", "q?"),
        ("answer", "answer", "4", "4"),
        ("expected_answer", "answer", "4", "4"),
        ("ground_truth", "answer", 72, "72"),
        ("gold", "answer", 0.5, "0.5"),
        ("final_answer", "answer", "x", "x"),
        ("licence", "license", "MIT", "MIT"),
        ("id", "source_id", 7, "7"),
        ("uuid", "source_id", "u", "u"),
        ("problem_id", "source_id", "p", "p"),
        ("finish_reason", "finish", "stop", "stop"),
        ("finish_reason", "finish", "MAX_TOKENS", "length"),
        ("completion_tokens", "output_tokens", 12, 12),
        ("output_tokens", "output_tokens", 12.0, 12),
        ("generation", "response", "r", "r"),
        ("output", "response", "r", "r"),
        ("completion", "response", "r", "r"),
        ("reasoning_content", "thinking", "t", "t"),
    ],
)
def test_alias(tmp_path: Path, given_name: str, ours: str, value: Any, becomes: Any) -> None:
    row = one(tmp_path, {**({} if ours == "question" else {"question": Q}), given_name: value})
    assert row[ours] == becomes
    assert (
        given_name == "finish_reason" or extra(row) == {}
    )  # a finish that was spelt otherwise is kept as well


def test_the_exact_name_wins_then_the_order_of_the_list(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        {"prompt": "b", "problem": "a", "gold": "2", "expected_answer": "1", "answer": "0", "z": None},
    )
    assert (row["question"], row["answer"]) == ("a", "0")
    assert extra(row) == {"prompt": "b", "gold": "2", "expected_answer": "1", "z": None}


def test_a_null_does_not_hide_an_alias(tmp_path: Path) -> None:
    row = one(tmp_path, {"question": Q, "answer": None, "gold": "2"})
    assert row["answer"] == "2"
    assert one(tmp_path, {"question": Q, "gold": None})["answer"] is None


def test_ids_and_defaults(tmp_path: Path) -> None:
    row = one(tmp_path, {"question": Q, "response": "2", "id": "a", "model": "m"})
    assert row["problem_id"] == problem_id(Q)
    assert row["trace_id"] == trace_id(row)
    assert row["source"] == "in"
    assert (row["sample"], row["messages"], row["thinking"], row["finish"]) == (None, None, None, None)
    assert one(tmp_path, {"question": Q})["trace_id"] is None


def test_a_finish_in_other_words_is_kept(tmp_path: Path) -> None:
    row = one(tmp_path, {"question": Q, "finish_reason": "tool_calls"})
    assert row["finish"] is None and extra(row) == {"finish_reason": "tool_calls"}


@pytest.mark.parametrize("count", [True, 1.5, "many", 2**70])
def test_a_count_that_is_none_is_kept_in_extra(tmp_path: Path, count: Any) -> None:
    row = one(tmp_path, {"question": Q, "completion_tokens": count})
    assert row["output_tokens"] is None and extra(row) == {"completion_tokens": count}


def test_generations_become_rows(tmp_path: Path) -> None:
    given = {"problem": Q, "generations": ["<think>a</think>b", "c"], "uuid": "u", "correct": [True, False]}
    rows = load(read(lines(tmp_path / "in.jsonl", given, {"problem": "p", "generations": []})), tmp_path)
    assert [(r["sample"], r["thinking"], r["response"]) for r in rows] == [
        (0, "a", "b"), (1, None, "c"), (None, None, None)]  # fmt: skip
    assert len({r["trace_id"] for r in rows}) == 3
    assert extra(rows[1]) == {"correct": [True, False]}


def test_thinking_in_a_response_is_cut_out_without_loss(tmp_path: Path) -> None:
    text = "<|begin_of_thought|>\n\na\n\n<|end_of_thought|>\n\n<|begin_of_solution|>b<|end_of_solution|>\n"
    row = one(tmp_path, {"question": Q, "response": text})
    assert (row["thinking"], row["response"]) == ("a", "b")
    opening, closing, ending = extra(row)["delimiters"]
    assert opening + row["thinking"] + closing + row["response"] + ending == text


def test_an_open_block_has_an_empty_response(tmp_path: Path) -> None:
    row = one(tmp_path, {"question": Q, "response": "<think>\nendless"})
    assert (row["thinking"], row["response"]) == ("endless", "")


def test_thinking_of_its_own_leaves_the_response_alone(tmp_path: Path) -> None:
    row = one(tmp_path, {"question": Q, "reasoning_content": "t", "response": "about </think> tags"})
    assert (row["thinking"], row["response"], extra(row)) == ("t", "about </think> tags", {})


def test_chat_messages(tmp_path: Path) -> None:
    system, asked = {"role": "system", "content": "s"}, {"role": "user", "content": Q}
    said = {"role": "assistant", "content": "2", "reasoning_content": "1+1"}
    row = one(tmp_path, {"messages": [system, asked, said]})
    assert (row["question"], row["thinking"], row["response"]) == (Q, "1+1", "2")
    assert row["messages"] == [system, asked]
    row = one(tmp_path, {"messages": [asked]})
    assert (row["question"], row["response"], row["trace_id"]) == (Q, None, None)


def test_sharegpt_conversations(tmp_path: Path) -> None:
    turns = [
        {"from": "human", "value": "hello"},
        {"from": "gpt", "value": "hi"},
        {"from": "human", "value": Q},
    ]
    row = one(tmp_path, {"conversations": [*turns, {"from": "gpt", "value": "<think>x</think>2"}]})
    assert (row["question"], row["thinking"], row["response"]) == (Q, "x", "2")
    assert [m["role"] for m in row["messages"]] == ["user", "assistant", "user"]


def test_prompt_and_completion_as_messages(tmp_path: Path) -> None:
    prompt = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "What is "}, {"type": "text", "text": "1 + 1?"}],
        }
    ]
    row = one(tmp_path, {"prompt": prompt, "completion": [{"role": "assistant", "content": "2"}]})
    assert (row["question"], row["response"]) == (Q, "2")
    assert row["messages"] == [{"role": "user", "content": Q}]


def test_messages_beside_a_response_are_not_lost(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": Q}, {"role": "assistant", "content": "two"}]
    row = one(tmp_path, {"messages": turns, "generations": ["2"]})
    assert row["response"] == "2" and row["messages"] == turns[:1]
    assert extra(row) == {"messages": turns}


def test_tool_calls_are_kept(tmp_path: Path) -> None:
    turns = [
        {"role": "user", "content": Q},
        {"role": "assistant", "content": None, "tool_calls": [{"name": "add"}]},
    ]
    assert extra(one(tmp_path, {"messages": turns})) == {"messages": turns}


def test_both_halves_of_an_alpaca_instruction(tmp_path: Path) -> None:
    row = one(tmp_path, {"instruction": "Add", "input": "1 1", "output": "2"})
    assert (row["question"], row["response"], extra(row)) == ("Add\n\n1 1", "2", {"input": "1 1"})


def test_reading_our_own_table_again_changes_nothing(tmp_path: Path) -> None:
    given = {"problem": Q, "gold": 2, "generations": ["<think>a</think>b", "c"], "id": "x", "level": 3}
    first = read(lines(tmp_path / "in.jsonl", given)).load(tmp_path / "first")
    again = read(first.rows).load(tmp_path / "again")
    assert table(again).equals(table(first))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(["level", "label", "temperature", "input_ids", "ünïcode", "", "split"])


@given(
    st.dictionaries(names, json_values),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
)
@settings(deadline=None)
def test_every_other_column_is_in_extra(others: dict[str, Any], response: str) -> None:
    """As JSON that any reader takes: no NaN, no half surrogates."""
    given = json.loads(json.dumps(others), parse_constant=str)
    (row,) = to_rows({"question": Q, "response": response, **given}, {}, None)
    row["extra"].encode()
    found = json.loads(row["extra"])
    opening, closing, ending = found.pop("delimiters", ["", "", ""])
    assert found == given
    assert opening + (row["thinking"] or "") + closing + row["response"] + ending == response


# --- mapping


def test_columns_by_name_and_by_expression(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "in.jsonl", {"q": Q, "answer": "1+1 = <<2>>2\n#### 2"}, {"q": "b", "answer": "#### 3"}
    )
    source = read(
        file,
        question="q",
        answer=pl.col("answer").str.split("#### ").list.last(),
        domain=pl.lit("arithmetic"),
    )
    rows = load(source, tmp_path)
    assert [(r["question"], r["answer"], r["domain"]) for r in rows] == [
        (Q, "2", "arithmetic"), ("b", "3", "arithmetic")]  # fmt: skip
    assert extra(rows[0]) == {"answer": "1+1 = <<2>>2\n#### 2"}  # an expression uses nothing up


def test_a_name_given_beats_the_aliases(tmp_path: Path) -> None:
    row = one(
        tmp_path,
        {"question": "no", "problem": Q, "answer": "0", "gold": "2"},
        question="problem",
        answer="gold",
    )
    assert (row["question"], row["answer"]) == (Q, "2")
    assert extra(row) == {"question": "no", "answer": "0"}


def test_a_mapped_column_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"answer=….*has no column 'key'; it has a, question"):
        one(tmp_path, {"question": Q, "a": 1}, answer="key")
    with pytest.raises(InputError, match=r"has no column 'key'; it has a, question"):
        one(tmp_path, {"question": Q, "a": 1}, answer=pl.col("key").str.strip_chars())


@pytest.mark.parametrize(
    ("value", "expr"), [("a b", pl.col("x").str.split(" ").list.last()), (["b"], pl.col("x").list.get(0))]
)
def test_a_column_may_be_null_or_missing_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: Any, expr: pl.Expr
) -> None:
    """A batch that holds nothing of it has not lost its type."""
    monkeypatch.setattr(formats, "BATCH_ROWS", 2)
    some = [{"x": value}, {}, {"x": None}, {"x": None}, {}, {}, {"x": value}]
    file = lines(tmp_path / "in.jsonl", *({"question": Q, **row} for row in some))
    assert [r["answer"] for r in load(read(file, answer=expr), tmp_path)] == ["b", *[None] * 5, "b"]
    if isinstance(value, str):
        assert load(read(file, answer="x"), tmp_path)[5]["answer"] is None


def test_an_expression_that_fails(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^answer=.*fails on this input"):
        one(tmp_path, {"question": Q, "a": 1}, answer=pl.col("a").str.split("x"))


def test_unknown_keywords_and_values_are_errors_at_once(tmp_path: Path) -> None:
    file = lines(tmp_path / "in.jsonl", {"question": Q})
    with pytest.raises(InputError, match=r"no column 'anser' to fill: did you mean 'answer'"):
        read(file, anser="x")
    with pytest.raises(InputError, match="neither the name of a column"):
        read(file, answer=3)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="bad_rows is 'skip'"):
        read(file, bad_rows="skip")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="no source"):
        read([])


# --- formats


ROWS = [
    {"question": "a", "answer": "1", "n": "x"},
    {"question": "é\n\"b\", 'c'", "answer": "072", "n": "y"},
    {"question": "c", "answer": None, "n": "z"},
]


def in_format(folder: Path, kind: str) -> Path:
    frame, text = pl.DataFrame(ROWS), "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in ROWS).encode()
    path = folder / f"in.{kind}"
    if kind.startswith("jsonl") or kind.startswith("json-lines"):
        pass
    elif kind.startswith("csv"):
        text = frame.write_csv().encode()
    elif kind == "parquet":
        frame.write_parquet(path)
        return path
    elif kind == "datasets":
        import datasets

        datasets.Dataset.from_list(ROWS).save_to_disk(path)
        return path
    elif kind == "dict":
        import datasets

        split = datasets.Dataset.from_list(ROWS)
        datasets.DatasetDict({"train": split, "test": split.select([0])}).save_to_disk(path)
        return path
    elif kind == "shards":
        path.mkdir()
        frame[:1].write_parquet(path / "train-00000-of-00002.parquet")
        frame[1:].write_parquet(path / "train-00001-of-00002.parquet")
        return path
    text = (
        gzip.compress(text)
        if kind.endswith("gz")
        else zstandard.compress(text)
        if kind.endswith("zst")
        else text
    )
    path.write_bytes(text)
    return path


KINDS = "jsonl json-lines jsonl.gz jsonl.zst csv csv.gz csv.zst parquet datasets dict shards".split()


@pytest.mark.parametrize("kind", KINDS)
def test_formats(tmp_path: Path, kind: str) -> None:
    rows = load(read(in_format(tmp_path, kind)), tmp_path)
    assert [{"question": r["question"], "answer": r["answer"], **extra(r)} for r in rows] == ROWS


def test_frames(tmp_path: Path) -> None:
    frame = pl.DataFrame(ROWS)
    assert load(read(frame), tmp_path) == load(read(frame.lazy()), tmp_path)
    assert [r["answer"] for r in load(read(frame), tmp_path)] == ["1", "072", None]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["rows.parquet"]


def test_numbers_of_a_typed_table(tmp_path: Path) -> None:
    pl.DataFrame({"question": ["a"], "answer": [72], "f": [float("nan")]}).write_parquet(
        tmp_path / "in.parquet"
    )
    (row,) = load(read(tmp_path / "in.parquet"), tmp_path)
    assert row["answer"] == "72" and extra(row) == {"f": "nan"}


def test_splits(tmp_path: Path) -> None:
    path = in_format(tmp_path, "dict")
    assert len(load(read(path), tmp_path)) == 3  # train, where there are several
    assert len(load(read(path, split="test"), tmp_path)) == 1
    with pytest.raises(InputError, match=r"has no split 'dev'; say split= with one of test, train"):
        load(read(path, split="dev"), tmp_path)


def test_several_sources_in_order(tmp_path: Path) -> None:
    a, b = lines(tmp_path / "a.jsonl", {"question": "1"}), lines(tmp_path / "b.jsonl", {"question": "2"})
    rows = load(read([str(b), a]), tmp_path)
    assert [(r["source"], r["question"]) for r in rows] == [("b", "2"), ("a", "1")]


def test_a_hub_id_offline_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    source = read("nobody/nothing-of-this-name", "main")
    with pytest.raises(InputError, match=r"^nobody/nothing-of-this-name is no local file.*HF_HUB_OFFLINE"):
        source.load(tmp_path / "out")


@pytest.mark.parametrize("split", [None, "test"])
def test_a_hub_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: str | None) -> None:
    import datasets

    made = datasets.Dataset.from_list([{"question": Q, "answer": "so\n#### 2"}] * 3)
    asked: list[Any] = []

    def load_dataset(*args: Any, streaming: bool) -> Any:
        asked.append((*args, streaming))
        found = {"train": made, "test": made.select([0])}
        return {k: d.to_iterable_dataset() for k, d in found.items()} if streaming else found

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.chdir(tmp_path)
    answer = pl.col("answer").str.split("#### ").list.last()
    source = read("openai/gsm8k", "main", split=split, answer=answer)
    rows = load(source, tmp_path)
    assert [(r["answer"], r["source"]) for r in rows] == [("2", "openai/gsm8k")] * (1 if split else 3)
    assert load(source.head(1), tmp_path) == rows
    assert asked == [("openai/gsm8k", "main", False), ("openai/gsm8k", "main", True)]


# --- the source, and what is written


def test_a_source_is_inert_and_printable(tmp_path: Path) -> None:
    file = lines(tmp_path / "in.jsonl", b"not JSON at all\n")
    source = read(file, answer=pl.col("gold"), domain="topic", split="x").head(3)
    said = source.describe()
    assert json.loads(json.dumps(said)) == said
    assert said["source"] == [str(file)] and said["problems"] == 3 and said["columns"]["domain"] == "topic"
    assert repr(source).startswith("read(") and "topic" in repr(source) and ".head(3)" in repr(source)


def test_head_takes_problems(tmp_path: Path) -> None:
    asked = ["a", "a", "b", "a", "b", "c", "a"]
    source = read(lines(tmp_path / "in.jsonl", *({"question": q} for q in asked), b"broken"))
    assert [r["question"] for r in load(source.head(2), tmp_path)] == ["a", "a", "b", "a", "b"]
    assert len(load(source.head(2).head(5), tmp_path)) == 5
    with pytest.raises(InputError, match="not JSON"):
        load(source.head(3), tmp_path)
    with pytest.raises(InputError, match=r"head\(0\)"):
        source.head(0)


def test_bytes_and_revision_repeat(tmp_path: Path) -> None:
    file = lines(
        tmp_path / "in.jsonl", *({"question": f"{i}", "response": "x" * i, "k": i} for i in range(500))
    )
    one, two = (read(file).load(tmp_path / name) for name in "ab")
    assert one.rows.read_bytes() == two.rows.read_bytes()
    assert one.revision == two.revision and one.read == 500 and one.unreadable is None
    lines(file, {"question": "other"})
    assert read(file).load(tmp_path / "c").revision != one.revision


def test_row_groups_are_bounded_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr("curate.rowfile.GROUP_BYTES", 10_000)
    monkeypatch.setattr("curate.formats.BATCH_BYTES", 3_000)
    asked = [f"{i} " + "x" * (i % 700) for i in range(300)]
    loaded = read(lines(tmp_path / "in.jsonl", *({"question": q} for q in asked))).load(tmp_path / "out")
    assert table(loaded)["question"].to_list() == asked
    meta = pq.read_metadata(loaded.rows)
    assert meta.num_row_groups > 5
    assert max(meta.row_group(i).num_rows for i in range(meta.num_row_groups)) < 100


# --- what cannot be read

ANSWER = {"question": Q, "answer": "2"}
BAD = [
    (b'{"question": "a"\n', r"not JSON: Expecting ',' delimiter at character 1[78]"),
    (b"[1, 2]\n", r"JSON, but no object: '\[1, 2\]'"),
    (
        b'{"answer": "4", "level": 2}\n',
        r"no question: the columns are answer, level.*problem, prompt, instruction",
    ),
    (b'{"question": 4}\n', r"the question \(question\) is a number"),
    (b'{"problem": "  "}\n', r"the question \(problem\) is empty"),
    (
        b'{"question": "a", "gold": ["1"]}\n',
        r"the answer \(gold\) is a list; map it with answer=…, .* FILE\?answer=…",
    ),
    (b'{"question": "a", "answer": {"v": 1}}\n', r"the answer \(answer\) is an object; map it with answer=…"),
    (b'{"question": "a", "answer": true}\n', r"the answer \(answer\) is a boolean; map it with answer=…"),
    (b'{"question": "a", "response": 3}\n', r"response is a number, not a text"),
    (b'{"question": "a", "generations": ["b", null]}\n', r"generations\[1\] is a NoneType, not a text"),
    (b'{"question": "a\\u0000b"}\n', r"a NUL byte in question"),
    (b'{"question": "a", "response": "\\u0000"}\n', r"a NUL byte in response"),
    (b'{"question": "a\0b"}\n', r"a NUL byte"),
    (b'{"question": "a\xff"}\n', r"invalid UTF-8 at byte 16"),
    (b'{"question": "\\ud800"}\n', r"invalid UTF-8 or half a surrogate pair in question"),
    (b"[" * 100_000 + b"\n", r"not JSON that can be read"),
    (b'{"messages": [{"role": "user", "content": 3}]}\n', r"messages\[0\] has a number for its content"),
]


@pytest.mark.parametrize(("line", "why"), BAD, ids=[why for _, why in BAD])
def test_bad_rows(tmp_path: Path, line: bytes, why: str) -> None:
    file = lines(tmp_path / "in.jsonl", ANSWER, b"\n", line, ANSWER)
    with pytest.raises(InputError, match=rf"in\.jsonl line 3: {why}") as e:
        read(file).load(tmp_path / "out")
    assert "\n" not in str(e.value)
    assert list((tmp_path / "out").iterdir()) == []  # nothing is left half written
    loaded = read(file, bad_rows="set_aside").load(tmp_path / "out")
    assert loaded.unreadable and loaded.read == 3 and table(loaded).height == 2
    bad = pl.read_parquet(loaded.unreadable)
    assert bad.schema == pl.Schema({**ROW, **DROPPED}) and bad["dropped_by"].to_list() == ["read"]
    assert "line 3" in bad["why"][0]
    said = json.loads(bad["extra"][0])
    assert said["at"] == "line 3" and said["bytes"] == len(line)
    assert 0 < len(said["raw"]) <= 1000


def test_a_line_that_is_too_long_is_never_held(tmp_path: Path) -> None:
    """A line of 100 MB, packed in 100 kB: it is skipped in pieces, and the next line is read."""
    import tracemalloc

    file = tmp_path / "in.jsonl.gz"
    with gzip.open(file, "wb", compresslevel=1) as packed:
        packed.write(json.dumps(ANSWER).encode() + b'\n{"question": "')
        for _ in range(100):
            packed.write(b"x" * 2**20)
        packed.write(b'"}\n' + json.dumps(ANSWER).encode() + b"\n")
    with pytest.raises(InputError, match=r"line 2: the line has 100\.0 MB; at most 64 MB can be read"):
        read(file).load(tmp_path / "out")
    tracemalloc.start()
    try:
        loaded = read(file, bad_rows="set_aside").load(tmp_path / "out")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert table(loaded).height == 2 and loaded.unreadable
    assert peak < 140 << 20  # the 64 MB that may be a row, twice while they are joined; never the line
    assert json.loads(pl.read_parquet(loaded.unreadable)["extra"][0])["bytes"] == (100 << 20) + 17


def test_the_limit_is_met_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "MAX_LINE_MB", 1)
    frame = json.dumps({"question": ""}).encode()
    fits = json.dumps({"question": "x" * (2**20 - len(frame) - 1)}).encode() + b"\n"
    assert len(fits) == 2**20
    file = lines(tmp_path / "in.jsonl", fits, fits.replace(b'"x', b'"xx'), ANSWER)
    loaded = read(file, bad_rows="set_aside").load(tmp_path / "out")
    assert [len(q) for q in table(loaded)["question"]] == [len(fits) - len(frame) - 1, len(Q)]
    with pytest.raises(InputError, match="line 1 has 1.0 MB"):
        read((tmp_path / "in.csv") if (tmp_path / "in.csv").write_bytes(b"a" * (2**20 + 1)) else "").load(
            tmp_path
        )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"question,answer\na,1\nb,2,3\n", r"in\.csv line 3: 3 fields under a header of 2"),
        (
            b"question,answer\na,1\n\xff,2\n",
            r"in\.csv line 3: invalid UTF-8 or half a surrogate pair in question",
        ),
        (b'question,answer\n"a,1\n', r"in\.csv line 2 is not CSV: unexpected end of data"),
        (b"question,a,a\nb,1,2\n", r"in\.csv: the header names 'a' twice"),
    ],
)
def test_bad_csv(tmp_path: Path, text: bytes, why: str) -> None:
    (tmp_path / "in.csv").write_bytes(text)
    with pytest.raises(InputError, match=why):
        read(tmp_path / "in.csv").load(tmp_path / "out")


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.parquet", "frame"])
def test_an_empty_table(tmp_path: Path, name: str) -> None:
    if name == "in.parquet" or name == "frame":
        frame = pl.DataFrame({"question": []}, schema={"question": pl.String})
        frame.write_parquet(tmp_path / "in.parquet")
        source = read(frame if name == "frame" else tmp_path / name)
    else:
        (tmp_path / name).write_text("question\n" if name == "in.csv" else "")
        source = read(tmp_path / name)
    with pytest.raises(InputError, match="no row: it is empty"):
        source.load(tmp_path / "out")


def test_nothing_but_bad_rows(tmp_path: Path) -> None:
    source = read(lines(tmp_path / "in.jsonl", b"a\n", b"b\n"), bad_rows="set_aside")
    with pytest.raises(InputError, match=r"no row that can be read: .*line 1: not JSON"):
        source.load(tmp_path / "out")


def test_missing_files(tmp_path: Path) -> None:
    lines(tmp_path / "problems.jsonl", ANSWER)
    with pytest.raises(
        InputError, match=r"problem\.jsonl does not exist; .*did you mean 'problems\.jsonl'\?"
    ):
        read(tmp_path / "problem.jsonl")
    with pytest.raises(InputError, match="neither does its folder"):
        read(str(tmp_path / "no" / "such.jsonl"))
    with pytest.raises(InputError, match=r"x\.pdf: no reader for \.pdf; there is \.jsonl"):
        read(lines(tmp_path / "x.pdf", b"x"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no file"):
        read(tmp_path / "empty").load(tmp_path / "out")


def test_the_folder_of_a_run_is_not_read_as_one_of_files(tmp_path: Path) -> None:
    made = Pipeline(read(lines(tmp_path / "in.jsonl", ANSWER)), []).run(tmp_path / "run")
    with pytest.raises(InputError, match=r"run is the folder of a run: read .*live\.parquet"):
        read(tmp_path / "run").load(tmp_path / "out")
    assert made.traces.collect().height == 1


@pytest.mark.parametrize(("name", "cut"), [("in.jsonl.gz", 40), ("in.jsonl.zst", 40), ("in.parquet", 200)])
def test_a_torn_file(tmp_path: Path, name: str, cut: int) -> None:
    path = in_format(tmp_path, name.removeprefix("in."))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=rf"{name} (cannot be read to its end|is not a readable)"):
        read(path).load(tmp_path / "out")
    path.write_bytes(b"this was never packed at all, whatever its name says")
    with pytest.raises(InputError, match=rf"{name} (cannot be read to its end|is not a readable)"):
        read(path).load(tmp_path / "out")


# --- real input

TRACES = {
    "farel": 1110, "lineage_2025": 1352, "lineage_early": 1068, "mip_answerable": 3098,
    "mip_unanswerable": 832,
    "misguided_attention": 741, "rgym_multisample": 2450, "short_graded": 4800, "skythought_math": 3832,
    "thought_anchors_math": 128, "zeroeval_math_l5": 3564,
}  # fmt: skip


@pytest.mark.slow
def test_all_real_traces(data: Path, tmp_path: Path) -> None:
    files = [data / "traces" / f"{name}.jsonl.gz" for name in TRACES]
    loaded = read(files).load(tmp_path)
    assert loaded.unreadable is None and loaded.read == sum(TRACES.values()) == 22_975
    at = 0
    for file in files:
        with gzip.open(file, "rt", encoding="utf-8") as raw:
            given = [json.loads(line) for line in raw]
        frame = pl.scan_parquet(loaded.rows).slice(at, len(given)).collect()
        at += len(given)
        for row, was in zip(frame.iter_rows(named=True), given, strict=True):
            assert (row["question"], row["answer"], row["source_id"]) == (
                was["question"],
                was["gold"],
                was["id"],
            )
            rest = json.loads(row["extra"])
            opening, closing, ending = rest.get("delimiters", ["", "", ""])
            assert opening + (row["thinking"] or "") + closing + row["response"] + ending == was["response"]
            assert rest["label"] == was["label"] and row["license"] == was["licence"]
            assert row["output_tokens"] == was.get("completion_tokens") and row["finish"] == was.get(
                "finish_reason"
            )


def test_all_real_problems(data: Path, tmp_path: Path) -> None:
    loaded = read(data / "problems").load(tmp_path)
    assert loaded.unreadable is None and loaded.read == 33_601
    frame = table(loaded)
    assert (
        frame.null_count().select("question", "answer", "source_id", "license", "source").row(0) == (0,) * 5
    )
    assert frame["trace_id"].null_count() == frame.height and frame["source"].n_unique() == 17


def test_a_source_that_is_a_text_names_its_columns(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text('{"query": "a", "right": "1", "answer": "0"}\n')
    spec = f"{tmp_path / 'p.jsonl'}?question=query&answer=right"
    loaded = pl.read_parquet(read(spec).load(tmp_path / "one").rows)
    assert loaded.select("question", "answer").rows() == [("a", "1")]
    both = pl.read_parquet(read([spec, spec.partition("&")[0]]).load(tmp_path / "two").rows)
    assert both["answer"].to_list() == ["1", "0"], "each input has columns of its own"
    with pytest.raises(InputError, match="no column 'anser'.* did you mean 'answer'"):
        read(spec.replace("&answer", "&anser"))
    with pytest.raises(InputError, match="has no column 'quer'"):
        read(spec.replace("=query", "=quer")).load(tmp_path / "three")
    (tmp_path / "odd.jsonl?question=query").mkdir()
    assert told(odd := str(tmp_path / "odd.jsonl?question=query")) == (odd, {})


def test_a_source_stays_as_it_is_and_anything_else_is_read(tmp_path: Path) -> None:
    path = lines(tmp_path / "in.jsonl", {"question": Q}, {"no": "question"})
    source = read(str(path), split="test")
    assert as_source(source, "set_aside") is source
    assert as_source(str(path), "set_aside").describe() == read(path, bad_rows="set_aside").describe()
    assert as_source(pl.DataFrame({"question": [Q]})).bad_rows == "error"
