"""Several servers are one: a call goes to the one that knows its beginning, unless it is busy or dead."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
import random
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from curate.engines.limiter import Limiter
from curate.schema import content_hash
from curate.step import Message

if TYPE_CHECKING:
    import httpx

FAILED_IN_A_ROW = 3  # so many broken answers with no good one between them: the server is left out
MUCH_BUSIER = 4  # requests, and a quarter more; beyond that a warm cache is not worth the queue
logger = logging.getLogger(__name__)


def affinity(messages: Sequence[Message]) -> str:
    """The same for all calls that begin alike: every sample of a problem, every turn of its conversation."""
    until = next((i for i, m in enumerate(messages) if m["role"] == "user"), len(messages))
    return content_hash("prefix", [dict(m) for m in messages[: until + 1]])


class Place(Protocol):
    """Where a call may go: a server, or a replica on a cluster."""

    url: str  # its name among the others
    out: int  # calls under way there
    back_at: float  # of one that is not open: when it may be again
    words: str  # the last it said when it failed

    def open(self) -> bool: ...
    def room(self) -> bool: ...


P = TypeVar("P", bound=Place)


@dataclass(eq=False)
class Host:
    """One server: what is under way there, and whether it is left out for a while."""

    url: str
    client: httpx.AsyncClient
    limiter: Limiter
    checked: bool = False  # that it serves the model; asked again after a connection broke
    tells: bool | None = None  # what its chat template makes of a chat; None until that is known
    refused_ban: bool = False  # it has refused `bad_words`, which was said
    out: int = 0
    failed: int = 0  # in a row
    deaths: int = 0  # in a row
    back_at: float = 0.0  # of a dead one: when to try again
    dead: bool = False
    said_dead: bool = False  # to the user, in the last line about it
    gone: bool = False  # nobody listens there
    words: str = ""  # the last it said when it failed

    def answered(self) -> None:
        """It works."""
        self.failed, self.deaths, self.dead, self.gone = 0, 0, False, False
        self.limiter.answered()

    def broke(self, *, gone: bool, rest_s: float, longest_s: float) -> None:
        """A broken answer or none. One refused connection is enough to leave the server out for a while."""
        self.failed, self.gone = self.failed + 1, self.gone or gone
        now = time.monotonic()
        if (gone or self.failed >= FAILED_IN_A_ROW) and (not self.dead or now >= self.back_at):
            rest = min(longest_s, rest_s * 2**self.deaths) * random.uniform(0.5, 1.5)
            self.dead, self.back_at, self.deaths = True, now + rest, self.deaths + 1

    def open(self) -> bool:
        """Whether to ask it: it is not dead, or its rest is over, and then one call shall find out."""
        return not self.dead or (time.monotonic() >= self.back_at and self.out == 0)

    def room(self) -> bool:
        return self.out < self.limiter.width


@dataclass
class Fleet(Generic[P]):
    """The hosts, at most `most` requests at all of them together, and the calls that wait for a place.

    Calls that were tried before go first: where nothing answers, the first of them finds out soon.
    """

    hosts: Sequence[P]
    most: int
    out: int = 0
    _waiting: list[tuple[int, int, str, Collection[P], asyncio.Future[P]]] = field(default_factory=list)
    _number: itertools.count[int] = field(default_factory=itertools.count)

    async def acquire(self, key: str, tried: int = 0, avoid: Collection[P] = ()) -> P:
        """A place at one of the hosts; give it back with `release`. `avoid`: where it has just failed."""
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (-tried, next(self._number), key, avoid, turn))
        self.grant()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(turn.result())
            raise

    def release(self, host: P) -> None:
        host.out, self.out = host.out - 1, self.out - 1
        self.grant()

    def elsewhere(self, avoid: Collection[P]) -> bool:
        """Whether a host is open that a call has not just failed at."""
        return any(h not in avoid and h.open() for h in self.hosts)

    def no_answer(self, tries: int) -> str:
        """That so many tries had none, in the servers' last words."""
        if len(self.hosts) == 1:
            [host] = self.hosts
            return f"the server at {host.url} gave no answer in {tries} tries; the last time: {host.words}"
        said = "; ".join(f"{h.url}: {h.words}" for h in self.hosts if h.words)
        return f"none of the {len(self.hosts)} servers gave an answer in {tries} tries; the last time: {said}"

    def grant(self) -> None:
        """Give places to those who wait, as far as there are any: after a release, and when a place opens."""
        elsewhere = []  # who wait for a host that is full, while others may go where they have just failed
        while self._waiting and self.out < self.most:
            waits = heapq.heappop(self._waiting)
            _, _, key, avoid, turn = waits
            if turn.done():
                continue
            if (host := self._pick(key, avoid)) is not None:
                host.out, self.out = host.out + 1, self.out + 1
                turn.set_result(host)
                continue
            elsewhere.append(waits)
            if not any(h.open() and h.room() for h in self.hosts):
                break
        for waits in elsewhere:
            heapq.heappush(self._waiting, waits)

    def _pick(self, key: str, avoid: Collection[P]) -> P | None:
        """The host that this key belongs to, or the least busy one; None where all that it wants are full."""
        living = [h for h in self.hosts if h.open()]
        if not living:  # a limit says how much a living server bears; a dead one is asked whether it lives
            return min(self.hosts, key=lambda h: (h.back_at, h.out))
        wanted = [h for h in living if h not in avoid] or living
        free = [h for h in wanted if h.room()]
        if not free:
            return None
        least = min(free, key=lambda h: h.out)
        first = max(wanted, key=lambda h: content_hash(key, h.url))
        return first if first in free and first.out <= 1.25 * least.out + MUCH_BUSIER else least


def say_who_is_left_out(hosts: Sequence[Host], host: Host) -> None:
    """One line when one of several servers is left out, and one when it answers again; not one a call."""
    if len(hosts) == 1 or host.dead == host.said_dead:
        return
    host.said_dead = host.dead
    at = without_login(host.url)
    if not host.dead:
        logger.warning("the server at %s answers again, and is asked as the others are", at)
    else:
        left = sum(not h.dead for h in hosts)
        others = f"its calls go to the others, {left} of {len(hosts)}" if left else "no other is left, either"
        logger.warning("left out for now: the server at %s (%s); %s", at, host.words, others)


def without_login(url: str) -> str:
    """The address as it may be shown: without a user's name and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
