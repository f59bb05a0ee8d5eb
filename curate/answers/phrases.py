"""What a response calls its answer in words ("the answer is", "答案是", "Antwort:"), near its end.

A phrase counts up to the end of its sentence. Of "not A but B" only B is said; of "not A" nothing.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator

from curate.answers.found import TAIL, Found
from curate.answers.markers import ENGLISH, LANGUAGES, WEAK
from curate.answers.tidy import is_empty, is_rejected, is_undecided

_MOST = 12  # announcements that are looked at, from the end


def phrases(response: str) -> list[Found]:
    """Every announced answer of the last 4,000 characters, in order; offsets count in the whole text."""
    cut = max(0, len(response) - TAIL)
    text = response[cut:].rstrip()
    marks = sorted(
        m.span()
        for m in _announcements(text)
        if not _SUPPOSED.search(text, max(0, m.start() - 60), m.start())
    )
    marks = marks[-_MOST:]
    found = [said for mark in marks if (said := _said(text, *mark)) is not None]
    for mark in deque(WEAK.finditer(text), maxlen=_MOST):
        said = _said(text, *mark.span())
        if said and not _DIGIT.search(text, said.end):
            found.append(said)
    return [f._replace(start=f.start + cut, end=f.end + cut) for f in sorted(found, key=lambda f: f.start)]


def _announcements(text: str) -> Iterator[re.Match[str]]:
    """Every phrase that announces an answer."""
    low = text.lower()
    if (
        "answer" in low
        or "ans" in low
        or "A:" in text
        or "A：" in text
        or " choice" in low
        or " option" in low
    ):
        yield from ENGLISH.finditer(text)
    for nouns, pattern in LANGUAGES.values():
        if any(noun in low for noun in nouns):
            yield from pattern.finditer(text)


_SUPPOSED = re.compile(
    r"(?:\b(?:suppose|assum(?:e|es|ed|ing)|(?:not|un)\s?true|false|whether|unless)(?: that)?"
    r"|\b(?:says?|said|claim(?:s|ed)?|stat(?:es|ed))(?: that)?:?)\s['\"‘“]?(?:the )?\Z",
    re.IGNORECASE,
)
_DIGIT = re.compile(r"\d")
_LEAD = re.compile(r"[ \t:：=*_]{0,9}(?:\n[ \t*_>]{0,9}){0,2}")
_DISPLAY = re.compile(
    r"\\\[(.{1,1500}?)\\\]|\$\$([^$]{1,1500})\$\$|```[a-z]{0,9}\n(.{1,400}?)\n?```", re.DOTALL
)
_SENTENCE = re.compile(r"[^\n]{1,600}")
_END = re.compile(
    r"(?<=[\d)}\]$*%])[.!?](?=\s)"
    r"|(?<!\A[A-Z])[.!?](?=\s+[A-Z(\[*$\\]|\*{0,2}\s*$|[\"'”’]\s*$)|[。！？।؟](?!\d)"
    r"|\s?<(?=/?[a-z|]\w{0,9}>|\|)|(?<!\A[A-Z])[.!?](?=\s+[^\x00-\x7f])"
)


def _said(text: str, start: int, end: int) -> Found | None:
    """What follows a phrase to the end of its sentence, where the response does not go on for long."""
    lead = _LEAD.match(text, end)
    begin = lead.end() if lead else end
    display = _DISPLAY.match(text, begin)
    sentence = _SENTENCE.match(text, begin)
    if sentence is None:
        return None
    if display:
        stop, said, ender = display.end(), display.group(), ""
        said = display.group(3) or said
    else:
        ending = _END.search(sentence.group())
        length = ending.start() if ending and ending.start() else len(sentence.group())
        said, stop = sentence.group()[:length], begin + length
        ender = text[stop : stop + 1]
    if len(text) - stop > 150 and (len(text) - stop > 1000 or said.count(" ") >= 5):
        return None  # the response went on to something else
    if _REJECTED.search(said) or is_rejected(text, stop):
        return None
    decided = decide(text[start:end], _TRAILING.sub("", said))
    if decided is None or is_empty(decided) or _COMMENT.match(decided):
        return None
    doubt = is_undecided(text[start:begin] + said + ("?" if ender in "?？؟" and ender else ""))
    return Found(start, stop, decided, "phrase", doubt)


_REJECTED = re.compile(
    r"[\d)}\]$][,;]? (?:but|though|although|which|and)(?: this| that| it)?"
    r" (?:is|was|seems) (?:not (?:correct|right)|wrong|incorrect)\b",
    re.I,
)
_TRAILING = re.compile(
    r"\s?(?:です|である|だ|でした|となります|になります|となる|になる|입니다|이다|예요|이에요|임|है|हैं"
    r"|होगा|است"
    r"|[’']?(?:d[ıiuü]r|t[ıiuü]r)|হবে|হলো|ہے)[。.।!\s*]{0,4}\Z"
)
_COMMENT = re.compile(
    r"[\s*]{0,4}(?:(?:also|then|indeed|clearly|obviously|therefore|thus|always|probably) )?"
    r"(?:correct|right|wrong|incorrect|as follows|below|above|clear|obvious|simple|unique|valid"
    r"|verified|confirmed"
    r"|consistent|reasonable|reached|found|given|obtained|based|in the (?:form|format)|supposed"
    r"|expected|already"
    r"|正确的|错误的|对的)\b(?![^\n]{0,40}(?:=|\bis\b))",
    re.IGNORECASE,
)
_NOT = re.compile(
    r"\bnot\b|n['’]t\b|\bnever\b|\brather than\b|\binstead of\b|不是|不为|不為|并非|並非|不选|ではなく"
    r"|じゃなく|아니라|아니|\bnicht\b|\bkeine?\b"
    r"|\bno (?:es|son|sería)\b|\bpas\b|\bnão\b|\bnon\b|\bне\b|\bnie\b|\bniet\b|\bbukan\b|\bdeğil"
    r"|\bkhông\b|ليس|لیس|नहीं|\bنیست\b",
    re.IGNORECASE,
)
_BUT = re.compile(
    r"[,;]?\s?\b(?:but rather|but instead|but|rather|instead,?|it is|it's|sondern|sino|mais|mas sim|mas"
    r"|e sim|ma|bensì|"
    r"lecz|ale|tylko|maar|melainkan|mà là|but it is)\b(?! than| of)\s?|[,，]\s?а\s|[，,]?\s?而是|बल्कि|بل ",
    re.IGNORECASE,
)
_AFTER = re.compile(r"(?:ではなくて?、?|じゃなくて?、?|[가이]? ?아니라|\bdeğil,?)\s?", re.IGNORECASE)
_REST = re.compile(
    r"(?:[,;(]\s?(?:and )?not\b|\band not\b|,?\s?\brather than\b|,?\s?\binstead of\b|[，,]?而不是"
    r"|[,(]\s?nicht\b"
    r"|[,(]\s?(?:et )?non\b|[,(]\s?(?:y )?no\b|[,(]\s?não\b|[,(]\s?(?:а )?не\b).{1,200}\Z",
    re.IGNORECASE | re.DOTALL,
)


def decide(phrase: str, said: str) -> str | None:
    """Of "not A but B" it is B, of "B, not A" too; None where only "not A" is said.

    >>> decide("the answer is", "not 42 but 43"), decide("the answer is", "not 42")
    ('43', None)
    """
    said = said.strip()
    if not _NOT.search(said) and not _NOT.search(phrase):
        return said
    after = _AFTER.search(said)
    if after:
        return said[after.end() :].strip() or None
    denied = _NOT.search(phrase) or _NOT.match(said)
    if denied is None:
        kept = _REST.sub("", said, count=1).strip()
        return kept or said
    if _WORDY.match(said):
        return said
    but = _BUT.search(said)
    return said[but.end() :].strip() or None if but else None


_WORDY = re.compile(
    r"not (?:enough|possible|defined|determined|(?-i:a|an) |any|unique|all|both|prime|sure)|no\b", re.I
)
