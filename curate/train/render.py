"""A conversation has become token ids and a mask: exactly what the model itself has to write is learnt.

The chat template is rendered as a whole, and once up to each assistant turn with the generation prompt. What
stands behind that prompt is what the model writes at inference, so learning starts there. It ends with the
first special token behind the last word of the turn: the end-of-turn token is learnt too. Characters become
tokens by the offsets of the fast tokenizer; no `{% generation %}` in the template is needed.

A template that drops or alters what the assistant said (many cut the thinking out) is refused. Unknown here:
templates that render thinking without <think>-like tags, and turns that are nothing but tool calls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from curate.errors import InputError
from curate.text import split_thinking

if TYPE_CHECKING:
    from tokenizers import Encoding
    from transformers import PreTrainedTokenizerBase

REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
"""Keys of a message that hold its thinking where the content does not; it is the template that reads them."""


class Conversation(NamedTuple):
    """One row. Its assistant turns from `first` on are learnt, but for what `spans` leave out.

    spans: SPANS of the last assistant turn, in characters from the first word of its thinking or response.
    What is under a "mask" is not learnt; where there is a "learn", nothing but what is under one.
    """

    where: str  # how an error names the row
    messages: list[dict[str, Any]]
    first: int
    spans: Sequence[Mapping[str, Any]] = ()


class Encoded(NamedTuple):
    """One row as tokens. ids: int32; learn: as many booleans; ends: the tokens that end its learnt turns."""

    where: str
    ids: np.ndarray
    learn: np.ndarray
    ends: frozenset[int]


class Text(NamedTuple):
    """A rendered conversation as tokens. stops: where its special tokens stand among the ids."""

    text: str
    ids: np.ndarray
    encoding: Encoding
    stops: np.ndarray


class Piece(NamedTuple):
    """The thinking or the response of a turn, without the white space around it."""

    field: str
    start: int
    text: str


def encode(tokenizer: PreTrainedTokenizerBase, batch: Sequence[Conversation]) -> list[Encoded]:
    """Every conversation as token ids, and what of them is learnt."""
    texts = [_render(tokenizer, c, len(c.messages)) for c in batch]
    special = [i for i, token in tokenizer.added_tokens_decoder.items() if token.special]
    special += [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    encoded = []
    encodings = tokenizer(
        texts, add_special_tokens=False, return_attention_mask=False, verbose=False
    ).encodings
    for c, text, encoding in zip(batch, texts, encodings or (), strict=True):
        ids = np.array(encoding.ids, dtype=np.int32)
        encoded.append(_learn(tokenizer, c, Text(text, ids, encoding, np.flatnonzero(np.isin(ids, special)))))
    return encoded


def _render(tokenizer: PreTrainedTokenizerBase, c: Conversation, count: int) -> str:
    """The text of the first `count` messages, with the generation prompt where more follow."""
    from jinja2 import TemplateError

    more = count < len(c.messages)
    try:
        return str(
            tokenizer.apply_chat_template(c.messages[:count], tokenize=False, add_generation_prompt=more)
        )
    except TemplateError as e:
        raise InputError(f"{c.where}: the chat template refuses the conversation: {e}") from None


def _learn(tokenizer: PreTrainedTokenizerBase, c: Conversation, t: Text) -> Encoded:
    """Mark the tokens of the learnt turns, but for those that spans leave out."""
    learn, ends = np.zeros(len(t.ids), dtype=bool), set()
    turns = [i for i, m in enumerate(c.messages) if m["role"] == "assistant" and i >= c.first]
    for turn in turns:
        at = _after(_render(tokenizer, c, turn), t.text, turn, c)
        stop, pieces = _turn(t, at, turn, c)
        learn[_token_at(t, at) : stop + 1] = True
        ends.add(int(t.ids[stop]))
        if c.spans and turn == turns[-1]:
            learn &= _spared(c, t, pieces)
    return Encoded(c.where, t.ids, learn, frozenset(ends))


def _after(head: str, text: str, turn: int, c: Conversation) -> int:
    """Where the model's own words begin: behind the generation prompt."""
    if text.startswith(head):
        return len(head)
    same = next((i for i, (a, b) in enumerate(zip(head, text, strict=False)) if a != b), len(text))
    raise InputError(
        f"{c.where}: before assistant turn {turn + 1} the chat template writes {head[same:][:40]!r} at "
        f"inference and {text[same:][:40]!r} here; begin the turn the same way, or change the template"
    )


def pieces_of(text: str) -> list[Piece]:
    """Thinking and response, as far as there is any, without the white space around them."""
    s = split_thinking(text)
    starts = (len(s.opening), len(s.opening) + len(s.thinking) + len(s.closing))
    parts = zip(("thinking", "response"), starts, (s.thinking, s.response), strict=True)
    return [Piece(f, at + len(p) - len(p.lstrip()), p.strip()) for f, at, p in parts if p.strip()]


def _said(message: Mapping[str, Any]) -> list[Piece]:
    """What an assistant message says, its thinking first, wherever the message keeps it."""
    thinking = next((message[k] for k in REASONING_KEYS if message.get(k)), "").strip()
    apart = [Piece("thinking", 0, thinking)] if thinking else []
    return apart + pieces_of(message["content"])


def _token_at(t: Text, at: int) -> int:
    """The first token that holds a character at or behind `at`."""
    found = (t.encoding.char_to_token(i) for i in range(at, len(t.text)))  # some white space is in no token
    return next((i for i in found if i is not None), len(t.ids))


def _turn(t: Text, at: int, turn: int, c: Conversation) -> tuple[int, list[Piece]]:
    """The token that ends the turn whose words begin at `at`, and where its pieces stand in the text."""
    said = _said(c.messages[turn])
    wanted = [p.text for p in said]
    if not wanted:
        raise InputError(f"{c.where}: assistant turn {turn + 1} is empty; drop the row or give it an answer")
    for stop in t.stops[t.stops >= _token_at(t, at)]:  # what is said may hold special tokens itself
        span = t.encoding.token_to_chars(int(stop))
        assert span is not None, "the template writes every special token as text"
        found = pieces_of(t.text[at : span[0]])
        if [p.text for p in found] == wanted:
            return int(stop), [Piece(s.field, at + p.start, p.text) for s, p in zip(said, found, strict=True)]
    if [p.text for p in pieces_of(t.text[at:])] == wanted:
        raise InputError(
            f"{c.where}: the chat template ends assistant turn {turn + 1} with no special token, so a model "
            "would never learn to stop; end the turn with the eos token in chat_template.jinja"
        )
    lost = next((w for w in wanted if w not in t.text[at:]), wanted[0])
    raise InputError(
        f"{c.where}: the chat template drops or alters {lost[:40]!r} in assistant turn {turn + 1}; "
        "use a chat_template.jinja that renders the thinking and the response to the letter"
    )


def _spared(c: Conversation, t: Text, pieces: list[Piece]) -> np.ndarray:
    """The tokens that the spans leave in: no character is masked; the first is under a "learn", if any is.

    A tag belongs to the text behind it, and what ends the turn to the text before it: where the spans to be
    learnt part the turn among rows, these learn every token once.
    """
    start, end = np.array(t.encoding.offsets).T
    masked, learnt = np.zeros_like(t.ids, dtype=bool), np.zeros_like(t.ids, dtype=bool)
    place = {p.field: i for i, p in enumerate(pieces)}
    for span in c.spans:
        if span["field"] not in place:
            known, does = " and ".join(place), span["label"]
            raise InputError(f"{c.where}: a span {does}s {span['field']!r}, but the answer has only {known}")
        i = place[span["field"]]
        piece = pieces[i]
        low, high = piece.start + span["start"], piece.start + span["end"]
        if span["label"] == "mask":
            masked |= (end > low) & (start < high)
            continue
        last = piece.start + len(piece.text)
        if low <= piece.start:
            low = pieces[i - 1].start + len(pieces[i - 1].text) if i else 0
        if high >= last:
            high = last if piece is not pieces[-1] else len(t.text)
        learnt |= (start >= low) & (start < high)
    only = any(span["label"] == "learn" for span in c.spans)
    return ~masked & learnt if only else ~masked
