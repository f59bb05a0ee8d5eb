"""A stored text is scored by a server: its template, its tokens, its log-probabilities; or one sentence."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from served import QUICK, Answer, same_scores, serving, told, work
from tiny_model import THINKING_TEMPLATE, build

from curate.engines.hf import HF
from curate.engines.server import Server
from curate.errors import CallFailed, EngineDown, UserError
from curate.scores.token_logprobs import TokenLogprobs
from curate.step import TokenScores, user

ROW: dict[str, Any] = dict(question="What is 2 + 2?", messages=None, thinking="Two and two.", response="4")


@pytest.fixture(scope="module")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose chat template begins the thinking."""
    folder = build(tmp_path_factory.mktemp("thinker") / "model")
    (folder / "chat_template.jinja").write_text(THINKING_TEMPLATE)
    return folder


@pytest.fixture(scope="module")
def url(thinker: Path) -> Iterator[str]:
    with serving(thinker) as url:
        yield url


async def asked(engine: Any, *rows: dict[str, Any]) -> list[Any]:
    async with engine:
        step = TokenLogprobs(engine)
        return await asyncio.gather(*(step.ask(row) for row in rows), return_exceptions=True)


@pytest.mark.slow
def test_where_the_template_begins_the_thinking_a_server_scores_as_hf_does(url: str, thinker: Path) -> None:
    rows = [ROW, {**ROW, "thinking": None}, {**ROW, "thinking": "Zwölf 🥚.", "response": ""}]
    here = asyncio.run(asked(HF(str(thinker), dtype="float32"), *rows))
    there = asyncio.run(asked(Server(str(thinker), url=url), *rows))
    assert isinstance(here[1], CallFailed) and str(here[1]) == str(there[1])
    for one, other in ((here[0], there[0]), (here[2], there[2])):
        mine, theirs = other["model_tokens"], one["model_tokens"]
        assert [{**s, "value": 0} for s in mine] == [{**s, "value": 0} for s in theirs] and mine
        assert [s["value"] for s in mine] == pytest.approx([s["value"] for s in theirs], abs=1e-4)


def test_a_begun_turn_that_opens_its_thinking_takes_the_place_of_the_templates_tag(
    url: str, thinker: Path
) -> None:
    job = {"text": "Two.", "top_k": 2, "rank": True}
    jobs = [("score", {**job, "prefix": prefix}) for prefix in ("<think>\nSo ", "So ")]
    found = work(Server(str(thinker), url=url), *jobs)
    for one, other in zip(found, work(HF(str(thinker), dtype="float32"), *jobs), strict=True):
        same_scores(one, other)
    assert len(found[0].rank) == len(found[0].ids) > 0
    assert found[0].logprob == pytest.approx(found[1].logprob, abs=1e-4)


def test_ranks_are_told_where_they_are_asked_for(url: str, thinker: Path) -> None:
    body = {"model": str(thinker), "prompt": [5, 6, 7], "max_tokens": 1, "prompt_logprobs": 0}

    def ranks(more: dict[str, Any]) -> list[Any]:
        reply = httpx.post(f"{url}/completions", json=body | more).json()
        return [chance["rank"] for at in reply["choices"][0]["prompt_logprobs"][1:] for chance in at.values()]

    assert ranks({}) == ranks({"vllm_xargs": {"rank": 0}}) == [None, None]
    assert all(rank >= 1 for rank in ranks({"vllm_xargs": {"rank": 1}}))
    for rank in ("0", "1", 2, None, [1]):
        refused = httpx.post(f"{url}/completions", json=body | {"vllm_xargs": {"rank": rank}})
        assert refused.status_code == 400 and f"rank={rank!r}; it is 0 or 1" in refused.text, refused.text
    refused = httpx.post(f"{url}/completions", json=body | {"vllm_xargs": {"rnk": 1}})
    assert refused.status_code == 400 and "did you mean 'rank'?" in refused.text


def test_the_rank_of_a_token_among_the_top_ones_is_told_unasked(url: str, thinker: Path) -> None:
    body = {"model": str(thinker), "prompt": [5, 6, 7], "max_tokens": 1, "prompt_logprobs": 10**4}

    def ranks(rank: int) -> list[Any]:
        reply = httpx.post(f"{url}/completions", json=body | {"vllm_xargs": {"rank": rank}}).json()
        told = reply["choices"][0]["prompt_logprobs"]
        return [at[str(own)]["rank"] for own, at in zip([6, 7], told[1:], strict=True)]

    assert ranks(0) == ranks(1) and None not in ranks(0)


def test_a_server_is_told_of_ranks_only_where_they_are_wanted() -> None:
    good = {"prompt_logprobs": [None, *({str(ord(c)): chance(c)} for c in "?ab")]}
    for rank in (False, True):
        with told(Tokens(good).answer) as server:
            [found] = work(Server("m", url=server.url, **QUICK), ("score", {"text": "ab", "rank": rank}))
        [body] = [body for body in server.bodies if "prompt_logprobs" in body]
        assert body.get("vllm_xargs") == ({"rank": 1} if rank else None)
        assert found.rank == ((1, 1) if rank else None)


def test_what_cannot_be_scored_fails_alone(url: str, thinker: Path) -> None:
    with pytest.raises(CallFailed, match=r"prompt and text has \d+ tokens .* holds 512"):
        work(Server(str(thinker), url=url), ("score", {"text": "sum " * 600}))
    with pytest.raises(UserError, match="tells no entropy"):
        TokenLogprobs(Server(str(thinker), url=url), entropy=True)


@pytest.mark.parametrize(
    ("path", "body", "sentence"),
    [
        ("completions", {"prompt": "", "max_tokens": 2}, "the prompt is empty"),
        ("completions", {"prompt": None}, "a prompt is a text"),
        ("completions", {"prompt": "a", "n": 0}, "n=0 is no number of turns: it must be between 1 and 1024"),
        ("completions", {"prompt": "a", "n": 10**6}, "n=1000000 is no number of turns"),
        ("completions", {"prompt": "a", "max_tokens": 0}, "max_tokens=0 cannot be sampled with"),
        ("/detokenize", {"tokens": [-1]}, "-1 is no token of this model"),
        ("/detokenize", {"tokens": [2**70]}, f"{2**70} is no token of this model"),
    ],
)
def test_what_cannot_be_asked_is_refused_and_the_server_goes_on(
    path: str, body: dict[str, Any], sentence: str, url: str
) -> None:
    at = url.removesuffix("/v1") + path if path.startswith("/") else f"{url}/{path}"
    refused = httpx.post(at, json=body, timeout=20)
    assert refused.status_code == 400 and sentence in refused.json()["error"]["message"]
    more = httpx.post(f"{url}/completions", json={"prompt": "a", "max_tokens": 1}, timeout=20)
    assert more.status_code == 200


def test_a_server_that_has_no_such_thing_is_one_sentence() -> None:
    without = "the server of 'm' tells no log-probabilities of a prompt.* score with hf:m"
    with told(lambda nth, body: (404, "not found")) as server:
        with pytest.raises(UserError, match=without):
            work(Server("m", url=server.url, **QUICK), ("score", {"text": "4"}))
        assert len(server.bodies) == 1
    for last in ({"text": ""}, {"text": "", "prompt_logprobs": None}):
        with told(Tokens(last).answer) as server:
            with pytest.raises(UserError, match=without):
                work(Server("m", url=server.url, **QUICK), ("score", {"text": "ab"}))
    for without_rank in ({"logprob": -0.5}, {"logprob": -0.5, "rank": None}):
        bare = {"prompt_logprobs": [None, *({str(ord(c)): without_rank} for c in "?ab")]}
        with told(Tokens(bare).answer) as server:
            with pytest.raises(UserError, match="the server of 'm' tells no ranks; score with hf:m"):
                work(Server("m", url=server.url, **QUICK), ("score", {"text": "ab", "rank": True}))


def test_what_is_no_answer_is_asked_again_and_in_the_end_given_up() -> None:
    good = {"prompt_logprobs": [None, *({str(ord(c)): chance(c)} for c in "?ab")]}
    tokens, trouble = Tokens(good), iter([(500, "oops"), (200, "{"), (200, {"tokens": None}), (429, "")])

    def answer(nth: int, body: dict[str, Any]) -> Answer:
        return next(trouble, None) or tokens.answer(nth, body)

    with told(answer) as server:
        [found] = work(Server("m", url=server.url, retries=5, backoff_s=0.001), ("score", {"text": "ab"}))
    assert found == TokenScores((97, 98), (0, 1), (1, 2), (-0.5, -0.5), prompt_tokens=2)
    with told(lambda nth, body: (200, {"hello": 1})) as server:
        with pytest.raises(EngineDown, match='no tokens, prompt or choices: {"hello": 1}'):
            work(Server("m", url=server.url, **QUICK), ("score", {"text": "4"}))
        assert len(server.bodies) == 4


@pytest.mark.parametrize("said", [math.nan, None, "-0.5", {}])
def test_a_chance_that_is_no_number_fails_the_row(said: Any) -> None:
    """JSON as Python writes it has the word NaN; others write null."""
    bad = {"prompt_logprobs": [None, *({str(ord(c)): {**chance(c), "logprob": said}} for c in "?44")]}
    with told(Tokens(bad).answer) as server:
        row = {**ROW, "thinking": None}
        [found] = asyncio.run(asked(Server("m", url=server.url, **QUICK), {**row, "response": "44"}))
    assert isinstance(found, CallFailed) and "m gives a log-probability that is no number" in str(found)


def test_rounding_above_0_is_certainty() -> None:
    sure = {"prompt_logprobs": [None, *({str(ord(c)): {**chance(c), "logprob": 1e-7}} for c in "?ab")]}
    with told(Tokens(sure).answer) as server:
        [found] = work(Server("m", url=server.url, **QUICK), ("score", {"text": "ab", "top_k": 1}))
    assert found.logprob == (0.0, 0.0) and found.top == (((97, 0.0),), ((98, 0.0),))


def chance(character: str) -> dict[str, Any]:
    return {"logprob": -0.5, "rank": 1, "decoded_token": character}


class Tokens:
    """A server on which a token is a character, and the prompt of every chat is "??"."""

    def __init__(self, choice: dict[str, Any]) -> None:
        self.choice = choice

    def answer(self, nth: int, body: dict[str, Any]) -> Answer:
        if "prompt_logprobs" in body:
            return 200, {"choices": [self.choice]}
        if "tokens" in body:
            return 200, {"prompt": "".join(map(chr, body["tokens"]))}
        text = "??" if "messages" in body else body["prompt"]
        return 200, {"tokens": [ord(c) for c in text]}


def test_all_questions_about_one_problem_go_to_the_server_that_knows_it() -> None:
    good = {"prompt_logprobs": [None, *({str(ord(c)): chance(c)} for c in "?ab")]}
    with told(Tokens(good).answer) as one, told(Tokens(good).answer) as other:
        for i in range(40):  # which of two it is depends on their ports
            if i > 5 and one.bodies and other.bodies:
                break
            before = len(one.bodies), len(other.bodies)
            messages = user(f"problem {i}")
            work(Server("m", url=[one.url, other.url]), ("score", {"text": "ab", "messages": messages}))
            assert (len(one.bodies) == before[0]) is not (len(other.bodies) == before[1])
        assert one.bodies and other.bodies
