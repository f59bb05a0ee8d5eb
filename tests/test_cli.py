"""The command line: results on stdout, one sentence for a mistake, and the exit codes that scripts rely
on."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import polars as pl
import pytest
from running import bought
from served import Listener

import curate
from curate import looking
from curate.cli import main
from curate.errors import Interrupted
from curate.step import Filter

ECHO = '''
import curate
from curate.engines.scripted import Scripted
from curate.verifiers.exact import Exact
from curate.filters.failed import Failed


def say(messages, seed):
    return "<think>hm</think>" + str(seed % 3)


def recipe(problems: str, n: int = 2, column: str = "exact"):
    """Samples from a script, and keeps what is right.

    Parameters
    ----------
    problems
        a file of problems
    n
        samples a problem
    """
    teacher = Scripted(model="echo", script=say)
    return curate.Pipeline(curate.read(problems), [curate.Sample(teacher, n=n), Exact(), Failed(column)])
'''


@dataclass(frozen=True)
class SaysWhy(Filter):
    """The question says why the row goes."""

    reads = ("question",)

    def expr(self) -> pl.Expr:
        return pl.when(pl.col("question") != "stays").then("question")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "echo_recipe.py"
    path.write_text(ECHO)
    return path


@pytest.fixture
def problems(tmp_path: Path) -> Path:
    path = tmp_path / "problems.jsonl"
    pl.DataFrame({"question": ["a", "b", "c"], "answer": ["0", "1", "2"]}).write_ndjson(path)
    return path


def refused(capsys: pytest.CaptureFixture[str], *argv: object) -> str:
    """Run a command that must end with exit code 2 and one sentence; answer the sentence."""
    with pytest.raises(SystemExit) as stop:
        main([str(a) for a in argv])
    captured = capsys.readouterr()
    said = [line for line in captured.err.replace("\r", "\n").split("\n") if line.startswith("curate: ")]
    assert stop.value.code == 2, captured.err
    assert len(said) == 1 and "Traceback" not in captured.err, captured.err
    return said[0]


def test_run_plan_look_sql_and_list(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "run")
    flags = ["--problems", str(problems), "--n", "4", "--out", out]
    main(["run", str(recipe), *flags, "--dry-run"])
    assert "12" in capsys.readouterr().out and not (tmp_path / "run" / "live.parquet").exists()
    main(["run", str(recipe), *flags, "--json"])
    funnel = json.loads(capsys.readouterr().out)
    assert [line["step"] for line in funnel] == ["read", "sample", "exact", "failed"] and funnel[1][
        "born"
    ] == 12
    main(["plan", str(recipe), *flags, "--json"])
    assert json.loads(capsys.readouterr().out)["steps"][0]["known"] == 12
    main(["look", out, "--dropped", "-k", "1"])
    shown = capsys.readouterr().out
    assert "dropped by failed: exact: different" in shown
    assert "a problem that was sampled: its traces are rows of their own" in shown
    main(["sql", out, "select count(*) as n from dropped where dropped_by = 'sample'", "--json"])
    assert json.loads(capsys.readouterr().out) == [{"n": 3}]
    main(["list", "verifiers"])
    assert "math_equal" in capsys.readouterr().out


def test_sql_says_what_duckdb_would_have_liked_and_shows_wide_rows_one_value_a_line(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    main(["run", str(recipe), "--problems", str(problems), "--n", "8", "--out", str(out)])
    capsys.readouterr()
    said = refused(capsys, "sql", out, "select questio from live")
    assert "not found in FROM clause! Candidate bindings: " in said and '"question"' in said
    said = refused(capsys, "sql", out, "select * from liv")
    assert said.endswith('Did you mean "live"? (the tables are live, dropped, ledger, funnel, golds)')
    for local in ("TABLES", "query"):  # DuckDB would look into the variables of whoever asks it
        assert f"Table with name {local} does not exist" in refused(capsys, "sql", out, f"from {local}")
    assert curate.Run(out).sql("from golds").columns == ["answer", "question", "rows", "why"]
    assert refused(capsys, "sql", out, "selec 1").endswith('syntax error at or near "selec"')
    assert "asks for no rows; begin with select" in refused(capsys, "sql", out, "")
    main(["sql", str(out), "select * from dropped"])
    shown = capsys.readouterr().out.splitlines()
    rows = len(curate.Run(out).dropped.collect())
    assert rows > 20 and shown[0] == f"{rows} rows of {curate.Run(out).dropped.collect().width} columns"
    assert sum(line.startswith("question ") for line in shown) == 20
    assert f"… and {rows - 20} rows more" in shown[-1] and max(map(len, shown)) <= 160
    main(["sql", str(out), "select question, dropped_by from dropped"])
    assert "│ question" in capsys.readouterr().out, "two columns are a table"


def test_a_run_that_was_stopped_is_no_finished_one_and_says_how_it_goes_on(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert refused(capsys, "sql", out, "from ledger").endswith("run the pipeline into it first")
    with pytest.raises(SystemExit, match="3"):
        main(["run", str(recipe), "--problems", str(problems), "--out", str(out), "--budget-tokens", "1"])
    capsys.readouterr()
    for verb in (["sql", out, "from ledger"], ["look", out], ["publish", out, tmp_path / "set"]):
        assert "but one that was begun: where it is no longer at work, the same" in refused(capsys, *verb)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "import nothing_of_the_kind\n",
            "line 1: ModuleNotFoundError: No module named",
        ),
        ("def recipe(:\n    pass\n", "line 1: SyntaxError: "),
        ("LIMITS = {}\n\ndef recipe():\n    return LIMITS['n']\n", "line 4: KeyError: 'n'"),
        ("def recipe():\n    assert False\n", "line 2: AssertionError"),
        ("import polars as pl\n\ndef recipe():\n    return pl.col(1)\n", "line 4: TypeError: "),
        ("x = '\0'\n", "line 1: SyntaxError: source code string cannot contain null bytes"),
    ],
    ids=["import", "syntax", "key", "assert", "library", "null"],
)
def test_an_error_in_a_recipe_file_names_its_line(
    body: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(body)
    sentence = refused(capsys, "run", tmp_path / "mine.py", "--out", tmp_path / "run")
    assert sentence.startswith(f"curate: the recipe {tmp_path / 'mine.py'} fails in {said}"), sentence


def test_a_file_below_the_recipe_that_raised_it_is_named_too_be_it_theirs_or_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    mine, other = tmp_path / "mine.py", tmp_path / "other_of_mine.py"
    other.write_text("def half(x):\n    return x / 2\n")
    for call, ends in (
        ("other_of_mine.half('x')", rf" \({other}, line 2\)"),
        ("curate.read(5)", r" \(raised in .*/curate/\w+\.py, line \d+\)"),
        ("len(5)", r"has no len\(\)"),
    ):
        mine.write_text(f"import curate, other_of_mine\n\ndef recipe():\n    return {call}\n")
        said = refused(capsys, "plan", mine)
        assert said.startswith(f"curate: the recipe {mine} fails in line 4: TypeError: ")
        assert re.search(f"{ends}$", said), said


@pytest.mark.parametrize(
    ("room", "body", "command", "said"),
    [
        ("methods", "def broken(:\n", "list methods", "file {} fails in line 1: SyntaxError: "),
        ("verifiers", "\ndef broken(:\n", "list verifiers", "file {} fails in line 2: SyntaxError: "),
        ("methods", "def broken(:\n", "run broken --out x", "method {} fails in line 1: SyntaxError: "),
        ("methods", "x = 1\nnobody\n", "run broken --out x", "method {} fails in line 2: NameError: "),
        (
            "verifiers",
            "nobody\n",
            "golds x.jsonl --verifier broken",
            "verifier {} fails in line 1: NameError: ",
        ),
    ],
)
def test_a_broken_file_of_a_room_is_one_sentence(
    room: str,
    body: str,
    command: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (path := tmp_path / "broken.py").write_text(body)
    package = importlib.import_module(f"curate.{room}")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    known = curate.recipes.files
    monkeypatch.setattr(curate.recipes, "files", lambda name: {**known(name), "broken": path})
    monkeypatch.setattr(curate.looking, "files", lambda name: {**known(name), "broken": path})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.jsonl").touch()
    assert refused(capsys, *command.split()).startswith("curate: the " + said.format(path))


def test_a_field_that_no_step_has_is_told_with_the_line_of_a_method_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (path := tmp_path / "wrong.py").write_text(
        "from curate.filters.shortest_k import ShortestK\n\n\ndef wrong():\n    return ShortestK(kk=1)\n"
    )
    package = importlib.import_module("curate.methods")
    monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
    known = curate.recipes.files
    monkeypatch.setattr(curate.recipes, "files", lambda name: {**known(name), "wrong": path})
    said = refused(capsys, "plan", "wrong")
    assert said.startswith(f"curate: the recipe {path} fails in line 5: TypeError: ") and "'kk'" in said


def test_an_error_that_is_not_the_recipes_is_let_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("def recipe():\n    return None\n")
    monkeypatch.setattr(curate.recipes, "_as_command", lambda function: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["run", str(tmp_path / "mine.py"), "--out", str(tmp_path / "run")])


@pytest.mark.parametrize(("said", "words"), [("None", "nothing (is a `return` missing?)"), ("1", "a int")])
def test_a_recipe_that_answers_no_pipeline_is_told_so(
    said: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.py"
    path.write_text(f"def recipe():\n    return {said}\n")
    for command in (["plan", str(path)], ["run", str(path), "--out", str(tmp_path / "run")]):
        with pytest.raises(SystemExit) as stop:
            main(command)
        assert stop.value.code == 2
        wanted = f"curate: the recipe {path} answers {words}; it has to answer a Pipeline\n"
        assert capsys.readouterr().err == wanted


def test_a_demo_that_is_stopped_says_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*args: object) -> None:
        raise Interrupted("stopped")

    monkeypatch.setattr("curate.demo._walked", stopped)
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--out", str(tmp_path / "demo")])
    assert stop.value.code == 130
    assert f"the same command with --out {tmp_path / 'demo'} goes on" in capsys.readouterr().err


def test_look_shows_a_few_rows_of_the_most_frequent_reasons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "ant bee cat dog eel fox gnu hen ibex jay koi lynx".split()
    whys = [f"exact: different: {a} is no {b}" for a in words for b in words]
    whys += [f"{word}: because" for word in words]
    rows = pl.DataFrame({"question": ["stays", *whys], "answer": "1", "response": "2"})
    curate.Pipeline(rows, [SaysWhy()]).run(tmp_path / "run")
    main(["look", str(tmp_path / "run"), "--dropped", "-k", "3"])
    shown = capsys.readouterr().out
    assert shown.count("dropped by says_why: exact: different: ") == 3
    assert shown.count("dropped by says_why: ") == 3 + 9
    assert "3 more rows went for 3 rarer reasons" in shown


def test_values_may_come_from_a_yaml_file(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "values.yaml").write_text(f"problems: {problems}\nn: 5\n")
    main(
        [
            "run",
            str(recipe),
            "--config",
            str(tmp_path / "values.yaml"),
            "--out",
            str(tmp_path / "run"),
            "--json",
        ]
    )
    assert json.loads(capsys.readouterr().out)[1]["born"] == 15


def test_nobody_who_reads_is_no_traceback() -> None:
    command = [sys.executable, "-m", "curate.cli", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout and started.stderr
        started.stdout.close()
        assert started.stderr.read() == b""
    assert started.returncode == 141


def test_max_samples_takes_the_first_problems(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(
        [
            "run",
            str(recipe),
            "--problems",
            str(problems),
            "--max-samples",
            "1",
            "--out",
            str(tmp_path / "r"),
            "--json",
        ]
    )
    assert json.loads(capsys.readouterr().out)[0]["rows_out"] == 1


def test_help_names_every_verb_and_every_flag_of_a_recipe(recipe: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "curate.cli", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for verb in ("plan", "run", "look", "sql", "publish", "train", "eval", "list", "demo"):
        assert f" {verb} " in shown
    of_recipe = subprocess.run(
        [sys.executable, "-m", "curate.cli", "run", str(recipe), "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "samples a problem" in of_recipe and "--problems" in of_recipe


def test_help_imports_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "datasets", "math_verify", "sympy", "httpx", "duckdb", "pandas"}
    code = "import sys; from curate.cli import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert not heavy & set(done.stderr.split())


# ── bad input: one sentence each, exit code 2
# ─────────────────────────────────────────────────────────────────────────

BAD_FILES: list[tuple[str, bytes, list[str]]] = [
    ("broken.jsonl", b'{"question": "a", "answer": "1"}\nnot json\n', ["broken.jsonl", "line 2", "JSON"]),
    ("question.jsonl", b'{"answer": "1"}\n', ["line 1", "question"]),
    ("answer.jsonl", b'{"question": "a", "answer": ["1", "2"]}\n', ["line 1", "answer", "list"]),
    ("empty.jsonl", b"", ["empty.jsonl"]),
    ("nul.jsonl", b'{"question": "a\x00b", "answer": "1"}\n', ["line 1", "NUL"]),
    ("escaped.jsonl", b'{"question": "a\\u0000b", "answer": "1"}\n', ["line 1", "NUL"]),
    ("latin.jsonl", b'{"question": "\xe9t\xe9", "answer": "1"}\n', ["line 1", "UTF-8"]),
    ("long.jsonl", b'{"question": "' + b"a" * 100_000_000 + b'"}\n', ["line 1", "64"]),
]


@pytest.mark.parametrize(
    ("name", "content", "says"), BAD_FILES, ids=[n.split(".")[0] for n, _, _ in BAD_FILES]
)
def test_a_bad_file(
    name: str,
    content: bytes,
    says: list[str],
    recipe: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / name).write_bytes(content)
    said = refused(capsys, "run", recipe, "--problems", tmp_path / name, "--out", tmp_path / "run")
    for word in says:
        assert word in said
    assert name == "empty.jsonl" or "--bad-rows set_aside" in said
    assert not (tmp_path / "run" / "live.parquet").exists()


def test_a_missing_file(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "run", recipe, "--problems", tmp_path / "problem.jsonl", "--out", tmp_path / "run")
    assert "problem.jsonl" in said and "problems.jsonl" in said, "the near name is offered"


def test_an_unknown_column(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--problems", problems, "--column", "exactly", "--out", tmp_path / "run")
    said = refused(capsys, "run", recipe, *flags)
    assert "'exactly'" in said and "exact," in said + "," and "question" in said


def test_an_unknown_method_engine_room_and_flag(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ("--out", tmp_path / "run")
    assert "rejection_sampling" in refused(capsys, "run", "rejection_samplin", *out)
    ask = ("run", "rejection_sampling", "--problems", problems, *out)
    assert "'hf'" in refused(capsys, *ask, "--teacher", "hff:model")
    assert "filters" in refused(capsys, "list", "filter")
    assert "--n" in refused(capsys, "run", recipe, "--problems", problems, "--nn", "3", *out)
    assert "--out is missing" in refused(capsys, "run", recipe, "--problems", problems)
    assert "no file" in refused(capsys, "run", recipe, "--config", tmp_path / "no.yaml", *out)
    assert "no finished run" in refused(capsys, "look", tmp_path / "nothing")


def test_a_model_folder_that_is_missing_or_has_no_template(
    tiny_model: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    ask = ("run", "rejection_sampling", "--problems", problems, "--out", tmp_path / "run", "--teacher")
    assert "no-such-model" in refused(capsys, *ask, f"hf:{tmp_path / 'no-such-model'}")
    bare = tmp_path / "bare"
    shutil.copytree(tiny_model, bare)
    (bare / "chat_template.jinja").unlink()
    assert "chat template" in refused(capsys, *ask, f"hf:{bare}")


def test_a_folder_of_another_recipe(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.jsonl"
    other.write_bytes(problems.read_bytes())
    main(["run", str(recipe), "--problems", str(problems), "--out", str(tmp_path / "run")])
    capsys.readouterr()
    said = refused(capsys, "run", recipe, "--problems", other, "--out", tmp_path / "run")
    assert "another recipe" in said and "other.jsonl" in said


def test_a_run_that_moved_grew_or_was_set_anew_is_published_again_and_over_another_run_is_refused(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tried, final, other, out = (tmp_path / name for name in ("try", "final", "there/final", "set"))

    def run(folder: Path, n: int, *more: str) -> list[str]:
        flags = ["--problems", str(problems), "--n", str(n), "--out", str(folder), *more]
        return ["run", str(recipe), *flags]

    main(run(tried, 4, "--publish-to", str(out)))
    main(run(tried, 5, "--publish-to", str(out)))
    tried.rename(final)
    main(["publish", str(final), str(out)])
    with problems.open("a") as file:
        file.write('{"question": "d", "answer": "3"}\n')
    main(run(final, 5, "--publish-to", str(out)))
    capsys.readouterr()
    main(run(other, 5))
    capsys.readouterr()
    said = refused(capsys, "publish", other, out)
    assert "set holds what another run published (run final, read from problems.jsonl, as this one, " in said
    assert said.endswith("; publish to another folder, or delete that one first")
    shutil.rmtree(other)
    assert refused(capsys, *run(other, 5, "--publish-to", str(out))) == said
    assert not other.exists(), "it is refused before anything is paid for"


def test_two_runs_on_one_folder(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        said = refused(capsys, "run", recipe, "--problems", problems, "--out", tmp_path / "run")
    assert "another run" in said


def test_a_prompt_longer_than_the_context(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "long.jsonl"
    pl.DataFrame({"question": ["word " * 3_000, "short"], "answer": ["1", "2"]}).write_ndjson(path)
    flags = ["--problems", str(path), "--out", str(tmp_path / "run"), "--max-tokens", "4", "--n", "1"]
    main(["run", "rejection_sampling", *flags, "--teacher", f"hf:{tiny_model}", "--json"])
    dropped = pl.read_parquet(tmp_path / "run" / "dropped.parquet")
    [why] = dropped.filter(pl.col("why").str.starts_with("call failed"))["why"].to_list()
    assert "tokens" in why and "512" in why, "the row is set aside with the numbers; the others go on"

    pl.DataFrame({"question": ["word " * 3_000], "answer": ["1"]}).write_ndjson(path)
    capsys.readouterr()
    flags[3] = str(tmp_path / "all")
    said = refused(capsys, "run", "rejection_sampling", *flags, "--teacher", f"hf:{tiny_model}")
    assert "every call of sample failed" in said and "512" in said


class Faulty(BaseHTTPRequestHandler):
    """Answers every request with the server's `answer`: (status, body)."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def faulty() -> Iterator[Callable[[int, bytes], str]]:
    server = Listener(("127.0.0.1", 0), Faulty)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def url(status: int, body: bytes) -> str:
        server.answer = (status, body)  # type: ignore[attr-defined]
        return f"server:http://127.0.0.1:{server.server_address[1]}/v1?model=m&retries=1"

    yield url
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [(401, b'{"error": {"message": "bad key"}}', "bad key"), (429, b'{"error": "slow down"}', "slow down"),
     (200, b"<html>hello</html>", "hello")],
    ids=["unauthorised", "too many for ever", "garbage"],
)  # fmt: skip
def test_a_server_that_never_answers_well(
    status: int, body: bytes, says: str, faulty: Callable[[int, bytes], str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    path = tmp_path / "many.jsonl"
    pl.DataFrame({"question": [f"q{i}" for i in range(40)], "answer": ["1"] * 40}).write_ndjson(path)
    ask = ("run", "rejection_sampling", "--problems", path, "--out", tmp_path / "run", "--n", "1")
    said = refused(capsys, *ask, "--teacher", faulty(status, body))
    assert says in said and "127.0.0.1" in said


def test_a_server_that_is_down(problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    teacher = f"server:http://127.0.0.1:{port}/v1?model=m&retries=1"
    ask = ("run", "rejection_sampling", "--problems", problems, "--out", tmp_path / "run", "--n", "8")
    assert str(port) in refused(capsys, *ask, "--teacher", teacher)


HELD_UP = ECHO.replace(
    "def say(messages, seed):\n",
    '''async def say(messages, seed, calls=[]):
    """A hundred calls are answered; the others, once Ctrl-C was pressed."""
    import asyncio, pathlib, time

    calls.append(seed)
    if len(calls) > 100:
        while not pathlib.Path(PRESSED).exists():
            await asyncio.sleep(0.01)
        time.sleep(0.02)
''',
)


def test_ctrl_c_stops_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(HELD_UP.replace("PRESSED", repr(str(tmp_path / "pressed"))))
    rows = pl.DataFrame({"question": [f"q{i}" for i in range(500)], "answer": ["1"] * 500})
    rows.write_ndjson(tmp_path / "p.jsonl")
    command = [sys.executable, "-m", "curate.cli", "run", str(tmp_path / "slow.py")]
    command += ["--problems", str(tmp_path / "p.jsonl"), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while bought(tmp_path / "run" / "journal.sqlite") < 20:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    (tmp_path / "pressed").touch()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "run the same command again" in err and "Traceback" not in err
    parts = list((tmp_path / "run" / "answers").glob("sample-*/*.parquet"))
    known = sum(len(pl.read_parquet(p)) for p in parts)
    with closing(sqlite3.connect(tmp_path / "run" / "journal.sqlite")) as db:
        [waiting] = db.execute("select count(*) from calls").fetchone()  # bought, of rows not yet in a part
    assert 20 <= known + waiting < 1000
    plan = subprocess.run(
        [*command[:3], "plan", *command[4:], "--json"], capture_output=True, text=True, check=True
    )
    assert json.loads(plan.stdout)["steps"][0]["known"] == known + waiting


def test_ctrl_c_between_two_doors_and_in_any_other_verb_is_told_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "late.py").write_text(
        "import curate, polars as pl\n\n"
        "def late(rows):\n    if len(rows.collect()) and PRESSED:\n        raise KeyboardInterrupt\n"
        "    return rows\n\nPRESSED = True\n\n"
        "def recipe():\n    rows = pl.DataFrame({'question': ['q'], 'answer': ['1']})\n"
        "    return curate.Pipeline(rows, [late])\n"
    )
    with pytest.raises(SystemExit) as stop:
        main(["run", str(tmp_path / "late.py"), "--out", str(tmp_path / "run")])
    said = capsys.readouterr().err
    assert stop.value.code == 130 and "curate: stopped; run the same command again" in said
    monkeypatch.setattr(looking, "files", lambda room: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(SystemExit) as stop:
        main(["list", "verifiers"])
    assert stop.value.code == 130 and capsys.readouterr().err == "curate: stopped\n"


def test_a_budget_stops_a_run_with_its_own_exit_code(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = [str(a) for a in ("run", recipe, "--problems", problems, "--out", tmp_path / "run")]
    with pytest.raises(SystemExit) as stop:
        main([*asked, "--budget-tokens", "1"])
    assert stop.value.code == 3 and "the budget is spent" in capsys.readouterr().err
    main([*asked, "--budget-usd", "5", "--price-in", "1", "--price-out", "2"])
    assert "sample" in capsys.readouterr().out
    main(["plan", *asked[1:], "--price-in", "1", "--price-out", "2"])
    assert "USD" in capsys.readouterr().out


def test_half_a_price_is_one_sentence(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "plan", recipe, "--problems", problems, "--price-in", "1")
    assert "--price-in and --price-out" in said


def test_plan_prints_the_sizing_table_where_a_speed_is_said(
    recipe: Path, problems: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["plan", str(recipe), "--problems", str(problems), "--out", str(tmp_path / "run")]
    assert "--out DIR --probe 5" in refused(capsys, *asked, "--tokens-per-second", "50")
    for none in ("0", "nan"):
        said = refused(capsys, *asked, "--probe", "1", "--tokens-per-second", none)
        assert "say a number above 0" in said and not (tmp_path / "run").exists()
    main([*asked, "--probe", "1", "--tokens-per-second", "50"])
    plan, _, table = capsys.readouterr().out.partition("\n\n")
    assert "in all" in plan and "1,000,000" in table and "hours on 64" in table
    main([*asked, "--tokens-per-second", "50", "--json"])
    told = json.loads(capsys.readouterr().out)
    most = told["sizes"][-1]
    assert [line["problems"] for line in told["sizes"]] == [1_000, 10_000, 100_000, 1_000_000]
    assert most["hours on 8"] == pytest.approx(most["tokens"] / 50 / 8 / 3600)
    main([*asked, "--json"])
    assert "sizes" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("method", "flags", "words"),
    [
        ("rejection_sampling", ["--n", "0"], "--n 0 samples a problem cannot be drawn"),
        ("data_efficient", ["--student", "scripted:builtins:len", "--student-samples", "0"],
         "n=0 samples say nothing of a problem"),
        ("difficulty_aware_pruning", ["--rewriter", "scripted:builtins:len", "--difficulty", "pass_rate"],
         "--difficulty 'pass_rate' needs a student whose pass rate it is; give --student ENGINE"),
    ],
)  # fmt: skip
def test_what_a_step_says_of_its_fields_names_the_flags_that_were_typed(
    method: str, flags: list[str], words: str, problems: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    given = ["--problems", problems, "--teacher", "scripted:builtins:len", "--out", tmp_path / "run"]
    assert words in refused(capsys, "run", method, *given, *flags)
