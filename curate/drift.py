"""How far training has moved what a model makes of given texts, layer by layer.

DED (arXiv:2508.09883) reports that a better teacher's corpus moves the student's hidden states less. The
measure is inferred: it describes, with a handful of teachers it proves nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from curate.errors import UserError
from curate.turns import asked_of, turn_of


def hidden_shift(before: str | Path, after: str | Path, traces: pl.LazyFrame | pl.DataFrame) -> pl.DataFrame:
    """A line for each layer: layer (0: the embeddings), shift, plane.

    The hidden states of each trace are averaged over its tokens, the prompt's left out, in float32. shift:
    the distance between the two models' means over all traces, 0 or more, in the units of the states. plane:
    the same after projection on the first two principal components of both models' states together; never
    more. before, after: checkpoint folders of one architecture. traces: columns as in a run.
    """
    import torch

    rows = traces.lazy().select("question", "messages", "thinking", "response").collect().to_dicts()
    old, new = (_states(model, rows) for model in (before, after))
    if old.shape != new.shape:
        raise UserError(f"{str(before)!r} and {str(after)!r} differ in layers or width, so no state moved")
    lines = []
    for layer, (a, b) in enumerate(zip(old.unbind(1), new.unbind(1), strict=True)):
        apart = b.mean(0) - a.mean(0)
        union = torch.cat([a, b])
        axes = torch.linalg.svd(union - union.mean(0), full_matrices=False).Vh[:2]
        lines.append({"layer": layer, "shift": apart.norm().item(), "plane": (axes @ apart).norm().item()})
    return pl.DataFrame(lines)


def _states(model: str | Path, rows: list[dict[str, Any]]) -> Any:
    """The mean state of each trace at each layer, [traces, layers, width]."""
    import torch

    from curate.engines.hf_checkpoint import load

    checkpoint = load(str(model), None, None, "float32")
    found = []
    for row in rows:
        prompt, opened = checkpoint.render(asked_of(row), "")
        turn = turn_of(row, opened)
        if turn is None or not turn.text:
            continue
        before, text, _ = checkpoint.continued(prompt, turn.text)
        ids = torch.tensor([before + text], device=checkpoint.model.device)
        with torch.inference_mode():
            layers = checkpoint.model.base_model(
                input_ids=ids, use_cache=False, output_hidden_states=True
            ).hidden_states
        found.append(torch.stack([layer[0, len(before) :].mean(0) for layer in layers]).cpu())
    if not found:
        raise UserError(f"no trace has a text that {str(model)!r} could read; give traces with a response")
    return torch.stack(found)
