r"""The final answer of a response, as it stands there, and the place it was found.

The last complete *marked* answer counts: `\boxed{}`, an `<ANSWER>` tag (also with a damaged or missing
partner), the answer field of a JSON object (also of a broken one), or what follows `####`. Where nothing is
marked, the last "the answer is ...", in some thirty languages, or "A: ..." near the end counts. A response
that runs on into another question is read up to there. No text takes more than linear time, and a hostile
megabyte takes milliseconds: boxes are searched from the end, everything else in a window of fixed size.
"""

from __future__ import annotations

from curate.answers.choices import Chosen, chosen
from curate.answers.found import LONGEST, Answer
from curate.answers.letters import letters
from curate.answers.options import listed
from curate.answers.reading import final_answer, final_value, scaled_value
from curate.answers.tidy import gold_of, plain
from curate.answers.values import last_value, last_words

__all__ = [
    "LONGEST",
    "Answer",
    "Chosen",
    "chosen",
    "final_answer",
    "final_value",
    "gold_of",
    "last_value",
    "last_words",
    "letters",
    "listed",
    "plain",
    "scaled_value",
]
