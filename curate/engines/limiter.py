"""How many requests a server is given at a time: more while it answers, half as many when it is overrun."""

from __future__ import annotations

from dataclasses import dataclass, field

FAST = 8  # rounds of full answers from 0 to the ceiling; a round is a whole trace: not one by one
NEAR = 0.75  # of where it was overrun: from here on one by one, because a request that is lost was half paid
ANSWERS_A_LOSS = 10  # a request that is lost now and then is an accident; one in ten is a server overrun


@dataclass
class Limiter:
    """Additive increase, multiplicative decrease, between 1 and `ceiling`. It begins at the ceiling.

    A request takes a ticket when it is sent. Of all requests that were under way when the limit was last cut
    none counts any more: sixty-four refusals of one moment are one piece of news.
    """

    ceiling: int
    limit: float = field(init=False)
    cuts: int = field(init=False, default=0)
    credit: int = field(init=False, default=0)  # answers that losses may be set against
    overrun_at: float = field(init=False)  # the limit that was too much the last time

    def __post_init__(self) -> None:
        self.limit = self.overrun_at = float(self.ceiling)

    @property
    def width(self) -> int:
        """The most requests there may be now."""
        return int(self.limit)

    def ticket(self) -> int:
        """For a request that is sent now."""
        return self.cuts

    def answered(self) -> None:
        """A full round of answers widens the limit by an eighth of the ceiling, by one where it is near."""
        step = max(1.0, self.ceiling / FAST) if self.limit < NEAR * self.overrun_at else 1.0
        self.limit = min(float(self.ceiling), self.limit + step / self.limit)
        self.credit = min(self.credit + 1, max(ANSWERS_A_LOSS, self.ceiling))

    def overrun(self, ticket: int) -> None:
        """The server said that it is too busy for the request with this ticket."""
        if ticket == self.cuts:
            self.overrun_at, self.limit = self.limit, max(1.0, self.limit / 2)
            self.cuts, self.credit = self.cuts + 1, 0

    def lost(self, ticket: int) -> None:
        """The request timed out, or its connection broke: too busy, where that is no rare accident."""
        if self.credit >= ANSWERS_A_LOSS:
            self.credit -= ANSWERS_A_LOSS
        else:
            self.overrun(ticket)
