"""The trace has exactly one closed thinking block, and an answer after it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from curate.schema import Row
from curate.step import Verdict, Verifier
from curate.text import split_thinking

_TAG = re.compile(r"<(/?)think(?:ing)?>|<\|(begin|end)_of_thought\|>", re.IGNORECASE)
_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_WORD = re.compile(r"\w|[^\x00-\x7f]|[-+*/=<>!?]")
_WRAPPED = re.compile(
    r"</?answer>|<\|(?:begin|end)_of_solution\|>|<\|im_end\|>|\\boxed\s?\{\s*\}", re.IGNORECASE
)


@dataclass(frozen=True)
class ThinkFormat(Verifier):
    """A row keeps thinking and response apart, without their tags: one that is left in either is too many.

    A response that still holds its block (nobody split it) is split here, and held to the same. A closing
    tag alone is a closed block: the chat template had opened it. Tags in code (between backticks) are text.
    What is inside the block does not count, and may be empty; an answer of nothing but white space, marks
    or an empty box is empty. A turn that stopped inside its thinking is an unclosed block. Abstains where
    there is no trace.

    required: whether there has to be a block; without, no block is as good as one, and half of one is not.
    """

    required: bool = True
    reads = ("thinking", "response", "finish")
    examples = (
        (dict(thinking="1 + 1 is 2.", response="2", finish="stop"), True),
        (dict(response="<think>\n1 + 1 is 2.\n</think>\n\n2"), True),
        (dict(thinking="1 + 1", response="", finish="length"), False),
        (dict(thinking="1 + 1", response="</think> 2"), False),
        (dict(response="<think>one</think><think>two</think> 2"), False),
        (dict(response="2"), False),
        (dict(thinking=None, response=None), None),
    )

    def row(self, row: Row) -> Verdict:
        thinking, response = row["thinking"], row["response"]
        if thinking is None and response is None:
            return Verdict(None, "unsupported: there is no trace")
        response = response or ""
        if thinking is None:
            raw = split_thinking(response)
            if raw.thought is None and self.required:
                return Verdict(False, f"not_met: {_loose(response) or 'no thinking block'}")
            if raw.opening and not raw.closing:
                return Verdict(False, "not_met: the thinking block is not closed")
            thinking, response = raw.thinking, raw.response
        if found := _loose(thinking):
            return Verdict(False, f"not_met: {found} in the thinking")
        if found := _loose(response):
            return Verdict(False, f"not_met: {found} in the response")
        if not _WORD.search(_WRAPPED.sub(" ", response)):
            cut = row["finish"] == "length"
            return Verdict(
                False, "not_met: the thinking block is not closed" if cut else "not_met: no answer after it"
            )
        return Verdict(True, "met")


def _loose(text: str) -> str:
    """The first tag of thinking in a text outside of its code, as words; nothing where there is none."""
    found = _TAG.search(_CODE.sub(" ", text)) if _TAG.search(text) else None
    return "" if found is None else f"a stray {found.group()}"
