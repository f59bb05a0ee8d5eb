r"""Text without what only sets its type, and the questions that every extraction asks of a short text."""

from __future__ import annotations

import re

_WRAP = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname|bf|rm|textsf)\s?\{([^{}]*)\}")
_NOISE = re.compile(r"\\[()\[\]]|(?<!\\)\$|\*\*|`|\\[,!;: ]")


def plain(text: str) -> str:
    r"""Without what only sets the type (`$`, `\text{}`, `**`, thin spaces) and a last full stop."""
    return _NOISE.sub(" ", _WRAP.sub(r"\1", text)).strip().rstrip(".").strip()


def gold_of(text: str) -> str:
    """The answer behind the `####` of a last line, where GSM8K's own column is the gold; else the text."""
    last = text.rstrip().rpartition("\n")[2]
    return last.rpartition("####")[2].strip() or text if "####" in last else text


_HOLDERS = re.compile(
    r"(?:[\[<(]?(?:your|the|insert|final|numeric(?:al)?|correct)?[ _]?(?:final[ _])?answer(?: here)?[\])>]?"
    r"|[.…?_\s~]+|\\l?c?dots|\\quad|\\ )?",
    re.IGNORECASE,
)


def is_empty(text: str) -> bool:
    r"""Whether nothing is said: blank, `...`, or the place-holder of a prompt that is repeated."""
    return len(text) < 80 and _HOLDERS.fullmatch(plain(text)) is not None


_ALTERNATIVES = re.compile(
    r"\beither\b.{1,300}?\bor\b|\b(?:maybe|perhaps|possibly|could be|might be|not sure)\b.{1,300}?\bor\b"
    r"|\bor\b.{1,200}?(?:not|n['’]t) (?:be )?(?:sure|certain)\b"
    r"|\b(?:could|might|may) be\b.{1,80}?(?:not|n['’]t) (?:be )?(?:sure|certain)\b"
    r"|\bor\s(?:maybe|perhaps|possibly|else)\b|\bor\b[^?]{1,200}\?"
    r"|\bentweder\b.{1,300}?\boder\b|\boder\b[^?]{1,200}\?|\bsoit\b.{1,300}?\bsoit\b|\bou\b[^?]{1,200}\?"
    r"|\bлибо\b.{1,300}?\bлибо\b|\bили\b[^?]{1,200}\?|还是|還是|要么.{1,300}?要么|それとも|아니면",
    re.IGNORECASE | re.DOTALL,
)


def is_undecided(text: str) -> bool:
    """Whether a short text offers alternatives without taking one: "either 3 or 4", "3 or 4?"."""
    return len(text) <= 600 and _ALTERNATIVES.search(plain(text)) is not None


_DENIAL = re.compile(
    r"(?:\b(?:not|cannot|never|nor|nicht|kein\w*|pas|não|non|не|nie|niet|bukan|không phải)|n['’]t|≠|\\neq?"
    r"|不是|\bno (?:es|son))"
    r"(?:\s(?:equal(?: to)?|be(?: equal to)?|là|get|find|obtain|have|true that (?:the answer|it) is))?"
    r"[\s*$(\\]{0,4}(?:boxed\s?\{)?\s?\Z"
    r"|\bprintf?\s?\([^\n]{0,20}\Z",
    re.IGNORECASE,
)
_REJECTION = re.compile(
    r"[\s*$)\]}.\\'\"]{0,6}(?:,? (?:but|and|which) (?:this|that|it)?)?\s?(?:is|was|are|would be|seems) "
    r"(?:(?:clearly|also|obviously|definitely) )?(?:not (?:correct|right|true"
    r"|the (?:correct |final )?answer|possible)"
    r"|incorrect|wrong|false|impossible)\b",
    re.IGNORECASE,
)


def is_denied(text: str, at: int) -> bool:
    """Whether what stands at an offset is said not to be so: "not 42", "x ≠ 42"; or is only printed."""
    return _DENIAL.search(text, max(0, at - 40), at) is not None


def is_rejected(text: str, at: int) -> bool:
    """Whether what ends at an offset is called wrong at once: "42 is incorrect"."""
    return _REJECTION.match(text, at) is not None
