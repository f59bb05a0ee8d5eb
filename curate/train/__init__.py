"""A student is fine-tuned on a published folder, by code small enough to read in one sitting.

`data` reads rows, `render` finds what is to be learnt in them, `tokens` writes them down, `pack` fills
sequences, `model` opens and saves the student, `loop` and `optim` take a step, `checkpoint` remembers it,
`report` says what became of it; `sft` is the whole.
"""

from curate.train.report import TrainReport
from curate.train.sft import train

__all__ = ["TrainReport", "train"]
