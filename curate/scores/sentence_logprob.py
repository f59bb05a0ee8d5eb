"""Every sentence of a trace has the probability that a model gives it: the geometric mean of its tokens'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from curate.errors import UserError
from curate.pieces import by_piece, joined, sentences
from curate.schema import SPANS, Row
from curate.step import Score


@dataclass(frozen=True)
class SentenceLogprob(Score):
    """From `{of}_tokens`, as `token_logprobs` writes it; `{of}_sentences` is a span for each sentence.

    value: exp of the mean log-probability of the tokens whose first character that is no space stands in the
    sentence, from 0 to 1; null for a sentence without any. The mean is what makes models with different
    tokenizers comparable (DASD, arXiv:2601.09088, section 4). Sentences tile thinking and response, so the
    spans of two models are the same. Null where `{of}_tokens` is.

    min_words: a shorter sentence ("So.", "Wait,") is joined to the next of its field: the mean of two tokens
    says little. The specification counts 4 tokens (inferred); words are the same for all models.
    """

    of: str = "model"
    min_words: int = 4
    version = 2
    reads = ("thinking", "response")
    example_fields = {"min_words": 1}
    examples = (
        (
            dict(
                response="One. Two.",
                model_tokens=[
                    dict(field="response", start=0, end=4, label=None, value=math.log(0.5)),
                    dict(field="response", start=4, end=7, label=None, value=math.log(0.25)),
                    dict(field="response", start=7, end=9, label=None, value=0.0),
                ],
            ),
            dict(
                model_sentences=[
                    dict(field="response", start=0, end=5, label=None, value=0.5),
                    dict(field="response", start=5, end=9, label=None, value=0.5),
                ]
            ),
        ),
        (dict(response="One.", model_tokens=None), dict(model_sentences=None)),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.min_words < 1:
            raise UserError(f"min_words={self.min_words} joins nothing; give 1 or more")

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.reads, f"{self.of}_tokens")

    @property
    def writes(self) -> dict[str, Any]:
        return {f"{self.of}_sentences": SPANS}

    def row(self, row: Row) -> Mapping[str, Any]:
        tokens = row[f"{self.of}_tokens"]
        if tokens is None:
            return dict.fromkeys(self.writes)
        spans = []
        for name in ("thinking", "response"):
            text = row[name] or ""
            mine = [t for t in tokens if t["field"] == name]
            for piece, values in by_piece(text, joined(text, sentences(text), self.min_words), mine):
                value = math.exp(sum(values) / len(values)) if values else None
                spans.append(dict(field=name, start=piece.start, end=piece.end, label=None, value=value))
        return dict.fromkeys(self.writes, spans)
