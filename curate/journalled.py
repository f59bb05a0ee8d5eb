"""An engine that never buys the same call of a row twice, nor one that the budget does not cover."""

from __future__ import annotations

import contextvars
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any

from curate.budget import Budget
from curate.errors import CallFailed, EngineDown
from curate.journal import Call, Journal
from curate.line import Line
from curate.schema import content_hash, made_once
from curate.step import Completion, Engine, Message, TokenScores

_to_json = made_once(json.JSONEncoder(ensure_ascii=False))
_MAY_LACK = {f.name for f in fields(Completion) if f.default is None}
_row: contextvars.ContextVar[tuple[str, dict[str, int], int]] = contextvars.ContextVar("row")


@dataclass(frozen=True)
class Journalled:
    """An engine that never buys the same call of a row twice; it stands in for one while its door is open."""

    engine: Engine
    journal: Journal
    name: str  # the ledger's, of the model
    step: str
    fingerprint_of_step: str
    known: dict[str, str]
    budget: Budget
    line: Line  # a place is free again when the reply is there: no engine waits for the disk
    told: Callable[[int], None]  # of the output tokens of every call that was paid

    @property
    def model(self) -> str:
        return self.engine.model

    @property
    def fingerprint(self) -> str:
        return self.engine.fingerprint

    def describe(self) -> dict[str, Any]:
        return self.engine.describe()

    async def opened(self, messages: Sequence[Message]) -> str:
        """The tag with which the model's chat template itself begins the thinking, where the engine knows."""
        ask = getattr(self.engine, "opened", None)
        return await ask(messages) if ask else ""

    async def count_tokens(self, text: str) -> int:
        """How many tokens a text is, where the engine can tell."""
        ask = getattr(self.engine, "count_tokens", None)
        if ask is None:
            raise EngineDown(f"{self.model!r} counts no tokens; measure in steps, or ask another engine.")
        return int(await ask(text))

    async def chat(
        self, messages: Sequence[Message], *, seed: int | None = None, **options: Any
    ) -> list[Completion]:
        """The engine's chat. A seed that is not given comes from the row and the call."""
        key = self._key("chat", messages, seed, options)
        if (known := self.known.pop(key, None)) is not None:
            found = json.loads(known)
            return [Completion(**{k: _tuple(v) for k, v in r.items()}) for r in found]
        chosen = int(key[:12], 16) if seed is None else seed
        async with self._place():
            await self.budget.begin()
            try:
                replies = await self.engine.chat(messages, seed=chosen, **options)
                tokens = replies[0].prompt_tokens, sum(r.output_tokens for r in replies)
                usd = self.budget.pay(self.name, *tokens)
                told = tokens[0] and (tokens[1] or not any(r.text for r in replies))
                if lost := not told and self.budget.counts(self.name):
                    self.budget.close()
            finally:
                self.budget.end()
        await self._keep(key, [_told(r) for r in replies], *tokens, usd)
        if lost:
            raise EngineDown(
                f"the answers of {self.name!r} do not say how many tokens they cost, so no budget can "
                "be kept; run without one, or ask a server that reports `usage`"
            )
        return replies

    async def score(self, messages: Sequence[Message], text: str, **options: Any) -> TokenScores:
        """The engine's score, bought once."""
        key = self._key("score", messages, text, options)
        if (known := self.known.pop(key, None)) is not None:
            return TokenScores(**{k: _tuple(v) for k, v in json.loads(known).items()})
        async with self._place():
            await self.budget.begin()
            try:
                scores: TokenScores = await self.engine.score(messages, text, **options)  # type: ignore[attr-defined]
                usd = self.budget.pay(self.name, len(scores.ids), 0)
            finally:
                self.budget.end()
        await self._keep(key, vars(scores), len(scores.ids), 0, usd)
        return scores

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        await self.line.enter(_row.get()[2])
        try:
            yield
        finally:
            self.line.leave()

    def _key(self, *call: Any) -> str:
        row, seen, _ = _row.get()
        asked = content_hash(self.engine.fingerprint, *call)
        seen[asked] = seen.get(asked, 0) + 1  # the same call again within one row is another call
        return content_hash(row, asked, seen[asked])

    async def _keep(
        self, key: str, reply: Any, prompt_tokens: int, output_tokens: int, usd: float | None
    ) -> None:
        text = _to_json(reply)
        try:
            text.encode()
        except UnicodeEncodeError:
            raise CallFailed(
                "the model's answer holds half of a surrogate pair; no file can hold that"
            ) from None
        self.told(output_tokens)
        of_step = self.step, _row.get()[0], text, self.fingerprint_of_step, self.name
        await self.journal.keep(Call(key, *of_step, prompt_tokens, output_tokens, usd))


def begin_row(key: str, turn: int) -> None:
    """Calls made from here on, in this asyncio task, belong to the row with this key, begun as the n-th."""
    _row.set((key, {}, turn))


def _told(reply: Completion) -> dict[str, Any]:
    """Its fields, without those that nobody filled."""
    return {k: v for k, v in vars(reply).items() if v is not None or k not in _MAY_LACK}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value
