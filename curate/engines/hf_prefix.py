"""What a model has read is not read again: keys and values, found by the tokens they were made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

_BLOCK = 8  # tokens: a text is found by whole blocks, and then compared token by token


@dataclass(eq=False)
class Text:
    """Tokens, and their keys and values [2, layers, heads, tokens, width]."""

    ids: list[int]
    held: torch.Tensor
    blocks: set[int] = field(default_factory=set)  # by which it is found


class Prefixes:
    """Texts that were read, up to `room` tokens of them; what was asked for longest ago leaves first."""

    def __init__(self, room: int) -> None:
        self._room, self.tokens = room, 0
        self._texts: dict[Text, None] = {}  # the one used last stands last
        self._found_by: dict[int, Text] = {}

    def unread(self, ids: Sequence[int]) -> int:
        """How many tokens of a prompt have to be read: the last one always, for what comes after it."""
        return len(ids) - self._longest(ids)[1]

    def known(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor | None:
        """What is known of prompts, but for as many last tokens as the one has to read that has most to.

        [prompts, 2, layers, heads, tokens, width], zeros before shorter ones; None where that is nothing.
        """
        new = max(map(self.unread, prompts))
        old = max(map(len, prompts)) - new
        if old == 0:
            return None
        found = [self._longest(ids)[0] if len(ids) > new else None for ids in prompts]
        like = next(text.held for text in found if text is not None)
        known = like.new_zeros((len(prompts), *like.shape[:3], old, like.shape[4]))
        for row, ids, text in zip(known, prompts, found, strict=True):
            if text is not None:
                row[..., old - len(ids) + new :, :] = text.held[..., : len(ids) - new, :]
        return known

    def _longest(self, ids: Sequence[int]) -> tuple[Text | None, int]:
        """A text that begins as a prompt does, and for how many tokens, the prompt's last one not counted."""
        text = None
        for block in _blocks(ids):
            text = self._found_by.get(block, text)
        if text is None:
            return None, 0
        self._texts[text] = self._texts.pop(text)
        return text, _common(text.ids, ids[:-1])

    def keep(self, ids: Sequence[int], held: Callable[[], torch.Tensor]) -> None:
        """Remember what became of tokens, unless that is known. held: gives it as `Text.held`, for good."""
        new = list(_blocks(ids))
        if not new or len(ids) > self._room or new[-1] in self._found_by:
            return
        text = Text(list(ids), held(), set(new))
        for block in new:
            if (older := self._found_by.get(block)) is not None:
                older.blocks.discard(block)
                if not older.blocks:
                    self._forget(older)
            self._found_by[block] = text
        self._texts[text] = None
        self.tokens += len(ids)
        while self.tokens > self._room:
            self._forget(next(iter(self._texts)))

    def clear(self) -> None:
        """Forget everything."""
        self._texts.clear()
        self._found_by.clear()
        self.tokens = 0

    def _forget(self, text: Text) -> None:
        for block in text.blocks:
            del self._found_by[block]
        del self._texts[text]
        self.tokens -= len(text.ids)


def together(unread: Sequence[int], a_pass: int) -> list[list[int]]:
    """Which prompts are read together: parted where padding would cost more than another pass, in tokens."""
    order = sorted(range(len(unread)), key=lambda i: -unread[i])
    made: list[list[int]] = []
    for place, i in enumerate(order):
        if not made or (unread[made[-1][0]] - unread[i]) * (len(order) - place) > a_pass:
            made.append([])
        made[-1].append(i)
    return made


def _blocks(ids: Sequence[int]) -> Iterator[int]:
    """A name for each whole block that hangs on all tokens before it, too."""
    name = 0
    for end in range(_BLOCK, len(ids) + 1, _BLOCK):
        name = hash((name, *ids[end - _BLOCK : end]))
        yield name


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two texts begin with in common."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
