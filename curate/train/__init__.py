"""Supervised fine-tuning of a student on a published folder, small enough to read in one sitting.

`data` reads rows and writes tokens, `render` finds what the model may learn from, `pack` fills sequences,
`model` opens and checks the student, `optim` updates it, `checkpoint` remembers, `sft` is the loop.
"""

from curate.train.sft import TrainReport, train

__all__ = ["TrainReport", "train"]
