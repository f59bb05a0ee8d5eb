"""What a judge is asked about a row, fenced so that no text passes for the prompt; or why it is not asked."""

from __future__ import annotations

import re
from typing import NamedTuple

from curate.answers import LONGEST, Answer, final_answer, final_value, last_words, plain
from curate.injection import chat_tokens, commands, speaks_to_the_judge
from curate.schema import Row, content_hash
from curate.step import Verdict

LONGEST_TEXT = 20_000  # characters of a question or a gold
ROOM = 300  # characters that an answer may have besides six times those of the gold
TAIL = 20_000  # characters at the end of a response in which commands to the judge are looked for
_OPENERS = frozenset(  # said before an answer; said as one, they have fooled judges (arXiv 2507.08794)
    "solution|answer|the answer|final answer|the final answer|result|explanation|thought process|reasoning"
    "|let's solve this problem step by step|let me think|let me solve this step by step|step by step"
    "|解|解答|答案|答|かいせつ|解説|풀이|정답|respuesta|solución|réponse|lösung|antwort|ответ|решение".split(
        "|"
    )
)


_DRESS = re.compile(  # LaTeX that holds an answer and is none
    r"\\(?:boxed|fbox|text\w*|math[a-z]+|[dtc]?frac|sqrt|left|right|begin|end|quad|ldots|cdots|dots|hspace)(?![a-z])"
)


class Asked(NamedTuple):
    """The texts that a judge may see, and the mark of their fences. question and gold may be None."""

    question: str | None
    gold: str | None
    said: str
    mark: str


def to_judge(row: Row, *, gold: bool = True) -> Asked | Verdict:
    """What to ask about a row, or the verdict where no question to a model is needed or allowed.

    gold: whether a gold answer is needed. The reasoning is never part of what is asked, nor is the response:
    only the final answer in it. A verdict `refused` abstains: nobody has judged the answer.
    """
    if gold and row["answer"] is None:
        return Verdict(None, "no_gold")
    if gold and not row["answer"].strip():
        return Verdict(None, "gold_invalid: it is empty")
    answer, question, response = row["answer"] if gold else None, row["question"], row["response"] or ""
    if max(len(question or ""), len(answer or "")) > LONGEST_TEXT:
        return Verdict(None, "limit: the question or the gold answer is too long to be judged")
    found = said_in(response)
    if found is None or not says_something(found.text, answer):
        return Verdict(False, "no_answer", found.text if found else None)
    if found.several:
        return Verdict(False, "several_answers", found.text)
    said = found.text
    if len(said) > min(LONGEST, ROOM + 6 * len(answer or "")):
        return Verdict(None, "limit: the answer is too long to be judged", said)
    for name, text in (("question", question), ("gold answer", answer)):
        if token := chat_tokens(text or ""):
            return Verdict(None, f"refused: the {name} holds {token}", said)
    if told := speaks_to_the_judge(said, f"{question or ''}\n{answer or ''}"):
        return Verdict(None, f"refused: {told}", said)
    if command := commands(response[-TAIL:]):
        return Verdict(None, f"refused: the response says {command}", said)
    return Asked(question, answer, said, mark(question or "", answer or "", said))


def said_in(response: str) -> Answer | None:
    """The final answer of a response, words included."""
    return final_answer(response) or last_words(response) or final_value(response)


def says_something(said: str, gold: str | None) -> bool:
    """Whether an answer is more than signs, and more than what is said before an answer."""
    words = " ".join(_DRESS.sub(" ", plain(said)).casefold().replace("’", "'").strip(" .:!?*…").split())
    if gold is not None and words == " ".join(plain(gold).casefold().split()):
        return True
    return any(c.isalnum() or c in "∞∅" for c in words) and words not in _OPENERS


def mark(*texts: str) -> str:
    """A word for the fences that none of the texts holds, and that their author could not foresee.

    It is a hash of all of them: whoever wants to write it into one must find a text that holds its own hash.
    """
    number, found = 0, ""
    while not found or any(found in text for text in texts):
        found, number = content_hash("fence", number, *texts)[:16], number + 1
    return found


def fence(name: str, text: str, mark: str) -> str:
    """A text between two lines that hold the mark."""
    return f"<<<{mark} {name}\n{text}\n{name} {mark}>>>"
