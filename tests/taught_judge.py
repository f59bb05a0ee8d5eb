"""A real checkpoint that answers judges' prompts in grammar, taught by our own trainer in a few seconds.

It has learnt how a verdict is written, and that three of four are SAME (for the soft judge: `true`).
It has learnt nothing else, so it is a bad judge, and known to be one.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import tiny_model

from curate.judging import Asked, mark
from curate.train import train
from curate.verifiers import judge, soft_judge

TRUE = 0.75  # the share of its lessons that say the same
PHRASES = [p for t in (judge.PROMPT, soft_judge.PROMPT) for p in re.split(r"\{\w+\}|\n", t) if len(p) > 9]
WORDS = "red blue north water apple happy never Paris Rome gold rain the in old new is a small river".split()


def teach(folder: Path) -> Path:
    """The checkpoint, in a folder of its own below `folder`."""
    rng = random.Random(0)
    rows = [row for n in range(200) for row in talks(rng, same=n % 4 < 4 * TRUE)]
    blank = tiny_model.build(folder / "blank", [row["messages"][0]["content"] for row in rows], PHRASES)
    data = folder / "talks.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    train(data, model=blank, output_dir=folder / "judge", learning_rate=5e-3, max_steps=30, optimizer="muon")
    return folder / "judge"


def talks(rng: random.Random, same: bool) -> list[dict[str, list[dict[str, str]]]]:
    """What each judge is asked about two answers that were drawn, and what it is taught to say."""
    texts = [words(rng, 6).capitalize() + "?", answer(rng), answer(rng)]
    asked = Asked(*texts, mark(*texts))
    hard = judge.prompt(asked, rng.randrange(2)), "VERDICT: SAME" if same else "VERDICT: DIFFERENT"
    soft = soft_judge.prompt(asked), json.dumps({"correct": same})
    return [
        {"messages": [{"role": "user", "content": says}, {"role": "assistant", "content": taught}]}
        for says, taught in (hard, soft)
    ]


def answer(rng: random.Random) -> str:
    n = rng.randint(0, 2000)
    return rng.choice([str(n), f"-{n}", f"{n} cm", f"({n}, 1)", f"x > {n}", f"{n}/7", *[words(rng, 3)] * 5])


def words(rng: random.Random, n: int) -> str:
    return " ".join(rng.choices(WORDS, k=n))
