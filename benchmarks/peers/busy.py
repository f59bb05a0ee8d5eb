"""Engines that are watched while they work, and one that takes the time a GPU would take."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from curate.engines.hf import HF
from curate.engines.sampling import Sampled, completion
from curate.engines.vllm import VLLM
from curate.step import Completion, Message


@dataclass
class Gauge:
    """What one engine was asked, how many sequences were in it at each moment, and when it was opened."""

    asked: list[tuple[list[Message], dict[str, Any]]] = field(default_factory=list)
    moments: list[tuple[float, int]] = field(default_factory=list)  # (when, in it from then on)
    closed: list[tuple[float, float]] = field(default_factory=list)  # from when to when it was not open
    inside: int = 0

    def change(self, by: int, at: float | None = None) -> None:
        self.inside += by
        self.moments.append((time.perf_counter() if at is None else at, self.inside))

    def shares(self, half: int) -> dict[str, float]:
        """Seconds from the first question to the last answer, by what the engine did.

        "last" counts again what lies behind the last moment at which it was half full.
        """
        begin, end = self.moments[0][0], self.moments[-1][0]
        found = {"half": 0.0, "tail": 0.0, "idle": 0.0}
        for (at, inside), (until, _) in itertools.pairwise(self.moments):
            found["half" if inside >= half else "tail" if inside else "idle"] += until - at
        found["loading"] = sum(b - a for a, b in self.closed if begin < a and b < end)
        found["idle"] -= found["loading"]
        full = (until for (_, inside), (until, _) in itertools.pairwise(self.moments) if inside >= half)
        found["last"] = end - max(full, default=begin)
        return found


class Watched:
    """To be mixed into an engine that has a field `gauge`: opening is timed, and calls are counted."""

    gauge: Gauge
    beside: Callable[[Any], Awaitable[None]] | None = None  # done with the open engine, before and after

    async def __aenter__(self) -> Any:
        at = time.perf_counter()
        await super().__aenter__()  # type: ignore[misc]
        if self.beside:
            await self.beside(self)
        self.gauge.closed.append((at, time.perf_counter()))
        return self

    async def __aexit__(self, *exc: object) -> None:
        at = time.perf_counter()
        try:
            if self.beside:
                await self.beside(self)
        finally:
            await super().__aexit__(*exc)  # type: ignore[misc]
        self.gauge.closed.append((at, time.perf_counter()))

    async def chat(self, messages: Sequence[Message], **options: Any) -> list[Completion]:
        self.gauge.asked.append((list(messages), options))
        self.gauge.change(1)
        try:
            found: list[Completion] = await super().chat(messages, **options)  # type: ignore[misc]
            return found
        finally:
            self.gauge.change(-1)


@dataclass(frozen=True)
class WatchedHF(Watched, HF):
    """The hf engine."""

    gauge: Gauge = field(kw_only=True, repr=False, compare=False, default_factory=Gauge)


@dataclass(frozen=True)
class WatchedVLLM(Watched, VLLM):
    """The vllm engine."""

    gauge: Gauge = field(kw_only=True, repr=False, compare=False, default_factory=Gauge)
    beside: Callable[[Any], Awaitable[None]] | None = field(
        kw_only=True, repr=False, compare=False, default=None
    )


@dataclass
class Card:
    """A GPU under continuous batching: up to `slots` sequences, each given a token every step.

    A step takes fixed_s and each_s more for every sequence in it. What ended while nobody looked ended when
    it did, not when it was seen; only its place was free no earlier.
    """

    gauge: Gauge
    slots: int = 128
    fixed_s: float = 1e-3
    each_s: float = 8e-6
    work: float = 0.0  # tokens that a sequence would have been given that was there from the start
    seen: float = 0.0
    ends: list[tuple[float, int, asyncio.Future[None]]] = field(default_factory=list)
    waiting: deque[tuple[int, asyncio.Future[None]]] = field(default_factory=deque)
    number: Any = field(default_factory=itertools.count)
    timer: asyncio.TimerHandle | None = None

    async def draw(self, tokens: int) -> None:
        """Takes as long as so many tokens take here now."""
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append((tokens, turn))
        self._look()
        await turn

    def _step_s(self) -> float:
        return self.fixed_s + self.each_s * len(self.ends)

    def _look(self) -> None:
        now = time.perf_counter()
        while self.ends:
            ended = self.seen + (self.ends[0][0] - self.work) * self._step_s()
            if ended > now:
                break
            self.work, self.seen = self.ends[0][0], ended
            turn = heapq.heappop(self.ends)[2]
            self.gauge.change(-1, ended)
            if not turn.done():
                turn.set_result(None)
        self.work += (now - self.seen) / self._step_s() if self.ends else 0.0
        self.seen = now
        while self.waiting and len(self.ends) < self.slots:
            tokens, turn = self.waiting.popleft()
            heapq.heappush(self.ends, (self.work + tokens, next(self.number), turn))
            self.gauge.change(1, now)
        if self.timer is not None:
            self.timer.cancel()
        if self.ends:
            wait = (self.ends[0][0] - self.work) * self._step_s()
            self.timer = asyncio.get_running_loop().call_later(wait, self._look)


@dataclass(frozen=True)
class Simulated(Sampled):
    """An engine that says what a function says, (text, tokens), when a card would have it ready."""

    model: str = "simulated"
    say: Callable[..., tuple[str, int]] = field(kw_only=True, repr=False, compare=False)
    card: Card = field(kw_only=True, repr=False, compare=False)

    async def __aenter__(self) -> Simulated:
        return self

    async def __aexit__(self, *exc: object) -> None:
        """There is nothing to stop."""

    async def chat(
        self, messages: Sequence[Message], *, prefix: str = "", seed: int = 0, **sampling: Any
    ) -> list[Completion]:
        text, tokens = self.say(messages, seed, prefix)
        await self.card.draw(tokens)
        return [completion(text, "stop", prefix=prefix, opened="", prompt_tokens=9, output_tokens=tokens)]
