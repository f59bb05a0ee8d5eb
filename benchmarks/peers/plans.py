"""A copy of the demo's teacher has learnt to say how hard a problem is, and to write a trace anew by a plan.

The demo's models know one thing: how to answer a problem of their world. What `difficulty_aware_pruning` asks
is beyond them, first of all for its length: its instructions take 1,199 of the demo's tokens, and a context
holds 512. So the lines that this method fixes become tokens of their own in the copy, and a script plays the
rewriter once: what the method asked it, and what it said where the method took it for a child, are the
lessons. Their problems belong to the models' lessons alone; no other part of the demo world has them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from peers.narrators import so, steps, understood

from curate.demo import WORLD
from curate.demo_world.world import Problem, problems, solve
from curate.difficulty import ASK, INSTRUCTIONS, LEVELS, PLANS, WRITE
from curate.engines.scripted import Scripted
from curate.rewriters.difficulty_aware import DifficultyAware
from curate.step import Message
from curate.train import train
from curate.verifiers.math_equal import MathEqual

TRACES, JUDGED = 6_000, 1 / 3  # that lessons are made of, and the share of them whose judging is a lesson
STEPS, BATCH, CONTEXT, RATE, SEED = 300, 6, 640, 3e-3, 31
PHRASES = tuple(
    dict.fromkeys(
        text
        for text in (
            *INSTRUCTIONS.split("\n"), ASK, *re.split(r"\{\w+\}", WRITE["rewrite"]),
            *(f"=== {part} ===" for part in ("REASONING", "SOLUTION", "END")), "<<<", ">>>", "PROBLEM",
            "SOLUTION", *(f"DIFFICULTY: {level.upper()}" for level in LEVELS), *map(str.upper, LEVELS),
            "**", *(heading for plan in PLANS.values() for heading in plan),
        ) if len(text) > 1
    )
)  # fmt: skip
QUESTION = re.compile(r"<<<\w+ PROBLEM\n(.*?)\nPROBLEM", re.DOTALL)


def level_of(operations: int) -> str:
    """How hard the script takes a problem for: two operations are easy, five are hard."""
    return "easy" if operations == 2 else "hard" if operations == 5 else "medium"


def oracle(messages: list[Message]) -> str:
    """What the rewriter should say: the level first, then the problem's steps by the plan of a level."""
    found = QUESTION.search(messages[0]["content"])
    assert found is not None
    problem, told = understood(found[1]), found[1].partition(". How many")[0]
    if len(messages) == 1:
        return f"<think>\n</think>\n\nDIFFICULTY: {level_of(len(problem.ops)).upper()}"
    plan = next(p for p in LEVELS if f"plan {p.upper()}," in messages[-1]["content"])
    text = "\n\n".join(f"**{heading}**\n{said}" for heading, said in planned(problem, plan, told))
    solution = f"The answer is \\boxed{{{problem.answer}}}"
    return f"<think>\n</think>\n\n=== REASONING ===\n{text}\n=== SOLUTION ===\n{solution}\n=== END ==="


def planned(p: Problem, plan: str, told: str) -> Iterator[tuple[str, str]]:
    """The headings of a plan and what stands under each: every step said once, in the words of the traces."""
    lines = [f"{'Then' if i else 'First'} {a} {s} {k} = {b}." for i, (a, s, k, b) in enumerate(steps(p))]
    half = len(lines) // 2
    first, rest = "\n\n".join(lines[:half]), "\n\n".join(lines[half:])
    said = {
        "Analysis": f"{told if plan == 'easy' else told.partition(', ')[0]}.",
        "Approach": "\n\n".join(lines),
        "Decomposition": f"First {half}, then {len(lines) - half}.",
        "Initial approach": first,
        "Reflection": f"So it is {p.totals[half]}, not all.",
        "Improvement": rest,
        "Improved solution": rest,
        "Integration": f"So {p.answer}.",
        "Overall reflection": "Yes.",
        "Final optimisation": "No.",
        "Summary": so(p),
    }
    return ((heading, said[heading]) for heading in PLANS[plan])


def lessons(traces: int) -> Iterator[dict[str, Any]]:
    """What the method asks about hesitant traces and the script answers, where the method accepts it."""
    heard: list[tuple[list[Message], str]] = []

    def listening(messages: list[Message]) -> str:
        heard.append((messages, oracle(messages)))
        return heard[-1][1]

    step = DifficultyAware(Scripted(script=listening), MathEqual(), retries=0)
    dice = Random(f"plans {SEED}")
    for p in islice(problems(SEED, "models"), traces):
        heard.clear()
        thinking, response = solve(p, dice)
        row = dict(question=p.question, answer=str(p.answer), thinking=thinking, response=response)
        revision = asyncio.run(step.ask(row))
        judged, *written = heard
        for asked, said in [judged] * (dice.random() < JUDGED) + written * (revision.child is not None):
            yield {"prompt": asked, "completion": [{"role": "assistant", "content": said}]}


def wider(model: Path, out: Path, context: int) -> Path:
    """A copy of a checkpoint with the phrases as tokens: each begins as the mean of how it was spelled."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if out.exists():
        return out
    tokenizer = AutoTokenizer.from_pretrained(model)
    net: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    spelled = [tokenizer(phrase, add_special_tokens=False)["input_ids"] for phrase in PHRASES]
    tokenizer.add_tokens(list(PHRASES))
    net.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    with torch.no_grad():
        table = net.get_input_embeddings().weight
        for phrase, ids in zip(PHRASES, spelled, strict=True):
            table[tokenizer.convert_tokens_to_ids(phrase)] = table[ids].mean(0)
    net.config.max_position_embeddings = tokenizer.model_max_length = context
    half = out.with_name(f"{out.name}.half")
    net.save_pretrained(half)
    tokenizer.save_pretrained(half)
    os.replace(half, out)
    return out


def taught_rewriter(out: Path, traces: int = TRACES, max_steps: int = STEPS) -> Path:
    """The copy, taught in `out`; where it was taught before, that one."""
    data, model = out / "lessons.jsonl", wider(WORLD / "teacher", out / "untaught", CONTEXT)
    if not data.exists():
        data.with_suffix(".half").write_text("".join(json.dumps(row) + "\n" for row in lessons(traces)))
        os.replace(data.with_suffix(".half"), data)
    train(
        data, model=model, output_dir=out / "taught", max_steps=max_steps, learning_rate=RATE,
        batch_size=BATCH, max_length=CONTEXT, on_overflow="drop", warmup_steps=40, weight_decay=0.1,
        optimizer="muon", seed=SEED, save_steps=100,
    )  # fmt: skip
    return out / "taught"
