"""What a model has read is not read again: keys and values, found by the tokens they were made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

_BLOCK = 8  # tokens: a text is found by whole blocks, and then compared token by token
_TURNING = {"dynamic", "longrope"}  # in these, how a token's key is turned hangs on how much comes after it
Held = list[tuple[torch.Tensor, torch.Tensor]]
"""The keys and the values of some tokens, [heads, tokens, width] each, by layer."""


@dataclass(eq=False)
class Read:
    """Tokens from the beginning on, and what became of them."""

    ids: list[int]
    held: Held
    blocks: set[int] = field(default_factory=set)  # by which it is found


class Prefixes:
    """Texts that were read, up to `room` tokens of them; what was asked for longest ago leaves first."""

    def __init__(self, room: int) -> None:
        self._room, self.tokens = room, 0
        self._texts: dict[Read, None] = {}  # the one used last stands last
        self._found_by: dict[int, Read] = {}

    def unread(self, ids: Sequence[int]) -> int:
        """How many tokens of a prompt have to be read: the last one always, for what comes after it."""
        return len(ids) - self._longest(ids)[1]

    def known(self, prompts: Sequence[Sequence[int]]) -> tuple[int, list[Held | None]]:
        """How many tokens come before those that the prompt with most to read has to, and what they became.

        Of prompts that are shorter those are fewer, or None.
        """
        new = max(map(self.unread, prompts))
        rows: list[Held | None] = []
        for ids in prompts:
            text, n = self._longest(ids)[0] if len(ids) > new else None, len(ids) - new
            rows.append([(keys[:, :n], values[:, :n]) for keys, values in text.held] if text else None)
        return max(map(len, prompts)) - new, rows

    def keep(self, ids: Sequence[int], held: Callable[[], Held]) -> None:
        """Remember what became of tokens, unless that is known. held: gives it, for good."""
        new = list(_blocks(ids))
        if not new or len(ids) > self._room or new[-1] in self._found_by:
            return
        text = Read(list(ids), held(), set(new))
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

    def _longest(self, ids: Sequence[int]) -> tuple[Read | None, int]:
        """A text that begins as a prompt does, and for how many tokens, the prompt's last one not counted."""
        text = None
        for block in _blocks(ids):
            text = self._found_by.get(block, text)
        if text is None:
            return None, 0
        self._texts[text] = self._texts.pop(text)
        return text, _common(text.ids, ids[:-1])

    def _forget(self, text: Read) -> None:
        for block in text.blocks:
            del self._found_by[block]
        del self._texts[text]
        self.tokens -= len(text.ids)


def lasts(config: Any) -> bool:
    """Whether what became of a token stays right however many come after it."""
    said = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    kinds = [part for part in said.values() if isinstance(part, dict)] or [said]
    return not any({kind.get("rope_type"), kind.get("type")} & _TURNING for kind in kinds)


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
