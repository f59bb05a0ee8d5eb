"""The list in the response has the gold list's items, in the gold list's order."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from curate.answers import LONGEST, final_answer, last_words, plain
from curate.maths import canonical
from curate.schema import Row
from curate.step import Verdict, Verifier

MOST = 1000  # items
_ALL = 50 * LONGEST  # characters of a whole gold
_NESTED = 3  # brackets around a list that are taken off


@dataclass(frozen=True)
class OrderedList(Verifier):
    r"""`score` is the share of places with the right item. Order and number of items count, brackets do not.

    A list is JSON, numbered or bulleted lines, or items between semicolons, arrows, commas, or signs of order
    (a > b > c). Two items are equal as numbers (0.5 and 1/2) or as texts without case, quotes and type.
    A response that marks no answer answers with the list it ends in. Abstains where the gold is empty.
    """

    reflexive = r"\boxed{%s}"
    version = 3
    reads = ("response", "answer")
    examples = (
        (dict(response=r"In order: \boxed{1/2, 3, x}", answer="[0.5, 3, x]"), True),
        (
            dict(response="The answer is Mercury, Venus and Earth.", answer='["Mercury", "Venus", "Earth"]'),
            True,
        ),
        (dict(response="So they come like this:\n1. ant\n2. bee\n3. cat", answer="ant, bee, cat"), True),
        (dict(response=r"\boxed{3, 1/2, x}", answer="[0.5, 3, x]"), False),
        (dict(response=r"\boxed{0.5, 3}", answer="[0.5, 3, x]"), False),
        (dict(response="1, 2, 3", answer="[]"), None),
    )

    def row(self, row: Row) -> Verdict:
        if row["answer"] is None:
            return Verdict(None, "no_gold")
        if len(row["answer"]) > _ALL:
            return Verdict(None, f"limit: a gold of over {_ALL:,} characters")
        marked = final_answer(row["answer"])
        gold = _items(marked.text if marked and marked.where == "boxed" else row["answer"])
        if not gold:
            return Verdict(None, "gold_invalid: a list without items")
        if max(len(gold), *map(len, gold)) > LONGEST:
            return Verdict(None, f"limit: a gold of over {MOST:,} items or {LONGEST:,} characters")
        text, where, several = _said(row["response"] or "")
        if several:
            return Verdict(False, "several_answers", text[:200])
        said = _items(text)
        if not said:
            return Verdict(False, "no_answer: no list")
        right = sum(_same(a, b) for a, b in zip(gold, said, strict=False))
        score = right / max(len(gold), len(said))
        if score == 1:
            return Verdict(True, f"equal: {where}", text, 1.0)
        note = (
            f"{len(said)} items for {len(gold)}"
            if len(gold) != len(said)
            else f"{right} of {len(gold)} places"
        )
        return Verdict(False, f"different: {note}", text[:LONGEST], score)


_LINE = re.compile(r"[ \t]*(?:\(?\d{1,4}[.):]|[-*•–])[ \t]+(\S.*)")


def _said(response: str) -> tuple[str, str, bool]:
    """The text that holds the list, where it was found, and whether there are several."""
    if found := final_answer(response):
        return found.text, found.where, found.several
    if listed := _listed(response):
        return "\n".join(listed), "lines", False
    start = max(response.rfind("\n["), 0)
    if response.rstrip().endswith("]"):
        return response[start:].strip(), "line", False
    last = last_words(response)
    if last:
        return last.text, last.where, last.several
    lines = response.strip()[-LONGEST:].splitlines()
    return (lines[-1].rpartition(": ")[2] if lines else ""), "line", False


def _listed(response: str) -> list[str]:
    """The items of the last run of numbered or bulleted lines."""
    items: list[str] = []
    for line in reversed(response[-4 * LONGEST :].splitlines()):
        found = _LINE.fullmatch(line)
        if found:
            items.append(line)
        elif items and line.strip():
            break
    return items[::-1] if len(items) > 1 else []


def _items(text: str) -> list[str]:
    text = text.strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, list):
        return [v if isinstance(v, str) else json.dumps(v) for v in found]
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and all(_LINE.fullmatch(line) for line in lines):
        return [_LINE.fullmatch(line)[1] for line in lines]  # type: ignore[index]
    text = re.sub(r"\\(?:left|right)(?![a-z])|\\[,;!]|(?<!\\)\$|\\[()\[\]]", " ", text).strip(" .")
    text = re.sub(r"\\langle|\\rangle|\\([{}])", r"\1", text).strip()
    for _ in range(_NESTED):
        if text and text[0] in "[({<" and _closes(text) == len(text) - 1:
            text = text[1:-1].strip()
    if not text:
        return []
    return [item.strip() for item in _cut(text) if item.strip()]


def _closes(text: str) -> int:
    """Where the bracket that opens the text is closed."""
    deep = 0
    for at, sign in enumerate(text):
        deep += (sign in "[({") - (sign in "])}")
        if not deep:
            return at if sign in "])}" else -1
    return -1


_SIGNS = (
    r"\n",
    ";",
    r"\\(?:to|rightarrow|implies|Rightarrow)(?![a-z])|->|=>|→|⇒|➜",
    r",|，|、",
    ">|\\\\gt(?![a-z])",
    "<|\\\\lt(?![a-z])",
)
_AND = re.compile(r"(?:^|\s)(?:and|then|und|et|y)\s+(?=\S)|\s*\\(?:text|mathrm)\s?\{\s*(?:and|then)\s*\}")


def _cut(text: str) -> list[str]:
    """The parts between the first kind of sign that stands outside of brackets and quotes."""
    deep, quoted, flat = 0, "", []
    for sign in text:
        if sign == '"':
            quoted = "" if quoted else sign
        deep = max(0, deep + (sign in "[({") - (sign in "])}")) if not quoted else deep
        flat.append("\0" if deep or quoted else sign)
    outer = "".join(flat)
    for sign in _SIGNS:
        cuts = [(m.start(), m.end()) for m in re.finditer(sign, outer)][: LONGEST + 1]
        if cuts:
            edges = [(0, 0), *cuts, (len(text), len(text))]
            parts = [text[a[1] : b[0]] for a, b in zip(edges, edges[1:], strict=False)]
            if sign.startswith(",") and (joined := _AND.search(parts[-1])):
                parts[-1:] = [parts[-1][: joined.start()], parts[-1][joined.end() :]]
            return parts
    return re.split(_AND, text) if _AND.search(outer) else [text]


def _same(gold: str, said: str) -> bool:
    left, right = (_normal(t) for t in (gold, said))
    return left == right or (len(gold) < 300 and len(said) < 300 and canonical(left) == canonical(right))


def _normal(text: str) -> str:
    return plain(text.strip().strip("\"'`*").strip()).casefold().rstrip(".")
