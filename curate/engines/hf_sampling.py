"""Which token comes next: exact sampling with noise that depends on seed, step and token, and nothing else.

The argmax of logits plus Gumbel noise is a sample of their softmax. The noise is a hash, not a stream of
random numbers, so a request draws the same tokens alone or in any batch, up to the rounding of its logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch

if TYPE_CHECKING:
    from curate.engines.sampling import Sampling

_GOLDEN = 0x9E3779B97F4A7C15
_LIKELIEST = 64  # tokens, among which a cut mostly falls
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Knobs(NamedTuple):
    """How each row of a batch samples, one entry a row. top_k 0 cuts nothing off."""

    temperature: torch.Tensor
    top_p: torch.Tensor
    top_k: torch.Tensor
    seed: torch.Tensor

    @classmethod
    def of(cls, samplings: Sequence[Sampling], seeds: Sequence[int], device: torch.device) -> Knobs:
        return cls(
            torch.tensor([s.temperature for s in samplings], dtype=torch.float32, device=device),
            torch.tensor([s.top_p for s in samplings], dtype=torch.float32, device=device),
            torch.tensor([s.top_k or 0 for s in samplings], dtype=torch.int64, device=device),
            torch.tensor([_signed(s) for s in seeds], dtype=torch.int64, device=device),
        )

    def rows(self, some: list[int] | torch.Tensor) -> Knobs:
        """The knobs of some of the rows."""
        return Knobs(*(t[some] for t in self))


def pick(logits: torch.Tensor, knobs: Knobs, steps: torch.Tensor) -> torch.Tensor:
    """The next token of each row; `steps` is how many it has drawn before. logits: [rows, vocabulary]."""
    warm = knobs.temperature > 0
    if not bool(warm.any()):
        return logits.argmax(-1)
    scaled = logits / knobs.temperature.where(warm, knobs.temperature.new_ones(())).unsqueeze(-1)
    if bool(((knobs.top_k > 0) | (knobs.top_p < 1)).any()):
        tokens, sure = _of_few(scaled, knobs, steps)
        if unsure := (~sure & warm).nonzero().flatten().tolist():
            tokens[unsure] = _of_all(scaled[unsure], knobs.rows(unsure), steps[unsure])
    else:
        tokens = _of_all(scaled, knobs, steps)
    return tokens if bool(warm.all()) else tokens.where(warm, logits.argmax(-1))


def _of_few(logits: torch.Tensor, knobs: Knobs, steps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What each row draws of its most probable tokens, and whether its cuts leave it no other.

    To sort a vocabulary, and to make noise for all of it, takes longer than a small model.
    """
    top_k, top_p = knobs.top_k.unsqueeze(-1), knobs.top_p.unsqueeze(-1)
    best = logits.topk(min(_LIKELIEST, logits.shape[-1]), dim=-1)
    values, lowest = best.values, logits.new_full((), float("-inf"))
    least_k = values.gather(-1, (top_k - 1).clamp(0, values.shape[-1] - 1)).where(top_k > 0, lowest)
    left = values.masked_fill(values < least_k, float("-inf"))
    total = left.logsumexp(-1, keepdim=True).where(top_k > 0, logits.logsumexp(-1, keepdim=True))
    least_p = _least(values, (left - total).exp(), top_p).where(top_p < 1, lowest)
    least = least_k.maximum(least_p)
    noise = gumbel(knobs.seed, steps, best.indices)
    at = (values + noise).masked_fill(values < least, float("-inf")).argmax(-1, keepdim=True)
    inside = values[:, -1:] < least_k.where(top_k > 0, least_p)
    return best.indices.gather(-1, at).squeeze(-1), inside.squeeze(-1)


def _of_all(logits: torch.Tensor, knobs: Knobs, steps: torch.Tensor) -> torch.Tensor:
    cut = _cut_top_p(_cut_top_k(logits, knobs.top_k), knobs.top_p)
    tokens = torch.arange(logits.shape[-1], device=logits.device)
    return (cut + gumbel(knobs.seed, steps, tokens)).argmax(-1)


def _cut_top_k(logits: torch.Tensor, top_k: torch.Tensor) -> torch.Tensor:
    most = min(int(top_k.max()), logits.shape[-1])
    if most == 0:
        return logits
    best = logits.topk(most, dim=-1).values
    least = best.gather(-1, (top_k.clamp(1, most) - 1).unsqueeze(-1))
    return logits.masked_fill((logits < least) & (top_k > 0).unsqueeze(-1), float("-inf"))


def _cut_top_p(logits: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Keep the smallest set of most probable tokens that holds top_p of the mass, and always the first."""
    if float(top_p.min()) >= 1:
        return logits
    ordered = logits.sort(dim=-1, descending=True).values
    least = _least(ordered, ordered.softmax(-1), top_p.unsqueeze(-1))
    return logits.masked_fill((logits < least) & (top_p < 1).unsqueeze(-1), float("-inf"))


def _least(ordered: torch.Tensor, mass: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """The last of the ordered logits that is needed for top_p of the mass, [rows, 1]."""
    before = mass.cumsum(-1) - mass
    return ordered.gather(-1, (before < top_p).sum(-1, keepdim=True).clamp(min=1) - 1)


def gumbel(seeds: torch.Tensor, steps: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Standard Gumbel noise [rows, tokens], each entry a hash of (seed, step, token).

    tokens: ids, the same for all rows or some for each.
    """
    state = _mix(_mix(seeds) + steps * _signed(_GOLDEN))
    bits = _shift(_mix(state.unsqueeze(-1) + (tokens + 1) * _signed(_GOLDEN)), 32)
    # 32 bits, kept exact near zero: there the noise is largest, and it is the largest that decide
    uniform = ((bits.to(torch.float32) + 0.5) * 2.0**-32).clamp(max=1 - 2.0**-24)
    return -torch.log(-torch.log1p(-uniform))


def _mix(z: torch.Tensor) -> torch.Tensor:
    """The finaliser of splitmix64, in wrapping 64-bit integers."""
    z = (z ^ _shift(z, 30)) * _signed(_MIX[0])
    z = (z ^ _shift(z, 27)) * _signed(_MIX[1])
    return z ^ _shift(z, 31)


def _shift(z: torch.Tensor, by: int) -> torch.Tensor:
    """A logical shift to the right; torch's own copies the sign."""
    return (z >> by) & ((1 << (64 - by)) - 1)


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
