"""On a CPU a single token attends twice in half precision: torch takes half as long for two queries.

Its kernel multiplies matrices; for one query it falls back on a loop that converts every key and value by
itself, and most of the time of a decoded token went there. Where heads share keys, transformers makes several
queries of them itself. Models keep the name of their way to attend, which some of them go by.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock, local
from typing import Any

import torch

_MINE = local()  # whether this thread's tokens attend twice
_REGISTERING = Lock()

Attention = Callable[..., tuple[torch.Tensor, Any]]


def attend_twice() -> None:
    """Models that this thread runs do so from now on; those of other threads attend as before."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS, AttentionInterface

    with _REGISTERING:
        usual = ALL_ATTENTION_FUNCTIONS["sdpa"]
        if not isinstance(usual, _Twice):
            AttentionInterface.register("sdpa", _Twice(usual))
    _MINE.twice = True


class _Twice:
    """transformers' own way for queries [rows, heads, tokens, width], where a single one is asked twice."""

    def __init__(self, usual: Attention) -> None:
        self.usual = usual

    def __call__(
        self,
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **more: Any,
    ) -> tuple[torch.Tensor, Any]:
        half = query.device.type == "cpu" and query.dtype in (torch.bfloat16, torch.float16)
        alone = query.shape[2] == 1 and query.shape[1] == key.shape[1] and more.get("position_bias") is None
        if not (half and alone and getattr(_MINE, "twice", False)):
            return self.usual(module, query, key, value, attention_mask, **more)
        query = query.expand(-1, -1, 2, -1).contiguous()
        mask = None if attention_mask is None else attention_mask.expand(-1, -1, 2, -1)
        found, weights = self.usual(module, query, key, value, mask, **{**more, "is_causal": False})
        return found[:, :1], weights
