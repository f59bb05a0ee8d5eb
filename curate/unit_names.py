"""Every unit we know: what it is in SI, how it is written, and which prefixes it takes.

A line is: factor | base units and powers | symbols | prefixes | words (singular; `word/plural` where
the plural is not regular). A factor that begins with `~` is measured or holds π: a float; all others are
exact. Sources: SI brochure (2019), NIST SP 811 (yard, pound, gallon, horsepower of 550 ft·lbf/s, calorie of
4.184 J, BTU of the International Table), IAU 2012 (au), CODATA 2022 (u).
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

TABLE = """
1 | m | m м 米 | kcdmμnpf | metre meter
1/1000 | kg | g г 克 | kdcmμnp | gram gramme
1 | s | s sec с 秒 | mμnpf | second sec
1 | A | A Amp А 安 | kmμnp | ampere amp
1 | K | K 开 | mμn | kelvin
1 | mol | mol моль | kmμnp | mole mol
1 | cd | cd | m | candela
1 | rad | rad 弧度 | mμ | radian
~0.017453292519943295 | rad | ° deg 度 | | degree deg
~0.0002908882086657216 | rad | arcmin | | arcminute
~4.84813681109536e-06 | rad | arcsec | mμ | arcsecond
~0.015707963267948967 | rad | gon grad | | gradian gon
~6.283185307179586 | rad | rev | | revolution
~0.10471975511965977 | s-1 rad | rpm | |
1 | sr | sr | m | steradian
1 | s-1 | Hz Гц | kMGTmμn | hertz/hertz
1 | s-1 | Bq | kMGT | becquerel
37e9 | s-1 | Ci | mμnp | curie
1 | m kg s-2 | N Н 牛 | kMGmμnp | newton
1/100000 | m kg s-2 | dyn | | dyne
4.4482216152605 | m kg s-2 | lbf | k | poundforce
9.80665 | m kg s-2 | kgf kp | | kilogramforce
1 | m2 kg s-2 | J Дж 焦 焦耳 | kMGTPmμnp | joule
1 | m2 kg s-2 | Nm | kMmμ |
1 | m2 kg s-1 | Js | |
1 | m kg s-1 | Ns | kmμ |
1e-7 | m2 kg s-2 | erg | | erg
1.602176634e-19 | m2 kg s-2 | eV | kMGTmμn | electronvolt
4.184 | m2 kg s-2 | cal кал | kM | calorie
4184 | m2 kg s-2 | Cal | | Calorie
1055.05585262 | m2 kg s-2 | BTU Btu | | BTU
1.3558179483314004 | m2 kg s-2 | ftlbf | | footpound
3600 | m2 kg s-2 | Wh | kMGTm | watthour
1 | m2 kg s-3 | W Вт 瓦 | kMGTPmμnp | watt
1 | m2 kg s-3 | VA | kM |
745.69987158227022 | m2 kg s-3 | hp HP | | horsepower/horsepower
1 | m-1 kg s-2 | Pa Па 帕 | kMGThmμ | pascal
100000 | m-1 kg s-2 | bar | mkμ | bar
101325 | m-1 kg s-2 | atm атм | | atmosphere atm
101325/760 | m-1 kg s-2 | Torr torr | mμ | torr/torr
133.322387415 | m-1 kg s-2 | mmHg | |
3386.388640341 | m-1 kg s-2 | inHg | |
4.4482216152605/0.00064516 | m-1 kg s-2 | psi | k |
1 | A s | C Кл | kmμnp | coulomb
1 | A s | As | |
3600 | A s | Ah | mk | amperehour amphour
1 | m2 kg s-3 A-1 | V В 伏 | kMGmμn | volt
1 | m2 kg s-3 A-2 | Ω ohm Ohm Ом 欧 | kMGTmμn | ohm
1 | m-2 kg-1 s3 A2 | S mho | mμnk | siemens/siemens mho
1 | m-2 kg-1 s4 A2 | F | mμnpk | farad
1 | m2 kg s-2 A-2 | H | mμnp | henry/henries
1 | m2 kg s-2 A-1 | Wb | mμ | weber
1 | kg s-2 A-1 | T Тл | mμnpk | tesla
1/10000 | kg s-2 A-1 | Gs | k | gauss/gauss
1 | lm | lm | km | lumen
1 | lm m-2 | lx | km | lux/lux
1 | m2 s-2 | Gy Sv | mμnk | gray sievert
1 | mol s-1 | kat | mμn | katal
1/1000 | m3 | L l ℓ л 升 | kcdhmμnpM | litre liter
1e-6 | m3 | cc ccm | |
1000 | mol m-3 | M | mμnp | molar
1000 | kg | t т 吨 | kMGT | tonne metricton
0.45359237 | kg | lb lbs lbm | | pound
0.028349523125 | kg | oz | | ounce
0.0311034768 | kg | ozt | | troyounce
6.35029318 | kg | | | stone/stone
907.18474 | kg | | | ton shortton
1016.0469088 | kg | | | longton
14.593902937206 | kg | | | slug
0.0002 | kg | ct | | carat
64.79891e-6 | kg | | | grain
~1.66053906892e-27 | kg | Da amu | kM | dalton
0.0254 | m | in inch | | inch/inches
0.3048 | m | ft 英尺 | | foot/feet
0.9144 | m | yd | | yard
1609.344 | m | mi 英里 | | mile
1852 | m | nmi NM | | nauticalmile
201.168 | m | | | furlong
1.8288 | m | | | fathom
0.0000254 | m | | | mil
1e-10 | m | Å | | angstrom ångström
1e-6 | m | | | micron
149597870700 | m | au AU | | astronomicalunit
9460730472580800 | m | ly | kM | lightyear
~3.0856775814913673e16 | m | pc | kMG | parsec
1000 | m | 公里 | |
500 | m | 里 | |
1/2 | kg | 斤 | |
1 | kg | 公斤 | |
4046.8564224 | m2 | ac | | acre
10000 | m2 | ha га 公顷 | | hectare
3.785411784e-3 | m3 | gal | | gallon
0.946352946e-3 | m3 | qt | | quart
0.473176473e-3 | m3 | pt | | pint
0.2365882365e-3 | m3 | | | cup
29.5735295625e-6 | m3 | floz | | fluidounce
14.78676478125e-6 | m3 | tbsp Tbsp | | tablespoon
4.92892159375e-6 | m3 | tsp | | teaspoon
0.158987294928 | m3 | bbl | | barrel
60 | s | min мин 分 分钟 | | minute min
3600 | s | h hr ч 时 小时 | | hour hr
86400 | s | d 天 日 | | day
604800 | s | wk 周 星期 | | week
1209600 | s | | | fortnight
2629800 | s | mo 月 个月 | | month
31557600 | s | yr 年 | kMG | year yr
315576000 | s | | | decade
3155760000 | s | | | century/centuries
31557600000 | s | | | millennium/millennia
1609.344/3600 | m s-1 | mph | |
1000/3600 | m s-1 | kph kmh kmph | |
1852/3600 | m s-1 | kn kt kts | | knot
1609.344/3.785411784e-3 | m-2 | mpg | |
1 | bit | bit 位 | kMGT | bit
8 | bit | B 字节 | kMGT | byte
8192 | bit | KiB | | kibibyte
8388608 | bit | MiB | | mebibyte
8589934592 | bit | GiB | | gibibyte
8796093022208 | bit | TiB | | tebibyte
1 | bit s-1 | bps | kMGT |
1 | dB | dB | | decibel
1 | USD | $ USD 美元 | | dollar buck
1/100 | USD | ¢ | | cent penny/pennies
1 | EUR | € EUR 欧元 | | euro
1 | GBP | £ GBP 英镑 | | poundsterling quid/quid
1/100 | GBP | | | pence/pence
1 | ¥ | ¥ JPY 日元 円 | | yen/yen
1 | ¥ | CNY RMB 元 块 人民币 | | yuan/yuan renminbi/renminbi
1/10 | ¥ | 角 | | jiao/jiao
1 | INR | ₹ INR Rs Rs. | | rupee
1/100 | INR | | | paisa/paise
1 | RUB | ₽ RUB руб рублей рубль рубля | | rouble ruble
1 | KRW | ₩ KRW | | won/won
1 | VND | ₫ VND đồng | | dong/dong
1 | BRL | R$ BRL | |
1 | MXN | MXN | | peso
1 | CHF | CHF | | franc
1 | AUD | A$ AUD | |
1 | CAD | C$ CAD | |
1 | HKD | HK$ HKD | |
100 | | hundred 百 | | hundred
1000 | | thousand 千 | | thousand
10000 | | 万 萬 | |
100000 | | | | lakh
1000000 | | million 百万 | | million mln
10000000 | | | | crore
100000000 | | 亿 億 | |
1000000000 | | billion bn | | billion
1000000000000 | | trillion | | trillion
12 | | dozen | | dozen
1/1000 | | ‰ permille | |
1e-6 | | ppm | |
1e-9 | | ppb | |
"""

PREFIXES = {
    "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18, "h": 2, "d": -1, "c": -2, "m": -3, "μ": -6, "n": -9,
    "p": -12, "f": -15, "a": -18,
}  # fmt: skip
SPOKEN = {
    "kilo": 3, "mega": 6, "giga": 9, "tera": 12, "peta": 15, "exa": 18, "hecto": 2, "deka": 1, "deca": 1,
    "deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9, "pico": -12, "femto": -15, "atto": -18,
}  # fmt: skip
WRITTEN = {
    "千": 3, "兆": 6, "分": -1, "厘": -2, "毫": -3, "微": -6, "纳": -9, "百": 2, "万": 4, "萬": 4, "亿": 8,
    "億": 8,
}  # fmt: skip
CYRILLIC = {"к": 3, "М": 6, "Г": 9, "д": -1, "с": -2, "м": -3, "мк": -6, "н": -9}

# degrees of a scale: factor and offset to kelvin, exact
SCALES = {"C": ("1", "273.15"), "F": ("5/9", "45967/180"), "K": ("1", "0"), "R": ("5/9", "0")}

LOOSE = frozenset(
    "kg km cm mm ml hr min sec lb lbs ft mph kph kmh oz in yd gal mi qt pt kwh kw mw psi atm".split()
)
"""Symbols that people write in any case, and with an s behind them."""

Named = tuple[Fraction | float, tuple[tuple[str, Fraction], ...]]


def ratio(text: str) -> Fraction | float:
    """A factor of the table: "1852/3600" exactly, "~1.66e-27" as a float."""
    if text.startswith("~"):
        return float(text[1:])
    top, _, below = text.partition("/")
    return Fraction(top) / Fraction(below or "1")


def _tables() -> tuple[dict[str, Named], dict[str, tuple[Named, str]], dict[str, Named]]:
    """By symbol; by symbol that takes prefixes, with them; by word, plurals included."""
    symbols, prefixed, words = {}, {}, {}
    for line in TABLE.strip().splitlines():
        factor, dims, signs, prefixes, spoken = (part.strip() for part in line.split("|"))
        value: Named = (ratio(factor), tuple(_base(base) for base in dims.split()))
        for sign in signs.split():
            symbols[sign] = value
            prefixed[sign] = (value, prefixes)
        for word in spoken.split():
            single, _, plural = word.partition("/")
            words[single] = words[plural or single + "s"] = value
    return symbols, prefixed, words


def _base(text: str) -> tuple[str, Fraction]:
    base = text.rstrip("-0123456789")
    return base, Fraction(text[len(base) :] or 1)


_SYMBOLS, _PREFIXED, WORDS = _tables()
_TENS = [(PREFIXES, True), (WRITTEN, False), (CYRILLIC, False)]


@lru_cache(4096)
def named(name: str) -> Named | None:
    """One unit by its symbol or its word, with or without a prefix; None for what is none."""
    if name in _SYMBOLS or name in WORDS:
        return _SYMBOLS.get(name) or WORDS[name]
    for tens, only_its_own in _TENS:
        for prefix, power in tens.items():
            value, allowed = _PREFIXED.get(name.removeprefix(prefix), (None, ""))
            if name.startswith(prefix) and value and (prefix in allowed or not only_its_own):
                return value[0] * Fraction(10) ** power, value[1]
    low = name.lower()
    if low in WORDS:
        return WORDS[low]
    for prefix, power in SPOKEN.items():
        if low.startswith(prefix) and (value := WORDS.get(low[len(prefix) :])):
            return value[0] * Fraction(10) ** power, value[1]
    bare = low if low in LOOSE else low[:-1] if low.endswith("s") and low[:-1] in LOOSE else ""
    return named(bare) if bare and bare != name else None
