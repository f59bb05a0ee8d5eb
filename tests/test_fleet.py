"""Several servers are one engine, given what they can bear; over real processes, and some are killed."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from served import QUICK, Answer, ask, free_port, one, says, shop, told

import curate
from curate.engines import retry
from curate.engines.fleet import MUCH_BUSIER, Fleet, Host, affinity
from curate.engines.limiter import Limiter
from curate.engines.retry import Breaker, Patience, attempt
from curate.engines.server import Server
from curate.engines.server_chat import lacks_turns
from curate.errors import CallFailed, EngineDown, UserError
from curate.step import user

GOOD = {"choices": [{"message": {"content": "4"}}]}


news = st.tuples(st.sampled_from(["answered", "overrun", "lost"]), st.integers(0, 3))


@given(st.integers(1, 300), st.lists(news, max_size=300))
def test_the_limit_stays_between_one_and_the_ceiling(ceiling: int, told: list[tuple[str, int]]) -> None:
    limiter = Limiter(ceiling)
    for word, age in told:
        before, ticket = limiter.limit, limiter.ticket() - age
        limiter.answered() if word == "answered" else getattr(limiter, word)(ticket)
        assert 1 <= limiter.width <= ceiling
        if word == "answered":
            assert limiter.limit >= before
        elif age:
            assert limiter.limit == before
        else:
            assert limiter.limit == max(1, before / 2) or (word == "lost" and limiter.limit == before)


@pytest.mark.parametrize(("one_in", "full"), [(100, True), (20, True), (4, False), (2, False)])
def test_a_rare_loss_is_an_accident_and_a_frequent_one_is_not(one_in: int, full: bool) -> None:
    limiter, low = Limiter(64), 64
    for i in range(1, 4000):
        limiter.lost(limiter.ticket()) if i % one_in == 0 else limiter.answered()
        low = min(low, limiter.width)
    assert (low == 64) is full and (low <= 32) is not full


def test_the_refusals_of_one_moment_are_one_piece_of_news_and_a_round_of_answers_adds_an_eighth() -> None:
    limiter = Limiter(64)
    tickets = [limiter.ticket() for _ in range(64)]
    for ticket in tickets:
        limiter.overrun(ticket)
    assert limiter.limit == 32
    for _ in range(32):
        limiter.answered()
    assert 38 < limiter.limit < 40
    while limiter.limit < 48:
        limiter.answered()
    before = limiter.limit
    for _ in range(int(before)):
        limiter.answered()
    assert 0.9 < limiter.limit - before <= 1, "near where it was overrun, one by one"


class Script:
    """Hosts that answer or fail as they are told, one word a request: good, gone, cut, slow, busy, broken."""

    def __init__(self, words: list[list[str]], most: int) -> None:
        self.words = {f"http://{i}": iter(said) for i, said in enumerate(words)}
        self.hosts = [Host(url, None, Limiter(most), checked=True) for url in self.words]  # type: ignore[arg-type]
        self.fleet, self.most = Fleet(self.hosts, most), 0
        self.asked: list[str] = []

    async def send(self, host: Host) -> httpx.Response:
        self.most = max(self.most, sum(h.out for h in self.hosts))
        assert self.fleet.out == sum(h.out for h in self.hosts) <= self.fleet.most
        self.asked.append(host.url)
        await asyncio.sleep(0)
        word = next(self.words[host.url], "good")
        if word in ("gone", "cut", "slow"):
            errors = {"gone": httpx.ConnectError, "cut": httpx.ReadError, "slow": httpx.ReadTimeout}
            raise errors[word](word)
        return httpx.Response({"good": 200, "busy": 429, "broken": 500}[word], json=GOOD)

    async def ask(self, calls: int, patience: Patience, give_up_after: int = 8) -> list[Any]:
        breaker = Breaker(give_up_after)
        work = (
            attempt(self.fleet, self.send, f"key {i}", breaker, patience, lacks_turns) for i in range(calls)
        )
        return await asyncio.gather(*work, return_exceptions=True)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    sleep = asyncio.sleep
    if "real" not in request.node.name:
        monkeypatch.setattr(retry, "_sleep", lambda seconds: sleep(0))


fates = st.lists(st.sampled_from(["good", "gone", "cut", "slow", "busy", "broken"]), max_size=12)


@settings(deadline=None)
@given(st.lists(fates, min_size=1, max_size=4), st.integers(1, 20), st.integers(1, 30))
def test_whatever_the_servers_do_no_call_is_lost_and_no_place(
    words: list[list[str]], most: int, calls: int
) -> None:
    script = Script(words, most)
    told = sum(map(len, words))
    found = asyncio.run(script.ask(calls, Patience(told, 0.001, 0.002), give_up_after=10**6))
    assert found == [GOOD] * calls  # as many tries as there are failures: each call finds its answer
    assert script.fleet.out == 0 and all(h.out == 0 for h in script.hosts)
    assert script.most <= most


def test_a_call_that_is_cancelled_gives_its_place_back() -> None:
    async def work() -> None:
        fleet = Script([[]], 1).fleet
        held = await fleet.acquire("a")
        waiting = [asyncio.create_task(fleet.acquire("b")) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        fleet.release(held)  # the first is gone, so the second has it, and is cancelled before it knows
        waiting[1].cancel()
        assert await waiting[2] is held and fleet.out == 1

    asyncio.run(work())


def test_a_call_that_waits_for_another_server_keeps_nobody_from_the_free_one() -> None:
    async def work() -> None:
        script = Script([[], []], 4)
        (free, full), fleet = script.hosts, script.fleet
        full.limiter.limit = 1
        held = await fleet.acquire("a", avoid=[free])
        assert held is full
        failed = asyncio.create_task(fleet.acquire("b", tried=1, avoid=[free]))
        others = [await asyncio.wait_for(fleet.acquire(f"key {i}"), 5) for i in range(3)]
        assert others == [free] * 3 and not failed.done()
        fleet.release(held)
        assert await failed is full, "it is the first who is given the other"

    asyncio.run(work())


def test_a_dead_server_is_asked_again_later_by_one_call() -> None:
    script = Script([["cut"] * 3, []], 8)

    async def work() -> list[list[str]]:
        rounds = []
        for pause in (0.0, 0.0, 0.03):
            await asyncio.sleep(pause)
            script.asked.clear()
            assert await script.ask(8, Patience(3, 0.01, 0.02)) == [GOOD] * 8
            rounds.append(list(script.asked))
        return rounds

    first, second, third = asyncio.run(work())
    assert first.count("http://0") >= 3 and "http://0" not in second
    assert 1 <= third.count("http://0") < 8 and not script.hosts[0].dead


def test_a_server_left_out_is_one_line_and_so_is_its_return(caplog: pytest.LogCaptureFixture) -> None:
    script = Script([["cut"] * 99, []], 8)
    first, _ = script.hosts
    first.url = "http://me:secret@first/v1"
    script.words[first.url] = script.words["http://0"]
    how = Patience(9, 1000.0, 1000.0)  # nobody waits so long here: it is left out until this test says more

    async def work() -> None:
        assert await script.ask(20, how) == [GOOD] * 20
        assert caplog.messages == [
            "left out for now: the server at http://first/v1 (ReadError cut); "
            "its calls go to the others, 1 of 2"
        ]
        first.back_at = 0.0  # it is asked again, and fails again
        assert await script.ask(20, how) == [GOOD] * 20 and len(caplog.messages) == 1
        script.words[first.url], first.back_at = iter([]), 0.0
        for _ in range(2):
            assert await script.ask(20, how) == [GOOD] * 20
        assert caplog.messages[1:] == [
            "the server at http://first/v1 answers again, and is asked as the others are"
        ]

    asyncio.run(work())
    assert {r.levelname for r in caplog.records} == {"WARNING"}


def test_where_no_other_is_left_the_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(Script([["gone"] * 99, ["gone"] * 99], 8).ask(8, Patience(2, 1000.0, 1000.0)))
    one, other = caplog.messages
    assert one.endswith("(ConnectError gone); its calls go to the others, 1 of 2")
    assert other.endswith("(ConnectError gone); no other is left, either")
    caplog.clear()
    assert asyncio.run(Script([["gone"] * 2], 8).ask(8, Patience(9, 0.001, 0.002))) == [GOOD] * 8
    assert not caplog.messages, "a server that is alone is not left out"


def test_a_server_that_was_absent_at_the_start_is_said_to_answer(caplog: pytest.LogCaptureFixture) -> None:
    listings = iter([503] * 3)

    async def work(late: str, there: str) -> None:
        async with Server("m", url=[late, there], retries=3, backoff_s=0.001) as engine:
            assert engine._door
            engine._door.fleet.hosts[0].back_at = 0.0
            await asyncio.gather(*(engine.chat(user(f"question {i}")) for i in range(40)))

    with (
        told(lambda nth, body: says("4"), lambda: (next(listings, 404), "loading")) as late,
        told(lambda nth, body: says("4")) as there,
    ):
        asyncio.run(work(late.url, there.url))
    said = [m for m in caplog.messages if late.url in m]
    assert len(said) == 2 and "no server answers at" in said[0] and "answers again" in said[1]


def test_when_nobody_listens_any_more_every_server_has_its_last_words() -> None:
    script = Script([["good", *["gone"] * 99], ["good", *["gone"] * 99]], 1)
    found = asyncio.run(script.ask(6, Patience(2, 0.001, 0.002)))
    assert GOOD in found
    down = next(e for e in found if isinstance(e, EngineDown))
    assert "none of the 2 servers gave an answer in 3 tries" in str(down)
    assert "http://0: ConnectError gone; http://1: ConnectError gone; nobody listens" in str(down)


def test_calls_that_begin_alike_go_to_one_server_unless_it_is_much_busier() -> None:
    async def work() -> None:
        fleet = Script([[], [], []], 60).fleet
        keys = [affinity(user(f"question {i}", "Be brief.")) for i in range(60)]
        homes = {}
        for key in keys:
            host = await fleet.acquire(key)
            homes[key] = host
            fleet.release(host)
        assert all(20 - 12 < list(homes.values()).count(h) < 20 + 12 for h in fleet.hosts)
        crowd = [await fleet.acquire(keys[0]) for _ in range(30)]
        assert crowd[: MUCH_BUSIER + 1] == [homes[keys[0]]] * (MUCH_BUSIER + 1)
        out = sorted(h.out for h in fleet.hosts)
        assert out[2] <= 1.25 * out[0] + MUCH_BUSIER + 1

    asyncio.run(work())
    turn = [*user("a"), {"role": "assistant", "content": "b"}, *user("c")]
    assert affinity(user("a")) == affinity(turn) != affinity(user("c"))


def sampled(out: Path, url: Any, rows: int = 40, **options: Any) -> curate.Run:
    problems = pl.DataFrame({"question": [f"question {i}" for i in range(rows)], "answer": ["1"] * rows})
    teacher = Server("m", url=url, **{"backoff_s": 0.05, **options})
    return curate.Pipeline(problems, [curate.Sample(teacher, n=4)]).run(out)


def bytes_of(run: curate.Run) -> bytes:
    return (run.folder / "live.parquet").read_bytes()


def test_a_real_server_killed_in_mid_run_costs_no_row_and_changes_no_byte(tmp_path: Path) -> None:
    with shop() as alone:
        quiet = sampled(tmp_path / "quiet", alone.url)
    with shop(sleep_s=0.02) as a, shop(sleep_s=0.02) as b, shop(sleep_s=0.02) as c:
        fleet = [a.url, b.url, c.url]
        run = killed_after(10, b, lambda: sampled(tmp_path / "fleet", fleet, concurrency=8))
        assert b.process.returncode == -9
        sold = len(a.sold()) + len(c.sold())
    assert bytes_of(run) == bytes_of(quiet)
    assert 160 - 160 // 2 < sold < 160  # the other two took over, and the dead one had answered some
    assert run.ledger["calls"].sum() == 160 and run.ledger["failed"].sum() == 0


@pytest.mark.slow
def test_a_real_server_that_hangs_in_mid_run_is_left_alone(tmp_path: Path) -> None:
    with shop() as alone:
        quiet = sampled(tmp_path / "quiet", alone.url)
    with shop(sleep_s=0.02) as a, shop(sleep_s=0.02) as b:
        run = killed_after(
            10,
            b,
            lambda: sampled(tmp_path / "fleet", [a.url, b.url], concurrency=8, request_timeout_s=1),
            "STOP",
        )
        assert len(a.sold()) > 80
    assert bytes_of(run) == bytes_of(quiet) and run.ledger["failed"].sum() == 0


def test_real_servers_share_the_work_and_a_problem_stays_mostly_at_home(tmp_path: Path) -> None:
    with shop() as a, shop() as b, shop() as c:
        sampled(tmp_path / "run", [a.url, b.url, c.url], rows=60, concurrency=12)
        sold = [Counter(s.sold()) for s in (a, b, c)]
    at_home = sum(max(s[question] for s in sold) for question in sold[0] + sold[1] + sold[2])
    assert at_home > 0.5 * 240, "by chance it would be a third and a little"
    assert all(40 < s.total() < 120 for s in sold)


def killed_after(answers: int, victim: Any, work: Any, by: str = "KILL") -> Any:
    """What `work` answers, while the server gets a signal as soon as it has sold so much."""
    import threading

    def kill() -> None:
        while len(victim.sold()) < answers:
            time.sleep(0.002)
        victim.process.send_signal(getattr(signal, f"SIG{by}"))
        if by == "KILL":
            victim.process.wait()

    killer = threading.Thread(target=kill)
    killer.start()
    found = work()
    killer.join()
    return found


def test_a_real_server_that_comes_back_is_used_again_and_checked() -> None:
    async def work() -> None:
        with shop(root="one") as a, shop(root="one") as b:
            engine = Server("m", url=f"{a.url},{b.url}", backoff_s=0.01, longest_wait_s=0.02, retries=9)

            async def ask_some() -> None:
                async with asyncio.TaskGroup() as group:
                    for i in range(20):
                        group.create_task(engine.chat(user(f"{i}")))

            async with engine:
                port = b.port
                b.kill()
                await ask_some()
                with shop(port=port, root="one") as again:
                    await asyncio.sleep(0.05)
                    await ask_some()
                    assert again.sold()
                await ask_some()
                with shop(port=port, root="another") as other:
                    await asyncio.sleep(0.05)
                    with pytest.raises(ExceptionGroup) as e:
                        await ask_some()
                    said = "serves root 'another', and the one at .* served root 'one'"
                    assert e.group_contains(EngineDown, match=said)
                    assert not other.sold()

    asyncio.run(work())


@pytest.mark.parametrize("status", [429, 500, 503])
def test_who_does_not_say_which_model_it_serves_after_a_break_is_asked_nothing(status: int) -> None:
    root, listings, sold = "one", iter([200]), []

    def listing() -> Answer:
        return next(listings, status), {"data": [{"id": "m", "root": root}]}

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        nonlocal root
        if nth == 2:
            root = "another"
            return None
        sold.append(root)
        return says(root)

    with told(answer, listing) as server:
        found = ask(server.url, *[{}] * 6, concurrency=1)
        assert sold == ["one"] * 2 and len(server.bodies) == 3
        assert [type(e) for e in found[2:]] == [CallFailed] * 4 and f"{status} " in str(found[2])
        assert "(to GET models)" in str(found[2])
        server.bodies.clear()
        root, listings = "one", iter([200, status, status, 200])
        assert [reply.text for [reply] in ask(server.url, *[{}] * 2, concurrency=1)] == ["one"] * 2


def test_a_server_in_trouble_at_the_start_is_asked_again_and_then_left_out() -> None:
    listings = iter([503, 503])
    with told(lambda nth, body: says("4"), lambda: (next(listings, 404), "loading")) as server:
        assert one(server.url).text == "4"
    with told(lambda nth, body: says("4"), lambda: (503, "loading")) as busy, shop() as good:
        with pytest.raises(EngineDown, match=f"no server answers at {busy.url}: 503 loading .to GET models"):
            one(busy.url)
        assert one([busy.url, good.url]).text and not busy.bodies
    for status in (400, 404, 405, 500, 501):
        with told(lambda nth, body: says("4"), lambda status=status: (status, "no")) as server:  # type: ignore[misc]
            assert one(server.url).text == "4"


def test_a_server_that_is_absent_at_the_start_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    absent = f"http://127.0.0.1:{free_port()}/v1"

    async def work(url: str) -> str:
        async with Server("m", url=url, **QUICK) as engine:
            [reply] = await engine.chat(user("a"), seed=1)
            return reply.text

    with shop() as there:
        assert asyncio.run(work(f"{absent}, {there.url}")) == asyncio.run(work(there.url))
    assert f"left out for now: no server answers at {absent}" in caplog.text
    gone = f"http://127.0.0.1:{free_port()}/v1"
    with pytest.raises(EngineDown, match=f"no server answers at {absent}: .*, at {gone}: .*are they running"):
        asyncio.run(work(f"{absent},{gone}"))


@pytest.fixture
def shy() -> Iterator[Any]:
    with shop(bears=5, sleep_s=0.005) as server:
        yield server


def test_a_server_that_bears_little_is_given_little_and_no_byte_changes(tmp_path: Path, shy: Any) -> None:
    with shop() as alone:
        quiet = sampled(tmp_path / "quiet", alone.url)
    run = sampled(tmp_path / "shy", shy.url, concurrency=64, retries=30, longest_wait_s=0.1)
    assert bytes_of(run) == bytes_of(quiet) and run.ledger["failed"].sum() == 0
    assert len(shy.sold()) == 160


class Bears(Script):
    """One host that refuses whoever is the sixth at a time."""

    refused = 0

    async def send(self, host: Host) -> httpx.Response:
        if host.out > 5:
            self.refused += 1
            return httpx.Response(429)
        for _ in range(20):
            await asyncio.sleep(0)
        return httpx.Response(200, json=GOOD)


def test_a_limit_spares_a_busy_server_most_of_what_it_would_refuse() -> None:
    script = Bears([[]], 64)
    assert asyncio.run(script.ask(100, Patience(10**6, 0.001, 0.001))) == [GOOD] * 100
    assert script.refused < 200, "59 of the first 64, and few later; without the limiter it is many thousands"


def test_a_model_that_is_not_served_is_named_with_those_near_it() -> None:
    with shop(model="Qwen3-32B") as server:
        [error] = asyncio.run(opened(Server("qwen3-32b", url=server.url, **QUICK)))
    assert "does not serve 'qwen3-32b'; did you mean 'Qwen3-32B'?" in str(error)


async def opened(engine: Server) -> list[Any]:
    async def open_it() -> None:
        async with engine:
            pass

    return await asyncio.gather(open_it(), return_exceptions=True)


def test_what_the_server_says_of_its_model_is_recorded_and_is_no_part_of_the_identity() -> None:
    with shop(root="/models/a") as one, shop(root="/models/b") as other:
        engine = Server("m", url=one.url, **QUICK)
        fingerprint = engine.fingerprint
        assert "served" not in engine.describe() and asyncio.run(opened(engine)) == [None]
        assert engine.describe()["served"] == {"root": "/models/a"}
        assert engine.fingerprint == fingerprint == Server("m", url=[one.url, other.url]).fingerprint
        [error] = asyncio.run(opened(Server("m", url=[one.url, other.url], **QUICK)))
    assert isinstance(error, EngineDown) and "one engine is one model" in str(error)
    assert "root '/models/a'" in str(error) and "root '/models/b'" in str(error)


def test_a_length_that_leaves_no_room_in_the_context_a_server_tells_is_an_error_before_any_call() -> None:
    with shop(max_model_len=512) as server:
        for fits in (511, None):
            engine = Server("m", url=server.url, max_tokens=fits, **QUICK)
            assert asyncio.run(opened(engine)) == [None]
        [error] = asyncio.run(opened(Server("m", url=server.url, max_tokens=512, **QUICK)))
        assert server.sold() == []
    assert isinstance(error, UserError)
    assert f"max_tokens=512 leaves no room for a prompt: the context of 'm' at {server.url} holds 512" in str(
        error
    )


def test_addresses_are_a_list_or_have_commas_between_them() -> None:
    a, b = "http://a/v1", "http://b/v1"
    assert Server("m", url=f"{a}, {b}/") == Server("m", url=[a, b]) == Server("m", url=(a, b, a))
    assert curate.engine(f"server:{a},{b}?model=m") == Server("m", url=(a, b))
    with pytest.raises(UserError, match="concurrency=0 is no option of 'm': it must be 1 or more"):
        Server("m", url=a, concurrency=0)
    for bad, named in (([], "''"), ("http://a,b:8000", "'b:8000'")):
        with pytest.raises(UserError, match=f"{named} is not the address of a server"):
            Server("m", url=bad)


def test_one_bad_request_is_not_carried_from_server_to_server() -> None:
    script = Script([[], []], 4)
    sent = []

    async def send(host: Host) -> httpx.Response:
        sent.append(host.url)
        return httpx.Response(400, text="bad word")

    async def work() -> None:
        with pytest.raises(CallFailed, match="rejects the request with 400: bad word"):
            await attempt(script.fleet, send, "k", Breaker(8), Patience(3, 0.001, 0.001), lacks_turns)

    asyncio.run(work())
    assert len(sent) == 1
