"""Numbers with units and ordered lists are judged as their pages say; no text disturbs the checks of form."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import UserError
from curate.maths.amounts import amount
from curate.step import Verdict, Verifier
from curate.verifiers.json_equal import JsonEqual
from curate.verifiers.numeric import Numeric
from curate.verifiers.ordered_list import OrderedList
from curate.verifiers.think_format import ThinkFormat


def judge(verifier: Any, **row: Any) -> Verdict:
    """The verdict in this process, with nulls for what is not given."""
    return verifier.row({column: row.get(column) for column in verifier.columns})


def boxed(verifier: Verifier, gold: str | None, said: str) -> bool | None:
    return judge(verifier, response=rf"So \boxed{{{said}}}", answer=gold).passed


AMOUNTS = {
    "1.2 × 10^{-3}": "0.0012", "1.2e-3": "0.0012", "6.02·10²³": "6.02e23", "10^5": "100000",
    "1,234.5": "1234.5",
    "-7": "-7", "−7": "-7", "3/4": "0.75", r"\frac{3}{4}": "0.75", "1 1/2": "1.5", "≈ 2.5": "2.5",
    "x = 5": "5",
    "5 ± 0.1": "5", "about 12": "12", "299 792 458": "299792458", ".5": "0.5", "+4.": "4", "2.5E+3": "2500",
    r"1.5 \times 10^{-19}": "1.5e-19", r"\(8\)": "8", "**8**": "8", "2\u00a0000": "2000",
}  # fmt: skip


@pytest.mark.parametrize("text", AMOUNTS)
def test_a_number_is_read_exactly_however_it_is_written(text: str) -> None:
    found = amount(text)
    assert found is not None and found.value == Fraction(AMOUNTS[text]) and found.unit is None


@pytest.mark.parametrize(
    "text", ["", "x", "1, 2", "4:3", "5x", "see figure", "1/0", "9**9**9**9", "nan", "inf", "3 m 4"]
)
def test_what_is_no_single_number_is_none(text: str) -> None:
    assert amount(text) is None


def test_an_expression_without_unknowns_has_its_value() -> None:
    assert float(amount(r"2\sqrt{3} cm").value) == pytest.approx(2 * 3**0.5)  # type: ignore[union-attr]
    assert float(amount(r"3\pi/4").value) == pytest.approx(3 * math.pi / 4)  # type: ignore[union-attr]


NUMERIC = [
    # gold, said, verdict under the defaults
    ("9.8", "9.81", False), ("9.81", "9.8", False), ("9.81", "9.807", True), ("3.14159", "3.1416", True),
    ("100", "101", False), ("1000", "1000.4", True), ("12", "11.9999", True), ("0", "0", True), ("0",
     "0.0001", False),
    ("10 m/s", r"36\ \text{km/h}", True), ("10 m/s", r"36\ \text{mph}", False), ("1 h", "60 min", True),
    ("2.5 h", "2 h 30 min", True), ("98.6 °F", "37 °C", True), ("25 °C", "298.15 K", True), ("25 °C",
     "25 degrees", True),
    ("25 °C", "25", True), ("25 °C", "77", False), ("5 cm", "5", True), ("5", "5 cm", True), ("5 cm",
     "50 mm", True),
    ("5 cm", "5 mm", False), ("5 cm", "5 kg", False), ("$5", "500 cents", True), ("$5", "€5", False),
     ("$5", "5", True),
    ("50%", "0.5", True), ("50%", "50", False), ("0.5", r"50\%", True), ("50", r"50\%", False),
     ("3 million", "3000000", True),
    ("3000000", r"\$3 \text{ million}", True), ("3", r"\$3 \text{ million}", False),
    ("3000000", "3 million dollars", True), ("$3 million", "3000000", True), ("$3 million", "$3000000", True),
    ("3000000", "3 million km", True), ("3 million", "3 million km", True), ("3000", "3 km", False),
    ("30000", "3万元", True), ("3000000", "€3 million", True), ("$3000000", "€3 million", False),
    ("5 kg", "5 apples", False), ("5 kg", r"5\text{ red apples}", False), ("5 apples", "5 kg", False),
    ("$5", "5 people", False), ("12", "12 apples", True), ("12 pears", "12 apples", True), ("5 kg", "5 units",
     True),
    ("25 cm^2", "25 square units", True), ("5 kg", "5 kg of apples", True), ("5 m", "5 metros", True),
    ("5 hours", "5 total hours", True), ("5 hours", "5 working hours", True),
    ("5 hours", "5 man-hours", True), ("5 kg", "5 more-or-less apples", False),
    ("3 miles", "3 more miles", True), ("5 hours", "5 business days", True),
    ("2 H", "2 henrys", True), ("5 yen", "5 yens", True), ("4", "4 hundred-dollar bills", True),
    ("4", "4 hundred dollar bills", True), ("4", "4 hundred dollars", False),
    ("400", "4 hundred dollars", True),
    ("5 kg", "5 approximately", True), ("5%", "0.05 apples", True),
    ("1.5e-19 C", r"1.5 \times 10^{-19}\ \text{C}", True), ("7 apples", "7", True), ("7 apples", "8", False),
    ("180°", r"\pi \text{ rad}", True), ("30°", "30 rad", False), ("1 kWh", "3.6 MJ", True), ("1 atm",
     "101.3 kPa", True),
    ("5 m^2", "5 m", False), (r"\frac{\pi}{6}", "30°", True), ("30°", "0.5236", True),
    ("1538832.0", "1538910", False),
    (r"\sqrt{2} \approx 1.4", "1.41421", True), (r"\sqrt{2} \approx 1.4", "1.4", False),
    ("9.0", "9.004", True), ("-3", "3", False), ("1/3", "0.3333", True), ("1/3", "0.33", False),
     ("2 mol/L", "2 M", True),
    ("10 N", r"10\ \mathrm{kg\cdot m/s^2}", True), ("6 ft", "72 in", True), ("x = 5", "5", True), ("5",
     "no idea", False),
    ("6pi", r"6\pi", True), (r"6\pi", "6pi cm", True), ("2pi rad", r"2\pi", True), ("6pi", "6", False),
    ("5", "4 or 5", False), ("see figure", "5", None), ("", "5", None), (None, "5", None), ("1, 2", "1",
     None),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "said", "want"), NUMERIC)
def test_a_number_under_the_defaults(gold: str | None, said: str, want: bool | None) -> None:
    assert boxed(Numeric(), gold, said) is want


SPOKEN = [
    ("2.5 h", "It takes 2 h 30 min.", True), ("5.25 ft", "She is 5 ft 3 in tall.", True),
    ("-8", "It is $-8$.", True),
    ("3.00e8 m/s", "Thus c ≈ 2.998 × 10^8 m/s.", True), ("298.15 K", "The temperature is 25 °C.", True),
    ("10 m/s", "The final answer is 36 kilometers per hour, as expected.", True), ("8", "3 + 5 = 8", True),
    ("3000000", "He has 3 million dollars.", True),
    ("3", "The answer is 3萬.", False), ("30000", "The answer is 3萬.", True),
    ("200000000", r"\boxed{2億}", True), ("3元", r"\boxed{3萬元}", False),
    ("4", "So he needs 4 hundred-dollar bills.", True),
    ("5", "He has 5 hundred dollar bills.", True),
    ("12 N·m", r"It is \boxed{12}\text{ N·m}", True), ("70 kg", "He weighs 70 as shown.", True),
    ("7 cm", r"It is \boxed{7}\text{ m}", False), ("700 cm", r"It is \boxed{7}\text{ m}", True),
    ("12.5", "The total is **$12.50**.", True), ("5", "There are 3 cats and 5 dogs.", True),
    ("3", "3 cats and 5", False),
    ("10 m/s", "The speed is 36 mph.", False), ("5", "I do not know.", False),
    ("42", "The answer is either 41 or 42.", False),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "said", "want"), SPOKEN)
def test_an_unmarked_number_has_all_that_belongs_to_it(gold: str, said: str, want: bool) -> None:
    assert judge(Numeric(), response=said, answer=gold).passed is want


def test_the_policies_of_numbers() -> None:
    assert boxed(Numeric(relative=0.05), "100.5", "104") and not boxed(Numeric(relative=0.05), "100.5", "106")
    assert not boxed(Numeric(relative=0.05), "100", "104") and boxed(
        Numeric(relative=0.05, whole="tolerant"), "100", "104"
    )
    assert boxed(Numeric(absolute=0.5), "0", "0.4") and boxed(Numeric(absolute=0.5), "10 cm", "0.1045 m")
    assert boxed(Numeric(digits=3), "9.81", "9.814") and not boxed(Numeric(digits=3), "9.81", "9.816")
    assert boxed(Numeric(digits=2), "0.00123", "0.00124") and not boxed(Numeric(digits=2), "-9.8", "9.8")
    assert boxed(Numeric(missing_unit="different"), "5 cm", "5") is False
    assert boxed(Numeric(percent="either"), "50%", "50") and boxed(Numeric(percent="either"), "50%", "0.5")


def test_a_tolerance_below_nothing_is_refused() -> None:
    for wrong in ({"relative": -1.0}, {"absolute": -1.0}, {"digits": 0}):
        with pytest.raises(UserError, match="0 or more"):
            Numeric(**wrong)
    for both in ({"relative": 0.1}, {"absolute": 0.5}):
        with pytest.raises(UserError, match="digits=2 beside .* in place of both"):
            Numeric(digits=2, **both)


@given(
    st.integers(-(10**12), 10**12),
    st.integers(-20, 20),
    st.sampled_from(["m", "kg", "J", "°C", "$", "%", "apples", ""]),
)
def test_a_number_is_itself_and_not_its_negative(digits: int, power: int, name: str) -> None:
    text = rf"{digits} \times 10^{{{power}}} \text{{{name}}}" if name else f"{digits}e{power}"
    text = text.replace("%", r"\%").replace("$", r"\$")
    assert boxed(Numeric(), text, text) is True
    assert boxed(Numeric(), text, text[1:] if digits < 0 else f"-{text}") is (digits == 0)


@given(st.floats(0.001, 1e6), st.floats(0, 0.01))
def test_the_tolerance_is_where_it_is_said_to_be(gold: float, off: float) -> None:
    said = gold * (1 + off)
    inside = abs(Fraction(str(said)) - Fraction(str(gold))) <= Fraction(0.005) * Fraction(str(gold))
    assert boxed(Numeric(relative=0.005, whole="tolerant"), str(gold), str(said)) is inside


@given(
    st.floats(1, 1e5),
    st.sampled_from([("km", "m", 1000), ("h", "s", 3600), ("kg", "g", 1000), ("ft", "in", 12)]),
)
def test_another_unit_of_a_kind_is_converted_both_ways(value: float, units: tuple[str, str, int]) -> None:
    large, small, factor = units
    one, other = f"{value:.6f} {large}", f"{value * factor:.6f} {small}"
    assert boxed(Numeric(), one, other) is boxed(Numeric(), other, one) is True


LISTS = [
    ("1, 2, 3", "1, 2, 3", True), ("[1, 2, 3]", "(1, 2, 3)", True), ("[0.5, 3]", r"\frac{1}{2}, 3", True),
    ("1, 2, 3", "1, 3, 2", False), ("1, 2, 3", "1, 2", False), ("1, 2", "1, 2, 3", False),
    ('["a", "b"]', "A, B", True),
    ("a > b > c", "a, b, c", True), ("a -> b -> c", "a, b and c", True), ("(1, 2), (3, 4)", "(1,2);(3,4)",
     True),
    ("(1, 2), (3, 4)", "(2,1);(3,4)", False), ("x", "x", True), (r"\{1, 2\}", "1,2", True), (r"a \to b",
     "a→b", True),
    ("[]", "1", None), ("", "1", None), (None, "1", None), ("France, Spain, Italy",
     "France, Spain, and Italy", True),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "said", "want"), LISTS)
def test_an_ordered_list(gold: str | None, said: str, want: bool | None) -> None:
    assert boxed(OrderedList(), gold, said) is want


def test_a_list_is_found_without_a_mark_and_its_share_is_scored() -> None:
    lines = "The order:\n\n1. ant\n2. bee\n3. cat\n\nThat is all."
    assert judge(OrderedList(), response=lines, answer="ant, bee, cat").passed
    assert judge(OrderedList(), response="- ant\n- bee", answer="ant, cat").score == 0.5
    assert judge(OrderedList(), response="It is [3, 1, 2]", answer="3, 1, 2").passed is not None
    assert judge(OrderedList(), response='["b", "a"]', answer='["b", "a"]').passed
    assert judge(OrderedList(), response="", answer="1, 2").passed is False


@given(st.lists(st.integers(0, 99), min_size=2, max_size=8, unique=True), st.randoms(use_true_random=False))
def test_a_list_is_itself_and_no_other_order_of_it(items: list[int], dice: Any) -> None:
    other = items[:]
    dice.shuffle(other)
    for write in (lambda xs: ", ".join(map(str, xs)), json.dumps, lambda xs: " > ".join(map(str, xs))):
        assert boxed(OrderedList(), write(items), write(other)) is (items == other)


HOSTILE = ["\x00", "{" * 50_000, "[" * 50_000, "\\boxed{" * 20_000, "<think>" * 50_000, "1" * 100_000,
           "9" * 5000, "`" * 60_000,
           "1e999999999", "10^{999}",
           "-" * 60_000, "$" * 60_000, "```json\n" * 20_000, "a, " * 60_000, "\ud800",
           "1 " * 60_000, "[1," * 40_000, "1. a\n" * 20_000, "\u202e3", "٣",
           "{\"a\":" * 9_000, "^" * 40_000]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{i}" for i in range(len(HOSTILE))])
@pytest.mark.parametrize(
    "verifier", [Numeric(), OrderedList(), JsonEqual(), ThinkFormat()], ids=lambda v: v.name
)
@pytest.mark.timeout(20)
def test_no_text_makes_a_verifier_raise_or_hang(verifier: Verifier, text: str) -> None:
    for row in (
        {"response": text, "answer": "5"},
        {"response": "5", "answer": text},
        {"response": f"\\boxed{{{text}}}", "answer": text, "thinking": text},
    ):
        assert judge(verifier, **row).why.split(":")[0].isidentifier()


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_pair_of_texts_makes_them_raise(one: str, other: str) -> None:
    for verifier in (Numeric(), OrderedList(), JsonEqual(), ThinkFormat()):
        judge(verifier, response=one, answer=other, thinking=other)
