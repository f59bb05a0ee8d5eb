"""An engine is named by a short text; a wrong one is a sentence that says what would be right."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import curate
from curate.engines import KINDS, as_engine, engine
from curate.engines.hf import HF
from curate.engines.scripted import Scripted
from curate.engines.server import Server
from curate.errors import UserError
from curate.sample import Sample
from curate.step import Step


def say_four(messages: Sequence[dict[str, str]]) -> str:
    return "4"


@dataclass(frozen=True)
class Mine(Scripted):
    """An engine of somebody else's, plugged in by its import path."""

    script: Any = ("mine",)


class NoEngine:
    pass


@dataclass(frozen=True)
class Nameless:
    """A chat and a door, and neither of what an engine is recorded by."""

    model: str = "m"

    async def __aenter__(self) -> Nameless:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    async def chat(self, *asked: Any, **options: Any) -> list[Any]:
        return []


@dataclass(frozen=True)
class Undescribed(Nameless):
    @property
    def fingerprint(self) -> str:
        raise AssertionError("it is not worked out to tell that it is there")


@dataclass(frozen=True)
class AsksSeveral(Step):
    engine: Any

    async def ask(self, row: Any) -> Any:
        return None


@pytest.mark.parametrize(
    "spec, options, sentence",
    [
        ("vlm:x", {}, "no engine 'vlm:x': .*; .*: did you mean 'vllm'"),
        ("servr:http://x", {}, "did you mean 'server'"),
        ("nothing at all", {}, "there is 'hf', 'ray', 'scripted', 'server', 'vllm'"),
        ("Qwen/Qwen3-0.6B", {}, "did you mean 'hf:Qwen/Qwen3-0.6B'"),
        ("hf", {}, "does not say which: .*hf:PATH_OR_ID"),
        ("vllm", {}, "does not say which: .*vllm:PATH_OR_ID"),
        ("vllm:org/model", {"min_q": 1}, "no option 'min_q'; did you mean 'min_p'"),
        ("ray:x", {}, "there is no engine 'x'"),
        ("ray:hf:org/model", {"replica": 2}, "'hf:org/model' has no option 'replica'"),
        ("ray:hf:org/model?replicas=0", {}, "replicas=0 is no option of 'org/model': it must be 1 or more"),
        ("ray:hf:org/model?replicas=1.5", {}, "replicas=1.5 is no option .* must be a whole number"),
        ("ray:hf:org/model?gpus=-1", {}, "gpus=-1 is no option .* must be 0 or more"),
        ("ray:hf:org/model?gpus=two", {}, "gpus='two' is no option .* must be a number or None"),
        ("server:http://localhost:1/v1", {}, "which model of http://localhost:1/v1"),
        ("hf:somewhere", {"temprature": 1}, "no option 'temprature'; did you mean 'temperature'"),
        ("hf:somewhere?temperature=-1", {}, r"temperature=-1 .*must be 0 or more"),
        ("http://h/v1#m?request_timeout_s=soon", {}, "request_timeout_s='soon' is no .*must be a number"),
        ("http://h/v1#m?request_timeout_s=0", {}, "request_timeout_s=0 is no .*must be above 0"),
        ("http://h/v1#m?url=3", {}, "'3' is not the address of a server"),
        ("http://h/v1#m", {"url": [3]}, "'3' is not the address of a server"),
        ("http://h/v1#m?backoff_s=soon", {}, "backoff_s='soon' is no option of 'm': it must be a number"),
        ("http://h/v1#m?concurrency=abc", {}, "concurrency='abc' is no option .*must be a whole number"),
        ("http://h/v1#m?retries=-1", {}, "retries=-1 is no option of 'm': it must be 0 or more"),
        ("http://h/v1#m", {"backoff_s": float("nan")}, "backoff_s=nan is no option .*must be a number"),
        ("vllm:org/model?tensor_parallel_size=two", {}, "tensor_parallel_size='two' .* a whole number"),
        ("vllm:org/model?tensor_parallel_size=0", {}, "tensor_parallel_size=0 .*must be 1 or more"),
        ("vllm:org/model?gpu_memory_utilization=half", {}, "='half' .*must be a number or None"),
        ("vllm:org/model?gpu_memory_utilization=7", {}, "=7 .*must be above 0 and at most 1"),
        ("vllm:org/model?gpu_memory_utilization=0", {}, "=0 .*must be above 0 and at most 1"),
        ("hf:org/model?batch_size=many", {}, "batch_size='many' .*must be a whole number or None"),
        ("no_such_module:Mine?top_p=1", {}, "module 'no_such_module' cannot be imported, .* PYTHONPATH"),
        ("scripted:no_such_module:f", {}, "'no_such_module:f' cannot be imported: No module .* PYTHONPATH"),
        ("scripted:no-module", {}, "'no-module' cannot be imported: write MODULE:NAME, .* PYTHONPATH"),
        ("scripted:test_engine_specs:say_for", {}, "has no 'say_for'; did you mean 'say_four'"),
        ("test_engine_specs:NoEngine", {}, "is not an engine: a NoEngine has no `chat`"),
        (
            "test_engine_specs:Nameless",
            {},
            "the engine Nameless lacks `fingerprint`, `describe`; .*engines.md",
        ),
        ("test_engine_specs:Mein", {}, "has no 'Mein'; did you mean 'Mine'"),
    ],
)
def test_a_wrong_name_is_a_sentence(spec: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        engine(spec, **options)


def test_a_module_that_cannot_be_imported_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lacks_a_package.py").write_text("import no_such_package")
    (tmp_path / "lacks_a_name.py").write_text("from json import no_such_name")
    (tmp_path / "broken_above").mkdir()
    (tmp_path / "broken_above" / "__init__.py").write_text("import no_such_package")
    mend = "install what the module needs, or mend its import"
    for path, reason in (
        ("lacks_a_package:Mine", f"No module named 'no_such_package'; {mend}"),
        ("lacks_a_name:Mine", f"cannot import name 'no_such_name' from 'json' .*; {mend}"),
        ("broken_above.engines:Mine", f"No module named 'no_such_package'; {mend}"),
        ("json.no_such_part:Mine", "No module named 'json.no_such_part'; write MODULE:NAME, .* PYTHONPATH"),
    ):
        for spec in (f"{path}?top_p=1", f"scripted:{path}"):
            with pytest.raises(UserError, match=f"^'{path}' cannot be imported: {reason}"):
                engine(spec)


def test_an_engine_that_lacks_something_is_named_before_anything_is_asked() -> None:
    page = Path(__file__).resolve().parent.parent / "docs" / "engines.md"
    rows = pl.DataFrame({"question": ["1 + 1"], "answer": ["2"]})
    with pytest.raises(UserError, match="^the engine Nameless lacks `fingerprint`, `describe`; what") as said:
        curate.Pipeline(rows, [Sample(Nameless())]).plan()  # type: ignore[arg-type]
    assert f"## {str(said.value).split(chr(34))[1]}\n" in page.read_text(encoding="utf-8")
    for given in (Undescribed(), (Scripted(script=say_four), Undescribed())):
        with pytest.raises(UserError, match="^the engine Undescribed lacks `describe`; what"):
            curate.Pipeline(rows, [AsksSeveral(given)]).plan()


def test_the_error_the_list_and_the_page_name_the_same_kinds() -> None:
    with pytest.raises(UserError) as said:
        engine("gpt-4")
    page = (Path(__file__).resolve().parent.parent / "docs" / "engines.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert repr(kind) in str(said.value) and f"| `{kind}:" in page


def test_a_name_makes_an_engine() -> None:
    served = engine("server:http://localhost:1/v1?model=org/m&temperature=0.5", max_tokens=7)
    assert served == Server("org/m", url="http://localhost:1/v1", temperature=0.5, max_tokens=7)
    there = engine("http://localhost:1/v1#org/m+2?temperature=0.5&max_tokens=7")
    assert there == Server("org/m+2", url="http://localhost:1/v1", temperature=0.5, max_tokens=7)
    for name in ("7", "1e3", "None"):
        assert engine(f"http://localhost:1/v1#{name}").model == name
    assert engine("hf:org/model?revision=0123456&top_k=3") == HF("org/model", revision="0123456", top_k=3)
    assert engine("hf:org/model", top_k=3, dtype="float32") == HF("org/model", top_k=3, dtype="float32")
    assert engine("scripted:test_engine_specs:say_four").script is say_four  # type: ignore[attr-defined]
    assert type(engine("test_engine_specs:Mine")).__name__ == "Mine"


def test_where_an_engine_runs_is_not_its_identity(tiny_model: Path) -> None:
    served = engine("server:http://localhost:1/v1", model="m", api_key="secret", concurrency=3)
    assert served.fingerprint == engine("server:http://elsewhere/v1", model="m", retries=1).fingerprint
    assert served.fingerprint != engine("server:http://elsewhere/v1", model="other").fingerprint
    assert "secret" not in json.dumps(served.describe()) + repr(served)
    here = HF(str(tiny_model), batch_size=1)
    assert here.fingerprint == replace(here, batch_size=7, device="cpu").fingerprint
    assert here.fingerprint != replace(here, dtype="float32").fingerprint


def test_a_script_counts_by_what_it_says() -> None:
    one, two = Scripted(script=["a", "b"]), Scripted(script=["a", "c"])
    assert one.fingerprint == Scripted(script=("a", "b")).fingerprint != two.fingerprint
    named, other = Scripted(script=say_four), Scripted(script=lambda messages: "5")
    assert named.fingerprint == Scripted(script=say_four).fingerprint != other.fingerprint
    with pytest.raises(UserError, match="a script is a function or a list of turns, not 'just this'"):
        Scripted(script="just this")


def test_engines_load_nothing_heavy() -> None:
    code = "import curate.engines, curate.engines.hf, curate.engines.server, curate.engines.serve, sys;"
    code += "print([m for m in ('torch', 'transformers', 'httpx', 'huggingface_hub') if m in sys.modules])"
    root = Path(__file__).resolve().parent.parent
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert found.stdout.strip() == "[]"


def test_an_engine_stays_as_it_is_and_a_text_names_one_with_its_options() -> None:
    mine = Mine(temperature=0.1)
    assert as_engine(mine, temperature=0.9) is mine
    assert as_engine("hf:a/model", temperature=0.9) == engine("hf:a/model", temperature=0.9)
