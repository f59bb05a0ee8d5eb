"""Replicas of an engine: actors of a Ray cluster that are started together, and again when they die."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from curate.cluster import first_line
from curate.engines.fleet import Fleet
from curate.engines.knock import another
from curate.errors import EngineDown
from curate.host import import_from, unpickled

# Before each attempt to start a replica: a GPU is freed after a while.
PAUSES_S = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
LEAVE_S = 30.0  # after so long a replica is killed
LOADS = 3  # a replica that dies while it is loaded for the first time is loaded so often


class Replica:
    """The far end, an actor: one copy of the engine on one machine."""

    def __init__(self, path: list[str], threads: int) -> None:
        import_from(path)
        os.environ["OMP_NUM_THREADS"] = str(threads)  # Ray has set it to 1; nobody has read it yet
        self.engine: Any = None

    async def open(self, pickled: bytes) -> dict[str, Any]:
        """Load the model; what a server said of it, if anything."""
        self.engine = await unpickled(pickled).__aenter__()
        return getattr(self.engine, "served", None) or {}

    async def close(self) -> None:
        await self.engine.__aexit__(None, None, None)

    async def call(self, method: str, *args: Any, **options: Any) -> Any:
        return await getattr(self.engine, method)(*args, **options)

    async def pid(self) -> int:
        return os.getpid()


@dataclass(eq=False)
class Place:
    """One replica as the driver sees it: its actor, the calls under way there, and how often it died."""

    url: str
    width: int
    actor: Any = None
    starting: asyncio.Task[None] | None = None
    served: dict[str, Any] = field(default_factory=dict)
    out: int = 0
    back_at: float = 0.0
    words: str = ""
    deaths: int = 0  # since it last answered
    gone: bool = False

    def open(self) -> bool:
        return self.starting is None and not self.gone

    def room(self) -> bool:
        return self.out < self.width


class Died(Exception):
    """The replica died under a call."""


class Crowded(Exception):
    """While no replica was there more calls came to wait for this one than it takes at a time."""


@dataclass(eq=False)
class Door:
    """The replicas at work."""

    ray: Any
    make: Callable[[], Any]  # a new actor
    pickled: bytes  # the engine
    fleet: Fleet[Place]
    users: int = 1
    one: asyncio.Lock = field(default_factory=asyncio.Lock)  # held by a call that replicas have died over
    changed: str = ""  # said where a replica came back with another model

    async def start(self) -> None:
        """Load all replicas at once. A reason why none can be loaded is the reason why the run stops."""
        try:
            await asyncio.gather(*(self._load_first(place) for place in self.fleet.hosts))
        except BaseException as e:
            await self.close()
            cause = getattr(e, "cause", None)  # of a RayTaskError: what the engine itself raised
            if cause is not None:
                raise cause from None
            if isinstance(e, self.ray.exceptions.RayError):
                raise EngineDown(f"a replica died while it was loaded: {first_line(e)}") from e
            raise

    async def _load_first(self, place: Place) -> None:
        for left in reversed(range(LOADS)):
            try:
                return await self._load(place)
            except self.ray.exceptions.RayTaskError:
                raise  # what the engine itself says
            except self.ray.exceptions.RayError:
                if not left:
                    raise
                self.ray.kill(place.actor)

    async def _load(self, place: Place) -> None:
        place.actor = self.make()
        now = await place.actor.open.remote(self.pickled)
        for known in self.fleet.hosts:
            if change := another(known.served, now):
                self.changed = (
                    f"{place.url} now has {change[1]} behind it, and {known.url} had {change[0]} when it was "
                    "loaded; one engine is one model"
                )
                raise EngineDown(self.changed)
        place.served = now

    async def ask(self, place: Place, method: str, *args: Any, **options: Any) -> Any:
        """The replica's answer. Raises Died where it has none because the replica died; another is made.

        Raises Crowded where the call has to wait for another place.
        """
        if place.starting is not None:
            await asyncio.shield(place.starting)
        if self.changed:
            raise EngineDown(self.changed)
        if place.gone and not all(other.gone for other in self.fleet.hosts):
            raise Died(place.words)
        if place.gone:
            raise EngineDown(f"no replica stays alive; the last words of {place.url}: {place.words}")
        if place.out > place.width:
            raise Crowded
        actor = place.actor
        ref = actor.call.remote(method, *args, **options)
        try:
            answer = await ref
        except asyncio.CancelledError:
            self.ray.cancel(ref)
            raise
        except self.ray.exceptions.RayTaskError as e:
            raise e.cause from None
        except self.ray.exceptions.RayError as e:
            self._died(place, actor, e)
            raise Died(first_line(e)) from e
        place.deaths = 0
        return answer

    def _died(self, place: Place, actor: Any, error: Exception) -> None:
        if place.actor is not actor or place.starting is not None:
            return  # another call has seen it
        place.words, place.deaths, place.back_at = first_line(error), place.deaths + 1, time.monotonic()
        place.starting = asyncio.create_task(self._start_again(place))

    async def _start_again(self, place: Place) -> None:
        for pause in PAUSES_S[min(place.deaths - 1, len(PAUSES_S)) :]:
            await asyncio.sleep(pause)
            self.ray.kill(place.actor)
            try:
                await self._load(place)
                break
            except self.ray.exceptions.RayError as e:  # what the engine itself raised is one of these
                place.words = first_line(getattr(e, "cause", None) or e)
            except EngineDown:
                break  # another model: every call says so from here on
        else:
            place.gone, place.back_at = True, float("inf")
        place.starting = None
        self.fleet.grant()

    async def close(self) -> None:
        """End all replicas, whatever they do."""
        await asyncio.gather(*(self._end(place) for place in self.fleet.hosts))

    async def _end(self, place: Place) -> None:
        if place.starting is not None:
            place.starting.cancel()
        elif place.actor is not None and not place.gone:
            try:
                await asyncio.wait_for(place.actor.close.remote(), LEAVE_S)
            except (self.ray.exceptions.RayError, TimeoutError):
                pass  # it is killed all the same
        if place.actor is not None:
            self.ray.kill(place.actor)
