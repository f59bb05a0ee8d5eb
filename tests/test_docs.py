"""What README and docs say is so: examples run and print what they say, help and tree are real.

Of a page's fenced blocks, those marked in their info string are executed, in order, in one process:

    ```python file=NAME    is written to that file of a copy of the repository
    ```python run          is Python
    ```sh run              is a shell script; `curate` is the command
    ```text output         is what the block before it prints; `numbers-vary` compares it up to its numbers

`python tests/test_docs.py` prints docs/help.md and all outputs anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCORES = ROOT / "curate" / "scores" / "README.md"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md")), SCORES]
NOTES = [*PAGES, *sorted(p for p in ROOT.glob("*/README.md") if not p.parent.name.startswith("."))]
ROOMS = ("verifiers", "filters", "rewriters")
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HELP = ("", "plan", "run", "run rejection_sampling", "run curate_traces", "run teacher_guided_selection",
        "run parallel_teachers", "run distribution_aligned", "run data_efficient",
        "run guidance_on_demand",
        "run difficulty_aware_pruning", "run skip_thinking",
        "run budget_forcing", "run refine",
        "look", "sql", "golds", "publish", "train", "eval", "list", "demo")  # fmt: skip
END = "\x1e"


class Block(NamedTuple):
    language: str
    marks: list[str]
    text: str


def blocks(page: Path) -> list[Block]:
    """The marked blocks of a page."""
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    marked = [Block(language, marks.split(), text) for language, marks, text in found]
    return [b for b in marked if b.marks]


def python_of(block: Block, copy: Path) -> str:
    """The block as Python."""
    if block.marks[0] == "run" and block.language == "python":
        return block.text
    if block.marks[0] == "run" and block.language == "sh":
        return f"import subprocess; subprocess.run(['bash', '-euc', {block.text!r}], check=True)\n"
    if block.marks[0].startswith("file=") and block.language == "python":
        return f"open({str(copy / block.marks[0].removeprefix('file='))!r}, 'w').write({block.text!r})\n"
    raise AssertionError(f"nobody knows what ```{block.language} {' '.join(block.marks)} means")


def without_numbers(text: str) -> str:
    """Runs of digits and of the spaces that align them are one sign each."""
    return re.sub(r"[ ]+", " ", re.sub(r"\d[\d,.]*", "#", text))


LONG = ("README", "docs/scores")  # pages with a run of the demo's models


def named(page: Path) -> str:
    return page.relative_to(ROOT).with_suffix("").as_posix()


@pytest.mark.parametrize(
    "page", [pytest.param(p, id=named(p), marks=[pytest.mark.slow] * (named(p) in LONG)) for p in PAGES]
)
def test_the_examples_of_a_page_run_and_print_what_it_says(page: Path, tmp_path: Path) -> None:
    if not blocks(page):
        pytest.skip("no block of this page is marked as one to run")
    for block, printed in outputs(page, tmp_path):
        says, was = block.text.strip("\n"), printed
        if "numbers-vary" in block.marks:
            says, was = without_numbers(says), without_numbers(was)
        assert was == says, f"{page.name} says\n{says}\nand it printed\n{was}"


def outputs(page: Path, folder: Path) -> list[tuple[Block, str]]:
    """Run a page; each of its output blocks with what was printed."""
    found = blocks(page)
    steps = [b for b in found if b.marks[0] != "output"]
    copy, work, command = copy_of_the_tree(folder / "copy"), folder / "work", folder / "bin" / "curate"
    script = "".join(f"{python_of(b, copy)}\nprint({END!r}, flush=True)\n" for b in steps)
    (folder / "page.py").write_text(script, encoding="utf-8")
    work.mkdir()
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m curate.cli "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    env = {**os.environ, "PYTHONPATH": str(copy), "PATH": path, "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
    argv = [sys.executable, str(folder / "page.py")]
    done = subprocess.run(argv, cwd=work, env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{page.name}: {done.stderr[-4000:]}"
    printed, at, out = done.stdout.split(END + "\n"), -1, []
    for block in found:
        if block.marks[0] == "output":
            out.append((block, printed[at].strip("\n")))
        else:
            at += 1
    return out


def copy_of_the_tree(copy: Path) -> Path:
    """The package and its rooms, so that a page may add a file to a room."""
    for name in ("curate", *ROOMS, "data_cards"):
        ignore = shutil.ignore_patterns("__pycache__", "*.tmp")
        shutil.copytree(ROOT / name, copy / name, symlinks=True, ignore=ignore)
    return copy


def help_page() -> str:
    """docs/help.md, from what the command says of itself."""
    lines = [
        "# Every command's own help",
        "",
        "Printed by `python tests/test_docs.py`; a test compares it.",
        "",
    ]
    env = {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb", "PYTHONPATH": str(ROOT)}

    def shown(verb: str) -> str:
        argv = [sys.executable, "-m", "curate.cli", *verb.split(), "--help"]
        said = subprocess.run(argv, env=env, capture_output=True, text=True, check=True).stdout
        return "\n".join(line.rstrip() for line in said.strip().splitlines())

    with ThreadPoolExecutor(os.cpu_count()) as hands:
        for verb, text in zip(HELP, hands.map(shown, HELP), strict=True):
            lines += [f"## curate {verb}".rstrip(), "", "```", text, "```", ""]
    return "\n".join(lines)


@pytest.mark.slow
def test_the_help_page_is_the_real_help() -> None:
    page = (ROOT / "docs" / "help.md").read_text(encoding="utf-8")
    assert page == help_page(), "print it anew: python tests/test_docs.py"


def test_no_word_of_a_shell_command_is_a_pattern() -> None:
    """An engine's address has a ?, which zsh takes for a pattern of file names that nothing matches."""
    for page in NOTES:
        for language, _, text in FENCE.findall(page.read_text(encoding="utf-8")):
            bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text) if language == "sh" else ""
            assert not (word := re.search(r"\S*\?\S*", bare)), f"{page.name}: quote the word with {word}"


def test_every_relative_link_leads_somewhere() -> None:
    for page in NOTES:
        prose = FENCE.sub("", page.read_text(encoding="utf-8"))
        for link in re.findall(r"\]\(([^)\s]+)\)", prose):
            if not re.match(r"[a-z]+:", link) and not link.startswith("#"):
                assert (page.parent / link.partition("#")[0]).exists(), (
                    f"{page.relative_to(ROOT)} links to {link}"
                )


def tracked() -> list[str]:
    """The files of the repository, as git knows them."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode or not done.stdout:
        pytest.skip("git does not know this folder, so its files cannot be told from others")
    return [f for f in done.stdout.splitlines() if os.path.lexists(ROOT / f)]


def tree() -> set[str]:
    """The paths that README's tree names, folders with a slash at their end."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.partition("## The tree")[2].partition("```text\n")[2].partition("```")[0].splitlines()
    named, above = set(), [""]
    for line in filter(str.strip, lines):
        depth, entry = (len(line) - len(line.lstrip())) // 2, line.split()[0]
        path = above[depth] + entry
        above[depth + 1 :] = [path]
        named.add(path)
    return named


def test_the_tree_in_the_readme_is_the_tree() -> None:
    named = tree()
    assert len(named) > 50
    assert not (gone := [p for p in named if not os.path.lexists(ROOT / p)]), f"README's tree names {gone}"
    folders = {p for p in named if p.endswith("/")}
    whole = {p for p in folders if not any(other != p and other.startswith(p) for other in named)}
    left_out = [f for f in tracked() if f not in named and not any(f.startswith(p) for p in whole)]
    assert not left_out, f"README's tree does not name {left_out}"


@pytest.mark.parametrize("room", [*ROOMS, "curate/scores"])
def test_a_room_names_its_files(room: str) -> None:
    """A file that is not committed yet needs no line: to be used and tested it is enough that it is there."""
    page = (ROOT / room / "README.md").read_text(encoding="utf-8")
    named = {f"{room}/{name}" for name in re.findall(r"^\| `(\w+\.py)`", page, re.MULTILINE)}
    committed = {f for f in tracked() if re.fullmatch(rf"{room}/\w+\.py", f)}
    assert committed <= named, f"{room}/README.md does not name {sorted(committed - named)}"
    assert not (gone := [f for f in named if not (ROOT / f).exists()]), f"{room}/README.md names {gone}"


@pytest.mark.parametrize("page", [ROOT / "docs" / "add-a-step.md", SCORES], ids=named)
def test_a_step_of_the_docs_is_one_file_that_the_contract_holds(page: Path, tmp_path: Path) -> None:
    """What the page adds is found and tested without a change to any other file."""
    copy = copy_of_the_tree(tmp_path)
    shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    added = [b for b in blocks(page) if b.marks[0].startswith("file=")]
    for block in added:
        (copy / block.marks[0].removeprefix("file=")).write_text(block.text, encoding="utf-8")
    names = [Path(b.marks[0]).stem for b in added]
    chosen = ["-k", " or ".join(names), "-rA", "-p", "no:cacheprovider"]
    argv = [sys.executable, "-m", "pytest", "tests/test_rooms.py", *chosen]
    env = {**os.environ, "PYTHONPATH": str(copy)}
    done = subprocess.run(argv, cwd=copy, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    held = re.findall(r"PASSED .*::test_its_examples_hold\[\w+/(\w+)\]", done.stdout)
    assert names and sorted(held) == sorted(names)


def test_the_transcript_of_the_demo_is_of_this_demo() -> None:
    """Whoever changes how much the demo samples and trains pastes what it prints now."""
    from curate import demo

    sampled = demo.PROBLEMS * demo.SAMPLES
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## The demo")[2].partition("\n## ")[0]
    shown = re.findall(r"^sample +([\d,]+) +([\d,]+) +([\d,]+)", text, re.MULTILINE)
    assert [tuple(int(n.replace(",", "")) for n in line) for line in shown] == [
        (demo.PROBLEMS, sampled, demo.PROBLEMS)
    ]


def rewrite(page: Path, folder: Path) -> None:
    """Put what the page's blocks print now into its output blocks."""
    text, at = page.read_text(encoding="utf-8"), 0
    for block, printed in outputs(page, folder):
        head = f"```{block.language} {' '.join(block.marks)}\n"
        at = text.index(head + block.text, at) + len(head)
        text = text[:at] + printed + "\n" + text[at + len(block.text) :]
    page.write_text(text, encoding="utf-8")


def test_the_tests_that_pages_name_exist() -> None:
    named = [t for page in NOTES for t in re.findall(r"tests/(\w+\.py)::(\w+)", page.read_text("utf-8"))]
    assert len(named) > 25, "docs/when-things-die.md alone names more"
    for file, name in named:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text("utf-8"), f"{file} has no {name}"


if __name__ == "__main__":
    (ROOT / "docs" / "help.md").write_text(help_page(), encoding="utf-8")
    for page in [p for p in PAGES if p.exists() and blocks(p)]:
        with tempfile.TemporaryDirectory() as folder:
            rewrite(page, Path(folder))
