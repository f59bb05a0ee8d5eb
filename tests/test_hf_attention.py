"""Attending twice changes how long it takes, and nothing else."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402

from curate.engines.hf_attention import attend_twice  # noqa: E402
from curate.engines.hf_cache import roomy_cache  # noqa: E402
from curate.engines.hf_decode import forward, pad_left  # noqa: E402


@cache
def model(dtype: str, keys: int, way: str = "sdpa") -> Any:
    """A random model of four heads, which share so many keys."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=keys, attn_implementation=way,
        initializer_range=0.5,  # so that it matters whom a token attends to
    )  # fmt: skip
    return LlamaForCausalLM(config).to(getattr(torch, dtype)).eval()


@pytest.fixture(scope="module")
def twice() -> Any:
    """A thread in which a token attends twice, as in the one that owns a checkpoint."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(attend_twice).result()
        yield thread


@torch.inference_mode()
def logits(model: Any, rows: list[list[int]], more: list[int]) -> Any:
    """Of every token that follows the rows, one after the other."""
    ids, mask = pad_left(rows, torch.device("cpu"))
    at, cache, found = (mask.cumsum(-1) - 1).clamp(min=0), roomy_cache(model.config), []
    for token in [None, *more]:
        if token is not None:
            ids, at = torch.full((len(rows), 1), token), at[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
        found.append(forward(model, cache, ids, mask, at, keep=1))
    return torch.stack(found).float()


texts = st.lists(st.integers(0, 49), min_size=1, max_size=9)


@given(st.lists(texts, min_size=1, max_size=4), texts)
@pytest.mark.parametrize("keys", [1, 2, 4])
def test_logits_are_the_same(twice: Any, keys: int, rows: list[list[int]], more: list[int]) -> None:
    asked = model("bfloat16", keys), rows, more
    assert torch.allclose(logits(*asked), twice.submit(logits, *asked).result(), rtol=0.01, atol=0.01)


def queries(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each call of torch's kernel from now on: how many queries a head asks."""
    asked: list[int] = []
    kernel = torch.nn.functional.scaled_dot_product_attention

    def seen(query: Any, *args: Any, **more: Any) -> Any:
        asked.append(query.shape[2])
        return kernel(query, *args, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", seen)
    return asked


def test_a_token_asks_twice_in_that_thread_alone(twice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = queries(monkeypatch)
    one = model("bfloat16", 4)
    logits(one, [[1, 2, 3]], [4])
    assert asked == [3, 3, 1, 1]  # two layers: what is read at once, and then a token
    asked.clear()
    twice.submit(logits, one, [[1, 2, 3]], [4]).result()
    assert asked == [3, 3, 2, 2]
    assert one.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_another_precision_asks_once(twice: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = queries(monkeypatch)
    twice.submit(logits, model(dtype, 4), [[1, 2, 3]], [4]).result()
    assert asked == [3, 3, 1, 1]


def test_another_way_to_attend_is_left_alone(twice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = queries(monkeypatch)
    twice.submit(logits, model("bfloat16", 4, "eager"), [[1, 2, 3]], [4]).result()
    assert asked == []


def test_registering_again_wraps_nothing_twice(twice: Any) -> None:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    with ThreadPoolExecutor(1) as other:
        other.submit(attend_twice).result()
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before
