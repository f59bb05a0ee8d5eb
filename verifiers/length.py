"""The response is as long as asked: words, sentences, paragraphs, characters."""

from __future__ import annotations

from dataclasses import dataclass, fields

from curate.errors import UserError
from curate.instructions import Unasked, asked, paragraphs, words
from curate.pieces import sentences
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class Length(Verifier):
    """Every bound that is set must hold; bounds are inclusive. Where none is set, the row's gold may.

    Words are as people count them, and a Chinese or Japanese character is one; sentences end at full stops or
    at the end of a line, so that an item of a list is one; paragraphs lie between blank lines; characters are
    those of the response without white space around it. Only the response counts, never the thinking.
    """

    min_words: int | None = None
    max_words: int | None = None
    min_sentences: int | None = None
    max_sentences: int | None = None
    min_paragraphs: int | None = None
    max_paragraphs: int | None = None
    min_characters: int | None = None
    max_characters: int | None = None
    version = 2
    reads = ("response", "answer")
    examples = (
        (dict(response="One two three.", answer='{"length": {"min_words": 3, "max_words": 3}}'), True),
        (dict(response="Is it? It is.\n\nYes.", answer='{"length": {"min_sentences": 3}}'), True),
        (dict(response="One two three.", answer='{"length": {"max_words": 2}}'), False),
        (dict(response="", answer='{"length": {"min_characters": 1}}'), False),
        (dict(response="One two three.", answer=None), None),
        (dict(response="One two three.", answer='{"length": {"max_words": "many"}}'), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        for name, most in given.items():
            least = given["min_" + name[4:]]
            if most is not None and (most < 0 or (least or 0) > most and name.startswith("max")):
                raise UserError(
                    f"length was given {name}={most}, and min_{name[4:]}={least}: no text is so long"
                )

    def row(self, row: Row) -> Verdict:
        try:
            check = asked(self, row["answer"])
        except Unasked as e:
            return Verdict(None, str(e))
        return check._judged((row["response"] or "").strip())

    def _judged(self, text: str) -> Verdict:
        counts = {"words": words, "sentences": sentences, "paragraphs": paragraphs, "characters": str}
        found, broken = [], []
        for unit, count in counts.items():
            least, most = getattr(self, f"min_{unit}"), getattr(self, f"max_{unit}")
            if least is None and most is None:
                continue
            n = len(count(text))  # type: ignore[operator]
            found.append(f"{n} {unit}")
            if least is not None and n < least:
                broken.append(f"{n} {unit} < {least}")
            if most is not None and n > most:
                broken.append(f"{n} {unit} > {most}")
        return Verdict(not broken, "not_met: " + ", ".join(broken) if broken else "met", ", ".join(found))
