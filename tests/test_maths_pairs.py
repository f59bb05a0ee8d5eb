"""Every line of maths_pairs.txt holds, from either side."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.maths import equal
from curate.verifiers.math_equal import MathEqual

TABLE = (Path(__file__).parent / "maths_pairs.txt").read_text(encoding="utf-8")
LINES = [line for line in TABLE.splitlines() if not line.startswith("# ")]


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_table_holds_from_either_side(line: str) -> None:
    same = "  ≡  " in line
    gold, said = line.split("  ≡  " if same else "  ≢  ")
    for left, right in ((gold, said), (said, gold)):
        found = equal(left, right, MathEqual())
        assert (found.same, found.why) == (same, "equal" if same else "different")


def test_the_table_is_large() -> None:
    assert len(LINES) > 400
    assert sum("  ≢  " in line for line in LINES) > 80
