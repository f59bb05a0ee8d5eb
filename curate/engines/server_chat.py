"""What a server is asked in a chat, and the turns in its reply, whatever it calls their parts."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from curate.engines.sampling import Sampling, completion, cut_at, stop_in
from curate.errors import CallFailed, EngineDown
from curate.step import Completion, Message

if TYPE_CHECKING:
    import httpx

    from curate.engines.fleet import Host

logger = logging.getLogger(__name__)
_STOP = ("stop", "eos", "eos_token", "end_turn", "stop_sequence")  # as `read` takes them
_LENGTH = ("length", "max_tokens", "max_length", "max_output_tokens", "repetition")  # vLLM cut a loop off


def request(model: str, how: Sampling, stop: Sequence[str], ban: Sequence[str]) -> dict[str, Any]:
    """What every request says; what is not asked for is not in it."""
    body: dict[str, Any] = {"model": model, "temperature": how.temperature, "top_p": how.top_p}
    optional = {
        "top_k": how.top_k,
        "max_tokens": how.max_tokens,
        "stop": list(stop),
        "bad_words": list(ban),
    }
    return body | {k: v for k, v in optional.items() if v}


def in_chat(messages: Sequence[Message], prefix: str, logprobs: bool) -> dict[str, Any]:
    """What a chat says beyond; the begun turn is a message to be continued."""
    body: dict[str, Any] = {"messages": list(messages)} | ({"logprobs": True} if logprobs else {})
    if prefix:
        body["messages"].append({"role": "assistant", "content": prefix})
        body |= {"add_generation_prompt": False, "continue_final_message": True}
    return body


def in_text(prompt: str, max_tokens: int, logprobs: bool) -> dict[str, Any]:
    """What a text that goes on says beyond; without max_tokens a server would say 16."""
    verbatim = ("add_special_tokens", "skip_special_tokens", "spaces_between_special_tokens")
    body = {"prompt": prompt, "max_tokens": max_tokens, **dict.fromkeys(verbatim, False)}
    return body | ({"logprobs": 0} if logprobs else {})


async def post(host: Host, path: str, body: dict[str, Any]) -> httpx.Response:
    """What the server answers; where it refuses the field `bad_words`, what it answers without, said once."""
    response = await host.client.post(path, json=body)
    if "bad_words" not in body or response.status_code not in (400, 422) or "bad_words" not in response.text:
        return response
    plain = {name: value for name, value in body.items() if name != "bad_words"}
    response = await host.client.post(path, json=plain)
    if response.status_code == 200 and not host.refused_ban:  # else it refuses something else, too
        host.refused_ban = True
        logger.warning(
            f"the server at {host.url} refuses `bad_words` and may say what is banned; a method that bans a "
            "string draws again where it is said, and counts what that cost"
        )
    return response


def lacks_turns(reply: Any) -> str:
    """What the reply to a chat has to have and has not; empty where it is whole."""
    choices = _choices(reply, "message", dict)
    said = [c["message"].get(name) for c in choices for name in ("reasoning", "reasoning_content")]
    said += [_joined(c["message"].get("content")) for c in choices]
    good = all(text is None or isinstance(text, str) for text in said)
    return _lacks(choices, good, "content")


def lacks_texts(reply: Any) -> str:
    """The same of a text that goes on."""
    return _lacks(_choices(reply, "text", str), True, "token_logprobs")


def _choices(reply: Any, name: str, kind: type) -> list[dict[str, Any]]:
    """The choices, where each of them has this; else none."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    choices = choices if isinstance(choices, list) else []
    return choices if all(isinstance(c, dict) and isinstance(c.get(name), kind) for c in choices) else []


def _lacks(choices: list[dict[str, Any]], good: bool, chances: str) -> str:
    if not choices:
        return "no choices"
    told = [c.get("logprobs") or {} for c in choices]
    lists = [t.get(chances) if isinstance(t, dict) else "" for t in told]
    good = good and all(chance is None or isinstance(chance, list) for chance in lists)
    if chances == "content":
        good = good and all(isinstance(token, dict) for some in lists for token in some or ())
    return "" if good else "no text or log-probabilities where they belong"


def _joined(content: Any) -> Any:
    """The text of a turn whose text comes in parts; any other content as it is."""
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text"]
    strings = [text for text in texts if isinstance(text, str)]
    return "".join(strings) if len(strings) == len(content) else content


def turns(
    url: str, reply: dict[str, Any], prefix: str, stop: Sequence[str], logprobs: bool, opened: str = ""
) -> list[Completion]:
    """Every choice of a reply from the server at `url`. opened: as the template does, where that is known.

    Where some are no answer, the error has the others as `paid`, and what all have cost.
    """
    choices = [choice if "message" in choice else _said(choice) for choice in reply["choices"]]
    texts = [_raw(c["message"], prefix) for c in choices]
    counts = _output_tokens(choices, _used(reply.get("usage"), "completion_tokens"), texts)
    asked = _used(reply.get("usage"), "prompt_tokens")
    out: list[Completion | None] = []
    failed: list[CallFailed] = []
    for choice, text, count in zip(choices, texts, counts, strict=True):
        try:
            finish = _finish(url, choice)
        except CallFailed as e:
            failed.append(e)
            out.append(None)
            continue
        cut = cut_at(text, stop)  # some servers keep the stop string
        out.append(
            completion(
                text if cut is None else cut,
                finish,
                prefix=prefix,
                opened=opened or choice.get("opened") or "",
                prompt_tokens=asked,
                output_tokens=count,
                logprobs=_logprobs(url, choice) if logprobs else None,
                stopped=_stopped(choice, finish, stop) if cut is None else stop_in(text, stop),
            )
        )
    if failed:
        failed[0].paid, failed[0].spent = out if any(out) else (), (asked, sum(counts))
        raise failed[0]
    return out  # type: ignore[return-value]


def _finish(url: str, choice: dict[str, Any]) -> Literal["stop", "length"]:
    """Whether the turn is whole, or cut by a bound; what the server gave up on is neither, and no answer."""
    reason = choice.get("finish_reason")
    word = str(reason or "stop").lower()
    if word == "content_filter":
        raise CallFailed(f"the server at {url} withheld the answer: content_filter")
    if word not in _STOP and word not in _LENGTH:
        raise CallFailed(
            f"the server at {url} ended the answer with {reason!r}, which says neither that it is whole nor "
            "that a length cut it"
        )
    return "stop" if word in _STOP else "length"


def _said(choice: dict[str, Any]) -> dict[str, Any]:
    """How a text went on, in the words of a chat."""
    chances = (choice.get("logprobs") or {}).get("token_logprobs")
    told = None if chances is None else {"content": [{"logprob": chance} for chance in chances]}
    return {**choice, "message": {"content": choice["text"]}, "logprobs": told}


def _stopped(choice: dict[str, Any], finish: str, stop: Sequence[str]) -> str | None:
    """The stop string that the server names (vLLM, SGLang), "" where none; None where it tells nothing."""
    told = [choice[name] for name in ("stop_reason", "matched_stop") if name in choice]
    if finish == "length" or not stop:
        return ""
    return next((s for s in told if s in stop), "") if told else None


def _logprobs(url: str, choice: dict[str, Any]) -> tuple[float, ...]:
    content = (choice.get("logprobs") or {}).get("content")
    if content is None:
        raise EngineDown(f"the server at {url} gives no log-probabilities, and this step needs them.")
    found = (token.get("logprob") for token in content)
    return tuple(float(chance) if isinstance(chance, int | float) else math.nan for chance in found)


def _raw(message: dict[str, Any], prefix: str) -> str:
    """The turn as the model wrote it; thinking that the server has cut out is put back between tags."""
    content = _joined(message.get("content")) or ""
    reasoning = message.get("reasoning") or message.get("reasoning_content")
    if not reasoning:
        return content
    thought = reasoning if prefix else "<think>\n" + reasoning.lstrip()  # a begun turn goes on in its midst
    return f"{thought.rstrip()}\n</think>\n\n{content.lstrip()}" if content else thought


def _used(usage: Any, what: str) -> int:
    """A number of tokens, 0 where the server tells none, or what can be none."""
    said = usage.get(what) if isinstance(usage, dict) else None
    said = int(said) if isinstance(said, float) and said.is_integer() else said
    return said if isinstance(said, int) and 0 <= said < 1 << 40 else 0


def _output_tokens(choices: Sequence[dict[str, Any]], total: int, texts: Sequence[str]) -> list[int]:
    """Per choice: what the server says, as many as log-probabilities, or the share of the sum by length."""
    said = [_used(c, "output_tokens") or len((c.get("logprobs") or {}).get("content") or ()) for c in choices]
    if all(said) or not total:
        return said
    length, ends = sum(map(len, texts)) or 1, [0]
    for i in range(1, len(texts) + 1):
        ends.append(round(total * (sum(map(len, texts[:i])) / length)) if i < len(texts) else total)
    return [b - a for a, b in zip(ends, ends[1:], strict=False)]
