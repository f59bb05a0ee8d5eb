"""The words that announce an answer, language by language.

A noun counts with a copula of its language or a colon after it ("die Antwort lautet", "答案是", "Ответ:"). A
language is tried only where one of its nouns occurs, so those that a text does not use cost nothing.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Language(NamedTuple):
    """The nouns are searched as they stand, in lower case; the pattern is tried where one occurs."""

    nouns: tuple[str, ...]
    pattern: re.Pattern[str]


_COLON = r"[:：]"
_MARKUP = r"[*_\s]{0,4}"


def _spaced(nouns: str, copulas: str, *, bare: bool = False) -> Language:
    """A language that writes spaces: up to three words may stand between the noun and its copula.

    bare: a numeral, an option letter or mathematics may follow the noun at once (the copula comes last).
    """
    between = rf"{_MARKUP}(?:[ ]\(?[^\W\d_]{{1,16}}\)?){{0,3}}?{_MARKUP}"
    after = rf"(?:(?<!\w)(?:{copulas})(?!\w)|{_COLON})"
    direct = r"[ \t](?=[-−]?\d|\$|\\|\(?(?-i:[A-Z])\b)|" if bare else ""
    pattern = rf"(?<!\w)(?:{nouns})[^\W\d_]{{0,3}}(?:{direct}{between}{after}|{_MARKUP}[=＝])"
    return Language(tuple(nouns.lower().split("|")), re.compile(pattern, re.IGNORECASE))


def _unspaced(nouns: str, copulas: str) -> Language:
    """A language that writes no spaces, or joins particles to the noun."""
    pattern = rf"(?:{nouns})(?:{_MARKUP}(?:{copulas}|{_COLON}|[=＝]))"
    return Language(tuple(nouns.lower().split("|")), re.compile(pattern, re.IGNORECASE))


_ENGLISH_IS = (
    r"(?:(?:is|are|was|isn['’]t|aren['’]t|will be|(?:should|would|must|might|could|may) be"
    r"|comes? (?:out )?to(?: be)?"
    r"|equals|be)\b"
    r"|[:：])"
)
_ENGLISH_BETWEEN = (
    r"(?: (?:we|i|you|that|get|got|find|found|above|here|then|now|thus|therefore|indeed|again|seek"
    r"|given|required"
    r"|sought|is required|clearly|should|would|must|really|actually|surely)){0,3}[*_]{0,3} ?"
)
ENGLISH = re.compile(
    rf"(?:\banswers?(?: option| number| choice)?(?:{_ENGLISH_BETWEEN}(?:{_ENGLISH_IS}|=)"
    rf"|(?: (?:to|for|in|of) [^.:=\n]{{1,80}}?| \([^()\n]{{1,30}}\)){_ENGLISH_BETWEEN}{_ENGLISH_IS})"
    r"|\b(?:correct|right|best|final) (?:choice|option|alternative|letter|statement"
    r"|figure)[*_]{0,3} ?(?:(?:is|would be|must be)\b|[:：])"
    r"|^[*_# ]{0,6}A[*_]{0,3} ?[:：][*_]{0,3}(?=\s)|\bans\b ?[:.=]|\bfinal answer\*{0,2}\s{0,3}\n"
    r"|^[*_# ]{0,6}(?:(?:the|my) )?(?:final |correct )?answer[*_]{0,3}[ ]?(?:\n|[-–—]+>?(?=\s)))"
    r"(?: ?(?:indeed|definitely|therefore|thus|simply|exactly|just|clearly|option)\b)?",
    re.IGNORECASE | re.MULTILINE,
)
WEAK = re.compile(
    r"(?:\b(?:final |end )?results?(?: is| are|:|=)|\b(?:final )?solutions?(?: set)?(?: is| are|:|=)"
    r"|\bEndergebnis(?: ist| lautet|:)|\bErgebnis(?: ist| lautet|:)|\brésultats?(?: final)?(?: est|:| :)"
    r"|\bresultados?(?: final)?(?: es| é|:)|\brisultato(?: finale)?(?: è|:)|\bwynik(?: to|:)"
    r"|\bhasil(?:nya)?(?: adalah|:)"
    r"|\bresultaat(?: is|:)|\bsonuç(?: olarak|:)|\bрезультат(?: равен|:)|\bkết quả(?: là|:)|结果(?:是"
    r"|为|：|:)|結果は"
    r"|النتيجة(?: هي|:)|결과는|परिणाम(?: है|:))[*_]{0,3}\s{0,3}(?=[-−+$\\(*]{0,4}\d|\$|\\)",
    re.IGNORECASE,
)
LANGUAGES = {
    "Chinese": _unspaced(
        r"答案|答",
        r"(?:应该|應該|应当|最终|就|便|只能|选项|選項)?(?:并非|並非|不?[是为為选選])|应为"
        r"|應為|】|\]",
    ),
    "Chinese choice": Language(
        ("选", "選"),
        re.compile(
            r"(?:故|应|應|所以|因此|因而|则|則|可|应当)?[选選](?:择|擇)?(?:的)?(?:答案|选项|選項)?(?:是"
            r"|为|為)?[:：]?"
            r"(?=\s?[(（【「]?\s?[A-ZＡ-Ｚ](?-i:(?![a-z项項])))"
        ),
    ),
    "Japanese": _unspaced(r"答え|答|解答|正解|回答", r"は、?|が|】|の?値は"),
    "Korean": _unspaced(r"정답|답변|답", r"[은는이]|】"),
    "German": _spaced("antwort|lösung", "ist|sind|lautet|lauten|wäre|beträgt"),
    "French": _spaced("réponse|reponse", "(?:n['’])?est|(?:ne )?sont|vaut|serait|égale"),
    "Spanish": _spaced("respuesta", "es|son|sería|será"),
    "Portuguese": _spaced("resposta", "é|são|e|seria|será"),
    "Italian": _spaced("rispost", "è|e'|sono|sarebbe|sarà"),
    "Catalan": _spaced("respost", "és|són"),
    "Romanian": _spaced("răspuns|raspuns", "este|e|sunt"),
    "Dutch": _spaced("antwoord", "is|zijn|luidt"),
    "Scandinavian": _spaced("svar", "är|er|blir", bare=True),
    "Finnish": _spaced("vastaus", "on"),
    "Polish": _spaced("odpowiedź|odpowiedz", "to|jest|brzmi|wynosi"),
    "Czech": _spaced("odpově|odpoveď", "je|zní"),
    "Hungarian": _spaced("válasz", "az?"),
    "Russian": _spaced("ответ", "равен|является|это|составляет|—|–|-", bare=True),
    "Ukrainian": _spaced("відповідь", "є|це|дорівнює|—|–|-", bare=True),
    "Bulgarian": _spaced("отговор", "е"),
    "Greek": _spaced("απάντηση", "είναι"),
    "Turkish": _spaced("ceva|yanıt", "şudur|olarak|şu", bare=True),
    "Vietnamese": _spaced("đáp án|đáp số|câu trả lời|trả lời", "là"),
    "Indonesian": _spaced("jawaban|jawapan", "adalah|ialah|yaitu|yakni"),
    "Filipino": _spaced("sagot", "ay"),
    "Swahili": _spaced("jibu", "ni"),
    "Arabic": _spaced("الجواب|الإجابة|الاجابة|إجابة|جواب|الحل", "هو|هي|تكون|يساوي|تساوي", bare=True),
    "Hebrew": _spaced("התשובה|תשובה", "היא|הוא", bare=True),
    "Persian": _spaced("پاسخ|جواب", "برابر|عبارت|است", bare=True),
    "Hindi": _spaced("उत्तर|जवाब", "है|हैं|होगा", bare=True),
    "Bengali": _spaced("উত্তর", "হল|হলো|হয়|হবে", bare=True),
    "Tamil": _spaced("விடை|பதில்", "என்பது", bare=True),
    "Thai": _unspaced("คำตอบ", r"(?:ที่ถูกต้อง|สุดท้าย)?(?:คือ|เป็น)"),
}
