"""Stairs go down only: what each file may import, and what `import curate` may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

# Every file and folder of curate/ stands on one floor, and may import its own floor and those that MAY names.
# A room is a floor of its own, so that rooms never import each other. A new core file gets its place here.
FLOORS = {
    "ground": "schema text syntax pieces chunks errors fits unit_names scale_words answers maths talk votes "
    "together injection instructions",
    "first": "identity fields step engines pool process worker parts progress budget journal journalled loop "
    "line doors distance pair golds turns sandbox judging cluster host rewriting difficulty rollout revision",
    "annexe": "publish push card shards train losses rewards",
    "verifiers": "verifiers",
    "filters": "filters",
    "rewriters": "rewriters",
    "scores": "scores",
    "sample": "sample attempts",
    "read": "read named aliases formats hub rowfile slices",
    "second": "pipeline run look plan columns stages outcome remember asking ahead overlap writer match "
    "picture site record estimate inputs difference beside searched bought without_gold changed",
    "third": "methods evaluate metrics tracing drift teacher_report demo demo_world",
    "roof": "cli recipes looking after",
}
ROOM = {"ground", "first"}
MAY = {
    "ground": set(),
    "first": {"ground"},
    "annexe": {"ground"},
    "verifiers": ROOM,
    "filters": ROOM,
    "rewriters": ROOM,
    "scores": ROOM,
    "sample": ROOM,
    "read": ROOM,
    "second": {"ground", "first", "sample", "read", "annexe"},  # a run publishes itself: run.publish(...)
    "third": set(FLOORS) - {"roof"},
    "roof": set(FLOORS),
}
# the Engine protocol is in step.py
NOT_FOR_ROOMS = {"engines", "process", "worker", "journal", "journalled", "budget", "pair", "cluster", "host"}
PLACE = {name: floor for floor, names in FLOORS.items() for name in names.split()}
LONGEST_FILE, LONGEST_FUNCTION = 250, 40  # lines
HEAVY = "torch transformers datasets math_verify sympy httpx duckdb vllm ray trl"


def modules() -> Iterator[tuple[str, Path]]:
    """Every module of the package with its file, those of the linked rooms included."""
    files = [*(ROOT / "curate").rglob("*.py")]
    files = [
        f
        for f in files
        if f.relative_to(ROOT / "curate").parts[0] not in ("verifiers", "filters", "rewriters")
    ]
    for path in sorted(files):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"), path
    for room in ("verifiers", "filters", "rewriters"):
        for path in sorted((ROOT / room).glob("*.py")):
            yield f"curate.{room}.{path.stem}", path


def imports(source: str) -> set[str]:
    """The modules of this package that a source uses, wherever in it the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name != "curate"}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            whole = node.module == "curate"
            found |= {f"curate.{a.name}" for a in node.names} if whole else {node.module or ""}
        elif (
            isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "curate"
        ):
            found.add(f"curate.{node.attr}")
    return {name for name in found if name.startswith("curate.") and not name.startswith("curate.__")}


def wrong_stairs(module: str, source: str) -> list[str]:
    """What a module imports and may not, in words."""
    here = module.split(".")[1]
    floor = PLACE[here]
    wrong = []
    for name in sorted(imports(source)):
        there = name.split(".")[1]
        other = PLACE.get(there, "roof")  # curate.Pipeline and the like: the public names are on the roof
        in_room = here in ("verifiers", "filters", "rewriters", "scores")
        if other not in {floor, *MAY[floor]} or (in_room and there in NOT_FOR_ROOMS):
            wrong.append(f"{module} ({floor}) imports {name} ({other})")
        elif in_room and there == here and name != module:
            wrong.append(f"{module} imports {name} of its own room")
    return wrong


MODULES = {name: path for name, path in modules() if name != "curate"}


def test_every_module_has_its_floor() -> None:
    homeless = [name for name in MODULES if name.split(".")[1] not in PLACE]
    assert not homeless, f"give each a place in FLOORS: {homeless}"


def test_every_floor_is_inhabited_by_what_is_there() -> None:
    there = {name.split(".")[1] for name in MODULES}
    assert {"schema", "step", "pipeline", "cli", "verifiers", "filters", "rewriters"} <= there


@pytest.mark.parametrize("name", MODULES)
def test_stairs_go_down_only(name: str) -> None:
    assert not wrong_stairs(name, MODULES[name].read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("curate.schema", "from curate.step import Step"),
        ("curate.step", "def f():\n    from curate.pipeline import Pipeline"),
        ("curate.verifiers.a", "from curate.filters.b import B"),
        ("curate.filters.a", "import curate.filters.b"),
        ("curate.filters.a", "from curate import run"),
        ("curate.filters.a", "import curate\ncurate.Pipeline"),
        ("curate.rewriters.a", "from curate.engines.hf import HF"),
        ("curate.train.a", "from curate.pipeline import Pipeline"),
        ("curate.run", "from curate.methods.a import a"),
        ("curate.sample", "from curate.read import read"),
    ],
)
def test_a_wrong_stair_is_seen(module: str, source: str) -> None:
    assert wrong_stairs(module, source)


def test_a_right_stair_is_not() -> None:
    source = (
        "import curate\nfrom curate.step import Filter\nfrom curate.answers import plain\ncurate.__version__"
    )
    assert not wrong_stairs("curate.filters.a", source)


def test_the_ground_stands_on_polars_and_the_standard_library() -> None:
    allowed = {"polars", "curate", "__future__", *sys.stdlib_module_names}
    mathematics = {"mpmath", "sympy", "math_verify"}  # loaded by curate.maths in the function that needs them
    for name, path in MODULES.items():
        if PLACE[name.split(".")[1]] != "ground":
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            later = mathematics if name.startswith("curate.maths") and node not in tree.body else set()
            assert {n.split(".")[0] for n in names} <= allowed | later, f"{name} imports {names}"


def loaded(code: str) -> list[str]:
    """The heavy packages in memory after running `code` in a fresh process."""
    ask = f"{code}\nimport sys; print(*[m for m in {HEAVY.split()!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, cwd=ROOT)
    assert out.returncode == 0, out.stderr
    return out.stdout.split()


def test_import_curate_loads_polars_and_nothing_heavier() -> None:
    assert loaded("import curate") == []


def test_the_command_line_loads_nothing_heavy() -> None:
    assert loaded("import curate.cli") == []


def test_no_room_loads_anything_heavy_before_it_is_used() -> None:
    rooms = [
        m for m in MODULES if m.split(".")[1] in ("verifiers", "filters", "rewriters", "scores", "methods")
    ]
    assert loaded("\n".join(f"import {m}" for m in rooms)) == []


def test_what_is_heavy_would_be_seen() -> None:
    assert loaded("import sympy") == ["sympy"]


def too_long(source: str) -> list[str]:
    """What is longer than a screen or two: the file, and functions by name, their docstrings not counted."""
    lines = source.count("\n")
    found = [f"{lines} lines"] if lines > LONGEST_FILE else []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            first, *rest = node.body
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            begin = rest[0].lineno if documented and rest else first.lineno
            if (n := (node.end_lineno or begin) - begin + 1) > LONGEST_FUNCTION:
                found.append(f"{node.name}: {n} lines")
    return found


@pytest.mark.parametrize("name", MODULES)
def test_files_and_functions_are_short(name: str) -> None:
    assert not too_long(MODULES[name].read_text(encoding="utf-8"))


def test_what_is_long_would_be_seen() -> None:
    body = "    x = 1\n" * LONGEST_FUNCTION
    assert not too_long(f'def f():\n    """Said\n\n\n    at length."""\n{body}')
    assert too_long(f"def f():\n{body}    x = 2\n") == [f"f: {LONGEST_FUNCTION + 1} lines"]
    assert too_long("\n" * 251) == ["251 lines"]
