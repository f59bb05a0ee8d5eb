"""The README of a published set: printed from the recipe, the funnel, the ledger and the rows, never typed.

Ours is what stands between two HTML comments, and four keys of the metadata; the rest of an existing README
belongs to whoever wrote it and stays. A licence is what the rows say; where they say nothing, it is unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import InputError

BEGIN = "<!-- curate:begin; everything up to curate:end is written anew when this set is published -->"
END = "<!-- curate:end -->"
HINT = (
    "What you write above or below the part between the two comments stays when this set is published again."
)
OURS = ("configs", "license", "size_categories", "tags")
TAGS = ("reasoning-traces", "trace-curate")
SHOWN = 20  # values listed of a column; the others are counted together
COUNTED = ("domain", "source", "license", "model", "finish")
VERDICTS = ("passed", "failed", "abstained", "absent")
QUANTILES = (0.0, 0.1, 0.5, 0.9, 1.0)

# The identifiers of the Hub that rows of reasoning data carry; a licence with another name is `other` there.
LICENSES = frozenset(
    "apache-2.0 mit bsd bsd-2-clause bsd-3-clause isc mpl-2.0 unlicense artistic-2.0 "
    "cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0 "
    "cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 "
    "cc-by-nc-sa-4.0 cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 c-uda odbl odc-by pddl gfdl "
    "gpl gpl-2.0 gpl-3.0 agpl-3.0 lgpl lgpl-2.1 lgpl-3.0 openrail "
    "llama2 llama3 llama3.1 llama3.2 llama3.3 llama4 gemma unknown other".split()
)


@dataclass(frozen=True)
class Facts:
    """What the card says of the rows, measured in one pass over the published table.

    counts: {column: [(value, rows)]}, most frequent first; lengths: {what: {known, sum, quantiles}};
    verdicts: [{verifier, passed, failed, abstained, absent}]; configs: the names `load_dataset` takes.
    """

    rows: int
    problems: int
    rewritten: int
    columns: dict[str, str]
    configs: tuple[str, ...]
    counts: dict[str, list[tuple[str | None, int]]]
    lengths: dict[str, dict[Any, Any]]
    verdicts: list[dict[str, Any]]

    @classmethod
    def of(cls, table: pl.LazyFrame, configs: Sequence[str]) -> Facts:
        """Measure a published table (verdict columns flat); the texts themselves are never held in memory."""
        schema = table.collect_schema()
        texts = {c: pl.col(c).str.len_chars() for c in ("question", "thinking", "response")}
        lengths = {"output tokens": pl.col("output_tokens")} | {
            f"characters of {c}": e for c, e in texts.items()
        }
        totals = table.select(
            pl.len().alias("rows"),
            pl.col("problem_id").n_unique().alias("problems"),
            pl.col("parent_id").is_not_null().sum().alias("rewritten"),
            *(e.alias(name) for v in _verifiers(schema) for name, e in _verdicts(v)),
        )
        by_value = [table.group_by(c).len("rows").sort("rows", c, descending=[True, False]) for c in COUNTED]
        # lengths first, then their quantiles: in one plan, polars would gather the texts to sort them
        numbers, measured, *counted = pl.collect_all([totals, table.select(**lengths), *by_value])
        n = numbers.row(0, named=True)
        return cls(
            rows=n["rows"], problems=n["problems"], rewritten=n["rewritten"],
            columns={c: str(t) for c, t in schema.items()}, configs=tuple(configs),
            counts={c: frame.rows() for c, frame in zip(COUNTED, counted, strict=True)},
            lengths={length.name: _length(length) for length in measured},
            verdicts=[{"verifier": v, **{k: n[f"{v} {k}"] for k in VERDICTS}} for v in _verifiers(schema)],
        )  # fmt: skip


def _length(found: pl.Series) -> dict[Any, Any]:
    quantiles = {q: found.quantile(q, interpolation="nearest") for q in QUANTILES}
    return {"known": found.count(), "sum": found.cast(pl.Int64).sum(), **quantiles}


def _verdicts(verifier: str) -> Iterator[tuple[str, pl.Expr]]:
    passed, why = pl.col(f"{verifier}_passed"), pl.col(f"{verifier}_why")
    yield f"{verifier} passed", passed.sum()
    yield f"{verifier} failed", (~passed).sum()
    yield f"{verifier} abstained", (passed.is_null() & why.is_not_null()).sum()
    yield f"{verifier} absent", (passed.is_null() & why.is_null()).sum()


def _verifiers(schema: Iterable[str]) -> list[str]:
    names = set(schema)
    found = [c.removesuffix("_passed") for c in schema if c.endswith("_passed")]
    return [v for v in found if {f"{v}_score", f"{v}_extracted", f"{v}_why"} <= names]


def metadata(facts: Facts, split: str) -> dict[str, Any]:
    """The keys of the YAML head that are ours: configurations, licence, size and tags."""
    one = facts.configs == ("all",)
    everything = f"data/{'all' if one else '*'}/{split}-*.parquet"
    configs: list[dict[str, Any]] = [
        {"config_name": "all", "data_files": [{"split": split, "path": everything}], "default": True}
    ]
    for name in () if one else facts.configs:
        files = [{"split": split, "path": f"data/{name}/{split}-*.parquet"}]
        configs.append({"config_name": name, "data_files": files})
    licenses = sorted({_license(name) for name, _ in facts.counts["license"]})
    return {
        "configs": configs,
        "license": licenses[0] if len(licenses) == 1 else licenses,
        "size_categories": [_size(facts.rows)],
        "tags": list(TAGS),
    }


def _license(name: str | None) -> str:
    """The Hub's identifier of a licence as a row names it; nothing is guessed from a likeness."""
    if not name or not name.strip():
        return "unknown"
    plain = name.strip().lower().replace(" ", "-")
    return plain if plain in LICENSES else "other"


def _size(rows: int) -> str:
    bounds = ((1_000, "1K"), (10_000, "10K"), (100_000, "100K"), (1_000_000, "1M"), (10_000_000, "10M"))
    below = "n"
    for bound, name in (*bounds, (100_000_000, "100M"), (1_000_000_000, "1B")):
        if rows < bound:
            return f"n<{name}" if below == "n" else f"{below}<n<{name}"
        below = name
    return "n>1B"


def block(
    facts: Facts, recipe: Mapping[str, Any], funnel: pl.DataFrame | None, ledger: pl.DataFrame | None
) -> str:
    """The part of the card between the two comments, in Markdown."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"cell": _cell, "number": _number, "share": lambda n, of: f"{100 * n / of:.1f} %"}
    text = environment.from_string(_template()).render(
        **{**vars(facts), "counts": {c: _top(rows) for c, rows in facts.counts.items()}},
        recipe=recipe,
        published=recipe["published"],
        engines=list(_engines(recipe)),
        settings=_settings,
        funnel=[] if funnel is None else funnel.to_dicts(),
        ledger=[] if ledger is None else [{"usd": None, **line} for line in ledger.to_dicts()],
        quantiles=QUANTILES,
    )
    return f"{BEGIN}\n\n{text.strip()}\n\n{END}"


def _template() -> str:
    for folder in (Path(__file__).parent, Path(__file__).parent.parent):  # a checkout may have lost its links
        path = folder / "data_cards" / "template.md"
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise InputError("data_cards/template.md is missing from this installation; install trace-curate again")


def _top(rows: list[tuple[str | None, int]]) -> list[tuple[str, int]]:
    shown = [("*not stated*" if value is None else _cell(value), n) for value, n in rows[:SHOWN]]
    rest = rows[SHOWN:]
    return shown + ([(f"*{len(rest):,} others*", sum(n for _, n in rest))] if rest else [])


def _cell(value: Any) -> str:
    """A value as one cell of a Markdown table; it can neither end the table nor our part of the card."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")
    return text if len(text) <= 300 else text[:300] + " …"


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.0f}" if float(value).is_integer() or abs(value) >= 100 else f"{value:,.2f}"


def _settings(step: Mapping[str, Any]) -> str:
    """A recorded step's fields, its name and its engines' own settings left out."""
    skip = ("step", "version", "fingerprint", "function", "source")
    fields = {
        k: v["model"] if isinstance(v, Mapping) and "model" in v else v
        for k, v in step.items()
        if k not in skip
    }
    return ", ".join(
        f"{k}={v if isinstance(v, str) else json.dumps(v, default=str)}" for k, v in fields.items()
    )


def _engines(recipe: Mapping[str, Any], of: str = "") -> Iterator[dict[str, Any]]:
    """Every engine in the recipe and in those of the runs before it, with its step and its settings."""
    for run in recipe.get("earlier", ()):
        yield from _engines(run, f" (run {run['run']})")
    for step in recipe.get("steps", ()):
        for value in step.values():
            if isinstance(value, Mapping) and "model" in value:
                settings = {k: v for k, v in value.items() if k not in ("model", "sampling", "fingerprint")}
                settings |= {k: v for k, v in value.get("sampling", {}).items() if v is not None}
                settings |= recipe.get("served", {}).get(value.get("fingerprint"), {})
                text = ", ".join(f"{k}={v}" for k, v in settings.items())
                yield {"step": f"{step.get('step')}{of}", "model": value["model"], "settings": text}


def readme(old: str, block: str, ours: Mapping[str, Any]) -> str:
    """`old` with our part written anew (or put at its end), our metadata set, and all the rest as it was."""
    import yaml

    head = re.match(r"---[ \t]*\n(.*?)^---[ \t]*(?:\n|\Z)", old, flags=re.DOTALL | re.MULTILINE)
    try:
        theirs = (yaml.safe_load(head.group(1)) or {}) if head else {}
    except yaml.YAMLError as e:
        raise InputError(
            f"the metadata at the head of the existing README.md is not YAML: {e}; mend it"
        ) from None
    if not isinstance(theirs, dict):
        raise InputError(
            "the metadata at the head of the existing README.md are no `key: value` lines; mend them"
        )
    kept = {k: v for k, v in theirs.items() if k not in OURS}
    tags = theirs.get("tags") or []
    added = [t for t in ([tags] if isinstance(tags, str) else tags) if t not in TAGS]
    data = {"task_categories": ["text-generation"], **kept, **ours, "tags": [*ours["tags"], *added]}
    body = (old[head.end() :] if head else old).strip("\n")
    begin, end = body.find(BEGIN), body.find(END)
    if (begin < 0) != (end < 0) or end < begin:
        raise InputError(
            "README.md has one of the comments curate:begin and curate:end without the other; mend it"
        )
    if begin >= 0:
        body = body[:begin] + block + body[end + len(END) :]
    else:
        body = f"{body}\n\n{block}"
    return f"---\n{yaml.safe_dump(data, sort_keys=False, allow_unicode=True)}---\n\n{body}\n"
