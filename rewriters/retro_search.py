"""A trace goes on where it had changed its mind, if that gets to the right answer in fewer steps."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import polars as pl

from curate.errors import Refused, UserError
from curate.identity import model_name
from curate.pieces import TRANSITIONS, Delimiter, delimiter, settled, steps, thoughts
from curate.revision import EVENT, SUMMARY, Found, Now, Try, best_of, event, owners_of, shorter
from curate.rewriting import gold_of, stray_tag, words
from curate.rollout import CLOSINGS, Way, apart, call_off, response_of, roll, thinking_of
from curate.schema import Row, content_hash
from curate.step import Engine, Rewriter, Text, Verdict, Verifier
from curate.turns import asked_of

SHORTEST_SLICE = 128  # tokens
_WORDS = re.compile(r".*[^\W_](?=[\s。，、；：！？])", re.DOTALL)  # however it goes on, of the same tokens


@dataclass(frozen=True)
class RetroSearch(Rewriter):
    """Retro-Search (Lu et al., arXiv:2504.04383), after its abstract and published reviews of its method.

    From the first change of thought to the last: `engine` goes on with the thought that was left, its next
    step without any of the `transitions`, the rest free. If that passes the verifier and is shorter than what
    the trace had from there, it takes its place, response included; the search goes on behind it. A trace
    that does not pass, has no gold answer, no thinking or one thought alone, stays and costs nothing; one for
    which nothing better is found stays, too. `retro` says what became of each trace, `retro_events` holds
    every rollout with its text. The child has `spans` labelled author and reviser.

    verifier: one that needs no model. mode: partial begins at one change of thought, drawn. length_unit:
    thinking only; tokens are the engine's; both: shorter in each. gamma: of the recorded values alone, for
    with right or wrong the shorter right one always has the greater value. reference: self takes the trace's
    own answer for gold where there is none. revise_incorrect: in a wrong trace any right rollout is better;
    what a verifier abstains from still stays. window: so many changes of thought are tried ahead, for speed:
    it changes no result. opening: of the reviser's thinking. redraws: of a first step that does hold a
    transition, where an engine cannot forbid them. loop_repeats: of one thing in a row end a rollout.
    """

    engine: Engine
    verifier: Verifier
    mode: Literal["full", "partial"] = "full"
    n_rollouts: int = 1
    length_unit: Literal["steps", "tokens", "both"] = "steps"
    stop_when_dominated: bool = True
    window: int = 0
    transitions: tuple[str, ...] = TRANSITIONS
    where: Literal["step_start", "near_start"] = "step_start"
    gamma: float = 0.9
    reference: Literal["gold", "self"] = "gold"
    revise_incorrect: bool = False
    max_tokens: int = 16_384
    redraws: int = 3
    loop_repeats: int = 8
    opening: str = "<think>\n"
    seed: int = 0
    version = 5
    owners = True
    not_identity = ("window",)
    reads = ("trace_id", "question", "messages", "thinking", "response", "answer")
    replies = ("</think>", "18")
    examples = (
        (
            dict(question="9 + 9?", answer="18", thinking="It is 18.\n\nWait, 8.\n\nNo.", response="18"),
            dict(thinking="It is 18.", response="18"),
        ),
        (dict(question="9 + 9?", answer="18", thinking="It is 18.\n\nWait, 8.", response="8"), None),
        (dict(question="9 + 9?", answer="18", thinking="It is 18.", response="18"), None),
        (dict(question="9 + 9?", answer=None, thinking="18.\n\nWait, no.", response="18"), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        least = {"n_rollouts": 1, "window": 0, "max_tokens": 1, "redraws": 0, "loop_repeats": 2}
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise UserError(
                    f"retro_search: {name}={getattr(self, name)} is too few; give {bound} or more"
                )
        if getattr(self.verifier, "body", None) not in ("row", "expr"):
            raise UserError(f"verifier={self.verifier!r}: give one that needs no model, like MathEqual()")
        if self.length_unit != "steps" and getattr(self.engine, "count_tokens", None) is None:
            raise UserError(
                f"{self.engine.model!r} counts no tokens, and length_unit={self.length_unit!r}; "
                "measure in steps, or ask another engine"
            )
        if not 0 < self.gamma < 1:
            raise UserError(f"gamma={self.gamma} is no discount; give a number between 0 and 1")
        if not self.transitions or not all(word.strip() for word in self.transitions):
            raise UserError(f"transitions={self.transitions!r}: name the words that begin another thought")
        if self.opening.strip() not in CLOSINGS:
            raise UserError(f"opening={self.opening!r} is no think tag; there is {', '.join(CLOSINGS)}")

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.reads, *self.verifier.columns)))

    @property
    def writes(self) -> dict[str, Any]:
        return {**super().writes, "retro": pl.Struct(SUMMARY), "retro_events": pl.List(pl.Struct(EVENT))}

    def rounds(self, row: Row) -> int:
        thinking = row["thinking"] or ""
        return sum(thinking.count(word) for word in self.transitions)  # to cut it takes thirty times as long

    def pack(self, value: Found) -> dict[str, Any]:
        return super().pack(value.child) | {"retro": value.retro, "retro_events": value.events}

    async def ask(self, row: Row) -> Found:
        """The search in one trace."""
        thinking, gold = row["thinking"] or "", gold_of(row, without_gold=self.reference == "self")
        if gold is None:
            return self._stays("no_gold")
        row = {**row, "answer": gold}
        if not thinking.strip():
            return self._stays("no_thinking")
        right = (await self._judge(row, row["response"] or "", thinking)).passed
        if not right and (right is None or not self.revise_incorrect):
            return self._stays("unverified" if right is None else "skipped_incorrect")
        by = delimiter(thinking)
        if not (cuts := self._cuts(thinking, by, 0)):
            return self._stays("single_thought", by)
        size = await self._size(thinking, by)
        begin = Now(thinking, row["response"] or "", size, len(thinking), right)
        drawn = int(content_hash("partial", self.seed, row["trace_id"])[:12], 16) % len(cuts)
        way = Way(self.engine, asked_of(row), self.opening, self.transitions, by, self.max_tokens,
                  self.redraws, self.loop_repeats)  # fmt: skip
        now, events = await self._search(row, way, begin, cuts[drawn if self.mode == "partial" else 0])
        if events and all(e["end"] == "refused" for e in events):
            raise Refused(events[0]["why"])  # which says nothing of the trace: it is asked again
        return self._told(row, by, begin, now, events)

    async def _search(self, row: Row, way: Way, now: Now, cursor: int) -> tuple[Now, list[dict[str, Any]]]:
        """The trace at the end, and what was tried. Of what is tried in vain ahead only the cost is left."""
        events: list[dict[str, Any]] = []
        ahead: dict[int, asyncio.Task[list[Try]]] = {}  # by the cut
        cuts, iteration = self._cuts(now.thinking, way.by, cursor - 1), 0
        while cuts:
            for cut in cuts[: 1 + self.window]:
                if cut not in ahead:
                    ahead[cut] = apart(self._tries(row, way, now, cut))
            tries = await ahead.pop(cuts[0])
            best = best_of(now, tries)
            for i, trial in enumerate(tries):
                place = {"iteration": iteration, "attempt": i, "accepted": i == best}
                said = thinking_of(trial.rollout.text, way.closing)
                events.append(event(trial, now, cuts[0], way.by, self.gamma, said, place))
            iteration += 1
            if best is None:
                cuts = cuts[1:]
                continue
            await call_off(ahead.values())
            ahead.clear()
            now = tries[best].then or now
            cuts = self._cuts(now.thinking, way.by, cuts[0])
        await call_off(ahead.values())
        return now, events

    async def _tries(self, row: Row, way: Way, now: Now, cut: int) -> list[Try]:
        made = (self._try(row, way, now, cut, attempt) for attempt in range(self.n_rollouts))
        return list(await asyncio.gather(*made))

    async def _try(self, row: Row, way: Way, now: Now, cut: int, attempt: int) -> Try:
        """One rollout, which hangs on the trace up to the cut, and on its length."""
        begun = now.thinking[:cut]

        async def lost(said: str) -> bool:
            if not (self.stop_when_dominated and now.right):
                return False
            return not shorter(await self._size(begun + said, way.by, ended=False), now.size)

        seed = (self.seed, row["trace_id"], content_hash(begun), attempt)
        at_once = max(
            SHORTEST_SLICE, (len(now.thinking) - cut) // 3
        )  # about what the trace took, and a third
        made = await roll(way, begun, at_once, lost, seed)
        if made.end != "stop":
            return Try(made, None, None)
        thinking = (begun + thinking_of(made.text, way.closing)).rstrip()
        response = response_of(made.text, way.closing)
        if stray_tag(Text(thinking_of(made.text, way.closing), response)):
            made.end = "other_tags"
            return Try(made, None, None)
        verdict = await self._judge(row, response, thinking)
        size = await self._size(thinking, way.by)
        author_end = min(now.author_end, cut, len(thinking))
        return Try(made, verdict, Now(thinking, response, size, author_end, bool(verdict.passed)))

    async def _judge(self, row: Row, response: str, thinking: str) -> Verdict:
        """In a worker process, so that no answer holds up the others."""
        new = {"thinking": thinking, "response": response, "finish": "stop", "output_tokens": None}
        known = {**row, **{c: new[c] for c in new if c in self.verifier.columns}}
        given = {c: known[c] for c in self.verifier.columns}
        verdict: Verdict = await asyncio.to_thread(partial(self.verifier, **given))
        return verdict

    async def _size(self, thinking: str, by: Delimiter, *, ended: bool = True) -> tuple[int, ...]:
        """The length of a thinking; of one that has not ended, the least that it can come to."""
        size = []
        if self.length_unit != "tokens":
            size.append(len(steps(thinking if ended else settled(thinking), by)))
        if self.length_unit != "steps":
            counted = thinking if ended else (_WORDS.match(thinking) or [""])[0]
            size.append(await self.engine.count_tokens(counted))  # type: ignore[attr-defined]
        return tuple(size)

    def _cuts(self, thinking: str, by: Delimiter, after: int) -> list[int]:
        """Where the trace changes its mind, behind a place in it."""
        found = thoughts(thinking, self.transitions, self.where, by)
        return [p.start for p in found[1:] if p.start > after]

    def _stays(self, status: str, by: Delimiter | None = None) -> Found:
        said = {"status": status, "reviser": model_name(self.engine), "step_delimiter": by}
        return Found(None, dict.fromkeys(SUMMARY) | said, [])

    def _told(self, row: Row, by: Delimiter, begin: Now, now: Now, events: list[dict[str, Any]]) -> Found:
        """What the search has come to, beside what it began with."""
        revised = now is not begin
        found = self._stays("revised" if revised else "kept" if begin.right else "kept_incorrect", by)
        for when, trace in (("before", begin), ("after", now)):
            found.retro[f"steps_{when}"] = len(steps(trace.thinking, by))
            found.retro[f"thoughts_{when}"] = 1 + len(self._cuts(trace.thinking, by, 0))
            found.retro[f"words_{when}"] = words(trace.thinking, None)
            found.retro[f"tokens_{when}"] = None if self.length_unit == "steps" else trace.size[-1]
        found.retro.update(
            {
                "reference": self.reference,
                "rollouts": len(events),
                "accepted": sum(e["accepted"] for e in events),
                "author_end": now.author_end,
                "rollout_tokens": sum(e["output_tokens"] for e in events),
            }
        )
        spans = list(owners_of(now.thinking, now.response, now.author_end))
        child = Text(now.thinking, now.response, spans=spans) if revised else None
        return found._replace(child=child, events=events)
