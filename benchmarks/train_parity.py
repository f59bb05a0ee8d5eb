"""Our trainer and TRL's SFTTrainer give the same losses on the same data, model and seed, step by step.

    pip install "trace-curate[dev]" && python benchmarks/train_parity.py        # a minute on two cores

Each trainer does everything itself, from the messages to the saved model. TRL gets the conversations in its
own format, with `assistant_only_loss` and a template with `{% generation %}` marks, and reads the rows in the
order that our seed gives; ours gets the plain template. Exit code 1 where a loss differs by more than 1e-3.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from peers.machine import facts  # noqa: E402
from tiny_model import TEMPLATE, build  # noqa: E402

from curate.errors import UserError, require  # noqa: E402

STEPS, BATCH, WARMUP, RATE, DECAY, SEED = 20, 4, 3, 1e-3, 0.1, 0
TOLERANCE = 1e-3
MARKED = TEMPLATE.replace(
    "{{ m['content'] }}<|im_end|>\n",
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ m['content'] }}<|im_end|>{% endif %}{{ '\n' }}",
)
CASES: dict[str, dict[str, Any]] = {
    "one batch a step": {},
    "accumulation 2 x 2": {"batch_size": BATCH // 2, "gradient_accumulation_steps": 2},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "bfloat16": {"dtype": "bfloat16"},
    "ours packed, all rows a step": {"packing": True, "batch_size": 1000, "num_train_epochs": STEPS},
}


def conversations(count: int) -> list[dict[str, Any]]:
    """Sums of uneven length with thinking; every third conversation has a second turn."""
    rng = random.Random(SEED)
    rows = []
    for i in range(count):
        terms = [rng.randrange(2, 50) for _ in range(rng.randrange(2, 7))]
        steps = "\n".join(
            f"{sum(terms[:k])} + {t} = {sum(terms[: k + 1])}." for k, t in enumerate(terms) if k
        )
        turns = [
            {"role": "user", "content": "What is " + " + ".join(map(str, terms)) + "?"},
            {"role": "assistant", "content": f"<think>\n{steps}\n</think>\n\n\\boxed{{{sum(terms)}}}"},
        ]
        again = [
            {"role": "user", "content": "Sure?"},
            {"role": "assistant", "content": f"Yes, {sum(terms)}."},
        ]
        rows.append({"messages": turns + (again if i % 3 == 0 else [])})
    return rows


def ours(rows: list[dict[str, Any]], model: Path, out: Path, case: dict[str, Any]) -> list[float]:
    """The losses of curate.train."""
    from curate.train import train

    data = out.parent / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    given = {"batch_size": BATCH, "packing": False, "num_train_epochs": 1} | case
    report = train(
        data, model=model, output_dir=out, learning_rate=RATE, warmup_steps=WARMUP, weight_decay=DECAY,
        seed=SEED, **given,
    )  # fmt: skip
    return report.losses


def theirs(rows: list[dict[str, Any]], model: Path, out: Path, case: dict[str, Any]) -> list[float]:
    """The losses of trl.SFTTrainer."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from curate.train.pack import order

    tokenizer = AutoTokenizer.from_pretrained(model)
    tokenizer.chat_template = MARKED
    config = SFTConfig(
        output_dir=str(out), learning_rate=RATE, warmup_steps=WARMUP, weight_decay=DECAY, seed=SEED,
        lr_scheduler_type="cosine", max_grad_norm=1.0, num_train_epochs=case.get("num_train_epochs", 1),
        per_device_train_batch_size=min(len(rows), case.get("batch_size", BATCH)),
        gradient_accumulation_steps=case.get("gradient_accumulation_steps", 1),
        gradient_checkpointing=case.get("gradient_checkpointing", False),
        bf16=case.get("dtype") == "bfloat16",
        assistant_only_loss=True, max_length=None, train_sampling_strategy="sequential",
        logging_steps=1, report_to="none", save_strategy="no", use_cpu=True, optim="adamw_torch",
    )  # fmt: skip
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(model, dtype="float32"),
        args=config,
        train_dataset=Dataset.from_list([rows[i] for i in order(len(rows), SEED, 0)]),
        processing_class=tokenizer,
    )
    with contextlib.redirect_stdout(sys.stderr):
        trainer.train()
    trainer.save_model(str(out))
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def furthest(a: Path, b: Path) -> float:
    """The largest difference between two saved models, weight by weight."""
    from safetensors.torch import load_file

    ours, theirs = load_file(a / "model.safetensors"), load_file(b / "model.safetensors")
    return max(float((ours[k].float() - theirs[k].float()).abs().max()) for k in ours)


def compare(name: str, case: dict[str, Any]) -> tuple[float, str]:
    """The largest difference of a loss in one case, and its line of the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model, rows = build(folder / "model"), conversations(24 if "packing" in case else STEPS * BATCH)
        started = time.monotonic()
        a = ours(rows, model, folder / "ours", case)
        between = time.monotonic()
        b = theirs(rows, model, folder / "theirs", case)
        seconds = f"{between - started:8.1f}{time.monotonic() - between:8.1f}"
        if len(a) != len(b):
            raise SystemExit(f"{name}: we took {len(a)} steps and TRL {len(b)}")
        off = max(abs(x - y) for x, y in zip(a, b, strict=True))
        numbers = f"{len(a):>6}{a[0]:>9.4f}{a[-1]:>9.4f}{b[-1]:>9.4f}{off:>11.1e}"
        return off, f"{name:<30}{numbers}{furthest(folder / 'ours', folder / 'theirs'):>11.1e}{seconds}"


def main() -> int:
    """Print one line a case; 1 where any loss is further off than the tolerance."""
    try:
        require("trl", 'pip install "trace-curate[dev]"')
    except UserError as e:
        print(e, file=sys.stderr)
        return 2
    print(facts("torch", "transformers", "trl") + "\n", flush=True)
    results = [compare(name, case) for name, case in CASES.items()]
    columns = f"{'steps':>6}{'first':>9}{'ours':>9}{'TRL':>9}{'max |dif|':>11}{'weights':>11}"
    columns += f"{'ours s':>8}{'TRL s':>8}"
    print(f"{'':<30}{columns}", *(line for _, line in results), sep="\n")
    worst = max(off for off, _ in results)
    print(f"largest difference of a loss: {worst:.1e}, allowed: {TOLERANCE:.0e}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    raise SystemExit(main())
