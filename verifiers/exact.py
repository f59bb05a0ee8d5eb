r"""The final answer in the response equals a gold answer, letter for letter after normalisation."""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass

from curate.answers import LONGEST, final_answer, last_words, plain
from curate.schema import Row
from curate.step import Verdict, Verifier

_EDGES = "\"'“”‘’.,;:!?()[]{}*_。，、；：！？（）【】「」 \t\r\n"


@dataclass(frozen=True)
class Exact(Verifier):
    r"""Decides every row that has a gold answer. Nothing is understood: 0.5 and 1/2 differ.

    Not counted: case, the spelling of Unicode (NFKC: full-width letters, ligatures, superscripts), runs of
    white space, punctuation and brackets around the whole, and what only sets the type (`$`, `\text{}`,
    `**`). Counted: articles, inner punctuation, signs, order. Where the response marks no answer, the last
    emphasis of its last paragraph is taken, or a response of one line whole. A response that offers
    alternatives ("either east or west") has several answers, and is false unless the gold says the same.

    A gold that is a JSON list of strings ('["NYC", "New York"]') names several golds, and one of
    them is enough. A gold of over 2,000 characters is beyond the limit.
    """

    version = 4
    reads = ("response", "answer")
    reflexive = r"\boxed{%s}"
    examples = (
        (dict(response=r"She faces \boxed{\text{east}}.", answer="East"), True),
        (dict(response="The answer is: a prime number.", answer="A prime number"), True),
        (dict(response="The answer is New York.", answer='["NYC", "New York"]'), True),
        (dict(response=r"\boxed{west}", answer="East"), False),
        (dict(response="The answer is either east or west.", answer="East"), False),
        (dict(response="I do not know.\nSorry.", answer="East"), False),
        (dict(response=r"\boxed{east}", answer=None), None),
    )

    def row(self, row: Row) -> Verdict:
        gold = row["answer"]
        if gold is None:
            return Verdict(None, "no_gold")
        if len(gold) > LONGEST:
            return Verdict(None, f"limit: a gold answer of {len(gold)} characters")
        wanted = {words for each in _golds(gold) if (words := _normal(each))}
        if not wanted:
            return Verdict(None, "gold_invalid: nothing is left of it after normalisation")
        response = row["response"] or ""
        said = final_answer(response) or last_words(response)
        if said is None:
            return Verdict(False, "no_answer")
        found = _normal(said.text[: 2 * LONGEST])
        if found in wanted:
            return Verdict(True, f"equal: {said.where}", said.text)
        return Verdict(False, "several_answers" if said.several else f"different: {said.where}", said.text)


def _golds(gold: str) -> list[str]:
    """The golds in a gold: the members of a JSON list, as they are written; else the gold itself.

    Its list written back is a gold too, so that a response may give the list whole.
    """
    if re.match(r'\s*\[\s*"', gold):
        try:
            listed = json.loads(gold)
        except (ValueError, RecursionError):
            return [gold]
        if isinstance(listed, list) and all(isinstance(each, str) for each in listed):
            return [gold, *listed]
    return [gold]


_BOX = re.compile(r"\s*\$?\s*\\(?:boxed|fbox)\s?\{(.*)\}\s*\$?\s*", re.DOTALL)


def _normal(text: str) -> str:
    boxed = _BOX.fullmatch(text)
    text = unicodedata.normalize("NFKC", plain(boxed.group(1) if boxed else text)).replace("$", "")
    return " ".join(text.strip(_EDGES).casefold().split())
