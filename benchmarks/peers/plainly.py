"""The rows that steps over the whole table mark, found in plain Python that holds all of them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def unmatched(rows: list[dict[str, Any]], _: Path) -> int:
    """How many rows a control group as large as the selection leaves out."""
    return sum(not r["picked"] for r in rows)


def over_quota(rows: list[dict[str, Any]], _: Path) -> int:
    return sum(max(0, n - 100) for n in Counter(r["said"] for r in rows).values())


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


STEPS: dict[str, Callable[[list[dict[str, Any]], Path], set[int] | int]] = {
    "exact_duplicates": copies,
    "contamination": tested,
    "top_k": beyond(lambda r: (-r["output_tokens"], r["trace_id"]), 2, "problem_id"),
    "shortest_k": beyond(lambda r: (len(r["thinking"]) + len(r["response"]), r["trace_id"]), 2, "problem_id"),
    "length_matched": unmatched,
    "quota": over_quota,
    "agree": majority,
}
