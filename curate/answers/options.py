"""The options that a question lists, by label: letters, numbers, "Answer1", other alphabets."""

from __future__ import annotations

import re

from curate.answers.letters import latin
from curate.answers.tidy import plain

_LINED = re.compile(r"^[ \t*>-]{0,6}\(?\[?([A-Z])\s?[).:\]．、]\s?", re.MULTILINE)
_LETTERED = re.compile(r"(?:^|[\s(,'\[])([A-Z])\s?(?:\)|\]|[.:、]\s)\s?", re.MULTILINE)
_TIGHT = re.compile(r"(?:^|[\s(（,;])([A-Z])[.．、:：)）]\s?(?=\S)", re.MULTILINE)
_SMALL = re.compile(r"(?:^|\s)\(?([a-z])\)\s?", re.MULTILINE)
_WORDED = re.compile(r"\b(Answer\d)\s?:\s", re.IGNORECASE)
_CIRCLED = re.compile(r"([①-⑳])\s?")
_NUMBERED = re.compile(r"^(\d{1,2})[.)] ", re.MULTILINE)
_ARABIC = re.compile(r"(?:^|\s)\(?([أابجدهـ])\s?[).:]\s?", re.MULTILINE)
_KOREAN = re.compile(r"(?:^|\s)\(?([가나다라마])\s?[).:]\s?", re.MULTILINE)
_ASKED = re.compile(r"(?:select|choose|pick|which)\b[^\n]{0,200}:?\s*\Z", re.IGNORECASE)
_STYLES = (
    (_WORDED, "answer1"),
    (_LINED, "a"),
    (_LETTERED, "a"),
    (_TIGHT, "a"),
    (_SMALL, "a"),
    (_CIRCLED, "①"),
    (_ARABIC, "أ"),
    (_KOREAN, "가"),
    (_NUMBERED, "1"),
)
_SERIES = ("abcdefghijklmnopqrstuvwxyz", "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳", "أبجده", "가나다라마")
_LONGEST_QUESTION = 30_000  # characters; what follows is not searched for options


def listed(question: str) -> dict[str, str]:
    """The options inside a question, {casefolded label: normalised text}; empty where it lists none."""
    question = question[:_LONGEST_QUESTION]
    for pattern, first in _STYLES:
        marks = _run(list(pattern.finditer(question)), first)
        if len(marks) < 2 or (
            pattern is _NUMBERED and not _ASKED.search(question[: marks[0].start()][-300:])
        ):
            continue
        ends = [m.start() for m in marks[1:]] + [len(question)]
        texts = [question[m.end() : e].split("\n")[0] for m, e in zip(marks, ends, strict=True)]
        return {_label(m): normal(t) for m, t in zip(marks, texts, strict=True)}
    return {}


def normal(text: str) -> str:
    """A text for comparison: without what only sets its type, white space, case and punctuation around it."""
    return " ".join(plain(latin(text)).strip(" ,;.'\"[]").casefold().split())


def _label(mark: re.Match[str]) -> str:
    return mark.group(1).casefold().replace("ا", "أ").replace("ـ", "ه")


def _run(marks: list[re.Match[str]], first: str) -> list[re.Match[str]]:
    """The longest run of marks that counts up from `first`: A, B, C or 1, 2, 3."""
    run: list[re.Match[str]] = []
    best: list[re.Match[str]] = []
    for mark in marks:
        label = _label(mark)
        if label == first:
            run = [mark]
        elif run and label == _next(_label(run[-1])):
            run.append(mark)
        if len(run) > len(best) or len(run) == len(best) and run:
            best = run.copy() if len(run) < 30 else best
    return best


def _next(label: str) -> str:
    digits = re.search(r"[0-9]+\Z", label)
    if digits:
        return label[: digits.start()] + str(int(digits.group()) + 1)
    series = next((s for s in _SERIES if label in s), "")
    place = series.find(label) + 1
    return series[place : place + 1]
