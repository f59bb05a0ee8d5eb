"""How far apart texts are: Levenshtein in characters, divided by the longer length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from curate.errors import require


def distances(texts: Sequence[str]) -> Any:
    """The distance of each pair, from 0 (equal) to 1; a symmetric matrix."""
    require("rapidfuzz", "pip install rapidfuzz")
    from rapidfuzz.distance import Levenshtein
    from rapidfuzz.process import cdist

    return cdist(texts, texts, scorer=Levenshtein.normalized_distance)
