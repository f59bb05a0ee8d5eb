"""Packed documents give the loss they give alone, and every one of them is in exactly one pack."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from curate.errors import InputError
from curate.losses.cross_entropy import cross_entropy
from curate.train.loop import MAX_NORM, update
from curate.train.model import check_packing, load_model, logits
from curate.train.optim import optimizers, schedule
from curate.train.pack import Packs, alone, batch, batches, pack, steps_per_epoch
from curate.train.render import Encoded
from curate.train.tokens import Documents, Tokens, _keep


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


def test_cross_entropy_is_the_sum_of_what_is_learnt() -> None:
    scores = torch.tensor([[[0.0, math.log(3)], [0.0, 0.0], [9.0, 9.0]]])
    ids = torch.tensor([[0, 1, 1]])
    both = cross_entropy(scores, ids, torch.tensor([[True, True, True]]))
    assert both.item() == pytest.approx(math.log(4 / 3) + math.log(2))
    assert cross_entropy(scores, ids, torch.tensor([[True, False, True]])).item() == pytest.approx(
        math.log(2)
    )
    assert cross_entropy(scores, ids, torch.zeros(1, 3, dtype=torch.bool)).item() == 0.0
    assert cross_entropy(scores.bfloat16(), ids, ids == ids).dtype == torch.float32


def drawn(family: str):
    """A random model of another family: Gemma 3 has layers that look only a few tokens back."""
    from transformers import AutoModelForCausalLM, Gemma3TextConfig, Qwen3Config

    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "head_dim": 8,
        "vocab_size": 444,
    }
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.1}
    layers = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}
    config = (
        Qwen3Config(**sizes, **heads) if family == "qwen3" else Gemma3TextConfig(**sizes, **heads, **layers)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["llama", "qwen3", "gemma3"])
def test_packed_loss_and_gradient_equal_those_of_each_document_alone(
    tiny_model: Path, family: str, attention: str
) -> None:
    net = load_model(tiny_model, seed=0) if family == "llama" else drawn(family)
    net.set_attn_implementation(attention)
    docs = documents(40, 7, 23, 61, 2, 30)
    packed = batch(docs, pack(docs.lengths, 64, 0), np.arange(3), pad=0)
    assert (packed.positions == 0).sum() > 5  # documents do share rows
    together = cross_entropy(
        logits(net, packed.ids, packed.positions), packed.ids, packed.learn & (packed.positions > 0)
    )
    together.backward()
    gradient = {n: p.grad.clone() for n, p in net.named_parameters()}
    net.zero_grad()
    one_by_one = []
    for start, end in zip(
        docs.bounds, docs.bounds[1:], strict=False
    ):  # transformers' own loss, a document a call
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


def test_a_step_never_moves_further_than_its_clipped_gradient(tiny_model: Path) -> None:
    net = load_model(tiny_model, seed=0)
    before = [p.detach().clone() for p in net.parameters()]
    docs = documents(40, 30)
    step = [batch(docs, alone(docs.lengths), np.arange(2), pad=0)]
    update(net, [torch.optim.SGD(net.parameters(), lr=1.0)], step, rate=0.01, bf16=False)
    moved = (
        sum(float((p.detach() - b).square().sum()) for p, b in zip(net.parameters(), before, strict=True))
        ** 0.5
    )
    assert moved == pytest.approx(0.01 * MAX_NORM, rel=1e-3)  # the gradient itself is longer than that
