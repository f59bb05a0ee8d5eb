"""One behaviour for every kind of engine; what a kind cannot do is a marker that fails once it can."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from served import same_scores, sampling_copy, serving, transformers_serving, work
from vllm_served import need_vllm, vllm_running, vllm_serving

from curate.engines import engine
from curate.engines.hf import HF
from curate.engines.sampling import sample_seed
from curate.engines.scripted import Scripted
from curate.engines.server import Server
from curate.errors import CallFailed, UserError
from curate.step import user

VLLM_KINDS = [pytest.param(kind, marks=pytest.mark.vllm) for kind in ("vllm", "vllm-server")]
TRANSFORMERS = pytest.param("transformers", marks=pytest.mark.slow)
KINDS = ["scripted", "hf", "serve", TRANSFORMERS, *VLLM_KINDS]
ONE_SEED_EACH = ["scripted", "hf", "serve", *VLLM_KINDS]  # transformers serve has one for all at a time
HELLO = user("What is 2 + 2?")
NO_SUCH_FIELD = "no: refuses the field"
GAPS = {
    ("test_a_begun_turn_is_continued", "transformers"): NO_SUCH_FIELD,
    ("test_a_banned_string_is_not_said", "transformers"): f"{NO_SUCH_FIELD}, and is asked without",
    ("test_top_k_of_one_is_greedy", "transformers"): NO_SUCH_FIELD,
    ("test_one_log_probability_for_each_token", "transformers"): "no: gives none",
    ("test_a_stored_text_has_the_scores_that_hf_gives_it", "transformers"): "no: tells none of a prompt",
    ("test_a_banned_string_is_not_said", "vllm-server"): "in one cut into tokens",
    ("test_n_samples_are_n_seeds", "vllm-server"): "no: seed + i",
}
"""What a kind cannot do. The marker is strict: the day it can, the test fails and the entry goes."""
ONE_SEED = "one seed for all that is asked at a time"
SERVERS = {
    "vllm-server": "vLLM's server", "serve": "`curate.engines.serve`", "transformers": "`transformers serve`"
}  # fmt: skip
SHOWN = {
    "`seed`: the same seed, the same answer": "test_equal_seeds_give_equal_answers_and_others_differ",
    "the answer does not depend on what else is asked": "test_company_changes_no_answer",
    "`n` answers to one call": "test_n_is_as_many_samples",
    "sample i of a call has the seed `sample_seed(seed, i)`": "test_n_samples_are_n_seeds",
    "`max_tokens`, `temperature` 0": "test_max_tokens_is_a_length",
    "`top_k`": "test_top_k_of_one_is_greedy",
    "`stop`": "test_a_stop_string_ends_the_text_before_it",
    "`ban` (`bad_words`)": "test_a_banned_string_is_not_said",
    "`prefix`: a begun turn is continued": "test_a_begun_turn_is_continued",
    "`logprobs`": "test_one_log_probability_for_each_token",
    "`score`": "test_a_stored_text_has_the_scores_that_hf_gives_it",
}
"""The table in docs/engines.md: what is said there, and the test that shows it."""


def story(messages: list[dict[str, str]], seed: int, temperature: float, top_k: int | None) -> str:
    """Twelve words that hang on the question and, unless it is greedy, on the seed."""
    greedy = temperature == 0 or top_k == 1
    rng = random.Random(f"{messages} {'greedy' if greedy else seed}")
    return " ".join(rng.choice(["Wait", "so", "two", "and", "four", "is", "that", "sum"]) for _ in range(12))


@pytest.fixture(scope="session")
def serve_url(tiny_model: Path) -> Iterator[str]:
    with serving(tiny_model) as url:
        yield url


@pytest.fixture(scope="session")
def transformers_url(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of `transformers serve`, and the name of its model: a copy that samples by default."""
    for needed in ("openai", "accelerate"):
        pytest.importorskip(needed, reason="pip install 'transformers[serving]'")
    model = sampling_copy(tiny_model, tmp_path_factory.mktemp("sampling") / "model")
    with transformers_serving(model) as url:
        yield url, str(model)


@pytest.fixture(scope="module")  # gone before another file starts its own: there is one core for each
def make_vllm(tiny_model: Path) -> Iterator[Callable[..., Any]]:
    need_vllm()
    with vllm_running(tiny_model) as make:
        yield make


@pytest.fixture(scope="module")
def vllm_url(tiny_model: Path) -> Iterator[str]:
    need_vllm()
    with vllm_serving(tiny_model) as url:
        yield url


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tiny_model: Path) -> Callable[..., Any]:
    """Makes an engine of one kind, closed, with the options given."""
    test = getattr(request.node, "originalname", "")
    if reason := GAPS.get((test, request.param)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    if request.param == "scripted":
        return lambda **options: Scripted(script=story, **options)
    if request.param == "hf":
        return lambda **options: HF(str(tiny_model), dtype="float32", device="cpu", **options)
    if request.param == "serve":
        url = request.getfixturevalue("serve_url")
        return lambda **options: Server(str(tiny_model), url=url, **options)
    if request.param == "vllm":
        return request.getfixturevalue("make_vllm")
    if request.param == "vllm-server":
        url = request.getfixturevalue("vllm_url")
        return lambda **options: Server(str(tiny_model), url=url, **options)
    url, model = request.getfixturevalue("transformers_url")
    return lambda **options: Server(model, url=url, **{"max_tokens": 100, **options})


def ask(engine: Any, *calls: dict[str, Any]) -> list[Any]:
    """Open the engine, make the calls at the same time, close it."""

    async def work() -> list[Any]:
        async with engine as opened:
            return await asyncio.gather(*(opened.chat(**{"messages": HELLO, **call}) for call in calls))

    return asyncio.run(work())


def one_by_one(engine: Any, *calls: dict[str, Any]) -> list[Any]:
    """The same, one call after the other."""

    async def work() -> list[Any]:
        async with engine as opened:
            return [await opened.chat(**{"messages": HELLO, **call}) for call in calls]

    return asyncio.run(work())


def test_an_answer_says_what_it_is(make: Any) -> None:
    [[reply]] = ask(make(), {"seed": 3})
    assert reply.text and reply.response == reply.text and reply.thinking is None
    assert reply.finish in ("stop", "length")
    assert reply.prompt_tokens >= 5 and reply.output_tokens >= 1 and reply.logprobs is None


def test_equal_seeds_give_equal_answers_and_others_differ(make: Any) -> None:
    found = one_by_one(make(), *({"seed": seed} for seed in (7, 7, 8, 9)))
    texts = [replies[0].text for replies in found]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


def test_without_a_seed_answers_differ(make: Any) -> None:
    assert len({replies[0].text for replies in one_by_one(make(), *[{"max_tokens": 12}] * 5)}) > 1


def test_n_is_as_many_samples(make: Any) -> None:
    [four] = ask(make(), {"n": 4, "seed": 5})
    assert len(four) == 4 and len({reply.text for reply in four}) > 1


def test_a_script_may_wait() -> None:
    async def says(messages: Any, seed: int) -> str:
        await asyncio.sleep(0)
        return f"<think>so</think>{len(messages)}, {seed % 10}"

    [[plain]] = ask(Scripted(script=lambda messages, seed: f"{len(messages)}, {seed % 10}"), {"seed": 3})
    [[waited]] = ask(Scripted(script=says), {"seed": 3})
    assert waited.thinking == "so" and waited.response == plain.response
    scores = asyncio.run(Scripted(script=says).score(HELLO, "<think>so</think>1, 0 more"))
    assert [p == 0 for p in scores.logprob] == [True, True, False]


@pytest.mark.parametrize("make", ONE_SEED_EACH, indirect=True)
def test_n_samples_are_n_seeds(make: Any) -> None:
    four, *single = one_by_one(make(), {"n": 4, "seed": 5}, *({"seed": sample_seed(5, i)} for i in range(4)))
    assert len(four) == 4 and len({reply.text for reply in four}) == 4
    assert [reply.text for reply in four] == [replies[0].text for replies in single]


def test_temperature_zero_needs_no_seed(make: Any) -> None:
    found = one_by_one(make(temperature=0), {"seed": 1}, {"seed": 2}, {})
    assert len({replies[0].text for replies in found}) == 1


def test_top_k_of_one_is_greedy(make: Any) -> None:
    greedy, cut = one_by_one(make(), {"temperature": 0}, {"top_k": 1, "seed": 4})
    assert greedy[0].text == cut[0].text


def test_max_tokens_is_a_length(make: Any) -> None:
    free, short = one_by_one(make(), {"seed": 5}, {"seed": 5, "max_tokens": 3})
    assert free[0].output_tokens > 3
    assert short[0].output_tokens == 3 and short[0].finish == "length"
    assert free[0].text.startswith(short[0].text) and short[0].text


def test_a_stop_string_ends_the_text_before_it(make: Any) -> None:
    [[free]] = ask(make(), {"seed": 5})
    stop = free.text[len(free.text) // 2 :][:3]
    [[cut]] = ask(make(), {"seed": 5, "stop": [stop, "never said"]})
    assert cut.text == free.text[: free.text.index(stop)] and cut.finish == "stop"
    assert cut.output_tokens <= free.output_tokens


@pytest.mark.parametrize("make", ONE_SEED_EACH, indirect=True)
def test_it_is_told_which_stop_string_it_was_or_that_it_was_none(make: Any) -> None:
    [[free]] = ask(make(), {"seed": 5})
    stop = free.text[len(free.text) // 2 :][:3]
    calls = [{"seed": 5, "stop": stops} for stops in ([stop, "never said"], ["never said", stop], ["never"])]
    found = [
        reply.stopped for [reply] in ask(make(), *calls, {"seed": 5, "max_tokens": 1, "stop": ["never"]})
    ]
    assert found == [stop, stop, "", ""]


@pytest.mark.parametrize("make", ONE_SEED_EACH, indirect=True)
def test_tokens_are_counted(make: Any) -> None:
    async def work(engine: Any) -> list[int]:
        async with engine:
            return [await engine.count_tokens(text) for text in ("", "So", "So it is, it is.")]

    none, one, more = asyncio.run(work(make()))
    assert none == 0 < one < more


def test_a_banned_string_is_not_said(make: Any) -> None:
    [[free]] = ask(make(), {"seed": 5})
    word = max(re.findall(r"\w+", free.text), key=len)
    calls = [{"seed": seed, "ban": [word, "e"]} for seed in range(5)]
    for [reply] in ask(make(), {"seed": 5, "ban": [word]}, *calls):
        assert word not in reply.response
    assert not any("e" in reply.text for [reply] in ask(make(), *calls))


def test_a_begun_turn_is_continued(make: Any) -> None:
    [[reply]] = ask(make(), {"prefix": "<think>\nTwo and", "seed": 5})
    assert reply.thinking is not None and reply.thinking.startswith("Two and") and reply.response == ""
    assert "Two and" not in reply.text
    assert reply.thinking.removeprefix("Two and") == reply.text
    [[answered]] = ask(make(), {"prefix": "<think>\nTwo.\n</think>\n\nSo", "seed": 5})
    assert answered.thinking == "Two." and answered.response == "So" + answered.text


@pytest.mark.parametrize("make", ["hf", VLLM_KINDS[0]], indirect=True)
def test_a_begun_turn_goes_on_from_the_tokens_it_was_drawn_as(make: Any) -> None:
    """A model does not always draw the cut that a tokenizer makes of its text; hot, this one may not."""
    how = {"messages": HELLO, "temperature": 0.0}
    hot = [{**how, "prefix": "It", "max_tokens": 20, "temperature": 1.0, "seed": i} for i in range(1, 33)]
    [whole], [half], *others = ask(
        make(), {**how, "prefix": "It", "max_tokens": 40}, {**how, "prefix": "It", "max_tokens": 20}, *hot
    )
    begun = [half, *(other for [other] in others if other.ids)]
    rest = [{**how, "prefix": "It" + b.text, "max_tokens": 40 - len(b.ids)} for b in begun]
    given = [{**r, "as_drawn": (len(b.text), b.ids)} for b, r in zip(begun, rest, strict=True)]
    replies = [reply for [reply] in ask(make(), *given, *rest)]
    drawn, anew = replies[: len(begun)], replies[len(begun) :]
    assert [d.prompt_tokens for d in drawn] == [b.prompt_tokens + len(b.ids) for b in begun]
    assert half.text + drawn[0].text == whole.text and half.ids + drawn[0].ids == whole.ids
    cuts = [a.prompt_tokens != d.prompt_tokens for a, d in zip(anew, drawn, strict=True)]
    assert any(cuts), "the tokenizer cuts such a text otherwise"
    ends = [{**how, "prefix": "It", "max_tokens": 20, "stop": [half.text[:k]]} for k in range(1, 24)]
    stopped = [found for [found] in ask(make(), *ends)]
    told = [half.ids[: found.output_tokens] == found.ids for found in stopped]
    assert True in told and False in told, "a string ends where a token does, or within one"
    assert all(found.ids is None for found, whole in zip(stopped, told, strict=True) if not whole)
    [[unbegun]] = ask(make(), how | {"max_tokens": 2})
    assert unbegun.ids is None, "nobody goes on with it"
    for characters in (3, -1):
        with pytest.raises(UserError, match=f"does not end with {characters} characters of its own"):
            ask(make(), {**how, "prefix": "It", "as_drawn": (characters, (1,))})


def test_one_log_probability_for_each_token(make: Any) -> None:
    for reply in ask(make(), {"seed": 5, "n": 3, "logprobs": True})[0]:
        assert reply.logprobs is not None and len(reply.logprobs) == reply.output_tokens
        assert all(x <= 0 for x in reply.logprobs)


@pytest.mark.slow
@pytest.mark.parametrize("make", ONE_SEED_EACH, indirect=True)
def test_company_changes_no_answer(make: Any) -> None:
    calls = [{"messages": user(f"{i} + {i} = ?" * (1 + i % 7)), "seed": i, "top_p": 0.95} for i in range(30)]
    assert ask(make(), *calls) == one_by_one(make(), *calls)


def test_an_engine_opens_again_in_another_thread(make: Any) -> None:
    engine, found = make(), []
    for _ in range(2):
        thread = threading.Thread(target=lambda: found.append(ask(engine, {"seed": 5})[0][0].text))
        thread.start()
        thread.join()
    assert found[0] == found[1] == ask(engine, {"seed": 5})[0][0].text


def test_two_fields_may_hold_one_engine(make: Any) -> None:
    async def work(engine: Any) -> str:
        async with engine:
            async with engine:
                pass
            return (await engine.chat(HELLO, seed=5))[0].text

    engine = make()
    assert asyncio.run(work(engine)) == ask(engine, {"seed": 5})[0][0].text


@pytest.mark.parametrize("make", ONE_SEED_EACH, indirect=True)
def test_a_cancelled_call_harms_no_other(make: Any) -> None:
    async def work(engine: Any) -> str:
        async with engine:
            doomed = asyncio.create_task(engine.chat(HELLO, seed=1, n=2))
            await asyncio.sleep(0.01)
            doomed.cancel()
            return (await engine.chat(HELLO, seed=5))[0].text

    assert asyncio.run(work(make())) == ask(make(), {"seed": 5})[0][0].text


def test_the_fingerprint_is_what_answers_depend_on(make: Any) -> None:
    plain = make()
    assert plain.fingerprint == make().fingerprint
    assert plain.fingerprint not in (make(temperature=0.5).fingerprint, make(max_tokens=7).fingerprint)
    described = json.loads(json.dumps(plain.describe()))
    assert described["fingerprint"] == plain.fingerprint and described["model"] == plain.model
    assert described["sampling"]["temperature"] == 1.0
    assert hash(plain) == hash(make()) and plain == make()


def test_a_wrong_way_to_sample_is_a_sentence(make: Any) -> None:
    with pytest.raises(UserError, match="'temperatur'.*did you mean 'temperature'"):
        ask(make(), {"temperatur": 1})
    with pytest.raises(UserError, match=r"top_p=1.5 .* at most 1"):
        make(top_p=1.5)


@pytest.mark.parametrize("make", ["hf", "serve", VLLM_KINDS[0]], indirect=True)
def test_a_prompt_longer_than_the_context_fails_alone(make: Any) -> None:
    async def work(engine: Any) -> Any:
        async with engine:
            with pytest.raises(
                CallFailed, match=r"the prompt has \d+ tokens and the context of .* holds 512"
            ):
                await engine.chat(user("sum " * 600))
            return await engine.chat(HELLO, seed=5)

    assert asyncio.run(work(make())) == ask(make(), {"seed": 5})[0]


SCORED: list[dict[str, Any]] = [
    {"text": "Let us find the sum of 8 step by step: é 😀", "top_k": 3, "rank": True},
    {"text": "it", "prefix": "Wa"},
    {"text": "7 eggs.", "prefix": "<think>\nSo "},
    {"text": ""},
]


@pytest.mark.parametrize("make", ["serve", *VLLM_KINDS, TRANSFORMERS], indirect=True)
def test_a_stored_text_has_the_scores_that_hf_gives_it(make: Any, tiny_model: Path) -> None:
    jobs = [("score", job) for job in SCORED]
    found = work(make(), *jobs)
    wanted = work(HF(str(tiny_model), dtype="float32", device="cpu"), *jobs)
    for one, other in zip(found, wanted, strict=True):
        same_scores(one, other)
    assert any(len(one.ids) > 9 for one in found)
    begun = [job.get("prefix", "") for job in SCORED[:3]]
    drawn = [replies[0].prompt_tokens for replies in work(make(), *(("chat", {"prefix": p}) for p in begun))]
    assert [one.prompt_tokens for one in found[:3]] == drawn, "a prompt is paid for whatever is asked of it"


def test_the_server_answers_as_the_engine_behind_it(serve_url: str, tiny_model: Path) -> None:
    call = dict(
        n=3, seed=5, prefix="<think>\nSo", ban=["e"], stop=["wi"], temperature=0.7, top_k=50, top_p=0.9
    )
    call |= {"logprobs": True, "max_tokens": 40}
    [direct] = ask(engine(f"hf:{tiny_model}", dtype="float32", device="cpu"), call)
    [served] = ask(engine(f"server:{serve_url}", model=str(tiny_model)), call)
    for one, other in zip(served, direct, strict=True):
        assert one.logprobs == pytest.approx(
            other.logprobs, abs=1e-4
        )  # what it has read before, it rounds anew
        assert one.ids is None, "a server takes text"
        assert replace(one, logprobs=None) == replace(other, logprobs=None, ids=None)


def test_the_table_of_servers_in_the_docs_is_what_these_tests_show() -> None:
    found = [f"| | {' | '.join(SERVERS.values())} |", "|---|---|---|---|"]
    for label, test in SHOWN.items():
        assert callable(globals()[test])
        cells = [GAPS.get((test, kind), "yes") for kind in SERVERS]
        if test in ("test_company_changes_no_answer", "test_n_samples_are_n_seeds"):
            cells[-1] = f"no: {ONE_SEED}"  # ONE_SEED_EACH
        found.append(f"| {label} | {' | '.join(cells)} |")
    page = (Path(__file__).resolve().parent.parent / "docs" / "engines.md").read_text()
    assert "\n".join(found) in page
