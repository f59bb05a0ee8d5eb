"""On a CPU a single token attends twice in bfloat16: torch's kernel is slower for one query than for two.

It multiplies matrices; for one query it falls back on a loop that converts every key and value by itself, and
most of the time of a full batch went there (benchmarks/busy_engine.py). In float16 it is no faster. Models
keep the name of their way to attend, which some of them go by. Where heads share keys, newer versions of
transformers make several queries of them.
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
        *args: Any,
        **more: Any,  # whatever models hand to the usual way
    ) -> tuple[torch.Tensor, Any]:
        if not getattr(_MINE, "twice", False) or not _faster(query, key, value):
            return self.usual(module, query, key, value, attention_mask, *args, **more)
        query = query.expand(-1, -1, 2, -1).contiguous()
        mask = None if attention_mask is None else attention_mask.expand(-1, -1, 2, -1)
        more["is_causal"] = False  # they stand at the same place, and neither is before the other
        found, weights = self.usual(module, query, key, value, mask, *args, **more)
        return found[:, :1].contiguous(), weights


def _faster(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> bool:
    alike = query.shape[1] == key.shape[1] and key.shape[-1] == value.shape[-1]
    return query.device.type == "cpu" and query.dtype == torch.bfloat16 and query.shape[2] == 1 and alike
