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
# # Traces, revised
#
# A trace that is right may still have changed its mind too early. Retro-Search (arXiv:2504.04383) goes back
# to every such place, lets a reviser go on with the thought that was left, and keeps what is right and
# shorter. Here it revises the demo world's traces, and ten real ones; and here is how to look at what it did:
# what was cut, what is new and by whom, and what each try has cost.

# %%
import gzip
import itertools
import json
import os
import tempfile
from pathlib import Path

import polars as pl

import curate
from curate.demo import WORLD
from curate.difference import difference
from curate.engines.scripted import Scripted
from curate.look import diff, tree
from curate.methods.retro_search import report, retro_events, retro_search

os.chdir(tempfile.mkdtemp())  # everything this notebook writes goes here

# %% [markdown]
# **Revise.** The demo's teacher writes a trace for each of 32 problems, and revises the right ones itself.

# %%
teacher = curate.engine(f"hf:{WORLD / 'teacher'}?dtype=float32", temperature=0.6, top_p=0.95, max_tokens=200)
problems = curate.read(WORLD / "problems.jsonl").head(32)
run = retro_search(problems, teacher, max_tokens=200).run("runs/revised")
run.funnel()

# %%
names = ("revised", "kept", "rollouts", "accepted", "steps_before", "steps_after", "rollout_tokens")
report(run).select(names)

# %% [markdown]
# **What was cut, and what is new?** A child beside its parent. What both have is plain, what was cut
# stands on the left in red, what is new on the right in the colour of whoever wrote it.

# %%
diff(run, k=1)

# %% [markdown]
# In a terminal, `curate look runs/revised --diff` says the same.

# %%
print(diff(run, k=1))

# %% [markdown]
# **What was tried?** The search in the trace with the most rollouts of those that were revised: each place at
# which it changed its mind, the steps that it had from there on, and the rollouts, with what they came to and
# what they cost. `curate look runs/revised --tree` prints trees, and `--trace ID` picks a trace, for both.

# %%
searched = run.traces.filter(pl.col("retro").struct.field("accepted") > 0)
most = searched.sort(pl.col("retro").struct.field("rollouts"), "trace_id", descending=True).head(1)
trace = most.select("trace_id").collect().item()
tree(run, trace=trace)

# %%
print(tree(run, trace=trace))

# %% [markdown]
# **Ten real traces**, of a distilled DeepSeek-R1 on problems of MATH. They are not part of the repository,
# and only counts are shown of them. The reviser is a script that knows the answers: at some places it is sure
# at once, at others it never comes to an end.

# %%
HERE = Path(curate.__file__).parents[1]
DATA = Path(os.environ.get("CURATE_DATA", HERE.parent / "shared" / "data"))
real = DATA / "traces" / "thought_anchors_math.jsonl.gz"
golds = {}


def reviser(messages, prefix):
    """What follows the begun turn; how sure it is hangs on how many steps there are already."""
    if "</think>" in prefix:
        return f"\n\nThe answer is \\boxed{{{golds[messages[-1]['content']]}}}."
    return "That settles it.\n</think>" if prefix.count("\n\n") % 4 == 0 else "Let me see.\n\n" * 60


def revised(lines):
    """A run over the traces in some lines of a file."""
    rows = [json.loads(line) for line in lines]
    golds.update({row["question"]: row["gold"] for row in rows})
    table = pl.DataFrame([{c: row[c] for c in ("id", "question", "gold", "response")} for row in rows])
    return retro_search(traces=curate.read(table), reviser=Scripted(script=reviser)).run("runs/real")


def lengths(run):
    """Of every trace what became of it; of a child, how many characters stayed, were cut, and are new."""
    parents = {row["trace_id"]: row for row in run.dropped.collect().to_dicts()}
    for row in run.traces.collect().to_dicts():
        counts = dict.fromkeys(("same", "cut", "new"), 0)
        if row["parent_id"]:
            spans = [span for span in row["spans"] if span["field"] == "thinking"]
            groups = difference(parents[row["parent_id"]]["thinking"], row["thinking"], spans)
            for stretch in itertools.chain(*groups):
                counts[stretch.kind] += len(stretch.parent or stretch.child)
        names = ("status", "steps_before", "steps_after", "rollouts", "accepted")
        yield {name: row["retro"][name] for name in names} | counts


if real.is_file():
    with gzip.open(real, "rt", encoding="utf-8") as lines:
        of_real = revised(itertools.islice(lines, 10))
    shown = pl.DataFrame(list(lengths(of_real)))
else:
    shown = "The data is not here; set CURATE_DATA to the folder that holds traces/."
shown

# %% [markdown]
# How their rollouts ended, and what those of each kind have cost:

# %%
if real.is_file():
    events = retro_events(of_real).group_by("end", "accepted", maintain_order=True)
    shown = events.agg(pl.len().alias("rollouts"), pl.col("steps", "calls", "output_tokens").sum())
shown

# %% [markdown]
# What becomes of a student that learns from revised traces is another question, and has its controls: as many
# samples as the search has cost (`shortest_of_k`), and a cut without a search (`trim_after_answer`).
# [docs/rewriters.md](../docs/rewriters.md) has the other ways to make traces shorter; `diff` shows what any
# of them did.
