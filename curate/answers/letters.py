"""Which option letters a text names: a short answer, or a sentence that chooses.

A letter is a capital Latin letter, full-width, circled, bold or in brackets too; Arabic, Korean and Chinese
option letters count as the Latin letter of the same place. A letter that is only ruled out is not named.
"""

from __future__ import annotations

import re
import unicodedata

from curate.answers.phrases import decide
from curate.answers.tidy import plain

USUAL = "ABCDEFGHIJ"  # the letters that count where nobody lists the options
_SERIES = ("أبجده", "ابجده", "가나다라마", "ㄱㄴㄷㄹㅁ", "甲乙丙丁戊", "アイウエオ", "कखगघङ")
_PLACES = str.maketrans({letter: "ABCDE"[i] for series in _SERIES for i, letter in enumerate(series)})
_HOMOGLYPHS = str.maketrans("АВСЕНавсе", "ABCEHabce")  # Cyrillic that only looks Latin
_NOUNS = (
    r"options?|choices?|answers?|letters?|alternatives?|statements?|figures?|pictures?|opci[oó]n(?:es)?"
    r"|opç(?:ão|ões)"
    r"|opzion[ei]|alternativas?|antworten?|antwort|auswahl|möglichkeit|réponses?|choix|lettre|letra"
    r"|lettera|buchstabe"
    r"|вариант(?:ы|а)?|ответ(?:ы|а)?|seçenek|şık|phương án|đáp án|pilihan|jawaban|opcja|odpowiedź|optie"
    r"|antwoord"
    r"|选项|選項|答案|选|選|第|선택지|보기|정답|選択肢|答え|الخيار|الإجابة|विकल्प|ข้อ|ตัวเลือก"
)
_SAYS = re.compile(
    rf"(?:(?:{_NOUNS}|the|correct|best|right|final|either|my|i think|i believe|(?:i |we )?(?:choose"
    rf"|select|pick)|most|appropriate|only|is|are|be|as|both|just|definitely|clearly"
    r"|indeed|thus|therefore|hence|so|which|(?:it|that)['’]s|it|must|would|should|l[ae]|el|é|è|es|est|ist|die|der"
    r"|das|は|是|为|為|[:：=])"
    r"[\s*,]{0,3}){1,8}(?-i:(?![a-z]))",
    re.IGNORECASE,
)
_ONE = r"\(?\[?\s?([A-Z])\s?[)\]]?"
_NEXT = re.compile(
    r"\s{0,3}(?:[,、;/&+]|\band\b|\bor\b|\bund\b|\boder\b|\bet\b|\bou\b|\by\b|\bo\b|\be\b|\bи\b|\bили\b"
    r"|\bve\b|[和与與及或]|または|と|와|과|및|و|还是|還是|아니면|또는|それとも)"
    r"{1,2}(?:\s{0,3}(?:and|or|和|option|choice))?\s{0,3}" + _ONE + r"(?![A-Za-z0-9'’^_=+*-])",
    re.IGNORECASE,
)
_RUN = re.compile(r"\(?([A-Z](?: ?[A-Z]){1,9})\)?(?=[\s.).,:;]|[^\x00-\x7f]|\Z)")
_FULL = re.compile(
    r"\(?\[?\s?[A-Z]\s?(?:[)\]].*|[.:,、;!\n].*|[^\x00-\x7f].*|- (?![A-Za-z]\b).*|\(.*"
    r"|(?<=\s)(?:because|since|as|due|based|by|which|for|is (?:the |also )?(?:correct|right|best|true"
    r"|answer)).*)?",
    re.DOTALL,
)


def latin(text: str) -> str:
    """One spelling of letters: full-width, circled and bold ones are plain, thin brackets too."""
    text = unicodedata.normalize("NFKC", text) if not text.isascii() else text
    text = re.sub(r"\[\[([A-Z])\]\]", r"[\1]", text)
    return text.translate(str.maketrans("【】〔〕「」『』［］，．：、", "()()()()[],.:,"))


def letters(text: str, allowed: str = USUAL) -> set[str]:
    """The option letters that a short answer names: "(E)", "C. 12", "option B", "A and C", "ABD".

    allowed: the letters that are options, in upper case. A single small letter, or one in brackets, counts.
    """
    if len(text) > 1000:
        return set()
    short = latin(plain(text)).strip(" *_\"'“”‘’,;:!")
    if re.fullmatch(r"[A-Z]{2,10}", short) and set(short) <= set(allowed) and len(set(short)) == len(short):
        return set(short)
    decided = decide("", short)
    if decided is None:
        return set()
    short = decided.strip(" *_\"'“”")
    for _ in range(2):
        said = _SAYS.match(short)
        short = short[said.end() :].strip(" *_") if said else short
    short = plain(short)
    if re.fullmatch(r"[(\[]?[a-zа-я][)\].]?", short):
        short = short.upper()
    if len(short.strip("()[]. ")) == 1:
        short = short.translate(_PLACES).translate(_HOMOGLYPHS)
    return _named(short, allowed)


def _named(short: str, allowed: str) -> set[str]:
    """The letters with which a text begins: a run ("ABD"), or one and those that are joined to it."""
    run = _RUN.match(short)
    if run:
        found = run.group(1).replace(" ", "")
        if len(set(found)) == len(found) and set(found) <= set(allowed):
            return set(found)
    first = re.match(_ONE, short) if _RULED_OUT.match(short) is None else None
    if first is None or not _FULL.fullmatch(short) and not _NEXT.match(short, first.end()):
        return set()
    if first.group(1) not in allowed or re.match(r"\s?(?:[=+*^_<>≤≥]|-(?! ))", short[first.end() :]):
        return set()
    found, at = {first.group(1)}, first.end()
    while more := _NEXT.match(short, at):
        if more.group(1).upper() not in allowed or (more.group(1).islower() and "(" not in more.group()):
            break
        found.add(more.group(1))
        at = more.end()
    return found


_L = r"(?<![A-Za-z0-9'’])[A-Z](?![A-Za-z0-9'’])"
_LIST = rf"\(?{_L}\)?(?:\s?(?:,|、|和|与|, and|and|, or|or|&)\s?\(?{_L}\)?){{0,9}}"
_MENTION = re.compile(
    rf"(?i:\b(?:{_NOUNS})|(?<=选项)|(?<=选择)|(?<=[选選]))[\s:*]{{0,3}}({_LIST})"
    rf"|\(([A-Z])\)|\*\*({_LIST})[.):]{{0,2}}(?:\s[^*\n]{{0,80}})?\*\*"
    rf"|({_L})(?=\s?(?:选项|選項|项|項|正确|正確|가 정답|이 정답|が正解))"
    rf"|({_LIST})(?= (?i:(?:is|are|would be|must be|seems?|remains)\s(?:\w+ ){{0,2}}"
    r"(?:correct|right|best|true|answers?|only|valid|choice|option|left)))"
    rf"|\b(?i:is|be|choose|select|pick|only|with|leaves|leaving|so|therefore,?|thus,?"
    rf"|hence,?)\s({_LIST})(?=[\s.,;)*]*(?:\Z|[.\n]))"
)
_RULED_OUT = re.compile(
    rf"(?:(?i:\b(?:options?|choices?|answers?|statements?)\s)|选项)?{_LIST}"
    r"(?:\s?选项)?\s?(?:(?:is|are|was|were|must be|seems?|can be|都|均|是|也)\s?){0,2}"
    r"(?:(?:clearly|obviously|also|both|all|therefore|definitely)\s){0,2}"
    r"(?:n['’]t\b|not\b|wrong|incorrect|false|impossible|eliminated|ruled out|excluded|invalid"
    r"|too (?:large|small|big)"
    r"|out\b|错误|不正确|不对|错|排除|不符合|cannot\b|can['’]t\b|do(?:es)?(?:n['’]t"
    r"| not)\b)[^.;,，。；]{0,80}"
    r"|(?i:\b(?:not|n['’]t|cannot|can['’]t|eliminat\w+|exclud\w+|rul\w+ out|reject\w*|discard\w*"
    r"|rather than|instead of"
    rf"|unlike|than)\s(?:be\s|choose\s)?(?:options?\s|choices?\s)?){_LIST}|(?:排除|不选)(?:选项)?{_LIST}"
)


_ASKED = re.compile(r"\b(?:[Ii]s|[Cc]ould|[Cc]an|[Ww]ould)\s[^.?!\n]{1,80}\?(?=\s*\S)")


def chosen_in(sentence: str, allowed: str = USUAL) -> set[str]:
    """The letters that a sentence chooses; of "A is wrong, so B" it is B."""
    text = _RULED_OUT.sub(" ", _ASKED.sub(" ", latin(plain(sentence[:2000]))))
    found: set[str] = set()
    for mention in _MENTION.finditer(text):
        name = next(g for g in mention.groups() if g)
        found |= set(re.findall(_L, name)) & set(allowed)
    return found
