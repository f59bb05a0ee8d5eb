"""What a training did stands beside the model, in train.json; the same training is not done twice."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.train import checkpoint
from curate.train.model import save_student
from curate.train.tokens import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class TrainReport:
    """What a training did. losses: one a step, in nats a learnt token; seconds: of the last call alone."""

    steps: int
    losses: list[float]
    tokens: Tokens
    seconds: float
    output_dir: Path

    def __str__(self) -> str:
        first, last = (f"{loss:.3f}" for loss in (self.losses[0], self.losses[-1]))
        return (
            f"{self.steps:,} steps in {self.seconds:.0f} s, loss {first} → {last}; saved in {self.output_dir}"
        )


def identity_of(arguments: dict[str, Any], prints: dict[str, str]) -> dict[str, Any]:
    """What decides the result: the arguments, with the contents of data and model in place of their paths."""
    return {k: v for k, v in arguments.items() if k not in ("output_dir", "save_steps", "resume")} | prints


def finished(out: Path, identity: dict[str, Any]) -> TrainReport | None:
    """The report of the same training, where `out` already holds its result."""
    if not (out / "train.json").exists():
        return None
    record = json.loads((out / "train.json").read_text(encoding="utf-8"))
    known = identity_of(record["arguments"], record["fingerprints"])
    checkpoint.refuse_other(known, identity, f"the model in {out}")
    return TrainReport(
        len(record["losses"]), record["losses"], Tokens(**record["tokens"]), record["seconds"], out
    )


def save(
    report: TrainReport,
    net: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ends: frozenset[int],
    arguments: dict[str, Any],
    prints: dict[str, str],
) -> None:
    """Write the model, its tokenizer and, last of all, train.json; only then the checkpoint may go."""
    out = report.output_dir
    (out / "train.json").unlink(missing_ok=True)
    save_student(net, tokenizer, out, arguments["dtype"], ends)
    record = {"arguments": arguments, "fingerprints": prints} | asdict(report)
    scratch = out / "train.json.tmp"
    scratch.write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
    os.replace(scratch, out / "train.json")
    (out / checkpoint.NAME).unlink(missing_ok=True)
