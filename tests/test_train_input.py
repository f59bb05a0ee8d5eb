"""What the trainer reads: every form, every token counted, and one sentence for what it cannot read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sums import fit, rows, talk, write
from tiny_model import CONTEXT

from curate.errors import InputError
from curate.train import train
from curate.train.data import conversations, find_files
from curate.train.model import load_tokenizer
from curate.train.render import encode
from curate.train.tokens import tokenize


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


def test_long_rows_follow_on_overflow_and_every_token_is_counted(
    tiny_model: Path, tmp_path: Path, capsys
) -> None:
    long = talk("Count.", " ".join(str(i) for i in range(100)))
    data = write(tmp_path / "long.jsonl", [*rows(5), long, *rows(3), long])
    with pytest.raises(
        InputError, match=r"2 of 10 rows .* max_length=100 tokens, the first is row 6 of long.jsonl"
    ):
        train(data, model=tiny_model, output_dir=tmp_path / "error", max_steps=1, max_length=100)
    same = {"model": tiny_model, "max_steps": 1, "max_length": 100}
    dropped = train(data, output_dir=tmp_path / "drop", on_overflow="drop", **same).tokens
    split = train(data, output_dir=tmp_path / "split", on_overflow="split", **same).tokens
    whole = train(data, output_dir=tmp_path / "whole", model=tiny_model, max_steps=1).tokens
    assert (dropped.rows, dropped.rows_dropped, dropped.documents) == (10, 2, 8)
    assert (split.rows_split, split.rows_dropped, split.learnt, split.masked) == (
        2,
        0,
        whole.learnt,
        whole.masked,
    )
    assert dropped.learnt + dropped.masked + dropped.dropped == whole.learnt + whole.masked
    assert "10 rows: 2 dropped, 0 split; 8 documents" in capsys.readouterr().err


def test_every_form_of_the_same_rows_gives_the_same_tokens(tokenizer, tmp_path: Path) -> None:
    table = rows(4)
    forms = {
        "messages": table,
        "prompt": [{"prompt": r["messages"][:1], "completion": r["messages"][1:]} for r in table],
        "strings": [
            {"prompt": r["messages"][0]["content"], "completion": r["messages"][1]["content"]} for r in table
        ],
    }
    write(tmp_path / "a.jsonl", table)
    for name, form in forms.items():
        (tmp_path / name / "data" / "all").mkdir(parents=True)
        pl.DataFrame(form).write_parquet(tmp_path / name / "data" / "all" / "train-00000-of-00001.parquet")
        pl.DataFrame(form).write_parquet(tmp_path / name / "data" / "all" / "test-00000-of-00001.parquet")
    found = []
    for place in (tmp_path / "a.jsonl", *(tmp_path / name for name in forms)):
        read = list(conversations(find_files(place)))
        assert len(read) == 4  # the test split is not trained on
        docs, count = tokenize(read, tokenizer, tmp_path / "tokens", CONTEXT, "error")
        found.append((docs.ids.tolist(), docs.learn.tolist(), docs.bounds.tolist(), count))
    assert all(f == found[0] for f in found)


def test_spans_in_a_published_table_count_in_the_columns_they_name(tokenizer, tmp_path: Path) -> None:
    span = {"field": "thinking", "start": 2, "end": 5, "label": "mask", "value": None}
    row = talk(
        "a", "<think>\n  one two\n</think>\n\nthree", thinking="  one two", response="three", spans=[span]
    )
    pl.DataFrame([row]).write_parquet(tmp_path / "d.parquet")
    (found,) = encode(tokenizer, list(conversations([tmp_path / "d.parquet"])))
    assert tokenizer.decode(found.ids[found.learn]) == "<think>\n   two\n</think>\n\nthree<|im_end|>"


BAD_DATA = {
    "empty": ("", "the table is empty"),
    "not json": ("{no\n", "line 1 of d.jsonl is not JSON"),
    "not an object": ("[1]\n", "line 1 of d.jsonl is not a JSON object"),
    "other columns": (
        '{"text": "a"}\n',
        "row 1 of d.jsonl needs a column 'messages', or 'prompt' and 'completion'",
    ),
    "no list": ('{"messages": 7}\n', "messages must be a list of {role, content}, not '7'"),
    "no text": ('{"messages": [{"role": "user", "content": 7}]}\n', "messages must be a list of"),
    "no assistant": (json.dumps(talk("a")), "row 1 of d.jsonl has no assistant turn"),
    "silent assistant": (json.dumps(talk("a", " ")), "row 1 of d.jsonl: assistant turn 2 is empty"),
}


@pytest.mark.parametrize("name", BAD_DATA)
def test_bad_data_is_one_sentence(tiny_model: Path, tmp_path: Path, name: str) -> None:
    text, message = BAD_DATA[name]
    (tmp_path / "d.jsonl").write_text(text)
    with pytest.raises(InputError) as caught:
        train(tmp_path / "d.jsonl", model=tiny_model, output_dir=tmp_path / "out")
    assert message in str(caught.value) and "\n" not in str(caught.value)


SPAN = {"field": "response", "start": 0, "end": 1, "label": "learn"}
BAD_SPANS = ["abc", {"a": 1}, [None], ["abc"], [{k: v for k, v in SPAN.items() if k != "label"}],
             [{k: v for k, v in SPAN.items() if k != "field"}], [SPAN | {"field": None}],
             [SPAN | {"label": 7}], [SPAN | {"label": "note", "end": None}], [SPAN, SPAN | {"end": None}],
             [SPAN | {"start": "0"}], [SPAN | {"start": 0.5}], [SPAN | {"end": True}]]  # fmt: skip


@pytest.mark.parametrize("spans", BAD_SPANS)
def test_bad_spans_are_one_sentence(tmp_path: Path, spans: Any) -> None:
    file = write(tmp_path / "d.jsonl", [talk("a", "b", response="b", spans=spans)])
    with pytest.raises(
        InputError, match=r"row 1 of d.jsonl: spans must be a list of \{field, start, end, label"
    ):
        list(conversations([file]))


def test_spans_in_a_field_that_is_no_text_are_one_sentence(tokenizer, tmp_path: Path) -> None:
    for more in (dict(field="messages"), dict(field="thinking")):
        row = talk("a", "b", thinking=7, response="b", spans=[SPAN | more])
        with pytest.raises(InputError, match="a span learns .* but the answer has only response"):
            encode(tokenizer, list(conversations([write(tmp_path / "d.jsonl", [row])])))


BAD_ARGUMENTS = [
    ({"data": "nowhere"}, "there is no file or folder 'nowhere'"),
    ({"data": "."}, "holds no .parquet and no .jsonl file"),
    ({"model": "nowhere"}, "there is no model folder 'nowhere'"),
    ({"model": "."}, "the model folder '.' holds no config.json"),
    ({"batch_size": 0}, "batch_size=0 must be at least 1"),
    ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
    ({"optimizer": "muno"}, "optimizer='muno' is unknown; did you mean 'muon'?"),
    ({"max_length": 9999}, "max_length=9,999 is more than the 512 tokens the model was made for"),
    ({"max_length": 8, "on_overflow": "drop"}, "no row is left to train on: all 2 are longer than 8 tokens"),
]


@pytest.mark.parametrize(("wrong", "message"), BAD_ARGUMENTS)
def test_bad_arguments_are_one_sentence(tiny_model, tmp_path, monkeypatch, wrong: dict, message: str) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    given = {
        "data": write(tmp_path / "d.jsonl", rows(2)),
        "model": tiny_model,
        "output_dir": tmp_path / "out",
    }
    with pytest.raises(InputError) as caught:
        train(**(given | wrong))
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_a_broken_model_folder_is_one_sentence(tiny_model: Path, tmp_path: Path) -> None:
    def broken(name: str) -> Path:
        return Path(shutil.copytree(tiny_model, tmp_path / name))

    (broken("plain") / "chat_template.jinja").unlink()
    with pytest.raises(
        InputError, match="the tokenizer in .* has no chat template; put a chat_template.jinja"
    ):
        fit(tmp_path / "plain", tmp_path)
    (broken("torn") / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="the model in .* cannot be loaded"):
        fit(tmp_path / "torn", tmp_path)
    config = json.loads((broken("small") / "config.json").read_text()) | {"vocab_size": 100}
    (tmp_path / "small" / "config.json").write_text(json.dumps(config))
    (tmp_path / "small" / "model.safetensors").unlink()
    with pytest.raises(InputError, match="the tokenizer in .* tokens, the model only 100"):
        fit(tmp_path / "small", tmp_path)
    with pytest.raises(InputError, match="is the model's own folder; choose another"):
        fit(broken("same"), tmp_path, "same")


def test_a_torn_parquet_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "d.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        list(conversations([tmp_path / "d.parquet"]))
    pl.DataFrame({"text": ["a"]}).write_parquet(tmp_path / "d.parquet")
    with pytest.raises(InputError, match="d.parquet needs a column 'messages', .* it has 'text'"):
        list(conversations([tmp_path / "d.parquet"]))
