# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # One problem, one trace
#
# A trace is what a model wrote about one problem: its thinking and its response. Here is one, as it came
# from a model. It has the answer after two lines, and goes on.

# %%
text = """<think>
Dee has 12 apples and grows three times as many, so 12 * 3 = 36.

Then she loses 8: 36 - 8 = 28.

Wait, did she start with 12? Yes. 12 * 3 = 36 and 36 - 8 = 28.

Alternatively, 3 * 12 - 8 = 36 - 8. That is 28 again.
</think>

The answer is \\boxed{28}."""

# %% [markdown]
# **Split.** Where the thinking ends and the response begins. Nothing is lost: the pieces put together are
# the text.

# %%
from curate.text import split_thinking

split = split_thinking(text)
assert "".join(split) == text
split.response

# %% [markdown]
# **Judge.** A verifier answers one of three: passed, failed, or no verdict at all. `why` says on what
# grounds.

# %%
from curate.verifiers.math_equal import MathEqual

row = {
    "question": "Dee has 12 apples. She grows three times as many, and loses 8. How many has she?",
    "answer": "28",
    "thinking": split.thinking,
    "response": split.response,
}
judge = MathEqual()
judge.row(row)

# %%
judge.row({**row, "answer": "27"})

# %%
judge.row({**row, "answer": "see the figure"})  # a bad key must not fail a good trace

# %% [markdown]
# **Trim.** What comes after the first thought that states the verified answer is cut off. No text is
# changed.

# %%
from curate.rewriters.trim_after_answer import TrimAfterAnswer

child = TrimAfterAnswer().row(row)
print(child.thinking)

# %% [markdown]
# **Look.** Spans are stretches of a text, in characters, with a label. Sentences, steps and loss masks all
# have this form; here are the two parts of our trace, and the words that hesitate.

# %%
import re

from IPython.display import HTML

from curate.picture import trace_html


def span(start, end, label):
    return {"field": "thinking", "start": start, "end": end, "label": label, "value": None}


spans = [
    span(0, len(child.thinking), "kept"),
    span(len(child.thinking), len(row["thinking"]), "trimmed"),
    *(span(m.start(), m.end(), "hesitation") for m in re.finditer("Wait|Alternatively", row["thinking"])),
]
HTML(trace_html({**row, "math_equal": judge.row(row)._asdict()}, spans))

# %% [markdown]
# **The same as a pipeline.** A table of one row goes through the same steps. `read` splits by itself. The
# child of a rewriter is a new row with new ids and no verdict, so it is judged again; its parent is set
# aside with the reason.

# %%
import tempfile

import polars as pl

import curate
from curate.filters.failed import Failed

traces = pl.DataFrame({"question": [row["question"]], "answer": ["28"], "response": [text]})
steps = [MathEqual(), Failed("math_equal"), TrimAfterAnswer(), MathEqual(), Failed("math_equal")]
run = curate.Pipeline(traces, steps).run(tempfile.mkdtemp())
run.funnel()

# %%
both = pl.concat([run.dropped, run.traces], how="diagonal").collect()
for trace in both.iter_rows(named=True):
    print(f"{len(trace['thinking'])} characters, {trace['dropped_by'] or 'live'}: {trace['math_equal']}")
