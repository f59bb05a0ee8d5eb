"""A begun turn stands behind a server's own template as if the model had written it, or is a message."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from served import HELLO, Answer, ask, says, serving, told, work
from tiny_model import CUTTING_TEMPLATE, EMPTYING_TEMPLATE, build
from vllm_served import need_vllm, vllm_serving

from curate.engines import server_prompt
from curate.engines.hf import HF
from curate.engines.sampling import sample_seed
from curate.engines.server import Server
from curate.errors import CallFailed, EngineDown, Refused, TooLong
from curate.step import user

CLOSED = "<think>\nIt is 18.\n</think>\n\n"
CALLS: list[dict[str, Any]] = [
    {"prefix": "<think>\nIt is 18.\n\n"},
    {"prefix": CLOSED},
    {"prefix": f"{CLOSED}The", "ban": ["answer"], "stop": ["\n"], "logprobs": True, "max_tokens": 40},
    {"prefix": "It"},  # a template that opens the thinking has opened it
]


@pytest.mark.slow
@pytest.mark.parametrize("template", [CUTTING_TEMPLATE, EMPTYING_TEMPLATE])
@pytest.mark.parametrize("serve", [serving, pytest.param(vllm_serving, marks=pytest.mark.vllm)])
def test_a_template_that_cuts_or_adds_thinking_changes_no_begun_turn(
    serve: Callable[[Path], Any], template: str, tmp_path: Path
) -> None:
    """The same prompts as `hf`, token by token, and so the same greedy answers."""
    if serve is vllm_serving:
        need_vllm()
    model = build(tmp_path / "model")
    (model / "chat_template.jinja").write_text(template)
    how: dict[str, Any] = {"temperature": 0}
    jobs = [("chat", call) for call in CALLS]
    with serve(model) as url:
        found = work(Server(str(model), url=url, **how), *jobs)
        with pytest.raises(TooLong):
            work(Server(str(model), url=url), ("chat", {"prefix": "<think>\n" + "sum " * 600}))
    wanted = work(HF(str(model), dtype="float32", device="cpu", **how), *jobs)
    for [one], [other] in zip(found, wanted, strict=True):
        assert replace(one, logprobs=None) == replace(other, logprobs=None, ids=None)  # a server takes text
        assert one.logprobs == (other.logprobs and pytest.approx(other.logprobs, abs=1e-4))
    assert found[-1][0].thinking == (f"It{found[-1][0].text}" if template == CUTTING_TEMPLATE else None)


class Letters:
    """A server on which a token is a character, and every chat begins with `prompt`; `more`: of a choice."""

    def __init__(self, prompt: str, **more: Any) -> None:
        self.prompt, self.more = prompt, more

    def answer(self, nth: int, body: dict[str, Any]) -> Answer:
        if "tokens" in body:
            return 200, {"prompt": "".join(map(chr, body["tokens"]))}
        if "seed" in body:
            return 200, {"choices": [{"text": str(body["seed"]), "finish_reason": "stop", **self.more}]}
        text = self.prompt if "messages" in body else body["prompt"]
        return 200, {"tokens": [*map(ord, text)], "max_model_len": 100}


def test_the_request_says_what_was_asked() -> None:
    with told(Letters("??<think>\n", logprobs={"token_logprobs": [-0.5]}, stop_reason="\n").answer) as server:
        call = dict(prefix="<think>\nSo", stop=["\n"], ban=["Wait"], logprobs=True, seed=7, n=2, max_tokens=9)
        [[one, other]] = ask(server.url, call, temperature=0.5)
        *_, first, second = server.bodies
    assert first == {
        "model": "m",
        "prompt": "??<think>\nSo",  # the turn has a tag of its own
        "temperature": 0.5,
        "top_p": 1.0,
        "max_tokens": 9,
        "stop": ["\n"],
        "bad_words": ["Wait"],
        "logprobs": 0,
        "add_special_tokens": False,
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "seed": 7,
        "n": 2,
    }
    assert second == {**{k: v for k, v in first.items() if k != "n"}, "seed": sample_seed(7, 1)}
    assert (one.thinking, one.text, one.stopped, one.logprobs) == ("So7", "7", "\n", (-0.5,))
    assert other.text == str(sample_seed(7, 1))


def test_a_turn_may_fill_the_context_and_is_thinking_where_the_template_opened_that() -> None:
    with told(Letters("??<think>\n").answer) as server:
        [[reply]] = ask(server.url, {"prefix": "So", "seed": 7})
    assert server.bodies[-1]["prompt"] == "??<think>\nSo" and server.bodies[-1]["max_tokens"] == 100 - 12
    assert (reply.thinking, reply.response) == ("So7", "")


UNTOLD = [
    (404, "not found"),
    (401, "no"),
    (500, "oops"),
    (503, ""),
    (501, "no such thing"),
    (200, "<html>home</html>"),
    (200, "[" * 100_000),
    (400, "no prompt"),
    (200, {"tokens": []}),
    (200, {"error": "what?"}),
]


@pytest.mark.parametrize("untold", [*UNTOLD, (200, {"tokens": [1, 2]})])
def test_where_the_template_is_not_told_the_turn_is_a_message(untold: Any) -> None:
    """The last tells tokens and then no text, or no context."""

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        return says(" it is.") if "seed" in body else (404, "") if "tokens" in body else untold

    with told(answer) as server:
        [[reply]] = ask(server.url, {"prefix": "<think>\nSo"})
        body = server.bodies[-1]
    assert reply.thinking == "So it is." and "prompt" not in body and body["continue_final_message"]
    assert body["messages"] == [*HELLO, {"role": "assistant", "content": "<think>\nSo"}]
    assert len(server.bodies) <= 3


def in_turn(url: str, *calls: dict[str, Any]) -> list[str]:
    """What was said to calls that are made one after the other, and whether all servers are there then."""

    async def work() -> list[str]:
        async with Server("m", url=url, retries=5, backoff_s=0.001) as engine:
            found = [(await engine.chat(**{"messages": HELLO, "seed": 7, **call}))[0].text for call in calls]
            assert engine._door and not any(h.dead or h.failed for h in engine._door.fleet.hosts)
            return found

    return asyncio.run(work())


def asked(bodies: list[dict[str, Any]]) -> str:
    """A letter for each request: a chat, or a question for its prompt, a text, or how much room there is."""
    names = {"seed": "C", "messages": "p", "tokens": "t", "prompt": "r"}
    return "".join(next(letter for name, letter in names.items() if name in body) for body in bodies)


@pytest.mark.parametrize("first", [(429, ""), (408, "")])
def test_a_template_is_asked_for_again_while_the_server_is_in_trouble(first: Answer) -> None:
    letters = Letters("??")
    trouble: dict[int, Answer] = {0: first, 5: (500, "oops"), 6: (200, "{"), 7: (429, "")}
    with told(lambda nth, body: trouble.get(nth) or letters.answer(nth, body)) as server:
        assert in_turn(server.url, {"prefix": "So"}, {"prefix": "Or"}) == ["7", "7"]
    assert asked(server.bodies) == "pptrCrrrrC" and server.bodies[-1]["prompt"] == "??Or"


@pytest.mark.parametrize(
    "never", [(404, ""), (405, ""), (400, ""), (501, ""), (200, {"tokens": []}), (200, "<p>")]
)
def test_a_server_that_tells_nothing_is_asked_once(never: Answer) -> None:
    with told(lambda nth, body: says(" it is.") if "seed" in body else never) as server:
        in_turn(server.url, *[{"prefix": "So"}] * 4)
    assert asked(server.bodies) == "pCCCC"


@pytest.mark.parametrize("busy", [(503, ""), (502, "<html>starting</html>")])
def test_a_server_that_starts_is_not_taken_for_one_that_never_tells(busy: Answer) -> None:
    letters = Letters("??")

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        return says(" it is.") if "messages" in body and "seed" in body else letters.answer(nth, body)

    with told(lambda nth, body: busy if nth in (0, 2, 4, 6) else answer(nth, body)) as server:
        assert in_turn(server.url, *[{"prefix": "So"}] * 5) == [*[" it is."] * 4, "7"]
    assert asked(server.bodies) == "pC" * 4 + "ptrC"


def test_a_chat_that_is_refused_takes_the_template_from_no_other() -> None:
    letters, bad = Letters("??"), user("bad")

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        if body.get("messages", [None])[0] == bad[0]:
            return (400, "no") if "seed" not in body else says(" it is.")
        time.sleep(0.3 if "messages" in body else 0)
        return letters.answer(nth, body)

    call = {"prefix": "So", "seed": 7}
    with told(answer) as server:
        [[refused], [other]] = ask(server.url, {**call, "messages": bad}, call)
    assert (refused.text, other.text) == (" it is.", "7") and server.bodies[-1]["prompt"] == "??So"


def test_a_prompt_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_prompt, "KNOWN", 2)
    chats = [user(f"{i}?") for i in (1, 2, 1, 3, 1)]  # the third prompt ends the memory of the first
    with told(Letters("??").answer) as server:
        in_turn(server.url, *({"prefix": "So", "messages": m, "max_tokens": 9} for m in chats))
    assert asked(server.bodies) == "ptCptCCptCptC"


def test_a_template_that_is_told_forgives_no_call_that_fails() -> None:
    """Else a server that can do nothing but that would be asked for ever."""
    letters = Letters("??")
    for status, kind in ((400, Refused), (500, CallFailed)):
        good = [] if status == 400 else [1]

        def answer(nth: int, body: dict[str, Any], status: int = status, good: list[int] = good) -> Answer:
            return (
                (status, "no") if "seed" in body and not (good and good.pop()) else letters.answer(nth, body)
            )

        with told(answer) as server:
            options = dict(give_up_after=3, concurrency=1, retries=0)
            found = ask(server.url, *[{"prefix": "So"}] * 6, **options)
        found = found[1:] if status == 500 else found
        assert [type(e) for e in found[:2]] == [kind, kind]
        assert {type(e) for e in found[2:]} == {EngineDown}


def test_a_template_that_is_told_does_not_keep_a_server_that_fails_among_the_others() -> None:
    """Three broken answers in a row leave it out, whatever it tells between them."""
    letters, good = Letters("??"), [1]

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        fails = "seed" in body and not (good and good.pop())
        return (500, "no") if fails else letters.answer(nth, body)

    async def asked(url: str) -> list[bool]:
        dead = []
        async with Server("m", url=url, retries=0, backoff_s=60) as engine:
            for i in range(1, 5):
                calls = [engine.chat(user(f"{i}"), prefix="So")]
                await asyncio.gather(*calls, return_exceptions=True)
                dead.append(engine._door.fleet.hosts[0].dead)  # type: ignore[union-attr]
        return dead

    with told(answer) as server:
        assert asyncio.run(asked(server.url)) == [False, False, False, True]
