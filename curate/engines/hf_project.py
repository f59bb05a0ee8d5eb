"""Hidden states are measured against the vocabulary, a tile at a time; no row of logits is ever held.

A tile is some tokens by some of the vocabulary: what a processor's cache holds while it is made and measured.
Every core has tokens of its own. If all of them shared every operation, as torch does by itself, they would
wait for one another after each, and there are thousands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, Lock, Thread, local

import torch

TILE = {"cpu": (2048, 256), "cuda": (2048, 1 << 15)}  # tokens, and of the vocabulary: 2 MiB and 256 MiB
_READS_LONGER = 64  # tokens: with fewer, reading the head takes longer than multiplying by it
_BITS = 1 / math.log(2)  # in a nat
_FAR = 43.0  # bits; below, nothing is lost of a logit's exponential, and float32 has far to go up

# The same product, on an AMD EPYC a twentieth faster than `mm`'s; it has no public name, and may be gone.
_onednn = getattr(torch.ops.mkldnn, "_linear_pointwise", None)

_BEGINNING = Lock()  # how many threads an operation takes is one number for all that begin
_MINE = local()  # the threads that a thread has to help it; they end with it

Head = Callable[[torch.Tensor], torch.Tensor]
Measures = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def project(
    head: Head, states: torch.Tensor, ids: torch.Tensor, entropy: bool, top_k: int, rank: bool
) -> Measures:
    """`measure` of the logits that the head gives for [tokens, width] states."""
    kind = "cuda" if states.device.type == "cuda" else "cpu"
    most, wide = TILE[kind]
    step = max(1, most // 8) if top_k and kind == "cpu" else most  # of a wide row torch sorts no more than k
    cores = 1 if kind == "cuda" else max(1, min(torch.get_num_threads(), len(ids) // _READS_LONGER))
    rounds = max(1, -(-len(ids) // (cores * step)))
    step = max(1, -(-len(ids) // (cores * rounds)))  # even pieces: no core waits long for the last one
    wide *= most // step  # with fewer tokens a tile is wider, and fills the cache all the same
    work = partial(_piece, head, wide, entropy, top_k, rank)
    pieces = states.split(step), ids.split(step)
    if cores == 1:
        found = list(map(work, *pieces))
    else:
        found = list(_helpers(torch.get_num_threads()).map(work, *pieces))
    return tuple(torch.cat(p) for p in zip(*found, strict=True))  # type: ignore[return-value]


def _helpers(usual: int) -> ThreadPoolExecutor:
    """This thread's own, as many as an operation takes; to make them takes longer than a small batch."""
    if getattr(_MINE, "usual", None) != usual:
        _MINE.helpers = ThreadPoolExecutor(usual, "hf-project", _alone, (usual,))
        begun = Barrier(usual + 1, timeout=60)  # none begins later, when others may
        for _ in range(usual):
            _MINE.helpers.submit(begun.wait)
        begun.wait()
        _MINE.usual = usual
    helpers: ThreadPoolExecutor = _MINE.helpers
    return helpers


def begin() -> None:
    """This thread takes the usual number of threads for an operation, whatever others take meanwhile."""
    with _BEGINNING:
        torch.get_num_threads()


def _alone(usual: int) -> None:
    """This thread does its operations by itself, from now on."""
    with _BEGINNING:
        torch.get_num_threads()  # at its first use a thread takes the usual number: it must not do so later
        torch.set_num_threads(1)  # also what threads that begin now would take, whosever they are
        again = Thread(target=torch.set_num_threads, args=(usual,))
        again.start()
        again.join()


@torch.inference_mode()
def _piece(
    head: Head,
    wide: int,
    entropy: bool,
    top_k: int,
    rank: bool,
    states: torch.Tensor,
    ids: torch.Tensor,
) -> Measures:
    if type(head) is torch.nn.Linear and not (entropy or top_k or rank):
        chances = _chances(head, states, ids, wide)
        if chances.isfinite().all():
            chances.clamp_(max=0)  # of large logits the own one is rounded otherwise than in its tile
            nothing = states.new_empty(len(ids), 0)
            return chances, torch.zeros_like(chances), nothing, nothing.long(), torch.ones_like(ids)
    again = _tiles(head, states, wide) if rank else ()
    return measure(_tiles(head, states, wide), ids, entropy, top_k, again)


def _chances(head: torch.nn.Linear, states: torch.Tensor, ids: torch.Tensor, wide: int) -> torch.Tensor:
    """Log-probabilities of the ids, in one pass over each tile; not finite where float32 was too small.

    Powers of two are summed, of logits in bits: on some processors `exp2` takes a third of the time of `exp`.
    They are summed as they are, where the own logit is near 0, and else after subtracting it: the own is one
    of them, so they cannot vanish, and they overflow only where another is larger by 59 nats or more.
    """
    known = ids.clamp(max=head.out_features - 1)
    own = (states.float() * head.weight[known].float()).sum(-1)
    if head.bias is not None:
        own += head.bias[known]
    own = own.to(states.dtype).float() * _BITS  # rounded as the head's own logits are
    own[ids > known] = -torch.inf  # a tokenizer may have more words than the head
    far = bool((own.abs() > _FAR).any())
    total = torch.zeros_like(own)
    before = states.dtype == torch.float32 and head.bias is None  # half precision rounds logits, not bits
    bits_of = states.new_full((1,), _BITS, dtype=torch.float32)
    for tile in _tiles(head, states * _BITS if before else states, wide):
        bits = tile if before else tile * bits_of
        if far:
            bits -= own.unsqueeze(-1)
        total += bits.exp2_().sum(-1)
        del tile, bits  # the next is written in the same place
    return ((0 if far else own) - total.log2()) / _BITS


def _tiles(head: Head, states: torch.Tensor, wide: int) -> Iterator[torch.Tensor]:
    """The logits of [tokens, width] states, so many columns of the vocabulary at a time where that can be.

    A tile is gone with the next: it is written in the same place, which is in the cache.
    """
    if type(head) is not torch.nn.Linear:
        yield head(states)
        return
    if head.bias is None and states.device.type == "cpu" and states.dtype == torch.float32 and _onednn:
        for weight in head.weight.split(wide):
            yield _onednn(states, weight, None, "none", [], "")
        return
    place = states.new_empty(len(states) * min(wide, head.out_features))
    for first in range(0, head.out_features, wide):
        weight = head.weight[first : first + wide]
        tile = place[: len(states) * len(weight)].view(len(states), len(weight))
        if head.bias is None:
            torch.mm(states, weight.T, out=tile)
        else:  # at once: half precision is rounded once, as the head does
            torch.addmm(head.bias[first : first + wide], states, weight.T, out=tile)
        yield tile


def measure(
    tiles: Iterable[torch.Tensor],
    ids: torch.Tensor,
    entropy: bool,
    top_k: int,
    again: Iterable[torch.Tensor] = (),
) -> Measures:
    """In nats, in float32: the given ids, the whole distribution, its most probable tokens; the ids' ranks.

    tiles: logits [..., some of the vocabulary], one after the other. What is needed of one is added up at
    once, in place: a small tensor kept from each would lie where the memory of the next could have been.
    again: the tiles once more, where ranks are wanted: how many logits are larger can be counted only once
    the own one is known.
    """
    own, first = torch.full(ids.shape, -torch.inf, device=ids.device), 0
    exact = torch.float32 if ids.device.type == "mps" else torch.float64  # which MPS has not; sums of many
    total, spread = own.to(exact), torch.zeros_like(own, dtype=exact)
    values, names = own.new_empty(*ids.shape, 0), ids.new_empty(*ids.shape, 0)
    for tile in tiles:
        logits, width = tile.float(), tile.shape[-1]
        at = (ids - first).clamp(0, width - 1)
        here = (ids >= first) & (ids < first + width)
        own.copy_(torch.where(here, logits.gather(-1, at.unsqueeze(-1)).squeeze(-1), own))
        mass = logits.logsumexp(-1)
        both = torch.logaddexp(total, mass.to(exact))
        if entropy:
            spread.copy_(_share(spread, total - both) + _share(_spread(logits, mass), mass - both))
        total.copy_(both)
        if top_k:
            values, names = _best(values, names, logits, first, top_k)
        first += width
        del tile, logits  # the next is written in the same place
    rank = torch.ones_like(ids)
    for tile in again:
        rank += (tile.float() > own.unsqueeze(-1)).sum(-1)
        del tile
    own, values = (own - total).float(), (values - total.unsqueeze(-1)).float()
    return own, spread.float(), values, names, rank


def _share(entropy: torch.Tensor, log_share: torch.Tensor) -> torch.Tensor:
    """What a part of a distribution adds to the entropy of the whole: its own, and that of the choice."""
    return (log_share.exp() * (entropy - log_share)).nan_to_num(0.0)


def _best(
    values: torch.Tensor, names: torch.Tensor, logits: torch.Tensor, first: int, top_k: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The largest logits so far, and their tokens, with those of a tile that begins at token `first`."""
    best = logits.topk(min(top_k, logits.shape[-1]), dim=-1)
    values, names = torch.cat([values, best.values], -1), torch.cat([names, best.indices + first], -1)
    top = values.topk(min(top_k, values.shape[-1]), dim=-1)
    return top.values, names.gather(-1, top.indices)


def _spread(logits: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
    """The entropy within a tile; of it no more than two others are held."""
    chances = logits - total.unsqueeze(-1)
    return -chances.exp().mul_(chances).nan_to_num_(0.0).sum(-1)
