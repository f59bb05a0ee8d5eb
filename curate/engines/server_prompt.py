"""What a server's own chat template makes of a chat, where it tells, as vLLM's (`/tokenize`, `/detokenize`).

So a begun turn stands behind the generation prompt as if the model had written it, as with `hf`: a template
that is given it as a message to be continued may cut its thinking out, or trim it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from curate.engines.retry import PASSES
from curate.engines.sampling import opening, opens
from curate.schema import content_hash
from curate.step import Message

if TYPE_CHECKING:
    import httpx

    from curate.engines.fleet import Host

Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""`post(path, body)`: the server's JSON. A path from "/" begins at its root, another behind its /v1."""
NEVER = (200, 400, 404, 405, 422, 501)  # where it tells nothing, it will not later either
KNOWN = 1024  # prompts that are remembered


class Untold(Exception):
    """The server does not tell what its chat template makes of a chat."""


async def ask(host: Host, at: str, body: dict[str, Any]) -> httpx.Response:
    """The answer of a server that tells; Untold elsewhere, which the host remembers where it is lasting.

    Trouble is a moment's where the server has told before; else the chat itself says what is wrong.
    """
    if host.tells is False and "tokens" not in body:  # whoever has them was told, while another was refused
        raise Untold
    response = await host.client.post(at, json=body)
    status, reply = response.status_code, _json(response)
    said = reply if status == 200 and isinstance(reply, dict) else {}
    if isinstance(said.get("prompt"), str):
        host.tells = True
    elif not said.get("tokens"):  # llama.cpp tells of no tokens
        trouble = status >= 500 or (status == 200 and reply is None)
        if status in PASSES or (host.tells and trouble):
            return response
        if host.tells is None and status in NEVER:
            host.tells = False
        raise Untold
    return response


def _json(response: httpx.Response) -> Any:
    """None where it is none, as the page of a gateway that has one for every path."""
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None


async def rendered(post: Post, model: str, messages: Sequence[Message]) -> str:
    """The prompt up to where the model goes on, as the server's chat template has it."""
    body = {"model": model, "messages": list(messages), "add_generation_prompt": True}
    tokens = (await post("/tokenize", body))["tokens"]
    return str((await post("/detokenize", {"model": model, "tokens": tokens}))["prompt"])


def begun(prompt: str, prefix: str) -> tuple[str, str]:
    """The prompt with the begun turn, and the tag with which the template itself opened its thinking."""
    opened = opening(prompt)
    return (prompt.removesuffix(opened) if opens(prefix) else prompt) + prefix, opened


async def goes_on(
    post: Post, known: dict[str, str], model: str, messages: Sequence[Message], prefix: str, limit: int | None
) -> tuple[str, int, str] | None:
    """The prompt with a begun turn, how many tokens may follow, and the tag that the template opened.

    None where the server does not tell: then the turn is a message for it to continue. known: the prompts of
    messages that were asked for before.
    """
    key = content_hash("prompt", [dict(m) for m in messages])
    try:
        if key not in known:
            known[key] = await rendered(post, model, messages)
        prompt, opened = begun(known[key], prefix)
        while len(known) > KNOWN:
            del known[next(iter(known))]
        return prompt, limit or await room(post, model, prompt), opened
    except Untold:
        return None


async def room(post: Post, model: str, prompt: str) -> int:
    """How many tokens the context holds behind a prompt; 1 where it is full, which the server then says."""
    told = await post("/tokenize", {"model": model, "prompt": prompt, "add_special_tokens": False})
    if not isinstance(holds := told.get("max_model_len"), int):
        raise Untold
    return max(1, holds - len(told["tokens"]))
