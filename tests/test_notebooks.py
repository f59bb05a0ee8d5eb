"""The notebooks run in a fresh kernel, and what is committed beside each source is that source, executed.

`python tests/test_notebooks.py` executes them anew and writes the .ipynb files.
"""

from __future__ import annotations

import gzip
import itertools
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCES = sorted((ROOT / "notebooks").glob("*.py"))
SAME_EVERYWHERE = ("01_first_trace",)  # no model speaks in it, so its outputs are compared to the letter


def cells_of(source: Path) -> Any:
    """A percent source as a notebook without outputs."""
    import jupytext

    book = jupytext.read(source)
    for i, cell in enumerate(book.cells):
        cell["id"], cell["metadata"] = f"cell-{i}", {}
    book.metadata = {"kernelspec": dict(book.metadata["kernelspec"])}
    return book


def executed(source: Path, scratch: Path) -> Any:
    """The notebook with its outputs, run by this interpreter in `scratch`; without what went to stderr."""
    from nbclient import NotebookClient

    spec = scratch / "jupyter" / "kernels" / "this"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "this", "language": "python"})
    )
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    add = {"JUPYTER_PATH": str(scratch / "jupyter"), "PYTHONPATH": path, "TMPDIR": str(scratch)}
    env = {**os.environ, **add, "HF_HUB_OFFLINE": "1", "HF_HOME": str(scratch / "hf"), "OMP_NUM_THREADS": "1"}
    before = os.environ.get("JUPYTER_PATH")
    os.environ["JUPYTER_PATH"] = add["JUPYTER_PATH"]
    try:
        book = cells_of(source)
        client = NotebookClient(
            book, timeout=600, kernel_name="this", resources={"metadata": {"path": scratch}}
        )
        client.execute(env=env)
    finally:
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before
    for cell in book.cells:
        cell["metadata"] = {}
        if cell.cell_type == "code":
            cell.outputs = [o for o in cell.outputs if o.get("name") != "stderr"]
    return book


def printed(book: Any) -> list[Any]:
    """Every output, as text or HTML."""
    outputs = [o for cell in book.cells if cell.cell_type == "code" for o in cell.outputs]
    return [o["text"] if o.output_type == "stream" else dict(o["data"]) for o in outputs]


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
def test_a_notebook_runs_from_its_source(source: Path, tmp_path: Path) -> None:
    import nbformat

    book = executed(source, tmp_path)
    committed = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    assert [len(c.get("outputs", ())) > 0 for c in book.cells] == [
        len(c.get("outputs", ())) > 0 for c in committed.cells
    ]
    if source.stem in SAME_EVERYWHERE:
        assert printed(book) == printed(committed)


@pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
def test_what_is_committed_is_the_source_executed(source: Path) -> None:
    import nbformat

    committed = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    told = [(c.cell_type, c.source) for c in cells_of(source).cells]
    kept = [(c.cell_type, c.source) for c in committed.cells]
    assert kept == told, "write it anew: python tests/test_notebooks.py"
    counts = [c.execution_count for c in committed.cells if c.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "it was not executed from top to bottom"
    assert not any(o.output_type == "error" for c in committed.cells for o in c.get("outputs", ()))


@pytest.mark.parametrize("source", SOURCES, ids=[s.stem for s in SOURCES])
def test_its_outputs_are_small_and_name_no_folder_of_a_machine(source: Path) -> None:
    book = source.with_suffix(".ipynb")
    text = book.read_text(encoding="utf-8")
    assert len(text) < 100_000
    assert not (found := re.findall(r"(?<![\w.<])/(?:home|root|tmp|work|usr|Users|var)/[\w./-]+", text)), (
        found
    )


def test_real_traces_are_counted_and_not_shown(data: Path) -> None:
    import nbformat

    book = nbformat.read(ROOT / "notebooks" / "04_revise_traces.ipynb", as_version=4)
    shown = json.dumps(printed(book), ensure_ascii=False)
    assert "steps_before" in shown, "it was executed without the data: set CURATE_DATA"
    with gzip.open(data / "traces" / "thought_anchors_math.jsonl.gz", "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in itertools.islice(lines, 10)]
    texts = {line for row in rows for c in ("question", "response") for line in row[c].splitlines()}
    texts = {json.dumps(text, ensure_ascii=False)[1:-1] for text in texts if len(text) > 25}
    assert len(texts) > 100 and not [text for text in texts if text in shown]


if __name__ == "__main__":
    import nbformat

    for each in SOURCES:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(each, Path(folder)), each.with_suffix(".ipynb"))
