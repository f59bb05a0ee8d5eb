"""What can be asked of a loaded checkpoint: a sample to draw, or a text to score."""

from __future__ import annotations

import contextlib
from concurrent.futures import Future, InvalidStateError
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from curate.engines.sampling import Sampling
from curate.step import TokenScores

MASK_CELLS = 1 << 26  # of one mask over texts that go on from a prompt; as float32 a quarter of a GB


class Drawn(NamedTuple):
    """A finished sample. `logprobs` are the model's own, before temperature, cuts and bans.

    stopped: the stop string it ended before; "" where it ended otherwise. ids: the tokens of the text, and of
    that string; None where no tokens are just these characters, or the turn is over.
    """

    text: str
    finish: Literal["stop", "length"]
    output_tokens: int
    logprobs: tuple[float, ...]
    stopped: str
    ids: tuple[int, ...] | None


@dataclass(eq=False)
class Job:
    """Token ids in, a future out. A job whose future is cancelled is dropped where it stands."""

    ids: list[int]

    @property
    def longest(self) -> int:
        """The most tokens this job can come to hold in the cache."""
        raise NotImplementedError  # both kinds answer this

    @property
    def cancelled(self) -> bool:
        return self.future.cancelled()

    def answer(self, value: Drawn | TokenScores) -> None:
        """Hand over the answer; a job that was cancelled meanwhile does not want it."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_result(value)

    def fail(self, error: BaseException) -> None:
        """Hand over the reason why there is no answer, unless there is one."""
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(error)

    future: Future[Any] = field(default_factory=Future, init=False)


@dataclass(eq=False)
class Draw(Job):
    """One sample after the prompt `ids`: at most `limit` tokens.

    begun: the begun turn, so that a banned string cannot grow out of its end.
    """

    limit: int
    sampling: Sampling
    seed: int
    stop: tuple[str, ...] = ()
    ban: tuple[str, ...] = ()
    begun: str = ""
    new: list[int] = field(default_factory=list, init=False)
    logprobs: list[float] = field(default_factory=list, init=False)

    @property
    def longest(self) -> int:
        return len(self.ids) + self.limit

    def restart(self) -> None:
        """Forget what was drawn; drawing again gives the same."""
        self.new.clear()
        self.logprobs.clear()


@dataclass(eq=False)
class Scoring(Job):
    """The log-probability of each of `text_ids` after `ids`, with their offsets in the text."""

    text_ids: list[int]
    offsets: list[tuple[int, int]]
    entropy: bool = False
    top_k: int = 0
    rank: bool = False

    @property
    def longest(self) -> int:
        return len(self.ids) + len(self.text_ids)

    def goes_on(self, width: int) -> bool:
        """Whether to go on from the prompt, once read, is less work than to read it with the text.

        In a layer a token costs some 24 width² operations, a pair of tokens 4 width. Attention that goes on
        from a cache takes half of text² pairs more: it does not leave out those that a causal mask hides.
        The mask is a tensor of its own then, and must not be large.
        """
        prompt, text = len(self.ids), len(self.text_ids)
        return text**2 < prompt * (12 * width + prompt) and self.mask <= MASK_CELLS

    @property
    def mask(self) -> int:
        """Pairs of a token of the text and one that it may look at, or that a causal mask hides."""
        return len(self.text_ids) * self.longest
