"""A search in one trace keeps an account: the trace as it is, what was tried on it, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import polars as pl

from curate.pieces import Delimiter, Piece, steps
from curate.rollout import Rollout
from curate.step import Text, Verdict

EVENT: dict[str, Any] = {
    "iteration": pl.Int64,
    "attempt": pl.Int64,
    "cursor": pl.Int64,  # characters of the trace as it was then, up to where it changed its mind
    "cursor_step": pl.Int64,
    "untaken": pl.String,  # how the thought begins that is not taken
    "passed": pl.Boolean,  # null where nobody asked the verifier, or it abstains
    "why": pl.String,  # of the verdict, or of an engine that gave no answer
    "end": pl.String,
    "accepted": pl.Boolean,
    "steps": pl.Int64,  # of the rollout's thinking
    "remaining_steps": pl.Int64,  # of the trace's, from the cursor on
    "value": pl.Float64,  # gamma to the power of the steps where the rollout is right, else 0
    "remaining_value": pl.Float64,  # the same of the trace, from the cursor on
    "calls": pl.Int64,
    "prompt_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "discarded": pl.Int64,  # first steps in which the ban was not kept
    "discarded_tokens": pl.Int64,
    "retokenized": pl.Boolean,  # whether any of it was gone on from as text, not as the tokens drawn
    "first_step": pl.String,
    "thinking": pl.String,  # of the rollout, without what it went on from
    "response": pl.String,
}
SUMMARY: dict[str, Any] = {
    "status": pl.String,
    "reviser": pl.String,
    "reference": pl.String,
    "step_delimiter": pl.String,
    "rollouts": pl.Int64,
    "accepted": pl.Int64,
    "author_end": pl.Int64,  # characters of the thinking that the trace's author wrote
    "rollout_tokens": pl.Int64,  # output tokens of all rollouts, without what was tried ahead in vain
    "steps_before": pl.Int64,
    "steps_after": pl.Int64,
    "thoughts_before": pl.Int64,
    "thoughts_after": pl.Int64,
    "words_before": pl.Int64,  # of the thinking, as are steps and tokens
    "words_after": pl.Int64,
    "tokens_before": pl.Int64,  # null where tokens do not count
    "tokens_after": pl.Int64,
}
UNTAKEN = 40  # characters


class Now(NamedTuple):
    """A trace as it is. size: the length of its thinking, in each unit that counts; right: its answer."""

    thinking: str
    response: str
    size: tuple[int, ...]
    author_end: int
    right: bool = True


class Try(NamedTuple):
    """A rollout, judged where it came to its end. then: the trace as it would be with it."""

    rollout: Rollout
    verdict: Verdict | None
    then: Now | None


class Found(NamedTuple):
    """What a search answers: the child if there is one, the columns `retro` and `retro_events`."""

    child: Text | None
    retro: dict[str, Any]
    events: list[dict[str, Any]]


def shorter(one: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Whether it is shorter in every unit."""
    return all(a < b for a, b in zip(one, other, strict=True))


def best_of(now: Now, tries: Sequence[Try]) -> int | None:
    """Which of the tries takes the trace's place: the shortest right one; of equals the first.

    It is shorter than the trace, unless that is wrong.
    """
    right = [
        (t.then.size, i)
        for i, t in enumerate(tries)
        if t.then and t.then.right and (shorter(t.then.size, now.size) or not now.right)
    ]
    return min(right, default=((), None))[1]


def event(
    trial: Try, now: Now, cut: int, by: Delimiter, gamma: float, said: str, place: dict[str, Any]
) -> dict[str, Any]:
    """The line of one rollout. said: its thinking; place: iteration, attempt, and whether it was accepted."""
    rollout, verdict = trial.rollout, trial.verdict
    all_steps = steps(now.thinking, by)
    before = sum(p.start < cut for p in all_steps)
    mine, remaining = len(steps((now.thinking[:cut] + said).rstrip(), by)) - before, len(all_steps) - before
    return {
        **place,
        "cursor": cut,
        "cursor_step": before,
        "untaken": now.thinking[cut : cut + UNTAKEN],
        "passed": verdict.passed if verdict else None,
        "why": verdict.why if verdict else rollout.why,
        "end": rollout.end,
        "steps": mine,
        "remaining_steps": remaining,
        "value": gamma**mine if verdict and verdict.passed else 0.0,
        "remaining_value": gamma**remaining if now.right else 0.0,
        **{c: getattr(rollout, c) for c in ("calls", "prompt_tokens", "output_tokens")},
        **{c: getattr(rollout, c) for c in ("discarded", "discarded_tokens", "retokenized")},
        "first_step": rollout.first,
        "thinking": said,
        "response": trial.then.response if trial.then else None,
    }


def owners_of(thinking: str, response: str, author_end: int) -> Iterator[dict[str, Any]]:
    """Who wrote which characters of a revised trace."""
    for field, text, end in (("thinking", thinking, author_end), ("response", response, 0)):
        for label, (start, stop) in (("author", Piece(0, end)), ("reviser", Piece(end, len(text)))):
            if start < stop:
                yield dict(field=field, start=start, end=stop, label=label, value=None)
