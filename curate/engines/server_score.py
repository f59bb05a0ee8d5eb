"""The log-probabilities of a stored text, asked of a server that tells those of its prompt (vLLM's does).

The server renders the chat template and cuts the text into tokens (`/tokenize`, `/detokenize`), so there is
no tokenizer here; the cut is that of `hf`: as one text, unless a token would straddle the seam.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from curate.engines.server_prompt import Post, begun, rendered
from curate.errors import UserError
from curate.step import Message, TokenScores


def untold(model: str) -> UserError:
    """Most hosted models are such."""
    return UserError(
        f"the server of {model!r} tells no log-probabilities of a prompt, as vLLM's does; "
        f"score with hf:{model}, or with vllm:{model}."
    )


def lacks(reply: Any) -> str:
    """What a reply to a question of this file has to have and has not; empty where it is whole."""
    reply = reply if isinstance(reply, dict) else {}
    choices = reply.get("choices")
    chosen = isinstance(choices, list) and choices and isinstance(choices[0], dict)
    good = isinstance(reply.get("tokens"), list) or isinstance(reply.get("prompt"), str) or chosen
    return "" if good else "no tokens, prompt or choices"


async def score(
    post: Post,
    model: str,
    messages: Sequence[Message],
    text: str,
    *,
    prefix: str = "",
    top_k: int = 0,
    rank: bool = False,
) -> TokenScores:
    """As `score` of the `hf` engine, without entropy, which no server tells."""
    prompt, _ = begun(await rendered(post, model, messages), prefix)
    before = await tokens(post, model, prompt)
    whole = await tokens(post, model, prompt + text)
    if whole[: len(before)] != before:
        whole = before + await tokens(post, model, text)
    ids = whole[len(before) :]
    if not ids:
        return TokenScores((), (), (), (), None, () if top_k else None, () if rank else None)
    body = {"model": model, "prompt": whole, "max_tokens": 1, "temperature": 0.0, "prompt_logprobs": top_k}
    ranked = {"vllm_xargs": {"rank": 1}} if rank else {}  # vLLM's field for what is ours; it ranks unasked
    choice = (await post("completions", body | ranked))["choices"][0]
    told = choice.get("prompt_logprobs")
    if not isinstance(told, list) or len(told) != len(whole):
        raise untold(model)
    found = [{int(i): _number(chance) for i, chance in at.items()} for at in told[len(before) :]]
    if rank and any(at[i].get("rank") is None for i, at in zip(ids, found, strict=True)):
        raise UserError(f"the server of {model!r} tells no ranks; score with hf:{model} or vllm:{model}.")
    spans = await _spans(post, model, ids, [at[i] for i, at in zip(ids, found, strict=True)], text)
    return TokenScores(
        ids=tuple(ids),
        start=tuple(start for start, _ in spans),
        end=tuple(end for _, end in spans),
        logprob=tuple(at[i]["logprob"] for i, at in zip(ids, found, strict=True)),
        top=tuple(_best(at, top_k) for at in found) if top_k else None,
        rank=tuple(at[i]["rank"] for i, at in zip(ids, found, strict=True)) if rank else None,
        prompt_tokens=len(before),
    )


async def tokens(post: Post, model: str, text: str) -> list[int]:
    """The tokens of a text by itself."""
    found = await post("/tokenize", {"model": model, "prompt": text, "add_special_tokens": False})
    return list(found["tokens"])


async def _spans(
    post: Post, model: str, ids: list[int], told: list[dict[str, Any]], text: str
) -> list[tuple[int, int]]:
    """Character offsets. Tokens that are parts of one character share it: their texts are asked together."""
    spans: list[tuple[int, int]] = []
    at, begun = 0, 0
    for i, token in enumerate(told):
        said = token.get("decoded_token") or ""
        if begun < i or not said or not text.startswith(said, at):
            body = {"model": model, "tokens": ids[begun : i + 1]}
            said = (await post("/detokenize", body))["prompt"]
            if not said or not text.startswith(said, at):
                continue
        spans += [(at, at + len(said))] * (i + 1 - begun)
        at, begun = at + len(said), i + 1
    return spans + [(at, len(text))] * (len(ids) - begun)


def _number(chance: dict[str, Any]) -> dict[str, Any]:
    """With a log-probability of at most 0; one that is no number, null among them, is NaN."""
    said = chance.get("logprob")
    return {**chance, "logprob": min(said, 0.0) if isinstance(said, int | float) else math.nan}


def _best(at: dict[int, dict[str, Any]], k: int) -> tuple[tuple[int, float], ...]:
    ranked = sorted(at.items(), key=lambda pair: -pair[1]["logprob"])
    return tuple((i, chance["logprob"]) for i, chance in ranked[:k])
