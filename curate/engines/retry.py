"""A request is tried until it is answered, refused or given up; many given up in a row stop the run."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn

from curate.errors import CallFailed, EngineDown

if TYPE_CHECKING:
    import httpx

_sleep = asyncio.sleep  # a name of its own, so that a test need not wait
_TOO_LONG = re.compile(r"context|too long|maximum length|max_model_len|prompt has", re.IGNORECASE)


@dataclass
class Breaker:
    """Counts calls given up in a row. Once it has tripped, every call that asks is told why."""

    url: str
    give_up_after: int
    failed: int = 0
    answered: bool = False
    tripped: str | None = None

    def check(self) -> None:
        """Raises EngineDown once the server has been given up."""
        if self.tripped is not None:
            raise EngineDown(self.tripped)

    def success(self) -> None:
        self.failed, self.answered = 0, True

    def down(self, sentence: str) -> NoReturn:
        """No call can succeed any more."""
        self.tripped = self.tripped or sentence
        raise EngineDown(self.tripped)

    def refused(self, status: int, words: str) -> NoReturn:
        """401, 403 or 404: the same for every call."""
        remedy = (
            "is the model's name right?" if status == 404 else "is the key (api_key, OPENAI_API_KEY) right?"
        )
        self.down(f"the server at {self.url} refuses us with {status}: {_short(words)}; {remedy}")

    def invalid(self, status: int, words: str) -> NoReturn:
        """The server cannot serve this request. A prompt that is too long says nothing about the others."""
        sentence = f"the server at {self.url} rejects the request with {status}: {_short(words)}"
        if not _TOO_LONG.search(words):
            self.failed += 1
            if not self.answered and self.failed >= self.give_up_after:
                self.down(f"{sentence}; so it did {self.failed} times in a row.")
        raise CallFailed(sentence)

    def gave_up(self, tries: int, words: str) -> NoReturn:
        """One call has used up its tries; so has the server, where nothing ever succeeded or many failed."""
        self.failed += 1
        sentence = f"the server at {self.url} gave no answer in {tries} tries; the last time: {words}"
        if not self.answered:
            self.down(f"{sentence}; no call has succeeded, so look at the server and start again.")
        if self.failed >= self.give_up_after:
            self.down(
                f"{sentence}; {self.failed} calls failed in a row, so look at the server and start again."
            )
        raise CallFailed(sentence)


async def attempt(
    send: Callable[[], Awaitable[httpx.Response]],
    breaker: Breaker,
    *,
    retries: int,
    backoff_s: float,
    longest_wait_s: float,
) -> dict[str, Any]:
    """The server's answer: a JSON object with choices. Everything else is retried or raised."""
    import httpx

    for tried in range(1, retries + 2):
        wait = min(longest_wait_s, backoff_s * 2 ** (tried - 1)) * random.uniform(0.5, 1.5)
        try:
            response = await send()
        except httpx.TransportError as e:  # time-outs, refused and dropped connections
            words = f"{type(e).__name__} {e}".strip()
        else:
            answer, words = _read(response, breaker)
            if answer is not None:
                breaker.success()
                return answer
            asked = _retry_after(response)
            if asked > longest_wait_s:
                breaker.gave_up(tried, f"{words}; it asks us to wait {asked:.0f} s")
            wait = asked or wait
        if tried <= retries:
            breaker.check()
            await _sleep(wait)
            breaker.check()
    breaker.gave_up(retries + 1, words)


def _read(response: httpx.Response, breaker: Breaker) -> tuple[dict[str, Any] | None, str]:
    """The answer, or None and the server's words where another try may help."""
    status, words = response.status_code, response.text
    if status in (401, 403, 404):
        breaker.refused(status, words)
    if 400 <= status < 500 and status not in (408, 409, 425, 429):
        breaker.invalid(status, words)
    if status != 200:
        return None, f"{status} {_short(words)}".strip()
    try:
        answer = response.json()
    except ValueError:
        return None, f"not JSON: {_short(words)}"
    choices = answer.get("choices") if isinstance(answer, dict) else None
    good = isinstance(choices, list) and choices and all(_is_choice(c) for c in choices)
    return (answer, "") if good else (None, f"no choices: {_short(words)}")


def _is_choice(choice: Any) -> bool:
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks us to wait, 0 where it does not; it may name a date instead."""
    said = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _short(words: str) -> str:
    """The server's words on one line, not the whole page; the message alone where it stands in JSON."""
    try:
        said = json.loads(words)
        words = said.get("message") or said["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    line = " ".join(str(words).split())
    return line if len(line) <= 300 else line[:297] + "..."
