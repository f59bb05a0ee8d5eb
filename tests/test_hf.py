"""The hf engine: exact sampling in any company, scores that are the model's own, checkpoints by content."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import queued, work

from curate.engines.hf import HF
from curate.errors import CallFailed, Refused
from curate.step import TokenScores, user

HELLO = user("What is 2 + 2?")


@pytest.fixture(scope="module")
def here(tiny_model: Path) -> HF:
    return HF(str(tiny_model), dtype="float32", device="cpu")


def test_noise_and_argmax_sample_the_softmax() -> None:
    """Frequencies over 60,000 seeds, within five standard errors, at two steps."""
    import torch

    from curate.engines.hf_sampling import Knobs, pick
    from curate.engines.sampling import Sampling

    logits, seeds = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -3.0]), range(60_000)
    half = (logits / 0.5).softmax(-1)
    cases = [
        (Sampling(), logits.softmax(-1)),
        (Sampling(temperature=0.5), half),
        (Sampling(top_k=2), torch.tensor([*logits[:2].softmax(-1), 0, 0, 0, 0])),
        (Sampling(top_p=0.8), torch.tensor([*logits[:3].softmax(-1), 0, 0, 0])),  # 0.567 + 0.209 < 0.8
        (Sampling(temperature=0.5, top_p=0.5), torch.tensor([1.0, 0, 0, 0, 0, 0])),
        (Sampling(temperature=0), torch.tensor([1.0, 0, 0, 0, 0, 0])),
    ]
    for sampling, wanted in cases:
        knobs = Knobs.of([sampling] * len(seeds), seeds, logits.device)
        for step in (0, 9):
            drawn = pick(logits.expand(len(seeds), -1), knobs, torch.full((len(seeds),), step))
            found = torch.bincount(drawn, minlength=6) / len(seeds)
            error = (wanted * (1 - wanted) / len(seeds)).sqrt()
            assert bool(((found - wanted).abs() <= 5 * error).all()), (sampling, step, found, wanted)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 0.3, 1.0, 3.0]),
            st.sampled_from([0.05, 0.9, 0.999, 1.0]),
            st.sampled_from([None, 1, 7, 64, 65, 400]),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_who_looks_at_few_tokens_draws_what_all_would_give(
    seed: int, rows: list[tuple[float, float, int | None]]
) -> None:
    """Where the cuts lie among the most probable tokens, no others are looked at; elsewhere all are."""
    import torch

    from curate.engines.hf_sampling import Knobs, _of_all, pick
    from curate.engines.sampling import Sampling

    made = torch.Generator().manual_seed(seed)
    logits = torch.randn(len(rows), 300, generator=made).mul(4).round(decimals=1)  # some of them are equal
    knobs = Knobs.of([Sampling(t, p, k) for t, p, k in rows], range(seed, seed + len(rows)), logits.device)
    steps = torch.arange(len(rows))
    heat = knobs.temperature.where(knobs.temperature > 0, 1.0).unsqueeze(-1)
    wanted = _of_all(logits / heat, knobs, steps).where(knobs.temperature > 0, logits.argmax(-1))
    assert pick(logits, knobs, steps).tolist() == wanted.tolist()


def test_steps_and_tokens_are_independent() -> None:
    """The noise of neighbouring seeds, steps and tokens is uncorrelated: a bad hash would show here."""
    import torch

    from curate.engines.hf_sampling import gumbel

    noise = gumbel(torch.arange(2000), torch.zeros(2000, dtype=torch.int64), torch.arange(400))
    later = gumbel(torch.arange(2000), torch.ones(2000, dtype=torch.int64), torch.arange(400))
    assert abs(float(noise.mean()) - 0.57722) < 0.01 and abs(float(noise.std()) - 1.28255) < 0.01
    for a, b in ((noise[:-1], noise[1:]), (noise[:, :-1], noise[:, 1:]), (noise, later)):
        assert abs(float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])) < 0.006


@pytest.mark.slow
def test_the_size_of_the_batch_changes_no_answer(here: HF) -> None:
    """Rows leave and join a batch of eight; with a batch of one there is no company at all."""
    jobs = [("chat", {"messages": user("so " * (i % 9)), "seed": i, "logprobs": True}) for i in range(40)]
    many, few, alone = (
        work(HF(here.model, 1.0, max_tokens=50, dtype="float32", batch_size=size), *jobs)
        for size in (64, 8, 1)
    )
    assert [r[0].text for r in many] == [r[0].text for r in few] == [r[0].text for r in alone]
    for a, b in zip(many, alone, strict=True):
        assert a[0].logprobs == pytest.approx(b[0].logprobs, abs=1e-4)


@pytest.mark.slow
def test_rows_that_outgrow_the_memory_are_drawn_again(here: HF, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for 200 tokens, for eight rows of forty and more that may grow to 500: some must be given back."""
    from curate.engines.hf_worker import Worker

    given_back, give_back = [], Worker.give_back

    def count(self: Worker, rows: Any) -> None:
        given_back.extend(rows)
        give_back(self, rows)

    jobs = [("chat", {"messages": user("so " * i), "seed": i}) for i in range(8)]
    whole = work(here, *jobs)
    monkeypatch.setattr(Worker, "give_back", count)
    monkeypatch.setattr("curate.engines.hf_worker._AHEAD", 1)
    monkeypatch.setattr("curate.engines.hf_worker._free_bytes", lambda device: 2 * 512 * 200)
    assert work(here, *jobs) == whole and given_back


def test_a_batch_that_is_too_large_is_done_in_halves(here: HF, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from curate.engines.hf_worker import Worker

    jobs, answer, sizes = [("chat", {"seed": i}) for i in range(5)], Worker._answer, []

    def tight(self: Worker, checkpoint: Any, batch: Any) -> None:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        answer(self, checkpoint, batch)

    whole = work(here, *jobs)
    monkeypatch.setattr(Worker, "_answer", tight)
    assert work(here, *jobs) == whole and 5 in sizes and max(sizes[1:]) < 5


def test_what_is_remembered_makes_room_before_a_row_is_given_up(
    here: HF, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of the batch that was too large is alive when it is tried again."""
    import weakref

    import torch

    from curate.engines.hf_worker import Worker

    class Large:
        """Stands for the batch and its cache."""

    answer, tried, alive = Worker._answer, [], []

    def tight(self: Worker, checkpoint: Any, batch: Any) -> None:
        if self._read.tokens:
            large = Large()
            tried.append(weakref.ref(large))
            raise torch.OutOfMemoryError("CUDA out of memory")
        alive.extend(ref() for ref in tried)
        answer(self, checkpoint, batch)

    monkeypatch.setattr(Worker, "_answer", tight)

    async def go() -> list[str]:
        async with here:
            return [(await here.chat(user("so"), seed=1))[0].text for _ in range(2)]

    one, other = asyncio.run(go())
    assert one == other and tried and alive == [None]


def test_a_bug_in_the_thread_is_raised_where_the_call_was_made(
    here: HF, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was done before: of a batch that is answered in halves, the second is not forgotten."""
    import torch

    from curate.engines.hf_worker import Worker

    monkeypatch.setattr(Worker, "_answer", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        work(here, ("chat", {}))

    def halved(self: Worker, checkpoint: Any, batch: Any) -> None:
        raise torch.OutOfMemoryError("too large") if len(batch) > 1 else ValueError("a bug")

    monkeypatch.setattr(Worker, "_answer", halved)
    said: list[BaseException] = []

    async def go() -> None:
        async with here:
            calls = (here.chat(user("so"), seed=i) for i in range(3))
            said.extend(await asyncio.gather(*await queued(here, *calls), return_exceptions=True))

    asyncio.run(go())
    assert [str(e) for e in said] == ["a bug"] * 3


def test_scores_agree_with_what_sampling_saw(here: HF) -> None:
    """Wherever a sample is tokenised again as it was drawn, its log-probabilities come out again."""
    drawn = work(
        here, *(("chat", {"seed": i, "max_tokens": 4, "logprobs": True, "prefix": "So"}) for i in range(60))
    )
    texts = [r[0] for r in drawn if r[0].finish == "length"]
    scored = work(here, *(("score", {"text": r.text, "prefix": "So"}) for r in texts))
    agreeing = [(r, s) for r, s in zip(texts, scored, strict=True) if len(s.ids) == r.output_tokens]
    same = [(r, s) for r, s in agreeing if s.logprob == pytest.approx(r.logprobs, abs=1e-4)]
    assert len(same) >= 15 and len(same) >= 0.8 * len(agreeing)  # equal counts may hide another cut


def test_what_was_drawn_is_scored_as_it_was_drawn(here: HF, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the drawn tokens themselves, each, though they were drawn in a batch and one after the other."""
    from curate.engines import hf

    drawn: list[Any] = []
    own = hf.Draw
    monkeypatch.setattr(hf, "Draw", lambda *a, **k: drawn.append(own(*a, **k)) or drawn[-1])

    async def go() -> list[Any]:
        async with here:
            await asyncio.gather(*(here.chat(user("so"), seed=i, max_tokens=5 + i) for i in range(20)))
            asked = (here.score_ids(job.ids, job.new, [(0, 0)] * len(job.new)) for job in drawn)
            return await asyncio.gather(*asked)

    scored = asyncio.run(go())
    assert len(drawn) == 20 and max(len(job.new) for job in drawn) > 10
    for job, scores in zip(drawn, scored, strict=True):
        assert scores.logprob == pytest.approx(job.logprobs, abs=1e-4)


def test_a_sample_that_is_cut_in_a_character_ends_before_it(
    here: HF, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was paid for it is counted, and has its log-probabilities."""
    import torch

    async def go() -> list[Any]:
        async with here:
            ids = here.checkpoint.ids("漢字")
            assert len(ids) == 6
            says = lambda logits, knobs, steps: torch.tensor(ids)[steps]  # noqa: E731
            monkeypatch.setattr("curate.engines.hf_decode.pick", says)
            asked = (here.chat(user("so"), max_tokens=n, logprobs=True) for n in range(1, 7))
            return [reply for [reply] in await asyncio.gather(*asked)]

    replies = asyncio.run(go())
    assert [r.text for r in replies] == ["", "", "漢", "漢", "漢", "漢字"]
    assert [(r.finish, r.output_tokens, len(r.logprobs)) for r in replies] == [
        ("length", n, n) for n in range(1, 7)
    ]


def reference(model: Path, prompt: str, text: str) -> Any:
    """Token ids of the text and log-probabilities [tokens, vocabulary], from one plain forward pass."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, plain = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    before, after = (tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, text))
    with torch.no_grad():
        logits = plain.float()(torch.tensor([before + after])).logits[0, len(before) - 1 : -1]
    return after, logits.log_softmax(-1)


@pytest.mark.parametrize(("cells", "tile"), [(1, (1, 7)), (5000, (5, 100)), (1 << 26, (256, 2048))])
@pytest.mark.parametrize("is_plain", [True, False])
def test_scores_are_those_of_a_plain_forward_pass(
    tiny_model: Path, cells: int, tile: tuple[int, int], is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch of unequal prompts and texts, projected whole or in pieces, by its head or by the model."""
    import torch

    from curate.engines import hf_score

    monkeypatch.setattr(hf_score, "_CELLS", {"cpu": cells})
    monkeypatch.setattr("curate.engines.hf_project.TILE", {"cpu": tile})
    if not is_plain:
        monkeypatch.setattr(hf_score, "plain_head", lambda model: None)
    here = HF(str(tiny_model), dtype="float32")
    texts = ["Wait, the sum is 4.", "two", "Let us find the sum of 8, 9, 6 and 13 step by step: é 😀"]
    jobs = [({"messages": user("x" * 9**i), "text": text}, "") for i, text in enumerate(texts)]
    told = {"entropy": True, "rank": True, "top_k": 3}
    jobs += [({"messages": HELLO, "text": texts[2], "prefix": "So: ", **told}, "So: ")]
    found = work(here, *(("score", job) for job, _ in jobs))
    for (job, prefix), scores in zip(jobs, found, strict=True):
        asked = (
            f"<|im_start|>user\n{job['messages'][0]['content']}<|im_end|>\n<|im_start|>assistant\n{prefix}"
        )
        ids, chances = reference(Path(here.model), asked, job["text"])
        assert list(scores.ids) == ids
        assert scores.logprob == pytest.approx(chances[range(len(ids)), ids].tolist(), abs=1e-4)
        stretches = dict.fromkeys(zip(scores.start, scores.end, strict=True))  # a character's bytes share one
        assert "".join(job["text"][a:b] for a, b in stretches) == job["text"]
    full = found[-1]
    assert full.entropy == pytest.approx((-chances.exp() * chances).sum(-1).tolist(), abs=1e-4)
    best = torch.topk(chances, 3)
    assert [[i for i, _ in pairs] for pairs in full.top] == best.indices.tolist()
    assert [[x for _, x in pairs] for pairs in full.top] == [
        pytest.approx(v, abs=1e-4) for v in best.values.tolist()
    ]
    own = chances[range(len(ids)), ids].unsqueeze(-1)
    least, most = (1 + (chances > own + by).sum(-1) for by in (1e-4, -1e-4))  # itself is among the latter
    assert all(a <= r < b for a, r, b in zip(least, full.rank, most, strict=True)) and max(full.rank) > 3
    assert scores.entropy is not None and found[0].entropy is found[0].rank is found[0].top is None


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 12), st.integers(0, 2**31))
def test_the_tiles_of_a_vocabulary_change_no_measure(widths: list[int], top_k: int, seed: int) -> None:
    import torch

    from curate.engines.hf_project import measure

    dice = torch.Generator().manual_seed(seed)
    logits = 30 * torch.randn(4, sum(widths), generator=dice)
    logits[torch.rand(logits.shape, generator=dice) < 0.2] = -torch.inf  # a model may rule tokens out
    ids = torch.randint(sum(widths), (4,), generator=dice)
    logits[range(4), ids] = 1.0
    whole = torch.distributions.Categorical(logits=logits)
    tiles = logits.split(widths, dim=-1)
    own, entropy, values, names, rank = measure(tiles, ids, True, top_k, tiles)
    assert (rank == 1 + (logits > 1.0).sum(-1)).all()
    assert torch.allclose(own, whole.log_prob(ids), atol=1e-4)
    assert torch.allclose(entropy, whole.entropy(), atol=1e-4)
    best = logits.log_softmax(-1).topk(min(top_k, sum(widths)), dim=-1).values
    assert torch.allclose(values, best, atol=1e-4)
    assert torch.allclose(logits.log_softmax(-1).gather(-1, names), best, atol=1e-4)


def test_a_shared_prompt_is_read_once_and_changes_no_score(here: HF, monkeypatch: pytest.MonkeyPatch) -> None:
    from curate.engines import hf_score

    read: list[int] = []
    once = hf_score._after_one_prompt
    monkeypatch.setattr(
        hf_score, "_after_one_prompt", lambda m, jobs, *a: read.append(len(jobs)) or once(m, jobs, *a)
    )
    asked = user("Add these: " + "1 + 2 + 3, " * 9)
    texts = ["6", "It is 54.", "Nine times six is fifty-four.", ""]
    together = work(here, *(("score", {"messages": asked, "text": t}) for t in texts))
    assert read == [3]
    for text, scores in zip(texts, together, strict=True):
        (alone,) = work(here, ("score", {"messages": asked, "text": text}))
        assert scores.ids == alone.ids
        assert scores.logprob == pytest.approx(alone.logprob, abs=1e-4)


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_long_prompt_is_read_once_for_all_its_texts(is_plain: bool) -> None:
    """Though they are more than one pass takes; where texts are so long that it is less work, it is not."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from curate.engines.hf_jobs import Scoring
    from curate.engines.hf_score import plain_head, score
    from curate.engines.hf_worker import _alike

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=4096, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    own, read = model.model.forward, []

    def forward(input_ids: Any, **how: Any) -> Any:
        read.append(input_ids.numel())
        return own(input_ids=input_ids, **how)

    model.model.forward = forward
    dice = torch.Generator().manual_seed(0)

    def jobs(prompt: int, texts: list[int]) -> list[Scoring]:
        ids = torch.randint(50, (prompt + sum(texts),), generator=dice).tolist()
        begin = [prompt + sum(texts[:i]) for i in range(len(texts))]
        parts = [ids[a : a + n] for a, n in zip(begin, texts, strict=True)]
        return [Scoring(ids[:prompt], part, [(0, 0)] * len(part)) for part in parts]

    head = plain_head(model) if is_plain else None
    shared, alone = jobs(700, [500, 490, 480, 470, 200]), jobs(3, [900, 800])
    taken = _alike([*shared, *alone], 128, 1024, 16)
    assert taken == shared
    assert all(job.goes_on(16) and job.mask == len(job.text_ids) * job.longest for job in shared)
    assert not Scoring([1] * 30_000, [1] * 2_500, []).goes_on(16), "a mask of 81 million"
    for some, passes in ((taken, [700, 2 * 499, 2 * 479, 199]), (_alike(alone, 128, 2048, 16), [902, 802])):
        read.clear()
        score(model, head, some, 1024)
        assert not is_plain or read == passes
        for job in some:
            with torch.inference_mode():
                chances = model(torch.tensor([job.ids + job.text_ids])).logits.log_softmax(-1)
            expected = chances[0, len(job.ids) - 1 : -1].gather(-1, torch.tensor(job.text_ids)[:, None])
            assert list(job.future.result().logprob) == pytest.approx(expected[:, 0].tolist(), abs=1e-4)


def test_a_recurrent_model_reads_a_shared_prompt_for_each_text() -> None:
    """The state of a recurrent layer stands at one place; several texts cannot go on from it."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    from curate.engines.hf_jobs import Scoring
    from curate.engines.hf_score import plain_head, score

    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, layer_types=["conv", "full_attention"], eos_token_id=1, bos_token_id=2,
    )  # fmt: skip
    model = Lfm2ForCausalLM(config).eval()
    jobs = [Scoring([5, 6, 7], text, [(0, 0)] * len(text), False, 0) for text in ([8, 9, 10], [11], [12])]
    head, inner, read = plain_head(model), model.model.forward, []

    def forward(input_ids: Any, **how: Any) -> Any:
        read.append(input_ids.numel())
        return inner(input_ids=input_ids, **how)

    model.model.forward = forward
    score(model, head, jobs, 12)
    assert read == [2 * 5, 3], "a pass is no larger than it may be"
    for job in jobs:
        ids = torch.tensor([job.ids + job.text_ids])
        with torch.inference_mode():
            chances = model(ids, use_cache=False).logits.log_softmax(-1)[0, 2:-1]
        own = chances.gather(-1, torch.tensor(job.text_ids)[:, None])[:, 0]
        assert list(job.future.result().logprob) == pytest.approx(own.tolist(), abs=1e-4)


def test_the_copies_of_a_long_prompt_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from curate.engines import hf_score
    from curate.engines.hf_cache import cache_bytes
    from curate.engines.hf_jobs import Scoring

    config = LlamaConfig(
        vocab_size=97, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    jobs = [Scoring([5] * 50, [8, 9, i], [(0, 0)] * 3) for i in range(5)]
    monkeypatch.setitem(hf_score._COPIES, "cpu", 2 * 53 * cache_bytes(model))
    inner, read = model.model.forward, []

    def forward(input_ids: torch.Tensor, **how: Any) -> Any:
        read.append(tuple(input_ids.shape))
        return inner(input_ids=input_ids, **how)

    model.model.forward = forward  # type: ignore[method-assign]
    hf_score.score(model, model.get_output_embeddings(), jobs)
    assert read == [(1, 50), (2, 2), (2, 2), (1, 2)]
    assert all(job.future.done() for job in jobs)


@pytest.mark.parametrize("texts", [1, 2])
def test_no_tensor_grows_with_length_times_vocabulary(texts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted, over a vocabulary of 20,000: the largest tensor is a tile or an attention mask."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode
    from transformers import LlamaConfig, LlamaForCausalLM

    from curate.engines.hf_jobs import Scoring
    from curate.engines.hf_project import TILE
    from curate.engines.hf_score import plain_head, score

    class Counting(TorchDispatchMode):
        largest = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            found = out if isinstance(out, (tuple, list)) else [out]
            sizes = [t.numel() for t in found if isinstance(t, torch.Tensor) and not t._is_view()]
            self.largest = max(self.largest, *sizes, 0)
            return out

    length, vocabulary = 600, 20_000
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=2 * length, eos_token_id=1,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    dice = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (length,), generator=dice).tolist()
    jobs = [Scoring([5, 6], ids, [(0, 0)] * length, True, 4, True) for _ in range(texts)]
    head = plain_head(model)
    monkeypatch.setattr("torch.get_num_threads", lambda: 1)  # only this thread's tensors are counted
    with Counting() as counting:
        score(model, head, jobs)
    rows, columns = TILE["cpu"]
    most = max(rows * columns, texts * length**2 * config.num_attention_heads)
    assert columns < counting.largest <= most < length * vocabulary / 8
    with torch.inference_mode():
        chances = model(torch.tensor([[5, 6, *ids]])).logits.log_softmax(-1)[0, 1:-1]
    own = chances.gather(-1, torch.tensor(ids)[:, None])[:, 0]
    assert list(jobs[-1].future.result().logprob) == pytest.approx(own.tolist(), abs=1e-4)


def test_what_is_asked_of_a_wide_vocabulary_leaves_no_holes_in_memory() -> None:
    """Counted in a process of its own: 1.2 GB of logits are measured in less than a fifth of that."""
    told = subprocess.run([sys.executable, "-c", _MEASURED], capture_output=True, text=True, check=True)
    assert 0 <= int(told.stdout) < 240, "MB"


_MEASURED = """
import torch
from pathlib import Path
from curate.engines.hf_project import project

def peak():
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1000

torch.set_num_threads(1)
head, states, ids = torch.nn.Linear(16, 150_000, bias=False), torch.randn(2048, 16), torch.zeros(2048).long()
with torch.inference_mode():
    project(head, states[:64], ids[:64], True, 0, True)
    before = peak()
    project(head, states, ids, True, 0, True)
print(peak() - before)
"""


def test_a_projection_needs_no_operation_without_a_public_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from curate.engines import hf_project

    dice = torch.Generator().manual_seed(0)
    states, ids = torch.randn(300, 16, generator=dice), torch.randint(999, (300,), generator=dice)
    head = torch.nn.Linear(16, 999, bias=False)
    found, _, *_ = hf_project.project(head, states, ids, False, 0, False)
    monkeypatch.setattr(hf_project, "_onednn", None)
    without, _, *_ = hf_project.project(head, states, ids, False, 0, False)
    with torch.inference_mode():
        own = head(states).log_softmax(-1).gather(-1, ids[:, None])[:, 0]
    torch.testing.assert_close(found, own, atol=1e-5, rtol=0)
    torch.testing.assert_close(without, own, atol=1e-5, rtol=0)


def test_logits_that_are_more_than_a_projection_are_the_models_own(tiny_model: Path) -> None:
    """A model that caps or scales its logits has no plain head."""
    import torch
    from transformers import AutoModelForCausalLM

    from curate.engines.hf_score import plain_head

    plain = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    assert plain_head(plain) is plain.get_output_embeddings()
    forward = plain.forward

    def scaled(*args: Any, **kwargs: Any) -> Any:
        found = forward(*args, **kwargs)
        found.logits = found.logits / 2
        return found

    plain.forward = scaled
    assert plain_head(plain) is None


def test_a_score_at_the_seam_and_of_nothing(here: HF) -> None:
    """A token never straddles the seam: the text is what the model would go on with."""
    straddling, nothing = work(here, ("score", {"text": "it", "prefix": "Wa"}), ("score", {"text": ""}))
    assert straddling.start[0] == 0 and straddling.end[-1] == 2
    assert nothing == TokenScores((), (), (), ())
    with pytest.raises(CallFailed, match=r"prompt and text has \d+ tokens and the context of .* holds 512"):
        work(here, ("score", {"text": "sum " * 600}))


def test_a_ban_holds_across_the_seam(here: HF) -> None:
    """Greedily, the first character after "So" is forbidden by way of the "o" before it."""
    [[free]] = work(here, ("chat", {"prefix": "So", "temperature": 0}))
    banned = "o" + free.text[0]
    [[other]] = work(here, ("chat", {"prefix": "So", "temperature": 0, "ban": [banned]}))
    assert free.text and banned in free.response and banned not in other.response


def test_where_everything_is_banned_the_turn_ends(here: HF, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where it cannot end either, the call fails."""
    everything = {"ban": [*map(chr, range(128)), "\ufffd"], "seed": 1}
    [[nothing]] = work(here, ("chat", everything))
    assert nothing.text == "" and nothing.finish == "stop"
    monkeypatch.setattr("curate.engines.hf_checkpoint._ends", lambda *_: frozenset())
    with pytest.raises(CallFailed, match="no token to go on with"):
        work(here, ("chat", everything))


def test_a_prompt_without_a_token_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    silent = shutil.copytree(tiny_model, tmp_path / "silent")
    (silent / "chat_template.jinja").write_text("{# says nothing #}")
    engine = HF(str(silent), dtype="float32", device="cpu")
    for asked in (("chat", {"seed": 1}), ("score", {"text": "4"})):
        with pytest.raises(Refused, match="the prompt is empty"):
            work(engine, asked)


def test_an_error_before_the_batch_is_that_of_those_who_wait(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the thread goes on."""
    from curate.engines.hf_worker import Worker

    engine, fitting = HF(str(tiny_model), dtype="float32", device="cpu"), Worker._fitting

    async def asked() -> list[Any]:
        async with engine:
            monkeypatch.setattr(Worker, "_fitting", lambda self, jobs: 1 // 0)
            calls = [engine.chat(HELLO, max_tokens=2, seed=i) for i in range(3)]
            failed = await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), 60)
            monkeypatch.setattr(Worker, "_fitting", fitting)
            return [*failed, *await asyncio.wait_for(engine.chat(HELLO, max_tokens=2, seed=1), 60)]

    *failed, good = asyncio.run(asked())
    assert [type(e) for e in failed] == [ZeroDivisionError] * 3 and good.output_tokens


def test_samples_begin_in_the_order_they_came_and_where_not_all_fit_the_longest_do() -> None:
    """And those that had to be given back come before those that came later."""
    from curate.engines.hf_jobs import Draw
    from curate.engines.hf_worker import Worker
    from curate.engines.sampling import Sampling

    worker = Worker(lambda: pytest.fail("nothing is loaded here"), 3)
    worker._size, worker._room = 3, 10_000
    draws = [Draw([0] * length, 1, Sampling(), 0) for length in (5, 90, 7, 8, 60, 9)]
    for draw in draws:
        worker.submit(draw)
    first = worker._take(Draw, 3)
    assert first == draws[:3]
    worker.give_back([draw for draw in draws[:2]])
    worker._room = 200  # two of the longest, with what they draw
    assert worker._take(Draw, 3) == [draws[1], draws[4]]
    assert worker._waiting == [draws[0], draws[3], draws[5]]
