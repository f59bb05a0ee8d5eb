"""A small table of traces as a run hands it to `publish`: domains, licences, null fields, verdicts."""

from __future__ import annotations

from typing import Any

import polars as pl

from curate.schema import ROW, VERDICT

SENT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "asked"}]


def rows(n: int = 12) -> list[dict[str, Any]]:
    """Every third row does not think aloud; every other row records what was sent; two samples a problem."""
    return [
        {
            **dict.fromkeys(ROW),
            "problem_id": f"p{i // 2}",
            "trace_id": f"t{i:05d}",
            "parent_id": f"t{i - 1:05d}" if i % 5 == 4 else None,
            "question": f"What is {i} + 1?",
            "answer": str(i + 1),
            "domain": ("math", "logic/x", None)[i % 3],
            "source": "made",
            "license": ("mit", "MIT", "mit", None)[i % 4],
            "model": "scripted",
            "messages": SENT if i % 2 else None,
            "thinking": None if i % 3 == 0 else f"  {i} plus one.\nWait, {{}}.\n",
            "response": rf"\boxed{{{i + 1}}}",
            "finish": "stop",
            "output_tokens": 10 * i if i % 2 else None,
            "math_equal": {
                "passed": (True, False, None)[i % 3],
                "score": None,
                "extracted": "1",
                "why": "equal",
            },
            "judge": None,
            "hard": i % 2 == 0,
        }
        for i in range(n)
    ]


def table(n: int = 12, **changes: Any) -> pl.DataFrame:
    """The rows as a table; `changes` sets a column to one value."""
    schema = {**ROW, "math_equal": VERDICT, "judge": VERDICT, "hard": pl.Boolean}
    return pl.DataFrame([{**row, **changes} for row in rows(n)], schema=schema, orient="row")


FUNNEL = pl.DataFrame(
    [
        ("read", "source", 20, 18, 0, 2, [{"why": "could not be read", "rows": 2}]),
        ("failed", "filter", 18, 12, 0, 6, [{"why": "different | <!-- curate:end -->", "rows": 6}]),
    ],
    schema=["step", "role", "rows_in", "rows_out", "born", "dropped", "reasons"],
    orient="row",
)
LEDGER = pl.DataFrame(
    [("sample", "0f", "scripted", 3, 9, 9, 1, 1_234, 56_789, 2.5)],
    schema=["step", "fingerprint", "engine", "rows_cached", "rows_paid", "calls", "failed", "prompt_tokens",
            "output_tokens", "seconds"],
    orient="row",
)  # fmt: skip
RECIPE = {
    "curate": "0.1.0",
    "source": {"path": "problems.jsonl"},
    "revision": "abc",
    "steps": [
        {
            "step": "sample",
            "version": 1,
            "engine": {
                "engine": "server",
                "model": "Qwen3",
                "sampling": {"temperature": 0.6, "top_p": 1.0, "max_tokens": None},
                "fingerprint": "ba9876543210",
                "url": "http://10.0.0.7/v1",
            },
            "n": 8,
            "fingerprint": "0123456789ab",
        },
        {"function": "<lambda>", "source": "lambda lf: lf"},
    ],
    "packages": {"python": "3.11"},
}
