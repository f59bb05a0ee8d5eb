"""A trace that did not come to its own end goes: cut by the token limit, broken off, or still thinking."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.step import Filter


@dataclass(frozen=True)
class Truncated(Filter):
    """Reads the finish reason, and whether anything follows the thinking.

    A trace without a finish reason (stored traces seldom have one) goes only if nothing follows its thinking.
    Not found: a response that was cut in mid-sentence and has no finish reason.
    """

    reads = ("finish", "thinking", "response")
    examples = (
        ({"finish": "stop", "thinking": "1 + 1 = 2", "response": "2"}, False),
        ({"finish": "length", "thinking": "1 + 1 = 2", "response": "2, because"}, True),
        ({"finish": "error", "thinking": None, "response": "2"}, True),
        ({"finish": None, "thinking": "1 + 1 =", "response": ""}, True),
        ({"finish": "stop", "thinking": "1 + 1 =", "response": None}, True),
        ({"finish": None, "thinking": None, "response": "2"}, False),
        (
            {"finish": None, "thinking": None, "response": None},
            False,
        ),  # a problem that nobody has answered yet
    )

    def expr(self) -> pl.Expr:
        finish = pl.col("finish")
        silent = pl.col("response").fill_null("").str.strip_chars() == ""
        return (
            pl.when(finish == "length")
            .then(pl.lit("cut by the token limit (finish is length)"))
            .when(finish == "error")
            .then(pl.lit("the call broke off (finish is error)"))
            .when((pl.col("thinking").str.strip_chars() == "") & silent)
            .then(pl.lit("empty: neither thinking nor a response"))
            .when(pl.col("thinking").is_not_null() & silent)
            .then(pl.lit("the thinking never ends: no response follows it"))
        )
