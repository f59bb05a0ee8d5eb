"""A trace that calls a tool or a function goes: what training would teach to ask for, nobody answers."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.step import Filter

_CALL = (
    r"<\|?(?:tool|function)_calls?\|?>|<function=\w+|<invoke name="  # Qwen and Hermes, Llama, XML
    r"|\[TOOL_CALLS\]|<\|python_tag\|>"  # Mistral, Llama
    r"|<[|｜]tool[_▁]calls?(?:_section)?[_▁]begin[|｜]>"  # DeepSeek, Kimi
    r"|\bto=functions\.\w+"  # gpt-oss
)


@dataclass(frozen=True)
class ToolCalls(Filter):
    """Finds the marks with which models begin a call, in thinking or response, also where they are quoted.
    DASD (arXiv:2601.09088, section 6.3) drops tool and function calls; which marks it looks for is inferred.

    Not found: a call in plain JSON, and one that a server has taken out of the text.
    """

    reads = ("thinking", "response")
    examples = (
        ({"thinking": "Let me add.", "response": '<tool_call>\n{"name": "add"}\n</tool_call>'}, True),
        ({"thinking": "<｜tool▁calls▁begin｜>", "response": "4"}, True),
        ({"thinking": "So I call f(2).", "response": "def tool_call(): ..."}, False),
        ({"thinking": None, "response": None}, False),
    )

    def expr(self) -> pl.Expr:
        text = pl.concat_str(pl.col(list(self.reads)).fill_null(""), separator="\n")
        return pl.format("a call of a tool: {}", text.str.extract(f"({_CALL})"))
