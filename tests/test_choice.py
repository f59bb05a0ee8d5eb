"""Which option a response chooses, in every style people write, and what is no choice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.answers import chosen, listed
from curate.step import Verdict
from curate.verifiers.choice import Choice

FOUR = "Which?\nA. red\nB. 12 cm\nC. $\\frac{1}{2}$\nD. dark blue\n"

# Each names one letter; {} is the letter.
STYLES = [
    r"\boxed{{{}}}", r"\boxed{{({})}}", r"\boxed{{{}.}}", r"\boxed{{\text{{({}) 12}}}}",
    r"\boxed{{\textbf{{({})}}}}",
    r"\boxed{{\text{{{}}}}}", r"\boxed{{\mathrm{{{}}}}}", r"\boxed{{\textbf{{({}) }}7}}",
    r"$\boxed{{\text{{Option {}}}}}$",
    r"\boxed{{{}) 12}}", r"\boxed{{{}: red}}", r"\boxed{{{}，红色}}", "<answer>{}</answer>",
    "<answer>({}) red</answer>",
    '{{"answer": "{}"}}', '```json\n{{"reasoning": "A or B", "answer": "{}. red"}}\n```', "#### {}",
    "The answer is {}.", "The answer is ({}).", "The answer is {}. red", "Answer: {}", "**Answer: {}**",
    "**Answer:** ({}) red",
    "The correct answer is option {}.", "The correct choice is **{}**.", "So the correct option is: {}",
    "Option ({})",
    "It is option {}", "I choose ({}).", "My answer is {}", "Therefore, ({}).", "So it must be {}.",
    "Hence, {}.",
    "So the answer is ({}), because the others fail.", "the answer is {} since the others are too small",
    "({})", "{}", "{})", "{}.", "{}!", "The answer is {}!", "It's {}!", "So, {}.", "That’s {}.",
    "**{}**", "**({}) red**", "{}) red", "{}. red", "({}) red",
    "{}\n\nExplanation: the other options do not fit the text.",
    "Only choice ({}) satisfies both of these conditions.",
    "Looking at the options, option ({}) has three, making it the one.",
    "The figure is shown in option {}.", "Choice {} is correct.", "{} is the correct answer.",
    "Statement {} is true.",
    "We must select {}.", "The right letter is {}", "After a long derivation 3 + 4 = 7.\n\n{}",
    "3 + 4 = 7\n\n({}) 7",
    "【答案】{}", "【答案】 {} <eoa>", "【答案】{}。", "【解析】略<eoe>\n【答案】{}<eoa>", "故选{}",
    "故选：{}．", "故选 {}。", "所以选{}。", "因此，应选{}。",
    "答案为{}", "答案是{}。", "答案：{}", "正确答案是{}选项。", "正确答案是选项{}。",
    "因此，选项{}是正确的。", "{}选项正确。", "所以，错误的叙述是选项{}。",
    "本题选择{}选项。", "选{}", "选择（{}）", "答えは{}です。", "正解は({})です。", "정답은 {}입니다.",
    "정답: {}", "답은 ({})입니다.",
    "Die Antwort ist {}.", "Antwort: {}", "La respuesta es {}.", "La respuesta correcta es la opción {}.",
    "La réponse est {}.",
    "Réponse : {}", "A resposta é {}.", "La risposta è {}.", "Ответ: {}", "Правильный ответ: {}.",
    "الإجابة هي {}.", "الجواب: {}",
    "उत्तर: {}", "सही उत्तर {} है।", "Cevap: {}", "Doğru cevap {}.", "Đáp án: {}", "Đáp án là {}.",
    "Odpowiedź: {}", "Het antwoord is {}.",
    "Jawabannya adalah {}.", "คำตอบคือ {}",
]  # fmt: skip
# Each rules out the letter {0} and takes {1}.
RULED_OUT = [
    "The answer is not {0} but {1}.", r"\boxed{{\text{{not {0} but {1}}}}}", "{0} is wrong, so {1}.",
    "{0} is wrong. So the answer is {1}.",
    "Option {0} is incorrect. Option {1} is correct.", "{1} is correct and {0} is wrong.",
    "The answer is {1}, not {0}.",
    "The answer is {1} rather than {0}.", "It can't be {0}. So it is {1}.",
    "We rule out {0}, which leaves {1}.", "选项{0}错误，选项{1}正确。",
    "{0}错误，故选{1}。", "I first thought the answer is {0}. But the answer is {1}.",
    r"\boxed{{{0}}}. Wait, no: \boxed{{{1}}}",
    "答案不是{0}，而是{1}。", "Options {0} is too small; {1} is the right choice.",
]  # fmt: skip


def judge(response: str | None, gold: str | None, question: str | None = None) -> Verdict:
    return Choice().row({"question": question, "response": response, "answer": gold})


@pytest.mark.parametrize("question", [None, "Which?", FOUR], ids=["unknown", "bare", "listed"])
@pytest.mark.parametrize("style", STYLES)
def test_a_letter_is_read_in_every_style(style: str, question: str | None) -> None:
    for letter in "ABCD":
        for gold in "ABCD":
            verdict = judge(style.format(letter), gold, question)
            assert verdict.passed is (letter == gold), (style.format(letter), gold, verdict)


@pytest.mark.parametrize("style", RULED_OUT)
def test_a_letter_that_is_ruled_out_is_not_chosen(style: str) -> None:
    for wrong, right in ("AB", "CA", "BD"):
        response = style.format(wrong, right)
        assert judge(response, right).passed is True, (response, judge(response, right))
        assert judge(response, wrong).passed is False, response


@pytest.mark.parametrize(
    "text",
    [
        "ABD", "A, B, D", "A,B,D", "A、B、D", "A，B，D", "A, B and D", "(A), (B) and (D)", "A和B和D",
        "DBA", "A B D", "A; B; D", "A & B & D",
        "A/B/D", "ＡＢＤ", "Ａ、Ｂ、Ｄ",
    ],
)  # fmt: skip
def test_several_letters_are_all_needed_in_any_order(text: str) -> None:
    for response in (
        rf"\boxed{{{text}}}",
        f"【答案】{text}<eoa>",
        f"The answer is {text}.",
        f"故选：{text}。",
        f"Answer: {text}",
    ):
        for gold in ("ABD", "A, B, D", "A and B and D", "DAB", "(A), (B), (D)"):
            assert judge(response, gold).passed is True, (response, gold, judge(response, gold))
        assert judge(response, "AB").passed is False and judge(response, "ABCD").passed is False
        single = judge(response, "A")
        assert single.passed is False and single.why.startswith("several_answers"), response


@pytest.mark.parametrize(
    "response",
    ["either A or B", "The answer is A or B.", r"\boxed{A} and \boxed{B}", r"\boxed{\text{(A) and (B)}}",
    "Only (A) and (B) are possible.",
     r"\boxed{AB}", "答案是A还是B？"],
)  # fmt: skip
def test_two_letters_for_one_are_several_answers(response: str) -> None:
    verdict = judge(response, "B")
    assert verdict.passed is False and verdict.why.startswith("several_answers"), verdict


def test_alternatives_are_no_list() -> None:
    assert judge("The answer is either A or B.", "AB").passed is False
    assert judge("The answer is A and B.", "AB").passed is True


@pytest.mark.parametrize(
    "response",
    [None, "", "Hard to say.", "Without a picture this cannot be answered.", r"\boxed{12}",
    r"\boxed{\text{None of the above}}",
     "The answer is not A.", "A dog has four legs. I like cats.", r"\boxed{}",
     "Please provide the image so that I can help.", "x" * 5000,
     "Sorry, as an AI I can't see the picture of points A, B and C."],
)  # fmt: skip
def test_without_an_option_there_is_no_answer(response: str | None) -> None:
    for gold in "ABCDE":
        verdict = judge(response, gold)
        assert verdict.passed is False and verdict.why.startswith("no_answer"), (response, verdict)


@pytest.mark.parametrize(
    ("response", "label"),
    [
        ("The answer is red.", "A"), (r"\boxed{12 \text{ cm}}", "B"), ("<answer>dark blue</answer>", "D"),
        (r"\boxed{\frac{1}{2}}", "C"),
        ("It is **dark blue**.", "D"), ("So the colour has to be dark blue.", "D"), ("Answer: Red", "A"),
    ],
)  # fmt: skip
def test_the_text_of_an_option_is_its_letter(response: str, label: str) -> None:
    for gold in "ABCD":
        assert judge(response, gold, FOUR).passed is (gold == label), (response, gold)
    assert judge(f"The options are\n{FOUR}\n{response}", label).passed is True


QUESTIONS = {
    "lines": "Which?\nA. x1\nB. x2\nC. x3", "brackets": "Which?\n(A) x1 (B) x2 (C) x3",
    "small": "Which? (a) x1 (b) x2 (c) x3",
    "tight": "Which? A.x1 B.x2 C.x3", "closing": "Which?\nA) x1\nB) x2\nC) x3",
    "spaced": "Which? A ) x1 , B ) x2 , C ) x3",
    "Chinese": "选哪个？\nA．x1\nB．x2\nC．x3", "full": "选哪个？（A）x1（B）x2（C）x3",
    "markdown": "Which?\n- A. x1\n- B. x2\n- **C.** x3",
}  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_options_are_read_from_the_question(name: str) -> None:
    options = listed(QUESTIONS[name])
    assert list(options)[:2] == ["a", "b"] and options["a"].startswith("x1") and options["b"].startswith("x2")
    assert judge("The answer is x2.", "B", QUESTIONS[name]).passed is True
    assert judge("The answer is B.", "x2", QUESTIONS[name]).passed is True


def test_other_labels_than_latin_letters() -> None:
    assert judge("정답은 ②입니다.", "②", "고르시오. ① 서울 ② 부산 ③ 대구").passed is True
    assert judge("الجواب: ب", "ب", "ما هو؟\nأ) واحد\nب) اثنان\nج) ثلاثة").passed is True
    assert judge("الجواب: ب", "B").passed is True and judge("정답: 나", "B").passed is True
    assert judge("答案是乙。", "B").passed is True and judge("Ответ: В", "B").passed is True
    assert judge("Ⓑ", "B").passed is True and judge("（Ｂ）", "B").passed is True


def test_there_may_be_more_than_ten_options() -> None:
    question = "Which?\n" + "\n".join(f"{chr(65 + i)}. thing {i}" for i in range(26))
    assert len(listed(question)) == 26
    for letter in "AKQZ":
        assert judge(f"The answer is {letter}.", letter, question).passed is True
        assert judge("The answer is J.", letter, question).passed is False
    assert judge("The answer is thing 16.", "Q", question).passed is True
    assert judge(r"\boxed{M}", "M").passed is True  # the gold says that there are so many


@pytest.mark.parametrize(
    "gold",
    [
        "12",
        "see figure",
        r"\frac{1}{2}",
        "x = A",
        "Paris",
        "a dog",
        "Option",
        "",
        "  ",
        "I am",
        "AND",
        "A1",
        "-B",
    ],
)
def test_a_gold_that_is_no_option_abstains(gold: str) -> None:
    verdict = judge(r"\boxed{B}", gold)
    assert verdict.passed is None and verdict.why.startswith("unsupported"), verdict


@pytest.mark.parametrize(
    "gold", ["B", "(B)", "B.", "B)", "(B) 12 cm", "B. 12 cm", "12 cm", "ABD", "A, C", "A and C", "dark blue"]
)
def test_a_gold_is_equal_to_itself(gold: str) -> None:
    assert judge(Choice.reflexive.replace("%s", gold), gold, FOUR).passed is True


@given(st.text(), st.text(max_size=20), st.one_of(st.none(), st.text()))
def test_no_text_breaks_it(response: str, gold: str, question: str | None) -> None:
    verdict = judge(response, gold, question)
    assert verdict.passed in (True, False, None) and verdict.why


@given(st.sampled_from(STYLES), st.sampled_from("ABCDE"), st.text(alphabet="mno xyz.\n", max_size=60))
def test_a_letter_is_found_after_any_words(style: str, letter: str, before: str) -> None:
    assert judge(f"{before}.\n\n" + style.format(letter), letter).passed is True


@given(st.sampled_from(STYLES), st.sampled_from("ABCDE"))
def test_what_is_chosen_stands_in_the_response(style: str, letter: str) -> None:
    said = chosen(style.format(letter))
    assert said is not None and said.labels == {letter.casefold()}
    assert "".join(said.text.split()) in "".join(style.format(letter).split())


@pytest.mark.parametrize("name", ["gaokao_mcq", "mathv_mcq"])
def test_verdicts_agree_with_labels(data: Path, name: str) -> None:
    with (data / "verify" / f"{name}.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    agreed = sum(judge(row["response_or_answer"], row["gold"]).passed is row["label"] for row in rows)
    assert agreed / len(rows) >= 0.99
