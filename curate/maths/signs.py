"""Every way to type a sign is turned into one: Unicode into LaTeX, full-width letters into ASCII."""

from __future__ import annotations

import re
import unicodedata

_SIGNS = {
    "∞": r"\infty", "∪": r"\cup", "∩": r"\cap", "≤": r"\le", "≥": r"\ge", "⩽": r"\le", "⩾": r"\ge",
    "≦": r"\le", "≧": r"\ge", "≠": r"\ne", "×": r"\times", "·": r"\cdot", "⋅": r"\cdot", "∙": r"\cdot",
    "•": r"\cdot", "÷": r"\div", "±": r"\pm", "∓": r"\mp", "√": r"\sqrt", "∛": r"\cbrt", "∜": r"\fourthroot",
    "∈": r"\in", "∉": r"\notin", "∅": r"\emptyset", "Ø": r"\emptyset", "≈": r"\approx", "≡": r"\equiv",
    "⟨": r"\langle", "⟩": r"\rangle", "〈": r"\langle", "〉": r"\rangle", "⌊": r"\lfloor", "⌋": r"\rfloor",
    "⌈": r"\lceil", "⌉": r"\rceil", "∖": r"\setminus", "→": r"\to", "⇒": r"\to", "⇔": r"\iff", "∧": r"\land",
    "∨": r"\lor", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}",
    "ℂ": r"\mathbb{C}", "°": r"^\circ", "º": r"^\circ", "˚": r"^\circ", "℃": r"^\circ C", "℉": r"^\circ F",
    "∠": r"\angle", "△": r"\triangle", "∀": r"\forall", "⊂": r"\subset", "⊆": r"\subseteq", "…": r"\ldots",
    "⋯": r"\ldots", "ℓ": "l", "ħ": r"\hbar", "∣": r"\mid", "∥": r"\parallel", "⊥": r"\perp",
    "π": r"\pi", "α": r"\alpha", "β": r"\beta", "γ": r"\gamma", "δ": r"\delta", "ε": r"\epsilon",
    "ϵ": r"\epsilon", "ζ": r"\zeta", "η": r"\eta", "θ": r"\theta", "ι": r"\iota", "κ": r"\kappa",
    "λ": r"\lambda", "μ": r"\mu", "µ": r"\mu", "ν": r"\nu", "ξ": r"\xi", "ρ": r"\rho", "σ": r"\sigma",
    "τ": r"\tau", "υ": r"\upsilon", "φ": r"\phi", "ϕ": r"\phi", "χ": r"\chi", "ψ": r"\psi", "ω": r"\omega",
    "Γ": r"\Gamma", "Δ": r"\Delta", "∆": r"\Delta", "Θ": r"\Theta", "Λ": r"\Lambda", "Ξ": r"\Xi",
    "Π": r"\Pi", "Σ": r"\Sigma", "Φ": r"\Phi", "Ψ": r"\Psi", "Ω": r"\Omega",
}  # fmt: skip
_PLAIN = dict.fromkeys("−–—‐‑‒﹣－", "-") | dict.fromkeys("′’‘´", "'") | dict.fromkeys("∗＊", "*")
_PLAIN |= (
    dict.fromkeys("，、﹐", ",") | dict.fromkeys("“”″", '"') | {"；": ";", "：": ":", "。": ".", "∶": ":"}
)
_PLAIN |= {
    "⁄": "/",
    "∕": "/",
    "｛": r"\{",
    "｝": r"\}",
    "（": "(",
    "）": ")",
    "【": "[",
    "】": "]",
    "％": "%",
}
_PLAIN |= dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad\u2061\u2062", "")
_TABLE = str.maketrans({**{k: f"{v} " for k, v in _SIGNS.items()}, **_PLAIN})

_VULGAR = "¼½¾⅐⅑⅒⅓⅔⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱᵏᵐˣʸᵃᵇᵗ]+")
_LOWERED = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₓₐᵢₖₘ]+")
_FRACTION = re.compile(f"[{_VULGAR}]")
_CIRCLED = re.compile("[①-⑳]")
_ROOT = re.compile(r"√\s?(\d+(?:\.\d+)?|[a-zA-Zπ])")


def ascii_maths(text: str) -> str:
    """The text with no sign left that the tokenizer would have to know twice."""
    if text.isascii():
        return text
    text = _RAISED.sub(
        lambda m: "^{" + unicodedata.normalize("NFKC", m.group()).replace("−", "-") + "}", text
    )
    text = _LOWERED.sub(
        lambda m: "_{" + unicodedata.normalize("NFKC", m.group()).replace("−", "-") + "}", text
    )
    text = _FRACTION.sub(_vulgar, text)
    text = _CIRCLED.sub(lambda m: f"{int(unicodedata.numeric(m.group()))};", text)
    text = _ROOT.sub(r"\\sqrt{\1}", text).translate(_TABLE)
    return text if text.isascii() else "".join(_one(c) for c in text)


def _vulgar(found: re.Match[str]) -> str:
    top, _, bottom = unicodedata.normalize("NFKC", found.group()).partition("⁄")
    return f" \\frac{{{top}}}{{{bottom}}} "


def _one(char: str) -> str:
    """A digit of any script as its ASCII digit, a styled or full-width letter as its plain one."""
    if char.isascii():
        return char
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    if char.isspace():
        return " "
    wide = unicodedata.normalize("NFKC", char)
    return wide.translate(_TABLE) if len(wide) == 1 else char
