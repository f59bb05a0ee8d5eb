"""Where in a response its answer stands: the mark, the phrase or the value that counts."""

from __future__ import annotations

import re

from curate.answers.amounts import natural_words, value_in
from curate.answers.behind import with_scale_behind, with_unit_behind
from curate.answers.boxes import last_box
from curate.answers.found import MARKED, Answer, Found
from curate.answers.marks import marks
from curate.answers.phrases import phrases
from curate.answers.tidy import is_empty, is_undecided
from curate.answers.values import closing_value, is_refusal, whole


def final_answer(response: str) -> Answer | None:
    """The last answer that the response marks as its own, or None where it marks none.

    >>> final_answer(r"so x = \\boxed{\\frac{1}{2}} holds")
    Answer(text='\\\\frac{1}{2}', where='boxed', several=False)
    """
    response = own_part(response)
    last = _revised(response, _marked(response))
    if last is None:
        said = phrases(response)
        last = _revised(response, said[-1]) if said else None
    return _answer(last) if last else None


def final_value(response: str) -> Answer | None:
    """What mathematics compares: the marked answer, else the value that is announced, else the last one.

    A response that is nothing but an answer is that answer. None where it says that it has none.

    >>> final_value("The answer is not 42 but 43.").text, final_value("(0, 2)").text
    ('43', '(0, 2)')
    """
    response = own_part(response)
    last = _revised(response, _marked(response))
    if last is not None:
        said = _answer(last)
        return said._replace(text=with_unit_behind(said.text, _behind_the_box(response, last)))
    for place in reversed(phrases(response)):
        if (revised := _revised(response, place)) is not place and revised is not None:
            return _answer(revised)
        value = value_in(_inner(place.text))
        if value:
            return Answer(value, place.where, place.several)
        if len(natural_words(place.text)) <= 6:
            return _answer(place)
    found = whole(response)
    if found or is_refusal(response):
        return found
    return closing_value(response)


def scaled_value(response: str) -> str | None:
    r"""The marked number with the percent or the million behind its box, or None where there is none.

    The question may have asked for percent or for millions: then the number alone is the answer as well.

    >>> scaled_value(r"\boxed{50}\%"), scaled_value(r"$\boxed{3}$ million")
    ('50 \\%', '3 million')
    """
    response = own_part(response)
    last = _revised(response, _marked(response))
    return with_scale_behind(_answer(last).text, _behind_the_box(response, last)) if last else None


def _behind_the_box(response: str, last: Found) -> str:
    boxed = last.where == "boxed" and response[last.end - 1] == "}"
    return response[last.end : last.end + 60] if boxed else ""


_REVISED = re.compile(
    r"\b(?:oops|correction\s?:|i (?:made|see|found) (?:a|an|my) (?:mistake|error)|i was wrong"
    r"|on second thoughts?|i meant?\b(?! that)|scratch that|edit\s?:|(?:i|we) misread|, wait,|not? wait,?"
    r"|does(?:n['’]t| not) (?:seem|look) right|answer is actually"
    r"|(?:this|that|which|it) (?:is|was|'s) (?:wrong|incorrect)"
    r"|that['’]s (?:wrong|incorrect)|actually,? (?:it|the answer|this) (?:is|should be)"
    r"|(?:it|that|this|answer) should (?:actually |really )?be)"
    r"|\?\s+no\b|不对|错了|更正|应该是|ではなく|間違",
    re.IGNORECASE,
)
_STATED = re.compile(
    r"\bthe (?:correct|right) answer is[\s:*$\\(]{0,5}([-−]?\d[\d.,/]*(?<![.,]))(?![\w^{])", re.I
)
_ASKED = re.compile(r"\b(?:is|are|was|could)\s[^.?!\n]{0,60}\d[^.?!\n]{0,20}\?\s+no\b", re.IGNORECASE)
_TO = re.compile(
    r"(?:should (?:actually |really )?be|actually,? (?:it|the answer|this) is|no, (?:it|the answer) is"
    r"|answer is(?: actually| now)?|correction\s?:|i meant?|edit\s?:|on second thoughts?,?|更正为|应该是)"
    r"[\s:：*$\\(]{0,5}([-−]?\d[\d.,/]*(?<![.,]))",
    re.IGNORECASE,
)


def _revised(response: str, last: Found | None) -> Found | None:
    """The answer as the text behind it corrects it ("wait, that is wrong: it should be 41")."""
    if last is None:
        return None
    after = response[max(0, last.end - 1) : last.end + 600]
    if _REVISED.search(_ASKED.sub(" ", after)) is None:
        stated = _STATED.search(after) if last.where == "boxed" else None
        if stated is None or stated.group(1) in last.text:
            return last
        return Found(last.start, last.end + stated.end(), stated.group(1), last.where)
    told = list(_TO.finditer(after))
    if told and told[-1].group(1) == last.text.strip(" $"):
        return last
    if not told:
        return last._replace(several=True)
    return Found(last.start, last.end + told[-1].end(), told[-1].group(1), last.where)


def _marked(response: str) -> Found | None:
    box = last_box(response)
    found = [f for f in (*marks(response), *([box] if box else [])) if not is_empty(f.text)]
    return max(found, key=lambda f: f.end, default=None)


def _answer(found: Found) -> Answer:
    inner = _inner(found.text.strip())
    return Answer(inner, found.where, found.several or is_undecided(inner))


def _inner(text: str) -> str:
    """The marked answer inside a marked answer: a box in a JSON field, a tag in a box."""
    for _ in range(3):
        deeper = _marked(text) if "ox" in text or "<" in text else None
        if deeper is None or not deeper.text.strip() or deeper.where == "json":
            break
        text = deeper.text.strip()
    return _CAPTION.sub("", text) or text


_CAPTION = re.compile(
    r"\A(?:\\(?:text|mbox|textbf|mathrm)\s?\{\s?)?(?:the )?(?:final |correct )?answer(?: is\b"
    r"|\s?[:=])\s?[:=]?\s?(?:\}\s?[:=]?\s*)?"
    r"(?=[^}]*(?:\{|\Z))",
    re.IGNORECASE,
)
_RUN_ON = re.compile(
    r"<\|(?:im_end|im_start|endoftext|eot_id|end|user|eom_id)\|>|</s>"
    r"|\n[ \t]{0,3}(?:#{1,4}[ \t]?)?\*{0,2}(?:Human|User|Question|Q|Problem|Exercise"
    r"|Instruction|Input|题目|问题"
    r"|問題)\*{0,2}[ \t]?[:：]"
)

_SPOKEN = re.compile(r"oxed\s{0,3}\{\s{0,9}[^\s}]|answer|答案", re.IGNORECASE)


def announced(response: str) -> list[Found]:
    """Every answer that the response announces in words near its end, in order."""
    return phrases(own_part(response))


def own_part(response: str) -> str:
    """The response without thinking before it, and without another question that it runs on into."""
    for opened, closed in (("<think>", "</think>"), ("<thinking>", "</thinking>")):
        if closed in response:
            response = response[response.rfind(closed) + len(closed) :]
        elif response.lstrip()[:12].startswith(opened):
            return ""
    for count, mark in enumerate(_RUN_ON.finditer(response, max(0, len(response) - MARKED))):
        before = response[: mark.start()]
        if count >= 5:
            break
        if _SPOKEN.search(before, max(0, len(before) - MARKED)) and (_marked(before) or phrases(before)):
            return before
    return response
