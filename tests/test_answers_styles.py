"""A known answer, written as a final answer in every style and a dozen languages, is found as it stands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.answers import final_answer, final_value, plain

VALUES = [
    "42",
    "-7",
    "3.5",
    "1,234",
    r"\frac{3}{4}",
    "x = 5",
    "(1, 2)",
    r"2\sqrt{3}",
    r"[0, \infty)",
    "50\\%",
]

# Each puts a value where a response states its answer; {} is the value.
MARKS = [
    r"so \boxed{{{}}}", r"$\boxed{{{}}}$.", r"\[ \boxed{{ {} }} \]", r"**\boxed{{{}}}**", r"\fbox{{{}}}",
    r"\framebox{{{}}}",
    "```latex\n\\boxed{{{}}}\n```", r"Answer: \boxed{{{}}}, which is what we wanted.",
    r"\boxed{{\boxed{{{}}}}}",
    r"\boxed{{1}} is wrong. Let me redo it. \boxed{{{}}}", r"\boxed{{{}}} \boxed{{}}",
    r"\boxed{{{}}} and then \boxed{{9",
    r"The last line: \boxed{{ {} }}" + "\n\nLet me know if you have questions, I gave all steps above!",
    "\boxed{{{}}}", r"boxed{{{}}}", r"\boxed{{{}}}" + "\n\nQuestion: What is 1 + 1?\nAnswer: \\boxed{{2}}",
    r"\boxed{{{}}}<|im_end|>" + "\nuser\nnext \\boxed{{8}}", r"$\boxed{{{}}}$ 垃圾 tokens ρандом ∂∂ lorem",
    "<answer>{}</answer>", "<ANSWER> {} </ANSWER>", "<answer>\n{}\n</answer>",
    "<final_answer>{}</final_answer>",
    r"<answer>\boxed{{{}}}</answer>", "<answer>${}$", "[ANSWER]{}[/ANSWER]",
    "<|begin_of_box|>{}<|end_of_box|>",
    "5 + 5\n#### {}",
]  # fmt: skip
SAYS = [
    "The answer is {}.", "The answer is ${}$.", "So the final answer is \\({}\\).", "**Answer:** {}",
    "**Answer**: {}",
    "Answer: {}", "A: {}", "Final answer: **{}**", "**Final Answer**\n\n${}$", "## Answer\n\n{}",
    "### Final Answer\n**{}**",
    "The correct answer is: {}", "Therefore, the answer to the question is {}.", "Ans: {}", "My answer: {}",
    "the answer is therefore {}.", "The answer is thus\n\n$$ {} $$", "The final answer is:\n\\[ {} \\]",
    "The answer is not 99 but {}.", "The answer isn't 99, it is {}.", "The answer is {}, not 99.",
    "FINAL ANSWER: {}",
    "The answer (in simplest form) is {}.", "The answer we get is {}.", "The answer should be {}.",
    "The answer is {}.\n\nThis is because it satisfies every condition that was stated.", "*Answer:* {}",
]  # fmt: skip
TONGUES = {
    "Chinese": ["答案是{}。", "答案：{}", "答案为 ${}$。", "最终答案是：{}", "因此，正确答案是{}。",
                "【答案】{}", "答：{}", "答案应该是{}。",
                "答案不是99，而是{}。", "最終答案為 {}。"],
    "Japanese": ["答えは{}です。", "答え：{}", "したがって、答えは ${}$ です。", "正解は {} である。",
                 "最終的な答えは{}となります。", "答えは99ではなく{}です。"],
    "Korean": ["답은 {}입니다.", "정답: {}", "따라서 정답은 ${}$입니다.", "최종 답: {}",
               "답은 99가 아니라 {}입니다."],
    "German": ["Die Antwort ist {}.", "Antwort: {}", "Die richtige Antwort lautet {}.",
               "Die Lösung ist ${}$.",
               "Die Antwort ist nicht 99, sondern {}."],
    "French": ["La réponse est {}.", "Réponse : {}", "La réponse finale est ${}$.",
               "La bonne réponse est {}.",
               "La réponse n'est pas 99 mais {}."],
    "Spanish": ["La respuesta es {}.", "Respuesta: {}", "La respuesta final es ${}$.",
                "Por lo tanto, la respuesta correcta es {}.",
                "La respuesta no es 99 sino {}."],
    "Portuguese": ["A resposta é {}.", "Resposta: {}", "A resposta final é ${}$.",
                   "A resposta não é 99, mas {}."],
    "Italian": ["La risposta è {}.", "Risposta: {}", "La risposta finale è ${}$.",
                "La risposta non è 99 ma {}."],
    "Russian": ["Ответ: {}", "Ответ — {}.", "Правильный ответ: ${}$.", "Ответ: не 99, а {}."],
    "Arabic": ["الجواب هو {}.", "الإجابة: {}", "الإجابة النهائية هي ${}$."],
    "Hindi": ["उत्तर: {}", "अंतिम उत्तर ${}$ है।", "उत्तर है {}"],
    "Turkish": ["Cevap: {}", "Doğru cevap: ${}$", "Yanıt: {}"],
    "Vietnamese": ["Đáp án là {}.", "Đáp số: {}", "Câu trả lời là ${}$."],
    "Polish": ["Odpowiedź: {}", "Odpowiedź to ${}$.", "Poprawna odpowiedź to {}."],
    "Dutch": ["Het antwoord is {}.", "Antwoord: {}", "Het juiste antwoord is ${}$."],
    "Indonesian": ["Jawabannya adalah {}.", "Jawaban: {}", "Jadi, jawaban akhirnya adalah ${}$."],
    "Thai": ["คำตอบคือ {}", "คำตอบ: {}"],
    "Greek": ["Η απάντηση είναι {}."],
    "Swedish": ["Svaret är {}.", "Svar: {}"],
    "Ukrainian": ["Відповідь: {}"],
    "Hebrew": ["התשובה היא {}."],
    "Persian": ["پاسخ: {}"],
    "Czech": ["Odpověď je {}."],
    "Romanian": ["Răspunsul este {}."],
}  # fmt: skip
STYLES = [*MARKS, *SAYS, *(style for styles in TONGUES.values() for style in styles)]
BEFORE = ["", "Let me think. 17 + 25 = 60, no.\n\n", "We try 8, then 9.\nStep 2: $y = 11$.\n"]


def bare(text: str) -> str:
    return "".join(plain(text).strip("。 *").split())


@pytest.mark.parametrize("style", STYLES)
def test_a_value_is_found_in_every_style(style: str) -> None:
    for value in VALUES:
        for before in BEFORE:
            response = before + style.format(value)
            for find in (final_answer, final_value):
                found = find(response)
                assert found is not None, response
                if find is final_value:
                    assert bare(found.text) == bare(value), (response, found)
                else:
                    assert bare(found.text).startswith(bare(value)), (response, found)
                assert not found.several, (response, found)


@given(st.sampled_from(STYLES), st.integers(-(10**6), 10**6), st.text(alphabet="ab cd.\n", max_size=80))
def test_any_number_is_found_after_any_words(style: str, value: int, before: str) -> None:
    found = final_value(f"{before}\n" + style.format(value))
    assert found is not None and bare(found.text) == str(value)


SENTENCES = [
    ("She has 5 apples left.", "5"),
    ("Therefore, Pedro bought 20 plums.", "20"),
    ("It takes 240 minutes in all.", "240 minutes"),
    ("So 12 * 8 = 96. He drives 96 km in 8 hours.", "96 km"),
    ("They need 3 liters per person.", "3"),
    ("The speed is 120 miles per hour.", "120 miles per hour"),
    ("5 * 15 = 75. Damien makes $75 in a 30-day month.", "$75"),
    ("So the area is $12 \\cdot 2 = 24$.", "24"),
    ("Thus \\(a + b = 3 + 4 = 7\\).", "7"),
    ("\\[ \\text{Area} = \\frac{1}{2} \\cdot 6 \\cdot 8 = 24 \\]", "24"),
    ("The line is $y = 2x + 3$.", "y = 2x + 3"),
    ("It is 2, because with 3 or more he could go on.", "2"),
    ("There are **100** people left of 250.", "100"),
    ("It is 43, not 42.", "43"),
    ("The number of divisors of 196 is 9.", "9"),
    ("**Answer:** Harry slept 240 minutes more than 1 person.", "240 minutes"),
    ("The answer is $15 a day for 2 days.", "$15"),
    ("Answer: She walked 5 km/h on 3 days.", "5 km/h"),
    ("The answer is 12\\pi inches per second.", "12\\pi inches per second"),
    ("The answer is 3 million.", "3 million"),
    ("The answer is found by adding: 5 + 3 = 8.", "8"),
    ("$a=3$, $b=4$, so $a+b=7$.", "7"),
    ("= 10", "10"),
    ("\\[\\begin{aligned} x &= 3+4\\\\ &= 7 \\end{aligned}\\]", "7"),
    ("The minimum is 5 at x = 2.", "5"),
    ("Thus x = 5 or x = -5.", "x = 5 or x = -5"),
    ("So $x=3$ and $y=4$.", "$x=3$ and $y=4$"),
    ("Therefore the integers are 3, 5, and 7.", "3, 5, and 7"),
    ("the probability is 1/6 (about 16.7%).", "1/6"),
    ("After 2250 degrees she is facing **east**.", "east"),
    ("Thus, the equation of the plane is:\n\\[ 5x - 7y + 4 = 0 \\]", "5x - 7y + 4 = 0"),
    ("\\boxed{\\text{Answer: } 12}", "12"),
    ("The answer: 5 (see above).", "5"),
    ("\\boxed{12", "12"),
    ("No solution.", "No solution"),
    ("The answer is clear. So x is $\\frac{1}{2}$.", "\\frac{1}{2}"),
]  # fmt: skip


@pytest.mark.parametrize(("response", "value"), SENTENCES)
def test_the_value_of_a_sentence_is_found(response: str, value: str) -> None:
    found = final_value(response)
    assert found is not None and found.text == value


WHOLE = [
    "45", "(0, 2)", "x = 5", "-3.2", "$28$", "\\(-4\\)", "\\frac{1}{2}", "1 \\text{ and } 2", "\\{1, 2\\}",
    "n + 2", "12 apples",
    "(-\\infty, 0] \\cup [1, 2)", "f(x) = x - 22", "40 \\text{ hard candies},\\ 10 \\text{ jelly candies}",
    "\\begin{pmatrix} 7 \\\\ -2 \\end{pmatrix}", "60^\\circ", "a = -2, b = -2", "2516_8", "3:4", "50%",
    "T(10)=2, T(11)=4",
]  # fmt: skip


@pytest.mark.parametrize("answer", WHOLE)
def test_a_response_that_is_nothing_but_an_answer_is_that_answer(answer: str) -> None:
    found = final_value(answer)
    assert found is not None and found == (answer, "whole", False)


@pytest.mark.parametrize(
    "response",
    [
        "The answer is either 3 or 4.", "The answer is 3 or 4?", "Either \\boxed{3} or \\boxed{4}.",
        "\\boxed{3} \\boxed{4}",
        "\\boxed{3}\n\n\\boxed{4}", "It is \\boxed{3} or maybe \\boxed{4}.",
        "\\boxed{\\text{either } 3 \\text{ or } 4}",
        "<answer>either 3 or 4</answer>", "Die Antwort ist entweder 3 oder 4.", "答案是3还是4？",
        "The answer might be 3 or 4.",
        "La réponse est soit 3, soit 4.", "Answer: maybe 3 or 4",
    ],
)  # fmt: skip
def test_alternatives_are_several_answers(response: str) -> None:
    for find in (final_answer, final_value):
        found = find(response)
        assert found is not None and found.several, found


@pytest.mark.parametrize(
    ("response", "text"),
    [
        ("\\boxed{1} and \\boxed{2}", "1, 2"), ("$\\boxed{1}$, $\\boxed{2}$, and $\\boxed{3}$", "1, 2, 3"),
        ("$x = \\boxed{1}$ or $x = \\boxed{2}$", "1, 2"), ("\\boxed{1} und \\boxed{2}", "1, 2"),
        ("\\boxed{1}，\\boxed{2}", "1, 2"),
        ("\\boxed{1}和\\boxed{2}", "1, 2"), ("\\boxed{1} \\text{ and } \\boxed{2}", "1, 2"),
        ("\\boxed{1} и \\boxed{2}", "1, 2"),
        ("$x_1 = \\boxed{1}$ y $x_2 = \\boxed{2}$", "1, 2"), ("\\boxed{1}; \\boxed{2}", "1, 2"),
        ("\\boxed{2}, \\boxed{2}", "2"),
        ("\\boxed{1}. Then I see that it is \\boxed{2}", "2"),
        ("\\boxed{x = 1 \\text{ or } x = 2}", "x = 1 \\text{ or } x = 2"),
    ],
)  # fmt: skip
def test_joined_boxes_are_one_list(response: str, text: str) -> None:
    assert final_answer(response) == (text, "boxed", False)


@pytest.mark.parametrize(
    "response",
    [
        "", "   ", "The answer is not 42.", "It is not 42.", "not 42", "La respuesta no es 42.",
        "答案不是42。", "Die Antwort ist nicht 42.",
        "The sum could be up to 18 (if both are 9). Without more information we cannot determine it.",
        "Question 3 shows 5 boxes. Please provide the picture.", "Sorry, I can't answer that.",
        "\\boxed{}", "\\boxed{?}",
    ],
)  # fmt: skip
def test_what_is_denied_or_refused_is_no_value(response: str) -> None:
    found = final_value(response)
    assert found is None or bare(found.text) in ("", "?"), found


RUNS_ON = [
    "\n\nQuestion: Tom has 3 cats. How many legs?\nAnswer: {}", "\n## Question:\nNext one.\n\\boxed{{{}}}",
    "<|im_end|>\n<|im_start|>user\nNext\n\\boxed{{{}}}", "<|endoftext|>Human: and now? The answer is {}.",
    "\nHuman: more\n#### {}",
    "</s> \\boxed{{{}}}",
]  # fmt: skip


@pytest.mark.parametrize(
    "style", ["\\boxed{{{}}}", "The answer is {}.", "<answer>{}</answer>", '{{"answer": "{}"}}', "答案是{}。"]
)
@pytest.mark.parametrize("tail", RUNS_ON)
def test_the_next_question_is_not_part_of_the_response(style: str, tail: str) -> None:
    response = "Question: what is it?\nLet us see.\n" + style.format(41) + tail.format(97)
    for find in (final_answer, final_value):
        found = find(response)
        assert found is not None and found.text == "41"


@given(st.text(), st.sampled_from(STYLES), st.text(max_size=40))
def test_an_answer_is_a_part_of_the_response(before: str, style: str, after: str) -> None:
    """But for boxes that were joined, whose parts are, and JSON, whose escapes are undone."""
    response = before + style.format("7") + after
    for find in (final_answer, final_value):
        found = find(response)
        if found is not None and found.where != "json":
            assert all("".join(part.split()) in "".join(response.split()) for part in found.text.split(", "))
