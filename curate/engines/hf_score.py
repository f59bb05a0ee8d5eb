"""Teacher-forced log-probabilities of a batch of texts; memory does not grow with length x vocabulary.

The hidden states of whole texts are few bytes; only they are held at once, and are projected onto the
vocabulary a tile at a time: some tokens of any of the texts by some of the vocabulary. A model whose logits
are more than that projection (scaled, capped) is asked for them itself, piece by piece behind its cache; only
one that is recurrent as well gives those of a whole text at once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache

from curate.engines.hf_cache import cache_bytes
from curate.engines.hf_decode import forward, pad_left
from curate.engines.hf_jobs import MASK_CELLS, Scoring
from curate.engines.hf_project import Head, Measures, measure, project
from curate.step import TokenScores

_CELLS = {"cpu": 1 << 22, "cuda": 1 << 26}  # logits that a model itself gives at once, where it has to
_COPIES = {"cpu": 1 << 28, "cuda": 1 << 31}  # bytes of keys and values, the prompt's for each text


def plain_head(model: Any) -> Head | None:
    """The projection from last hidden states to logits, where the model's logits are exactly that."""
    head: Head | None = model.get_output_embeddings()
    ids = torch.arange(4, device=model.device).unsqueeze(0)
    with torch.inference_mode():
        inner = model.base_model(input_ids=ids, use_cache=False)
        hidden = getattr(inner, "last_hidden_state", None)
        if head is None or hidden is None:
            return None
        return head if torch.equal(head(hidden), model(input_ids=ids, use_cache=False).logits) else None


def score(
    model: Any,
    head: Head | None,
    jobs: Sequence[Scoring],
    tokens: int = 1 << 11,
    closing: Callable[[], bool] = lambda: False,
) -> None:
    """Answer every job, unless `closing` is said in between.

    head: what `plain_head` says of the model. tokens: of a pass, with padding; more where one text has more.
    """
    with torch.inference_mode():
        if head is not None:
            found = _whole(model, head, jobs, tokens)
        elif _goes_on(model):
            found = (own for part in _parts(model, jobs, tokens) for own in _in_pieces(model, part))
        else:
            found = _one_by_one(model, jobs)
        for job, (logprob, entropy, values, ids, rank) in zip(jobs, found, strict=True):
            top = zip(ids.tolist(), values.tolist(), strict=True) if job.top_k else ()
            job.answer(
                TokenScores(
                    ids=tuple(job.text_ids),
                    start=tuple(start for start, _ in job.offsets),
                    end=tuple(end for _, end in job.offsets),
                    logprob=tuple(logprob.tolist()),
                    entropy=tuple(entropy.tolist()) if job.entropy else None,
                    top=tuple(tuple(zip(i, v, strict=True)) for i, v in top) if job.top_k else None,
                    rank=tuple(rank.tolist()) if job.rank else None,
                    prompt_tokens=len(job.ids),
                )
            )
            if closing():
                return


def _whole(model: Any, head: Head, jobs: Sequence[Scoring], tokens: int) -> Iterator[Measures]:
    """From the states of whole texts, without their last tokens; what pads them stands where nobody looks."""
    for part, hidden in _states(model, jobs, tokens):
        states = torch.cat(hidden)
        ids = torch.tensor([i for job in part for i in job.text_ids], device=states.device)
        entropy, top_k, rank = _asked(part)
        measures = [m.cpu() for m in project(head, states, ids, entropy, top_k, rank)]
        pieces = [m.split([len(job.text_ids) for job in part]) for m in measures]
        for job, (own, spread, values, names, ranks) in zip(part, zip(*pieces, strict=True), strict=True):
            yield own, spread, values[:, : job.top_k], names[:, : job.top_k], ranks


def _states(
    model: Any, jobs: Sequence[Scoring], tokens: int
) -> Iterator[tuple[Sequence[Scoring], list[torch.Tensor]]]:
    """Jobs, and for each the states before every token of its text, [tokens, width]."""
    width = model.config.get_text_config().hidden_size
    if _one_prompt(jobs) and _goes_on(model) and all(job.goes_on(width) for job in jobs):
        yield from _after_one_prompt(model, jobs, tokens)
    else:
        size = max(1, tokens // max(job.longest for job in jobs))
        for begin in range(0, len(jobs), size):
            part = jobs[begin : begin + size]
            yield part, _each_with_its_prompt(model, part)


def _parts(model: Any, jobs: Sequence[Scoring], tokens: int) -> Iterator[Sequence[Scoring]]:
    """As many jobs at a time as texts of so many tokens, with padding, and as fit beside; one at least."""
    room = _COPIES["cuda" if model.device.type == "cuda" else "cpu"] // cache_bytes(model)
    while jobs:
        text, mask = max(len(job.text_ids) for job in jobs), max(job.mask for job in jobs)
        fitting = min(tokens // text, MASK_CELLS // mask, room // max(job.longest for job in jobs))
        yield jobs[: max(1, fitting)]
        jobs = jobs[max(1, fitting) :]


def _one_prompt(jobs: Sequence[Scoring]) -> bool:
    return len(jobs) > 1 and all(job.ids == jobs[0].ids for job in jobs)


def _asked(jobs: Sequence[Scoring]) -> tuple[bool, int, bool]:
    """What the one that asks most wants: entropy, how many tokens beside its own, ranks."""
    return any(job.entropy for job in jobs), max(job.top_k for job in jobs), any(job.rank for job in jobs)


def _each_with_its_prompt(model: Any, jobs: Sequence[Scoring]) -> list[torch.Tensor]:
    """In one forward pass over prompts and texts."""
    rows = [job.ids + job.text_ids[:-1] for job in jobs]
    states = model.base_model(input_ids=_pad_right(rows, model.device), use_cache=False).last_hidden_state
    return [states[i, len(job.ids) - 1 : len(rows[i])] for i, job in enumerate(jobs)]


def _goes_on(model: Any) -> bool:
    """Whether any number of texts and tokens may go on from a cache: not from the state of a recurrent layer.

    It cannot be repeated, and some models go on from it by one token alone. Keys and values may stand beside.
    RecurrentGemma holds it by itself; with transformers 5.19 its configuration alone says so, as "recurrent".
    """
    layers = DynamicCache(config=model.config).layers
    if "recurrent" in getattr(model.config, "layers_block_type", ()):
        return False
    return all(hasattr(x, "batch_repeat_interleave") and not hasattr(x, "conv_states") for x in layers)


def _after_one_prompt(
    model: Any, jobs: Sequence[Scoring], tokens: int
) -> Iterator[tuple[Sequence[Scoring], list[torch.Tensor]]]:
    """Some jobs at a time; the prompt that all of them share is read once."""
    read = DynamicCache(config=model.config)
    prompt = torch.tensor([jobs[0].ids], device=model.device)
    last = model.base_model(input_ids=prompt, past_key_values=read, use_cache=True).last_hidden_state[0, -1:]
    for part in _parts(model, jobs, tokens):
        rows = [job.text_ids[:-1] for job in part]
        if not any(rows):
            yield part, [last for _ in part]
            continue
        cache = copy.deepcopy(read)
        cache.batch_repeat_interleave(len(part))
        text = _pad_right(rows, model.device)
        states = model.base_model(input_ids=text, past_key_values=cache, use_cache=True).last_hidden_state
        yield part, [torch.cat([last, states[i, : len(row)]]) for i, row in enumerate(rows)]


def _pad_right(rows: Sequence[Sequence[int]], device: torch.device) -> torch.Tensor:
    width = max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=device)


def _one_by_one(model: Any, jobs: Sequence[Scoring]) -> Iterator[Measures]:
    """From one forward pass over each text, which holds all of its logits: right for any model."""
    for job in jobs:
        ids = torch.tensor([job.ids + job.text_ids], device=model.device)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits[0, len(job.ids) - 1 :]
        again = [logits] if job.rank else ()
        measures = measure([logits], ids[0, len(job.ids) :], job.entropy, job.top_k, again)
        yield tuple(m.cpu() for m in measures)  # type: ignore[misc]


def _in_pieces(model: Any, jobs: Sequence[Scoring]) -> Iterator[Measures]:
    """Log-probability, entropy and the most probable tokens, from the model's own logits."""
    pieces = zip(*_stretches(model, jobs), strict=True)
    logprob, entropy, values, ids, rank = (torch.cat(p, dim=1).cpu() for p in pieces)
    for i, job in enumerate(jobs):
        n, k = len(job.text_ids), job.top_k
        yield logprob[i, :n], entropy[i, :n], values[i, :n, :k], ids[i, :n, :k], rank[i, :n]


def _stretches(model: Any, jobs: Sequence[Scoring]) -> Iterator[Measures]:
    """One stretch of all texts after the other. A prompt that all of them share is read once.

    Others are padded on the left, so the texts begin in one column; a text is padded on its right, where the
    columns of padding follow what they cannot change.
    """
    one, many = _one_prompt(jobs), len(jobs)
    prompt, mask = pad_left([job.ids for job in (jobs[:1] if one else jobs)], model.device)
    text = _pad_right([job.text_ids for job in jobs], model.device)
    cache = DynamicCache(config=model.config)
    at = (mask.cumsum(-1) - 1).clamp(min=0)
    logits = forward(model, cache, prompt, mask, at, keep=1)
    if one:
        cache.batch_repeat_interleave(many)
        logits, mask, at = (t.repeat_interleave(many, 0) for t in (logits, mask, at))
    cells = _CELLS["cuda" if model.device.type == "cuda" else "cpu"]
    stride = max(1, cells // (many * logits.shape[-1]))
    entropy, top_k, twice = _asked(jobs)
    yield measure([logits], text[:, :1], entropy, top_k, [logits] * twice)
    for begin in range(0, text.shape[1] - 1, stride):
        piece = text[:, begin : min(begin + stride, text.shape[1] - 1)]
        mask = torch.cat([mask, torch.ones_like(piece)], dim=-1)
        at = at[:, -1:] + torch.arange(1, piece.shape[1] + 1, device=at.device)
        logits = forward(model, cache, piece, mask, at, keep=piece.shape[1])
        own = text[:, begin + 1 : begin + 1 + piece.shape[1]]
        yield measure([logits], own, entropy, top_k, [logits] * twice)
