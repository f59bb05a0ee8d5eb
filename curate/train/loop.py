"""One optimizer step is taken, and Ctrl-C waits for its end."""

from __future__ import annotations

import contextlib
import math
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from curate.errors import RunError
from curate.losses.cross_entropy import cross_entropy
from curate.train.model import logits
from curate.train.pack import Batch

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from transformers import PreTrainedModel

MAX_NORM = 1.0
"""Gradients of a larger norm are scaled down to it."""


def update(
    net: PreTrainedModel, optimizers: list[Optimizer], step: list[Batch], rate: float, bf16: bool
) -> float:
    """Take one step with the learning rate `rate`; the mean loss of its learnt tokens, in nats.

    The mean is over all micro-batches together, so the update is that of one large batch.
    """
    import torch

    learnt = sum(int(b.learn.sum()) for b in step)
    total = 0.0
    for micro in step:
        ids, positions, learn = (tensor.to(net.device) for tensor in micro)
        with torch.autocast(net.device.type, torch.bfloat16, enabled=bf16):
            predicted = logits(net, ids, positions)
        loss = cross_entropy(predicted, ids, learn) / learnt
        loss.backward()
        total += loss.item()
    if not math.isfinite(total):
        raise RunError(f"the loss became {total}; try a lower learning_rate or more warmup_steps")
    torch.nn.utils.clip_grad_norm_(net.parameters(), MAX_NORM)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad()
    return total


def progress(losses: list[float], steps: int) -> Iterator[int]:
    """The steps still to do, behind a bar on stderr that shows the last loss."""
    from tqdm import tqdm

    with tqdm(total=steps, initial=len(losses), desc="train", unit="step") as bar:
        for step in range(len(losses), steps):
            yield step
            bar.set_postfix_str(f"loss {losses[-1]:.3f}", refresh=False)
            bar.update()


@contextlib.contextmanager
def ctrl_c() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of tearing a step apart; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # signals do not arrive there
        yield stop
        return

    def first(signum: int, frame: object) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, first)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
