"""Contamination finds what was planted, and nothing that was not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curate.errors import InputError, UserError
from curate.filters.contamination import Contamination

LONG = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi"


def bench(folder: Path, *questions: str, name: str = "bench.jsonl") -> str:
    """A benchmark file of these questions, with the ids b0, b1, …"""
    path = folder / name
    path.write_text(
        "".join(json.dumps({"id": f"b{i}", "question": q}) + "\n" for i, q in enumerate(questions))
    )
    return str(path)


def whys(step: Contamination, *questions: str | None) -> list[str | None]:
    frame = pl.DataFrame({"question": questions}, schema={"question": pl.String}).lazy()
    marks = dict(step.mark(frame.with_row_index("row")).collect().iter_rows())
    return [marks.get(i) for i in range(len(questions))]


def meets(a: str, b: str, ngrams: tuple[int, ...] = (13, 8)) -> int | None:
    """The rule of the docstring, written without polars: how many words in a row two questions share."""
    x, y = a.split(), b.split()
    n = next((n for n in sorted(ngrams, reverse=True) if n <= min(len(x), len(y))), None)
    if n is None:
        return 0 if x == y and x else None
    runs = [{tuple(w[i : i + n]) for i in range(len(w) - n + 1)} for w in (x, y)]
    return n if runs[0] & runs[1] else None


few_words = st.lists(st.sampled_from("ab"), max_size=9).map(" ".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(few_words, min_size=1, max_size=4), st.lists(few_words, min_size=1, max_size=4))
def test_it_does_what_it_says(tmp_path: Path, benchmark: list[str], asked: list[str]) -> None:
    step = Contamination((bench(tmp_path, *benchmark, "c"),), ngrams=(5, 3))
    for question, why in zip(asked, whys(step, *asked), strict=True):
        found = [(n, -i) for i, b in enumerate(benchmark) if (n := meets(question, b, (5, 3))) is not None]
        if not found:
            assert why is None
            continue
        n, i = max(found)
        said = f"shares {n} words in a row with" if n else "the same question as"
        assert why == f"{said} b{-i} of bench.jsonl"


@given(st.integers(0, 3), st.text("xyz ", max_size=20), st.text("xyz ", max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_thirteen_planted_words_are_found_wherever_they_stand(
    tmp_path: Path, start: int, before: str, after: str
) -> None:
    run = LONG.split()[start : start + 13]
    planted = f"{before} {' '.join(run)} {after}"
    near_miss = f"{before} {' '.join(run[:6])} but {' '.join(run[6:])} {after}"
    why, missed = whys(Contamination((bench(tmp_path, "other", LONG),)), planted, near_miss)
    assert why == "shares 13 words in a row with b1 of bench.jsonl"
    assert missed is None


def test_a_run_does_not_reach_across_two_questions(tmp_path: Path) -> None:
    words = LONG.split()
    step = Contamination((bench(tmp_path, " ".join(words[:8]), " ".join(words[8:])),))
    assert whys(step, " ".join(words[1:9])) == [None]


def test_case_width_and_punctuation_are_no_disguise(tmp_path: Path) -> None:
    step = Contamination((bench(tmp_path, "What is ① + x_1, the \\emph{sum} of ALL ﬁrst terms?"),))
    assert whys(step, "what is 1 x_1 the emph sum of all first terms") != [None]
    assert whys(step, "what is 2 x_1 the emph sum or all first terms") == [None]


def test_a_drawing_is_no_text(tmp_path: Path) -> None:
    drawing = f"[asy] {LONG} [/asy]"
    step = Contamination((bench(tmp_path, f"How wide is it? {drawing}"),))
    assert whys(step, f"What is the area of this? {drawing}", f"How wide is it?{drawing}") == [
        None,
        "the same question as b0 of bench.jsonl",
    ]


def test_a_question_without_words_meets_nobody(tmp_path: Path) -> None:
    step = Contamination((bench(tmp_path, "...", "a"),))
    assert whys(step, "", "?!", None) == [None, None, None]


def test_questions_that_share_a_template_are_all_charged_to_the_first(tmp_path: Path) -> None:
    template = [f"{LONG} and then case number {i}" for i in range(2000)]
    step = Contamination((bench(tmp_path, *template),))
    assert whys(step, *template) == ["shares 13 words in a row with b0 of bench.jsonl"] * 2000


@pytest.mark.parametrize("name", ["b.jsonl.gz", "b.jsonl.zst", "b.parquet", "b.jsonl"])
def test_a_benchmark_may_be_packed_and_name_its_fields_otherwise(tmp_path: Path, name: str) -> None:
    rows = [{"uuid": "u1", "problem": LONG}, {"uuid": "u2", "problem": 'a "quoted"\nproblem'}]
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path = tmp_path / name
    if name.endswith("parquet"):
        pl.DataFrame(rows).write_parquet(path)
    else:
        pack = {"gz": gzip.compress, "zst": zstandard.compress}.get(name.rpartition(".")[2], bytes)
        path.write_bytes(pack(text))
    assert whys(Contamination((str(path),)), LONG, "A quoted problem") == [
        f"shares 13 words in a row with u1 of {name}",
        f"the same question as u2 of {name}",
    ]


def test_rows_without_an_id_are_named_by_number_and_files_by_path_where_names_clash(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.jsonl").write_text(json.dumps({"prompt": f"{folder} prompt"}) + "\n")
    paths = tuple(str(tmp_path / folder / "t.jsonl") for folder in ("a", "b"))
    assert whys(Contamination(paths), "B prompt") == [f"the same question as row 1 of {paths[1]}"]


def test_bad_benchmarks_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no benchmark file 'nowhere.jsonl'"):
        Contamination(("nowhere.jsonl",))
    with pytest.raises(UserError, match="needs benchmarks"):
        Contamination(())
    (tmp_path / "empty.jsonl").write_text('{"text": "no question"}\n')
    with pytest.raises(InputError, match="empty.jsonl' has a question"):
        whys(Contamination((str(tmp_path / "empty.jsonl"),)), "x")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(InputError, match="torn.parquet' cannot be read"):
        whys(Contamination((str(tmp_path / "torn.parquet"),)), "x")
    with pytest.raises(UserError, match=r"not \(1,\)"):
        Contamination((str(tmp_path / "empty.jsonl"),), ngrams=(1,))
