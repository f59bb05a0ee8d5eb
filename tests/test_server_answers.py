"""What the server engine asks of a server, and what it makes of the answers; over real HTTP."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from served import HELLO, ask, one, says, told

from curate.engines.sampling import sample_seed
from curate.engines.server import Server
from curate.errors import CallFailed, EngineDown, UserError


def test_choices_that_were_left_out_are_asked_for_with_their_seeds() -> None:
    with told(lambda nth, body: says(str(body["seed"]))) as server:
        [found] = ask(server.url, {"n": 3, "seed": 5})
        assert [reply.text for reply in found] == [str(sample_seed(5, i)) for i in range(3)]
        assert sorted(body.get("n", 1) for body in server.bodies) == [1, 1, 3]
    assert [reply.prompt_tokens for reply in found] == [15, 0, 0], "each request was read, and is paid for"


def test_thinking_that_the_server_cut_out_comes_back() -> None:
    for name in ("reasoning", "reasoning_content"):
        message = {"role": "assistant", "content": "\n\n4", name: "\nTwo and two.\n"}
        with told(lambda nth, body, message=message: says("", message=message)) as server:  # type: ignore[misc]
            reply = one(server.url)
            [[begun]] = ask(server.url, {"prefix": "<think>\nSo:"})
        assert (reply.thinking, reply.response) == ("Two and two.", "4")
        assert (begun.thinking, begun.response) == ("So:\nTwo and two.", "4")
    unfinished = {"role": "assistant", "content": None, "reasoning": "Two and"}
    with told(lambda nth, body: says("", message=unfinished, finish_reason="length")) as server:
        reply = one(server.url)
    assert (reply.thinking, reply.response, reply.finish) == ("Two and", "", "length")


@pytest.mark.parametrize("text", [" and two.", "Two.\n\n", "\n\n"])
@pytest.mark.parametrize("prefix", ["<think>\nTwo", "Two"])  # in the second the template opens the thinking
def test_a_slice_of_thinking_that_the_server_cut_out_keeps_its_white_space(prefix: str, text: str) -> None:
    slice_ = {"role": "assistant", "content": None, "reasoning": text}
    with told(lambda nth, body: says("", message=slice_, finish_reason="length")) as server:
        [[reply]] = ask(server.url, {"prefix": prefix})
    assert reply.text == text


def test_tokens_of_several_choices_add_up_to_what_the_server_counted() -> None:
    choices = [{"message": {"content": "x" * k}, "finish_reason": "stop"} for k in (3, 10, 7)]
    with told(lambda nth, body: (200, {"choices": choices, "usage": {"completion_tokens": 11}})) as server:
        [found] = ask(server.url, {"n": 3})
    assert [reply.output_tokens for reply in found] == [2, 5, 4]


def test_a_count_of_tokens_may_be_a_float() -> None:
    usage = {"prompt_tokens": 5.0, "completion_tokens": 7.0}
    with told(
        lambda nth, body: (200, {"choices": [{"message": {"content": "4"}}], "usage": usage})
    ) as server:
        reply = one(server.url)
    assert (reply.prompt_tokens, reply.output_tokens) == (5, 7)


@pytest.mark.parametrize(
    "usage", [[], {"prompt_tokens": "12", "completion_tokens": 1 << 99}, {"prompt_tokens": -1}]
)
def test_a_count_of_tokens_that_can_be_none_is_not_believed(usage: Any) -> None:
    with told(
        lambda nth, body: (200, {"choices": [{"message": {"content": "4"}}], "usage": usage})
    ) as server:
        reply = one(server.url)
    assert (reply.text, reply.prompt_tokens, reply.output_tokens) == ("4", 0, 0)


def test_log_probabilities_that_do_not_come_stop_the_run() -> None:
    with told(lambda nth, body: says("4")) as server:
        [found] = ask(server.url, {"logprobs": True})
    assert isinstance(found, EngineDown) and "gives no log-probabilities" in str(found)


def test_a_withheld_answer_fails_alone() -> None:
    with told(lambda nth, body: says("", finish_reason="content_filter")) as server:
        [found] = ask(server.url)
    assert isinstance(found, CallFailed) and "withheld" in str(found)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [(None, "stop"), ("eos", "stop"), ("MAX_TOKENS", "length"), ("repetition", "length")],
)
def test_only_what_came_to_its_end_is_whole(reason: str | None, finish: str) -> None:
    with told(lambda nth, body: says("half an ans", finish_reason=reason)) as server:
        assert one(server.url).finish == finish


@pytest.mark.parametrize("reason", ["abort", "error", "tool_calls", {"type": "stop"}])
def test_what_the_server_gave_up_on_is_no_answer(reason: Any) -> None:
    """Stored as a whole answer it would never be asked for again."""
    with told(lambda nth, body: says("half an ans", finish_reason=reason)) as server:
        [found] = ask(server.url)
        assert len(server.bodies) == 1
    assert type(found) is CallFailed and f"ended the answer with {reason!r}" in str(found)


def test_a_text_in_parts_is_one_text() -> None:
    parts = [{"type": "text", "text": "4"}, {"type": "text", "text": "2"}]
    with told(lambda nth, body: says("", message={"content": parts})) as server:
        assert one(server.url).text == "42"


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": 4}},
        {"message": {"content": [{"type": "image"}]}},
        {"message": {"content": "4", "reasoning": {"text": "hm"}}},
        {"logprobs": "none"},
        {"logprobs": {"content": "none"}},
        {"logprobs": {"content": [-0.5]}},
    ],
)
def test_parts_of_another_kind_are_no_answer_and_asked_again(choice: dict[str, Any]) -> None:
    """They ended the run, and every start after it."""
    with told(lambda nth, body: says("4", **({} if nth else choice))) as server:
        assert one(server.url).text == "4" and len(server.bodies) == 2
    with told(lambda nth, body: says("4", **choice)) as server:
        with pytest.raises(EngineDown, match="no text or log-probabilities where they belong"):
            one(server.url)


def test_a_chance_and_a_count_that_are_no_numbers_are_not_taken_for_some() -> None:
    chances = {"content": [{"logprob": None}, {"logprob": "-1"}]}
    with told(lambda nth, body: says("4", logprobs=chances, output_tokens="7")) as server:
        [[reply]] = ask(server.url, {"logprobs": True})
    assert [math.isnan(chance) for chance in reply.logprobs] == [True, True]
    assert reply.output_tokens == 2


def test_the_key_is_sent_and_never_shown(monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "from the environment")
    with told(lambda nth, body: (401, "no")) as server:
        for key, sent in ((None, "Bearer from the environment"), ("sesame", "Bearer sesame")):
            [error] = ask(server.url, api_key=key)
            engine = Server("m", url=server.url, api_key=key)
            assert server.keys[-1] == sent
            assert sent.split(maxsplit=1)[1] not in f"{error} {engine!r} {engine.describe()}"


def test_a_key_is_sent_without_its_line_break_and_a_broken_one_is_never_quoted(monkeypatch: Any) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame\n")
    with told(lambda nth, body: says("4")) as server:
        assert one(server.url).text == one(server.url, api_key=" sesame\r\n").text == "4"
        assert server.keys == ["Bearer sesame"] * 2
        for broken in ("ses\name", "ses\u2013ame", "schl\u00fcssel"):
            with pytest.raises(UserError, match="the key .* holds a character that no key has") as error:
                one(server.url, api_key=broken)
            assert broken not in str(error.value) and "ses" not in str(error.value)
    assert len(server.keys) == 2


def test_the_request_says_what_was_asked() -> None:
    with told(lambda nth, body: says("4 five six")) as server:
        call = dict(prefix="<think>\nSo", stop=["five"], ban=["Wait"], logprobs=False, seed=1, max_tokens=9)
        [[reply]] = ask(server.url, call, temperature=0.5)
        assert reply.text == "4 "  # a server that keeps the stop string does not fool us
        template, body = server.bodies
    assert template == {"model": "m", "messages": HELLO, "add_generation_prompt": True}
    assert body == {
        "model": "m",
        "messages": [*HELLO, {"role": "assistant", "content": "<think>\nSo"}],
        "temperature": 0.5,
        "top_p": 1.0,
        "max_tokens": 9,
        "stop": ["five"],
        "bad_words": ["Wait"],
        "add_generation_prompt": False,
        "continue_final_message": True,
        "seed": 1,
    }


def test_a_server_that_knows_no_ban_is_asked_without_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    words = {"error": {"message": "Unrecognized request argument supplied: bad_words"}}
    with told(lambda nth, body: (400, words) if "bad_words" in body else says("Wait")) as server:
        calls = [{"ban": ["Wait"]} for _ in range(3)]
        answers = [*ask(server.url, *calls), *ask(server.url, {"ban": [f"Wait {2}"]}, {})]
        assert [reply.text for [reply] in answers] == ["Wait"] * 5
        assert len([body for body in server.bodies if "bad_words" in body]) == 4  # each ban is tried
    refused = [record.message for record in caplog.records if "bad_words" in record.message]
    assert [server.url in words for words in refused] == [True, True]  # once for each engine that was opened


def test_another_refusal_is_not_taken_for_that_of_a_ban() -> None:
    with told(lambda nth, body: (400, "no such temperature")) as server:
        [error] = ask(server.url, {"ban": ["Wait"]})
        assert "no such temperature" in str(error) and [*server.bodies[0]] == [*server.bodies[-1]]


def test_an_address_is_an_address() -> None:
    for bad in ("localhost:8000", "http:///v1", "http://h:99999/v1", "http://h:abc/v1", "http://[::1/v1"):
        with pytest.raises(UserError, match=re.escape(f"{bad!r} is not the address of a server: write it")):
            Server("m", url=bad)
    for good in ("http://[::1]:8000/v1", "https://api.example.com/v1", "http://localhost"):
        assert Server("m", url=good).url == good
