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
# # Whose sentences are these?
#
# From traces to the origin of their sentences, to a selected subset, to a trained student. Of several right
# traces of one problem, which one teaches most? The one with the most sentences that the teacher finds
# likely and the student does not, says "Where Did This Sentence Come From?" (arXiv:2512.20908). Here is that
# rule, and a control, with the demo world's tiny models: no network and no GPU.

# %%
import os
import tempfile

import polars as pl

import curate
from curate.demo import WORLD
from curate.filters.exact_duplicates import ExactDuplicates
from curate.filters.failed import Failed
from curate.filters.truncated import Truncated
from curate.scores.length import Length
from curate.scores.provenance import Provenance
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.token_logprobs import TokenLogprobs
from curate.verifiers.math_equal import MathEqual

os.chdir(tempfile.mkdtemp())  # everything this notebook writes goes here

teacher = curate.engine(f"hf:{WORLD / 'teacher'}?dtype=float32", max_tokens=160)
student = curate.engine(f"hf:{WORLD / 'student'}?dtype=float32")
problems = curate.read(WORLD / "problems.jsonl").head(96)

# %% [markdown]
# **Traces.** Four of each problem by the teacher; wrong ones, cut ones and repeats are set aside. Traces that
# you have already enter at `curate.read`, and `Sample` lets them pass.

# %%
right = [
    curate.Sample(teacher, n=4),
    Truncated(),
    MathEqual(),
    Failed("math_equal", abstained="drop"),
    ExactDuplicates(),
]
run = curate.Pipeline(problems, right).run("runs/whose")
run.funnel()

# %% [markdown]
# **Provenance.** Both models read every trace once; nothing is sampled. `token_logprobs` is the step that
# costs, and all others are worked out from its columns. The run goes on in its folder: no trace is sampled
# again.

# %%
scored = [
    *right,
    TokenLogprobs(teacher, of="teacher"),
    TokenLogprobs(student, of="student"),
    SentenceLogprob("teacher"),
    SentenceLogprob("student"),
    Provenance(),
    Length("student"),
]
run = curate.Pipeline(problems, scored).run("runs/whose")
counts = [f"{label}_in_thinking" for label in ("teacher", "student", "common")]
run.traces.select(pl.col(counts).sum()).collect()

# %% [markdown]
# **Look.** A trace in a notebook has its sentences in the colours of their origins; the mouse shows by how
# much the teacher finds one more probable. In a terminal, `curate look runs/whose --provenance` paints the
# same. Here is the trace of which both models have most:

# %%
from IPython.display import HTML

from curate.picture import trace_html

mixed = run.traces.sort(pl.min_horizontal(counts), "trace_id", descending=True).head(1).collect()
HTML(trace_html(mixed.row(0, named=True)))

# %%
from curate.look import look

print(look(run, provenance=True, k=1))

# %% [markdown]
# **Be careful.** A longer trace has more sentences of every kind. How much more does the count say than the
# length does?

# %%
run.traces.select(pl.corr("teacher_in_thinking", "student_token_count").round(2)).collect()

# %% [markdown]
# **Select.** Of each problem the trace with the most sentences of the teacher; and a control, random traces,
# as many and as long. `selection` has the steps of both, and any other filter may stand here.

# %%
from curate.methods.teacher_guided_selection import selection

arms = {"chosen": "most_teacher", "control": "length_matched"}
lines = []
for name, rule in arms.items():
    run = curate.Pipeline(problems, [*scored, *selection(rule, "thinking")]).run("runs/whose")
    run.publish(f"data/{name}")
    means = pl.col(*counts, "student_token_count").mean().round(2)
    lines.append(run.traces.select(pl.lit(name).alias("arm"), pl.len().alias("traces"), means).collect())
pl.concat(lines)

# %% [markdown]
# The ledger counts over all four runs of this folder: nothing was asked twice.

# %%
run.ledger.group_by("step", maintain_order=True).agg(pl.col("rows_paid").sum())

# %% [markdown]
# **Train.** A student on each, with the same number of steps, and both on problems that neither has seen.

# %%
from curate.evaluate import evaluate
from curate.train import train

heldout = curate.read(WORLD / "heldout.jsonl").head(80)
students = {"before": WORLD / "student"}
for name in arms:
    students[name] = f"students/{name}"
    train(
        f"data/{name}",
        model=WORLD / "student",
        output_dir=students[name],
        max_steps=100,
        learning_rate=3e-3,
        batch_size=8,
        max_length=320,
        warmup_steps=10,
        optimizer="muon",
    )

# %%
table = []
for name, place in students.items():
    found = evaluate(f"hf:{place}?dtype=float32", heldout, temperature=1.0, max_tokens=200)
    low, high = found.interval
    table.append({"student": name, "right": found.accuracy, "from": low, "to": high})
pl.DataFrame(table).with_columns(pl.selectors.float().round(3))

# %% [markdown]
# Read the intervals before the numbers: where they overlap, nothing is said of which arm is better. Two
# trainings of a tiny student on some ninety traces differ by chance as much as by the choice; what this shows
# is the road. `curate run teacher_guided_selection` has the paper's other
# controls (`--rule longest`, `random`, `grape`, …), and [docs/scores.md](../docs/scores.md) the columns.
