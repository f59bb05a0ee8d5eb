"""What a program may use while it is judged."""

from __future__ import annotations

import math
from dataclasses import dataclass

from curate.sandbox.server import Limits


@dataclass(frozen=True)
class Bounds:
    """What a program may use: per case, and in all."""

    case_s: float
    all_s: float
    memory_mb: int
    output_mb: int
    tolerance: float

    @property
    def limits(self) -> Limits:
        return Limits(self.memory_mb, math.ceil(self.all_s) + 1)
