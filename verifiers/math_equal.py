r"""The final answer in the response equals the gold answer, compared as mathematics."""

from __future__ import annotations

import logging
import re
import warnings
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from curate.answers import LONGEST, Answer, final_answer, last_value, letters, plain
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class MathEqual(Verifier):
    r"""Abstains when the gold answer does not parse: a bad key must not fail a good trace.

    Three looks, the cheap ones first: equal strings, equal rational numbers (exact, no floats), Math-Verify
    on what is left. Math-Verify reads LaTeX with a grammar here, and nothing but numerals reaches Python's
    eval inside SymPy; its other reader, which evaluates text, is never used. A gold of plain words is
    unsupported; one that is an option letter is compared as a letter. Units, currency, a percent sign and
    the base of a numeral may be left out. Where the response marks no answer, its last value is taken. An
    answer of over 2,000 characters is unsupported.

    timeout_s and memory_mb bound one comparison; past them the worker is killed and the verdict abstains.
    """

    timeout_s: float = 5.0
    memory_mb: int = 2048
    reflexive = r"\boxed{%s}"
    reads = ("response", "answer")
    examples = (
        (dict(response=r"so \boxed{1/2}", answer="0.5"), True),
        (dict(response=r"\boxed{(\sqrt{8}, 1)}", answer=r"(2\sqrt{2}, 1)"), True),
        (dict(response="no number here", answer="4"), False),
        (dict(response=r"\boxed{\frac{1}{3}}", answer="0.33"), False),
        (dict(response=r"\boxed{4}", answer="see figure"), None),
        (dict(response=r"\boxed{4}", answer=r"\frac{1}{"), None),
    )

    def row(self, row: Row) -> Verdict:
        gold = row["answer"]
        if gold is None:
            return Verdict(None, "no_gold")
        if not plain(gold):
            return Verdict(None, "gold_invalid: it is empty")
        response = row["response"] or ""
        if _OPTION.fullmatch(plain(gold)):
            return _letters(plain(gold).strip("()"), response)
        if len(gold) > LONGEST or _is_words(gold):
            return Verdict(None, "unsupported: the gold answer is not a number or an expression")
        said = final_answer(response)
        said = _value(said, response) if said else last_value(response)
        if said is None:
            return Verdict(False, "no_answer")
        return _compare(gold, said)


_OPTION = re.compile(r"\(?[A-J]\)?")
_AT_END = re.compile(r"\(([A-J])\)[.*\s]{0,4}\Z")


def _letters(gold: str, response: str) -> Verdict:
    """The gold is the letter of an option: so must the answer be."""
    said = final_answer(response) or Answer(response.strip()[-LONGEST:], "line")
    named = letters(said.text) or set(_AT_END.findall(said.text))
    if not named:
        return Verdict(False, "no_answer: no option letter", said.text if said.where != "line" else None)
    if len(named) > 1:
        return Verdict(False, f"several_answers: {', '.join(sorted(named))}", said.text)
    same = named == {gold}
    return Verdict(same, f"{'equal' if same else 'different'}: {said.where}", said.text)


def _compare(gold: str, said: Answer) -> Verdict:
    if _squeezed(gold) == _squeezed(said.text):
        return Verdict(True, f"equal: {said.where}", said.text)
    if len(said.text) > LONGEST:
        return Verdict(None, f"unsupported: an answer of {len(said.text)} characters", said.text[:200])
    same = _same_number(gold, said.text)
    if same is None:
        same = _math_verify(gold, said.text)
    if same is None:
        return Verdict(None, "gold_invalid: it cannot be read as mathematics", said.text)
    return Verdict(same, f"{'equal' if same else 'different'}: {said.where}", said.text)


_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc log exp sqrt max min mod gcd lcm arcsin arccos arctan sinh cosh".split()
)
_MATHS = re.compile(r"\d|[=<>+*/^_|∞π√≤≥]|\\(?!text|mbox|mathrm|textbf|textit|[()\[\],;!: ])[a-zA-Z]")
_WORD = re.compile(r"[^\W\d_]{3,}")
_SET_WORD = re.compile(r"\\(?:text|mbox|textbf|textit)\s?\{[^{}]*[^\W\d_]{2,}[^{}]*\}")
_NAME = re.compile(r"[^\W\d_]{3,}(?: \w+)*")
_PROSE = re.compile(r"(?:\b[^\W\d_]{2,}\W+){4,}")


def _is_words(gold: str) -> bool:
    """Whether there is nothing to compute: words and no mathematics, or a name ("June 20"), or a sentence."""
    text = plain(gold)
    if _NAME.fullmatch(text) or _PROSE.search(re.sub(r"\$[^$]*\$|\\\w+", "", gold)):
        return text.split(" ")[0].lower() not in _FUNCTIONS
    if _MATHS.search(gold):
        return False
    return bool(_SET_WORD.search(gold)) or any(w.lower() not in _FUNCTIONS for w in _WORD.findall(text))


_EMPHASIS = re.compile(r"\*\*([^*\n]{1,80})\*\*")
_FIRST = re.compile(r"[-−]?\\?[$€£]?\d[\d,]*(?:\.\d+)?(?:/\d+)?(?:\s?\\?%)?")


def _value(said: Answer, response: str) -> Answer:
    """The value inside an answer that is a sentence: emphasised, in mathematics, or its first number.

    A sentence without any ("the answer is correct") is no answer: the last value of the response is.
    """
    text = said.text.strip().strip("*").strip()
    if (
        said.where != "phrase"
        or len(_WORD.findall(re.sub(r"\\[a-zA-Z]+|\$[^$]*\$|\\\(.*?\\\)", "", text))) == 0
    ):
        return Answer(text, said.where)
    bold = [b for b in _EMPHASIS.findall(text) if re.search(r"\d", b)]
    if bold:
        return Answer(bold[-1], said.where)
    found = last_value(text) if "$" in text or "\\" in text else None
    if found:
        return Answer(found.text, said.where)
    number = _FIRST.search(text)
    return Answer(number.group(), said.where) if number else last_value(response) or Answer(text, said.where)


def _squeezed(text: str) -> str:
    text = plain(text).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    return re.sub(r"\s+|\\left(?![a-z])|\\right(?![a-z])|\\!", "", text)


_UNIT = r"(?:\s*(?:\^\s?\{?\\circ\}?|°|\\?%|[a-zA-Z][a-zA-Z. ]{0,40}(?:\s?\^\s?\{?[23]\}?)?))?"
_PLAIN = re.compile(r"([-+−]?)\s?([-+−]?(?:\d+(?:\.\d*)?|\.\d+))(?:\s?/\s?(\d+))?(" + _UNIT + r")\.?")
_FRACTION = re.compile(
    r"([-+−]?)\s?(\d*)\s?\\[dt]?frac\s?(?:\{\s?(-?\d+)\s?\}|(\d))\s?(?:\{\s?(\d+)\s?\}|(\d))("
    + _UNIT
    + r")\.?"
)
_SURE_GROUPS = re.compile(r"(?<=\d)(?:\{,\}|,\\!|\\!|\\,|\\ )(?=\d{3}(?!\d))")
_GROUPS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?![\d,])")
_ASSIGN = re.compile(r"(?:[a-zA-Z](?:_\{?\w{1,3}\}?)?\s?=|\\approx)\s?")
_MONEY = re.compile(r"\\\$|[$€£¥]")


def number(text: str) -> tuple[Fraction, str] | None:
    """An exact rational and its unit ("" for none), or None where the text is anything else."""
    text = plain(_ungrouped(_MONEY.sub("", text))).replace("−", "-")
    text = _ASSIGN.sub("", text, count=1) if _ASSIGN.match(text) else text
    found = _PLAIN.fullmatch(text)
    if found:
        sign, digits, under, unit = found.groups()
        if under is not None and int(under) == 0 or len(digits) > 500:
            return None
        value = Fraction(digits.rstrip(".")) / int(under or 1)
        return (-value if sign in ("-", "−") else value), unit.strip().lower()
    found = _FRACTION.fullmatch(text)
    if not found:
        return None
    sign, whole, top, top1, below, below1, unit = found.groups()
    if int(below or below1) == 0:
        return None
    value = int(whole or 0) + Fraction(int(top or top1), int(below or below1))
    return (-value if sign == "-" else value), unit.strip().lower()


_BASED = re.compile(r"([-+]?[0-9A-Za-z]{1,200})_\{?(\d{1,2})\}?")


def _based(found: re.Match[str]) -> int | str:
    """The value of 2516_8; its text where 8 is no base of those digits."""
    base = int(found.group(2))
    try:
        return int(found.group(1), base) if 2 <= base <= 36 else found.group()
    except ValueError:
        return found.group()


def _ungrouped(text: str) -> str:
    """Without thousand separators. A bare comma is one only outside brackets: (1,200) is a pair."""
    text = _SURE_GROUPS.sub("", text)
    if re.search(r"[(\[]|\\\{|, ", text):
        return text
    return _GROUPS.sub(lambda found: found.group().replace(",", ""), text)


def _same_number(gold: str, said: str) -> bool | None:
    """Equal as rational numbers; None where one of them is not a plain number."""
    based = [_BASED.fullmatch(_squeezed(text)) for text in (gold, said)]
    if based[0] and based[1]:
        return _based(based[0]) == _based(based[1])
    left, right = number(gold), number(said)
    if left is None or right is None:
        return None
    if left[0] == right[0]:
        return True
    percent = [unit.endswith("%") for _, unit in (left, right)]
    if percent[0] != percent[1]:  # 50 % is 0.5; both are also written 50
        return (left[0] / 100 if percent[0] else left[0]) == (right[0] / 100 if percent[1] else right[0])
    return False


def _math_verify(gold: str, said: str) -> bool | None:
    """Math-Verify's opinion; None where it cannot read the gold."""
    from math_verify import LatexExtractionConfig, verify

    for name in (
        "math_verify.parser",
        "math_verify.grader",
    ):  # it warns that nobody bounds the time: the pool does
        logging.getLogger(name).setLevel(logging.ERROR)
    config = (LatexExtractionConfig(),)  # a grammar; ExprExtractionConfig would hand text to Python's eval
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        key = _parsed(gold, config)
        if not key:
            return None
        return bool(verify(key, _parsed(said, config), timeout_seconds=None))


_LIST_WORD = re.compile(r",?\s*(?:\\(?:text|mbox|textrm|mathrm)\s?\{[\s,]*(?:and|or)\s*\}|\b(?:and|or)\b)\s*")


_SIGNS = str.maketrans(
    {"∞": r"\infty ", "∪": r"\cup ", "∩": r"\cap ", "π": r"\pi ", "≤": r"\le ", "≥": r"\ge ", "×": r"\times "}
    | {"·": r"\cdot ", "−": "-", "°": r"^\circ "}
)
_ROOT = re.compile(r"√\s?(?:\(([^()]{1,40})\)|(\d+|[a-z]))")


def _parsed(text: str, config: Any) -> list[Any]:
    from math_verify import parse

    bare = _LIST_WORD.sub(", ", text.replace("\\$", "")).replace("$", "")
    bare = re.sub(r"(?<!\\)\\[()\[\]]|\*\*|\\!", "", _ungrouped(bare)).strip().rstrip(".")
    bare = _ROOT.sub(lambda m: f"\\sqrt{{{m.group(1) or m.group(2)}}}", bare).translate(_SIGNS)
    return parse(f"\\boxed{{{bare}}}", config, fallback_mode="no_fallback", parsing_timeout=None)
