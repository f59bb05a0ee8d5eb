"""What a server's own chat template makes of a chat, where it tells, as vLLM's (`/tokenize`, `/detokenize`).

So a begun turn stands behind the generation prompt as if the model had written it, as with `hf`: a template
that is given it as a message to be continued may cut its thinking out, or trim it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from curate.engines.sampling import opening, opens
from curate.step import Message

if TYPE_CHECKING:
    import httpx

Post = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any]]]
"""`post(path, body)`: the server's JSON. A path from "/" begins at its root, another behind its /v1."""
PASSES = (408, 409, 425, 429)  # refusals of the moment


class Untold(Exception):
    """The server does not tell what its chat template makes of a chat."""


def tells(response: httpx.Response) -> bool:
    """Whether that is an answer of a server that tells, or says nothing on whether it does."""
    if response.status_code != 200:
        return response.status_code in PASSES or response.status_code >= 500
    try:
        reply = response.json()
    except ValueError:
        return True
    reply = reply if isinstance(reply, dict) else {}
    return bool(reply.get("tokens")) or isinstance(reply.get("prompt"), str)  # llama.cpp tells of no tokens


async def rendered(post: Post, model: str, messages: Sequence[Message]) -> str:
    """The prompt up to where the model goes on, as the server's chat template has it."""
    body = {"model": model, "messages": list(messages), "add_generation_prompt": True}
    tokens = (await post("/tokenize", body))["tokens"]
    return str((await post("/detokenize", {"model": model, "tokens": tokens}))["prompt"])


async def begun(post: Post, model: str, messages: Sequence[Message], prefix: str) -> tuple[str, str]:
    """The prompt with the begun turn, and the tag with which the template itself opened its thinking."""
    prompt = await rendered(post, model, messages)
    opened = opening(prompt)
    return (prompt.removesuffix(opened) if opens(prefix) else prompt) + prefix, opened


async def room(post: Post, model: str, prompt: str) -> int:
    """How many tokens the context holds behind a prompt; 1 where it is full, which the server then says."""
    told = await post("/tokenize", {"model": model, "prompt": prompt, "add_special_tokens": False})
    if not isinstance(holds := told.get("max_model_len"), int):
        raise Untold
    return max(1, holds - len(told["tokens"]))
