"""A student has learnt the assistant turns of a published folder, and stands where `from_pretrained` loads it.

Full fine-tuning in plain torch on the CPU or one GPU: no adapters, no sharding, no evaluation on the way. One step:
render, mask, pack, forward, sum the cross-entropy of the learnt tokens, divide by their number in the whole step.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from curate.errors import InputError, Interrupted, RunError, near
from curate.losses.cross_entropy import cross_entropy
from curate.train import checkpoint
from curate.train.data import conversations, find_files, fingerprint
from curate.train.model import (
    check_packing,
    context,
    find_model,
    load_model,
    load_tokenizer,
    logits,
    model_files,
    own_randomness,
)
from curate.train.optim import Kind, optimizers, schedule
from curate.train.pack import Batch, alone, batches, pack, steps_per_epoch
from curate.train.tokens import Overflow, Tokens, tokenize

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Dtype = Literal["float32", "bfloat16"]
MAX_NORM = 1.0
"""Gradients of a larger norm are scaled down to it."""


@dataclass(frozen=True)
class TrainReport:
    """What one training did. losses: one a step, in nats a learnt token; seconds: of this call alone."""

    steps: int
    losses: list[float]
    tokens: Tokens
    seconds: float
    output_dir: Path


def train(
    data: str | Path,
    *,
    model: str | Path,
    output_dir: str | Path,
    num_train_epochs: float = 3.0,
    max_steps: int | None = None,
    learning_rate: float = 2e-5,
    batch_size: int = 8,
    gradient_accumulation_steps: int = 1,
    max_length: int | None = None,
    on_overflow: Overflow = "error",
    packing: bool = True,
    dtype: Dtype = "float32",
    gradient_checkpointing: bool = False,
    warmup_steps: int = 0,
    weight_decay: float = 0.0,
    optimizer: Kind = "adamw",
    seed: int = 0,
    save_steps: int | None = None,
    resume: bool = True,
) -> TrainReport:
    """Teach a model the assistant turns of a published folder, and save it.

    A model folder with a config and a tokenizer but no weights is trained from scratch, from weights drawn with the
    seed. Run again after an interruption, it goes on from the last checkpoint, bit for bit on the CPU.

    Parameters
    ----------
    data
        A folder that `publish` wrote, or one parquet or JSON-lines file. Rows have `messages`, or `prompt` and
        `completion`; where a row has `spans`, those labelled "mask" are not learnt.
    model
        A model folder, or a name on the hub. It needs a chat template.
    output_dir
        Where the model, its tokenizer and `train.json` go, and the checkpoint on the way.
    num_train_epochs
        How often each row is seen.
    max_steps
        Optimizer steps; overrides `num_train_epochs`.
    learning_rate
        At its highest: after a linear warm-up it falls to zero along a cosine.
    batch_size
        Sequences (packs, when packing) in one forward pass.
    gradient_accumulation_steps
        Forward passes in one optimizer step; the update is that of one large batch.
    max_length
        Tokens in a sequence, and in a pack. None: the model's context.
    on_overflow
        What becomes of longer rows: refuse them all, drop them, or split them into several sequences.
    packing
        Whether short rows share a sequence. They do not see each other.
    dtype
        bfloat16 computes and saves in bfloat16, over float32 master weights.
    gradient_checkpointing
        Less memory, for about a third more time.
    warmup_steps
        Steps until the learning rate is at its highest.
    weight_decay
        Of matrices and embeddings; norms and biases never decay.
    optimizer
        muon takes the matrices inside the blocks, AdamW the rest.
    seed
        Decides the order of rows, dropout, and weights drawn from scratch.
    save_steps
        Steps between checkpoints. None: only Ctrl-C leaves one.
    resume
        Whether to go on from what `output_dir` holds; otherwise begin anew.
    """
    arguments = dict(locals())
    _check(arguments)
    started, out, folder, files = time.monotonic(), Path(output_dir), find_model(model), find_files(data)
    tokenizer, length = load_tokenizer(folder), _length(folder, max_length)
    identity = _identity(arguments, files, folder)
    if resume and (report := _finished(out, identity)):
        return report
    out.mkdir(parents=True, exist_ok=True)
    if not resume:
        (out / checkpoint.NAME).unlink(missing_ok=True)
    try:
        documents, tokens = tokenize(conversations(files), tokenizer, out / "tokens", length, on_overflow)
        packs = pack(documents.lengths, length, seed) if packing else alone(documents.lengths)
        _say(tokens, len(packs), length)
        per_epoch = steps_per_epoch(packs, batch_size, gradient_accumulation_steps)
        steps = max_steps or math.ceil(num_train_epochs * per_epoch)
        with own_randomness(seed), _ctrl_c() as stop:
            net = _student(folder, seed, packing, gradient_checkpointing)
            optims = optimizers(net, optimizer, learning_rate, weight_decay)
            losses = checkpoint.load(out, net, optims, identity)
            pad = tokenizer.pad_token_id or 0  # any token does: padding is neither seen nor learnt
            todo = batches(documents, packs, len(losses), batch_size, gradient_accumulation_steps, seed, pad)
            for step in _progress(losses, steps):
                _set_rate(optims, learning_rate * schedule(step, steps, warmup_steps))
                losses.append(_update(net, optims, next(todo), dtype == "bfloat16"))
                if stop.is_set() or (save_steps and len(losses) % save_steps == 0):
                    checkpoint.save(out, net, optims, losses, identity)
                if stop.is_set():
                    raise Interrupted(
                        f"stopped after step {step + 1:,} of {steps:,}; run it again to go on from there"
                    )
        report = TrainReport(len(losses), losses, tokens, time.monotonic() - started, out)
        _save(report, net, tokenizer, dtype, arguments, identity)
        return report
    finally:
        shutil.rmtree(out / "tokens", ignore_errors=True)


def _check(arguments: dict[str, Any]) -> None:
    """Raise where an argument makes no sense."""
    least = {
        "batch_size": 1,
        "gradient_accumulation_steps": 1,
        "max_length": 2,
        "max_steps": 1,
        "save_steps": 1,
    }
    for name, low in (least | {"warmup_steps": 0, "weight_decay": 0}).items():
        if arguments[name] is not None and arguments[name] < low:
            raise InputError(f"{name}={arguments[name]} must be at least {low}")
    for name in ("learning_rate", "num_train_epochs"):
        if not 0 < arguments[name] < math.inf:
            raise InputError(f"{name}={arguments[name]} must be above 0")
    choices = {"on_overflow": Overflow, "dtype": Dtype, "optimizer": Kind}
    for name, choice in choices.items():
        if arguments[name] not in get_args(choice):
            raise InputError(
                f"{name}={arguments[name]!r} is unknown; {near(arguments[name], get_args(choice))}"
            )
    if Path(arguments["output_dir"]).resolve() == Path(arguments["model"]).resolve():
        raise InputError(
            f"output_dir={str(arguments['output_dir'])!r} is the model's own folder; choose another"
        )


def _length(folder: Path, max_length: int | None) -> int:
    """Tokens in a sequence: what was asked for, within what the model was made for."""
    made_for = context(folder)
    if max_length is None and made_for is None:
        raise InputError(f"the model in {folder} does not say how long its context is; pass max_length")
    if max_length is not None and made_for is not None and max_length > made_for:
        raise InputError(
            f"max_length={max_length:,} is more than the {made_for:,} tokens the model was made for"
        )
    return max_length or made_for or 0


def _identity(arguments: dict[str, Any], files: list[Path], folder: Path) -> dict[str, Any]:
    """What decides the result; a checkpoint of another identity is not gone on from."""
    same = {k: v for k, v in arguments.items() if k not in ("output_dir", "save_steps", "resume")}
    return same | {"data": fingerprint(files), "model": fingerprint(model_files(folder))}


def _finished(out: Path, identity: dict[str, Any]) -> TrainReport | None:
    """The report of the same training, where `out` already holds its result."""
    if not (out / "train.json").exists():
        return None
    record = json.loads((out / "train.json").read_text(encoding="utf-8"))
    checkpoint.refuse_other(record["identity"], identity, f"the model in {out}")
    return TrainReport(
        len(record["losses"]), record["losses"], Tokens(**record["tokens"]), record["seconds"], out
    )


def _student(folder: Path, seed: int, packing: bool, gradient_checkpointing: bool) -> PreTrainedModel:
    import torch

    net = load_model(folder, seed).to("cuda" if torch.cuda.is_available() else "cpu")
    if packing:
        check_packing(net)
    if gradient_checkpointing:
        net.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return net.train()


def _update(net: PreTrainedModel, optims: list[Optimizer], step: list[Batch], bf16: bool) -> float:
    """One optimizer step over its micro-batches; the mean loss of its learnt tokens, in nats."""
    import torch

    learnt = sum(int(b.learn.sum()) for b in step)
    total = 0.0
    for micro in step:
        ids, positions, learn = (t.to(net.device) for t in micro)
        with torch.autocast(net.device.type, torch.bfloat16, enabled=bf16):
            predicted = logits(net, ids, positions)
        loss = cross_entropy(predicted, ids, learn) / learnt
        loss.backward()
        total += loss.item()
    if not math.isfinite(total):
        raise RunError(f"the loss became {total}; a lower learning_rate or dtype='float32' may help")
    torch.nn.utils.clip_grad_norm_(net.parameters(), MAX_NORM)
    for o in optims:
        o.step()
        o.zero_grad(set_to_none=True)
    return total


def _set_rate(optims: list[Optimizer], rate: float) -> None:
    for group in (g for o in optims for g in o.param_groups):
        group["lr"] = rate


def _progress(losses: list[float], steps: int) -> Iterator[int]:
    """The steps still to do, behind a bar on stderr that shows the last loss."""
    from tqdm import tqdm

    with tqdm(total=steps, initial=len(losses), desc="train", unit="step") as bar:
        for step in range(len(losses), steps):
            yield step
            bar.set_postfix_str(f"loss {losses[-1]:.3f}", refresh=False)
            bar.update()


def _say(tokens: Tokens, packs: int, length: int) -> None:
    from tqdm import tqdm

    full = (tokens.learnt + tokens.masked) / (packs * length)
    text = f"{tokens.table()} in {packs:,} sequences of {length:,} tokens, {full:.0%} full"
    tqdm.write(text, file=sys.stderr)


@contextlib.contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """Ctrl-C sets the event instead of tearing a step apart; a second one stops at once."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # no signal arrives there
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


def _save(
    report: TrainReport,
    net: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    dtype: Dtype,
    arguments: dict[str, Any],
    identity: dict[str, Any],
) -> None:
    """Write the model, its tokenizer and, last of all, `train.json`; then the checkpoint may go."""
    import torch

    out = report.output_dir
    net.to(getattr(torch, dtype)).save_pretrained(out)
    tokenizer.save_pretrained(out)
    record = {"arguments": arguments, "identity": identity} | asdict(report)
    scratch = out / "train.json.tmp"
    scratch.write_text(json.dumps(record, indent=1, default=str), encoding="utf-8")
    os.replace(scratch, out / "train.json")
    (out / checkpoint.NAME).unlink(missing_ok=True)
