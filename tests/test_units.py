"""Units are worth what their definitions say, however they are written."""

from __future__ import annotations

from fractions import Fraction as F

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.maths.units import LONGEST, Unit, unit
from curate.verifiers.math_equal import MathEqual
from curate.verifiers.numeric import Numeric


def of(text: str) -> Unit:
    found = unit(text)
    assert found is not None, text
    return found


EXACT = {
    "in": "0.0254", "foot": "0.3048", "yards": "0.9144", "mile": "1609.344", "nautical miles": "1852",
    "lb": "0.45359237", "oz": "0.028349523125", "g": "0.001", "tonnes": "1000", "ton": "907.18474",
    "gallon": "0.003785411784", "L": "0.001", "mL": "0.000001", "cc": "0.000001",
    "tbsp": "0.00001478676478125",
    "min": "60", "hours": "3600", "day": "86400", "week": "604800", "year": "31557600", "months": "2629800",
    "eV": "0.0000000000000000001602176634", "keV": "0.0000000000000001602176634", "cal": "4.184",
    "kcal": "4184", "kWh": "3600000", "hp": "745.69987158227022", "BTU": "1055.05585262",
    "bar": "100000", "atm": "101325", "kPa": "1000", "hPa": "100", "acre": "4046.8564224",
    "hectares": "10000",
    "cm^3": "0.000001", "square feet": "0.09290304", "cubic inches": "0.000016387064",
    "N": "1", "kN": "1000", "μF": "0.000001", "kΩ": "1000", "mmol": "0.001",
    "light-years": "9460730472580800",
    "Å": "0.0000000001", "GHz": "1000000000", "bytes": "8", "KiB": "8192", "mg/dL": "0.01", "g/cm^3": "1000",
    "ppm": "0.000001", "million": "1000000", "dozen": "12", "million dollars": "1000000", "cents": "0.01",
}  # fmt: skip


@pytest.mark.parametrize("text", EXACT)
def test_a_definition_is_exact(text: str) -> None:
    assert of(text).factor == F(EXACT[text]) and isinstance(of(text).factor, F)


def test_what_has_no_finite_decimal_is_exact_too() -> None:
    assert of("km/h").factor == F(5, 18) and of("knots").factor == F(1852, 3600)
    assert of("Torr").factor == F(101325, 760) and of("°F").factor == F(5, 9)
    assert of("psi").factor == F("4.4482216152605") / F("0.0254") ** 2


@pytest.mark.parametrize(
    ("text", "value", "kelvin"),
    [("°C", 0, "273.15"), ("degrees Celsius", 100, "373.15"), (r"^\circ\text{F}", 32, "273.15"),
     ("degrees F", 212, "373.15"), ("℃", 25, "298.15"), ("K", 5, "5"), (r"^{\circ}\mathrm{C}", -40, "233.15"),
     (r"^\circ F", -40, "233.15"), ("degrees centigrade", 1, "274.15"), ("摄氏度", 0, "273.15")],
)  # fmt: skip
def test_a_temperature_has_its_zero(text: str, value: int, kelvin: str) -> None:
    found = of(text)
    assert value * found.factor + found.offset == F(kelvin) and found.dimension == (("K", 1),)


def test_a_degree_inside_a_compound_is_a_difference() -> None:
    assert of("J/(kg °C)") == of("J/(kg K)") and of("J/(kg °C)").offset == 0


def test_an_angle() -> None:
    degree, radian = of("°"), of("rad")
    assert degree.dimension == radian.dimension == (("rad", 1),)
    assert 180 * degree.factor == pytest.approx(3.141592653589793 * radian.factor)
    for text in ("degrees", "degree", "deg", r"^\circ", r"^{\circ}", r"\degree", "\\text{ degrees}", "度"):
        assert of(text) == degree
    assert of("rad/s") == of("1/s")


def test_a_percentage_is_flagged_and_other_numbers_are_not() -> None:
    for text in ("%", r"\%", "percent", "per cent", "percentage points", r"\text{ percent}"):
        assert of(text) == Unit(F(1, 100), (), F(0), True)
    assert not of("ppm").percent and of("ppm").dimension == ()


def test_money_converts_within_a_currency_only() -> None:
    assert of("$") == of(r"\$") == of("dollars") == of("USD") == of("US dollars") == of(r"\text{ dollars}")
    assert of("cents").factor * 100 == of("dollar").factor
    assert of("pence").dimension == of("£").dimension == of("GBP").dimension
    assert len({of(sign).dimension for sign in "$€£¥₹₽"}) == 6
    assert of("pounds").dimension == (("kg", 1),), "a pound is a mass; of money it is £ or sterling"
    assert of("pounds sterling") == of("£") and of("元") == of("yuan")
    assert of("dollars per hour").dimension == (("USD", 1), ("s", -1)) == of("$/h").dimension


SAME = [
    ("m/s^2", r"\text{m/s}^2", r"m s^{-2}", "metres per second squared", "meters per second per second",
     "m/s²",
     "m·s⁻²", r"\frac{\text{m}}{\text{s}^2}", r"\mathrm{m\,s^{-2}}", r"\metre\per\second\squared", "m s-2",
     "$m/s^2$", r"\dfrac{m}{s^2}", "m/s/s", "m/s2", "m / s ^ 2", "м/с²", "米/秒²",
     r"\text{ meters}/\text{second}^2"),
    ("km/h", "kph", "kmh", r"\text{ km/h}", "kilometers per hour", r"\kilo\meter\per\hour",
    "kilometres an hour", "km h^{-1}",
     "km / hr",
     "千米/时", "公里/小时", "км/ч", r"\mathrm{km/h}", "km per hour"),
    ("kg m^2/s^2", r"\mathrm{kg\cdot m^2/s^2}", "J", "joules", "N m", "N·m", r"N \cdot m", "newton-meters",
     "W s",
     "kg*m**2/s**2", "C V", "Pa m^3", "newton metre"),
    ("cm^2", "cm²", "cm2", "square centimeters", "sq cm", "sq. cm", "centimetres squared", r"\text{cm}^2",
     r"\text{ cm}^{2}", "cm^{2}", "平方厘米", "㎠", "square cm", r"\ \mathrm{cm}^2",
     r"\text{ square centimeters}"),
    ("kg/m^3", "kg m^-3", "kg·m⁻³", "g/L", "kilograms per cubic meter", r"\frac{kg}{m^3}", "kg/m3", "mg/mL"),
    ("J/(kg K)", "J/kg·K", "J/kg K", "J kg^-1 K^-1", "joules per kilogram kelvin", "J/(kg·°C)", "J/kg/K"),
    ("mph", "miles per hour", "mi/h", "MPH", "m.p.h.", "miles an hour", "mile/hr"),
    ("kWh", "kilowatt-hours", "kilowatt hours", "kW h", r"kW\cdot h", "kW*hr"),
    ("ft", "feet", "foot", "ft.", r"\text{ ft}", r"\mbox{ feet}", "FT", "Feet"),
    ("L", "l", "liters", "litres", "dm^3", "ℓ", r"\ell", "cubic decimetre"),
    ("kg", "Kg", "KG", "kgs", "kilograms", "kilogrammes", "千克", "公斤", "кг", "㎏"),
    ("h", "hr", "hrs", "hour", "hours", "Hours", "hr."), ("μs", "µs", r"\mu s", r"\mu\text{s}",
     "microseconds"),
    ("kΩ", r"k\Omega", r"\text{k}\Omega", r"\,\mathrm{k\Omega}", "kiloohms", "kohm", "kΩ"),
    ("ft^3/min", "cubic feet per minute", "cu ft/min", "ft³/min", "cu. ft. per min."),
    ("psi", "pounds per square inch", "lbf/in^2", "lbs per sq in", "lb/sq in"),
]  # fmt: skip


@pytest.mark.parametrize("texts", SAME, ids=[texts[0] for texts in SAME])
def test_one_unit_is_one_however_it_is_spelt(texts: tuple[str, ...]) -> None:
    assert {text: unit(text) for text in texts} == dict.fromkeys(texts, of(texts[0]))


@pytest.mark.parametrize(
    "text",
    ["apples", "students", "people", "units", "square units", "", " ", "per", "m^", "m/", "/", "3 m", "5",
    "x", "xy",
     "apples per day", "million people", "hours and minutes", "m^99", "(m", "m)", "m^{2", r"\frac{m}{",
     r"\text{", "()",
     "$$", "^2", "square", "m, s", "m = s", "hours:minutes", "the", "of", r"\pm", r"\in", r"\min", "ds",
     "m^x", "\x00", "🙂", "k",
     "μ", "c"],
)  # fmt: skip
def test_what_is_no_unit_is_none(text: str) -> None:
    assert unit(text) is None


def test_a_long_text_is_none_at_once() -> None:
    assert unit("m" * (LONGEST + 1)) is None and unit("m " * 1_000_000) is None
    assert unit("(" * 40 + "m" + ")" * 39) is None and unit("m^" * 40) is None
    assert unit("pc^12 " * 13) is None and unit("YB" * 40) is None


BASES = [
    "m",
    "s",
    "kg",
    "A",
    "ft",
    "oz",
    "N",
    "Pa",
    "eV",
    "mi",
    "h",
    "gal",
    "€",
    "bit",
    "mol",
    "min",
    "°C",
    "atm",
]
LETTERS = {"k": 1000, "M": 10**6, "G": 10**9, "m": F(1, 1000), "μ": F(1, 10**6), "n": F(1, 10**9)}
WORDS = {
    "kilo": 1000,
    "mega": 10**6,
    "giga": 10**9,
    "milli": F(1, 1000),
    "micro": F(1, 10**6),
    "nano": F(1, 10**9),
}


@given(st.sampled_from(sorted(LETTERS)), st.sampled_from(["Hz", "J", "W", "V", "Ω"]), st.integers(1, 4))
def test_a_prefix_scales_and_is_raised_with_its_unit(prefix: str, base: str, power: int) -> None:
    scaled = of(f"{prefix}{base}^{power}")
    assert scaled.factor == LETTERS[prefix] ** power * of(base).factor ** power
    assert scaled.dimension == of(f"{base}^{power}").dimension


@given(
    st.sampled_from(sorted(WORDS)),
    st.sampled_from(["meter", "gram", "second", "watt", "joule", "volt", "byte"]),
)
def test_a_spoken_prefix_scales(prefix: str, base: str) -> None:
    assert of(prefix + base).factor == of(prefix + base + "s").factor == WORDS[prefix] * of(base).factor


@given(st.sampled_from(BASES), st.sampled_from(BASES))
def test_a_quotient_undoes_a_product(one: str, other: str) -> None:
    both = of(f"{one}*{other}")
    assert both == of(f"{other} {one}") == of(f"{one}·{other}") and both.offset == 0
    back = of(f"({one}*{other})/{other}")
    assert back[:2] == of(one)[:2]
    assert of(f"{one}/{other}") == of(f"{one} {other}^-1") == of(rf"\frac{{{one}}}{{{other}}}")
    same = of(f"{one}/{one}")
    assert same.factor == 1 and same.dimension == ()


@given(
    st.sampled_from(BASES),
    st.integers(-4, 4).filter(bool),
    st.sampled_from(["%s^%d", "%s^{%d}", "%s**%d", "%s ^ %d"]),
)
def test_a_power_multiplies_the_dimension(base: str, power: int, form: str) -> None:
    raised = of(form % (base, power))
    assert raised.factor == of(base).factor ** power
    assert raised.dimension == tuple((b, p * power) for b, p in of(base).dimension)


WRAPS = [
    "%s",
    " %s ",
    r"\text{%s}",
    r"\mathrm{ %s}",
    r"\,\mathrm{%s}",
    r"\ \text{ %s }",
    "%s.",
    "$%s$",
    r"\(%s\)",
    r"~\mbox{%s}",
]


@given(st.sampled_from(sorted(EXACT)), st.sampled_from(WRAPS))
def test_what_sets_the_type_changes_nothing(text: str, wrap: str) -> None:
    assert unit(wrap % text) == of(text)


@given(st.text(max_size=90) | st.text("mskgft/*^{}()-.\\$°% 12per", max_size=80))
def test_no_text_makes_it_raise(text: str) -> None:
    found = unit(text)
    assert found is None or found.factor > 0


@pytest.mark.parametrize(
    ("response", "gold", "passed"),
    [
        ("It weighs 5 grams.", "5 kg", False),
        ("It weighs 5000 grams.", "5 kg", True),
        ("It weighs 5 kg.", "5", True),
        ("So he walks 5 miles in total.", "5 km", False),
        ("So the speed is 120 miles per hour.", "120 km/h", False),
        ("So the speed is 120 miles per hour.", "120 mph", True),
        ("It takes 3 minutes.", "3 hours", False),
        ("so in 8 weeks.", "56 days", True),
        ("It costs 5 cents.", "$5", False),
        ("It costs 500 cents.", "$5", True),
        ("She earns 15 dollars per day.", "$15", True),
        ("They need 3 liters per person.", "3", True),
        ("The area is 12 cm^2.", "12 m^2", False),
        ("So the tank holds 3 liters of water.", "3 gallons", False),
        ("It was 20 degrees.", "20°C", True),
        ("He has 3 million dollars.", "3000000", True),
        ("He has $3 million.", "3000000", True),
        ("He has 3 million dollars.", "$3", False),
        ("The answer is that he has 3 million dollars.", "3000000", True),
        ("It costs 5 hundred thousand dollars per year.", "500000", True),
        ("So the moon is 3 hundred km away.", "300 km", True),
        ("So the moon is 3 thousand km away.", "3000 m", False),
        ("It is 3 thousandths.", "3", True),
        ("There are 3 millionaires.", "3", True),
        ("总共有3万人。", "30000", True),
        ("So he needs 4 hundred-dollar bills.", "4", True),
        ("So he needs 4 hundred dollar bills.", "4", True),
        ("So he needs 4 hundred dollar bills.", "400", False),
        ("He has 4 hundred dollars.", "400", True),
        ("The answer is 3萬.", "3", False),
        ("总共有3萬人。", "30000", True),
        ("He has 3 million--more than all others.", "3000000", True),
    ],
)
def test_a_unit_in_a_sentence_counts(response: str, gold: str, passed: bool) -> None:
    assert MathEqual()(response=response, answer=gold).passed is passed


@pytest.mark.parametrize(
    ("response", "gold", "passed"),
    [
        (r"\boxed{7}\text{ m}", "7 cm", False),
        (r"\boxed{7}\text{ m}", "700 cm", True),
        (r"\boxed{7}\text{ m}", "7", True),
        (r"\( \boxed{7} \) seconds.", "7 minutes", False),
        (r"$\boxed{\frac{1}{2}}$ hours", "30 minutes", True),
        (r"\boxed{5}\,\mathrm{~kg}", "5000 g", True),
        (r"$\boxed{2\sqrt{3}}\text{ cm}^2$", r"2\sqrt{3} \text{ cm}^2", True),
        (r"\boxed{12}\text{ cm}^2", "12 cm", False),
        (r"\boxed{500} cents", r"\$5", True),
        (r"\[\boxed{7}\text{ m}\]", "7 cm", False),
        (r"**\boxed{7} km**", "7 m", False),
        (r"\boxed{7} km (rounded)", "7 m", False),
        # nothing of these is the unit of the box
        (r"\boxed{7} in total", "7 cm", True),
        (r"\boxed{7} m", "7 cm", True),
        ("\\boxed{7}\nkm", "7 cm", True),
        (r"\boxed{7}, km = 3", "7 cm", True),
        (r"\boxed{7} km = 3", "7 cm", True),
        (r"\boxed{7 \text{ cm}} \text{ m}", "7 cm", True),
        (r"\boxed{x = 7} \text{ m}", "x = 7", True),
        (r"\boxed{3, 4} \text{ m}", "3, 4", True),
        (r"\boxed{50}\%", "50", True),
        (r"\boxed{50} percent", "50", True),
        (r"\boxed{15} dollars per hour", "15 cents", True),
        # the unit goes on behind what would be one by itself
        (r"$\boxed{2}\ \text{cm}^{-1}$", "0.02 m", False),
        (r"$\boxed{60}\ \text{s}^{-1}$", "1 min", False),
        (r"$\boxed{5000}\ \text{g m/s}^2$", "5 kg", False),
        (r"$\boxed{200}\ \text{cm}^4$", "2 m", False),
        (r"\boxed{5} feet 6 inches", "60 inches", False),
        (r"\boxed{5} feet, $6$ inches", "60 inches", False),
        (r"\boxed{12}\text{ N·m}", "12 N·m", True),
        (r"\boxed{12}\text{ N m}", "12 N m", True),
        (r"\boxed{12}\text{ N.m}", "12 N m", True),
        (r"\boxed{9.8}\text{ kg m/s}^2", r"9.8\text{ kg m/s}^2", True),
        (r"\boxed{5} kg·m/s", "5 kg·m/s", True),
        (r"\boxed{12}\ \text{J s}", "12 J s", True),
        (r"$\boxed{3}\,\text{m}\cdot\text{s}^{-1}$", "3 m/s", True),
        (r"$\boxed{2}\ \text{cm}^{-1}$", "2 cm^{-1}", True),
        (r"$\boxed{2}\ \text{m}^{4}$", "2 m^4", True),
        (r"\boxed{2} m⁻¹", "2 m^{-1}", True),
        (r"\boxed{12} cm squared", "12 cm^2", True),
        (r"\boxed{2} kilowatt hours", "2 kWh", True),
    ],
)
def test_a_unit_right_behind_the_box_is_the_unit_of_the_box(response: str, gold: str, passed: bool) -> None:
    assert MathEqual()(response=response, answer=gold).passed is passed


@pytest.mark.parametrize("verifier", [MathEqual(), Numeric()])
@pytest.mark.parametrize(
    ("response", "right", "wrong"),
    [
        (r"\boxed{50}\%", ["50%", "0.5", "50"], ["0.05", "5000"]),
        (r"$\boxed{50}$\%", ["50%", "0.5", "50"], ["0.05"]),
        (r"\boxed{50} percent", [r"50\%", "0.5", "50"], ["0.05"]),
        (r"\boxed{50} percentage points", ["50"], ["0.5"]),
        (r"\boxed{50}. % is the unit", ["50"], ["0.5"]),
        (r"\boxed{3} million", ["3000000", "3 million", "3"], ["3000", "3 billion"]),
        (r"$\boxed{3}\text{ million}$", ["3000000", "3"], ["3000"]),
        (r"\boxed{\$3} million", ["3000000", "$3 million"], ["3000"]),
        (r"\boxed{3} thousand dollars", ["3000", "3"], ["30"]),
        (r"\boxed{4} hundred-dollar bills", ["4"], ["400"]),
        (r"\boxed{4} millionaires", ["4"], ["4000000"]),
        ("\\boxed{3} 万", ["30000", "3"], ["300"]),
        ("\\boxed{3万人}", ["30000", "3万", "30000人"], ["3", "300"]),
        ("\\boxed{3亿人}", ["300000000"], ["3", "30000"]),
        (r"\boxed{2 dozen eggs}", ["24", "24 eggs"], ["2"]),
        (r"\boxed{a dozen}", ["12"], ["1"]),
    ],
)
def test_what_makes_a_number_larger_counts_in_a_box_and_behind_it(
    verifier: MathEqual | Numeric, response: str, right: list[str], wrong: list[str]
) -> None:
    """Behind a box it may belong to the question, so the number alone is right as well."""
    found = {gold: verifier.row(dict(response=response, answer=gold)).passed for gold in (*right, *wrong)}
    assert found == {**dict.fromkeys(right, True), **dict.fromkeys(wrong, False)}
