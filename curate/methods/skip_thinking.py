"""Right traces without the chunks that their student does not need, and the rows to train it on by chunks.

"Skip-Thinking: Chunk-wise Chain-of-Thought Distillation Enable Smaller Language Models to Reason Better and
Faster" (arXiv 2505.18642, EMNLP 2025), known here from its abstract and short notes: chunk-wise training, a
search for the boundaries by the student's loss, and that chunks are removed one at a time while the answer
stays right, are reported; the number of chunks and what the search minimises are inferred.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import polars as pl

from curate.columns import Function
from curate.engines import as_engine
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.pipeline import Pipeline
from curate.read import Source, as_traces
from curate.rewriters.skip_thinking import SkipThinking
from curate.run import Run
from curate.schema import MESSAGES, SPANS
from curate.scores.token_logprobs import TokenLogprobs
from curate.step import Engine, Step
from curate.turns import asked_of, turn_of
from curate.verifiers.math_equal import MathEqual

ROWS: dict[str, Any] = {
    "problem_id": pl.String,
    "trace_id": pl.String,
    "question": pl.String,
    "prefix": pl.String,  # the thinking before the chunk
    "target": pl.String,  # the chunk, or in the last row of a trace the response
    "field": pl.String,  # where the target stands: thinking or response
    "chunk_index": pl.Int64,
    "n_chunks": pl.Int64,  # the response counts as one
    "skipping": pl.Boolean,  # whether needless chunks are left out
    "messages": MESSAGES,  # the whole conversation, of which
    "spans": SPANS,  # the chunk alone is to be learnt, in characters of
    "thinking": pl.String,
    "response": pl.String,
}


def skip_thinking(
    traces: list[str] | Source,
    student: str | Engine,
    *,
    chunks: int = 4,
    chunker: Literal["average", "loss"] = "average",
    choice_trials: int = 3,
    max_tokens: int | None = None,
    bad_rows: Literal["error", "set_aside"] = "error",
) -> Pipeline:
    """Stored traces → the right ones, without what the student can do without.

    Parameters
    ----------
    traces
        files, folders or hub ids with question, gold answer and response; or a Source
    student
        the checkpoint that was trained on chunks: hf:PATH, or an Engine; chunker=loss needs one that scores
    chunks
        into so many a trace is cut at most
    chunker
        average: equally many steps in each chunk; loss: boundaries moved to where the student's loss changes
    choice_trials
        so many samples must all be right, where a question lists options
    max_tokens
        the longest answer in a trial; without it, what the model's context allows
    bad_rows
        what becomes of rows that cannot be read: stop at the first, or set them aside with their line numbers
    """
    learner = as_engine(student, max_tokens=max_tokens)
    judged = [MathEqual(), Failed("math_equal", abstained="drop")]
    steps: list[Step | Function] = [Truncated(), *judged]
    steps += [TokenLogprobs(learner, of="student")] if chunker == "loss" else []
    losses = "student" if chunker == "loss" else None
    steps += [SkipThinking(learner, MathEqual(), chunks, losses, choice_trials), *judged]
    return Pipeline(as_traces(traces, bad_rows), steps)


def chunk_rows(run: Run) -> pl.DataFrame:
    """A row for every chunk of every trace that was tried, and one for its response.

    `skipping` rows leave the needless chunks out (of children only); the others have all of them. Chunk-wise
    training learns the targets of the latter, and then those of the former; of one trace and kind, the
    targets joined are thinking and response, up to white space at the end of the thinking. Written as
    parquet, the rows are what `curate train` takes: it learns the target of each and sees what is before.
    """
    record = pl.col("skip_thinking")
    columns = ("problem_id", "trace_id", "question", "messages", "thinking", "response")
    live = run.traces.filter(record.is_not_null()).select(*columns, "parent_id", record).collect()
    child = record.struct.field("why").is_null()
    noted = live.filter(child).select(record, trace_id="parent_id")  # of the parent's text, not the child's
    noted = noted.unique("trace_id", maintain_order=True)  # equal traces share an id and an answer
    parents = run.dropped.filter(dropped_by="skip_thinking").select(columns).collect()
    whole = [*parents.join(noted, on="trace_id").to_dicts(), *live.filter(~child).to_dicts()]
    rows = [row for trace in whole for row in _rows(trace, skipping=False)]
    rows += [row for trace in live.filter(child).to_dicts() for row in _rows(trace, skipping=True)]
    return pl.DataFrame(rows, schema=ROWS)


def _rows(trace: dict[str, Any], *, skipping: bool) -> Iterator[dict[str, Any]]:
    chunks = [c for c in trace["skip_thinking"]["chunks"] if not (skipping and c["skipped"])]
    turn = turn_of(trace, "")
    assert turn is not None, "only where a template opens the thinking is there none"
    turns = [*asked_of(trace), {"role": "assistant", "content": turn.text}]
    same = {c: trace[c] for c in ("problem_id", "trace_id", "question", "thinking", "response")}
    same |= {"messages": turns, "n_chunks": len(chunks) + 1, "skipping": skipping}
    thinking, at = trace["thinking"] or "", 0
    for i, chunk in enumerate(chunks):
        end = at + chunk["end"] - chunk["start"]
        piece = {"prefix": thinking[:at], "target": thinking[at:end], "field": "thinking"}
        yield {**same, **piece, "chunk_index": i, "spans": [_learnt("thinking", at, min(end, len(thinking)))]}
        at = end
    piece = {"prefix": thinking, "target": trace["response"], "field": "response"}
    span = _learnt("response", 0, len(trace["response"]))
    yield {**same, **piece, "chunk_index": len(chunks), "spans": [span]}


def _learnt(field: str, start: int, end: int) -> dict[str, Any]:
    return {"field": field, "start": start, "end": end, "label": "learn", "value": None}
