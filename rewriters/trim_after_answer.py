"""The thinking ends with the first thought that states the verified answer; the response stays as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from curate.answers import final_answer, letters, plain
from curate.pieces import steps
from curate.schema import Row
from curate.step import Rewriter, Text


@dataclass(frozen=True)
class TrimAfterAnswer(Rewriter):
    r"""Cuts what a trace goes on thinking after the answer stands; the text before the cut is not touched.

    A thought is a paragraph (up to a blank line), or a line where no blank line parts the thinking; code and
    formulas are not cut. It states the answer if it marks one as final (`\boxed{}`, "the answer is") that is
    the gold answer, if an equals sign leads to it, or if it names it at all. Naming does not count where the
    question names it too; nor for single digits, option letters and words of up to five letters; nor for
    operands ("18 + 2"), exponents, the numbers of a list ("18. ") and parts of a longer number.

    The trace stays (None) where nothing follows that thought, where no thought states the answer, and where
    there is no gold answer or one over 200 characters. Put it after `Failed`: it takes the gold answer for
    the trace's own. It does not ask whether the reasoning was complete by then: a running total that equals
    the answer by chance ends the child too.
    """

    version = 2
    reads = ("question", "thinking", "response", "answer")
    examples = (
        (
            dict(
                question="9 + 9?",
                answer="18",
                thinking="9 + 9 = 18.\n\nWait, 18 - 9 = 9. Yes.",
                response="18",
            ),
            dict(thinking="9 + 9 = 18.", response="18"),
        ),
        (
            dict(question="?", answer="0.5", thinking="Half.\nSo 0.50\nHm, or 1/4?", response="0.5"),
            dict(thinking="Half.\nSo 0.50", response="0.5"),
        ),
        (dict(question="9 + 9?", answer="18", thinking="Let me see.\n\n9 + 9 = 18.", response="18"), None),
        (dict(question="Is 7 prime?", answer="7", thinking="7 is odd.\n\nAnd so on.", response="7"), None),
        (dict(question="?", answer="18", thinking="118 is it.\n\n18 + 1 = 19", response="18"), None),
        (dict(question="?", answer=None, thinking="1\n\n2", response="2"), None),
    )

    def row(self, row: Row) -> Text | None:
        thinking, gold = row["thinking"] or "", _tidy(row["answer"] or "")
        if not gold or len(gold) > 200:
            return None
        named = _SHORT.fullmatch(gold) is None and not any(_mentions(_tidy(row["question"] or ""), gold))
        for end, thought in thoughts(thinking):
            said, mentions = final_answer(thought), list(_mentions(_tidy(thought), gold))
            if (said and _same(_tidy(said.text), gold)) or _RESULT in mentions or (named and mentions):
                return Text(thinking[:end], row["response"]) if thinking[end:].strip() else None
        return None


def thoughts(thinking: str) -> Iterator[tuple[int, str]]:
    """Each thought with the offset of its end: paragraphs, or lines where no blank line cuts the text."""
    paragraphs = steps(thinking, "blank")
    for start, end in paragraphs if len(paragraphs) > 1 else steps(thinking, "line"):
        thought = thinking[start:end].rstrip()
        if thought:
            yield start + len(thought), thought


_SHORT = re.compile(r"\(?[A-Za-z]{1,5}\)?|-?\d(?:\.0+)?")  # B, yes, false, 2: said in passing all the time
_NUMBER = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|(?<!\d)\.\d+")
_EXACT = re.compile(rf"([-−]?)\\?[$€£]?({_NUMBER.pattern})")
_SIGN = re.compile(r"(?<![\w)}\]])(?<![\w)}\]] )[-−]\\?[$€£]?\Z|(?<=[=(:a-z{] )[-−]\\?[$€£]?\Z")
_OPERAND_BEFORE = re.compile(
    r"(?:[\w.^]|[_^]\{|\}\s?\{|frac\{|(?:[\d)}\]]|\b[a-z])\s{0,3}[-−+*/×·÷]\s{0,3}|\\(?:times|cdot|div)\s{0,3}"
    r"|\b(?:step|case|option|choice|part|equation|problem|figure|way)s?\s)\(?\Z",
    re.IGNORECASE,
)
_OPERAND_AFTER = re.compile(
    r"\w|\.\d|,\d{3}|\s?%|\s{0,3}(?:[-−+*/^×·÷]\s?[\w(\\]|\\(?:times|cdot|div|cos|sin|tan|log|ln|sqrt|frac|pi)\b|\}\s?\{|[_^])"
)
_LIST_NUMBER = re.compile(r"[.):]\s+\S")
_EQUALS = re.compile(r"(?:=|≈|→|\\approx|\\Rightarrow)\s{0,3}[({$]{0,2}\s?\Z")
_RESULT, _NAMED = "result", "named in passing"


def _tidy(text: str) -> str:
    """Without what only sets the type, and with one spelling for fractions and brackets."""
    text = re.sub(r"\\(?:left|right)(?![a-z])", "", re.sub(r"\\[dt]frac", r"\\frac", text))
    return plain(text.replace("\\%", "%"))


def _value(text: str) -> Decimal | None:
    """The number that a short text is, or None."""
    number = _EXACT.fullmatch(text)
    return Decimal(f"{'-' if number[1] else ''}{number[2].replace(',', '')}") if number else None


def _same(said: str, gold: str) -> bool:
    if _value(gold) is not None or _value(said) is not None:
        return _value(said) == _value(gold)
    words = ["".join(text.split()).casefold() for text in (said, gold)]
    return words[0] == words[1] or (len(letters(gold)) == 1 and letters(said) == letters(gold))


def _mentions(text: str, gold: str) -> Iterator[str]:
    """How the text names the gold answer where it does not calculate with it: as a result, or in passing."""
    value = _value(gold)
    letters = r"\s{0,3}".join(re.escape(c) for c in gold if not c.isspace())
    pattern = _NUMBER if value is not None else re.compile(letters, re.IGNORECASE)
    for found in pattern.finditer(text):
        before, after = text[max(0, found.start() - 24) : found.start()], text[found.end() : found.end() + 12]
        sign = _SIGN.search(before) if value is not None else None
        if value is not None and _value(("-" if sign else "") + found.group()) != value:
            continue
        before = before[: sign.start()] if sign else before
        listed = not before.strip() and found.start() == 0 and _LIST_NUMBER.match(after)
        if not listed and not _OPERAND_BEFORE.search(before) and not _OPERAND_AFTER.match(after):
            yield _RESULT if _EQUALS.search(before) else _NAMED
