"""Whether a run folder and a pipeline read the same input, wherever it lies and however it is named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from curate.errors import InputError
from curate.named import told
from curate.schema import content_hash

if TYPE_CHECKING:
    from curate.pipeline import Pipeline

Places = Sequence[str | None]


def files_of(pipeline: Pipeline) -> Places:
    """Where the files lie that are read; None for what is no file. For the folder alone: cards are shown."""
    return _from_here(pipeline.problems.describe())


def revision_of(pipeline: Pipeline) -> str:
    """The hash of what is read, which is read for it and kept nowhere."""
    with TemporaryDirectory(prefix="curate-read-") as folder:
        return pipeline.problems.load(Path(folder)).revision


def check(begun: dict[str, Any], pipeline: Pipeline, out: Path) -> None:
    """Raise InputError where the run that was begun in `out` read another input than the pipeline reads.

    It is the same where it lies in the same place, whatever it holds by now, and where a file in another
    place has the same name and holds the same: its project moved.
    """
    was, now = begun["source"], pipeline.problems.describe()
    now_at = files_of(pipeline)
    was_at = begun["files"] if "files" in begun else _from_here(was)
    if _identity(was, was_at) == _identity(now, now_at):
        return
    was_named, now_named = ([at and Path(at).name for at in places] for places in (was_at, now_at))
    is_named_alike = _identity(was, was_named) == _identity(now, now_named)
    if is_named_alike and begun.get("revision") == revision_of(pipeline):
        return
    raise InputError(
        f"{out} belongs to another recipe: it was read from {_short(was, was_at)}, this one reads "
        f"{_short(now, now_at)}; choose another folder"
    )


def _from_here(source: dict[str, Any]) -> Places:
    bases = [told(given)[0] for given in source["source"]]
    is_there = [isinstance(base, str) and Path(base).exists() for base in bases]
    return [str(Path(base).resolve()) if there else None for base, there in zip(bases, is_there, strict=True)]


def _identity(source: dict[str, Any], places: Places) -> str:
    """What two runs on one folder must share: inputs and columns."""
    named = map(told, source["source"])
    inputs = [[place or base, columns] for place, (base, columns) in zip(places, named, strict=False)]
    rest = {k: v for k, v in source.items() if k not in ("problems", "source", "bad_rows")}
    return content_hash(inputs, rest)


def _short(source: dict[str, Any], places: Places) -> str:
    """The source in words: its files by their places, so that two of one name are told apart."""
    shown = [
        given if place is None else "?".join([place, *(given.partition("?")[2:] if told(given)[1] else ())])
        for place, given in zip(places, source["source"], strict=False)
    ]
    return ", ".join(f"{k} {v}" for k, v in {**source, "source": shown}.items() if v)
