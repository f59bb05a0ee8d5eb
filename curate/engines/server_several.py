"""Several turns of one call at a server, in one request or one by one; one that fails costs no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from curate.engines.sampling import sample_seed, tokens_of
from curate.errors import CurateError, first_error
from curate.step import Completion


async def several_turns(
    some: Callable[..., Awaitable[list[Completion]]], n: int, first: int, had: Sequence[Completion | None]
) -> list[Completion]:
    """n turns, of which those in `had` are there; the first has the prompt tokens of all requests.

    some: asks for as many turns as are honoured, or with a seed alone for one.
    """

    async def tried(**more: int) -> tuple[list[Completion | None], CurateError | None]:
        try:
            return [*await some(**more)], None
        except CurateError as e:
            return [*e.paid], e

    found = {i: turn for i, turn in enumerate(had) if turn}
    spent, errors = [(0, 0)], []
    if not found:
        came, error = await tried(seed=first, **({"n": n} if n > 1 else {}))
        found = {i: turn for i, turn in enumerate(came[:n]) if turn}
        if error:
            error.paid = [found.get(i) for i in range(n)] if found else ()
            raise error
        spent.append(tokens_of(came))
    rest = [i for i in range(n) if i not in found]
    prompts = tokens_of([*found.values()])[0]
    replies = await asyncio.gather(*(tried(seed=sample_seed(first, i)) for i in rest))
    for i, (came, error) in zip(rest, replies, strict=True):
        spent.append(error.spent if error else tokens_of(came))
        errors += [error] if error else []
        if not error and came[0]:
            found[i], prompts = replace(came[0], prompt_tokens=0), prompts + came[0].prompt_tokens
    turns = [found.get(i) for i in range(n)]
    if rest:
        at = min(found)
        turns[at] = replace(found[at], prompt_tokens=prompts)
    if errors:
        stopped = first_error(BaseExceptionGroup("turns asked one by one", errors))
        assert isinstance(stopped, CurateError)
        stopped.paid, stopped.spent = turns, (sum(i for i, _ in spent), sum(o for _, o in spent))
        raise stopped
    return turns  # type: ignore[return-value]
