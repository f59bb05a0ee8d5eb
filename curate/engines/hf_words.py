"""What tokens say: their text where it stands, and which of them can be the end of a string."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

SEAM = 4  # tokens decoded along with what follows them: what a token looks like may depend on those before it
_PART = "\ufffd"  # stands for bytes that are no whole character
_PROMPTS = 16  # whose tokens are remembered: the samples of one problem are asked one after another
_LISTS = 64  # of strings, for which it is known what can end them


class Words:
    """Of one tokenizer. White space and special tokens are kept."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._cut = lru_cache(_PROMPTS)(lambda text: tokenizer(text, add_special_tokens=False)["input_ids"])
        self._can_end: dict[tuple[str, ...], dict[int, bool]] = {}

    def ids(self, text: str) -> list[int]:
        """The tokens of a text, in which the special ones stand already."""
        return [*self._cut(text)]

    def text(self, ids: Sequence[int]) -> str:
        """Tokens as they read by themselves."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))

    def after(self, before: list[int], new: list[int]) -> str:
        """New tokens as they read after others."""
        head = self.text(before)
        whole = self.text(before + new)
        return whole[len(head) :] if whole.startswith(head) else self.text(new)

    def whole_after(self, before: list[int], new: list[int]) -> tuple[str, list[int]]:
        """As `after`, without the tokens of a last character that is not all there: three at the most.

        The tokens that are left stand beside their text. Where a fourth would have to go, too, these bytes
        were never to be a character, and all are shown.
        """
        for left in range(len(new), max(len(new) - 4, -1), -1):
            if not (text := self.after(before, new[:left])).endswith(_PART):
                return text, new[:left]
        return self.after(before, new), new

    def can_end(self, token: int, strings: tuple[str, ...]) -> bool:
        """Whether one of the strings may end in this token, whatever stands before it; mostly none does."""
        if len(self._can_end) > _LISTS:
            self._can_end.clear()
        known = self._can_end.setdefault(strings, {})
        if (can := known.get(token)) is None:
            can = known[token] = self._ends(token, strings)
        return can

    def _ends(self, token: int, strings: tuple[str, ...]) -> bool:
        head, both = self.text(self._letter), self.text([*self._letter, token])
        said = both[len(head) :]
        if not said or _PART in "".join((said, *strings)) or not both.startswith(head):
            return True  # it may be a part of a character, or look otherwise behind others
        return any(
            string in said or any(string.endswith(said[: i + 1]) for i in range(len(said)))
            for string in strings
        )

    @cached_property
    def _letter(self) -> list[int]:
        """Something that a token can stand behind."""
        return list(self._tokenizer("a", add_special_tokens=False)["input_ids"])
