r"""The final answer in the response equals the gold answer, compared as mathematics."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from curate.answers import LONGEST, chosen, final_value, gold_of, plain, scaled_value
from curate.maths import equal, is_words
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class MathEqual(Verifier):
    r"""Abstains when the gold answer does not parse: a bad key must not fail a good trace.

    Numbers are compared exactly, everything else by canonical form, by residues modulo large primes, by
    digits at random points, and by one bounded proof behind them; sets and lists in any order, tuples in
    theirs, inequalities as intervals, units as values. No text is ever evaluated. A gold of plain words is
    unsupported unless the answer is the same words; a gold that is an option letter is compared as a letter.
    Where the response marks no answer, its closing value is taken. docs/verifiers.md has an example of each
    policy.

    rounded: whether 0.33 is 1/3. percent: "value" reads 50% as 0.5, "either" also as 50. missing_unit:
    whether 5 is 5 cm. degrees: whether a bare 30 is pi/6. assignment: whether 5 is x = 5.
    timeout_s and memory_mb bound one comparison; past them the worker is killed and the verdict abstains.
    """

    rounded: Literal["different", "equal"] = "different"
    percent: Literal["value", "either"] = "value"
    missing_unit: Literal["equal", "different"] = "equal"
    degrees: Literal["different", "equal"] = "different"
    assignment: Literal["equal", "different"] = "equal"
    timeout_s: float = 5.0
    memory_mb: int = 2048
    version = 10
    reflexive = r"\boxed{%s}"
    reads = ("response", "answer")
    examples = (
        (dict(response=r"so \boxed{1/2}", answer="0.5"), True),
        (dict(response=r"\boxed{(\sqrt{8}, 1)}", answer=r"(2\sqrt{2}, 1)"), True),
        (dict(response=r"\boxed{x \in (0, 1)}", answer="0 < x < 1"), True),
        (dict(response="no number here", answer="4"), False),
        (dict(response=r"\boxed{\frac{1}{3}}", answer="0.33"), False),
        (dict(response=r"\boxed{4}", answer="see figure"), None),
        (dict(response=r"\boxed{4}", answer=r"\frac{1}{"), None),
    )

    def row(self, row: Row) -> Verdict:
        if row["answer"] is None:
            return Verdict(None, "no_gold")
        gold = gold_of(row["answer"])
        bare = plain(gold)
        if not bare:
            return Verdict(None, "gold_invalid: it is empty")
        response = row["response"] or ""
        if _OPTION.fullmatch(bare):
            return _letters(bare.strip("()"), response)
        said = final_value(response)
        if said is None and is_words(gold):
            return Verdict(None, "unsupported: the gold answer is words")
        if said is None:
            return Verdict(False, "no_answer")
        if said.several:
            return Verdict(False, "several_answers", said.text[:200])
        said = said._replace(text=gold_of(said.text))
        if len(gold) > LONGEST or len(said.text) > LONGEST and gold.strip() != said.text.strip():
            return Verdict(None, "limit: an answer of over 2,000 characters", said.text[:200])
        found = equal(gold, said.text, self)
        scaled = scaled_value(response) if found.same is False else None
        if scaled and (more := equal(gold, scaled, self)).same:
            found, said = more, said._replace(text=scaled)
        place = (said.where,) if found.same is not None else ()
        return Verdict(found.same, f"{found.why}: {', '.join((*place, found.note)).strip(', ')}", said.text)


_OPTION = re.compile(r"\(?[A-J]\)?")
_LETTERS = "ABCDEFGHIJ"


def _letters(gold: str, response: str) -> Verdict:
    """The gold is the letter of an option: so must the answer be."""
    said = chosen(response, {}, _LETTERS)
    if said is None:
        return Verdict(False, "no_answer: no option letter")
    if said.several or len(said.labels) > 1:
        return Verdict(False, "several_answers", said.text[:200])
    same = said.labels == {gold.casefold()}
    return Verdict(same, f"{'equal' if same else 'different'}: {said.where}", said.text[:200])
