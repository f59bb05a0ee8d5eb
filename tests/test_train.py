"""The trainer learns what the assistant said, all of it and nothing else, and always the same way."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tiny_model import CONTEXT, TEMPLATE, THINKING_TEMPLATE

from curate.errors import InputError, Interrupted, RunError
from curate.losses.cross_entropy import cross_entropy
from curate.train import TrainReport, sft, train
from curate.train.data import conversations, find_files
from curate.train.model import check_packing, load_model, load_tokenizer, logits
from curate.train.optim import optimizers, schedule
from curate.train.pack import Packs, alone, batch, batches, pack, steps_per_epoch
from curate.train.render import Conversation, Encoded, encode
from curate.train.tokens import Documents, Tokens, _keep, tokenize

THOUGHT = "<think>\n2 + 2 is 4.\nWait, it is 4.\n</think>\n\n\\boxed{4}"
QWEN_LIKE = (  # keeps the thinking of the last turn, and cuts it out of the history
    "{% for m in messages %}{% if m['role'] == 'assistant' %}"
    "{% set c = m['content'] %}{% set t = m.get('reasoning_content', '') %}"
    "{% if '</think>' in c %}{% set t = c.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "<|im_start|>assistant\n{% if loop.last %}<think>\n{{ t.strip('\n') }}\n</think>\n\n{% endif %}{{ c }}<|im_end|>\n"
    "{% else %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path):
    return load_tokenizer(tiny_model)


@pytest.fixture
def templated(tiny_model: Path):
    """A tokenizer with a template of the test's own."""

    def make(template: str):
        tokenizer = load_tokenizer(tiny_model)
        tokenizer.chat_template = template
        return tokenizer

    return make


def talk(*contents: str, **columns) -> dict:
    """A row whose turns are by user and assistant alternately."""
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]} | columns


def rows(count: int) -> list[dict]:
    """Sums with traces of different lengths."""
    steps = [" ".join(f"{i} + {k} = {i + k}." for k in range(1, 1 + i % 4)) for i in range(count)]
    return [
        talk(f"What is {i} + 9?", f"<think>\n{s} Hmm.\n</think>\n\n\\boxed{{{i + 9}}}") for i, s in enumerate(steps)
    ]


def write(path: Path, table: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in table), encoding="utf-8")
    return path


def learnt(tokenizer, row: dict, tmp_path: Path | None = None) -> str:
    """The text of the tokens that one row teaches."""
    masks = [s for s in row.get("spans", ()) if s["label"] == "mask"]
    (found,) = encode(tokenizer, [Conversation("row 1", row["messages"], row.get("first", 0), masks)])
    return tokenizer.decode(found.ids[found.learn])


# --- what is learnt -----------------------------------------------------------------------------------------------


def test_the_assistant_turn_and_its_end_are_learnt_and_nothing_else(tokenizer) -> None:
    assert learnt(tokenizer, talk("What is 2 + 2?", THOUGHT)) == THOUGHT + "<|im_end|>"
    assert learnt(tokenizer, talk("a", "b", "c", THOUGHT, "d")) == "b<|im_end|>" + THOUGHT + "<|im_end|>"
    assert learnt(tokenizer, talk("a", "b", "c", THOUGHT) | {"first": 2}) == THOUGHT + "<|im_end|>"


def test_what_the_generation_prompt_opens_is_not_learnt(templated) -> None:
    text = learnt(templated(THINKING_TEMPLATE), talk("What is 2 + 2?", THOUGHT))
    assert text == THOUGHT.removeprefix("<think>\n") + "<|im_end|>"


def test_an_empty_thinking_that_the_template_adds_is_learnt(templated) -> None:
    text = learnt(templated(QWEN_LIKE), talk("a", "b", "c", "d"))
    assert text == "b<|im_end|><think>\n\n</think>\n\nd<|im_end|>"


def test_thinking_in_a_key_of_its_own_is_learnt_where_the_template_renders_it(templated, tokenizer) -> None:
    row = talk("What is 2 + 2?", "4")
    row["messages"][1]["reasoning_content"] = "2 + 2 is 4."
    assert learnt(templated(QWEN_LIKE), row) == "<think>\n2 + 2 is 4.\n</think>\n\n4<|im_end|>"
    with pytest.raises(InputError, match="drops or alters '2 \\+ 2 is 4.' in assistant turn 2"):
        learnt(tokenizer, row)


@settings(max_examples=60, deadline=None)
@given(question=st.text(max_size=30), thinking=st.text(max_size=60), response=st.text(max_size=30))
def test_law_everything_the_assistant_says_is_learnt(tokenizer, question, thinking, response) -> None:
    assume((thinking + response).strip() and "<" not in thinking + response)
    said = f"<think>\n{thinking}\n</think>\n\n{response}" if thinking else response
    text = learnt(tokenizer, talk(question, said))
    assert text.removesuffix("<|im_end|>").strip() == said.strip()
    assert text.endswith("<|im_end|>")


def test_special_tokens_inside_a_turn_do_not_end_it(tokenizer) -> None:
    said = "The token <|im_end|> ends a turn, <|im_start|> begins one."
    assert learnt(tokenizer, talk("What is <|im_end|>?", said)) == said + "<|im_end|>"


def test_masked_spans_are_seen_but_not_learnt(tokenizer) -> None:
    spans = [
        {"field": "thinking", "start": 12, "end": 26, "label": "mask", "value": None},
        {"field": "response", "start": 0, "end": 7, "label": "mask", "value": None},
        {"field": "thinking", "start": 0, "end": 12, "label": "step", "value": None},
    ]
    text = learnt(tokenizer, talk("What is 2 + 2?", THOUGHT, spans=spans))
    assert text == "<think>\n2 + 2 is 4.\n\n</think>\n\n4}<|im_end|>"
    with pytest.raises(InputError, match="a span masks 'thought', but the answer has only thinking and response"):
        learnt(tokenizer, talk("a", THOUGHT, spans=[spans[0] | {"field": "thought"}]))


REFUSED = [
    ("{{ m['content'].split('</think>')[-1] }}<|im_end|>", "drops or alters '2 \\+ 2 is 4.*' in assistant turn 2"),
    ("{{ m['content'] | replace('Wait', 'So') }}<|im_end|>", "drops or alters '2 \\+ 2 is 4.*' in assistant turn 2"),
    ("{{ m['content'] }}", "ends assistant turn 2 with no special token"),
    ("{{ raise_exception('no') }}", "row 1: the chat template refuses the conversation: no"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_a_template_that_does_not_say_what_the_row_says_is_refused(templated, body: str, message: str) -> None:
    template = TEMPLATE.replace("{{ m['content'] }}<|im_end|>", body)
    with pytest.raises(InputError, match=message):
        learnt(templated(template), talk("What is 2 + 2?", THOUGHT))


def test_history_without_its_thinking_is_refused(templated) -> None:
    with pytest.raises(InputError, match="drops or alters .* in assistant turn 2"):
        learnt(templated(QWEN_LIKE), talk("What is 2 + 2?", THOUGHT, "And 3?", "9"))


def test_a_row_that_begins_otherwise_than_the_generation_prompt_is_refused(templated) -> None:
    with pytest.raises(InputError, match="writes '<think>\\\\n' at inference and '4<"):
        learnt(templated(THINKING_TEMPLATE), talk("What is 2 + 2?", "4"))


# --- tokens, packs, batches ---------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(learn=st.lists(st.booleans(), min_size=1, max_size=60), size=st.integers(2, 20))
def test_law_splitting_loses_no_learnt_token_and_learns_none_twice(learn: list[bool], size: int) -> None:
    row = Encoded("row 1", np.arange(len(learn), dtype=np.int32), np.array(learn), frozenset())
    count = Tokens()
    pieces = list(_keep(row, size, "split", count))
    assert all(len(p.ids) <= size and not p.learn[0] for p in pieces)
    pairs = [(int(p.ids[i - 1]), int(p.ids[i])) for p in pieces for i in np.flatnonzero(p.learn)]
    assert pairs == [(i - 1, i) for i in range(1, len(learn)) if learn[i]]  # each after the token before it
    assert count.learnt == len(pairs) and count.learnt + count.masked + count.dropped == len(learn)


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(2, 50), min_size=1, max_size=80), seed=st.integers(0, 9))
def test_law_packs_hold_every_document_once_and_never_too_much(lengths: list[int], seed: int) -> None:
    packs = pack(np.array(lengths), 50, seed)
    members = [packs[i].tolist() for i in range(len(packs))]
    assert sorted(d for m in members for d in m) == list(range(len(lengths)))
    assert all(0 < sum(lengths[d] for d in m) <= 50 for m in members)
    again = pack(np.array(lengths), 50, seed)
    assert [again[i].tolist() for i in range(len(again))] == members
    halves = sum(sum(lengths[d] for d in m) <= 25 for m in members)
    assert halves <= 1  # best fit never leaves two packs that would fit into one


def documents(*lengths: int) -> Documents:
    bounds = np.cumsum([0, *lengths])
    ids = np.arange(bounds[-1], dtype=np.int32) % 400 + 3
    return Documents(ids, np.ones(bounds[-1], dtype=bool), bounds, frozenset())


def test_a_batch_holds_documents_whose_positions_start_at_zero() -> None:
    packs = Packs(np.array([1, 0, 2]), np.array([0, 2, 3]))
    found = batch(documents(3, 2, 4), packs, np.array([0, 1]), pad=0)
    assert found.ids.tolist() == [[6, 7, 3, 4, 5], [8, 9, 10, 11, 0]]
    assert found.positions.tolist() == [[0, 1, 0, 1, 2], [0, 1, 2, 3, 0]]
    assert found.learn.tolist() == [[True] * 5, [True] * 4 + [False]]


def test_batches_show_every_pack_once_an_epoch_and_start_anywhere() -> None:
    docs = documents(*[2] * 7)
    packs = alone(docs.lengths)
    assert steps_per_epoch(packs, 2, 2) == 2
    steps = [next(s) for s in [batches(docs, packs, 0, 2, 2, 0, 0)] for _ in range(4)]
    assert [[len(b.ids) for b in s] for s in steps] == [[2, 2], [2, 1]] * 2
    epochs = [[b.ids[:, 0].tolist() for s in steps[i : i + 2] for b in s] for i in (0, 2)]
    assert sorted(sum(epochs[0], [])) == sorted(sum(epochs[1], [])) == docs.ids[::2].tolist()
    assert epochs[0] != epochs[1]
    later = next(batches(docs, packs, 3, 2, 2, 0, 0))
    assert [b.ids.tolist() for b in later] == [b.ids.tolist() for b in steps[3]]


# --- the loss -----------------------------------------------------------------------------------------------------


def test_cross_entropy_is_the_sum_of_what_is_learnt() -> None:
    scores = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0], [9.0, 9.0]]])
    ids = torch.tensor([[0, 1, 1]])
    both = cross_entropy(scores, ids, torch.tensor([[True, True, True]]))
    assert both.item() == pytest.approx(math.log(4 / 3) + math.log(2))
    assert cross_entropy(scores, ids, torch.tensor([[True, False, True]])).item() == pytest.approx(math.log(2))
    assert cross_entropy(scores, ids, torch.zeros(1, 3, dtype=torch.bool)).item() == 0.0
    assert cross_entropy(scores.bfloat16(), ids, ids == ids).dtype == torch.float32


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_loss_and_gradient_equal_those_of_each_document_alone(tiny_model: Path, attention: str) -> None:
    net = load_model(tiny_model, seed=0)
    net.set_attn_implementation(attention)
    docs = documents(40, 7, 23, 61, 2, 30)
    packed = batch(docs, pack(docs.lengths, 64, 0), np.arange(3), pad=0)
    assert (packed.positions == 0).sum() > 5  # documents do share rows
    together = cross_entropy(logits(net, packed.ids, packed.positions), packed.ids, packed.learn & (packed.positions > 0))
    together.backward()
    gradient = {n: p.grad.clone() for n, p in net.named_parameters()}
    net.zero_grad()
    one_by_one = []
    for start, end in zip(docs.bounds, docs.bounds[1:], strict=False):  # transformers' own loss, a document a call
        ids = torch.tensor(docs.ids[start:end], dtype=torch.int64)[None]
        one_by_one.append(net(input_ids=ids, labels=ids).loss * (ids.shape[1] - 1))
    sum(one_by_one).backward()
    tokens = int(docs.bounds[-1]) - len(docs.lengths)
    assert together.item() / tokens == pytest.approx(sum(one_by_one).item() / tokens, abs=1e-5)
    for name, parameter in net.named_parameters():
        assert torch.allclose(gradient[name] / tokens, parameter.grad / tokens, atol=1e-6), name


def test_a_model_whose_documents_would_see_each_other_is_refused() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = MambaForCausalLM(MambaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(InputError, match="in a MambaForCausalLM the documents .* pass packing=False"):
        check_packing(net)


# --- the optimizer ------------------------------------------------------------------------------------------------


def test_the_schedule_rises_to_one_and_falls_to_zero() -> None:
    assert [schedule(s, 10, 2) for s in (0, 1, 2, 6, 10)] == pytest.approx([0, 0.5, 1, 0.5, 0])
    assert schedule(0, 10, 0) == 1 and schedule(3, 3, 3) == 1


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_every_parameter_has_one_optimizer(tiny_model: Path, kind: str) -> None:
    net = load_model(tiny_model, seed=0)
    found = optimizers(net, kind, 1e-3, 0.1)
    owned = [p for o in found for g in o.param_groups for p in g["params"]]
    assert len(owned) == len(set(map(id, owned))) == len(list(net.parameters()))
    decayed = {id(p) for o in found for g in o.param_groups if g["weight_decay"] for p in g["params"]}
    assert all((id(p) in decayed) == (p.ndim == 2) for p in net.parameters())
    muon = [p for o in found[1:] for g in o.param_groups for p in g["params"]]
    assert len(muon) == (0 if kind == "adamw" else 2 * 7)  # q k v o gate up down, in two layers
    ends = {id(net.lm_head.weight), id(net.model.embed_tokens.weight)}
    assert not ends & {id(p) for p in muon}
