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
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from curate.engines.fleet import Fleet, Host, say_who_is_left_out
from curate.errors import CallFailed, EngineDown, Refused, TooLong

if TYPE_CHECKING:
    import httpx

_sleep = asyncio.sleep  # a name of its own, so that a test need not wait
PASSES = (408, 409, 425, 429)  # refusals of the moment
_OF_THE_REQUEST = (400, 413, 422)  # of the others some may be granted later: a payment, a limit, a proxy's
_TOO_LONG = re.compile(
    r"context.?(?:length|window|size)|the context of|max(?:imum)?[ _](?:context|model|length)|max_model_len|"
    r"(?:prompt|input|text)s? (?:is |are |was )?too long|longer than the (?:maximum|model)|prompt has",
    re.IGNORECASE,
)
_MONEY = re.compile(r"budget|balance|billing|credit|quota|payment", re.IGNORECASE)


@dataclass(frozen=True)
class Patience:
    """How often a call is tried again, and how long the waits between two tries are."""

    retries: int
    backoff_s: float
    longest_wait_s: float

    def wait(self, tried: int) -> float:
        """Seconds after so many tries: twice as long each time, jittered by half."""
        return min(self.longest_wait_s, self.backoff_s * 2 ** (tried - 1)) * random.uniform(0.5, 1.5)


@dataclass
class Breaker:
    """Counts calls given up in a row. Once it has tripped, every call that asks is told why.

    aside: of questions before a call, whose answers do not say that calls are answered, too.
    """

    give_up_after: int
    aside: bool = False
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

    def refused(self, url: str, status: int, words: str) -> NoReturn:
        """401, 403 or 404: the same for every call, unless other calls were answered and the key is known."""
        if self.answered and status != 401:
            self.invalid(url, status, words)
        remedy = "is the key (api_key, OPENAI_API_KEY) right?"
        if status == 404:
            remedy = (
                "is the model's name right, and does the address end where /chat/completions begins (…/v1)?"
            )
        self.down(f"the server at {url} refuses us with {status}: {short(words)}; {remedy}")

    def moved(self, url: str, status: int, where: str) -> NoReturn:
        """A redirect: the same for every call."""
        said = short(where) or "a place that it does not name"
        self.down(
            f"the server at {url} answers {status} and sends us on to {said}, where no request follows; "
            "write the address of the server that answers"
        )

    def invalid(self, url: str, status: int, words: str) -> NoReturn:
        """The server cannot serve this request. A prompt that is too long says nothing about the others."""
        sentence = f"the server at {url} rejects the request with {status}: {short(words)}"
        lasting = status in _OF_THE_REQUEST and not _MONEY.search(words)
        if lasting and _TOO_LONG.search(words):
            raise TooLong(sentence)
        self.failed += 1
        if not (self.answered and lasting) and self.failed >= self.give_up_after:
            self.down(f"{sentence}; so it did {self.failed} times in a row.")
        raise (Refused if lasting else CallFailed)(sentence)

    def gave_up(self, sentence: str, *, gone: bool) -> NoReturn:
        """One call has used up its tries; so have all where nobody listens, none succeeded or many failed."""
        self.failed += 1
        if not self.answered:
            self.down(f"{sentence}; no call has succeeded, so look at the server and start again.")
        if gone:
            self.down(f"{sentence}; nobody listens there any more, so look at the server and start again.")
        if self.failed >= self.give_up_after:
            self.down(
                f"{sentence}; {self.failed} calls failed in a row, so look at the server and start again."
            )
        raise CallFailed(sentence)


class Trouble(NamedTuple):
    """Why a try was none: the server's words, and how long it asks us to wait."""

    words: str
    wait_s: float = 0.0


async def attempt(
    fleet: Fleet[Host],
    send: Callable[[Host], Awaitable[httpx.Response]],
    key: str,
    breaker: Breaker,
    how: Patience,
    lacks: Callable[[Any], str],
) -> dict[str, Any]:
    """A server's answer: JSON that lacks nothing. Everything else is retried or raised.

    A try goes round the servers that are there until one answers; only then it counts and is waited for.
    """
    sent, tried, failed_at = 0, 0, set[Host]()
    while True:
        host = await fleet.acquire(key, sent, failed_at)
        try:
            breaker.check()
            found = await _once(host, send, breaker, how, lacks)
        finally:
            fleet.release(host)
        host.words = found.words if isinstance(found, Trouble) else host.words
        say_who_is_left_out(fleet.hosts, host)
        if not isinstance(found, Trouble):
            return found
        sent += 1
        failed_at.add(host)
        if fleet.elsewhere(failed_at):
            continue
        tried, failed_at = tried + 1, set()
        if found.wait_s > how.longest_wait_s:
            host.words += f"; it asks us to wait {found.wait_s:.0f} s"
        if found.wait_s > how.longest_wait_s or tried > how.retries:
            breaker.gave_up(fleet.no_answer(tried), gone=all(h.gone for h in fleet.hosts))
        breaker.check()
        await _sleep(found.wait_s or how.wait(tried))
        breaker.check()


async def _once(
    host: Host,
    send: Callable[[Host], Awaitable[httpx.Response]],
    breaker: Breaker,
    how: Patience,
    lacks: Callable[[Any], str],
) -> dict[str, Any] | Trouble:
    """One request. The host learns from it how many it can bear, and whether it is alive."""
    import httpx

    ticket, rest = host.limiter.ticket(), {"rest_s": how.backoff_s, "longest_s": how.longest_wait_s}
    try:
        response = await send(host)
    except httpx.HTTPStatusError as e:  # it does not say now which model it serves
        response, answer, words = e.response, None, str(e)
    except httpx.RequestError as e:  # time-outs, refused and dropped connections, a body that is no gzip
        gone = isinstance(e, (httpx.ConnectError, httpx.ConnectTimeout))
        if not host.dead:
            host.limiter.lost(ticket)
        if gone or not isinstance(e, httpx.TimeoutException):
            host.checked = False  # who answers next may be another process
            host.broke(gone=gone, **rest)
        return Trouble(f"{type(e).__name__} {e}".strip())
    else:
        answer, words = _read(host.url, response, breaker, lacks)
    if answer is not None:
        breaker.success()
        if not breaker.aside:
            host.answered()
        return answer
    if response.status_code in (429, 503):
        host.limiter.overrun(ticket)
    if response.status_code != 429:
        host.broke(gone=False, **rest)
    return Trouble(words, _retry_after(response))


def _read(
    url: str, response: httpx.Response, breaker: Breaker, lacks: Callable[[Any], str]
) -> tuple[dict[str, Any] | None, str]:
    """The answer, or None and the server's words where another try may help."""
    status, words = response.status_code, response.text
    if status in (401, 403, 404):
        breaker.refused(url, status, words)
    if 300 <= status < 400:
        breaker.moved(url, status, response.headers.get("location", ""))
    if 400 <= status < 500 and status not in PASSES:
        breaker.invalid(url, status, words)
    if status != 200:
        return None, f"{status} {short(words)}".strip()
    try:
        answer = response.json()
    except (ValueError, RecursionError):
        return None, f"not JSON: {short(words)}"
    missing = lacks(answer)
    return (None, f"{missing}: {short(words)}") if missing else (answer, "")


def _retry_after(response: httpx.Response) -> float:
    """Seconds that the server asks us to wait, 0 where it does not; it may name a date instead.

    A date is held against the server's own clock where it tells it: ours may be wrong, or jump.
    """
    said = response.headers.get("retry-after", "")
    try:
        return max(0.0, float(said))
    except ValueError:
        pass
    try:
        now = response.headers.get("date")
        began = parsedate_to_datetime(now).timestamp() if now else time.time()
        return max(0.0, parsedate_to_datetime(said).timestamp() - began)
    except (ValueError, TypeError):
        return 0.0


def short(words: str) -> str:
    """The server's words on one line, not the whole page; the message alone where it stands in JSON."""
    try:
        said = json.loads(words)
        words = said.get("message") or said["error"]["message"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    line = " ".join(str(words).split())
    return line if len(line) <= 300 else line[:297] + "..."
