"""On a CPU a single token attends twice in half precision: torch takes less than half as long for two rows.

Its kernel multiplies matrices; for one row alone it falls back on a loop that converts every key and value by
itself. Of decoding a token, most of the time went there.
"""

from __future__ import annotations

from typing import Any

import torch

_NAME = "curate_two_rows"  # among the ways to attend that transformers knows


def attend_twice(model: Any) -> None:
    """Let a model on the CPU, in half precision, attend so; any other stays as it is."""
    half = model.dtype in (torch.bfloat16, torch.float16)
    if model.device.type != "cpu" or not half or model.config._attn_implementation != "sdpa":
        return
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    AttentionInterface.register(_NAME, _two_rows)
    AttentionMaskInterface.register(_NAME, sdpa_mask)
    model.set_attn_implementation(_NAME)


def _two_rows(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **more: Any,
) -> tuple[torch.Tensor, None]:
    """transformers' own, of queries [rows, heads, tokens, width]. Heads that share keys are several rows."""
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    alone = query.shape[2] == 1 and query.shape[1] == key.shape[1]
    if alone:
        query = query.expand(-1, -1, 2, -1).contiguous()
        attention_mask = None if attention_mask is None else attention_mask.expand(-1, -1, 2, -1)
        more["is_causal"] = False
    found, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **more)
    return (found[:, :1] if alone else found), None
