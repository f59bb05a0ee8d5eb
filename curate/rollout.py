"""A begun turn is continued: its first step under a ban, the rest free, in slices that may be the last.

Nothing here judges the answer. A slice ends at a number of tokens that hangs on the text alone, so whether
somebody stops after it or not, the slices are the same, and so is what is said in them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

from curate.errors import EngineDown, Refused, TooLong
from curate.pieces import Delimiter, steps
from curate.schema import content_hash
from curate.step import Completion, Engine, Message
from curate.text import split_thinking

CLOSINGS = {"<think>": "</think>", "<thinking>": "</thinking>", "<|begin_of_thought|>": "<|end_of_thought|>"}
STEP_ENDS: dict[Delimiter, tuple[str, ...]] = {
    "blank": ("\n\n", "\n \n"),
    "line": ("\n",),
    "sentence": (". ", "? ", "! ", "\n", "。", "？", "！"),
}
SHORTEST_LOOP = 200  # characters that a loop has at least
LONGEST_UNIT = 600  # characters that are looked at as what is repeated
_TAGS = re.compile(r"</?think(?:ing)?>|<\|(?:begin|end)_of_thought\|>")

_T = TypeVar("_T")

End = Literal[
    "stop", "length", "dominated", "loop", "unclosed", "other_tags", "no_step", "no_room", "refused"
]  # fmt: skip
"""Why a rollout ended: by itself; at its longest; because it could not win any more; it said one thing again
and again; its turn was over in the midst of thinking; it has a think tag too many; no draw of the first step
kept the ban; the model's context does not hold the turn so far; its server does not take it."""


@dataclass(frozen=True)
class Way:
    """How rollouts of one trace are asked.

    opening: the tag that begins the thinking. ban: what the first step may not hold. repeats: how often one
    thing in a row is a loop. redraws: of a first step in which the ban was not kept.
    """

    engine: Engine
    messages: Sequence[Message]
    opening: str
    ban: tuple[str, ...]
    by: Delimiter
    max_tokens: int
    redraws: int
    repeats: int

    @property
    def closing(self) -> str:
        return CLOSINGS[self.opening.strip()]

    @cached_property
    def banned(self) -> re.Pattern[str]:
        """A banned string as a word of its own, wherever it stands."""
        words = "|".join(map(re.escape, sorted(self.ban, key=len, reverse=True)))
        return re.compile(rf"(?<!\w)(?:{words})(?!\w)")


@dataclass
class Rollout:
    """What a model made of a begun turn. text: all that it wrote, raw; first: its first step, the banned one.

    discarded: draws in which the ban was not kept, or that were only white space; what they cost is in
    discarded_tokens, and in output_tokens. as_drawn: the end of the text that is known in tokens, which are
    what is gone on from; retokenized: whether some of the text was cut into tokens anew for that.
    """

    text: str = ""
    first: str = ""
    end: End = "length"
    why: str | None = None  # in the engine's words, where it gave no answer
    calls: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    discarded: int = 0
    discarded_tokens: int = 0
    drawn: int = 0  # output tokens, without discarded ones
    as_drawn: tuple[int, tuple[int, ...]] = (0, ())
    retokenized: bool = False

    def say(self, text: str, ids: tuple[int, ...] | None) -> None:
        """More of the text, with its tokens where they are known."""
        self.text += text
        characters, own = self.as_drawn
        self.as_drawn = (0, ()) if ids is None else (characters + len(text), (*own, *ids))

    def paid(self, reply: Completion) -> None:
        self.calls += 1
        self.prompt_tokens += reply.prompt_tokens
        self.output_tokens += reply.output_tokens
        self.drawn += reply.output_tokens

    def discard(self) -> None:
        self.discarded += 1
        self.discarded_tokens += self.drawn
        self.text, self.drawn, self.as_drawn, self.retokenized = "", 0, (0, ()), False


def apart(work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
    """In a task of its own. Where it is not waited for any more, its error is nobody's."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


async def call_off(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Break off what is not needed any more. Calls that had ended are in the ledger, the others nowhere."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def thinking_of(text: str, closing: str) -> str:
    """The part of a continued turn that is thinking; all of it where it is not closed."""
    return text.partition(closing)[0]


def response_of(text: str, closing: str) -> str:
    """What a continued turn says behind its thinking."""
    at = text.find(closing)
    return "" if at < 0 else split_thinking(text[at:]).response


async def roll(
    way: Way,
    begun: str,
    slice_tokens: int,
    lost: Callable[[str], Awaitable[bool]],
    seed: Sequence[object],
) -> Rollout:
    """Go on with the thinking `begun`, which ends where a step does.

    The first step holds no banned string: one that does is drawn again. It is over at the end of a step, of
    the thinking or of the turn; what follows is free. lost(thinking of the rollout so far): whether to stop.
    slice_tokens: after how many tokens that is first asked; then after twice as many, and so on.
    """
    made, free, limit = Rollout(), False, slice_tokens
    while True:
        left = way.max_tokens - made.drawn
        try:
            reply = await _call(way, begun, made, free, min(limit, left), (*seed, made.calls))
        except (TooLong, Refused) as e:
            made.end, made.why = "no_room" if isinstance(e, TooLong) else "refused", str(e)
            return made
        made.paid(reply)
        made.retokenized |= made.as_drawn[0] < len(made.text)
        made.say(reply.text if free else reply.text + (reply.stopped or ""), reply.ids)
        if not free:
            said = thinking_of(made.text, way.closing)
            made.first = said[: steps(said, way.by)[0].end].rstrip() if said.strip() else ""
            if way.banned.search(made.first) or not (made.first or reply.stopped == way.closing):
                made.discard()
                limit = slice_tokens
                if made.discarded > way.redraws:
                    made.end = "no_step"
                    return made
                continue
        full = reply.finish == "length" and 2 * reply.output_tokens < min(limit, left)  # is the context
        over = reply.finish == "stop" and (free or reply.stopped == "")
        if reply.finish == "stop" and not over:
            free = True
        elif reply.finish == "length":
            limit *= 2
        end = _ended(way, made) if over else "length" if full else await _early(way, made, lost)
        if end is not None:
            made.end = end
            return made


async def _call(
    way: Way, begun: str, made: Rollout, free: bool, limit: int, seed: Sequence[object]
) -> Completion:
    known: dict[str, Any] = {"as_drawn": made.as_drawn} if made.as_drawn[0] else {}
    [reply] = await way.engine.chat(
        way.messages,
        prefix=way.opening + begun + made.text,
        stop=() if free else (*STEP_ENDS[way.by], way.closing),
        ban=() if free else way.ban,
        seed=int(content_hash("rollout", *seed)[:12], 16),
        max_tokens=limit,
        **known,
    )
    if not free and reply.finish == "stop" and reply.stopped is None:
        raise EngineDown(
            f"{way.engine.model!r} does not tell at which stop string it ended, the end of a step or of its "
            "thinking; take one that does: hf:, vllm:, or a server of vLLM, SGLang or curate.engines.serve."
        )
    return reply


async def _early(way: Way, made: Rollout, lost: Callable[[str], Awaitable[bool]]) -> End | None:
    """Why a rollout that has not ended itself ends here, if it does."""
    if loops(made.text, way.repeats):
        return "loop"
    said = thinking_of(made.text, way.closing)
    tag = max(said.rfind(way.closing[0]), 0)  # which the last token may have cut
    if await lost(said[:tag] if way.closing.startswith(said[tag:]) else said):
        return "dominated"
    return "length" if made.drawn >= way.max_tokens else None


def _ended(way: Way, made: Rollout) -> End:
    tags = _TAGS.findall(made.text)
    if tags == [way.closing]:
        return "stop"
    return "other_tags" if tags else "unclosed"


def loops(text: str, repeats: int) -> bool:
    """Whether a text ends with one thing said so many times in a row, over 200 characters or more."""
    for size in range(1, min(LONGEST_UNIT, len(text) // repeats) + 1):
        times = max(repeats, -(-SHORTEST_LOOP // size))
        unit = text[-size:]
        if text.endswith(unit * 2) and text.endswith(unit * times):
            return True
    return False
