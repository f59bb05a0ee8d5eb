"""AdamW, or Muon for the matrices and AdamW for the rest; cosine to zero after a linear warm-up."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

Kind = Literal["adamw", "muon"]


def optimizers(net: Module, kind: Kind, learning_rate: float, weight_decay: float) -> list[Optimizer]:
    """The optimizers that together hold every trainable parameter once. Norms and biases do not decay.

    Muon takes the 2-D weights inside the blocks, but no embeddings and no head, where a row is a token. Its
    updates are scaled to the size of AdamW's (`match_rms_adamw`), so both live with one learning rate.
    """
    import torch

    ends = {net.get_input_embeddings(), net.get_output_embeddings()}  # type: ignore[operator]
    tokens = {id(p) for end in ends if end is not None for p in end.parameters()}
    trained = [p for p in net.parameters() if p.requires_grad]
    matrices = [p for p in trained if kind == "muon" and p.ndim == 2 and id(p) not in tokens]
    taken = {id(p) for p in matrices}
    rest = [p for p in trained if id(p) not in taken]
    groups = [
        {"params": [p for p in rest if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
    ]
    found: list[Optimizer] = [torch.optim.AdamW([g for g in groups if g["params"]], lr=learning_rate)]
    if matrices:
        found.append(
            torch.optim.Muon(
                matrices, lr=learning_rate, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        )
    return found


def schedule(step: int, steps: int, warmup_steps: int) -> float:
    """The share of the learning rate in use at `step` (from 0): transformers' cosine with warm-up."""
    if step < warmup_steps:
        return step / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
