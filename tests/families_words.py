r"""Families of answers in words and other scripts, letters of options, and whole responses in every style."""

# fmt: off
from __future__ import annotations

from families import family, ints

NOWHERE = {
    "no_solution": ["\\text{no solution}", "no solution", "No solution", "\\text{No solutions}",
        "\\emptyset", "\\varnothing", "No Solution"],
    "empty_set": ["\\emptyset", "\\varnothing", "\\{\\}", "∅", "\\{ \\}", "\\text{empty set}"],
    "endless": ["\\infty", "+\\infty", "∞", "\\text{infinity}", "infinity"],
    "undefined": ["\\text{undefined}", "undefined", "Undefined", "\\text{Undefined}",
        "\\mathrm{undefined}"],
    "dne": ["\\text{DNE}", "DNE", "does not exist", "\\text{does not exist}", "\\text{Does not exist}"],
    "infinitely_many": ["\\text{infinitely many}", "infinitely many", "infinitely many solutions",
        "\\text{Infinitely many solutions}"],
    "reals": ["\\mathbb{R}", "(-\\infty, \\infty)", "\\text{all real numbers}", "x \\in \\mathbb{R}", "ℝ",
        "\\mathbb R", "(-\\infty,+\\infty)", "-\\infty < x < \\infty"],
    "yes": ["\\text{Yes}", "Yes", "yes", "\\textbf{Yes}", "YES"], "no": ["\\text{No}", "No", "no",
        "\\mathrm{No}"],
    "true": ["True", "true", "\\text{True}", "TRUE"], "false": ["False", "false", "\\text{False}"],
    "monday": ["Monday", "\\text{Monday}", "monday", "**Monday**",
        "\\textbf{Monday}"], "friday": ["\\text{Friday}", "Friday"],
    "name": ["\\text{Evelyn}", "Evelyn", "\\textbf{Evelyn}", "evelyn",
        "\\mbox{Evelyn}"], "other_name": ["\\text{Evelina}", "Evelina"],
    "even": ["\\text{even}", "even", "Even"], "odd": ["\\text{odd}", "odd"], "ellipse": ["\\text{ellipse}",
        "ellipse"], "circle": ["\\text{circle}", "circle"],
    "minus_endless": ["-\\infty", "-∞", "- \\infty"], "zero": ["0", "\\text{0}"], "one": ["1"],
}
SAME_THING = [{"no_solution", "empty_set"}]  # nobody may call these two different

KEYS = sorted(NOWHERE)


@family(k=ints(0, len(KEYS) - 1), j=ints(0, 40))
def words(k: int, j: int):
    key = KEYS[k]
    close = [o for o in KEYS if o != key and {o, key} not in SAME_THING]
    return NOWHERE[key], [NOWHERE[close[(j + i) % len(close)]][0] for i in range(4)]


DIGITS = {"arabic": "٠١٢٣٤٥٦٧٨٩", "persian": "۰۱۲۳۴۵۶۷۸۹", "devanagari": "०१२३४५६७८९",
    "fullwidth": "０１２３４５６７８９", "bengali": "০১২৩৪৫৬৭৮৯"}


@family(n=ints(10, 9999))
def other_scripts(n: int):
    written = [str(n).translate(str.maketrans("0123456789", digits)) for digits in DIGITS.values()]
    return [str(n), *written], [str(n + 1), written[0] + written[0][-1], written[3][:-1]]


@family(n=ints(2, 99))
def signs_of_unicode(n: int):
    right = [f"-{n}", f"−{n}", f"–{n}", f"－{n}", f"﹣{n}", f"\\text{{−{n}}}", f"(-{n})", f"-({n})",
        f"{{-{n}}}"]
    return right, [f"{n}", f"+{n}", f"−{n + 1}", f"±{n}"]


@family(n=ints(2, 9), m=ints(10, 99))
def unicode_mathematics(n: int, m: int):
    right = [f"{m}x²+{n}√2", f"{m}x^2+{n}\\sqrt{{2}}", f"{m}x^{{2}} + {n}\\sqrt 2", f"{n}√2+{m}·x²",
        f"{n}√(2)+{m}x²"]
    return right, [f"{m}x³+{n}√2", f"{m}x²-{n}√2", f"{n}x²+{m}√2", f"{m}x²+{n}√3", f"{m}x2+{n}√2"]


@family(n=ints(1, 9))
def unicode_fractions(n: int):
    return [f"{n}½", f"{n}\\frac{{1}}{{2}}", f"{n}.5", f"{2 * n + 1}/2"], [f"{n}¼",
        f"{n}/2" if n != 1 else "7", f"{n + 1}½", f"-{n}½"]


@family(n=ints(2, 30), d=ints(0, 1))
def noise(n: int, d: int):
    """What sets type and says nothing."""
    v = f"\\frac{{{n}}}{{31}}"
    right = [v, f"\\displaystyle{{{v}}}", f"\\left({v}\\right)", f"\\mathbf{{{v}}}", f"\\boldsymbol{{{v}}}",
        f"\\color{{red}}{{{v}}}", f"\\,{v}\\,", f"{v}\\quad", f"~{v}~", f"{{\\large {v}}}",
        f"\\mathrm{{{v}}}", f"\\ {v}", f"$${v}$$", f"\\(\\displaystyle {v}\\)", f"\\bf {v}",
        f"\\text{{${v}$}}", f"\\fbox{{{v}}}", f"{v}\\;.", f"{v}\n", f"\t{v}", f"\\underline{{{v}}}",
        f"\\textcolor{{blue}}{{{v}}}", f"\\ensuremath{{{v}}}", f"\\dfrac{{{n}}}{{31}}\\phantom{{x}}"]
    return right, [f"\\displaystyle\\frac{{{n + 1}}}{{31}}", f"-{v}", f"\\frac{{31}}{{{n}}}", f"{v}^{{2}}",
        f"{n}", "31"]


LONG = "First we look at the case where it is 7.\nThen $x^2 = 49$ gives another 3.\n\n"
STYLES = {
    "bare": "{a}", "boxed": LONG + "So \\boxed{{{a}}}.",
    "dollars": LONG + "The answer is $\\boxed{{{a}}}$.", "fbox": LONG + "\\fbox{{{a}}}",
    "display": LONG + "\\[\n\\boxed{{{a}}}\n\\]",
    "deepseek": LONG + "**Final Answer**\n\\[ \\boxed{{{a}}} \\]",
    "deepseek_r1": "<think>\nmaybe \\boxed{{7}}\n</think>\n\n**Answer:** \\boxed{{{a}}}",
    "qwen": LONG + "Therefore, the final answer is:\n\n$$\\boxed{{{a}}}$$",
    "llama": LONG + "## Step 3: end\nThe final answer is: $\\boxed{{{a}}}$",
    "minerva": LONG + "Final Answer: The final answer is ${a}$. I hope it is correct.",
    "answer_is": LONG + "The answer is ${a}$.", "answer_colon": LONG + "Answer: ${a}$",
    "bold_colon": LONG + "**Answer: ${a}$**", "final_bold": LONG + "**Final Answer:** ${a}$",
    "tag": LONG + "<answer>${a}$</answer>",
    "tag_boxed": LONG + "<answer>\\boxed{{{a}}}</answer>",
    "two_boxes_same": "\\boxed{{{a}}} as said: \\boxed{{{a}}}",
    "last_box_counts": LONG + "\\boxed{{7}} was wrong. Correct: \\boxed{{{a}}}",
    "gpt": LONG + "So the value is **\\({a}\\)**.\n\n### Final answer\n\\(\\boxed{{{a}}}\\)",
    "after_box": LONG + "\\boxed{{{a}}}\n\nThis holds because 2 and 3 are primes.",
    "spaced_box": LONG + "\\boxed {{ {a} }}", "zh": "所以答案是 $\\boxed{{{a}}}$。",
    "zh_mark": LONG + "【答案】${a}$", "zh_therefore": LONG + "故答案为：${a}$。",
    "zh_is": LONG + "答案是：${a}$",
    "ja": LONG + "答えは ${a}$ です。", "ko": LONG + "정답은 ${a}$ 입니다.", "ru": LONG + "Ответ: ${a}$",
    "fr": LONG + "La réponse est ${a}$.", "es": LONG + "La respuesta es ${a}$.",
    "es_colon": LONG + "Respuesta final: ${a}$", "de": LONG + "Die Antwort ist ${a}$.",
    "de_colon": LONG + "Antwort: ${a}$", "it": LONG + "La risposta è ${a}$.",
    "pt": LONG + "A resposta é ${a}$.",
    "ar": LONG + "الإجابة هي ${a}$", "hi": LONG + "उत्तर: ${a}$", "tr": LONG + "Cevap: ${a}$",
    "vi": LONG + "Đáp án: ${a}$", "pl": LONG + "Odpowiedź: ${a}$", "nl": LONG + "Het antwoord is ${a}$.",
    "id": LONG + "Jawabannya adalah ${a}$", "th": LONG + "คำตอบคือ ${a}$", "uk": LONG + "Відповідь: ${a}$",
    "json": LONG + '{{"answer": "{a}"}}',
}
NOT_SAID = {
    "either": "It is either \\boxed{{{a}}} or \\boxed{{7}}.", "not_it": "The answer is not \\boxed{{{a}}}.",
    "corrected": "\\boxed{{{a}}} is wrong; the answer is \\boxed{{7}}.",
    "two_finals": "The answer is \\boxed{{{a}}}.\n\nThe answer is \\boxed{{7}}.",
    "empty_box": "We find {a} apples on 3 trees, so \\boxed{{}}",
    "thinking_only": "<think>it is \\boxed{{{a}}}</think>\nI do not know.",
    "words_only": "I cannot solve this.", "nothing": "", "in_list": "\\boxed{{{a}, 7}}",
}


LETTER_STYLES = [
    "{l}", "({l})", "{l}.", "{l})", "\\boxed{{{l}}}", "\\boxed{{({l})}}", "\\boxed{{{l}.}}",
    "\\boxed{{\\text{{{l}}}}}", "\\boxed{{\\text{{({l})}}}}", "\\boxed{{\\textbf{{({l})}}\\ 12}}",
    "\\boxed{{\\textbf{{({l})}}}}", "\\boxed{{\\mathrm{{{l}}}}}", "\\boxed{{{l}) 12}}",
    "The answer is {l}.", "The answer is ({l}).",
    "the correct answer is option {l}", "The correct option is **{l}**.", "**{l}**", "**({l}) 12**",
    "Answer: {l}", "**Answer: {l}**", "Answer: **{l}**",
    "The final answer is: $\\boxed{{{l}}}$", "【答案】{l}",
    "【答案】 {l} <eoe>", "故选{l}", "故选：{l}。", "所以选{l}", "答案是{l}", "答案为 {l}。",
    "因此，正确答案是 {l}。", "正确答案是：{l}",
    "So I choose {l}.", "Option {l} is correct.", "({l}) is the correct answer.",
    "Therefore, the answer is $\\textbf{{({l})}}$.", "Thus, the correct choice is \\({l}\\).",
    "not {o} but {l}", "It is not {o}; the answer is {l}.", "Final answer: {l}", "<answer>{l}</answer>",
    "La respuesta es {l}", "Ответ: {l}", "答えは{l}です", "정답은 {l}",
    "My answer is {l}, since {o} is too small.",
    "Answer ({l})", "\\[\\boxed{{\\text{{{l}}}}}\\]", "The answer is \\textbf{{{l}}}", "choice ({l})",
    "选{l}", "选项{l}正确", "Correct answer: {l}) 12", "{l}: 12",
]
LETTER_WRONG = ["", "I do not know.", "\\boxed{{}}", "\\boxed{{{o}}}", "The answer is not {l}.",
    "Either {l} or {o}.", "\\boxed{{{l}, {o}}}", "The answer is {o}.",
    "故选{o}", "{l} is wrong, so {o}.",
    "None of these.", "【答案】{l}{o}", "It is not {l} but {o}."]


def letter(style: str, right: str, other: str) -> str:
    """A response in one style; `right` is the letter it chooses, `other` another one."""
    return style.format(l=right, o=other)
