"""The response has the words asked for, as often as asked, and none of the forbidden ones."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass

from curate.errors import UserError
from curate.instructions import Unasked, asked
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class Keywords(Verifier):
    """Where no field is set, the row's gold may name some.

    required, forbidden: whole words or phrases, in any case ("cat" is not in "category"; Chinese and
    Japanese, which have no spaces, are searched as they are). counts: how often, as "fish >= 3", "cat ==
    1", "dog < 2"; the signs are ==, <, <=, >, >=.
    """

    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    counts: tuple[str, ...] = ()
    reads = ("response", "answer")
    examples = (
        (dict(response="A cat saw a fish.", answer='{"keywords": {"required": ["Cat", "fish"]}}'), True),
        (dict(response="Fish, fish, fish!", answer='{"keywords": {"counts": ["fish >= 3"]}}'), True),
        (dict(response="A category.", answer='{"keywords": {"required": ["cat"]}}'), False),
        (dict(response="A cat.", answer='{"keywords": {"forbidden": ["cat"]}}'), False),
        (dict(response="A cat.", answer=None), None),
        (dict(response="A cat.", answer='{"keywords": {"counts": ["cat twice"]}}'), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for demand in self.counts:
            if not _COUNT.fullmatch(demand):
                raise UserError(f"keywords was given the count {demand!r}; write it as 'fish >= 3'")
        if not all(word.strip() for word in (*self.required, *self.forbidden)):
            raise UserError("keywords was given a word that is empty; leave it out")

    def row(self, row: Row) -> Verdict:
        try:
            check = asked(self, row["answer"])
        except Unasked as e:
            return Verdict(None, str(e))
        text = " ".join((row["response"] or "").casefold().split())
        broken = [f"{word!r} is missing" for word in check.required if not _count(word, text)]
        broken += [f"{word!r} is there" for word in check.forbidden if _count(word, text)]
        for demand in check.counts:
            word, sign, number = _COUNT.fullmatch(demand).groups()  # type: ignore[union-attr]
            if not _SIGNS[sign](n := _count(word, text), int(number)):
                broken.append(f"{word.strip()!r} is there {n} times")
        return Verdict(not broken, "not_met: " + ", ".join(broken)[:200] if broken else "met")


_COUNT = re.compile(r"(.*\S)\s*(==|<=|>=|<|>)\s*(\d{1,6})\s*", re.DOTALL)
_SIGNS = {"==": operator.eq, "<=": operator.le, ">=": operator.ge, "<": operator.lt, ">": operator.gt}
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def _count(word: str, text: str) -> int:
    """How often a word or phrase stands in a folded text, not counting what overlaps."""
    word = " ".join(word.casefold().split())
    if _NO_SPACES.search(word):
        return text.count(word)
    before = r"(?<!\w)" if re.match(r"\w", word) else ""
    after = r"(?!\w)" if re.search(r"\w\Z", word) else ""
    return len(re.findall(before + re.escape(word) + after, text))
