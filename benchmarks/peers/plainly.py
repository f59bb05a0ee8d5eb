"""The rows that steps over the whole table mark, found in plain Python that holds all of them."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from curate.schema import content_hash

WORDS = 13  # a question of the benchmark file shares so many with a problem's


def copies(rows: list[dict[str, Any]], _: Path) -> set[int]:
    seen: set[tuple[str, ...]] = set()
    texts = [
        (r["problem_id"], " ".join(r["thinking"].split()), " ".join(r["response"].split())) for r in rows
    ]
    return {i for i, text in enumerate(texts) if text in seen or seen.add(text)}  # type: ignore[func-returns-value]


def tested(rows: list[dict[str, Any]], folder: Path) -> set[int]:
    grams: set[tuple[str, ...]] = set()
    for line in open(folder / "bench.jsonl"):
        words = json.loads(line)["question"].lower().replace("?", " ").replace(".", " ").split()
        grams |= {tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)}
    return {
        r["row"] for r in rows
        for words in [r["question"].rstrip("?").split()]
        if any(tuple(words[i : i + WORDS]) in grams for i in range(len(words) - WORDS + 1))
    }  # fmt: skip


def beyond(
    key: Callable[[dict[str, Any]], Any], k: int, per: str
) -> Callable[[list[dict[str, Any]], Path], set[int]]:
    """The rows behind the first k of each value of `per`."""

    def reference(rows: list[dict[str, Any]], _: Path) -> set[int]:
        groups = defaultdict(list)
        for r in rows:
            groups[r[per]].append(r)
        return {r["row"] for group in groups.values() for r in sorted(group, key=key)[k:]}

    return reference


def unmatched(rows: list[dict[str, Any]], _: Path) -> set[int]:
    """The rows that are not drawn for a control group with the lengths of the selection."""
    sizes = sorted(r["output_tokens"] for r in rows if r["picked"])
    edges = sorted({sizes[round(i * (len(sizes) - 1) / 10)] for i in range(11)})
    bins = defaultdict(list)
    for r in rows:
        size = r["output_tokens"]
        bins[bisect_left(edges, size) if edges[0] <= size <= edges[-1] else None].append(r)
    marked = set()
    for group in bins.values():
        drawn = sorted(group, key=lambda r: content_hash(0, r["trace_id"]))
        marked |= {r["row"] for r in drawn[sum(r["picked"] for r in group) :]}
    return marked


def majority(rows: list[dict[str, Any]], _: Path) -> set[int]:
    groups = defaultdict(list)
    for r in rows:
        groups[r["problem_id"]].append(r)
    passed = set()
    for group in groups.values():
        (best, votes), *others = Counter(r["said"] for r in group).most_common()
        if len(group) >= 3 and (not others or others[0][1] < votes):
            passed |= {r["row"] for r in group if r["said"] == best}
    return passed


STEPS: dict[str, Callable[[list[dict[str, Any]], Path], set[int]]] = {
    "exact_duplicates": copies,
    "contamination": tested,
    "top_k": beyond(lambda r: (-r["output_tokens"], r["trace_id"]), 2, "problem_id"),
    "shortest_k": beyond(lambda r: (len(r["thinking"]) + len(r["response"]), r["trace_id"]), 2, "problem_id"),
    "length_matched": unmatched,
    "quota": beyond(lambda r: content_hash(0, r["problem_id"], r["trace_id"]), 100, "said"),
    "agree": majority,
}
