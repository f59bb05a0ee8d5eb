"""What rewriters that ask a model share: a record of what they tried, and the checks of a new text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, ClassVar, NamedTuple

import polars as pl

from curate.answers import final_answer
from curate.errors import RunError, UserError
from curate.fits import checked
from curate.schema import TRACE, Row
from curate.step import Rewriter, Text, Verdict, Verifier


class Revision(NamedTuple):
    """The child of a trace, or None where it stays; what is to be known of it; and what was tried for it."""

    child: Text | None
    record: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Recorded(Rewriter):
    """A rewriter that says what it did: a column named after itself, a struct, and one with `_events` behind
    its name, a list of what was tried. They stand on the child, and on the trace that stays.

    Every such struct has the field `why`: the reason for which there is no child, null where none is missing.
    Both are null where a call failed.
    """

    record: ClassVar[Mapping[str, Any]]
    event: ClassVar[Mapping[str, Any]]

    @property
    def writes(self) -> dict[str, Any]:
        events = pl.List(pl.Struct(self.event))
        return {**super().writes, self.name: pl.Struct(self.record), f"{self.name}_events": events}

    def pack(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, Revision):
            raise RunError(f"{self.name} answered {value!r}; a rewriter with a record answers a Revision")
        said = {self.name: dict(value.record), f"{self.name}_events": list(map(dict, value.events))}
        return checked(self.name, self.writes, {**super().pack(value.child), **said})


def judging_columns(verifier: Verifier) -> tuple[str, ...]:
    """The columns of the problem, and verdicts, that a verifier needs for a text that is not a row yet."""
    return tuple(c for c in verifier.columns if c not in TRACE)


def check_verifier(verifier: Any) -> None:
    """Refuses one that cannot judge a text at once."""
    if getattr(verifier, "body", None) not in ("row", "expr"):
        raise UserError(f"verifier={verifier!r}: give one that needs no model, like MathEqual()")


def gold_of(row: Row, *, without_gold: bool) -> str | None:
    """What a new text must come to: the gold answer, or where that is allowed the trace's own answer."""
    if row["answer"] and row["answer"].strip():
        return str(row["answer"])
    own = final_answer(row["response"] or "") if without_gold else None
    return own.text if own else None


async def judged(verifier: Verifier, row: Row, text: Text, gold: str) -> Verdict:
    """What a verifier says of a new text for the problem of a row, off the event loop."""
    known = {**row, "answer": gold, "thinking": text.thinking, "response": text.response, "finish": "stop"}
    given = {c: known[c] for c in verifier.columns if c in known}
    return await asyncio.to_thread(partial(verifier, **given))


async def wrong(verifier: Verifier, row: Row, text: Text, gold: str) -> str | None:
    """Why a new text does not pass; None where it does. What the verifier abstains from does not."""
    verdict = await judged(verifier, row, text, gold)
    if verdict.passed:
        return None
    return f"{'unverified' if verdict.passed is None else 'wrong'}: {verdict.why}"


_TAG = re.compile(
    r"</?(?:think|thinking|thought|thoughts|reasoning|reflection|scratchpad)>"
    r"|<\|(?:begin|end)_of_(?:thought|solution)\|>|\[/?THINK\]|◁/?think▷",
    re.IGNORECASE,
)


def stray_tag(text: Text) -> str | None:
    """A tag of some model's thinking that stands inside a text, where no template put it."""
    found = _TAG.search(f"{text.thinking or ''}\n{text.response}")
    return found.group() if found else None


_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = rf"[{_CJK}][、。，！？；：）」』】》]*|[^\s{_CJK}]+"
"""A word: what white space parts, and every Chinese or Japanese character, with the stop that follows it."""


def words(thinking: str | None, response: str | None) -> int:
    """How long a trace is, whatever tokenizer: the words of its thinking and its response.

    >>> words("2 + 2 = 4, so", None), words("二加二等于四，", "是 4。")
    (6, 8)
    """
    return sum(len(re.findall(WORD, text)) for text in (thinking, response) if text)


def first_words(text: str, n: int) -> str:
    """The beginning of a text, of so many words at most."""
    text = text.strip()
    ends = [found.end() for found in islice(re.finditer(WORD, text), n)]
    return text[: ends[-1]] if ends else text
