"""The response is written in the language asked for."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from curate.errors import UserError
from curate.instructions import Unasked, asked, without_code
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class Language(Verifier):
    """`score` is the share of letters in the language's script. Formulas, code, links are not counted.

    It tells scripts apart, and Chinese from Japanese; within the Cyrillic, Arabic and Latin scripts,
    languages by letters that only one has or by their commonest words. It does not tell traditional from
    simplified Chinese, Hindi from Marathi, or a mixture sentence by sentence: `share` of the letters is
    enough. It abstains for fewer than twenty letters (eight of Chinese, Japanese, Korean), and for a text
    in the Latin script with too few common words, or of a language whose words it does not know.

    language: two letters (ISO 639-1). Where it is not set, the row's gold may name one.
    """

    language: str | None = None
    share: float = 0.8
    reads = ("response", "answer")
    examples = (
        (
            dict(
                response="This is what the cat and the dog have seen.",
                answer='{"language": {"language": "en"}}',
            ),
            True,
        ),
        (dict(response="今天天气很好，我们去公园散步吧。", answer='{"language": {"language": "zh"}}'), True),
        (
            dict(
                response="Das ist nicht, was der Hund und die Katze sahen.",
                answer='{"language": {"language": "en"}}',
            ),
            False,
        ),
        (
            dict(
                response="This is what the cat and the dog have seen.",
                answer='{"language": {"language": "ru"}}',
            ),
            False,
        ),
        (dict(response="x = 5", answer='{"language": {"language": "en"}}'), None),
        (dict(response="This is what the cat saw.", answer=None), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.language is not None and self.language not in _SCRIPT:
            raise UserError(f"language was given {self.language!r}; it knows {', '.join(sorted(_SCRIPT))}")

    def row(self, row: Row) -> Verdict:
        try:
            check = asked(self, row["answer"])
        except Unasked as e:
            return Verdict(None, str(e))
        if check.language is None:
            return Verdict(None, "unsupported: no language is asked for")
        text = _NOT_TEXT.sub(" ", without_code(row["response"] or ""))[:LONGEST]
        letters = Counter(script for sign in text if sign.isalpha() and (script := _script(sign)))
        wanted, total = _SCRIPT[check.language], letters.total()
        if total < (8 if wanted[0] in ("CJK", "HIRAGANA", "HANGUL") else 20):
            return Verdict(None, f"unsupported: {total} letters are too few to tell")
        part = sum(letters[script] for script in wanted) / total
        if part < check.share:
            most = letters.most_common(1)[0][0].lower()
            return Verdict(False, f"not_met: {part:.0%} of the letters; most are {most}", score=part)
        return _within(check.language, text, letters, part)


LONGEST = 50_000  # characters
_SCRIPT = {
    code: scripts.split("+")
    for scripts, codes in {
        "LATIN": "en de fr es it pt nl sv pl tr vi id", "CYRILLIC": "ru uk bg", "ARABIC": "ar fa ur",
        "CJK": "zh", "HIRAGANA+KATAKANA+CJK": "ja", "HANGUL": "ko", "GREEK": "el", "HEBREW": "he",
        "DEVANAGARI": "hi mr", "BENGALI": "bn", "TAMIL": "ta", "TELUGU": "te", "KANNADA": "kn",
        "MALAYALAM": "ml", "GUJARATI": "gu", "GURMUKHI": "pa", "THAI": "th", "GEORGIAN": "ka",
        "ARMENIAN": "hy",
    }.items()
    for code in codes.split()
}  # fmt: skip
_OWN = {  # letters that this language has, of those that share its script
    "uk": "іїєґ", "ru": "ыэё", "fa": "پچژگ", "ur": "ٹڈڑںے",
}  # fmt: skip
_COMMON = {
    "en": "the of and to in is that it for was with as on are this be have not you which by from or what",
    "de": "der die und das ist nicht ein eine zu den mit sich des auf für von im dem auch wir es dass sind",
    "fr": "le la les et est des un une du que dans pour qui pas sur au avec ce nous plus il sont par vous se",
    "es": "el la los las y es que en un una del por con no se para su al lo como más está son pero esta",
    "it": "il la che e di è un una per non sono con del si le della gli nel come più anche questo i alla da",
    "pt": "o a os e é que em um uma do da não para com por se mais no na como dos são ao está você",
    "nl": "de het een en van is dat niet op te zijn met voor er aan ook die als maar wij naar bij hij wordt",
    "sv": "och att det är som en på för av med den inte till har jag ett om vi kan de var från sig men",
    "pl": "w i na z się nie jest to do że jak dla od o po są tego ale przez oraz co jego które czy",
    "tr": "ve bir bu için ile çok daha olarak gibi olan ne var da de ama sonra kadar her değil en ben o mi",
    "vi": "và của là các có được trong một cho không người với những này để khi đã về tôi từ như cũng",
    "id": "yang dan di dari untuk dengan ini pada tidak adalah itu dalam ke akan juga saya atau oleh bisa",
}
_WORDS = {code: frozenset(words.split()) for code, words in _COMMON.items()}
_NOT_TEXT = re.compile(
    r"`[^`\n]*`|\$\$[^$]{0,2000}\$\$|\$[^$\n]{0,500}\$|\\\[(?:(?!\\\[).){0,2000}?\\\]|\\\((?:(?!\\\().){0,500}?\\\)"
    r"|\\[a-zA-Z]+|https?://\S+|<[^<>\n]{0,200}>",
    re.DOTALL,
)


def _script(sign: str) -> str:
    return "LATIN" if sign.isascii() else unicodedata.name(sign, "").partition(" ")[0].partition("-")[0]


def _within(language: str, text: str, letters: Counter[str], part: float) -> Verdict:
    """The script is right; whether the language is, of those that are written in it."""
    if language in ("zh", "ja"):
        kana = letters["HIRAGANA"] + letters["KATAKANA"]
        japanese = kana >= 0.05 * letters.total()
        return _verdict(japanese == (language == "ja"), "japanese" if japanese else "chinese", part)
    if language in ("ru", "uk", "bg", "ar", "fa", "ur"):
        found = _by_letters(_SCRIPT[language][0], text.lower())
        return _verdict(found == language, found, part)
    if language not in _WORDS:
        return Verdict(True, "met", score=part)
    hits = Counter({code: 0 for code in _WORDS})
    for word in re.findall(r"[^\W\d_]+", text.lower()):
        hits.update(code for code, common in _WORDS.items() if word in common)
    (first, most), (_, next_most) = hits.most_common(2)
    if most < 3 or most < 1.3 * next_most:
        return Verdict(None, "unsupported: too few common words to tell the language", score=part)
    return _verdict(first == language, first, part)


def _verdict(met: bool, found: str, part: float) -> Verdict:
    return Verdict(met, "met" if met else f"not_met: it looks like {found}", found, part)


def _by_letters(script: str, text: str) -> str:
    """The language of a Cyrillic or Arabic text, by the letters that only one has."""
    alike = {code: sum(map(text.count, own)) for code, own in _OWN.items() if _SCRIPT[code][0] == script}
    best = max(alike, key=lambda code: alike[code])
    if alike[best]:
        return best
    return "ar" if script == "ARABIC" else "bg" if "ъ" in text else "ru"
