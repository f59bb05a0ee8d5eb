"""A published folder is read as conversations, row by row; no table is ever held in memory.

Rows come from parquet (under data/ or anywhere in the folder) or JSON lines, with a column `messages`, or
with `prompt` and `completion` as lists of messages or as strings (one user and one assistant message).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from curate.errors import InputError
from curate.train.render import Conversation

TURNS = ("messages", "prompt", "completion")
SPANS = ("spans", "thinking", "response")  # a span counts its characters in one of the other two
LABELS = ("mask", "learn")


def find_files(data: str | Path) -> list[Path]:
    """The files of the training split, sorted: those called train* where there are any, else all."""
    root = Path(data)
    if not root.exists():
        raise InputError(f"there is no file or folder {str(data)!r}; `train` reads what `publish` wrote")
    if root.is_file():
        return [root]
    base = root / "data" if (root / "data").is_dir() else root
    found = sorted(p for kind in ("*.parquet", "*.jsonl") for p in base.rglob(kind))
    files = [p for p in found if not any(part.startswith(".") for part in p.relative_to(base).parts)]
    if not files:
        raise InputError(f"{base} holds no .parquet and no .jsonl file; `train` reads what `publish` wrote")
    return [p for p in files if p.name.startswith("train")] or files


def fingerprint(files: list[Path]) -> str:
    """32 hexadecimal digits that depend on the names and bytes of the files, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for path in files:
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as f:
            while block := f.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def conversations(files: list[Path]) -> Iterator[Conversation]:
    """Every row of every file, in order, checked; an error names file and row (counted from 1)."""
    for path in files:
        rows = _parquet(path) if path.suffix == ".parquet" else _jsonl(path)
        for number, row in enumerate(rows, start=1):
            yield _conversation(row, f"row {number:,} of {path.name}")


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except pa.ArrowInvalid as e:
        raise InputError(f"{path} cannot be read as parquet: {str(e).splitlines()[0]}") from None
    with file:
        there = file.schema_arrow.names
        if "messages" not in there and not {"prompt", "completion"} <= set(there):
            raise InputError(_no_columns(path.name, there))
        names = [n for n in (*TURNS, *(SPANS if "spans" in there else ())) if n in there]
        for batch in file.iter_batches(batch_size=64, columns=names):
            yield from batch.to_pylist()


def _jsonl(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as f:
        for number, line in enumerate(f, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as e:
                raise InputError(
                    f"line {number:,} of {path.name} is not JSON: {e.msg} at column {e.colno}"
                ) from None
            if not isinstance(row, dict):
                raise InputError(
                    f"line {number:,} of {path.name} is not a JSON object but {line.strip()[:40]!r}"
                )
            yield row


def _no_columns(where: str, names: list[str]) -> str:
    has = ", ".join(map(repr, names)) or "neither"
    return f"{where} needs a column 'messages', or 'prompt' and 'completion'; it has {has}"


def _conversation(row: Mapping[str, Any], where: str) -> Conversation:
    if row.get("messages") is not None:
        messages, first = _messages(row["messages"], "messages", where), 0
    elif row.get("prompt") is not None and row.get("completion") is not None:
        prompt = _messages(row["prompt"], "prompt", where, role="user")
        messages = prompt + _messages(row["completion"], "completion", where, role="assistant")
        first = len(prompt)
    else:
        raise InputError(_no_columns(where, sorted(k for k, v in row.items() if v is not None)))
    if not any(m["role"] == "assistant" for m in messages[first:]):
        raise InputError(f"{where} has no assistant turn, so there is nothing to learn from it; drop the row")
    spans = [_span(span, row) for span in _spans(row.get("spans"), where) if span["label"] in LABELS]
    return Conversation(where, messages, first, spans)


def _spans(value: Any, where: str) -> list[dict[str, Any]]:
    """The column's spans, of whatever labels; none where it is null."""
    if value is None:
        return []
    wrong = [span for span in value if not _is_span(span)] if isinstance(value, list) else [value]
    if wrong:
        raise InputError(
            f"{where}: spans must be a list of {{field, start, end, label}} with places as whole numbers, "
            f"not {str(wrong[0])[:60]!r}; mend the column or leave it out"
        )
    return list(value)


def _is_span(value: Any) -> bool:
    if not isinstance(value, dict) or not {"field", "start", "end", "label"} <= value.keys():
        return False
    texts = isinstance(value["field"], str) and isinstance(value["label"], str | None)
    return texts and type(value["start"]) is type(value["end"]) is int


def _span(span: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    """The span, counted from the first word of its field: templates may alter the space before it."""
    text = row.get(span["field"])
    lead = len(text) - len(text.lstrip()) if isinstance(text, str) else 0
    return {**span, "start": span["start"] - lead, "end": span["end"] - lead}


def _messages(value: Any, column: str, where: str, role: str | None = None) -> list[dict[str, Any]]:
    """A column's messages without their empty keys; a plain string is one message of `role`."""
    if isinstance(value, str) and role is not None:
        return [{"role": role, "content": value}]
    ok = isinstance(value, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) for m in value
    )
    if not ok or not all(isinstance(m.get("content", ""), str | None) for m in value):
        raise InputError(f"{where}: {column} must be a list of {{role, content}}, not {str(value)[:60]!r}")
    return [{"content": ""} | {k: v for k, v in m.items() if v is not None} for m in value]
