"""The summed cross-entropy of the learnt tokens, in nats and in float32 whatever the logits are.

A sum and not a mean: the caller divides by the learnt tokens of the whole optimizer step, so that every token
weighs the same however the step was cut into micro-batches (the mean of means does not).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def cross_entropy(logits: Tensor, ids: Tensor, learn: Tensor) -> Tensor:
    """Sum over the positions where `learn` is true of -log p(token | the tokens before it).

    logits: [B, T, V], the prediction made at each position; ids: [B, T] integers; learn: [B, T] booleans.
    Position t predicts token t + 1, so the first token of a row can never be learnt. Nothing learnt gives 0.
    """
    from torch.nn.functional import cross_entropy as sum_of

    wanted = learn[:, 1:]
    return sum_of(logits[:, :-1][wanted].float(), ids[:, 1:][wanted], reduction="sum")
