"""Before any work: which servers are there, and do they serve the model that was asked for?"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from curate.engines import retry
from curate.engines.fleet import Host, without_login
from curate.errors import EngineDown, UserError, near

SAYS_MORE = ("root", "parent", "max_model_len")  # what an entry of GET models may say beyond the name
NAMES_IT = ("root", "parent")  # of these, what makes it another model
LISTING_S = 30.0
logger = logging.getLogger(__name__)


@dataclass
class Identity:
    """The one model that all servers have to serve. `served` is what they say of it beyond its name."""

    model: str
    served: dict[str, Any]
    max_tokens: int | None = None  # of every call that does not say otherwise
    said_by: str = ""

    async def check(self, host: Host) -> None:
        """EngineDown where the server refuses us or serves another model; httpx's error if it does not say.

        A server without such a list (404, 405, 501) is believed, and one that always fails at it (500, as
        transformers' does without a cache), unless the models of others are known.
        """
        import httpx

        alone = {"Connection": "close"}  # uvicorn hangs up after a 500, on whatever comes next
        reply = await host.client.get("models", timeout=LISTING_S, headers=alone)
        status = reply.status_code
        if status in (401, 403):
            retry.Breaker(1).refused(host.url, status, reply.text)
        if 300 <= status < 400:
            retry.Breaker(1).moved(host.url, status, reply.headers.get("location", ""))
        fails = status == 500 and not self.said_by
        if status in retry.PASSES or (status >= 500 and status != 501 and not fails):
            words = f"{status} {retry.short(reply.text)}".strip() + " (to GET models)"
            raise httpx.HTTPStatusError(words, request=reply.request, response=reply)
        listed = _listed(reply) if status == 200 else {}
        if self.model not in listed:
            # a folder may be served on demand by a server that lists only its cache, as transformers' does
            if listed and not Path(self.model).is_absolute():
                raise EngineDown(
                    f"the server at {host.url} does not serve {self.model!r}; {near(self.model, listed)}"
                )
        else:
            self._same(host.url, listed[self.model])
        host.checked, host.tells = True, None

    def _same(self, url: str, entry: dict[str, Any]) -> None:
        said = {k: entry[k] for k in SAYS_MORE if entry.get(k) is not None}
        if self.said_by and (change := another(self.served, said)):
            raise EngineDown(
                f"under the name {self.model!r} the server at {url} serves {change[1]}, and the one at "
                f"{self.said_by} served {change[0]}; one engine is one model"
            )
        context = said.get("max_model_len")
        if isinstance(context, int) and self.max_tokens is not None and self.max_tokens >= context:
            raise UserError(
                f"max_tokens={self.max_tokens} leaves no room for a prompt: the context of {self.model!r} at "
                f"{url} holds {context} tokens; ask for fewer, or for none to take what there is"
            )
        if not self.said_by:
            self.said_by = url
            self.served.clear()
            self.served.update(said)


def another(was: dict[str, Any], now: dict[str, Any]) -> tuple[str, str] | None:
    """What was said of a model and is said now, where these are two models; else None."""
    if any(k in was and k in now and was[k] != now[k] for k in NAMES_IT):
        return _words(was), _words(now)
    return None


def _words(said: dict[str, Any]) -> str:
    return ", ".join(f"{k} {said[k]!r}" for k in NAMES_IT if k in said)


def _listed(reply: Any) -> dict[str, dict[str, Any]]:
    """name → what a server says of that model; empty where the answer is no such list."""
    try:
        found = reply.json()
    except (ValueError, RecursionError):
        return {}
    data = found.get("data") if isinstance(found, dict) else None
    entries = data if isinstance(data, list) else []
    return {e["id"]: e for e in entries if isinstance(e, dict) and isinstance(e.get("id"), str)}


async def knock(hosts: Sequence[Host], identity: Identity, how: retry.Patience) -> None:
    """Every server that answers is checked; one that does not is left out, unless none does."""
    found = await asyncio.gather(*(_there(h, identity, how) for h in hosts), return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException):
            raise error
    absent = [f"at {without_login(h.url)}: {h.words}" for h in hosts if h.dead]
    if len(absent) == len(hosts):
        asks = "is it running, and is the address right?"
        many = "are they running, and are the addresses right?"
        raise EngineDown(f"no server answers {', '.join(absent)}; {asks if len(hosts) == 1 else many}")
    if absent:
        logger.warning("left out for now: no server answers %s", ", ".join(absent))
        for host in hosts:
            host.said_dead = host.dead


async def _there(host: Host, identity: Identity, how: retry.Patience) -> None:
    import httpx

    tries, gone = min(how.retries, 2) + 1, True
    for tried in range(1, tries + 1):
        try:
            return await identity.check(host)
        except (httpx.HTTPError, httpx.InvalidURL) as e:
            host.words, gone = str(e) or type(e).__name__, not isinstance(e, httpx.HTTPStatusError)
        if tried < tries:
            await asyncio.sleep(how.backoff_s * tried)
    host.broke(gone=True, rest_s=how.backoff_s, longest_s=how.longest_wait_s)
    host.gone = gone
