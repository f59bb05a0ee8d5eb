"""The option that the response chooses is the gold option, for questions that list their options."""

from __future__ import annotations

import re
from dataclasses import dataclass

from curate.answers import final_answer, letters, plain
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class Choice(Verifier):
    r"""Abstains as unsupported unless the gold is the label of an option that the question lists.

    Options are lines or runs like "A. x", "A) x", "(A) x", "A ) x , B ) y", "Answer1: x", and numbered lines
    "1. x" after "Select the correct answer". A response chooses by label or by the whole text of one option;
    its last line counts where it marks no answer. Several labels are no choice: the verdict is false.
    """

    reflexive = r"\boxed{%s}"
    reads = ("question", "response", "answer")
    examples = (
        (dict(question="Which?\nA. one\nB. two", response=r"so \boxed{\text{(B)}}", answer="B"), True),
        (dict(question="Which?\nA. one\nB. two", response="The answer is two.", answer="B"), True),
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
        gold = row["answer"]
        if gold is None:
            return Verdict(None, "no_gold")
        options = listed(row["question"])
        label = plain(gold).strip("()").casefold()
        if label not in options:
            return Verdict(None, "unsupported: the gold answer is not the label of an option in the question")
        said = final_answer(row["response"] or "")
        text, where = (said.text, said.where) if said else _last_line(row["response"] or "")
        chosen = _chosen(text, options)
        if chosen is None and said:
            text, where = _last_line(row["response"])
            chosen = _chosen(text, options)
        if chosen is None:
            return Verdict(False, "no_answer: no option is named", said.text if said else None)
        if len(chosen) > 1:
            return Verdict(False, f"several_answers: {', '.join(sorted(chosen))}", text)
        same = chosen == {label}
        return Verdict(same, f"{'equal' if same else 'different'}: {where}", text)


_LINED = re.compile(r"^\s{0,3}\(?([A-J])\s?[).:]\s?", re.MULTILINE)
_LETTERED = re.compile(r"(?:^|[\s(,'])([A-J])\s?(?:\)|[.:]\s)\s?", re.MULTILINE)
_WORDED = re.compile(r"\b(Answer\d)\s?:\s", re.IGNORECASE)
_NUMBERED = re.compile(r"^(\d{1,2})[.)] ", re.MULTILINE)
_ASKED = re.compile(r"(?:select|choose|pick|which)\b[^\n]{0,200}:?\s*\Z", re.IGNORECASE)


def listed(question: str) -> dict[str, str]:
    """The options inside a question, {casefolded label: normalised text}; empty where it lists none."""
    for pattern, first in ((_WORDED, "answer1"), (_LINED, "a"), (_LETTERED, "a"), (_NUMBERED, "1")):
        marks = _run(list(pattern.finditer(question)), first)
        if len(marks) < 2 or (
            pattern is _NUMBERED and not _ASKED.search(question[: marks[0].start()][-300:])
        ):
            continue
        ends = [m.start() for m in marks[1:]] + [len(question)]
        texts = [question[m.end() : e].split("\n")[0] for m, e in zip(marks, ends, strict=True)]
        return {m.group(1).casefold(): _normal(t) for m, t in zip(marks, texts, strict=True)}
    return {}


def _run(marks: list[re.Match[str]], first: str) -> list[re.Match[str]]:
    """The longest run of marks that counts up from `first`: A, B, C or 1, 2, 3."""
    run: list[re.Match[str]] = []
    best: list[re.Match[str]] = []
    for mark in marks:
        label = mark.group(1).casefold()
        if label == first:
            run = [mark]
        elif run and label == _next(run[-1].group(1).casefold()):
            run.append(mark)
        if len(run) >= len(best):
            best = list(run)
    return best


def _next(label: str) -> str:
    digits = re.search(r"\d+\Z", label)
    if digits:
        return label[: digits.start()] + str(int(digits.group()) + 1)
    return chr(ord(label) + 1)


def _normal(text: str) -> str:
    return " ".join(plain(text).strip(" ,;.'[]").casefold().split())


_LABEL = re.compile(
    r"(?:option|answer|choice|number|no\.)?\s?\(?(answer\d|\d{1,2})\)?(?:[.):,]\s?.{0,400})?", re.I | re.S
)
_NAMED = re.compile(
    r"\b(?:option|answer|choice)\s?\(?([A-J]|\d{1,2})\b|\(([A-J])\)|\*\*\(?([A-J])\b", re.IGNORECASE
)


def _chosen(text: str, options: dict[str, str]) -> set[str] | None:
    """The labels a short text names: one label, a label with its option, an option's text, or "option B"."""
    short = plain(text)
    if short.casefold() in options:
        return {short.casefold()}
    named = {letter.casefold() for letter in letters(text)} & set(options)
    if named:
        return named
    number = _LABEL.fullmatch(short)
    if number and number.group(1).casefold() in options:
        return {number.group(1).casefold()}
    same = {label for label, option in options.items() if option == _normal(text)}
    if same:
        return same
    found = {next(g for g in m.groups() if g).casefold() for m in _NAMED.finditer(short)}
    return found & set(options) or None


def _last_line(response: str) -> tuple[str, str]:
    lines = response.strip().rsplit("\n", 1)
    return lines[-1][-400:], "line"
