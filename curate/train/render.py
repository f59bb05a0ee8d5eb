"""A conversation becomes token ids and a mask: exactly what the model itself has to write is learnt.

The chat template is rendered once as a whole and once up to each assistant turn, with the generation prompt. What
stands behind that generation prompt is what the model writes at inference, so learning starts there, and ends with
the first special token behind the last word of the turn: the end-of-turn token, which is learnt too. Characters
become tokens by the offsets of the fast tokenizer; no `{% generation %}` mark in the template is needed.

A template that drops or alters what the assistant said (many cut the thinking out) is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from curate.errors import InputError
from curate.text import split_thinking

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Message = Mapping[str, Any]
REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
"""Keys of a message that hold its thinking, where it does not stand in the content; the template reads them."""


class Conversation(NamedTuple):
    """One row. Assistant turns from `first` on are learnt; `masks` are SPANS to leave out of the last one."""

    where: str  # how to name the row in an error
    messages: list[Message]
    first: int
    masks: Sequence[Mapping[str, Any]] = ()


class Encoded(NamedTuple):
    """One row as tokens. ids: int32; learn: booleans of the same length."""

    where: str
    ids: np.ndarray
    learn: np.ndarray


class Piece(NamedTuple):
    """A part of an assistant turn without the white space around it; `start` is its offset in the text."""

    field: str
    start: int
    text: str
    lead: int  # white space that stood before it: the field's own offsets count from there


def stop_ids(tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """The tokens that can end a turn: the special ones."""
    special = {i for i, token in tokenizer.added_tokens_decoder.items() if token.special}
    return frozenset(special | ({tokenizer.eos_token_id} - {None}))


def encode(tokenizer: PreTrainedTokenizerBase, batch: Sequence[Conversation]) -> list[Encoded]:
    """Every conversation as token ids and what of them is learnt."""
    texts = [_render(tokenizer, c, len(c.messages)) for c in batch]
    tokens = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    stops = np.array(sorted(stop_ids(tokenizer)))
    encoded = []
    for c, text, ids, offsets in zip(
        batch, texts, tokens["input_ids"], tokens["offset_mapping"], strict=True
    ):
        start, end = np.array(offsets, dtype=np.int64).reshape(-1, 2).T
        row = np.array(ids, dtype=np.int32)
        learn = np.zeros(len(row), dtype=bool)
        last = max(i for i, m in enumerate(c.messages) if m["role"] == "assistant")
        for turn in (i for i in range(c.first, last + 1) if c.messages[i]["role"] == "assistant"):
            head = _render(tokenizer, c, turn)
            at = _after(head, text, turn, c)
            ends = end[np.isin(row, stops) & (start >= at)]
            starts = start[np.isin(row, stops) & (start >= at)]
            stop, pieces = _turn(text, at, list(zip(starts, ends, strict=True)), turn, c)
            learn |= (start >= at) & (start < stop)
            if turn == last:
                for low, high in _masked(c, turn, pieces):
                    learn &= (end <= low) | (start >= high)
        encoded.append(Encoded(c.where, row, learn))
    return encoded


def _render(tokenizer: PreTrainedTokenizerBase, c: Conversation, count: int) -> str:
    """The text of the first `count` messages; with the generation prompt where more follow."""
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            c.messages[:count], tokenize=False, add_generation_prompt=count < len(c.messages)
        )
    except TemplateError as e:
        raise InputError(f"{c.where}: the chat template refuses the conversation: {e}") from None


def _after(head: str, text: str, turn: int, c: Conversation) -> int:
    """Where the model's own words begin: behind the generation prompt."""
    if text.startswith(head):
        return len(head)
    same = next(
        (i for i, (a, b) in enumerate(zip(head, text, strict=False)) if a != b), min(len(head), len(text))
    )
    raise InputError(
        f"{c.where}: at inference the chat template puts {head[same:][:40]!r} before assistant turn {turn + 1}, "
        f"where this row has {text[same:][:40]!r}; write the turn the way the template begins it, or change the "
        "generation prompt in chat_template.jinja"
    )


def pieces_of(text: str) -> list[Piece]:
    """Thinking and response, as far as there is any, without the white space around them."""
    s = split_thinking(text)
    starts = (len(s.opening), len(s.opening) + len(s.thinking) + len(s.closing))
    found = []
    for field, start, part in zip(("thinking", "response"), starts, (s.thinking, s.response), strict=True):
        if part.strip():
            lead = len(part) - len(part.lstrip())
            found.append(Piece(field, start + lead, part.strip(), lead))
    return found


def said(message: Message) -> list[Piece]:
    """What an assistant message says, its thinking first, from wherever the message keeps it."""
    thinking = next((message[k] for k in REASONING_KEYS if message.get(k)), "")
    lead = len(thinking) - len(thinking.lstrip())
    apart = [Piece("thinking", lead, thinking.strip(), lead)] if thinking.strip() else []
    return apart + pieces_of(message.get("content") or "")


def _turn(
    text: str, at: int, stops: list[tuple[int, int]], turn: int, c: Conversation
) -> tuple[int, list[Piece]]:
    """Where the turn that begins at `at` ends, its end-of-turn token included, and its pieces in `text`."""
    wanted = [p.text for p in said(c.messages[turn])]
    if not wanted:
        raise InputError(f"{c.where}: assistant turn {turn + 1} is empty; drop the row or give it an answer")
    for start, end in stops:  # the text may hold special tokens itself: take the one that leaves nothing out
        pieces = pieces_of(text[at:start])
        if [p.text for p in pieces] == wanted:
            return int(end), [p._replace(start=at + p.start) for p in pieces]
    if [p.text for p in pieces_of(text[at:])] == wanted:
        raise InputError(
            f"{c.where}: the chat template ends assistant turn {turn + 1} with no special token, so a model could "
            "never learn to stop; end the turn with the eos token in chat_template.jinja"
        )
    lost = next((w for w in wanted if w not in text[at:]), wanted[0])
    raise InputError(
        f"{c.where}: the chat template drops or alters what assistant turn {turn + 1} says, "
        f"beginning with {lost[:40]!r}; "
        "train with a chat_template.jinja that renders the thinking and the response to the letter"
    )


def _masked(c: Conversation, turn: int, pieces: list[Piece]) -> list[tuple[int, int]]:
    """The character ranges of the rendered text that the row's spans take out of the loss."""
    by_field = {
        original.field: (piece.start - original.lead)
        for original, piece in zip(said(c.messages[turn]), pieces, strict=True)
    }
    ranges = []
    for span in c.masks:
        if span["field"] not in by_field:
            known = " and ".join(by_field)
            raise InputError(
                f"{c.where}: a span masks {span['field']!r}, but this row's answer has only {known}"
            )
        base = by_field[span["field"]]
        ranges.append((base + span["start"], base + span["end"]))
    return ranges
