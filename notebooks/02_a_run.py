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
# # A whole run, small
#
# From problems to a published set and a trained student, with the demo world's tiny teacher: a real
# `transformers` checkpoint that solves word problems, hesitates, and is wrong now and then. It needs no
# network and no GPU.

# %%
import os
import tempfile

import polars as pl

import curate
from curate.demo import WORLD
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.rewriters.trim_after_answer import TrimAfterAnswer
from curate.verifiers.math_equal import MathEqual

os.chdir(tempfile.mkdtemp())  # everything this notebook writes goes here


def solved(rows):
    """How many right traces a problem has left. Any function LazyFrame → LazyFrame is a step."""
    return rows.with_columns(solved=pl.len().over("problem_id"))


teacher = curate.engine(f"hf:{WORLD / 'teacher'}", max_tokens=256)
problems = curate.read(WORLD / "problems.jsonl").head(24)
pipe = curate.Pipeline(
    problems,
    [
        curate.Sample(teacher, n=4),
        Truncated(),
        MathEqual(),
        Failed("math_equal", abstained="drop"),
        ExactDuplicates(),
        solved,
        TrimAfterAnswer(),
        MathEqual(),
        Failed("math_equal", abstained="drop"),
    ],
)

# %% [markdown]
# **Plan.** What would be asked, and what is known already. Nothing is spent. What depends on answers that
# nobody has yet is bounded from above.

# %%
pipe.plan()

# %% [markdown]
# **Run.** Into a folder. Run the cell again, or after a crash, and it goes on: nothing is asked twice.

# %%
run = pipe.run("runs/small")
run.funnel()

# %% [markdown]
# Every row is accounted for: what was set aside is a table, with the step and the reason.

# %%
run.dropped.group_by("dropped_by", "why").len().sort("len", descending=True).head(8).collect()

# %% [markdown]
# One of the wrong ones, to read:

# %%
from IPython.display import HTML

from curate.picture import trace_html

wrong = run.dropped.filter(pl.col("dropped_by") == "failed").head(1).collect().row(0, named=True)
HTML(trace_html(wrong))

# %% [markdown]
# **Ask.** polars over `run.traces` and `run.dropped`, or SQL over the same files. How many characters
# of thinking did trimming leave, by the number of steps of the problem?

# %%
run.sql("""
    select live.domain, count(*) as traces,
           round(avg(length(parent.thinking))) as before, round(avg(length(live.thinking))) as after
    from live join dropped as parent on live.parent_id = parent.trace_id
    group by live.domain order by live.domain
""")

# %% [markdown]
# **Publish.** A folder that `datasets.load_dataset` reads, with a card printed from the run.

# %%
published = run.publish("data/small")
print(published)

# %%
import datasets

datasets.disable_progress_bars()
rows = datasets.load_dataset("data/small", "all", split="train")
rows[0]["messages"]

# %% [markdown]
# **Train.** A few steps of the student on it; the full way, with an evaluation before and after, is `curate
# demo`.

# %%
from curate.train import train

report = train(
    "data/small", model=WORLD / "student", output_dir="students/small", max_steps=8, learning_rate=1e-3
)
print(report.tokens.table())
print(f"loss {report.losses[0]:.2f} → {report.losses[-1]:.2f} in {report.steps} steps")
