"""An engine that never buys the same call of a row twice, nor one that the budget does not cover."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any, ParamSpec, TypeVar

from curate.budget import Budget
from curate.engines.sampling import tokens_of
from curate.errors import BudgetSpent, CallFailed, CurateError, EngineDown, first_error
from curate.journal import Call, Journal
from curate.line import Line
from curate.schema import content_hash, made_once
from curate.step import Completion, Engine, Message, TokenScores

_to_json = made_once(json.JSONEncoder(ensure_ascii=False))
_P = ParamSpec("_P")
_T = TypeVar("_T")
_MAY_LACK = {f.name for f in fields(Completion) if f.default is None}


@dataclass(eq=False)
class _Row:
    """A row that is asked about, begun as the `turn`-th: what it has asked, and its calls in flight."""

    key: str
    turn: int
    seen: dict[str, int] = field(default_factory=dict)
    calls: dict[asyncio.Future[None], asyncio.Task[Any]] = field(default_factory=dict)  # end → who waits
    over: bool = False

    async def end(self, *, stop: bool) -> None:
        """Its calls in flight come to their end, paid and journalled, or are broken off; none begins."""
        self.over = True
        try:
            if self.calls and not stop:
                await asyncio.wait([*self.calls])
        finally:
            for task in self.calls.values():
                task.cancel()
            if self.calls:
                await asyncio.wait([*self.calls])


_row: contextvars.ContextVar[_Row] = contextvars.ContextVar("row")


def _in_flight(call: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """The row is not at its end before this call is."""

    @functools.wraps(call)
    async def of_row(*args: _P.args, **options: _P.kwargs) -> _T:
        row, task = _row.get(), asyncio.current_task()
        if row.over:
            raise asyncio.CancelledError
        ended = asyncio.get_running_loop().create_future()
        assert task
        row.calls[ended] = task
        try:
            return await call(*args, **options)
        finally:
            del row.calls[ended]
            ended.set_result(None)

    return of_row


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

    @_in_flight
    async def chat(
        self, messages: Sequence[Message], *, seed: int | None = None, **options: Any
    ) -> list[Completion]:
        """The engine's chat. A seed that is not given comes from the row and the call."""
        key = self._key("chat", messages, seed, options)
        had = [_completion(r) for r in json.loads(self.known.pop(key, "[]"))]
        if had and None not in had:
            return had  # type: ignore[return-value]
        chosen = int(key[:12], 16) if seed is None else seed
        more: dict[str, Any] = {"had": had} if had else {}
        async with self._place():
            await self.budget.begin()
            try:
                asked = self.engine.chat(messages, seed=chosen, **options, **more)
                replies, tokens, failed = await _came(asked, had)
                usd = self.budget.pay(self.name, *tokens)
                told = tokens[0] and (tokens[1] or not any(r.text for r in replies if r))
                if lost := not told and self.budget.counts(self.name):
                    self.budget.close()
            finally:
                self.budget.end()
        await self._keep(key, [r and _told(r) for r in replies], *tokens, usd)
        if lost:
            raise EngineDown(
                f"the answers of {self.name!r} do not say how many tokens they cost, so no budget can "
                "be kept; run without one, or ask a server that reports `usage`"
            )
        if failed:
            raise failed
        return replies  # type: ignore[return-value]

    @_in_flight
    async def score(self, messages: Sequence[Message], text: str, **options: Any) -> TokenScores:
        """The engine's score, bought once."""
        key = self._key("score", messages, text, options)
        if (known := self.known.pop(key, None)) is not None:
            return TokenScores(**{k: _tuple(v) for k, v in json.loads(known).items()})
        async with self._place():
            await self.budget.begin()
            try:
                scores: TokenScores = await self.engine.score(messages, text, **options)  # type: ignore[attr-defined]
                read = scores.prompt_tokens + len(scores.ids)
                usd = self.budget.pay(self.name, read, 0)
            finally:
                self.budget.end()
        await self._keep(key, vars(scores), read, 0, usd)
        return scores

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        row = _row.get()
        await self.line.enter(row.turn)
        try:
            if row.over:
                raise asyncio.CancelledError  # it waited for its place until its row had failed
            yield
        finally:
            self.line.leave()

    def _key(self, *call: Any) -> str:
        row, asked = _row.get(), content_hash(self.engine.fingerprint, *call)
        row.seen[asked] = row.seen.get(asked, 0) + 1  # the same call again within one row is another call
        return content_hash(row.key, asked, row.seen[asked])

    async def _keep(
        self, key: str, reply: Any, prompt_tokens: int, output_tokens: int, usd: float | None
    ) -> None:
        text, half = _to_json(reply), False
        try:
            text.encode()
        except UnicodeEncodeError:
            text, half = "[]", True  # what it cost is kept
        self.told(output_tokens)
        of_step = self.step, _row.get().key, text, self.fingerprint_of_step, self.name
        await self.journal.keep(Call(key, *of_step, prompt_tokens, output_tokens, usd))
        if half:
            raise CallFailed("the model's answer holds half of a surrogate pair; no file can hold that")


@asynccontextmanager
async def row_of(key: str, turn: int) -> AsyncIterator[None]:
    """Calls made inside, in this task and in those it makes, belong to the row with this key.

    turn: it is begun as the n-th. It ends once they have, so that none is thrown away because another one
    failed; where the run stops they are broken off. Of a group of errors the first that counts comes out.
    """
    row, stop = _Row(key, turn), True
    _row.set(row)
    try:
        try:
            yield
        except ExceptionGroup as e:  # of an asyncio.TaskGroup
            raise first_error(e) from None
        stop = False
    except (CallFailed, BudgetSpent):
        stop = False
        raise
    finally:
        await row.end(stop=stop)


async def _came(
    chat: Coroutine[Any, Any, list[Completion]], had: Sequence[Completion | None]
) -> tuple[Sequence[Completion | None], tuple[int, int], CurateError | None]:
    """The turns that are there, tokens in and out that were paid for now, and why turns are missing.

    Raises what brought nothing and cost nothing.
    """
    try:
        replies = await chat
    except CurateError as e:
        turns = e.paid or had
        if not any(e.spent) and len([*filter(None, turns)]) == len([*filter(None, had)]):
            raise
        return turns, e.spent, e
    before, now = tokens_of(had), tokens_of(replies)
    return replies, (now[0] - before[0], now[1] - before[1]), None


def _completion(told: dict[str, Any] | None) -> Completion | None:
    return told and Completion(**{k: _tuple(v) for k, v in told.items()})  # type: ignore[return-value]


def _told(reply: Completion) -> dict[str, Any]:
    """Its fields, without those that nobody filled."""
    return {k: v for k, v in vars(reply).items() if v is not None or k not in _MAY_LACK}


def _tuple(value: Any) -> Any:
    return tuple(_tuple(v) for v in value) if isinstance(value, list) else value
