"""The option that the response chooses is the gold option: one letter or several, or the option's text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from curate.answers import LONGEST, Chosen, chosen, letters, listed, plain
from curate.answers.letters import USUAL, latin
from curate.answers.options import normal
from curate.schema import Row
from curate.step import Verdict, Verifier

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True)
class Choice(Verifier):
    r"""Abstains as unsupported unless the gold is a letter, several letters, or an option of the question.

    A response chooses by label or by the text of one option, where it marks its answer or else in its last
    sentences; letters that it only rules out do not count. A gold of several letters ("ABD", "A, C")
    needs them all, in any order; several for a gold of one are no choice, and false. Options are lines or
    runs like "A. x", "(A) x", "A ) x , B ) y", "① x", "Answer1: x", and numbered lines after "Select the
    correct answer"; where the question is unknown they are looked for in the response.
    """

    version = 3
    reads = ("question", "response", "answer")
    reflexive = r"\boxed{%s}"
    examples = (
        (dict(question="Which?\nA. one\nB. two", response=r"so \boxed{\text{(B)}}", answer="B"), True),
        (dict(question="Which?\nA. one\nB. two", response="The answer is two.", answer="B"), True),
        (dict(question=None, response="故选：BD", answer="B, D"), True),
        (dict(question=None, response="So the answer is not A but B.", answer="A"), False),
        (
            dict(
                question="Select the correct answer:\n1. x\n2. y", response="<ANSWER>1</ANSWER>", answer="2"
            ),
            False,
        ),
        (dict(question="Which?\nA. one\nB. two", response="Hard to say.", answer="B"), False),
        (dict(question="What is 1 + 1?", response=r"\boxed{2}", answer="2"), None),
    )

    def row(self, row: Row) -> Verdict:
        gold, response = row["answer"], row["response"] or ""
        if gold is None:
            return Verdict(None, "no_gold")
        if len(gold) > LONGEST:
            return Verdict(None, f"limit: a gold answer of {len(gold)} characters")
        options = listed(row["question"] or "")
        wanted = _wanted(gold, options)
        if not wanted:
            return Verdict(
                None, "unsupported: the gold answer is neither a letter nor an option of the question"
            )
        allowed = None
        if not options:
            options = _fitting(listed(response), wanted) if row["question"] is None else {}
            allowed = ALPHABET[: max(len(USUAL), *(ALPHABET.find(label.upper()) + 1 for label in wanted))]
        said = chosen(response, options, allowed)
        if said is None:
            return Verdict(False, "no_answer: no option is named")
        return _judged(said, wanted)


def _judged(said: Chosen, wanted: frozenset[str]) -> Verdict:
    if said.several or (len(said.labels) > 1 and len(wanted) == 1):
        named = ", ".join(sorted(label.upper() for label in said.labels))
        return Verdict(False, f"several_answers: {named}", said.text)
    same = said.labels == wanted
    return Verdict(same, f"{'equal' if same else 'different'}: {said.where}", said.text)


_LABELS = re.compile(
    r"\(?[A-Z]\)?(?:(?:\s?[,、;&/+]\s?(?:and\s)?|\s?and\s?|\s)?\(?[A-Z]\)?){0,25}\.?|(\([A-Z]\)"
    r"|[A-Z]\))\s.{1,400}"
)
_WITH_TEXT = re.compile(r"\(?([A-Z])[.):]\s?(.{1,2000})", re.DOTALL)


def _wanted(gold: str, options: Mapping[str, str]) -> frozenset[str]:
    """The casefolded labels that a gold answer means; none where it is no choice."""
    short = latin(plain(gold)).strip()
    for label in (plain(gold), short.strip("()[].: ")):
        if label.casefold() in options:
            return frozenset({label.casefold()})
    same = {label for label, option in options.items() if option and option == normal(gold)}
    if len(same) == 1:
        return frozenset(same)
    labelled = _WITH_TEXT.fullmatch(short)
    if labelled and options.get(labelled.group(1).casefold()) == normal(labelled.group(2)):
        return frozenset(labelled.group(1).casefold())
    letters_of = "".join(label.upper() for label in options if re.fullmatch("[a-z]", label))
    if not _LABELS.fullmatch(short) or (options and not letters_of):
        return frozenset()
    return frozenset(
        letter.casefold()
        for letter in letters(short, letters_of or (ALPHABET if len(short.strip("().")) == 1 else USUAL))
    )


def _fitting(options: dict[str, str], wanted: frozenset[str]) -> dict[str, str]:
    """Options found in the response, where they are of the gold's kind."""
    return options if wanted <= set(options) else {}
