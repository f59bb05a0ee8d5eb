"""What the engines share: how to sample, the seed of each sample, and a raw turn as a Completion."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

from curate.errors import UserError, near
from curate.fields import check_options, wrong_type
from curate.schema import content_hash
from curate.step import Completion
from curate.text import split_thinking

AsDrawn = tuple[int, Sequence[int]]  # the last so many characters of a begun turn, and their tokens

_OPENS = re.compile(r"(?:<think>|<thinking>|<\|begin_of_thought\|>)\s*\Z")
_OPENED = re.compile(r"\s*(?:<think>|<thinking>|<\|begin_of_thought\|>)")


@dataclass(frozen=True)
class Sampling:
    """temperature 0 takes the most probable token. top_k None and top_p 1 cut nothing off.

    max_tokens None means up to the end of the context.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        for f in fields(self):
            if words := wrong_type(f, said := getattr(self, f.name)):
                raise UserError(f"{f.name}={said!r} cannot be sampled with: it must be {words}.")
        checks = {
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k is None or self.top_k >= 1, "at least 1, or None"),
            "max_tokens": (self.max_tokens is None or self.max_tokens >= 1, "at least 1, or None"),
        }
        for name, (holds, wanted) in checks.items():
            if not holds:
                raise UserError(
                    f"{name}={getattr(self, name)!r} cannot be sampled with: it must be {wanted}."
                )


@dataclass(frozen=True)
class Sampled:
    """The fields of every engine that samples; each can be overridden in a single `chat`."""

    model: str
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    max_tokens: int | None = None
    knobs: ClassVar[type[Sampling]] = (
        Sampling  # an engine that knows more ways to sample has a class of its own
    )
    least: ClassVar[Mapping[str, float]] = {}  # what an option must be, if it is given

    def __post_init__(self) -> None:
        self.sampling({})
        check_options(self)

    def sampling(self, overrides: Mapping[str, Any]) -> Sampling:
        """How this call samples: the engine's fields, and whatever the call says otherwise."""
        known = {f.name: getattr(self, f.name) for f in fields(self.knobs)}
        for name in overrides:
            if name not in known:
                raise UserError(f"{name!r} is not a way to sample with {self.model!r}; {near(name, known)}")
        return self.knobs(**{**known, **overrides})

    @property
    def identity(self) -> dict[str, Any]:
        """What the answers depend on: never an address, a secret or a width."""
        return {"model": self.model, "sampling": asdict(self.sampling({}))}

    @cached_property
    def fingerprint(self) -> str:
        return content_hash("engine", self.identity)[:12]

    def describe(self) -> dict[str, Any]:
        """For recipe.json."""
        kind = type(self).__name__.lower()
        return {"engine": kind, "model": self.model, **self.identity, "fingerprint": self.fingerprint}


def sample_seed(seed: int, index: int) -> int:
    """The seed of sample `index` of a call with `n` samples; the first keeps the seed of the call.

    So the first of four is what n=1 gives, and a larger n adds samples and changes none.
    """
    return seed if index == 0 else int(content_hash("sample", seed, index)[:12], 16)


def opening(prompt: str) -> str:
    """The opening tag of the thinking, where a rendered prompt ends in it; else nothing."""
    found = _OPENS.search(prompt)
    return found.group() if found else ""


def opens(turn: str) -> bool:
    """Whether a turn begins with an opening tag of its own."""
    return _OPENED.match(turn) is not None


def cut_at(text: str, stop: Sequence[str]) -> str | None:
    """The text before the first stop string in it; None where there is none."""
    found = [at for s in stop if (at := text.find(s)) >= 0]
    return text[: min(found)] if found else None


def stop_in(text: str, stop: Sequence[str]) -> str:
    """The stop string at which `cut_at` cuts; "" where there is none."""
    return min(((at, s) for s in stop if (at := text.find(s)) >= 0), default=(0, ""))[1]


def tokens_of(turns: Sequence[Completion | None]) -> tuple[int, int]:
    """Tokens in and out of those turns of one call that came; the first has those of the prompt."""
    came = [turn for turn in turns if turn]
    return (came[0].prompt_tokens if came else 0), sum(turn.output_tokens for turn in came)


def completion(
    text: str,
    finish: Literal["stop", "length"],
    *,
    prefix: str,
    opened: str,
    prompt_tokens: int,
    output_tokens: int,
    logprobs: tuple[float, ...] | None = None,
    stopped: str | None = None,
    ids: tuple[int, ...] | None = None,
) -> Completion:
    """Split the whole turn. `opened` is the tag with which the chat template began it, if any."""
    turn = prefix + text
    if opened and not opens(turn):
        turn = opened + turn
    split = split_thinking(turn)
    counts = prompt_tokens, output_tokens
    return Completion(split.thought, split.response, text, finish, *counts, logprobs, stopped, ids)
