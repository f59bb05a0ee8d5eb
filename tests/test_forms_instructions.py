"""The checks of instructions count as people do, and say nothing where nothing is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import UserError
from curate.instructions import paragraphs, words
from curate.step import Verdict
from curate.verifiers.format import Format
from curate.verifiers.keywords import Keywords
from curate.verifiers.language import Language
from curate.verifiers.length import Length

CHECKS = [Length(), Format(), Keywords(), Language()]


def judge(verifier: Any, response: str | None, answer: str | None = None) -> Verdict:
    """The verdict in this process."""
    return verifier.row({"response": response, "answer": answer})


def test_words_and_paragraphs_are_those_of_people() -> None:
    assert len(words("Don't use well-known 3.14 or 1,000 words — ok?")) == 8
    assert len(words("我有3本书")) == 5 and words("") == [] and words("... --- !") == []
    assert paragraphs("a\nb\n\n \nc\n***\nd") == ["a\nb", "c", "d"] and paragraphs("\n\n") == []


@given(
    st.lists(st.sampled_from(["apple", "it's", "x1", "日", "naïve"]), max_size=30),
    st.sampled_from([" ", "\n", ", "]),
)
def test_the_count_of_words_is_the_number_of_words(said: list[str], between: str) -> None:
    assert len(words(between.join(said))) == len(said)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_bounds_are_inclusive(n: int, least: int, more: int) -> None:
    found = judge(Length(min_words=least, max_words=least + more), "word " * n)
    assert found.passed is (least <= n <= least + more) and found.extracted == f"{n} words"


def test_a_length_in_sentences_paragraphs_and_characters() -> None:
    text = "One. Two, e.g. here? Three!\n\nFour is 1.5."
    assert judge(Length(min_sentences=4, max_sentences=4, min_paragraphs=2, max_paragraphs=2), text).passed
    assert (
        judge(Length(max_characters=3), " abc\n").passed and not judge(Length(max_characters=2), "abc").passed
    )
    assert (
        judge(Length(max_words=3, min_sentences=2), "a b c d.").why == "not_met: 4 words > 3, 1 sentences < 2"
    )
    assert (
        judge(Length(min_sentences=2), "今天好。明天也好。").passed
        and not judge(Length(min_words=1), None).passed
    )
    with pytest.raises(UserError, match="no text is so long"):
        Length(min_words=3, max_words=2)


FORMATS = [
    (dict(bullets=2), "- a\n* b", True), (dict(bullets=2), "- a\n- b\n- c", False), (dict(bullets=1),
    "---\n- a", True),
    (dict(bullets=0), "a - b", True), (dict(bullets=1), "```\n- a\n```\n- b", True), (dict(numbered=2),
    "1. a\n2) b", True),
    (dict(numbered=1), "In 1. place", False), (dict(headings=2), "# A\n## B\nc", True), (dict(headings=1),
    "#tag", False),
    (dict(highlights=2), "*a* and **b**", True), (dict(highlights=1), "2 * 3 * 4", False), (dict(title=True),
    "<<T>>\na", True),
    (dict(title=True), "**T**\na", True), (dict(title=True), "a\n# T", False), (dict(title=False),
    "plain", True),
    (dict(case="lower"), "all low 5.", True), (dict(case="lower"), "One", False), (dict(case="upper"),
    "ALL 5", True),
    (dict(json=True), '{"a": 1}', True), (dict(json=True), "```json\n[1]\n```", True), (dict(json=True),
    "It is [1]", False),
    (dict(json=True), "[NaN]", False), (dict(json=False), "text", True), (dict(quoted=True), '"a"', True),
    (dict(quoted=True), "a", False),
    (dict(no_commas=True), "a b", True), (dict(no_commas=True), "a, b", False), (dict(placeholders=1),
    "Dear [name]", True),
    (dict(placeholders=1), "[a](b)", False), (dict(ends_with="Any questions?"),
    "Ok.\nany  questions? ", True),
    (dict(ends_with="Any"), "Any.", False), (dict(starts_with="Sure"), "sure, ok", True),
    (dict(bullets=1, case="lower"), "- A", False),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "text", "want"), FORMATS, ids=[f"{i}" for i in range(len(FORMATS))])
def test_a_format(fields: dict[str, Any], text: str, want: bool) -> None:
    assert judge(Format(**fields), text).passed is want
    assert judge(Format(), text, json.dumps({"format": fields})).passed is want


def test_nothing_has_no_format() -> None:
    assert judge(Format(bullets=0), " ").passed is False
    with pytest.raises(UserError, match="'lower' or 'upper'"):
        Format(case="title")  # type: ignore[arg-type]


def test_keywords_are_whole_words_in_any_case() -> None:
    assert judge(Keywords(required=("new york", "C++")), "I know New\nYork and c++.").passed
    assert not judge(Keywords(required=("art",)), "A party.").passed
    assert judge(Keywords(forbidden=("art",)), "A party.").passed
    assert judge(Keywords(required=("学习",)), "我喜欢学习。").passed
    assert judge(Keywords(counts=("a == 2", "b <= 1", "c < 1")), "a b A").passed
    assert judge(Keywords(counts=("a > 2",)), "a b A").why == "not_met: 'a' is there 2 times"
    for wrong in ({"counts": ("a twice",)}, {"required": ("",)}):
        with pytest.raises(UserError):
            Keywords(**wrong)  # type: ignore[arg-type]


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_count_is_a_count(n: int, asked: int) -> None:
    text = "fish and chips " * n
    for sign, holds in (("==", n == asked), ("<=", n <= asked), (">", n > asked)):
        assert judge(Keywords(counts=(f"fish {sign} {asked}",)), text).passed is holds


TEXTS = {
    "en": "The answer is that we do not know which of the two houses was built first, and it is fine.",
    "de": "Die Antwort ist, dass wir nicht wissen, welches der beiden Häuser zuerst gebaut wurde, und das ist gut.",  # noqa: E501
    "fr": "La réponse est que nous ne savons pas laquelle des deux maisons a été construite dans le passé.",
    "es": "La respuesta es que no sabemos cuál de las dos casas se construyó primero, pero está bien así.",
    "it": "La risposta è che non sappiamo quale delle due case sia stata costruita per prima, ma va bene così.",  # noqa: E501
    "pt": "A resposta é que não sabemos qual das duas casas foi construída primeiro, mas está tudo bem com isso.",  # noqa: E501
    "nl": "Het antwoord is dat wij niet weten welke van de twee huizen het eerst gebouwd is, maar dat is goed.",  # noqa: E501
    "ru": "Ответ в том, что мы не знаем, какой из двух домов был построен первым, и это хорошо.",
    "uk": "Відповідь у тому, що ми не знаємо, який із двох будинків збудовано першим.",
    "zh": "答案是我们不知道这两座房子哪一座先建成，不过这没有关系。",
    "ja": "答えは、二つの家のどちらが先に建てられたか分からないということです。",
    "ko": "답은 두 집 중 어느 것이 먼저 지어졌는지 우리가 모른다는 것입니다.",
    "ar": "الجواب هو أننا لا نعرف أي البيتين بني أولا وهذا جيد.",
    "fa": "پاسخ این است که ما نمی‌دانیم کدام یک از دو خانه اول ساخته شد و چرا.",
    "hi": "उत्तर यह है कि हम नहीं जानते कि दोनों में से कौन सा घर पहले बना था।",
    "el": "Η απάντηση είναι ότι δεν ξέρουμε ποιο από τα δύο σπίτια χτίστηκε πρώτο.",
    "he": "התשובה היא שאיננו יודעים איזה משני הבתים נבנה ראשון וזה בסדר.",
    "th": "คำตอบคือเราไม่รู้ว่าบ้านหลังไหนถูกสร้างขึ้นก่อน",
    "vi": "Câu trả lời là chúng tôi không biết ngôi nhà nào được xây trước, và đó là một điều tốt cho mọi người.",  # noqa: E501
    "tr": "Cevap, bu iki evden hangisinin daha önce yapıldığını bilmiyoruz ve bu da çok iyi bir şey.",
}


@pytest.mark.parametrize("spoken", TEXTS)
@pytest.mark.parametrize("asked", TEXTS)
def test_a_text_is_in_its_language_and_in_no_other(asked: str, spoken: str) -> None:
    assert judge(Language(asked), TEXTS[spoken]).passed is (asked == spoken)


def test_what_cannot_be_told_is_left_open() -> None:
    assert judge(Language("en"), "x = 5").passed is None and judge(Language("en"), None).passed is None
    assert judge(Language("en"), "Lorem dolor consectetur adipiscing elit sed eiusmod tempor").passed is None
    assert judge(Language("en"), TEXTS["en"] + "\n```\nпривет мир как дела привет мир\n```").passed is True
    assert judge(Language("zh"), r"答案是：我们得到 $\text{the answer}$ 所以选这一个。").passed is True
    assert judge(Language(share=0.5), TEXTS["en"]).passed is None
    with pytest.raises(UserError, match="it knows"):
        Language("klingon")


@pytest.mark.parametrize("check", CHECKS, ids=lambda c: c.name)
@pytest.mark.parametrize(
    "gold", [None, "", "5", "[", "[]", "{}", "null", '{"other": {"n": 1}}', '{"%s": {"nobody": 1}}',
    '{"%s": 3}', '{"%s": {}}', "[" * 9999]
)  # fmt: skip
def test_a_gold_that_asks_nothing_is_no_constraint(check: Any, gold: str | None) -> None:
    found = judge(check, "Some text.", gold and gold.replace("%s", check.name))
    assert found.passed is None and found.why.split(":")[0] in ("unsupported", "gold_invalid")


def test_fields_come_before_the_gold() -> None:
    assert judge(Length(max_words=1), "a b", '{"length": {"max_words": 5}}').passed is False


HOSTILE = ["", "\x00", "*" * 60_000, "[" * 60_000, "# " * 60_000, "`" * 60_000, "- " * 60_000, "a" * 200_000,
    "a-" * 60_000,
           "<<" * 60_000, "\n" * 100_000, "$" * 60_000, r"\[" * 40_000, "```\n" * 30_000, "\ud800",
           "* a" * 40_000, "** a" * 40_000, "1. " * 40_000]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=[f"{i}" for i in range(len(HOSTILE))])
@pytest.mark.timeout(20)
def test_no_text_makes_a_check_raise_or_hang(text: str) -> None:
    every = dict(bullets=1, numbered=1, headings=1, highlights=1, placeholders=1, title=True, json=True)
    checks = [Length(1, 2, 1, 2, 1, 2, 1, 2), Format(**every), Keywords(("a b",), ("*",), ("a == 3",))]  # type: ignore[arg-type]  # noqa: E501
    for check in [*checks, Language("en"), Language("zh")]:
        assert judge(check, text).why.split(":")[0] in ("met", "not_met", "unsupported")
