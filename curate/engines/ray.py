"""An engine on a Ray cluster: replicas of any other engine behind one `chat`, each as good as the other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, ClassVar

from curate.cluster import INSTALL, attach, share_of_cpus
from curate.engines.fleet import Fleet, affinity
from curate.engines.ray_replica import Crowded, Died, Door, Place, Replica
from curate.errors import CallFailed, UserError, require
from curate.fields import check_options
from curate.identity import engines, with_engines
from curate.step import Completion, Engine, Message, Step, TokenScores
from curate.worker import portable

TRIES, SUSPECT = 5, 2  # so many replicas may die over one call; and it is asked by itself after so many


@dataclass(frozen=True)
class Ray:
    """`replicas` copies of `engine` on the Ray cluster, each on `gpus` GPUs; its answers are that engine's.

    Calls that begin alike go to the same replica while it is not much busier. A replica that dies is started
    again, and its calls are asked of another. gpus: None takes what the engine needs, or the CPU where the
    cluster has no GPU. The cluster is the one that RAY_ADDRESS names, else one is started on this machine.
    """

    loads: ClassVar[bool] = True
    least: ClassVar[Mapping[str, float]] = {"replicas": 1, "gpus": 0}
    engine: Engine
    replicas: int = 2
    gpus: float | None = None
    model: str = field(init=False, repr=False, compare=False)
    _door: Door | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", self.engine.model)
        check_options(self)
        if self.gpus is not None and self.gpus > 1 and self.gpus % 1:
            raise UserError(
                f"gpus={self.gpus} is no option of {self.model!r}: it must be a whole number, or below 1 "
                "where several replicas share one GPU."
            )

    @property
    def fingerprint(self) -> str:
        """The engine's own: where a model runs does not change what it says."""
        return self.engine.fingerprint

    def describe(self) -> dict[str, Any]:
        """For recipe.json: the engine, and how often it was there."""
        return {**self.engine.describe(), "replicas": self.replicas}

    @property
    def concurrency(self) -> int:
        return self.replicas * self._width

    @property
    def _width(self) -> int:
        return int(getattr(self.engine, "concurrency", 256))

    @property
    def served(self) -> dict[str, Any]:
        """What a server behind the engine said of the model."""
        return self._door.fleet.hosts[0].served if self._door else {}

    async def __aenter__(self) -> Ray:
        if self._door:
            self._door.users += 1
            return self
        ray = attach()
        gpus, pickled = self._gpus(ray), portable(self.engine)
        threads = share_of_cpus(ray, self.replicas)
        # No processor is asked for: on a machine with fewer of them the replicas would wait for ever.
        options: dict[str, Any] = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": self._width + 8}
        options |= {} if gpus else {"scheduling_strategy": "SPREAD"}
        actor = ray.remote(Replica).options(**options)
        places = [Place(f"replica {i}", self._width) for i in range(self.replicas)]
        fleet = Fleet(places, self.concurrency)
        door = Door(ray, lambda: actor.remote(sys.path, threads), pickled, fleet)
        await door.start()
        object.__setattr__(self, "_door", door)
        return self

    async def __aexit__(self, *exc: object) -> None:
        door = self._opened()
        door.users -= 1
        if door.users == 0:
            object.__setattr__(self, "_door", None)
            await door.close()

    def _gpus(self, ray: Any) -> float:
        """How many GPUs each replica holds."""
        nodes = [int(node["Resources"].get("GPU", 0)) for node in ray.nodes() if node["Alive"]]
        wanted = _gpus_of(self.engine) if self.gpus is None and any(nodes) else self.gpus or 0
        if not wanted:
            return 0
        # a replica is on one machine, and a share of a GPU on one GPU; Ray would wait for ever for another
        fit = sum(n // int(wanted) for n in nodes) if wanted >= 1 else sum(nodes) * int(1 / wanted + 1e-6)
        if fit < self.replicas:
            raise UserError(
                f"{self.replicas} replicas on {wanted:g} GPUs each do not fit: the cluster has {sum(nodes)}, "
                f"its largest machine {max(nodes, default=0)}, and each replica has to fit on one machine; "
                "ask for fewer replicas, or fewer GPUs for each (gpus=0.5 where two of them share one)"
            )
        return wanted

    async def chat(self, messages: Sequence[Message], **options: Any) -> list[Completion]:
        """As the engine's `chat`, on one of the replicas."""
        found: list[Completion] = await self._ask("chat", affinity(messages), messages, **options)
        return found

    @property
    def score(self) -> Callable[..., Coroutine[Any, Any, TokenScores]]:
        """As the engine's `score`, on one of the replicas; not there where the engine has none."""
        if not callable(getattr(self.engine, "score", None)):
            raise AttributeError(f"{self.model!r} cannot score")
        return self._score

    async def _score(self, messages: Sequence[Message], text: str, **options: Any) -> TokenScores:
        found: TokenScores = await self._ask("score", affinity(messages), messages, text, **options)
        return found

    async def opened(self, messages: Sequence[Message]) -> str:
        """The tag with which the chat template itself begins the thinking, where the engine knows."""
        known = callable(getattr(self.engine, "opened", None))
        return str(await self._ask("opened", affinity(messages), messages)) if known else ""

    @property
    def count_tokens(self) -> Callable[[str], Coroutine[Any, Any, int]]:
        """As the engine's `count_tokens`, on one of the replicas; not there where the engine has none."""
        if not callable(getattr(self.engine, "count_tokens", None)):
            raise AttributeError(f"{self.model!r} counts no tokens")
        return self._count_tokens

    async def _count_tokens(self, text: str) -> int:
        return int(await self._ask("count_tokens", text, text))

    async def _ask(self, method: str, key: str, *args: Any, **options: Any) -> Any:
        """Ask one replica, and where it dies another. Calls of one key go to the same.

        A call that saw two die may be why they did: such calls go one at a time, so that one which kills does
        not take the same others down with it again and again.
        """
        door = self._opened()
        avoid: list[Place] = []
        while True:
            async with door.one if len(avoid) >= SUSPECT else nullcontext():
                place = await door.fleet.acquire(key, len(avoid), avoid)
                try:
                    return await door.ask(place, method, *args, **options)
                except Crowded:
                    continue
                except Died as e:
                    avoid.append(place)
                    if len(avoid) == TRIES:
                        raise CallFailed(f"{TRIES} replicas died over this call; the last: {e}") from None
                finally:
                    door.fleet.release(place)

    def _opened(self) -> Door:
        if self._door is None:
            raise RuntimeError("the engine is closed; use it inside `async with engine`")
        return self._door


def _gpus_of(engine: Any) -> int:
    """How many GPUs an engine takes: vLLM as many as it is told, `hf` one, a client of a server none."""
    if hasattr(engine, "tensor_parallel_size"):
        return int(engine.tensor_parallel_size)
    return int(getattr(engine, "device", "cpu") != "cpu")


def on_cluster(step: Step, replicas: int) -> Step:
    """The step with so many replicas of each of its engines.

    A server stays as it is, and so does what has its replicas already.
    """
    require("ray", INSTALL)  # said before any work
    there = {
        k: e if isinstance(e, Ray) or hasattr(e, "url") else Ray(e, replicas)
        for k, e in engines(step).items()
    }
    placed: Step = with_engines(step, there)
    return placed
