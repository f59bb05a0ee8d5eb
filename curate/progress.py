"""A bar for every door, on stderr: rows, tokens a second, tokens spent, what needed no work, time left."""

from __future__ import annotations

import time

from tqdm import tqdm


class Meter:
    """Counts rows up to `total`, as many as ask something new.

    cached: so many rows more were known before, or ask the same as another row; said as their share of all.
    """

    def __init__(self, name: str, total: int, cached: int) -> None:
        self.total, self.spent, self.started = total, 0, time.monotonic()
        share = cached / (total + cached) if total + cached else 1.0
        self.cached = f"known or alike {share:.0%}"
        self.bar = tqdm(total=total, desc=name, unit="row", mininterval=0.5, disable=total == 0)

    def more(self, new: int) -> None:
        """So many rows more are to come."""
        self.total += new
        self.bar.total = self.total

    def tokens(self, new: int) -> None:
        """So many tokens came back from a model."""
        self.spent += new

    def rows(self, new: int = 1) -> None:
        """So many rows more."""
        if self.bar.update(new):  # drawn, which it is not for every row: the words are for the next time
            self._say()

    def _say(self) -> None:
        said = self.cached
        if self.spent:
            rate = self.spent / max(1e-9, time.monotonic() - self.started)
            said = f"{self.spent:,} tokens, {rate:,.0f}/s, {said}"
        self.bar.set_postfix_str(said, refresh=False)

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._say()
        self.bar.close()
