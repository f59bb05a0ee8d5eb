"""The names that mathematics gives to things, and the words between answers."""

from __future__ import annotations

from functools import lru_cache

_SAME = (
    "sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot arcsec arccsc ln log lg exp sqrt"
    " max min gcd lcm det mod floor ceil abs arcsinh arccosh arctanh sgn sign Re Im cis"
)
FUNCTIONS = {name: name for name in _SAME.split()} | {
    "asin": "arcsin", "acos": "arccos", "atan": "arctan", "arcsin": "arcsin", "tg": "tan", "ctg": "cot",
    "arctg": "arctan", "cosec": "csc", "cbrt": "cbrt", "sh": "sinh", "ch": "cosh", "binom": "binom",
    "frac": "frac", "gcf": "gcd", "hcf": "gcd", "asinh": "arcsinh", "arsinh": "arcsinh", "arcosh": "arccosh",
    "artanh": "arctanh", "sen": "sin", "th": "tanh",
}  # fmt: skip
for _short in ("sh", "ch", "th", "sen", "Re", "Im", "sign"):
    FUNCTIONS.pop(_short)  # too easily two symbols, or a word
CONSTANTS = {"pi": "pi", "infinity": "infty", "inf": "infty", "infty": "infty", "oo": "infty", "sqrt": "sqrt"}
CONSTANTS |= {"union": "cup", "intersection": "cap", "emptyset": "emptyset"}
GREEK = frozenset(
    "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma"
    " tau upsilon phi varphi chi psi omega hbar ell nabla".split()
)
LINKS = {"and": "and", "or": "or", "und": "and", "y": "", "et": "and", "ou": "or", "oder": "or", "и": "and"}
LINKS |= {"или": "or", "和": "and", "或": "or", "及": "and", "&": "and", "o": ""}
LINKS = {k: v for k, v in LINKS.items() if v}
CLAUSES = frozenset("for where with when if such given provided as since because with while".split())
STOPS = frozenset(
    "is are was the to of in at no all any each every one only an be by it that this than then per on as so"
    " approximately about roughly exactly just i.e. if for where with when such given".split()
) - {"i.e."}
GLUED = frozenset("cm mm km kg mg ml mL hr hrs mph Hz kHz kW kJ kPa Pa cms kgs mins km/h".split())
IS = frozenset("is are equals equal was be becomes".split())
NOISE = frozenset("only exactly just about approximately roughly the to a an".split())


@lru_cache(4096)
def is_unit(text: str) -> bool:
    """Whether a text names a physical unit."""
    from curate.maths.quantity import unit_of

    return unit_of(text) is not None
