"""Of several verdicts on a trace, the first that does not call the gold unsupported; free."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from curate.errors import UserError
from curate.schema import VERDICT
from curate.step import Verifier


@dataclass(frozen=True)
class Decided(Verifier):
    """Repeats one of the verdicts in `verdicts`, whole; judges nothing itself, and prefers none that passes.

    verdicts: the verifiers' columns, the narrow one first. A column says "unsupported" where the gold is not
    of its kind; one that has not judged the row counts as if it did. Where all do, the last verdict there is
    is repeated.
    """

    verdicts: tuple[str, ...] = ("choice", "math_equal", "exact")
    takes = {"verdicts": "verdicts"}
    examples = (
        (
            dict(
                choice={"passed": None, "why": "unsupported: the gold answer is no option"},
                math_equal={"passed": True, "score": 1.0, "extracted": "4", "why": "equal: boxed"},
                exact={"passed": False, "why": "different"},
            ),
            True,
        ),
        (dict(choice={"passed": False, "why": "different"}, exact={"passed": True, "why": "equal"}), False),
        (dict(choice=None, math_equal={"passed": None, "why": "timeout"}, exact={"passed": True}), None),
        (dict(exact={"passed": None, "why": "unsupported: nothing is left of the gold"}), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.verdicts) < 2:
            raise UserError(f"decided: verdicts names two columns or more, as a tuple, not {self.verdicts!r}")

    @property
    def columns(self) -> tuple[str, ...]:
        return self.verdicts

    def expr(self) -> pl.Expr:
        cases = []
        for name in self.verdicts:
            why = pl.col(name).struct.field("why")
            cases.append(pl.when(why.is_not_null() & ~why.str.starts_with("unsupported")).then(pl.col(name)))
        last = [pl.col(name) for name in reversed(self.verdicts)]
        nobody = pl.lit(dict.fromkeys(VERDICT.to_schema()) | {"why": "unsupported: not judged"}, VERDICT)
        return pl.coalesce(*cases, *last, nobody)
