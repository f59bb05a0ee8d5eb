r"""Numbers, units and pieces of mathematics in a text; the value of an answer that is a sentence."""

from __future__ import annotations

import re

from curate.answers.found import LONGEST
from curate.scale_words import SCALE
from curate.scale_words import WORDS as SCALES
from curate.unit_names import WORDS

_MEASURES = {"m", "kg", "s", "A", "K", "mol", "cd", "rad", "sr", "lm", "bit", "dB"}  # no money, no number
_HOMONYMS = frozenset("bar bit gon grain gray mil molar revolution slug stone".split())
_SPOKEN = [
    word
    for word, (_, powers) in WORDS.items()
    if powers and _MEASURES.issuperset(base for base, _ in powers) and word.rstrip("s") not in _HOMONYMS
]
UNITS = (  # of symbols those that are no word of a sentence: neither in nor a, t and d
    r"[kcdm]?m|ft|[km]?g|lbs?|oz|[mM]?[lL]|s|km/h|m/s|mph|[kM]?Pa|[kM]?J|[kM]?N|[kMG]?W|[kM]?V|[mk]?A"
    rf"|[kMG]?Hz|mol|K|(?:kilo|centi|milli|mega|giga|micro|nano)?(?:{'|'.join(map(re.escape, _SPOKEN))})"
    r"|per ?cent|dollars?|cents?|euros?"
)
UNIT = (
    rf"(?:\s?(?:\\?%|°C?|\^\{{?\\circ\}}?)"
    rf"|\s?(?:square |cubic )?(?:{UNITS})(?:\s?\^\{{?[23]\}}?|²|³)?(?![\w'’/-]))?"
)
MATHS = re.compile(
    r"\$\$([^$]{1,400})\$\$|(?<![\\\d$])\$([^$\n]{1,400})(?<!\\)\$(?!\d)|\\\(((?:[^\\\n]"
    r"|\\(?!\))){1,400}+)\\\)"
    r"|\\\[((?:[^\\]|\\(?!\])){1,400}+)\\\]"
    r"|\\begin\{(?:align|equation|gather|eqnarray)\*?\}((?:[^\\]|\\(?!end\{)){1,800}+)\\end\{"
)
NUMBER = re.compile(
    r"(?<![\w.,\\^{])[-−]?\\?[$€£¥₹]?\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)\s?\\?%?"
    r"|(?<![\d\\^_])[-−]?\\?[$€£¥₹]?(?:\d+(?:\.\d+)?|\.\d+)(?:/\d+)?\s?\\?%?"
)
COMPOUND = re.compile(
    r"(?<!\d)\d{1,4}(?::\d{1,4}){1,3}(?:\s?[ap]\.?m\b\.?)?"  # 3:4, 3:45 PM
    r"|(?<![\d.,(])[-−]?\d{1,3},\d{1,2}(?![\d,)]|\.\d)"  # 3,5
    rf"|[(\[](?:{NUMBER.pattern})(?:,\s?(?:{NUMBER.pattern})){{1,5}}[)\]]"  # (1, 2)
    r"|(?<!\d)\d{1,12} hours?,? (?:and )?\d+ minutes?(?:,? (?:and )?\d+ seconds?)?"
    r"|(?<!\d)\d{1,12} minutes?,? (?:and )?\d+ seconds?"
    r"|(?:(?<=is )|(?<=are ))\d{1,12} to \d+(?=\W{0,4}\Z)"
    r"|(?<!\d)\d{1,12} (?:feet|foot),? (?:and )?\d+ inch(?:es)?",
    re.IGNORECASE,
)
COMMAND = re.compile(r"\\[a-zA-Z]+\s?|\$[^$\n]*\$")
_SET_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textbf|textit|operatorname|mathbf)\s?\{[^{}]*\}")
_WORD = re.compile(r"[^\W\d_]{3,}")
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc log exp sqrt max min mod gcd lcm arcsin arccos arctan sinh cosh pi"
    " inf infinity".split()
)


def inside(maths: re.Match[str]) -> str:
    """What stands between the delimiters that MATHS found."""
    return maths.group(maths.lastindex or 0)


def natural_words(text: str) -> list[str]:
    """The words of three letters or more that are neither set as text inside mathematics nor functions."""
    bare = COMMAND.sub(" ", _SET_TEXT.sub(" ", text))
    return [w for w in _WORD.findall(bare) if w.lower() not in _FUNCTIONS]


_EQUALS = re.compile(r"(?<![<>!:=\\])=(?!=)")


_LISTED = re.compile(r",\s|,\\|\band\b|\bor\b|;|\\quad|,\s?[a-z]\w?\s*\Z")


_ALIGNED = re.compile(r"\s*\\begin\{(?:aligned|split|gathered|align\*?)\}(.{1,1500})\\end\{", re.DOTALL)


def right_side(maths: str) -> str:
    """The end of a chain of equations, or of one whose left side is calculated; else the text itself."""
    if aligned := _ALIGNED.match(maths):
        lines = [line for line in aligned.group(1).split("\\\\") if line.strip()]
        goes_on = bool(lines) and re.match(r"[\s&]*=", lines[-1])
        return lines[-1].rsplit("=", 1)[1].strip(" &\n") if goes_on else maths
    sides = _EQUALS.split(maths) if len(maths) <= LONGEST and "\\begin" not in maths else [maths]
    last = sides[-1].strip()
    if (
        len(sides) == 1
        or not last
        or any(_LISTED.search(side) for side in sides[1:])
        or last.count("{") != last.count("}")
        or last.count("(") != last.count(")")
    ):
        return maths
    left = sides[-2]
    if not left.strip():
        return last
    calculated = re.search(r"\d", left) and not re.search(r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z{])", left)
    named = re.search(r"\\(?:text|mathrm|mbox)\s?\{", left) or (
        len(natural_words(left)) and " " in left.strip()
    )
    return last if len(sides) > 2 or calculated or named else maths


_EMPHASIS = re.compile(r"\*\*([^*\n]{1,120})\*\*")
_AMOUNT = re.compile(rf"(?:{NUMBER.pattern})({SCALE})?{UNIT}(?:,? (?:and )?\d+(?:\.\d+)?{UNIT}(?<=[a-z]))?")
_GOES_ON = re.compile(
    rf"\s?[^\sA-Za-z.,;:!)]|\s(?:[a-zA-Z]\b(?!\s[a-z])|{'|'.join(SCALES)}|dozen"
    r"|squared|cubed|factorial|choose|mod|plus|minus|times|multiplied|divided"
    r"|(?:to|out of|in|or|by|and|over|of|less than|more than|oder|und|ou|et|o|y|или|и) (?:the )?[-−$\\(]?\d)"
    r"|[A-Za-z(]"
)


_ABOUT = re.compile(
    r"\A\W{0,4}(?:(?:strictly )?(?:less|more|fewer|greater|larger|smaller|higher|lower) than"
    r"|at (?:least|most)|no (?:more|less) than"
    r"|over|under|above|below|between|half|twice|thrice|double|triple"
    r"|(?:a|one) (?:third|quarter)|both\b.{1,80}\band)\b"
    r"|\A(?:the )?(?:square|cubed?|cube)(?: root)?\s|\A(?:unknown|none|no)\b"
    r"|\A(?:menor|mayor|menos|más) (?:que|de)\b|\A(?:weniger|mehr) als\b|\A(?:moins|plus) (?:de|que)\b"
    r"|\A(?:меньше|больше|менее|более|大于|小于|至少|至多|不小于|不大于)"
    r"|\d (?:or|and) (?:more|less|fewer|above|below|up)\b|\d (?:squared|cubed)\b"
    r"|\d,? and (?:also )?[$\\(]{0,2}-?\d",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"(?<=\S)\s\((?=[^()]{0,60}[a-z]{3})[^()\d$\\]{1,80}\)\Z")


AT = re.compile(r"\s(?:at|when|for|where|with|if)\s(?:\$|\\\()?[a-zA-Z]\w{0,3}\s?=")
_REASON = re.compile(
    r"[,;]?\s(?:because|since|given that|as (?:he|she|it|they|the|there)|if|assuming)\b"
    r"(?!.{0,200}(?:\bis\b|=))",
    re.I | re.S,
)
_COMPARED = re.compile(
    r",\swhich (?:is|was|are|were)\s[^,.]{0,40}\b(?:more|less|fewer|greater|larger|smaller|times)\b"
    r"[^,.]{0,40}\b(?:than|as)\b|\bmore(?: \w{1,20})? to (?:reach|complete|get to|meet)\b",
    re.IGNORECASE,
)
ASIDES = (_REASON, AT, _COMPARED)  # clauses that say why, when, or beside what
_NEGATIVE = re.compile(
    r"(?:\bnegative\s|(?:\A|(?<=is |be |at |to ))(?:minus|menos|moins|meno|минус)\s)(?=\$?\\?\d)",
    re.IGNORECASE,
)
_WORKED = re.compile(
    r"[^,=]{0,60}\b(?:times|plus|minus|of|multiplied by|divided by)\s[^,=]{1,60}?"
    r",?\s(?:which (?:is|equals)|i\.e\.,?|that is,?|or|equals)\s(?=[-−$\\(]{0,3}\d)",
    re.IGNORECASE,
)


def signed(text: str) -> str:
    """With a sign where "negative" stands before a number, or "minus" as the first word."""
    return _NEGATIVE.sub("-", text)


_CORRECTED = re.compile(r".{1,80},\s(?:no,? )?(?:wait|i mean|sorry|scratch that|make that)\b,?\s(?=\S)", re.I)
_EXPLAINED = re.compile(
    r"(?<=\S)\s\((?:since|because|as|where|i\.e\.,?|from)\s(?:[^()]|\([^()]{0,60}\)){1,160}\)\Z"
    r"|(?<=[\w)}%$]),?\s(?:which (?:is|equals)|or|i\.e\.,?|that is,?) (?:about|approximately|roughly|around"
    r"|nearly)\s[^\n]{1,80}\Z",
    re.IGNORECASE,
)


def value_in(said: str) -> str | None:
    """The value inside an answer that is a sentence: emphasised, in mathematics, or its first number.

    What is no sentence is its own value; a sentence without a value has none.
    """
    text = _ASIDE.sub("", _EXPLAINED.sub("", signed(said.strip().strip("*").strip())))
    text = _CORRECTED.sub("", text)
    text = _WORKED.sub("", text, count=1) if _WORKED.match(text) else text
    if (where := AT.search(text)) and re.search(r"\d", text[: where.start()]):
        text = text[: where.start()]
    if _ABOUT.search(text):
        return text
    if not natural_words(text):
        return right_side(text) if "=" in text and "$" not in text else text
    bold = [b for b in _EMPHASIS.findall(said) if re.search(r"\d|\$|\\", b)]
    if bold:
        return _amount(bold[0].strip())
    if re.match(r"[-−+$\\({\[\d.€£]", text) and (len(natural_words(text)) <= 5 or _AMOUNT.match(text)):
        return _amount(text)
    maths = [m for m in MATHS.finditer(text) if inside(m).strip()]
    if maths:
        chosen = maths[0] if maths[0].start() < 4 else maths[-1]
        return right_side(inside(chosen).strip())
    equal = list(_EQUALS.finditer(text))
    number = _AMOUNT.search(text, equal[-1].end() if equal else 0)
    if number and re.match(r"\s(?:or|oder|ou|или)\s[$\\(]?-?\d", text[number.end() :]):
        return text
    return number.group().strip() if number else None


def _amount(text: str) -> str:
    """A number with its unit, of a text that begins with one and goes on in words; else the text."""
    amount = _AMOUNT.match(text)
    if amount is None or amount.group(1) or _GOES_ON.match(text, len(amount.group().rstrip())):
        return text
    return amount.group().strip()


_MONEY = r"(?<!dollar)(?<!dollars)(?<!cent)(?<!cents)(?<!euro)(?<!euros)"
MEASURED = re.compile(
    rf"(?!\s?(?:degrees?|pounds?)\b)"  # of what, of which kind
    rf"{UNIT}(?:(?<=[a-z]){_MONEY}(?:\s?/\s?|\sper\s)(?:{UNITS})\b)?"
    r"(?!\s?(?:/|(?:per|each|every|an?)\b))"
)


_SCALED = re.compile(f"(?:{SCALE})?")


def with_unit(number: str, sentence: str) -> str:
    """The number as it last stands in the sentence, with the million and the unit behind it."""
    at = sentence.rfind(number) if len(number) <= LONGEST else -1
    scale = _SCALED.match(sentence, at + len(number)) if at >= 0 else None
    unit = MEASURED.match(sentence, scale.end()) if scale else None
    return number + (scale.group() if scale else "") + (unit.group() if unit else "")
