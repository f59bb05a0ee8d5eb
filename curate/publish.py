"""A table becomes a folder that `datasets.load_dataset` reads: parquet, a card, the recipe beside the data.

The table is evaluated once, streaming; the card is made from what was evaluated. A folder that holds a
published set is replaced only when the new one is complete; what a person wrote into its README stays.
Nothing is left out in silence: a row that cannot be published (no response, reasoning that would not survive)
stops the publication.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from curate import shards
from curate.card import HINT, Facts, block, metadata, readme
from curate.errors import InputError, UserError
from curate.push import push
from curate.schema import MESSAGES, ROW, VERDICT

Form = Literal["messages", "prompt_completion"]

KEPT = (
    "problem_id", "trace_id", "parent_id", "question", "answer", "thinking", "response", "model",
    "domain", "source", "source_id", "license", "finish", "output_tokens",
)  # fmt: skip
"""Published of every row, beside the form's own columns, the verdicts and every column that steps added."""

PLACES = ("source", "model", "root", "parent")
"""Under these names a recipe keeps inputs and checkpoints: as they were given, or as a server said."""


@dataclass(frozen=True)
class Publication:
    """What was published, or, where `dry_run`, what would be. It can be passed wherever a path can.

    files: relative to the folder; bytes: their size together; configs: one a domain, or `all` alone.
    """

    folder: Path
    rows: int
    configs: tuple[str, ...]
    files: tuple[str, ...]
    bytes: int
    push_to: str | None = None
    private: bool = False
    dry_run: bool = False

    def __fspath__(self) -> str:
        return str(self.folder)

    def __str__(self) -> str:
        would = "would be " if self.dry_run else ""
        size = f"{self.bytes / 1e6:,.1f} MB"
        lines = [f"{self.rows:,} rows in {len(self.files)} files ({size}) {would}published to {self.folder}"]
        lines += [f"  {f}" for f in self.files]
        if self.push_to:
            kind = "private" if self.private else "public"
            lines.append(f"and {would}pushed to the dataset {self.push_to} on the Hub ({kind} if it is new)")
        if self.dry_run:
            lines.append("dry run: nothing was written and nothing was sent")
        return "\n".join(lines)


def publish(
    table: pl.LazyFrame | pl.DataFrame,
    out: str | Path,
    *,
    form: Form = "messages",
    recipe: Mapping[str, Any] | None = None,
    funnel: pl.DataFrame | None = None,
    ledger: pl.DataFrame | None = None,
    name: str | None = None,
    split: str = "train",
    push_to: str | None = None,
    private: bool = False,
    dry_run: bool = False,
    api: Any = None,
) -> Publication:
    """Write `table` (schema.ROW, verdicts, whatever steps added) to the folder `out`; push it where asked.

    form: `messages` (the turns as sent and the assistant's, reasoning in <think> tags) or `prompt_completion`
    (the same, cut before the assistant's turn). recipe, funnel, ledger: a run's, for the card. dry_run: write
    and send nothing. Raises InputError for an empty table, a row without a response, reasoning that the
    form cannot hold, and a folder with something else or another run's publication in it.
    """
    out, lazy = Path(out), table.lazy()
    _check_names(split, push_to)
    if private and not push_to:
        raise UserError("private is said of a dataset on the Hub, but nothing is pushed there; give push_to")
    if not dry_run:
        shards.settle(out)
    check_place(out, recipe or {}, split)
    columns = _columns(lazy.collect_schema(), form)
    published = {"name": name or out.resolve().name, "form": form, "split": split}
    recipe = {**_public(recipe or {}), "published": published}
    with shards.building(out) as building:
        facts = _write_data(lazy.select(columns), building, split)
        _write_papers(building, out / "README.md", block(facts, recipe, funnel, ledger), facts, recipe)
        done = _summary(out, building, facts, push_to, private, dry_run)
        if not dry_run:
            shards.install(out)
    if push_to and not dry_run:
        push(done, api)
    return done


def check_place(out: Path, recipe: Mapping[str, Any], split: str = "train") -> None:
    """InputError where the folder holds something else, or the publication of another run than this one's."""
    shards.check_folder(out, split)
    shards.check_same_run(out, _public(recipe))


def _check_names(split: str, push_to: str | None) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*", split):
        raise InputError(f"{split!r} is not the name of a split; use letters, digits and _, like 'train'")
    if push_to is not None:
        from huggingface_hub.errors import HFValidationError
        from huggingface_hub.utils import validate_repo_id

        try:
            validate_repo_id(push_to)
        except HFValidationError:
            raise InputError(
                f"{push_to!r} is not the name of a dataset on the Hub; write it like me/gsm8k"
            ) from None


def _public(value: Any, key: str = "") -> Any:
    """A recipe without the addresses of servers and this machine's folders: both are private.

    key: what the value is called. A path is known by that, or by lying here: it may be gone by now.
    """
    if isinstance(value, Mapping):
        return {k: _public(v, k) for k, v in value.items() if k not in ("url", "api_key")}
    if isinstance(value, str) and os.path.isabs(value) and (key in PLACES or os.path.exists(value)):
        return Path(value).name
    return [_public(v, key) for v in value] if isinstance(value, (list, tuple)) else value


def _columns(schema: Mapping[str, Any], form: str) -> list[pl.Expr]:
    """The form's own columns, the row's, each verdict flat, and what was added, but no log of a search."""
    if missing := [c for c in (*KEPT, "messages") if c not in schema]:
        raise InputError(f"the table to publish has no column {missing[0]!r}; it has {', '.join(schema)}")
    kept = [pl.col(c).cast(ROW[c]) for c in KEPT]
    verdicts = [
        c for c, t in schema.items() if isinstance(t, pl.Struct) and set(t.fields) == set(VERDICT.fields)
    ]
    flat = [pl.col(v).struct.field(f.name).alias(f"{v}_{f.name}") for v in verdicts for f in VERDICT.fields]
    rest = [pl.col(c) for c in schema if not (c in ROW or c in verdicts or c.endswith("_events"))]
    columns = [*_turns(form), *kept, *flat, *rest]
    names = [c.meta.output_name() for c in columns]
    if twice := [n for n in names if names.count(n) > 1]:
        raise InputError(
            f"two published columns would be called {twice[0]!r}; rename yours before publishing"
        )
    if objects := [c for c in schema if schema[c] == pl.Object]:
        raise InputError(
            f"the column {objects[0]!r} holds Python objects, which no file can; cast or drop it"
        )
    return columns


def _turns(form: str) -> list[pl.Expr]:
    """What was sent (the question, where nothing is recorded) and the assistant's turn, reasoning in tags."""
    asked = pl.concat_list(pl.struct(role=pl.lit("user"), content=pl.col("question").cast(pl.String)))
    sent = pl.col("messages").cast(MESSAGES)
    sent = pl.when(sent.list.len() > 0).then(sent).otherwise(asked)
    rendered = pl.format("<think>\n{}\n</think>\n\n{}", "thinking", "response")
    content = pl.when(pl.col("thinking").is_null()).then(pl.col("response")).otherwise(rendered)
    answered = pl.concat_list(pl.struct(role=pl.lit("assistant"), content=content.cast(pl.String)))
    if form == "messages":
        return [pl.concat_list(sent, answered).alias("messages")]
    if form == "prompt_completion":
        return [sent.alias("prompt"), answered.alias("completion")]
    raise InputError(f"unknown form {form!r}; there is 'messages' and 'prompt_completion'")


def _write_data(frame: pl.LazyFrame, building: Path, split: str) -> Facts:
    """Evaluate the table once, check every row, and write the shards; what the card says of them."""
    scratch = building / "stage"
    folders = shards.stage(frame, scratch)
    if not folders:
        raise InputError("there is nothing to publish: the table has no rows")
    table = pl.scan_parquet(scratch / "*" / "*.parquet", hive_partitioning=False)
    _check_rows(table)
    if len(folders) == 1:
        folders = {"all": next(iter(folders.values()))}
    schema = shards.arrow_schema(frame.collect_schema())
    for name, folder in folders.items():
        shards.pack(folder, building / "data" / name, split, schema)
    facts = Facts.of(table, tuple(folders))
    shutil.rmtree(scratch)
    return facts


def _check_rows(table: pl.LazyFrame) -> None:
    """Read every assistant's turn back as a trainer does, and compare it with the row to the letter."""
    turn = pl.col("messages" if "messages" in table.collect_schema() else "completion").list.last()
    inside = turn.struct.field("content").str.strip_prefix("<think>\n").str.splitn("</think>", 2).struct
    survives = (inside.field("field_0") == pl.col("thinking") + "\n") & (
        inside.field("field_1") == "\n\n" + pl.col("response")
    )
    no_response = pl.col("response").is_null()
    lost = pl.col("thinking").is_not_null() & ~survives
    first = pl.col("trace_id").filter(no_response | lost).first().alias("first")
    n, m, first_id = table.select(n=no_response.sum(), m=lost.sum(), first=first).collect().row(0)
    if n:
        raise InputError(
            f"{n:,} rows have no response (the first: {first_id}); filter them out before publishing"
        )
    if m:
        raise InputError(
            f"the reasoning of {m:,} rows holds '</think>' and would be cut there by every reader "
            f"(the first: {first_id}); filter them out before publishing"
        )


def _write_papers(building: Path, card: Path, body: str, facts: Facts, recipe: Mapping[str, Any]) -> None:
    """The recipe, and the card merged with the one that is there."""
    text = json.dumps(recipe, indent=2, ensure_ascii=False, default=str)
    (building / "recipe.json").write_text(text + "\n", encoding="utf-8")
    is_new = not card.exists()
    old = f"# {recipe['published']['name']}\n\n{HINT}\n" if is_new else card.read_text(encoding="utf-8")
    now = readme(old, body, metadata(facts, recipe["published"]["split"]))
    (building / "README.md").write_text(now, encoding="utf-8")


def _summary(out: Path, building: Path, facts: Facts, *sent: Any) -> Publication:
    files = sorted(p for p in building.rglob("*") if p.is_file())
    names = tuple(p.relative_to(building).as_posix() for p in files)
    return Publication(out, facts.rows, facts.configs, names, sum(p.stat().st_size for p in files), *sent)
