"""A row whose question shares a run of words with a benchmark question goes.

Word n-grams against the test set are the usual rule: 13 words in GPT-3 (Brown et al. 2020, arXiv 2005.14165,
appendix C), 8 in several open reasoning sets. A short question holds no 13 words, so the run that is asked
for depends on the shorter of the two questions.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from curate.errors import InputError, UserError
from curate.step import Filter

QUESTION = ("question", "problem", "prompt", "instruction", "input")
IDENTITY = ("id", "source_id", "uuid", "unique_id", "task_id", "problem_id")
WHOLE = 0  # as the length of a run: all words of the text
BASE = pl.lit(0x9E3779B97F4A7C15, dtype=pl.UInt64)  # odd, so that a rolling hash modulo 2**64 loses nothing


@dataclass(frozen=True)
class Contamination(Filter):
    """Two questions meet if they share n words in a row: the largest n of `ngrams` that fits into both.

    Where none fits they must be equal. Words are compared after Unicode NFKC and lower-casing, without
    Asymptote drawings, and with everything that is no letter, digit or underscore taken as space: `2x + 1`
    and `2x - 1` are equal here, since a question that differs from a test question in a sign still gives it
    away.

    Not found: paraphrases, translations, other names or numbers every few words, pictures. In scripts without
    spaces a "word" is a whole clause, so little but copies is found. Found though innocent: a phrase of n
    words that many questions share ("what is the sum of all of the", where a question has fewer than 13
    words); keep boilerplate such as a format instruction out of the benchmark files.

    benchmarks: JSON lines (plain, .gz, .zst) or parquet. The question of a row is the first it has of
    `question`, `problem`, `prompt`, `instruction` and `input`. Benchmarks are held in memory, as hashes;
    the table is not.
    """

    benchmarks: tuple[str, ...]
    ngrams: tuple[int, ...] = (13, 8)
    reads = ("question",)
    example_files = {
        "bench.jsonl": '{"id": "b1", "question": "Tom has 3 red and 4 blue marbles. How many has he?"}\n'
    }
    example_fields = {"benchmarks": ("bench.jsonl",)}
    examples = (
        ({"question": "If Tom has 3 red and 4 blue marbles, does Ann have more?"}, True),
        ({"question": "If Tom has 5 red and 4 blue marbles, does Ann have more?"}, False),
        ({"question": "tom has 3 RED and 4 blue marbles; how many has he"}, True),
        ({"question": "How many has he?"}, False),
        ({"question": None}, False),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.ngrams or min(self.ngrams) < 2:
            raise UserError(
                f"ngrams are runs of 2 words or more, not {self.ngrams}; the usual ones are (13, 8)"
            )
        if not self.benchmarks:
            raise UserError("contamination needs benchmarks: one file of test questions or more")
        for path in self.benchmarks:
            if not Path(path).is_file():
                raise InputError(f"there is no benchmark file {path!r}; name a JSON lines or parquet file")

    def mark(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        names = [Path(path).name for path in self.benchmarks]
        labels = [n if names.count(n) == 1 else p for n, p in zip(names, self.benchmarks, strict=True)]
        bench = pl.concat(benchmark_questions(p, n) for p, n in zip(self.benchmarks, labels, strict=True))
        bench = bench.with_row_index("bench")
        runs = word_runs(bench, "bench", self.ngrams)
        # Of the benchmark questions that hold one run only the first matters: so no join multiplies its rows.
        known = runs.group_by("n", "run").agg(
            any=pl.col("bench").min(), short=pl.col("bench").filter("short").min()
        )
        labelled = bench.select("bench", "label")

        def hits(part: pl.DataFrame) -> pl.DataFrame:
            part = part.with_columns(text=words(pl.col("question")))
            asked = part.select("text").unique().with_row_index("ask")
            met = word_runs(asked, "ask", self.ngrams).join(known, on=["n", "run"], suffix="_bench")
            met = met.select("ask", "n", bench=pl.when("short").then("any").otherwise("short_bench"))
            met = met.drop_nulls("bench").group_by("ask", "n").agg(pl.col("bench").min())
            best = met.sort("n", descending=True).unique("ask", keep="first").join(labelled, on="bench")
            marked = asked.join(best.select("ask", why=_reason()), on="ask")
            return part.join(marked, on="text").select("row", "why")

        schema = {"row": pl.UInt32, "why": pl.String}
        return frame.select("row", "question").map_batches(hits, schema=schema, streamable=True)


def _reason() -> pl.Expr:
    whole = pl.format("the same question as {}", "label")
    return (
        pl.when(pl.col("n") == WHOLE)
        .then(whole)
        .otherwise(pl.format("shares {} words in a row with {}", "n", "label"))
    )


def words(text: pl.Expr) -> pl.Expr:
    """The words of a text, lower-case, with one space between them; drawings are no words."""
    text = text.str.replace_all(r"(?s)\[asy\].*?\[/asy\]", " ")
    return text.str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\W+", " ").str.strip_chars()


def word_runs(texts: pl.DataFrame, name: str, ngrams: tuple[int, ...]) -> pl.DataFrame:
    """Every run of n words of every `text`, as a hash, for all n of ngrams and for the whole text.

    `short`: the text has no room for the next larger n, so a run of this n is enough for it to meet another.
    Work and memory grow with the number of words, times the number of ngrams.
    """
    texts = texts.filter(pl.col("text") != "").select(name, "text", word=pl.col("text").str.split(" "))
    texts = texts.with_columns(count=pl.col("word").list.len())
    each = texts.select(name, "count", "word").explode("word").with_columns(word=pl.col("word").hash())
    sizes = (*sorted(set(ngrams), reverse=True), WHOLE)
    found = []
    for larger, n in zip((None, *sizes), sizes, strict=False):
        short = pl.lit(True) if larger is None else pl.col("count") < larger
        if n == WHOLE:
            found.append(texts.select(name, n=pl.lit(n), run=pl.col("text").hash(), short=short))
            continue
        run = pl.col("word")
        for i in range(1, n):
            run = run * BASE + pl.col("word").shift(-i)
        inside = pl.col(name) == pl.col(name).shift(-(n - 1))
        found.append(
            each.select(name, n=pl.lit(n), run=run, short=short, inside=inside)
            .filter("inside")
            .drop("inside")
        )
    return pl.concat(found)


def benchmark_questions(path: str, label: str) -> pl.DataFrame:
    """The questions of one file: `text` in words, and `label`, which names file and row."""
    try:
        if path.endswith((".parquet", ".pq")):
            rows = pl.scan_parquet(path)
            kinds = rows.collect_schema()
            question = [pl.col(c) for c in QUESTION if kinds.get(c) == pl.String]
            identity = [pl.col(c).cast(pl.String) for c in IDENTITY if c in kinds]
        else:
            rows = pl.scan_lines(path)
            rows = rows.filter(pl.col("line").str.strip_chars() != "")
            question = [pl.col("line").str.json_path_match(f"$.{c}") for c in QUESTION]
            identity = [pl.col("line").str.json_path_match(f"$.{c}") for c in IDENTITY]
        rows = rows.with_row_index("number", offset=1)
        row = pl.format("row {}", "number")
        read = rows.select(
            text=words(pl.coalesce(*question, pl.lit(None, pl.String))), id=pl.coalesce(*identity, row)
        )
        found = read.select("text", label=pl.format("{} of {}", "id", pl.lit(label))).collect()
    except pl.exceptions.PolarsError as e:
        raise InputError(f"the benchmark file {path!r} cannot be read: {str(e).splitlines()[0]}") from None
    if found["text"].null_count() == len(found):
        raise InputError(
            f"no row of the benchmark file {path!r} has a question; its field must be one of {QUESTION}"
        )
    if nothing := found["text"].null_count():
        first = found.filter(pl.col("text").is_null())["label"][0]
        raise InputError(
            f"{nothing} rows of the benchmark file {path!r} have no question (the first: {first}), so a test "
            f"question may slip through; mend or remove them: the field is one of {QUESTION}"
        )
    return found
