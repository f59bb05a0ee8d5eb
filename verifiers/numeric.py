"""The number in the response is the gold number, within a tolerance and in any unit of the same kind."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from curate.answers import final_value, gold_of, scaled_value
from curate.errors import UserError
from curate.maths.amounts import Amount, amount
from curate.maths.units import unit
from curate.schema import Row
from curate.step import Verdict, Verifier


@dataclass(frozen=True)
class Numeric(Verifier):
    r"""For measured and computed answers; MathEqual is for exact ones. Abstains for a gold that is no number.

    relative, absolute: the larger of both is allowed; absolute is in the unit of the gold. digits: in place
    of both, the answer is within half a unit of the gold's so many-th significant digit. whole: "exact"
    lets two numbers that are written as whole ones (5, 5.0) be equal only where they are
    the same, "tolerant" treats them as all others. missing_unit: whether 5 is 5 cm. percent: "value" reads
    50% as 0.5, "either" also as 50. A unit is converted (curate/maths/units.py); one of another kind, or
    another currency, is different. A plain degree is the gold's degree where the gold is a temperature.
    What is counted is not compared (5 apples, 5 pears), but apples are no kilograms. 5 ± 0.1 is 5.
    """

    relative: float = 1e-3
    absolute: float = 0.0
    digits: int | None = None
    whole: Literal["exact", "tolerant"] = "exact"
    missing_unit: Literal["equal", "different"] = "equal"
    percent: Literal["value", "either"] = "value"
    timeout_s: float = 5.0
    memory_mb: int = 2048
    reflexive = r"\boxed{%s}"
    version = 9
    reads = ("response", "answer")
    examples = (
        (dict(response=r"so \boxed{9.8\text{ m/s}^2}", answer="9.8066 m/s^2"), True),
        (dict(response=r"\boxed{36\text{ km/h}}", answer="10 m/s"), True),
        (dict(response=r"\boxed{6.022 \times 10^{23}}", answer="6.02214076e23"), True),
        (dict(response=r"\boxed{101}", answer="100"), False),
        (dict(response=r"\boxed{10\text{ kg}}", answer="10 m/s"), False),
        (dict(response="I cannot tell.", answer="10"), False),
        (dict(response=r"\boxed{10}", answer="a prime number"), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.relative < 0 or self.absolute < 0 or (self.digits is not None and self.digits < 1):
            raise UserError(
                f"numeric has relative={self.relative}, absolute={self.absolute}, digits={self.digits}: "
                "tolerances are 0 or more, digits 1 or more"
            )
        if self.digits is not None and (self.relative, self.absolute) != (
            type(self).relative,
            type(self).absolute,
        ):
            raise UserError(
                f"numeric has digits={self.digits} beside relative={self.relative} and "
                f"absolute={self.absolute}: it stands in place of both; leave out digits, or the others"
            )

    def row(self, row: Row) -> Verdict:
        if row["answer"] is None:
            return Verdict(None, "no_gold")
        if not row["answer"].strip():
            return Verdict(None, "gold_invalid: it is empty")
        gold = amount(gold_of(row["answer"]).strip())
        if gold is None:
            return Verdict(None, "unsupported: the gold answer is not a number")
        said = final_value(row["response"] or "")
        if said is None:
            return Verdict(False, "no_answer")
        if said.several:
            return Verdict(False, "several_answers", said.text[:200])
        text = (
            gold_of(said.text)
            if said.where in ("boxed", "tag", "json", "hashes")
            else _whole(said.text, row["response"])
        )
        found = amount(text)
        if found is None:
            return Verdict(False, "different: the answer is not a number", text[:200])
        note = self.differs(gold, found)
        scaled = scaled_value(row["response"]) if note else None
        if scaled and (more := amount(scaled)) and not self.differs(gold, more):
            note, text = "", scaled
        return Verdict(not note, f"different: {note}" if note else f"equal: {said.where}", text)

    def differs(self, gold: Amount, said: Amount) -> str:
        """What sets the two apart, or nothing."""
        if gold.unit and said.unit and gold.unit.offset and said.unit == unit("°"):
            said = said._replace(unit=gold.unit)
        sides = [a.unit if a.unit and a.unit.dimension else None for a in (gold, said)]
        if bool(sides[0]) != bool(sides[1]):
            if gold.counted or said.counted:
                return "another kind of unit"
            gold, said = (a._replace(value=a.value * a.scale) for a in (gold, said))
        left, right = (_number(a) for a in (gold, said))
        if sides[0] and sides[1]:
            if sides[0].dimension != sides[1].dimension:
                return "another kind of unit"
            si = right * Fraction(sides[1].factor) + Fraction(sides[1].offset)
            right = (si - Fraction(sides[0].offset)) / Fraction(sides[0].factor)
        elif self.missing_unit == "different" and (sides[0] or sides[1]):
            return "a unit is missing"
        whole = self.whole == "exact" and gold.whole and said.whole and gold.unit == said.unit
        if self._close(left, right, whole):
            return ""
        if (sides[0] is None) != (sides[1] is None) and self._close(_turned(gold), _turned(said), whole):
            return ""
        percent = [bool(a.unit and a.unit.percent) for a in (gold, said)]
        if self.percent == "either" and percent[0] != percent[1]:
            whole = self.whole == "exact" and gold.whole and said.whole
            return "" if self._close(gold.value, said.value, whole) else "another number"
        return "another number"

    def _close(self, gold: Fraction, said: Fraction, whole: bool) -> bool:
        if whole or gold == said:
            return gold == said
        if self.digits is not None:
            return bool(gold) and abs(gold - said) <= _last_place(gold, self.digits) / 2
        return abs(gold - said) <= max(Fraction(self.absolute), Fraction(self.relative) * abs(gold))


def _turned(amount: Amount) -> Fraction:
    """The value with an angle in radians: 30° is π/6."""
    is_angle = amount.unit is not None and amount.unit.dimension == (("rad", 1),)
    return amount.value * Fraction(amount.unit.factor) if is_angle and amount.unit else _number(amount)


_STARTS = re.compile(r"(?<![\w.,^{/])(?:[-−+]\s?)?(?:\\?\$|[€£¥₹])?(?=\.?\d)")
_WORDS = re.compile(r"\s+|$")


def _whole(said: str, response: str) -> str:
    """An unmarked value with all that belongs to it: of "in 2 h 30 min." not 30 alone, of 3 × 10^8 not 10."""
    tail = response[-600:]
    at = tail.rfind(said)
    for start in _STARTS.finditer(tail, max(0, at - 40), at + 1) if at >= 0 and len(said) < 80 else ():
        text = tail[start.start() : start.start() + 100].partition("\n")[0]
        ends = [cut.start() for cut in _WORDS.finditer(text)][:8]
        for end in reversed(ends):
            if start.start() + end >= at + len(said) and amount(text[:end].rstrip(".,;:!")):
                return text[:end].rstrip(".,;:!")
    return said


def _number(amount: Amount) -> Fraction:
    """The value, in its own unit where that has a dimension; 50% and 3 million are plain numbers."""
    if amount.unit and not amount.unit.dimension:
        return amount.value * Fraction(amount.unit.factor)
    return amount.value


def _last_place(value: Fraction, digits: int) -> Fraction:
    """What one unit of the so many-th significant digit of a number is worth."""
    value, power = abs(value), len(str(abs(value.numerator))) - len(str(value.denominator))
    while Fraction(10) ** power > value:
        power -= 1
    while Fraction(10) ** (power + 1) <= value:
        power += 1
    return Fraction(10) ** (power - digits + 1)
