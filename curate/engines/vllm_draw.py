"""One sample drawn by vLLM in which no banned string stands, however it is cut into tokens.

vLLM itself can forbid tokens, and a string in the one cut that its tokenizer makes. What gets past that is
caught as a stop string: the token that completed it is forbidden in its place, one other is drawn there, and
the sample goes on. That is exactly a draw from what the model says without the tokens that complete a ban.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from curate.engines.hf_jobs import Drawn
from curate.engines.hf_words import SEAM, Words
from curate.engines.sampling import cut_at, sample_seed, stop_in
from curate.errors import CallFailed

_NEVER = -1e9  # added to a logit


@dataclass(frozen=True)
class Draw:
    """ids: the prompt, of which `begun` is the begun turn. never: tokens that hold a banned string alone."""

    words: Words
    ids: list[int]
    limit: int
    seed: int
    stop: tuple[str, ...]
    ban: tuple[str, ...]
    begun: str
    never: frozenset[int]

    async def run(self, ask: Callable[..., Awaitable[Any]], sampling: dict[str, Any]) -> Drawn:
        """`ask(ids, **options)` is vLLM's answer to one request. Equal draws make equal requests."""
        sampling = sampling | self._ends()
        new: list[int] = []
        own: list[float] = []
        refused: set[int] = set()  # tokens that may not come next
        for turn in itertools.count():
            answer = await ask(
                self.ids + new,
                max_tokens=1 if refused else self.limit - len(new),
                seed=sample_seed(self.seed, -turn),
                logit_bias=dict.fromkeys(self.never | refused, _NEVER) or None,
                **sampling,
            )
            said = finished(answer).outputs[0]
            hit = said.stop_reason if isinstance(said.stop_reason, str) else ""
            ended = said.finish_reason == "stop" and not hit
            tokens = list(said.token_ids)
            good = self._good(new, tokens[:-1] if ended else tokens)
            kept = tokens if good is None else tokens[:good]
            new += kept
            own += [] if said.logprobs is None else own_chances(kept, said.logprobs)
            if good is not None:
                refused = {tokens[good]} if kept else refused | {tokens[good]}
                continue
            text = said.text if hit and not turn else self._text(new[:-1] if ended else new)
            if ended or not refused or len(new) >= self.limit or cut_at(text, self.stop) is not None:
                break
            refused = set()
        stopped = cut_at(text, self.stop) if turn else text if said.finish_reason == "stop" else None
        finish: Literal["stop", "length"] = "stop" if ended or stopped is not None else "length"
        whole, kept = text, new
        if finish == "length":
            text, kept = self.words.whole_after(self.ids[-SEAM:], new)
            whole = text
        elif not ended:
            whole = self._text(new)
        at = stop_in(text, self.stop) if turn else hit
        text = text if stopped is None else stopped
        ids = None if ended or whole != text + at else tuple(kept)
        return Drawn(text, finish, len(new), tuple(own), at, ids)

    def _ends(self) -> dict[str, Any]:
        """What vLLM has to know of the strings. Where none ends a turn it need not read what it writes.

        A leading space is no part of what it forbids, so such a ban would forbid too much.
        """
        strings = [*self.stop, *self.ban]
        words = [b for b in self.ban if b == b.lstrip()]
        return {"stop": strings, "bad_words": words, "detokenize": bool(strings)}

    def _good(self, before: list[int], new: list[int]) -> int | None:
        """How many of the new tokens may stay: those before the one that completes a ban; None for all."""
        if not self.ban or not self._banned(before + new):
            return None
        return bisect.bisect_left(range(1, len(new) + 1), True, key=lambda k: self._banned(before + new[:k]))

    def _banned(self, new: list[int]) -> bool:
        reach = max(map(len, self.ban))
        seam = self.begun[-(reach - 1) :] if reach > 1 else ""
        text = self._text(new)
        return any(b in (seam + text)[max(0, len(seam) - len(b) + 1) :] for b in self.ban)

    def _text(self, new: list[int]) -> str:
        """The text of new tokens as it reads after the prompt, white space kept."""
        return self.words.after(self.ids[-SEAM:], new)


def finished(answer: Any) -> Any:
    """vLLM's answer, where it came to an end of its own: what it gave up (abort, error) is none."""
    reason = answer.outputs[0].finish_reason
    if reason not in ("stop", "length"):
        raise CallFailed(f"vLLM gave the answer up in its midst: {reason}")
    return answer


def containing(vocabulary: Sequence[str], ban: Sequence[str]) -> frozenset[int]:
    """The tokens in whose text a banned string stands."""
    return frozenset(i for i, text in enumerate(vocabulary) if any(b in text for b in ban))


def vocabulary(tokenizer: Any) -> list[str]:
    """The text of every token by itself; of the special ones nothing, because they are no text."""
    special = set(tokenizer.all_special_ids)
    texts = tokenizer.batch_decode([[i] for i in range(len(tokenizer))], clean_up_tokenization_spaces=False)
    return ["" if i in special else text for i, text in enumerate(texts)]


def own_chances(ids: Sequence[int], chances: Sequence[Any]) -> tuple[float, ...]:
    """Of each token its own log-probability; rounding may lift one a hair above 0, and NaN stays."""
    return tuple(min(chances[i][token].logprob, 0.0) for i, token in enumerate(ids))
