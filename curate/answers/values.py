r"""The value in a text that marks none: in its last sentence, in mathematics, or the text itself.

A guess, and made with care: a response that says that it cannot answer has no value.
"""

from __future__ import annotations

import re
from collections import deque

from curate.answers.amounts import (
    ASIDES,
    COMMAND,
    COMPOUND,
    MATHS,
    NUMBER,
    UNIT,
    inside,
    natural_words,
    right_side,
    signed,
    with_unit,
)  # fmt: skip
from curate.answers.found import LONGEST, TAIL, Answer, Found
from curate.answers.tidy import is_denied, is_rejected, is_undecided
from curate.scale_words import SCALE

_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_LAST_BOLD = re.compile(r"\*\*([^*\n:]{1,80})\*\*[.!\s]{0,9}\Z")
_BOLD_VALUE = re.compile(r"\*\*([-−+\\$€£(]{0,4}\d[^*\n]{0,80})\*\*")


def last_value(response: str) -> Answer | None:
    """The last number or piece of mathematics that is not denied: a guess, where no answer is marked."""
    tail = _GLOSS.sub(lambda gloss: " " * len(gloss.group()), response[-TAIL:].rstrip())
    bold = reversed([*_BOLD_VALUE.finditer(tail, tail.rfind("\n\n") + 1)])
    if stands := next((b for b in bold if not is_denied(tail, b.start())), None):
        return Answer(stands.group(1).strip(), "last value")
    numbers = (Found(n.start(), n.end(), n.group(), "last value") for n in NUMBER.finditer(tail))
    maths = (Found(m.start(), m.end(), inside(m), "last value") for m in MATHS.finditer(tail))
    found = sorted((f for f in (*maths, *numbers) if f.text.strip()), key=lambda f: (-f.end, f.start))
    held = (f for f in found if not is_denied(tail, f.start) and not is_rejected(tail, f.end))
    last = next(held, None)
    return Answer(last.text.strip(), "last value") if last else None


_GLOSS = re.compile(
    r"(?<=\s)\((?:about|approximately|approx\.?|roughly|nearly|almost|or|i\.e\.,?|that is,?|which is|≈"
    r"|~|=)\s?[^()\n]{1,80}\)"
)
_AND = "and|or|und|oder|et|ou|y|o|e|и|или|和|或|与|及|以及|または|と"
_FOREIGN = re.compile(r"\s(?:y|o|e)\s")
_SERIES = re.compile(
    rf"(?:\b(?:are|is|be|were)|[:=])\s{{1,3}}((?:{NUMBER.pattern})(?:,\s?(?:{NUMBER.pattern})){{0,30}}"
    rf"(?:,?\s?(?:{_AND})\s|,\s)(?:{NUMBER.pattern}))\W{{0,6}}\Z"
)
_SENTENCE_END = re.compile(r"(?<=[^\s.!?])[.!?。！？]+(?=\s+[A-Z(*]|\s*\Z)|(?<=[。！？])|\n(?=\s*[A-Z*#\n])")
_SOLVED = re.compile(
    rf"\b([a-z]\w{{0,2}}\s?=\s?(?:{NUMBER.pattern})(?:(?:,|,?\s?(?:{_AND}))\s[a-z]\w{{0,2}}\s?=\s?(?:{NUMBER.pattern})){{1,9}})\W{{0,6}}\Z"
)
_RESULT = re.compile(rf"=\s{{0,3}}(?:\*\*|\\\(|\$)?({NUMBER.pattern})")


def closing_value(response: str) -> Answer | None:
    """The value of the last sentence that holds one. Of several numbers the one that was calculated last.

    A number counts as calculated where an equals sign stands before it; else the last number counts.
    """
    tail = signed(response[-TAIL:].rstrip())
    emphasis = _LAST_BOLD.search(tail)
    if emphasis and not is_denied(tail, emphasis.start()):
        return Answer(right_side(emphasis.group(1).strip()), "last value")
    found = last_value(tail)
    if found is None:
        return None
    start, sentence = _last_sentence(tail, tail.rfind(found.text))
    if sentence.rstrip(" *_").endswith(("?", "？")) or _SUPPOSED.match(sentence):
        return None
    if is_undecided(sentence):
        return Answer(sentence.strip()[-200:], "last value", several=True)
    for aside in ASIDES:
        reason = aside.search(sentence)
        head = last_value(sentence[: reason.start()]) if reason else None
        if reason and head:
            found, sentence = head, sentence[: reason.start()]
    series = _SERIES.search(sentence[-600:]) or _SOLVED.search(sentence[-600:])
    if series:
        return Answer(_FOREIGN.sub(" and ", series.group(1).strip()), "last value")
    if joined := _joined(sentence):
        return Answer(joined, "last value")
    if NUMBER.fullmatch(found.text):
        if larger := _surrounding(found.text, sentence):
            return Answer(larger, "last value")
        number = _calculated(tail, start, sentence) or found.text
        return Answer(with_unit(number, sentence), "last value")
    return Answer(_solved(found.text, sentence), "last value")


def _last_sentence(tail: str, at: int) -> tuple[int, str]:
    """Where the sentence begins that holds an offset, and the sentence."""
    cuts = [m.end() for m in _SENTENCE_END.finditer(tail)]
    start = max((c for c in cuts if c <= at), default=0)
    return start, tail[start : min((c for c in cuts if c > at), default=len(tail))]


def _surrounding(number: str, sentence: str) -> str | None:
    """The time, ratio, point or amount that the last number of a sentence is only a part of."""
    found = deque(COMPOUND.finditer(sentence), maxlen=1)
    if not found or number.strip() not in found[0].group() or NUMBER.search(sentence, found[0].end()):
        return None
    return None if is_denied(sentence, found[0].start()) else found[0].group()


def _calculated(tail: str, start: int, sentence: str) -> str | None:
    """Of several numbers in a sentence the one that the last equation before its end comes to."""
    results = deque(_RESULT.finditer(tail, 0, start + len(sentence)), maxlen=1)
    if not results or _PLAINLY.search(sentence) or "**" in sentence:
        return None
    numbers, value = [*NUMBER.finditer(sentence)], _digits(results[0].group(1))
    same = (n for n in reversed(numbers) if _digits(n.group()) == value)
    last = next((n for n in same if not is_denied(sentence, n.start())), None)
    others = (n for n in numbers if n is not last and not is_denied(sentence, n.start()))
    return last.group().strip() if last and next(others, None) else None


def _solved(maths: str, sentence: str) -> str:
    """The number that an equation comes to, where the sentence is not about an equation."""
    said = right_side(maths)
    left, _, right = said.rpartition("=")
    number = NUMBER.fullmatch(right.strip()) and right.strip() != "0" and "$" not in said
    if left and number and not _NAME.fullmatch(left) and not _EQUATION.search(sentence):
        return right.strip()
    return said


_SUPPOSED = re.compile(
    r"\W{0,4}(?:(?:suppose|assume)\b|(?:the|a) (?:student|problem|question|text|user)"
    r" (?:says?|said|claims?|states?)\b"
    r"|it is (?:not true|false|untrue)\b)",
    re.IGNORECASE,
)
_LINK = re.compile(rf"(?<=[$)\]])\s?(?:{_AND})\s?(?=[$\\])")
_BETWEEN = re.compile(rf"\s?(?:[,;、，；]|,?\s?(?:{_AND}))\s?")


def _joined(sentence: str) -> str | None:
    """The pieces of mathematics that end a sentence as one list: "$x = 3$ and $y = 4$"."""
    pieces = list(MATHS.finditer(sentence))
    if len(pieces) < 2 or sentence[pieces[-1].end() :].strip(" .。*\n"):
        return None
    first = len(pieces) - 1
    while first and _BETWEEN.fullmatch(sentence[pieces[first - 1].end() : pieces[first].start()]):
        first -= 1
    if first == len(pieces) - 1:
        return None
    return _LINK.sub(" and ", sentence[pieces[first].start() : pieces[-1].end()])


_NAME = re.compile(
    r"\s*(?:\\?[a-zA-Z]\w{0,9}(?:_\{?\w{1,9}\}?)?|[a-zA-Z]\([^()]{1,9}\))\s*"
)  # x, x_1, \alpha, f(2)
_EQUATION = re.compile(r"\b(?:equation|line|plane|circle|curve|relation|constraint)\b", re.IGNORECASE)
_PLAINLY = re.compile(
    rf"\b(?:is|are|was|equals|be)\s(?:now |approximately |about |only "
    rf"|exactly )?(?:{NUMBER.pattern})(?:{SCALE})?{UNIT}\W{{0,6}}\Z"
)


def _digits(number: str) -> str:
    return re.sub(r"[^\d./-]", "", number.replace("−", "-")).rstrip(".")


def last_words(response: str) -> Answer | None:
    """The last emphasis in the last paragraph, or all of a response of one line: a guess, for words."""
    text = response.strip()
    tail = text[-TAIL:]
    if bold := list(_BOLD.finditer(tail, tail.rfind("\n\n") + 1)):
        return Answer(bold[-1].group(1).strip(), "last value")
    if not text or "\n" in text or len(text) > LONGEST or _SAYS_NOTHING.fullmatch(text):
        return None
    return Answer(text, "line")


_REFUSAL = re.compile(
    r"\b(?:can(?:no|['’]|’)?t|could(?: no|n['’])t|(?:un|not )able to|(?:im|not )possible to"
    r"|difficult to|hard to|no way to"
    r"|insufficient|not enough|without)\b[^.\n]{0,40}?\b(?:determin|provid|giv|answer|solv|visuali"
    r"|process|specif|view|see\b"
    r"|comput|calculat|information|context|data|clarif|know|picture|image|figure|diagram|assist|help)"
    r"|\bplease (?:provide|upload|clarify|specify|describe|give|check|rewrite|refer|add|share)\b"
    r"|\b(?:do|does|did)(?: no|n['’])t (?:provide|contain|include|specify|have enough)\b"
    r"|无法(?:确定|回答|解答|判断)|不能确定|信息不足",
    re.IGNORECASE,
)


def is_refusal(response: str) -> bool:
    """Whether a response ends by saying that there is no answer to give, with no number after that."""
    tail = response[-TAIL:].rstrip()
    said = deque(_REFUSAL.finditer(tail, max(0, len(tail) - 350)), maxlen=1)
    if not said:
        return False
    after = tail[said[0].end() :]
    return re.search(r"\d", after) is None or _GUESS.search(after) is not None


_GUESS = re.compile(r"\b(?:might|could|may|perhaps|maybe|possibly) (?:be )?[$\\(*]{0,3}\d", re.IGNORECASE)


_OPENING_WORD = re.compile(r"[^\W\d_]{2,}[\s,:]|[^\W\d_\x00-\x7f]{2,}")
_DELIMITERS = re.compile(r"\A(?:\\\[|\\\(|\${1,2})|(?:\\\]|\\\)|\${1,2})[.\s]*\Z")
_VERB = re.compile(
    r"\b(?:so|then|hence|thus|since|is|are|was|were|has|have|had|will|can|be|left|equals?|makes?|gives?"
    r"|gets?)\b",
    re.I,
)


_WORDS = re.compile(
    r"[^\W\d_]{2,20}\.?|(?:there (?:is|are) )?(?:no|infinitely many|all|every|any)(?: such| real"
    r"| integer| positive){0,2}"
    r"(?: solutions?| numbers?| values?| roots?| integers?)?\.?|(?:does|do) not exist\.?"
    r"|not (?:possible|defined|enough)\.?",
    re.IGNORECASE,
)


_SAYS_NOTHING = re.compile(r"(?:[.…?!*_\s–—-]+|(?:h+m+|idk|dunno)[.!…]*)", re.IGNORECASE)


def whole(response: str) -> Answer | None:
    """The response itself, where it is nothing but an answer: "45", "(0, 2)", "x = 5", "12 apples"."""
    text = response.strip()
    if not text or len(text) > LONGEST or "boxed" in text or "\n\n" in text:
        return None
    if _SAYS_NOTHING.fullmatch(text) or (text.count("\n") > 1 and "\\begin" not in text):
        return None
    words = natural_words(text)
    if len(words) > 3 or _VERB.search(COMMAND.sub(" ", text)) or text.endswith(("?", ":")):
        return None
    if re.search(r"\d|\\", text) and words and _OPENING_WORD.match(text):
        return None
    if words and not re.search(r"[\d\\=<>^∞π√]", text) and not _WORDS.fullmatch(text):
        return None
    formula = _DELIMITERS.sub("", text).strip()
    said = right_side(formula)
    said = text.rstrip(".").strip() or text if said == formula else said
    return Answer(said, "whole", is_undecided(text))
