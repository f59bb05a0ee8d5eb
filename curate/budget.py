"""What a call costs, and whether there is money left for one more.

A budget is of a run folder: what earlier runs on it have spent counts, so that a command which is given again
after a crash never costs more than it says. Before a call is made, room is left for those in flight, each
taken to cost what a call of this step has cost on average, in earlier runs too; so little more is spent than
was allowed. While no call of it has been paid, one is made at a time.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real

from curate.errors import BudgetSpent, UserError, near

Price = tuple[float, float]
"""USD per million tokens, in and out."""
Prices = Price | Mapping[str, Price] | None
"""One price for every model, or model → price."""


def prices(price: Prices, models: Collection[str]) -> dict[str, Price]:
    """model → price: one price is that of every model, a mapping names them."""
    if price is None:
        return {}
    said = dict(price) if isinstance(price, Mapping) else dict.fromkeys(models, price)
    for model, pair in said.items():
        if model not in models:
            raise UserError(f"a price is given for {model!r}, which nothing here asks; {near(model, models)}")
        known = isinstance(pair, Sequence) and len(pair) == 2
        if not (known and all(isinstance(usd, (int, float)) and 0 <= usd < math.inf for usd in pair)):
            raise UserError(
                f"price={pair!r} is no price: give USD per million tokens in and out, like (0.5, 2.0)"
            )
    return {model: (float(usd_in), float(usd_out)) for model, (usd_in, usd_out) in said.items()}


@dataclass
class Budget:
    """`tokens` and `usd` bound what the folder may cost, None does not; `prices` are by model.

    spent_tokens, spent_usd: so far, earlier runs included.
    """

    tokens: int | None = None
    usd: float | None = None
    prices: dict[str, Price] = field(default_factory=dict)
    spent_tokens: int = 0
    spent_usd: float = 0.0
    stopped: bool = False
    closed: bool = False
    _in_flight: int = 0
    _calls: int = 0  # of this step
    _used: float = 0.0  # by them, as a share of the budget
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name, bound in (("budget_tokens", self.tokens), ("budget_usd", self.usd)):
            if bound is not None and (isinstance(bound, bool) or not (isinstance(bound, Real) and bound > 0)):
                raise UserError(f"{name}={bound} buys nothing; give a number above 0, or none")

    def open_door(self, calls: int, tokens: int, usd: float) -> None:
        """Another step begins, whose earlier calls were so many and have cost so much."""
        self._in_flight, self._waiting = 0, []
        self._calls = calls if tokens else 0  # where none was told, the first call shall find out
        self._used = self._share(tokens, usd)

    async def begin(self) -> None:
        """Takes a place in the budget for one call. BudgetSpent, once no call is in flight any more."""
        while not self._covers_one_more():
            if not self._in_flight:
                self.stopped = True
                raise BudgetSpent(self.sentence())
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        if self.closed:
            raise asyncio.CancelledError
        self._in_flight += 1

    def close(self) -> None:
        """No call begins any more, even while scripts that block the loop keep it from being cancelled."""
        self.closed = True

    def end(self) -> None:
        """The call that has begun is at its end, paid or failed."""
        self._in_flight -= 1
        waiting, self._waiting = self._waiting, []
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)

    def _covers_one_more(self) -> bool:
        if self.tokens is None and self.usd is None:
            return True
        used = self._share(self.spent_tokens, self.spent_usd)
        if used >= 1:
            return False
        if not (self._in_flight and self._calls):
            return not self._in_flight
        return used + self._used / self._calls * (self._in_flight + 1) <= 1

    def _share(self, tokens: int, usd: float) -> float:
        of_tokens = tokens / self.tokens if self.tokens else 0.0
        return max(of_tokens, usd / self.usd if self.usd else 0.0)

    def counts(self, model: str) -> bool:
        """Whether the tokens of a call of this model have to be known for the budget to be kept."""
        return self.tokens is not None or (self.usd is not None and any(self.prices[model]))

    def pay(self, model: str, prompt_tokens: int, output_tokens: int) -> float | None:
        """Count one call; answers what it cost in USD, where that is known."""
        usd = None
        if model in self.prices:
            usd_in, usd_out = self.prices[model]
            usd = (prompt_tokens * usd_in + output_tokens * usd_out) / 1e6
        tokens = prompt_tokens + output_tokens
        self.spent_tokens, self.spent_usd = self.spent_tokens + tokens, self.spent_usd + (usd or 0.0)
        self._calls, self._used = self._calls + 1, self._used + self._share(tokens, usd or 0.0)
        return usd

    def sentence(self) -> str:
        """What is spent of what was allowed."""
        said = []
        if self.tokens is not None:
            said.append(f"{self.spent_tokens:,} of {self.tokens:,} tokens")
        if self.usd is not None:
            said.append(f"{self.spent_usd:.4f} of {self.usd:.4f} USD")
        return (
            f"the budget is spent ({' and '.join(said)}); every answer is kept: "
            "run the same command with a larger budget to go on"
        )
