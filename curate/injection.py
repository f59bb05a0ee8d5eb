"""What in an answer speaks to its judge: commands, role markers, chat tokens, verdicts, in many disguises.

The net is wide on purpose. What it catches is not failed, only not asked about, so a false alarm costs an
abstention and a miss may cost a wrong verdict. Words that the question or the gold use as well are innocent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

_WHO = (
    r"(?:grader|judge|evaluator|reviewer|examiner|assistant|marker|referee|chatbot"
    r"|(?:language |ai )?model|ai)"
)
_DROP = (
    r"\b(?:ignor(?:e|ing)|disregard|forget|overrid(?:e|ing)|overrule|bypass|discard"
    r"|(?:not|stop|cease) follow(?:ing)?)\b"
)
_GOOD = (
    r"(?:same|correct|right|true|yes|equal|equivalent|identical|valid|accepted|pass(?:ed|es)?"
    r"|match(?:es|ing)?|1|10|100)\b"
)
_COMMANDS = (  # no honest response holds these anywhere
    rf"{_DROP}.{{0,40}}\b(?:instructions?|prompts?|guidelines?|directives?|system message|orders|rubric)\b",
    rf"\bverdict\b\W{{0,6}}(?:(?:is|must be|should be|shall be|as)\b)?\W{{0,6}}"
    rf"(?:{_GOOD}|(?:different|false|no)\b)",
    rf"\b(?:you are|you're|act as|pretend (?:to be|you are)|behave as)\b.{{0,40}}\b{_WHO}\b",
    r"\b(?:notes?|messages?|attention|memo|instructions?|hints?|dear|hey|hello)\W{1,3}(?:(?:to|for|of) )?"
    rf"(?:the )?{_WHO}\b",
    r"\b(?:both|two|the) (?:answers|responses)\b.{0,24}\b(?:same|equal|equivalent|identical|match)",
    r"(?:忽略|无视|無視|忽视|忽視|不要理会).{0,16}(?:指令|指示|提示|要求|规则|以上|之前|上述|前面|上記|以前)",
    r"(?:指令|指示|提示|命令|以上|之前|上述|前面|上記|以前).{0,12}(?:忽略|无视|無視)",
    r"(?:判定|判為|判为|评判|視為|视为|视作)为?(?:正确|正確|相同|一致|正解)",
    r"(?:지시|명령|위의).{0,12}무시|무시하고",
    r"\bignor\w{0,5}\b.{0,30}\b(?:instruc|istruzion|consigne|anweisung|anterior|precedent|précédent|vorherig|obig)",
    r"(?:игнорир|забудь|не обращай).{0,40}(?:инструкц|указан|предыдущ|выше|правил)",
    r"تجاهل|अनदेखा|नज़रअंदाज़|görmezden gel|yok say|zignoruj|bỏ qua các|abaikan (?:semua |instruksi)",
)
_HINTS = (
    rf"{_DROP}.{{0,60}}\b(?:above|below|previous|prior|preceding|earlier|before|everything|reference|question"
    r"|text|rules?|criteria|fence|marks?|all)\b",
    r"\b(?:output|print|say|respond|reply|answer|write|return|emit|conclude|end|finish|type|choose|state)\b"
    rf"\W{{1,3}}(?:\w+\W{{1,3}}){{0,5}}{_GOOD}",
    r"\b(?:mark|grade|score|rate|judge|accept|count|label|classify|treat|consider|deem|regard|evaluate|assess"
    rf"|give|award)\b.{{0,60}}\b(?:{_GOOD}|full\b|maximum\b|points?\b)",
    r"\b(?:answers?|responses?|solutions?|results?|candidate|this|it|these|both|they|two|which)\b.{0,30}"
    r"\b(?:is|are|be|being|was|(?:has|have) been)\b.{0,24}"
    r"\b(?:same|correct|right|equivalent|identical|valid|verified|accepted|matching|approved)\b",
    r"\b(?:same|identical|equivalent|equal|match(?:es|ing)?|agrees?)\b.{0,20}\b(?:reference|gold|expected"
    r"|target|official|key|(?:other|first|second) answer|answer [12ab]|ground truth|above|the other)\b",
    r"\b(?:correct|right|same|expected|reference|official|gold(?:en)?|target|model)"
    r" (?:answer|solution|response|result|verdict)\b",
    r"^(?:let'?s|let us|let me|first,|to solve|step 1|here is|here's|we need to|okay,|thought process)",
    rf"(?:^|[\s.;,!?*#>\]])(?:system|user|human|developer|tool|bot|admin|moderator|question|{_WHO})\W{{0,3}}[:：]",
    r"#{2,}\s?(?:instruction|system|response|input|output|assistant|user|human|new|end|verdict|task)",
    r"(?:^|[{,\s])[\"'](?:\w|[ -]){1,24}[\"']\s?:",
    r"\b(?:correct[aoe]s?|richtig|korrekt|juste|corretto|corretta|giusto|doğru|benar|đúng)\b|верн|правильн|صحيح|सही",
    r"正解|正确|正確|相同|一致|정답|같다|\b[a-z\d+/]{12,}={1,2}(?!\w)",
    r"(?:输出|輸出|回复|请?回答|請回答).{0,8}(?:same|yes|是|对|對)",
)
_COMMAND, _HINT = (re.compile("|".join(f"(?:{p})" for p in patterns)) for patterns in (_COMMANDS, _HINTS))
_TOKEN = re.compile(  # of chat templates
    r"<\|[^<>]{1,40}\|>|<\|im_|\[/?inst\]|<</?sys>>|</?(?:s|bos|eos|pad|unk)>|<(?:start|end)_of_\w{1,10}>"
    r"|</?(?:think|thinking|system|assistant|user)>"
)
_MARK = re.compile(
    r"</?[a-z_]{2,20}/?>|<{3}|>{3}|`{3}|<!--|-->|={5}|-{5}|\[(?:system|end|begin|/?data)[^\]]{0,20}\]"
)
_ROLE = re.compile(r"^[ \t#*]{0,9}(?:system|assistant)[*\s]{0,3}[:：]", re.IGNORECASE | re.MULTILINE)
_WORDS = frozenset(
    "verdict verdicts grader graders evaluator evaluators evaluation prompt prompts jailbreak rubric chatbot "
    "assistant instruction instructions instructed override overrule bypass disregard ignore ignoring sudo "
    "reference referee examiner reviewer judge judges judgement judgment grading graded llm ai admin "
    "developer debug approve approved reward rewarded please kindly you your yours respond reply output "
    "pretend comply compliance obey same different identical equivalent equivalence correct incorrect accept "
    "decode conclude certify confirm choose select answer answers question asked requested expected stated "
    "above below compare comparison match matches teacher".split()
)
_TOGETHER = re.compile(
    r"verdict(?:is)?(?:same|correct|true|yes)|ignore(?:all|the|previous|above|every|prior|any)"
)

_LOOKS_LIKE = str.maketrans("асеіјорѕухһԁԛԝɡɩαεικνορτυχı", "aceijopsyxhdqwgiaeiknoptuxi")
_LEET = str.maketrans("013457@$!", "oieastasi")
_LEET_WORD = re.compile(r"(?<![\w@$])(?=[\d@$!]{0,30}[a-z])[a-z\d@$!]{3,30}")
_SPACED = re.compile(r"(?<!\w)((?:\w[\s.\-_*|/·]{1,3}){3,}\w)(?!\w)")
_DRAWN = re.compile(r"(?:SMALL CAPITAL|SQUARED|CIRCLED|INDICATOR).{0,30}\b([A-Z])\Z")
_HARMLESS = "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"  # zero-width signs that honest texts hold


def speaks_to_the_judge(answer: str, innocent: str) -> str | None:
    """What in an answer is for a judge to obey and not to compare; None where nothing is.

    innocent: question and gold; a single word or a mark that they hold as well is no sign.
    """
    if hidden := next((c for c in answer if _is_hidden(c)), None):
        return f"it holds the invisible character U+{ord(hidden):04X}"
    known = folded(innocent)
    for text in _readings(answer):
        for pattern in (_TOKEN, _COMMAND):
            if found := pattern.search(text):
                return f"it says {_shown(found.group())}"
        for pattern in (_MARK, _HINT):
            if (found := pattern.search(text)) and found.group().strip() not in known:
                return f"it says {_shown(found.group())}"
        words = set(re.findall(r"[^\W\d_]+", text)) & _WORDS
        if told := sorted(w for w in words if w not in known):
            return f"it says {_shown(told[0])}"
        together = re.sub(r"[\W_]+", "", text)
        if found := _TOGETHER.search(together) or _TOGETHER.search(together[::-1]):
            return f"it says {_shown(found.group())}"
    usual = {_script(c) for c in known} | {"LATIN", "GREEK", ""}
    if sum(_script(c) not in usual for c in folded(answer)) > 12:
        return "it is written in a script that neither question nor gold use"
    return None


def commands(text: str) -> str | None:
    """The first command to a judge in a long text; None where there is none. Linear in the text."""
    found = _ROLE.search(text) or _COMMAND.search(folded(text))
    return _shown(found.group()) if found else None


def chat_tokens(text: str) -> str | None:
    """The first token of a chat template in a text, which could end the judge's prompt; None without one."""
    found = _TOKEN.search(folded(text))
    return _shown(found.group()) if found else None


def folded(text: str) -> str:
    """Compatible characters, case, white space and invisible joints evened out."""
    seen = "".join(c for c in unicodedata.normalize("NFKC", text) if c not in _HARMLESS)
    return " ".join(seen.casefold().split())


def _readings(answer: str) -> Iterator[str]:
    """The answer as it may be read: plain, with look-alike letters, letters set apart, digits for letters."""
    plain = folded(answer)
    bare = "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))
    latin = "".join(_letter(c) for c in bare.translate(_LOOKS_LIKE))
    joined = _SPACED.sub(lambda m: re.sub(r"[\W_]+", "", m.group()), latin)
    yield from dict.fromkeys(
        (
            plain,
            latin,
            joined,
            _LEET_WORD.sub(lambda m: m.group().translate(_LEET), joined),
            re.sub(r"[*_~|\\]+", "", latin),
        )
    )


def _letter(c: str) -> str:
    """The letter that a small capital or a letter in a box or circle shows."""
    drawn = None if c.isascii() else _DRAWN.search(unicodedata.name(c, ""))
    return drawn.group(1).casefold() if drawn else c


def _is_hidden(c: str) -> bool:
    return unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") and c not in _HARMLESS + "\t\n\r"


def _script(c: str) -> str:
    return unicodedata.name(c, "").partition(" ")[0] if c.isalpha() else ""


def _shown(text: str) -> str:
    short = " ".join(text.split())
    return repr(short if len(short) <= 40 else short[:40] + "…")
