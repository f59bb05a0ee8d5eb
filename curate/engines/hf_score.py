"""Teacher-forced log-probabilities of a batch of texts; memory does not grow with length x vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from curate.engines.hf_decode import forward, pad_left
from curate.engines.hf_jobs import Scoring
from curate.step import TokenScores

_CELLS = 1 << 26  # logits held at once: 256 MiB in float32


def score(model: Any, jobs: Sequence[Scoring]) -> None:
    """Answer every job. Prompts go in whole and give one row of logits each; texts go in piece by piece."""
    with torch.inference_mode():
        parts = list(zip(*_pieces(model, jobs), strict=True))
    logprob, entropy, top_values, top_ids = (torch.cat(p, dim=1).cpu() for p in parts)
    for i, job in enumerate(jobs):
        length = len(job.text_ids)
        pairs = zip(top_ids[i, :length].tolist(), top_values[i, :length].tolist(), strict=True)
        top = tuple(tuple(zip(ids[: job.top_k], values[: job.top_k], strict=True)) for ids, values in pairs)
        job.answer(
            TokenScores(
                ids=tuple(job.text_ids),
                start=tuple(start for start, _ in job.offsets),
                end=tuple(end for _, end in job.offsets),
                logprob=tuple(logprob[i, :length].tolist()),
                entropy=tuple(entropy[i, :length].tolist()) if job.entropy else None,
                top=top if job.top_k else None,
            )
        )


def _pieces(model: Any, jobs: Sequence[Scoring]) -> Iterator[tuple[torch.Tensor, ...]]:
    """Log-probability, entropy and the most probable tokens, for one stretch of all texts after the other.

    Prompts are padded on the left, so the texts begin in one column; a text is padded on its right, where the
    columns of padding follow what they cannot change.
    """
    prompt, mask = pad_left([job.ids for job in jobs], model.device)
    width = max(len(job.text_ids) for job in jobs)
    text = torch.tensor(
        [job.text_ids + [0] * (width - len(job.text_ids)) for job in jobs], device=model.device
    )
    cache = DynamicCache(config=model.config)
    at = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = forward(model, cache, prompt, mask, at, keep=1)
    stride = max(1, _CELLS // (len(jobs) * logits.shape[-1]))
    entropy, top_k = any(job.entropy for job in jobs), max(job.top_k for job in jobs)
    yield _measure(logits, text[:, :1], entropy, top_k)
    for begin in range(0, width - 1, stride):
        piece = text[:, begin : min(begin + stride, width - 1)]
        mask = torch.cat([mask, torch.ones_like(piece)], dim=-1)
        at = at[:, -1:] + torch.arange(1, piece.shape[1] + 1, device=at.device)
        logits = forward(model, cache, piece, mask, at, keep=piece.shape[1])
        yield _measure(logits, text[:, begin + 1 : begin + 1 + piece.shape[1]], entropy, top_k)


def _measure(logits: torch.Tensor, ids: torch.Tensor, entropy: bool, top_k: int) -> tuple[torch.Tensor, ...]:
    """In nats, in float32: the given ids, the whole distribution, its most probable tokens."""
    chances = logits.float().log_softmax(-1)
    own = chances.gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    spread = -(chances.exp() * chances).nan_to_num(0.0).sum(-1) if entropy else torch.zeros_like(own)
    best = chances.topk(min(top_k, chances.shape[-1]), dim=-1)
    return own, spread, best.values, best.indices
