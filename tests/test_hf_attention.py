"""Attending twice changes how long it takes, and nothing beyond the rounding of half precision."""

from __future__ import annotations

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


def model(dtype: Any, keys: int, way: str = "sdpa") -> Any:
    """A random model of four heads, which share so many keys."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=keys, attn_implementation=way,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(dtype).eval()


@cache
def pair(half: str, keys: int) -> tuple[Any, Any]:
    """The same model as it is, and attending twice."""
    plain, twice = model(getattr(torch, half), keys), model(getattr(torch, half), keys)
    attend_twice(twice)
    assert twice.config._attn_implementation != "sdpa"
    return plain, twice


@torch.inference_mode()
def logits(model: Any, rows: list[list[int]], more: list[int]) -> Any:
    """Of every token that follows the rows, one after the other."""
    ids, mask = pad_left(rows, "cpu")
    at, cache, found = (mask.cumsum(-1) - 1).clamp(min=0), roomy_cache(model.config), []
    for token in [None, *more]:
        if token is not None:
            ids, at = torch.full((len(rows), 1), token), at[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=-1)
        found.append(forward(model, cache, ids, mask, at, keep=1))
    return torch.stack(found).float()


texts = st.lists(st.integers(0, 49), min_size=1, max_size=9)


@given(st.lists(texts, min_size=1, max_size=4), texts, st.sampled_from(["bfloat16", "float16"]))
@pytest.mark.parametrize("keys", [1, 2, 4])
def test_logits_are_the_same_up_to_rounding(
    keys: int, rows: list[list[int]], more: list[int], half: str
) -> None:
    plain, twice = pair(half, keys)
    assert torch.allclose(logits(plain, rows, more), logits(twice, rows, more), atol=0.01)


@pytest.mark.parametrize(("dtype", "way"), [("float32", "sdpa"), ("bfloat16", "eager")])
def test_another_precision_or_way_to_attend_is_left_alone(dtype: str, way: str) -> None:
    other = model(getattr(torch, dtype), 4, way)
    attend_twice(other)
    assert other.config._attn_implementation == way
