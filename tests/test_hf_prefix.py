"""What was read before is found by its tokens, is what a fresh reading would give, and is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served import queued

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from curate.engines.hf import HF  # noqa: E402
from curate.engines.hf_cache import RoomyLayer  # noqa: E402
from curate.engines.hf_prefix import Held, Prefixes, lasts, together  # noqa: E402
from curate.engines.hf_words import Words  # noqa: E402

TEXTS = st.lists(st.lists(st.integers(0, 2), max_size=40), max_size=20)


def shared(a: list[int], b: list[int]) -> int:
    return next((i for i in range(min(len(a), len(b))) if a[i] != b[i]), min(len(a), len(b)))


def held(text: list[int]) -> Held:
    """Stands for one layer's keys and values, of unlike widths: the token, and twice its place."""
    places = torch.arange(len(text)).reshape(1, -1, 1)
    return [(torch.tensor(text).reshape(1, -1, 1), places.repeat(1, 1, 2))]


@given(TEXTS, st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=40), min_size=1, max_size=5))
def test_what_was_read_is_found(texts: list[list[int]], prompts: list[list[int]]) -> None:
    read = Prefixes(10**6)
    for text in texts:
        read.keep(text, lambda text=text: held(text))
    for ids in prompts:
        best = max((shared(ids[:-1], t) for t in texts), default=0)
        assert len(ids) - best <= read.unread(ids) < len(ids) - best + 8
    (old, known), new = read.known(prompts), max(map(read.unread, prompts))
    assert old == max(map(len, prompts)) - new
    if old:
        layer = RoomyLayer()
        layer.begin([row and row[0] for row in known], old, new)
        for keys, values, ids in zip(layer.keys, layer.values, prompts, strict=True):
            begun = max(0, len(ids) - new)
            assert keys[0, :, 0].tolist() == [0] * (old - begun) + ids[:begun]
            assert values[0].tolist() == [[0, 0]] * (old - begun) + [[i, i] for i in range(begun)]


@given(TEXTS, st.integers(0, 100))
def test_no_more_is_remembered_than_there_is_room_for(texts: list[list[int]], room: int) -> None:
    read = Prefixes(room)
    for text in texts:
        read.keep(text, lambda text=text: held(text))
        assert read.tokens <= room
        assert len(text) > room or len(text) < 8 or read.unread([*text, 0]) <= 8


def test_what_was_asked_for_longest_ago_leaves_first() -> None:
    read = Prefixes(24)
    for first in (1, 2, 3):
        read.keep([first] * 8, lambda: [])
    read.unread([1] * 9)
    read.keep([4] * 8, lambda: [])
    assert [read.unread([first] * 9) for first in (1, 2, 3, 4)] == [1, 9, 1, 1]
    read.clear()
    assert (read.unread([1] * 9), read.tokens) == (9, 0)


@given(st.lists(st.integers(1, 200), max_size=30), st.integers(0, 300))
def test_prompts_are_read_with_those_that_have_as_much_to_read(unread: list[int], a_pass: int) -> None:
    made = together(unread, a_pass)
    assert sorted(i for part in made for i in part) == [*range(len(unread))]
    padded = sum(len(part) * max(unread[i] for i in part) for part in made)
    assert padded + a_pass * max(0, len(made) - 1) <= len(unread) * max(unread, default=0)
    for one, other in zip(made, made[1:], strict=False):
        assert min(unread[i] for i in one) > max(unread[i] for i in other)


@pytest.mark.parametrize("size", [None, 2])
def test_a_turn_that_is_gone_on_with_is_not_read_again(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch, size: int | None
) -> None:
    """Whatever was read before, by whom, beside whom: the same text, and the same log-probabilities.

    Two by two, those that wait come in without a pass of their own: only their last token is to be read.
    """
    from curate.engines import hf_decode

    begun = [
        ("What is 2 + 3?", ""),
        ("What is 2 + 3?", "It is"),
        ("Why is that so, if I may ask?", ""),
        ("What is 2 + 3?", "It is 5 or"),
    ]
    read: list[int] = []
    forward = hf_decode.forward

    def counted(
        model: object, cache: object, ids: torch.Tensor, *rest: object, **how: object
    ) -> torch.Tensor:
        read.append(ids.numel())
        return forward(model, cache, ids, *rest, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(hf_decode, "forward", counted)

    async def go(engine: HF, rounds: int) -> list[list[object]]:
        async def one(question: str, prefix: str, most: int) -> object:
            messages = [{"role": "user", "content": question}]
            [turn] = await engine.chat(messages, prefix=prefix, seed=7, logprobs=True, max_tokens=most)
            return turn

        async with engine:
            found = []
            for _ in range(rounds):
                passes.append(len(read))
                asked = (one(*b, 6 + 3 * i) for i, b in enumerate(begun))
                found.append(await asyncio.gather(*await queued(engine, *asked)))
            return found

    passes: list[int] = []
    engine = HF(str(tiny_model), dtype="float32", batch_size=size)
    first, again = asyncio.run(go(engine, 2))
    assert read[passes[1]] < read[0] / 2, "the second time, the beginning of each is known"
    if size:
        assert len(read) < 2 * passes[1], "and who comes in later draws its first token with the others"
    for a, b in zip(first, again, strict=True):
        assert a.text == b.text
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


def test_a_model_whose_positions_depend_on_the_length_reads_everything() -> None:
    from transformers import LlamaConfig

    plain = LlamaConfig()
    turning = LlamaConfig(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0})
    assert lasts(plain) and not lasts(turning)


def test_keys_and_values_may_differ_in_width() -> None:
    """As where they are compressed: a DeepSeek V3 of two layers, asked the same again."""
    from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

    from curate.engines.hf_decode import Batch, decode
    from curate.engines.hf_jobs import Draw
    from curate.engines.sampling import Sampling

    torch.manual_seed(0)
    config = DeepseekV3Config(
        vocab_size=50, hidden_size=32, intermediate_size=32, moe_intermediate_size=16, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, n_routed_experts=4, n_group=1, topk_group=1,
        num_experts_per_tok=2, first_k_dense_replace=2, kv_lora_rank=12, q_lora_rank=None, qk_rope_head_dim=8,
        qk_nope_head_dim=8, v_head_dim=4, max_position_embeddings=64, initializer_range=0.4,
    )  # fmt: skip
    model = DeepseekV3ForCausalLM(config).eval()

    class Spelled(Words):
        def text(self, ids: Sequence[int]) -> str:
            return " ".join(map(str, ids))

    class Alone:
        closing = False

        def capacity(self, width: int) -> int:
            return 8

        def more(self, free: int) -> list[Draw]:
            return []

        def give_back(self, rows: object) -> None:
            raise AssertionError("there is room")

    def drawn(ids: list[int], read: Prefixes) -> object:
        row = Draw(ids, 8, Sampling(), 3)
        decode(Batch(model, Spelled(None), frozenset(), [row], read), Alone())
        return row.future.result()

    read, asked = Prefixes(1000), [i * 7 % 50 for i in range(20)]
    first, again = drawn(asked, read), drawn(asked, read)
    assert read.unread(asked) == 1
    assert again.text == first.text
    assert again.logprobs == pytest.approx(first.logprobs, abs=1e-4)
