"""One file holds what training goes on from, bit for bit: weights, optimizers, random numbers, losses.

The data need no place in it: batches follow from the seed and the number of the step. The file is written
under another name, synced and renamed: a kill leaves the old one or the new one, never half of either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import InputError

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.optim import Optimizer

NAME = "checkpoint.pt"


def save(
    out: Path, net: Module, optimizers: list[Optimizer], losses: list[float], identity: dict[str, Any]
) -> None:
    """Replace the checkpoint in `out`."""
    import torch

    state = {
        "identity": identity,
        "model": net.state_dict(),
        "optimizers": [o.state_dict() for o in optimizers],
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "losses": losses,
    }
    scratch = out / (NAME + ".tmp")
    with scratch.open("wb") as f:
        torch.save(state, f)
        f.flush()
        os.fsync(f.fileno())
    os.replace(scratch, out / NAME)


def load(out: Path, net: Module, optimizers: list[Optimizer], identity: dict[str, Any]) -> list[float]:
    """Put the checkpoint in `out` back and answer the losses so far; none where there is no checkpoint."""
    import torch

    if not (out / NAME).exists():
        return []
    state = torch.load(out / NAME, map_location="cpu", weights_only=True)
    refuse_other(state["identity"], identity, f"the checkpoint in {out}")
    net.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    torch.set_rng_state(state["random"])
    if state["random_cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["random_cuda"])
    return list(state["losses"])


def refuse_other(known: dict[str, Any], identity: dict[str, Any], what: str) -> None:
    """Raise where what is there was made with other arguments, data or model."""
    for name in sorted(known.keys() | identity.keys()):
        if known.get(name) != identity.get(name):
            raise InputError(
                f"{what} was made with {name}={known.get(name)!r}, and this run has {identity.get(name)!r}; "
                "choose another output_dir, or pass resume=False (--no-resume) to begin anew"
            )
