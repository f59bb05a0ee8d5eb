"""What the small server over `hf` answers: a chat, a text that goes on, log-probabilities, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curate.engines.hf import HF
from curate.errors import InputError, near
from curate.step import Completion

_SAMPLING = {"temperature", "top_p", "top_k"}
_CHAT = _SAMPLING | {
    "model", "messages", "n", "stop", "seed", "logprobs", "top_logprobs", "bad_words", "max_tokens",
    "max_completion_tokens", "add_generation_prompt", "continue_final_message", "stream", "user",
}  # fmt: skip
_VERBATIM = {"add_special_tokens", "skip_special_tokens", "spaces_between_special_tokens"}
_TEXT = (_CHAT - {"messages", "add_generation_prompt", "continue_final_message"}) | _VERBATIM | {"prompt"}
_SCORE = {"model", "prompt", "prompt_logprobs", "max_tokens", "temperature", "stream", "user", "vllm_xargs"}
_MOST_TURNS = 1024  # of one request; each is a row of a batch
_TOKENIZE = {"model", "prompt", "messages", "add_special_tokens", "add_generation_prompt"}


async def _chat(engine: HF, body: dict[str, Any]) -> dict[str, Any]:
    _check(body, _CHAT)
    messages, prefix = list(body["messages"]), ""
    if body.get("continue_final_message"):
        last = messages[-1].get("role") if messages else None
        if last != "assistant" or body.get("add_generation_prompt", False):
            raise InputError(
                "continue_final_message needs an assistant message last, and no generation prompt"
            )
        prefix = messages.pop()["content"]
    found = await engine.chat(messages, prefix=prefix, logprobs=bool(body.get("logprobs")), **_asked(body))
    opened = await engine.opened(messages)
    choices = [
        {
            **_choice(i, c),
            "message": {"role": "assistant", "content": c.text},
            "logprobs": None if c.logprobs is None else {"content": [{"logprob": x} for x in c.logprobs]},
            "opened": opened,
        }
        for i, c in enumerate(found)
    ]
    return _reply(engine, "chat.completion", choices, found)


async def _complete(engine: HF, body: dict[str, Any]) -> dict[str, Any]:
    """A text goes on as it stands; a prompt of tokens is scored."""
    if isinstance(body["prompt"], list):
        return await _score(engine, body)
    _check(body, _TEXT)
    if any(body.get(name) for name in _VERBATIM):
        raise InputError("a text goes on here as it stands: no special tokens are added, and none left out")
    logprobs, prompt = body.get("logprobs") is not None, body["prompt"]
    if not isinstance(prompt, str):
        raise InputError("a prompt is a text, or a list of tokens")
    found = await engine.go_on((prompt, ""), prompt, logprobs=logprobs, **_asked(body))
    choices = [
        {**_choice(i, c), "text": c.text, "logprobs": {"token_logprobs": c.logprobs} if logprobs else None}
        for i, c in enumerate(found)
    ]
    return _reply(engine, "text_completion", choices, found)


def _asked(body: dict[str, Any]) -> dict[str, Any]:
    """How to sample, in the engine's words."""
    sampling = {k: v for k, v in body.items() if k in _SAMPLING and v is not None}
    limit = next((body[k] for k in ("max_completion_tokens", "max_tokens") if body.get(k) is not None), None)
    n = 1 if body.get("n") is None else body["n"]
    if type(n) is not int or not 1 <= n <= _MOST_TURNS:
        raise InputError(f"n={n!r} is no number of turns: it must be between 1 and {_MOST_TURNS}")
    return {
        "n": n,
        "stop": _strings(body.get("stop")),
        "ban": _strings(body.get("bad_words")),
        "seed": body.get("seed"),
        **sampling,
        **({"max_tokens": limit} if limit is not None else {}),
    }


def _choice(index: int, said: Completion) -> dict[str, Any]:
    told = {"finish_reason": said.finish, "stop_reason": said.stopped or None}
    return {"index": index, **told, "output_tokens": said.output_tokens}


def _reply(
    engine: HF, kind: str, choices: list[dict[str, Any]], found: Sequence[Completion]
) -> dict[str, Any]:
    asked, said = found[0].prompt_tokens, sum(c.output_tokens for c in found)
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    return {"object": kind, "model": engine.model, "choices": choices, "usage": usage}


async def _score(engine: HF, body: dict[str, Any]) -> dict[str, Any]:
    """The log-probabilities of a prompt's own tokens; the first has none, having nothing before it."""
    _check(body, _SCORE)
    ids, k = body["prompt"], body.get("prompt_logprobs")
    if not ids or body.get("max_tokens", 1) > 1 or k is None:
        raise InputError("a prompt of tokens is only scored here: with prompt_logprobs and max_tokens=1")
    _known(engine, ids)
    more = body.get("vllm_xargs") or {}
    _check(more, {"rank"})
    if (rank := more.get("rank", 0)) not in (0, 1):
        raise InputError(f"vllm_xargs has rank={rank!r}; it is 0 or 1")
    asked = ids[:1], ids[1:], [(0, 0)] * (len(ids) - 1)
    found = await engine.score_ids(*asked, top_k=int(k), rank=bool(rank))
    told: list[Any] = [None]
    for i, (token, chance) in enumerate(zip(found.ids, found.logprob, strict=True)):
        chances = {t: (x, place) for place, (t, x) in enumerate(found.top[i] if found.top else (), 1)}
        own = chance, found.rank[i] if found.rank is not None else chances.get(token, (0.0, None))[1]
        told.append(
            {t: {"logprob": x, "rank": place, "decoded_token": _text(engine, [t])}
             for t, (x, place) in {**chances, token: own}.items()}
        )  # fmt: skip
    choice = {"index": 0, "text": "", "finish_reason": "length", "prompt_logprobs": told}
    usage = {"prompt_tokens": len(ids), "completion_tokens": 0, "total_tokens": len(ids)}
    return {"object": "text_completion", "model": engine.model, "choices": [choice], "usage": usage}


async def _tokenize(engine: HF, body: dict[str, Any]) -> dict[str, Any]:
    """The tokens of messages, as a chat begins with them, or of a text as it stands."""
    _check(body, _TOKENIZE)
    if body.get("add_special_tokens") or body.get("add_generation_prompt") is False:
        raise InputError("what is cut into tokens here is a text as it stands, or a chat up to its next turn")
    text = engine.checkpoint.render(body["messages"], "")[0] if "messages" in body else body["prompt"]
    return {"tokens": engine.checkpoint.ids(text), "max_model_len": engine.checkpoint.context}


async def _detokenize(engine: HF, body: dict[str, Any]) -> dict[str, Any]:
    _check(body, {"model", "tokens"})
    _known(engine, body["tokens"])
    return {"prompt": _text(engine, body["tokens"])}


def _known(engine: HF, ids: list[Any]) -> None:
    words = len(engine.checkpoint.tokenizer)
    for i in ids:
        if type(i) is not int or not 0 <= i < words:
            raise InputError(f"{i!r} is no token of this model: it has 0 to {words - 1}")


def _text(engine: HF, ids: list[int]) -> str:
    decode = engine.checkpoint.tokenizer.decode
    return str(decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


WORK = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _complete,
    "/tokenize": _tokenize,
    "/detokenize": _detokenize,
}


def _check(body: dict[str, Any], known: set[str]) -> None:
    for name in body:
        if name not in known:
            raise InputError(f"the field {name!r} is not known here; {near(name, known)}")
    if body.get("stream"):
        raise InputError("stream=true is not served here")


def _strings(value: Any) -> Sequence[str]:
    return [value] if isinstance(value, str) else value or ()
