"""A student has learnt the assistant turns of a published folder; `from_pretrained` loads the result.

Full fine-tuning in plain torch on the CPU or one GPU: no adapters, no sharding, no evaluation on the way.
"""

from __future__ import annotations

import math
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Literal, get_args

from curate.errors import InputError, Interrupted, near
from curate.train import checkpoint
from curate.train.data import conversations, find_files, fingerprint
from curate.train.loop import ctrl_c, progress, update
from curate.train.model import (
    find_model,
    load_config,
    load_tokenizer,
    model_files,
    own_randomness,
    student,
)
from curate.train.optim import Kind, optimizers, schedule
from curate.train.pack import alone, batches, pack, steps_per_epoch
from curate.train.report import TrainReport, finished, identity_of, save
from curate.train.tokens import Overflow, Tokens, tokenize

Dtype = Literal["float32", "bfloat16"]


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

    A model folder with a config and a tokenizer but no weights is trained from scratch. Called again after an
    interruption, it goes on from the last checkpoint, on the CPU to the same bits as if nothing had happened;
    called again after its end, it answers the report that is there.

    Parameters
    ----------
    data
        A folder that publish wrote, or one parquet or JSON-lines file. Rows have messages, or prompt and
        completion; spans labelled "mask" are not learnt, and where there are any labelled "learn", nothing
        else is.
    model
        A model folder, or a name on the hub. It needs a chat template.
    output_dir
        Where the model, its tokenizer and train.json go, and the checkpoint on the way.
    num_train_epochs
        How often each row is seen.
    max_steps
        Optimizer steps; overrides num_train_epochs.
    learning_rate
        At its highest: after a linear warm-up it falls to zero along a cosine.
    batch_size
        Sequences in one forward pass; with packing, each holds as many rows as fit into max_length.
    gradient_accumulation_steps
        Forward passes in one optimizer step; the update is that of one large batch.
    max_length
        Tokens in a sequence; by default the model's context.
    on_overflow
        What becomes of rows longer than that: refuse them, drop them, or split them into several sequences.
    packing
        Whether short rows share a sequence. They do not see each other.
    dtype
        bfloat16 computes and saves in bfloat16; the weights being trained stay float32.
    gradient_checkpointing
        Less memory for about a third more time.
    warmup_steps
        Steps until the learning rate is at its highest.
    weight_decay
        Of matrices and embeddings; norms and biases never decay.
    optimizer
        adamw, or muon for the matrices inside the blocks and adamw for the rest.
    seed
        Decides the order of the rows, dropout, and weights drawn from scratch.
    save_steps
        Steps between checkpoints; by default only Ctrl-C leaves one.
    resume
        Whether to go on from what output_dir holds, instead of beginning anew.
    """
    arguments = dict(locals())
    _check(arguments)
    started, out, folder, files = time.monotonic(), Path(output_dir), find_model(model), find_files(data)
    tokenizer, length = load_tokenizer(folder), _length(folder, max_length)
    prints = {"data": fingerprint(files), "model": fingerprint(model_files(folder))}
    identity = identity_of(arguments, prints)
    if resume and (report := finished(out, identity)):
        return report
    _make(out, resume)
    try:
        documents, tokens = tokenize(conversations(files), tokenizer, out / "tokens", length, on_overflow)
        packs = pack(documents.lengths, length, seed) if packing else alone(documents.lengths)
        _say(tokens, len(packs), length)
        per_epoch = steps_per_epoch(packs, batch_size, gradient_accumulation_steps)
        steps = max_steps or math.ceil(num_train_epochs * per_epoch)
        with own_randomness(seed), ctrl_c() as stop:
            net = student(folder, tokenizer, seed, packing, gradient_checkpointing)
            optims = optimizers(net, optimizer, learning_rate, weight_decay)
            losses = checkpoint.load(out, net, optims, identity)
            pad = tokenizer.pad_token_id or 0  # any token will do: padding is neither seen nor learnt
            todo = batches(documents, packs, len(losses), batch_size, gradient_accumulation_steps, seed, pad)
            for step in progress(losses, steps):
                rate = learning_rate * schedule(step, steps, warmup_steps)
                losses.append(update(net, optims, next(todo), rate, dtype == "bfloat16"))
                if stop.is_set() or (save_steps and len(losses) % save_steps == 0):
                    checkpoint.save(out, net, optims, losses, identity)
                if stop.is_set():
                    raise Interrupted(
                        f"stopped after step {step + 1:,} of {steps:,}; run it again to go on from there"
                    )
        report = TrainReport(steps, losses, tokens, time.monotonic() - started, out)
        save(report, net, tokenizer, documents.ends, arguments, prints)
        return report
    except KeyboardInterrupt:  # before the first step, or the second Ctrl-C
        raise Interrupted(
            "stopped; run it again to go on from the last checkpoint, if there is one"
        ) from None
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
    made_for = getattr(load_config(folder).get_text_config(), "max_position_embeddings", None)
    if max_length is None and made_for is None:
        raise InputError(f"the model in {folder} does not say how long its context is; pass max_length")
    if max_length is not None and made_for is not None and max_length > made_for:
        raise InputError(
            f"max_length={max_length:,} is more than the {made_for:,} tokens the model was made for"
        )
    return max_length or made_for or 0


def _make(out: Path, resume: bool) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"output_dir={str(out)!r} cannot be a folder: a file is in the way") from None
    if not resume:
        (out / checkpoint.NAME).unlink(missing_ok=True)


def _say(tokens: Tokens, packs: int, length: int) -> None:
    from tqdm import tqdm

    full = (tokens.learnt + tokens.masked) / (packs * length)
    text = f"{tokens.table()} in {packs:,} sequences of {length:,} tokens, {full:.0%} full"
    tqdm.write(text, file=sys.stderr)
