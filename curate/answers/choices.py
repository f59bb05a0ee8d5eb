"""The options that a response chooses: by label, by a sentence that chooses, or by the text of one option."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from curate.answers.found import TAIL
from curate.answers.letters import USUAL, chosen_in, letters
from curate.answers.options import normal
from curate.answers.reading import announced, final_answer
from curate.answers.tidy import plain
from curate.answers.values import is_refusal


class Chosen(NamedTuple):
    """The casefolded labels that a response chooses, the text that names them, and where it stands.

    several: it offers alternatives ("either A or B").
    """

    labels: frozenset[str]
    text: str
    where: str
    several: bool = False


def chosen(
    response: str, options: Mapping[str, str] | None = None, allowed: str | None = None
) -> Chosen | None:
    r"""What a response chooses, or None where it names no option.

    options: {casefolded label: normalised text}, where they are known (`curate.answers.options.listed`).
    allowed: the letters that count, in upper case; left out, those of the options, or A to J.

    >>> sorted(chosen(r"A is too small, so \\boxed{\\text{(B) } 12}.").labels)
    ['b']
    """
    options = options or {}
    if allowed is None:
        labels_of = "".join(label.upper() for label in options if re.fullmatch("[a-z]", label))
        allowed = labels_of if options else USUAL
    for text, where, several in _places(response):
        labels = _named(text, options, allowed)
        if labels:
            return Chosen(frozenset(labels), text.strip(), where, several and len(labels) > 1)
    if is_refusal(response):
        return None
    for sentence in _sentences(response):
        labels = {letter.casefold() for letter in chosen_in(sentence, allowed)} or _quoted(sentence, options)
        if labels:
            return Chosen(frozenset(labels), sentence.strip(), "line")
    for line in [response.strip().split("\n", 1)[0][:400], *reversed(_ALONE.findall(response[-TAIL:]))]:
        labels = _named(line, options, allowed)
        if labels:
            return Chosen(frozenset(labels), line, "line")
    return None


_ALONE = re.compile(r"^[ \t*_(\[]{0,6}[A-Z][.)\]*_ \t]{0,6}$", re.MULTILINE)


def _places(response: str) -> Iterator[tuple[str, str, bool]]:
    """Where a choice may be stated, the surest place first: marked, announced, the last line."""
    final = final_answer(response)
    if final:
        yield final
    for said in reversed(announced(response)):
        yield said.text, said.where, said.several
    yield response.strip().rsplit("\n", 1)[-1][-400:], "line", False


_LABEL = re.compile(
    r"(?:option|answer|choice|number|no\.)?\s?\(?(answer\d|\d{1,2})\)?(?:[.):,]\s?.{0,400})?", re.I | re.S
)
_WORDED = re.compile(r"\b(?:option|answer|choice)\s?\(?(\d{1,2})\b|\b(answer\d)\b", re.IGNORECASE)


_CONCLUDES = re.compile(r"\W{0,4}(?:hence|therefore|thus|so|the answer)\b", re.IGNORECASE)
_REASON = re.compile(r",?\s(?:because|since|whereas|while|unlike)\b|,\s(?:as|for)\b", re.IGNORECASE)


def _named(text: str, options: Mapping[str, str], allowed: str) -> set[str]:
    """The labels a short text names: one label, a label with its option, an option's text, or "option B"."""
    short = plain(text).strip(" *")
    if short.casefold() in options:
        return {short.casefold()}
    *before, last = _BREAK.split(text.strip()) or [""]
    concluded = chosen_in(last, allowed) if before and _CONCLUDES.match(last) else ()
    named = {letter.casefold() for letter in concluded or letters(text, allowed)}
    if named:
        return named
    number = _LABEL.fullmatch(short)
    if number and number.group(1).casefold() in options:
        return {number.group(1).casefold()}
    for value in (text, text[:60].partition("=")[2]):
        if same := {label for label, option in options.items() if option and option == normal(value)}:
            return same
    head = _REASON.split(text[:600], maxsplit=1)[0]
    found = {letter.casefold() for letter in chosen_in(head, allowed) or chosen_in(text[:600], allowed)}
    found |= {(m.group(1) or m.group(2)).casefold() for m in _WORDED.finditer(short[:600])} & set(options)
    return found


_BREAK = re.compile(r"(?<=[.!?])\s+|(?<=[。！？；])|\n+")


def _sentences(response: str) -> list[str]:
    """The last sentences of a response, the last one first."""
    return [s for s in reversed(_BREAK.split(response[-1500:])) if s.strip()][:6]


_GAPS = re.compile(r"[^\w.%/^+-]+")


def _quoted(sentence: str, options: Mapping[str, str]) -> set[str]:
    """The option whose text stands in a sentence, where it is one only; a longer text hides its parts."""
    text = f" {_GAPS.sub(' ', normal(sentence))} ".replace(". ", " ")
    held = {}
    for label, option in options.items():
        words = _GAPS.sub(" ", option).strip()
        if len(words) > 1 and f" {words} " in text:
            held[label] = words
    longest = max(held.values(), key=len, default="")
    return {label for label, words in held.items() if words not in longest or words == longest}
