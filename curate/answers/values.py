r"""The value in a text that marks none: in its last sentence, in mathematics, or the text itself.

A guess, and made with care: a response that says that it cannot answer has no value.
"""

from __future__ import annotations

import re
from collections import deque

from curate.answers.found import LONGEST, TAIL, Answer, Found
from curate.answers.tidy import is_undecided

_UNITS = (
    r"[kcdm]?m(?:eters?|etres?|iles?)?|kilometers?|centimeters?|millimeters?|feet|foot|ft|inch(?:es)?"
    r"|yards?|miles?"
    r"|[km]?g(?:rams?)?|kilograms?|pounds?|lbs?|ounces?|oz|tons?|tonnes?|[mM]?[lL](?:iters?|itres?)?"
    r"|gallons?|quarts?"
    r"|pints?|cups?|s(?:ec(?:ond)?s?)?|min(?:ute)?s?|h(?:ou)?rs?|hours?|days?|weeks?|months?|years?"
    r"|km/h|m/s|mph"
    r"|degrees?|radians?|percent|dollars?|cents?|euros?|[kM]?Pa|[kM]?J|[kM]?N|[kMG]?W|[kM]?V|[mk]?A"
    r"|[kMG]?Hz|mol|K"
)
_UNIT = (
    rf"(?:\s?(?:\\?%|°C?|\^\{{?\\circ\}}?)"
    rf"|\s?(?:square |cubic )?(?:{_UNITS})(?:\s?\^\{{?[23]\}}?|²|³)?(?![\w'’/-]))?"
)
_MATHS = re.compile(
    r"\$\$([^$]{1,400})\$\$|(?<![\\\d$])\$([^$\n]{1,400})(?<!\\)\$(?!\d)|\\\(((?:[^\\\n]"
    r"|\\(?!\))){1,400}+)\\\)"
    r"|\\\[((?:[^\\]|\\(?!\])){1,400}+)\\\]"
)
_NUMBER = re.compile(
    r"(?<![\w.,\\^{])[-−]?\\?[$€£¥₹]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)\s?\\?%?"
    r"|(?<![\d\\^_])[-−]?\\?[$€£¥₹]?(?:\d+(?:\.\d+)?|\.\d+)(?:/\d+)?\s?\\?%?"
)
_AFTER_NUMBER = re.compile(_UNIT)
_BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*")
_BOLD_VALUE = re.compile(r"\*\*([-−+\\$€£(]{0,4}\d[^*\n]{0,80})\*\*")


def last_value(response: str) -> Answer | None:
    """The last number or piece of mathematics that is not denied: a guess, where no answer is marked."""
    tail = response[-TAIL:].rstrip()
    bold = [b for b in _BOLD_VALUE.finditer(tail, tail.rfind("\n\n") + 1) if not _denied(tail, b.start())]
    if bold:
        return Answer(bold[-1].group(1).strip(), "last value")
    numbers = (Found(n.start(), n.end(), n.group(), "last value") for n in _NUMBER.finditer(tail))
    maths = (Found(m.start(), m.end(), _inside(m), "last value") for m in _MATHS.finditer(tail))
    found = [f for f in (*maths, *numbers) if f.text.strip() and not _denied(tail, f.start)]
    last = max(found, key=lambda f: (f.end, -f.start), default=None)
    return Answer(last.text.strip(), "last value") if last else None


_SENTENCE_END = re.compile(r"(?<=[^\s.!?])[.!?。！？]+(?=\s+[A-Z(*]|\s*\Z)|(?<=[。！？])|\n(?=\s*[A-Z*#\n])")
_REASON = re.compile(
    r"[,;]?\s(?:because|since|given that|as (?:he|she|it|they|the|there)|if|assuming)\b", re.I
)
_RESULT = re.compile(rf"=\s{{0,3}}(?:\*\*|\\\(|\$)?({_NUMBER.pattern})")


def closing_value(response: str) -> Answer | None:
    """The value of the last sentence that holds one. Of several numbers the one that was calculated last.

    A number counts as calculated where an equals sign stands before it; else the last number counts.
    """
    tail = response[-TAIL:].rstrip()
    found = last_value(tail)
    if found is None:
        return None
    cuts = [m.end() for m in _SENTENCE_END.finditer(tail)]
    ends = [c for c in cuts if c > tail.rfind(found.text)] or [len(tail)]
    start = max((c for c in cuts if c <= tail.rfind(found.text)), default=0)
    sentence = tail[start : ends[0]]
    reason = _REASON.search(sentence)
    head = last_value(sentence[: reason.start()]) if reason else None
    if head:
        found, sentence = head, sentence[: reason.start()] if reason else sentence
    numbers = [n.group() for n in _NUMBER.finditer(sentence) if not _denied(sentence, n.start())]
    if len(numbers) > 1 and _NUMBER.fullmatch(found.text) and not _PLAINLY.search(sentence):
        results = deque(_RESULT.finditer(tail, 0, start + len(sentence)), maxlen=1)
        calculated = [n for n in numbers if results and _digits(n) == _digits(results[0].group(1))]
        if calculated and f"**{found.text}" not in sentence:
            return Answer(calculated[-1].strip(), "last value")
    return Answer(right_side(found.text), "last value")


_PLAINLY = re.compile(
    rf"\b(?:is|are|was|equals|be)\s(?:now |approximately |about |only "
    rf"|exactly )?(?:{_NUMBER.pattern}){_UNIT}\W{{0,6}}\Z"
)


def _digits(number: str) -> str:
    return re.sub(r"[^\d./-]", "", number.replace("−", "-")).rstrip(".")


_DENIAL = re.compile(
    r"(?:\b(?:not|never|nor|nicht|kein\w*|pas|não|non|не|nie|niet|bukan|không phải)|n['’]t|≠|\\neq?"
    r"|不是|\bno (?:es|son))"
    r"(?:\s(?:equal(?: to)?|be|là))?[\s*$(\\]{0,4}\Z",
    re.IGNORECASE,
)


def _denied(text: str, at: int) -> bool:
    return _DENIAL.search(text, max(0, at - 24), at) is not None


def _inside(maths: re.Match[str]) -> str:
    return maths.group(maths.lastindex or 0)


def last_words(response: str) -> Answer | None:
    """The last emphasis in the last paragraph, or all of a response of one line: a guess, for words."""
    text = response.strip()
    tail = text[-TAIL:]
    if bold := list(_BOLD.finditer(tail, tail.rfind("\n\n") + 1)):
        return Answer(bold[-1].group(1).strip(), "last value")
    return Answer(text, "line") if text and "\n" not in text and len(text) <= LONGEST else None


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
    return bool(said) and re.search(r"\d", tail[said[0].end() :]) is None


_COMMAND = re.compile(r"\\[a-zA-Z]+\s?|\$[^$\n]*\$")
_SET_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf|textit|operatorname|mathbf)\s?\{[^{}]*\}")
_WORD = re.compile(r"[^\W\d_]{3,}")
_OPENING_WORD = re.compile(r"[^\W\d_]{2,}\s")
_VERB = re.compile(r"\b(?:is|are|was|were|has|have|had|will|can|be|left|equals?|makes?|gives?|gets?)\b", re.I)
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc log exp sqrt max min mod gcd lcm arcsin arccos arctan sinh cosh pi"
    " inf infinity".split()
)


def whole(response: str) -> Answer | None:
    """The response itself, where it is nothing but an answer: "45", "(0, 2)", "x = 5", "12 apples"."""
    text = response.strip()
    if not text or len(text) > LONGEST or "\n\n" in text or (text.count("\n") > 1 and "\\begin" not in text):
        return None
    words = natural_words(text)
    if len(words) > 3 or _VERB.search(_COMMAND.sub(" ", text)) or text.endswith(("?", ":")):
        return None
    if re.search(r"\d|\\", text) and words and _OPENING_WORD.match(text):
        return None
    if words and not re.search(r"[\d\\=<>^∞π√]", text):
        return None
    return Answer(text.rstrip(".").strip() or text, "whole", is_undecided(text))


def natural_words(text: str) -> list[str]:
    """The words of three letters or more that are neither set as text inside mathematics nor functions."""
    bare = _COMMAND.sub(" ", _SET_TEXT.sub(" ", text))
    return [w for w in _WORD.findall(bare) if w.lower() not in _FUNCTIONS]


_EQUALS = re.compile(r"(?<![<>!:=\\])=(?!=)")


def right_side(maths: str) -> str:
    """The end of a chain of equations, or of one whose left side is calculated; else the text itself."""
    sides = _EQUALS.split(maths) if len(maths) <= LONGEST and "\\begin" not in maths else [maths]
    last = sides[-1].strip()
    if (
        len(sides) == 1
        or not last
        or last.count("{") != last.count("}")
        or last.count("(") != last.count(")")
    ):
        return maths
    left = sides[-2]
    calculated = re.search(r"\d", left) and not re.search(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z{])", left)
    named = re.search(r"\\(?:text|mathrm|mbox)\s?\{", left) or (
        len(natural_words(left)) and " " in left.strip()
    )
    return last if len(sides) > 2 or calculated or named else maths


_EMPHASIS = re.compile(r"\*\*([^*\n]{1,120})\*\*")
_AMOUNT = re.compile(rf"(?:{_NUMBER.pattern}){_UNIT}(?:,? (?:and )?\d+(?:\.\d+)?{_UNIT}(?<=[a-z]))?")
_GOES_ON = re.compile(
    r"\s?[^\sA-Za-z.,;:!)]|\s(?:[a-zA-Z]\b(?!\s[a-z])|hundred|thousand|[mb]illion|trillion|dozen"
    r"|squared|choose|mod|plus|minus"
    r"|(?:to|out of|in|or|by|and|over|of) (?:the )?[-−$\\(]?\d)|[A-Za-z(]"
)


def value_in(said: str) -> str | None:
    """The value inside an answer that is a sentence: emphasised, in mathematics, or its first number.

    What is no sentence is its own value; a sentence without a value has none.
    """
    text = said.strip().strip("*").strip()
    if not natural_words(text):
        return right_side(text) if "=" in text and "$" not in text else text
    bold = [b for b in _EMPHASIS.findall(said) if re.search(r"\d|\$|\\", b)]
    if bold:
        return _amount(bold[0].strip())
    if re.match(r"[-−+$\\({\[\d.€£]", text) and (len(natural_words(text)) <= 5 or _AMOUNT.match(text)):
        return _amount(text)
    maths = [m for m in _MATHS.finditer(text) if _inside(m).strip()]
    if maths:
        chosen = maths[0] if maths[0].start() < 4 else maths[-1]
        return right_side(_inside(chosen).strip())
    equal = list(_EQUALS.finditer(text))
    number = _AMOUNT.search(text, equal[-1].end() if equal else 0)
    return number.group().strip() if number else None


def _amount(text: str) -> str:
    """A number with its unit, of a text that begins with one and goes on in words; else the text."""
    amount = _AMOUNT.match(text)
    if amount is None or _GOES_ON.match(text, amount.end()):
        return text
    return amount.group().strip()
