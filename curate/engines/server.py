"""An engine behind any OpenAI-compatible address: vLLM, SGLang, a hosted model, `curate.engines.serve`."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from curate.engines import server_chat, server_prompt, server_score
from curate.engines.fleet import Fleet, Host, affinity
from curate.engines.knock import Identity, knock
from curate.engines.limiter import Limiter
from curate.engines.retry import Breaker, Patience, attempt
from curate.engines.sampling import Sampled, opening
from curate.engines.server_several import several_turns
from curate.errors import UserError
from curate.step import Completion, Message, TokenScores

if TYPE_CHECKING:
    import httpx


@dataclass
class _Door:
    fleet: Fleet[Host]
    identity: Identity
    breaker: Breaker
    aside: Breaker
    prompts: dict[str, str] = field(default_factory=dict)  # of messages, as the server's chat template has it
    users: int = 1

    async def close(self) -> None:
        await asyncio.gather(*(host.client.aclose() for host in self.fleet.hosts))


@dataclass(frozen=True)
class Server(Sampled):
    """`url` ends where `/chat/completions` begins, as in http://localhost:8000/v1.

    Several of them (a list, or with commas between) are one engine: calls that begin alike go to the same
    server while it is not much busier; one that dies is left out for a while, and its calls asked elsewhere.

    api_key: where None, the environment's OPENAI_API_KEY; it is never written down.
    concurrency: the most requests in flight, at all servers together; there are fewer while a server says 429
    or does not answer in time. request_timeout_s bounds one request, which is one whole trace.
    retries: after the first try of a call, on 429, 5xx, time-outs, dropped connections and what is no answer;
    with the defaults a server may be away for about a minute. A Retry-After is honoured.
    backoff_s: the first wait between two tries; it doubles up to longest_wait_s, and is jittered by half.
    give_up_after: so many calls failed in a row stop the run; where none has ever succeeded, the first does.
    """

    least: ClassVar[Mapping[str, float]] = {
        "concurrency": 1, "give_up_after": 1, "retries": 0,
        "backoff_s": 0, "longest_wait_s": 0,
    }  # fmt: skip
    url: str | Sequence[str] = field(kw_only=True)
    api_key: str | None = field(default=None, kw_only=True, repr=False)
    concurrency: int = field(default=64, kw_only=True)
    request_timeout_s: float = field(default=1200.0, kw_only=True)
    retries: int = field(default=6, kw_only=True)
    backoff_s: float = field(default=1.0, kw_only=True)
    longest_wait_s: float = field(default=300.0, kw_only=True)
    give_up_after: int = field(default=8, kw_only=True)
    _door: _Door | None = field(init=False, repr=False, compare=False, default=None)
    _served: dict[str, Any] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.request_timeout_s <= 0:
            said = f"request_timeout_s={self.request_timeout_s!r}"
            raise UserError(f"{said} is no option of {self.model!r}: it must be above 0.")
        given = self.url if isinstance(self.url, Sequence) else str(self.url)
        given = given.split(",") if isinstance(given, str) else given
        urls = list(dict.fromkeys(str(url).strip().rstrip("/") for url in given))
        for url in urls or [""]:
            if not _is_address(url):
                raise UserError(
                    f"{url!r} is not the address of a server: write it like http://localhost:8000/v1"
                )
        object.__setattr__(self, "url", ",".join(urls))

    @property
    def served(self) -> dict[str, Any]:
        """What the servers said of the model beyond its name when last opened; vLLM tells its `root`."""
        return dict(self._served)

    def describe(self) -> dict[str, Any]:
        """For recipe.json: what was asked for, and what answered to that name."""
        return super().describe() | ({"served": self.served} if self._served else {})

    async def __aenter__(self) -> Server:
        """A server that is not there, refuses the key or serves another model is named before any work."""
        if self._door:
            self._door.users += 1
            return self
        identity = Identity(self.model, self._served, self.max_tokens)
        breaker, aside = Breaker(self.give_up_after), Breaker(self.give_up_after, aside=True)
        door = _Door(self._fleet(), identity, breaker, aside)
        try:
            await knock(door.fleet.hosts, door.identity, self._patience)
        except BaseException:
            await door.close()
            raise
        object.__setattr__(self, "_door", door)
        return self

    async def __aexit__(self, *exc: object) -> None:
        door = self._door
        if door is None:
            return
        door.users -= 1
        if door.users == 0:
            object.__setattr__(self, "_door", None)
            await door.close()

    def _fleet(self) -> Fleet[Host]:
        import httpx

        key = _key(self.api_key or os.environ.get("OPENAI_API_KEY", ""))
        options: dict[str, Any] = {
            "headers": {"Authorization": f"Bearer {key}"} if key else {},
            "timeout": httpx.Timeout(self.request_timeout_s, connect=min(30.0, self.request_timeout_s)),
            "limits": httpx.Limits(max_connections=self.concurrency),
        }
        hosts = [
            Host(url, httpx.AsyncClient(base_url=url + "/", **options), Limiter(self.concurrency))
            for url in str(self.url).split(",")
        ]
        return Fleet(hosts, self.concurrency)

    @property
    def _patience(self) -> Patience:
        return Patience(self.retries, self.backoff_s, self.longest_wait_s)

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
        had: Sequence[Completion | None] = (),
        **sampling: Any,
    ) -> list[Completion]:
        """n turns, in one request where the server honours `n`, and one request for each that it left out.
        Where one of those fails the error has the others as `paid`; given back as `had` they stay.

        Log-probabilities are what the server gives; vLLM and `curate.engines.serve` mean at temperature 1.
        With several turns and a server that only counts their sum, output_tokens is the share by length; the
        prompt tokens of turns that were asked for one by one are counted with those of the first turn.
        """
        how, key = self.sampling(sampling), affinity(messages)
        body, opened = server_chat.request(self.model, how, stop, ban), ""
        if prefix and (begun := await self._begun(key, messages, prefix, how.max_tokens)):
            prompt, limit, opened = begun
            body |= server_chat.in_text(prompt, limit, logprobs)
            ask = partial(self._post, key, "completions", lacks=server_chat.lacks_texts)
        else:
            body |= server_chat.in_chat(messages, prefix, logprobs)
            ask = partial(self._post, key, "chat/completions", lacks=server_chat.lacks_turns)
        first = secrets.randbits(48) if seed is None else seed

        async def some(**more: int) -> list[Completion]:
            return server_chat.turns(str(self.url), await ask(body | more), prefix, stop, logprobs, opened)

        return await several_turns(some, n, first, had)

    async def _begun(
        self, key: str, messages: Sequence[Message], prefix: str, limit: int | None
    ) -> tuple[str, int, str] | None:
        """What goes on as a text where the server tells its chat template."""
        known = self._door.prompts if self._door else {}
        post = partial(self._post, key, lacks=server_score.lacks, aside=True)
        return await server_prompt.goes_on(post, known, self.model, messages, prefix, limit)

    async def score(
        self, messages: Sequence[Message], text: str, *, prefix: str = "", top_k: int = 0, rank: bool = False
    ) -> TokenScores:
        """How probable the model finds `text` after the messages and the begun turn, token by token.

        For servers that tell the log-probabilities of a prompt: vLLM's, and `curate.engines.serve`.
        """
        return await server_score.score(
            self._scoring(messages), self.model, messages, text, prefix=prefix, top_k=top_k, rank=rank
        )

    async def count_tokens(self, text: str) -> int:
        """How many tokens a text is by itself, on servers that tell (vLLM's, `curate.engines.serve`)."""
        post = partial(self._post, "", lacks=server_score.lacks)
        return len(await server_score.tokens(post, self.model, text))

    async def opened(self, messages: Sequence[Message]) -> str:
        """The tag with which the chat template itself begins the thinking of the next turn, if it does."""
        return opening(await server_prompt.rendered(self._scoring(messages), self.model, messages))

    def _scoring(self, messages: Sequence[Message]) -> server_prompt.Post:
        return partial(self._post, affinity(messages), lacks=server_score.lacks)

    async def _post(
        self, key: str, path: str, body: dict[str, Any], *, lacks: Callable[[Any], str], aside: bool = False
    ) -> dict[str, Any]:
        """The JSON at this path behind the address, or from "/" at the server's root.

        aside: a question before the call, which says nothing on whether calls succeed; raises Untold.
        """
        door = self._door
        if door is None:
            raise RuntimeError("the engine is closed; use it inside `async with engine`")

        async def send(host: Host) -> httpx.Response:
            if not host.checked:  # a connection broke, and who answers now may be another
                await door.identity.check(host)
            at = host.url.removesuffix("/v1") + path if path.startswith("/") else path
            response = await (server_prompt.ask if aside else server_chat.post)(host, at, body)
            if response.status_code in (404, 405) and path.startswith("/"):
                raise server_score.untold(self.model)
            return response

        breaker = door.aside if aside else door.breaker
        return await attempt(door.fleet, send, key, breaker, self._patience, lacks)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return url.startswith(("http://", "https://")) and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half of the brackets of IPv6
        return False


def _key(given: str) -> str:
    """The key without what was copied along with it; one that no header can hold is refused, never quoted."""
    key = given.strip()
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            "the key (api_key, OPENAI_API_KEY) holds a character that no key has, such as a line break or a "
            "long dash; copy it again"
        )
    return key
