"""What a student makes of a trace and of a problem: comprehension, and the pass rate of its own samples."""

from __future__ import annotations

import asyncio
import json
import math
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines.hf import HF
from curate.engines.hf_checkpoint import Checkpoint
from curate.engines.scripted import Scripted
from curate.errors import TooLong, UserError
from curate.scores.comprehension import Comprehension, another_reasoning, first_statement
from curate.scores.provenance import Provenance
from curate.scores.sentence_logprob import SentenceLogprob
from curate.scores.student_pass_rate import StudentPassRate
from curate.scores.token_logprobs import TokenLogprobs
from curate.scores.topk_divergence import TopkDivergence
from curate.step import user
from curate.turns import turn_for
from curate.verifiers.judge import Judge
from curate.verifiers.math_equal import MathEqual

WORLD = Path(curate.__file__).parent / "demo_world"
PROBLEMS = pl.read_ndjson(WORLD / "problems.jsonl").select("question", "answer").head(6)


def student(**options: Any) -> HF:
    return HF(str(WORLD / "student"), dtype="float32", device="cpu", **options)


def test_comprehension_is_what_the_model_says_of_the_answer_and_lies_between_its_means(
    tmp_path: Path,
) -> None:
    thinking = ["First 24 + 3 = 27.\n\nThen 27 + 6 = 33.", "First 17 + 8 = 25.\n\nThen 25 + 7 = 32."]
    rows = PROBLEMS.head(2).with_columns(thinking=pl.Series(thinking), response=pl.lit("?"))
    engine = student()
    steps = [another_reasoning, Comprehension(engine, leak="keep", control="other_reasoning")]
    found = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run").traces.collect().to_dicts()
    assert [r["other_reasoning"] for r in found] == thinking[::-1]
    name = "student_comprehension"
    for row in found:
        made = {"thinking": row["thinking"], "response": rf"\boxed{{{row['answer']}}}"}

        async def alone(question: str = row["question"], made: Any = made) -> Any:
            async with engine:
                turn = await turn_for(engine, user(question), made)
                return await engine.score(user(question), turn.text)

        scores = asyncio.run(alone())
        first = scores.end[-1] - len(row["answer"]) - 1
        tokens = zip(scores.start, scores.end, scores.logprob, strict=True)
        own = [x for a, b, x in tokens if b > first and a < scores.end[-1] - 1]
        assert row["student_answer_length"] == len(own)
        assert row[name] == pytest.approx(math.exp(sum(own) / len(own)), abs=1e-4)
        assert 0 < row[name] <= row[f"{name}_arithmetic"] + 1e-9 <= 1 + 1e-9
        assert row["student_leaks_answer"] is (row["thinking"] == thinking[0])
        assert 0 <= row[f"{name}_bare"] <= 1 and 0 <= row[f"{name}_shuffled"] <= 1
        assert row[f"{name}_fingerprint"] == engine.fingerprint
    assert found[0][name] > found[0][f"{name}_shuffled"], "its own reasoning helps more than another's"


def test_the_statement_of_the_answer_is_cut_and_the_way_to_it_is_not() -> None:
    text = "First 4 + 2 = 6.\n\nThen 33 is too many.\n\n27 + 6 = 33.\n\nYes."
    assert first_statement(text, "33") == text.index("27 + 6")
    assert first_statement("So the answer is 33.", "33") == 0
    assert first_statement("x = 330, y = 33.5", "33") is None
    assert first_statement("", "33") is None
    for missed in ("The total equals 33.", "x = **33**", r"= \$33", r"\approx 33"):
        assert first_statement(missed, "33") is None, f"docs/scores.md says that it is missed: {missed}"


def test_of_two_ways_to_write_the_answer_the_likelier_counts(tmp_path: Path) -> None:
    """Only a trace that passed has a say in how the answer may be written."""
    likely = {r"\boxed{1/2}": 0.2, r"\boxed{0.5}": 0.9, r"\boxed{3/4}": 0.4, r"\boxed{0.75}": 0.3}

    def chances(messages: Any, text: str) -> list[tuple[str, float]]:
        return [(text, math.log(likely.get(text, 0.5)))]

    said = [(r"\boxed{0.5}", "1/2"), (r"\boxed{0.75}", "3/4"), (r"\boxed{7}", "1/2"), (r"\boxed{1/2}", "1/2")]
    rows = pl.DataFrame(said, schema=["response", "answer"], orient="row")
    rows = rows.with_columns(question=pl.Series([*"abcd"]), thinking=pl.lit("so 0.5.\n\nYes = 1/2"))
    engine: Any = Scripted(script=["-"], chances=chances)
    steps = [MathEqual(), Comprehension(engine, verdict="math_equal")]
    found = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run").traces.collect()
    assert found["student_answer_form"].to_list() == ["trace", "gold", "gold", "gold"]
    assert found["student_comprehension"].to_list() == pytest.approx([0.9, 0.4, 0.2, 0.2])
    assert found["student_leaks_answer"].to_list() == [True, False, True, True]
    assert "student_answer_form" not in Comprehension(engine).writes


def test_one_problem_has_no_other_reasoning() -> None:
    frame = pl.LazyFrame({"problem_id": ["p", "p"], "trace_id": ["a", None], "thinking": ["x", None],
                          "response": ["1", None]})  # fmt: skip
    assert another_reasoning(frame).collect()["other_reasoning"].to_list() == [None, None]


def test_a_control_that_is_too_long_is_no_fault_of_the_trace(tmp_path: Path) -> None:
    def chances(messages: Any, text: str, prefix: str) -> list[tuple[str, float]]:
        if "long" in prefix:
            raise TooLong("the prompt has too many tokens")
        return [(text, -1.0)]

    rows = pl.DataFrame({"question": ["a", "b"], "answer": ["1", "2"], "thinking": ["so", "long"]})
    rows = rows.with_columns(response=pl.col("answer"))
    steps = [
        another_reasoning,
        Comprehension(Scripted(script=["-"], chances=chances), control="other_reasoning"),
    ]
    run = curate.Pipeline(curate.read(rows), steps).run(tmp_path / "run")
    [kept], [gone] = run.traces.collect().to_dicts(), run.dropped.collect().to_dicts()
    assert kept["student_comprehension"] == pytest.approx(math.exp(-1)) == kept["student_comprehension_bare"]
    assert kept["student_comprehension_shuffled"] is None and gone["thinking"] == "long"


def test_a_pass_rate_is_of_fresh_samples_one_answer_a_problem_and_spares_the_teacher(tmp_path: Path) -> None:
    rows = pl.concat([PROBLEMS.head(3)] * 2)
    engine = student(max_tokens=96)
    pipeline = curate.Pipeline(curate.read(rows), [StudentPassRate(engine, MathEqual(), n=4)])
    run = pipeline.run(tmp_path / "run")
    found = run.traces.collect()
    assert run.ledger["rows_paid"].sum() == 3, "a problem is asked once"
    name = "student_pass_rate"
    for row in found.to_dicts():
        assert 0 <= row[f"{name}_judged"] <= 4 and 0 <= row[f"{name}_cut"] <= 4
        assert row[name] is None or 0 <= row[name] <= 1
    assert found[f"{name}_fingerprint"].unique().to_list() == [engine.fingerprint]
    again = pipeline.run(tmp_path / "again").traces.collect()
    assert again.select(pl.col(f"^{name}.*$")).equals(found.select(pl.col(f"^{name}.*$")))


def test_a_sample_that_was_cut_has_failed_whatever_it_says(tmp_path: Path) -> None:
    """Where the verifier abstains on all, as without a gold answer, there is still no rate."""

    def script(messages: Any, seed: int) -> str:
        asked = messages[0]["content"]
        cut = asked in ("cut", "no gold") or asked == "some cut" and seed % 2
        return r"\boxed{4}" + " wait, let us see" * bool(cut)

    golds = {"cut": "4", "no gold": None, "some cut": "4", "whole": "4"}
    engine: Any = Scripted(script=script, max_tokens=2)
    rows = pl.DataFrame({"question": [*golds], "answer": [*golds.values()]})
    step = StudentPassRate(engine, MathEqual(), n=16)
    found = curate.Pipeline(curate.read(rows), [step]).run(tmp_path / "run").traces.collect()
    rate, judged, cut = (found[f"student_pass_rate{of}"].to_list() for of in ("", "_judged", "_cut"))
    assert judged == [16, 0, 16, 16] and cut[:2] == [16, 16] and 0 < cut[2] < 16 and cut[3] == 0
    assert rate == [0.0, None, 1 - cut[2] / 16, 1.0]


def test_another_checkpoint_under_the_same_name_is_asked_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The fingerprint tells, and what the first one said is not taken for the second's opinion."""
    place, said, words = tmp_path / "model", [], []
    rows = PROBLEMS.head(2).with_columns(thinking=pl.lit("so"), response=pl.lit("1"))
    for which in ("student", "teacher", "student"):
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(WORLD / which, place)
        step = TokenLogprobs(HF(str(place), dtype="float32", device="cpu"), of="student")
        said.append(curate.Pipeline(curate.read(rows), [step]).run(tmp_path / "run"))
        said[-1] = said[-1].traces.collect()
        words.append([r.getMessage() for r in caplog.records])
        caplog.clear()
    marks = [s["student_fingerprint"][0] for s in said]
    assert marks[0] == marks[2] != marks[1]
    assert words[0] == [] and len(words[1]) == len(words[2]) == 1
    assert f"the model {str(place)!r} has changed since the last run in {tmp_path / 'run'} " in words[1][0]
    assert said[0]["student_tokens"].equals(said[2]["student_tokens"])
    assert not said[0]["student_tokens"].equals(said[1]["student_tokens"])


def test_what_cannot_be_asked_is_refused_in_one_sentence() -> None:
    scripted: Any = Scripted(script=["4"])

    class Mute:
        model = "mute"

        async def chat(self) -> None: ...

    with pytest.raises(UserError, match="'mute' cannot score"):
        Comprehension(Mute())  # type: ignore[arg-type]
    with pytest.raises(UserError, match="where the {answer} stands"):
        Comprehension(scripted, form="the answer")
    with pytest.raises(UserError, match="needs no model"):
        StudentPassRate(scripted, Judge(scripted))
    with pytest.raises(UserError, match="n=0"):
        StudentPassRate(scripted, MathEqual(), n=0)
    with pytest.raises(UserError, match="begins the names of columns"):
        StudentPassRate(scripted, MathEqual(), of="a b")


def test_a_tokenizer_that_tells_no_offsets_cannot_score() -> None:
    class Slow:
        is_fast = False

        def __call__(self, text: str, **_: Any) -> dict[str, Any]:
            return {"input_ids": [1]}

    with pytest.raises(UserError, match="'old' tells no character offsets.*tokenizer.json"):
        Checkpoint("old", None, Slow(), frozenset(), None).continued("a", "b")


def test_a_score_that_is_no_number_sets_the_row_aside(tmp_path: Path) -> None:
    def chances(messages: Any, text: str) -> list[tuple[str, float]]:
        return [(text, math.nan if "bad" in text else -1.0)]

    rows = pl.DataFrame({"question": ["a", "b"], "answer": ["1", "2"], "response": ["good", "bad"]})
    engine: Any = Scripted(script=["-"], chances=chances)
    run = curate.Pipeline(curate.read(rows), [TokenLogprobs(engine)]).run(tmp_path / "run")
    assert run.traces.collect()["response"].to_list() == ["good"]
    [why] = run.dropped.collect()["why"].to_list()
    assert "is no number (NaN)" in why


def test_an_empty_trace_has_null_scores_and_one_too_long_is_set_aside_whole(
    tiny_model: Path, tmp_path: Path
) -> None:
    texts = ["", "so " * 600, "4.", ""]
    rows = pl.DataFrame({"question": [*"abcd"], "response": texts, "thinking": [None, None, None, ""]})
    engine = HF(str(tiny_model), dtype="float32", device="cpu")
    run = curate.Pipeline(curate.read(rows), [TokenLogprobs(engine)]).run(tmp_path / "run")
    live = run.traces.collect()
    assert live["question"].to_list() == ["a", "c", "d"]
    assert live["model_tokens"].is_null().to_list() == [True, False, True]
    [gone] = run.dropped.collect().to_dicts()
    assert gone["response"] == texts[1] and "the context of" in gone["why"] and "holds 512" in gone["why"]


@pytest.mark.slow
def test_real_traces_are_scored_whole_or_set_aside(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    """Texts that no author of this test wrote: each character is in one sentence, each score there."""
    place = tmp_path / "model"
    shutil.copytree(tiny_model, place)
    config = place / "config.json"
    longer = json.loads(config.read_text()) | {"max_position_embeddings": 4096}
    config.write_text(json.dumps(longer))
    engine = HF(str(place), dtype="float32", device="cpu", batch_size=8)
    names = ("rgym_multisample", "misguided_attention", "short_graded")
    source = curate.read([str(data / "traces" / f"{n}.jsonl.gz") for n in names]).head(2_000)
    frame = pl.read_parquet(source.load(tmp_path).rows).sample(16, seed=1)
    steps = [
        *(TokenLogprobs(engine, of=n, top_k=4) for n in ("teacher", "student")),
        *(SentenceLogprob(n) for n in ("teacher", "student")),
        Provenance(),
        TopkDivergence(),
    ]
    run = curate.Pipeline(curate.read(frame), steps).run(tmp_path / "run")
    live, gone = run.traces.collect(), run.dropped.collect()
    assert len(live) + len(gone) == 16 and len(live) > 4
    assert all("holds 4096" in why for why in gone["why"])
    for row in live.to_dicts():
        for name in ("thinking", "response"):
            spans = [s for s in row["provenance"] if s["field"] == name]
            assert "".join(row[name][s["start"] : s["end"]] for s in spans) == (row[name] or "")
            assert {s["label"] for s in spans} <= {"common", "unscored"}
        assert row["forward_kl"] == pytest.approx(0, abs=1e-6)  # scored twice, in batches of other company
        assert len(row["student_top"]) == len(row["student_tokens"]) > 0
