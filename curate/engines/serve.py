"""A checkpoint behind an OpenAI-compatible address: `python -m curate.engines.serve MODEL --port 8000`.

Chat (n, stop, seed, logprobs, bad_words, a continued last message) and what `score` of the `server` engine
asks, as vLLM has it: /tokenize, /detokenize, /v1/completions with tokens and prompt_logprobs. What is asked
at the same time is answered together. An unknown field is refused, not ignored. Beyond the standard, a choice
tells its `output_tokens`, and the tag by which the chat template `opened` its thinking; an entry of
`logprobs.content` has no `token`; the rank of a prompt's own token, a second look at the vocabulary, is null
below the top ones unless `vllm_xargs` has `rank` 1. There is no key and no encryption: for this machine, not
for the internet.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from curate.engines.hf import HF
from curate.errors import CurateError, InputError, near

_SAMPLING = {"temperature", "top_p", "top_k"}
_CHAT = _SAMPLING | {
    "model", "messages", "n", "stop", "seed", "logprobs", "top_logprobs", "bad_words", "max_tokens",
    "max_completion_tokens", "add_generation_prompt", "continue_final_message", "stream", "user",
}  # fmt: skip
_SCORE = {"model", "prompt", "prompt_logprobs", "max_tokens", "temperature", "stream", "user", "vllm_xargs"}
_TOKENIZE = {"model", "prompt", "messages", "add_special_tokens", "add_generation_prompt"}


class _Server(ThreadingHTTPServer):
    request_queue_size = 1024
    daemon_threads = True

    def __init__(self, address: tuple[str, int], engine: HF, loop: asyncio.AbstractEventLoop) -> None:
        self.engine, self.loop = engine, loop
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            engine = self.server.engine
            model = {"id": engine.model, "object": "model", "owned_by": "curate"}
            model["root"] = engine.identity["revision"]  # of a folder its content: another one is told apart
            self._reply(200, {"object": "list", "data": [model]})
        else:
            self._reply(404, _error(f"there is nothing at {self.path}"))

    def do_POST(self) -> None:
        work = _WORK.get(self.path)
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        if work is None:
            return self._reply(404, _error(f"there is nothing at {self.path}"))
        try:
            body = json.loads(raw)
            if not isinstance(body, dict):
                raise InputError("the body of a request is a JSON object")
            if body.get("model") not in (None, self.server.engine.model):
                return self._reply(404, _error(f"the model here is {self.server.engine.model!r}"))
            answer = asyncio.run_coroutine_threadsafe(work(self.server.engine, body), self.server.loop)
            self._reply(200, answer.result())
        except (CurateError, ValueError, TypeError, KeyError, AttributeError) as e:
            self._reply(400, _error(f"{type(e).__name__}: {e}" if isinstance(e, KeyError) else str(e)))

    def _reply(self, status: int, value: Any) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """A line for every request would drown the one that says where the server is."""


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
    sampling = {k: v for k, v in body.items() if k in _SAMPLING and v is not None}
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    found = await engine.chat(
        messages,
        prefix=prefix,
        n=body.get("n") or 1,
        stop=_strings(body.get("stop")),
        ban=_strings(body.get("bad_words")),
        logprobs=bool(body.get("logprobs")),
        seed=body.get("seed"),
        **sampling,
        **({"max_tokens": limit} if limit else {}),
    )
    opened = await engine.opened(messages)
    choices = [
        {
            "index": i,
            "message": {"role": "assistant", "content": c.text},
            "finish_reason": c.finish,
            "stop_reason": c.stopped or None,
            "logprobs": None if c.logprobs is None else {"content": [{"logprob": x} for x in c.logprobs]},
            "output_tokens": c.output_tokens,
            "opened": opened,
        }
        for i, c in enumerate(found)
    ]
    asked, said = found[0].prompt_tokens, sum(c.output_tokens for c in found)
    usage = {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}
    return {"object": "chat.completion", "model": engine.model, "choices": choices, "usage": usage}


async def _score(engine: HF, body: dict[str, Any]) -> dict[str, Any]:
    """The log-probabilities of a prompt's own tokens; the first has none, having nothing before it."""
    _check(body, _SCORE)
    ids, k = body["prompt"], body.get("prompt_logprobs")
    if not isinstance(ids, list) or not ids or body.get("max_tokens", 1) > 1 or k is None:
        raise InputError("only scoring is served here: a prompt of tokens, prompt_logprobs, max_tokens=1")
    if not set(ids) <= set(range(len(engine.checkpoint.tokenizer))):
        raise InputError("the prompt has a token that this model does not have")
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
    return {"tokens": engine.checkpoint.ids(text)}


async def _detokenize(engine: HF, body: dict[str, Any]) -> dict[str, Any]:
    _check(body, {"model", "tokens"})
    return {"prompt": _text(engine, body["tokens"])}


def _text(engine: HF, ids: list[int]) -> str:
    decode = engine.checkpoint.tokenizer.decode
    return str(decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


_WORK = {
    "/v1/chat/completions": _chat,
    "/v1/completions": _score,
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


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


async def serve(engine: HF, host: str, port: int) -> None:
    """Serve until the process is told to stop; says so on stderr once it can be asked."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with engine:
        with _Server((host, port), engine, loop) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            address = f"http://{host}:{server.server_address[1]}/v1"
            sys.stderr.write(f"serving {engine.model} on {address}\n")
            sys.stderr.flush()
            await stop.wait()
            await asyncio.to_thread(server.shutdown)


def main() -> int:
    about = (__doc__ or "").split("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m curate.engines.serve", description=about)
    parser.add_argument("model", help="a checkpoint folder or a hub id")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one and names it")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default=None)
    parser.add_argument("--batch-size", type=int, default=None)
    given = parser.parse_args()
    engine = HF(given.model, dtype=given.dtype, device=given.device, batch_size=given.batch_size)
    try:
        asyncio.run(serve(engine, given.host, given.port))
    except (CurateError, OSError) as e:
        sys.stderr.write(f"{e}\n")
        return e.exit_code if isinstance(e, CurateError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
