"""The demo world's two models and two problem files are made again, by our own trainer.

`python -m curate.demo_world.make_models` writes teacher/, student/, problems.jsonl and heldout.jsonl beside
itself (or where --out says) and measures both models on the held-out problems. Every random choice is seeded:
equal on equal hardware. It takes about ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from curate.demo_world.world import LEVELS, Problem, problems, solve

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HERE = Path(__file__).parent
log = logging.getLogger(__name__)

VOCABULARY = 448
CONTEXT = 512
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
THINK = ["<think>", "</think>"]  # ordinary tokens to the decoder: the split of thinking needs to see them

WORDS = r" ?\d| ?\\boxed\{| ?[A-Za-z]+|\n+| ?[^\sA-Za-z\d]+|\s+"
"""What BPE may merge. The first digit of a number carries its space, so it differs from the second."""

TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n<think>\\n' }}
{%- endif %}
"""


@dataclass(frozen=True)
class Lesson:
    """What one model sees: levels of difficulty, rows drawn, optimizer steps over them."""

    levels: tuple[int, ...]
    rows: int
    steps: int
    seed: int


LESSONS = {
    "teacher": Lesson(LEVELS, rows=20_000, steps=1_250, seed=11),
    "student": Lesson((1, 2), rows=10_000, steps=550, seed=12),
}
SAMPLE_PROBLEMS, HELDOUT_PROBLEMS = 1_000, 400


def main() -> None:
    """Make everything, then say how good the models are."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE, help="where the models and problem files go")
    parser.add_argument("--only", choices=[*LESSONS], help="make one model, keep the rest")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_problems(arguments.out)
    tokenizer = make_tokenizer()
    for name in [arguments.only] if arguments.only else LESSONS:
        make_model(name, tokenizer, arguments.out)
    for name in [arguments.only] if arguments.only else LESSONS:
        log.info("%s: %s", name, measure(arguments.out / name, arguments.out / "heldout.jsonl"))


def write_problems(out: Path) -> None:
    """problems.jsonl for sampling and heldout.jsonl for evaluation; their numbers share no skeleton."""
    for name, split, count in (
        ("problems", "sample", SAMPLE_PROBLEMS),
        ("heldout", "heldout", HELDOUT_PROBLEMS),
    ):
        lines = [json.dumps(problem_row(p)) for p in islice(problems(0, split), count)]
        (out / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def problem_row(p: Problem) -> dict[str, str]:
    """A problem as a line of the problem files."""
    return {
        "question": p.question,
        "answer": str(p.answer),
        "domain": p.domain,
        "operands": "wide" if p.wide else "small",
        "source": "demo-world",
        "license": "CC0-1.0",
    }


def lesson_rows(levels: tuple[int, ...], seed: int) -> Iterator[list[dict[str, str]]]:
    """Conversations to learn from, without end; none is about the numbers of a problem file."""
    rng = Random(f"traces {seed}")
    for p in problems(seed, "models", levels):
        thinking, response = solve(p, rng)
        content = f"<think>\n{thinking}\n</think>\n\n{response}"
        yield [{"role": "user", "content": p.question}, {"role": "assistant", "content": content}]


def make_tokenizer() -> PreTrainedTokenizerBase:
    """Byte-level BPE over the world's own text, with the chat template."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(WORDS), "isolated")
    as_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([words, as_bytes])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL + THINK,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    lesson = islice(lesson_rows((1, *LEVELS), seed=10), 3_000)
    texts = [f"{m['role']}\n{m['content'].replace('think>', '')}\n" for row in lesson for m in row]
    bpe.train_from_iterator(texts, trainer)
    bpe.add_tokens([AddedToken(t, special=False, normalized=False) for t in THINK])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
        padding_side="left",
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(name: str, tokenizer: PreTrainedTokenizerBase, out: Path) -> None:
    """Teach one model from scratch; write it in bfloat16 to `out`/`name`, without the trainer's record."""
    import torch
    from transformers import AutoModelForCausalLM, GenerationConfig

    from curate.train import train

    lesson = LESSONS[name]
    with tempfile.TemporaryDirectory() as scratch:
        empty, data, done = (Path(scratch) / part for part in ("empty", "rows.jsonl", "done"))
        config(tokenizer).save_pretrained(empty)
        tokenizer.save_pretrained(empty)
        rows = islice(lesson_rows(lesson.levels, lesson.seed), lesson.rows)
        data.write_text("".join(json.dumps({"messages": r}) + "\n" for r in rows), encoding="utf-8")
        train(
            data, model=empty, output_dir=done, max_steps=lesson.steps, learning_rate=4e-3, batch_size=8,
            max_length=256, on_overflow="drop", warmup_steps=40, weight_decay=0.1, optimizer="muon",
            seed=lesson.seed,
        )  # fmt: skip
        net = AutoModelForCausalLM.from_pretrained(done, dtype=torch.bfloat16)
    ends, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    net.generation_config = GenerationConfig(eos_token_id=ends, pad_token_id=pad, do_sample=True)
    net.save_pretrained(out / name)
    tokenizer.save_pretrained(out / name)


def config(tokenizer: PreTrainedTokenizerBase) -> Any:
    """0.9 million parameters in the shape of a Llama."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def measure(model: Path, problem_file: Path) -> dict[str, str]:
    """The share of right answers on the held-out problems, sampled at T=1 and greedy."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    net: Any = AutoModelForCausalLM.from_pretrained(model, dtype=torch.bfloat16)
    rows = [json.loads(line) for line in problem_file.read_text(encoding="utf-8").splitlines()]
    asked = [[{"role": "user", "content": row["question"]}] for row in rows]
    prompts = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    inputs = tokenizer(prompts, add_special_tokens=False, padding=True, return_tensors="pt")
    torch.manual_seed(0)
    found = {}
    for name, sampling in (("T=1", {"do_sample": True, "top_k": 0}), ("greedy", {"do_sample": False})):
        ids = net.generate(**inputs, max_new_tokens=256, **sampling)
        texts = tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        right = [f"\\boxed{{{row['answer']}}}" in text for row, text in zip(rows, texts, strict=True)]
        found[name] = f"{sum(right) / len(right):.1%} of {len(right)}"
    return found


if __name__ == "__main__":
    main()
