"""What the server engine does when a server is slow, broken, closed to us, or gone; over real HTTP."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest
from served import Answer, ask, free_port, one, says, told

from curate.engines import retry
from curate.engines.fleet import Host
from curate.engines.knock import Identity
from curate.engines.limiter import Limiter
from curate.engines.server import Server
from curate.errors import CallFailed, EngineDown, Refused, TooLong
from curate.step import user


def test_a_server_that_is_not_there_is_named_at_once() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(EngineDown, match=f"no server answers at {url}.*is it running"):
        one(url)


@pytest.mark.parametrize(
    "status, remedy",
    [
        (401, "is the key .* right"),
        (403, "is the key"),
        (404, "is the model's name right, and does .* end where"),
    ],
)
def test_a_refusal_stops_at_once_with_the_servers_words(status: int, remedy: str) -> None:
    with told(lambda nth, body: (status, {"error": {"message": "not for you"}})) as server:
        with pytest.raises(EngineDown, match=f"refuses us with {status}: not for you; {remedy}"):
            one(server.url)
        assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "answer, words",
    [
        ((429, "slow down", {"Retry-After": "0"}), "429 slow down"),
        ((500, {"error": {"message": "out of memory"}}), "500 out of memory"),
        ((200, "<html>welcome to the proxy</html>"), "not JSON: <html>welcome"),
        ((200, {"hello": 1}), "no choices"),
        ((200, {"choices": []}), "no choices"),
        ((200, {"choices": [{"text": "not a chat"}]}), "no choices"),
        ((200, "[" * 100_000), r"not JSON: \[\["),
        ((500, "[" * 100_000), r"500 \[\["),
        ((200, "no gzip", {"Content-Encoding": "gzip"}), "DecodingError"),
        (None, "RemoteProtocolError|ReadError"),
    ],
)
def test_no_answer_for_ever_stops_in_bounded_time(answer: Answer, words: str) -> None:
    with told(lambda nth, body: answer) as server:
        with pytest.raises(EngineDown, match=f"no answer in 4 tries; the last time: ({words}).*start again"):
            one(server.url)
        assert len(server.bodies) == 4


@pytest.mark.parametrize("listing", [(200, "[" * 100_000), (200, "no gzip", {"Content-Encoding": "gzip"})])
def test_a_list_of_models_that_cannot_be_read_is_no_bug(listing: Answer) -> None:
    with told(lambda nth, body: says("4"), lambda: listing) as server:
        if len(listing or ()) == 2:
            assert one(server.url).text == "4"
        else:
            with pytest.raises(EngineDown, match="no server answers .*Error -3 while decompressing"):
                one(server.url)


def test_a_server_that_hangs_is_left() -> None:
    wait = threading.Event()
    with told(lambda nth, body: (wait.wait(20), says("late"))[1]) as server:
        with pytest.raises(EngineDown, match="no answer in 2 tries; the last time: ReadTimeout"):
            one(server.url, request_timeout_s=0.2, retries=1)
        wait.set()


def test_trouble_that_passes_is_not_seen() -> None:
    trouble = [(500, "oops"), (429, ""), None, (200, "{"), (503, "")]
    with told(lambda nth, body: trouble[nth] if nth < len(trouble) else says("4")) as server:
        assert one(server.url, retries=5).text == "4"
        assert len(server.bodies) == 6
        assert len({json.dumps(body) for body in server.bodies}) == 1  # the same seed in every try


@pytest.mark.parametrize(
    "said, low, high", [("7", 7, 7), ("+30 s", 30, 31), ("soon", 0, 0.01), ("-3", 0, 0.01)]
)
def test_retry_after_is_honoured(said: str, low: float, high: float, monkeypatch: Any) -> None:
    slept, sleep = [], asyncio.sleep
    if said == "+30 s":
        said, servers = "Tue, 14 Nov 2023 22:13:50 GMT", "Tue, 14 Nov 2023 22:13:20 GMT"
        monkeypatch.setattr(BaseHTTPRequestHandler, "date_time_string", lambda self: servers)

    async def count(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(retry, "_sleep", count)
    with told(lambda nth, body: says("4") if nth else (429, "", {"Retry-After": said})) as server:
        assert one(server.url).text == "4"
    assert len(slept) == 1 and low <= slept[0] <= high


@pytest.mark.parametrize("ours", [0.0, 1_700_000_000.0, 4e9])
def test_a_date_to_wait_for_is_held_against_the_servers_clock(ours: float, monkeypatch: Any) -> None:
    monkeypatch.setattr(retry.time, "time", lambda: ours)
    said = {"retry-after": "Tue, 14 Nov 2023 22:13:50 GMT"}
    dated = httpx.Response(429, headers={**said, "date": "Tue, 14 Nov 2023 22:13:20 GMT"})
    assert retry._retry_after(dated) == 30.0
    alone = retry._retry_after(httpx.Response(429, headers=said))
    assert alone == max(0.0, 1_700_000_030.0 - ours), "there is nothing but our clock"


def test_a_wait_that_is_too_long_is_not_waited() -> None:
    with told(lambda nth, body: (429, "quota", {"Retry-After": "86400"})) as server:
        with pytest.raises(EngineDown, match="429 quota; it asks us to wait 86400 s"):
            one(server.url)
        assert len(server.bodies) == 1


def test_waits_double_and_are_jittered(monkeypatch: Any) -> None:
    slept, sleep = [], asyncio.sleep

    async def count(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr(retry, "_sleep", count)
    with told(lambda nth, body: (500, "")) as server:
        ask(server.url, retries=8, backoff_s=1.0, longest_wait_s=20.0)
    for wait, middle in zip(slept, [1, 2, 4, 8, 16, 20, 20, 20], strict=True):
        assert 0.5 * middle <= wait <= 1.5 * middle
    assert len(set(slept)) == 8


def test_one_bad_request_fails_alone() -> None:
    def answer(nth: int, body: dict[str, Any]) -> Answer:
        return (400, "bad word") if body["messages"][0]["content"] == "bad" else says("4")

    with told(answer) as server:
        good, bad, more = ask(server.url, {}, {"messages": user("bad")}, {})
    assert good[0].text == more[0].text == "4"
    assert isinstance(bad, CallFailed) and "rejects the request with 400: bad word" in str(bad)


def test_requests_that_are_all_rejected_stop_the_run() -> None:
    with told(lambda nth, body: (400, "unknown field top_k")) as server:
        found = ask(server.url, *[{}] * 6, give_up_after=3, concurrency=1)
        assert [type(e) for e in found] == [Refused] * 2 + [EngineDown] * 4
        assert "unknown field top_k; so it did 3 times in a row" in str(found[-1])
        assert len(server.bodies) == 3


@pytest.mark.parametrize(("status", "words"), [(402, "Payment required"), (400, "Budget has been exceeded!")])
def test_refusals_that_are_not_of_the_request_stop_the_run_after_a_success_too(
    status: int, words: str
) -> None:
    """Else every row left would be asked, and refused."""
    with told(lambda nth, body: (status, words) if nth else says("4")) as server:
        [_, *found] = ask(server.url, *[{}] * 9, give_up_after=3, concurrency=1)
        assert [type(e) for e in found] == [CallFailed] * 2 + [EngineDown] * 6
        assert len(server.bodies) == 4
    with told(lambda nth, body: (400, "unknown word") if nth else says("4")) as server:
        found = ask(server.url, *[{}] * 9, give_up_after=3, concurrency=1)[1:]
    assert [type(e) for e in found] == [Refused] * 8


@pytest.mark.parametrize("status", [403, 404])
def test_a_refusal_after_a_success_is_of_that_row_and_many_in_a_row_stop_the_run(status: int) -> None:
    bad = {2, 5, 6, 8, 9, 10}
    with told(lambda nth, body: (status, "flagged") if nth in bad else says("4")) as server:
        found = ask(server.url, *[{}] * 12, give_up_after=3, concurrency=1)
        assert [i for i, e in enumerate(found) if type(e) is CallFailed] == [2, 5, 6, 8, 9]
        assert [i for i, e in enumerate(found) if type(e) is EngineDown] == [10, 11]
        assert f"rejects the request with {status}: flagged; so it did 3 times in a row" in str(found[-1])
        assert len(server.bodies) == 11
    with told(lambda nth, body: (401, "expired") if nth else says("4")) as server:
        found = ask(server.url, *[{}] * 3, concurrency=1)
        assert [type(e) for e in found[1:]] == [EngineDown] * 2 and len(server.bodies) == 2


def test_a_server_that_hangs_up_after_its_listing_failed_is_asked_all_the_same() -> None:
    asked: list[bytes] = []

    async def like_uvicorn(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split()[0])
        failed = head.startswith(b"GET")
        body = b"Internal Server Error" if failed else json.dumps(says("4")[1]).encode()
        status = b"500 Internal Server Error" if failed else b"200 OK"
        writer.write(b"HTTP/1.1 %b\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body))
        try:
            await asyncio.sleep(0.05)  # in which the next request may come, and is not read
        finally:
            writer.close()

    async def work() -> Any:
        server = await asyncio.start_server(like_uvicorn, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, Server("m", url=f"http://127.0.0.1:{port}/v1", retries=0) as engine:
            return await engine.chat(user("What is 2 + 2?"))

    assert [reply.text for reply in asyncio.run(work())] == ["4"]
    assert asked == [b"GET", b"POST"]


def test_a_redirect_stops_at_once_and_names_where() -> None:
    there = {"Location": "https://elsewhere/v1/chat/completions"}
    with told(lambda nth, body: (308, "", there)) as server:
        with pytest.raises(EngineDown, match="answers 308 and sends us on to https://elsewhere/v1/chat/"):
            one(server.url)
        assert len(server.bodies) == 1
    moved = httpx.MockTransport(lambda request: httpx.Response(301))
    host = Host("http://h/v1", httpx.AsyncClient(base_url="http://h/v1/", transport=moved), Limiter(1))
    with pytest.raises(EngineDown, match="at http://h/v1 answers 301 and .* a place that it does not name"):
        asyncio.run(Identity("m", {}).check(host))


@pytest.mark.parametrize(
    ("status", "words", "kind"),
    [
        (400, "unknown field top_k", Refused),
        (422, "the answer would be too long a wait", Refused),
        (400, "Budget has been exceeded!", CallFailed),
        (402, "Insufficient Balance", CallFailed),
        (499, "context canceled", CallFailed),
        (400, "The input (600 tokens) is longer than the model's context length (512 tokens).", TooLong),
        (400, "The decoder prompt (length 600) is longer than the maximum model length of 512.", TooLong),
        (400, "the request exceeds the available context size", TooLong),
        (413, "prompt is too long: 600 tokens > 512 maximum", TooLong),
    ],
)
def test_only_what_would_be_refused_again_is_refused(status: int, words: str, kind: type[Exception]) -> None:
    with told(lambda nth, body: (status, words)) as server:
        assert [type(e) for e in ask(server.url, {}, give_up_after=3)] == [kind]


def test_prompts_that_are_too_long_never_stop_the_run() -> None:
    with told(lambda nth, body: (400, "maximum context length is 9 tokens")) as server:
        found = ask(server.url, *[{}] * 6, give_up_after=3, concurrency=1)
    assert [type(e) for e in found] == [TooLong] * 6


def test_failures_in_a_row_stop_the_run_and_one_success_forgives() -> None:
    good = {0, 3}  # requests, with retries=0

    with told(lambda nth, body: says("4") if nth in good else (500, "broken")) as server:
        found = ask(server.url, *[{}] * 9, give_up_after=3, concurrency=1, retries=0)
        kinds = [type(e) if isinstance(e, Exception) else "4" for e in found]
        assert kinds == ["4", CallFailed, CallFailed, "4", CallFailed, CallFailed] + [EngineDown] * 3
        assert "500 broken; 3 calls failed in a row" in str(found[-1])
        assert len(server.bodies) == 7  # nothing is sent once the server is given up


def test_no_more_requests_at_a_time_than_asked_for() -> None:
    inside, most = itertools.count(), []
    present, lock = set(), threading.Lock()

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        me = next(inside)
        with lock:
            present.add(me)
            most.append(len(present))
        time.sleep(0.01)
        with lock:
            present.remove(me)
        return says("4")

    with told(answer) as server:
        ask(server.url, *[{}] * 20, concurrency=4)
    assert 1 < max(most) <= 4 and len(most) == 20
