"""Which token comes next: exact sampling with noise that depends on seed, step and token, and nothing else.

The argmax of logits plus Gumbel noise is a sample of their softmax. The noise is a hash, not a stream of
random numbers, so a request draws the same tokens alone or in any batch, up to the rounding of its logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import torch

    from curate.engines.sampling import Sampling

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Knobs(NamedTuple):
    """How each row of a batch samples, one entry a row. top_k 0 cuts nothing off."""

    temperature: torch.Tensor
    top_p: torch.Tensor
    top_k: torch.Tensor
    seed: torch.Tensor

    @classmethod
    def of(cls, samplings: Sequence[Sampling], seeds: Sequence[int], device: torch.device) -> Knobs:
        import torch

        return cls(
            torch.tensor([s.temperature for s in samplings], dtype=torch.float32, device=device),
            torch.tensor([s.top_p for s in samplings], dtype=torch.float32, device=device),
            torch.tensor([s.top_k or 0 for s in samplings], dtype=torch.int64, device=device),
            torch.tensor([_signed(s) for s in seeds], dtype=torch.int64, device=device),
        )

    def rows(self, some: Sequence[int]) -> Knobs:
        """The knobs of some of the rows."""
        return Knobs(*(t[list(some)] for t in self))


def pick(logits: torch.Tensor, knobs: Knobs, steps: torch.Tensor) -> torch.Tensor:
    """The next token of each row; `steps` is how many it has drawn before. logits: [rows, vocabulary]."""
    warm = knobs.temperature > 0
    if not bool(warm.any()):
        return logits.argmax(-1)
    scaled = logits / knobs.temperature.where(warm, knobs.temperature.new_ones(())).unsqueeze(-1)
    scaled = _cut_top_p(_cut_top_k(scaled, knobs.top_k), knobs.top_p)
    noise = gumbel(knobs.seed, steps, logits.shape[-1])
    return (scaled + noise.where(warm.unsqueeze(-1), noise.new_zeros(()))).argmax(-1)


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
    mass = ordered.softmax(-1)
    before = mass.cumsum(-1) - mass
    kept = (before < top_p.unsqueeze(-1)).sum(-1, keepdim=True).clamp(min=1)
    least = ordered.gather(-1, kept - 1)
    return logits.masked_fill((logits < least) & (top_p < 1).unsqueeze(-1), float("-inf"))


def gumbel(seeds: torch.Tensor, steps: torch.Tensor, vocabulary: int) -> torch.Tensor:
    """Standard Gumbel noise [rows, vocabulary], each entry a hash of (seed, step, token)."""
    import torch

    state = _mix(_mix(seeds) + steps * _signed(_GOLDEN))
    tokens = torch.arange(1, vocabulary + 1, device=seeds.device) * _signed(_GOLDEN)
    bits = _shift(_mix(state.unsqueeze(-1) + tokens), 32)
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
