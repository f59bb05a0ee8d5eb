"""An engine that is a function: what it says is what you wrote. For tests, docs and notebooks."""

from __future__ import annotations

import inspect
import itertools
import math
import re
import secrets
import zlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, is_dataclass
from functools import cached_property
from typing import Any, Literal

from curate.engines.sampling import Sampled, completion, cut_at, sample_seed, stop_in
from curate.errors import UserError
from curate.identity import describe as describe_value
from curate.schema import content_hash
from curate.step import Completion, Message, TokenScores
from curate.syntax import source_of

_WORD = re.compile(r"\s*\S+\s*\Z|\s*\S+|\s+\Z")


@dataclass(frozen=True)
class Scripted(Sampled):
    """Says what `script` says; a token is a word, and every token has probability one.

    script: a function of the messages that answers the raw assistant turn (`<think>` and all) after the
    prefix. It is given `seed`, `prefix`, `temperature`, … as well, if it has parameters of these names;
    only one that uses the seed can say different things in the samples of one call. It may be an `async def`.
    Or a list of turns, said in the order asked and from the start again: for one conversation, not for many
    rows in flight. Banned strings are taken out of what the script says.

    chances: what `score` answers, a function of messages and text (and `prefix`): (piece, log-probability)
    pairs, one a token, whose pieces join to the text. Without it the engine is sure of what it says: a
    word is certain where the text goes on as the script does, and impossible from where it does not.
    """

    model: str = "scripted"
    script: Callable[..., str | Awaitable[str]] | Sequence[str] = field(kw_only=True)
    chances: Callable[..., Sequence[tuple[str, float]]] | None = field(kw_only=True, default=None)
    _turns: Iterator[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.script, str) or not (callable(self.script) or self.script):
            raise UserError(f"a script is a function or a list of turns, not {self.script!r}.")
        if not callable(self.script):
            object.__setattr__(self, "script", tuple(self.script))
        self._rewind()

    def _rewind(self) -> None:
        turns = None if callable(self.script) else itertools.cycle(self.script)
        object.__setattr__(self, "_turns", turns)

    @cached_property
    def fingerprint(self) -> str:
        chances = [] if self.chances is None else [_source(self.chances)]
        return content_hash("engine", self.identity, _source(self.script), *chances)[:12]

    async def __aenter__(self) -> Scripted:
        self._rewind()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """There is nothing to stop."""

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        prefix: str = "",
        n: int = 1,
        stop: Sequence[str] = (),
        ban: Sequence[str] = (),
        logprobs: bool = False,
        seed: int | None = None,
        **sampling: Any,
    ) -> list[Completion]:
        """n turns, each with the seed `sample_seed(seed, i)`. log-probabilities are all 0."""
        how = self.sampling(sampling)
        first = secrets.randbits(48) if seed is None else seed
        asked = sum(_words(m["content"]) for m in messages) + _words(prefix)
        replies = []
        for i in range(n):
            given = {"seed": sample_seed(first, i), "prefix": prefix, **vars(how)}
            text, finish, stopped = _cut(await self._say(messages, given), stop, ban, how.max_tokens)
            words = _words(text)
            replies.append(
                completion(
                    text,
                    finish,
                    prefix=prefix,
                    opened="",
                    prompt_tokens=asked,
                    output_tokens=words,
                    logprobs=(0.0,) * words if logprobs else None,
                    stopped=stopped,
                )
            )
        return replies

    async def score(self, messages: Sequence[Message], text: str, *, prefix: str = "") -> TokenScores:
        """The log-probabilities of a stored text after the begun turn, as `chances` says."""
        if self.chances is None:
            pairs = await self._sure(messages, text, prefix)
        else:
            pairs = list(_call(self.chances, messages, text, given={"prefix": prefix}))
        if "".join(piece for piece, _ in pairs) != text:
            raise UserError(f"chances answered {pairs!r}, whose pieces do not join to {text!r}.")
        ends = list(itertools.accumulate(len(piece) for piece, _ in pairs))
        ids = tuple(zlib.crc32(piece.encode("utf-8", "surrogatepass")) for piece, _ in pairs)
        begins, chances = tuple([0, *ends[:-1]][: len(ends)]), tuple(p for _, p in pairs)
        read = sum(_words(m["content"]) for m in messages) + _words(prefix) if ids else 0
        return TokenScores(ids, begins, tuple(ends), chances, prompt_tokens=read)

    async def count_tokens(self, text: str) -> int:
        """How many words a text is by itself."""
        return _words(text)

    async def _sure(self, messages: Sequence[Message], text: str, prefix: str) -> list[tuple[str, float]]:
        given = {"seed": 0, "prefix": ""}
        turns = [await self._say(messages, given)] if callable(self.script) else self.script
        words = _WORD.findall(text)
        said = itertools.accumulate(words, initial=prefix)
        next(said)
        return [(word, 0.0 if any(t.startswith(s) for t in turns) else -math.inf)
                for word, s in zip(words, said, strict=True)]  # fmt: skip

    async def _say(self, messages: Sequence[Message], given: dict[str, Any]) -> str:
        if self._turns is not None:
            return next(self._turns)
        assert callable(self.script)
        said = _call(self.script, messages, given=given)
        return str(await said if inspect.isawaitable(said) else said)


def _call(
    function: Callable[..., Any], messages: Sequence[Message], *more: str, given: dict[str, Any]
) -> Any:
    """Call it with the messages and those of the named things that it has parameters for."""
    named = inspect.signature(function).parameters
    return function(list(messages), *more, **{k: v for k, v in given.items() if k in named})


def _words(text: str) -> int:
    return len(_WORD.findall(text))


def _cut(
    text: str, stop: Sequence[str], ban: Sequence[str], max_tokens: int | None
) -> tuple[str, Literal["stop", "length"], str]:
    """The text as a model under these constraints would have said it, and why and at what it ended there."""
    while any(b in text for b in ban if b):
        for b in ban:
            text = text.replace(b, "") if b else text
    words = _WORD.findall(text)
    kept = text if max_tokens is None else "".join(words[:max_tokens])
    stopped = cut_at(kept, stop)
    if stopped is not None:
        return stopped, "stop", stop_in(kept, stop)
    return kept, "stop" if kept == text else "length", ""


def _source(script: Any) -> Any:
    """What a script's answers depend on: turns, fields, or source text (not what it closes over)."""
    if isinstance(script, tuple):
        return list(script)
    if is_dataclass(script):
        return [type(script).__qualname__, describe_value(script)]
    try:
        return source_of(script)
    except (OSError, TypeError):
        code = getattr(script, "__code__", None)
        if code is None:
            raise UserError(
                f"the script {script!r} has no source to tell it by; use a plain function."
            ) from None
        plain = [c for c in code.co_consts if isinstance(c, (str, int, float, type(None)))]
        return [code.co_code.hex(), list(code.co_names), plain]
