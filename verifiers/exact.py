r"""The final answer in the response equals the gold answer, letter for letter after normalisation."""

from __future__ import annotations

import re
from dataclasses import dataclass

from curate.answers import final_answer, last_words, plain
from curate.schema import Row
from curate.step import Verdict, Verifier

_EDGES = re.compile(r"^[\s\"'“”‘’.,;:!?()\[\]{}*_]+|[\s\"'“”‘’.,;:!?()\[\]{}*_]+$")


@dataclass(frozen=True)
class Exact(Verifier):
    r"""Decides every row that has a gold answer. Nothing is understood: 0.5 and 1/2 differ.

    Not counted: case, runs of white space, punctuation and brackets around the whole, and what only sets the
    type (`$`, `\text{}`, `**`). Counted: articles, inner punctuation, signs, order. Where the response marks
    no answer, the last emphasis of its last paragraph is taken, or a response of one line whole.
    """

    reflexive = r"\boxed{%s}"
    reads = ("response", "answer")
    reflexive = r"\boxed{%s}"
    examples = (
        (dict(response=r"She faces \boxed{\text{east}}.", answer="East"), True),
        (dict(response="The answer is: a prime number.", answer="A prime number"), True),
        (dict(response=r"\boxed{west}", answer="East"), False),
        (dict(response="I do not know.\nSorry.", answer="East"), False),
        (dict(response=r"\boxed{east}", answer=None), None),
    )

    def row(self, row: Row) -> Verdict:
        gold = row["answer"]
        if gold is None:
            return Verdict(None, "no_gold")
        if not _normal(gold):
            return Verdict(None, "gold_invalid: nothing is left of it after normalisation")
        response = row["response"] or ""
        said = final_answer(response) or last_words(response)
        if said is None:
            return Verdict(False, "no_answer")
        same = _normal(said.text) == _normal(gold)
        return Verdict(same, f"{'equal' if same else 'different'}: {said.where}", said.text)


def _normal(text: str) -> str:
    return " ".join(_EDGES.sub("", plain(text)).casefold().split())
