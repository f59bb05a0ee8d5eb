"""A bar for every door, on stderr: rows, tokens a second, tokens spent, the cached share, time left."""

from __future__ import annotations

import time
from typing import Protocol

from tqdm import tqdm


class Tokens(Protocol):
    """Something that counts the tokens that came back."""

    output_tokens: int


class Meter:
    """Counts rows up to `total`; `cached` of them (all rows, not only the new ones) were known before."""

    def __init__(self, name: str, total: int, cached: int, spent: Tokens) -> None:
        self.total, self.spent = total, spent
        self.tokens, self.seen, self.started = 0, 0, time.monotonic()
        share = cached / (total + cached) if total + cached else 1.0
        self.cached = f"cached {share:.0%}"
        self.bar = tqdm(total=total, desc=name, unit="row", mininterval=0.5, disable=total == 0)

    def row(self) -> None:
        """One row more."""
        self.tokens += max(0, self.spent.output_tokens - self.seen)
        self.seen = self.spent.output_tokens
        if self.tokens:
            rate = self.tokens / max(1e-9, time.monotonic() - self.started)
            self.bar.set_postfix_str(f"{self.tokens:,} tokens, {rate:,.0f}/s, {self.cached}", refresh=False)
        else:
            self.bar.set_postfix_str(self.cached, refresh=False)
        self.bar.update()

    def close(self) -> None:
        """Leave the bar as it stands."""
        self.bar.close()
