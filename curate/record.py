"""What a run folder was asked, and which models answered: recorded, and compared when it is asked again."""

from __future__ import annotations

import logging
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

import curate
from curate import inputs
from curate.columns import step_name
from curate.engines.knock import another
from curate.errors import EngineDown, InputError
from curate.identity import describe, model_name
from curate.named import told
from curate.parts import read_json, write_json
from curate.schema import content_hash
from curate.step import Engine, Step
from curate.syntax import source_of

if TYPE_CHECKING:
    from curate.pipeline import Pipeline

logger = logging.getLogger(__name__)
PACKAGES = ("torch", "transformers", "datasets", "polars", "duckdb", "math-verify", "sympy", "vllm", "ray")

BEGUN = "choose another folder, or delete it if the answers beside it are this recipe's: they are kept"


def recipe(pipeline: Pipeline, revision: str) -> dict[str, Any]:
    """All that is needed to ask the same again: source, steps with fields and fingerprints, versions.

    earlier: the same of each run whose rows are read, with its folder's name, its funnel and its ledger.
    """
    earlier: list[dict[str, Any]] = []
    for given in pipeline.problems.inputs:
        earlier += [run for run in _earlier(given) if run not in earlier]
    return {
        "curate": curate.__version__,
        "source": pipeline.problems.describe(),
        "revision": revision,
        "steps": [recorded(step) for step in pipeline.steps],
        "packages": {"python": platform.python_version(), **dict(_versions())},
        **({"earlier": earlier} if earlier else {}),
    }


def _earlier(given: Any) -> list[dict[str, Any]]:
    """The run whose table, or whose published set, this input is; none where none can be read."""
    base = told(given)[0]
    if not isinstance(base, str):  # a frame
        return []
    path = Path(base)
    folder = path.parent if path.name in ("live.parquet", "dropped.parquet") else path
    if folder == path and not (path / "data").is_dir():
        return []
    tables = {name: folder / f"{name}.parquet" for name in ("funnel", "ledger")}
    try:
        found: dict[str, Any] = read_json(folder / "recipe.json", is_recipe, "")
        read = {name: pl.read_parquet(table).to_dicts() for name, table in tables.items() if table.exists()}
    except (InputError, pl.exceptions.ComputeError):  # a recipe that is not there is one of these
        return []
    return [{"run": folder.resolve().name, **found, **read}]


def _versions() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def begun_as(out: Path, asked: dict[str, Any]) -> str:
    """What tells the run in this folder from all others: a hash of what was first asked here.

    It stays when the folder moves, its input grows or its settings change.
    """
    path = out / "begun.json"
    begun = read_json(path, is_recipe, BEGUN) if path.exists() else {}
    source = {k: v for k, v in asked["source"].items() if k not in ("source", "bad_rows")}
    steps = [step.get("fingerprint", step) for step in asked["steps"]]
    return str(begun.get("begun_as") or content_hash(source, asked["revision"], steps))


def recorded(step: Any) -> dict[str, Any]:
    if isinstance(step, Step):
        return {**describe(step), "fingerprint": step.fingerprint}
    try:
        source = source_of(step).strip()
    except (OSError, TypeError):
        source = "not available"
    return {"function": step_name(step), "source": source}


def is_recipe(found: Any) -> bool:
    """Whether this has what `recipe` makes."""
    match found:
        case {"source": {"source": list()}, "steps": list(steps)}:
            return all(
                isinstance(s, dict) and isinstance(s.get("step", s.get("function")), str) for s in steps
            )
    return False


def check_recipe(pipeline: Pipeline, out: Path) -> None:
    """A folder goes on with its own recipe: fields and steps may change, the source may not."""
    served(out)  # read at the end as well: that it is damaged is said before anything is paid for
    path = out / "begun.json"
    if not path.exists():
        return
    begun = read_json(path, is_recipe, BEGUN)
    names = {step_of(s) for s in begun["steps"]}
    if names and pipeline.steps and not names & {step_name(s) for s in pipeline.steps}:
        raise InputError(
            f"{out} belongs to another recipe: none of its steps ({', '.join(sorted(names))}) is here; "
            "choose another folder"
        )
    inputs.check(begun, pipeline, out)
    _name_changed(begun["steps"], [*map(recorded, pipeline.steps)], out)


def _name_changed(begun: list[Any], asked: list[Any], out: Path) -> None:
    """Warn of every model that has another revision under its name than in the last run here."""
    before, present = _revisions(begun), _revisions(asked)
    for model in sorted(before.keys() & present.keys()):
        if not before[model] & present[model]:
            was, now = (", ".join(sorted(found[model])) for found in (before, present))
            logger.warning(
                f"the model {model!r} has changed since the last run in {out} (revision {was}, now {now}): "
                "where it has not answered as it is now it is asked anew, and earlier answers are kept"
            )


def _revisions(recorded: Any) -> dict[str, set[str]]:
    """model → the revisions of it in what is recorded of steps."""
    found: dict[str, set[str]] = {}
    inner: list[Any] = recorded if isinstance(recorded, list) else []
    if isinstance(recorded, dict):
        inner = list(recorded.values())
        if {"engine", "model", "revision"} <= recorded.keys():
            found[str(recorded["model"])] = {str(recorded["revision"])}
    for revisions in map(_revisions, inner):
        for model, mine in revisions.items():
            found.setdefault(model, set()).update(mine)
    return found


def step_of(found: dict[str, Any]) -> str:
    """The name of a recorded step."""
    return str(found.get("step", found.get("function")))


def served(out: Path) -> dict[str, dict[str, Any]]:
    """engine's fingerprint → what its server said of the model beyond its name."""
    path = out / "served.json"
    if not path.exists():
        return {}
    remedy = "delete it if the same models are served as before: every answer is kept"
    found: dict[str, dict[str, Any]] = read_json(path, _of_objects, remedy)
    return found


def _of_objects(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(value, dict) for value in found.values())


def check_served(out: Path, engine: Engine) -> None:
    """EngineDown where another model now has the name under which this folder's answers were bought."""
    now = getattr(engine, "served", None)
    if not now:
        return
    known = served(out)
    was = known.get(engine.fingerprint, {})
    if change := another(was, now):
        raise EngineDown(
            f"under the name {model_name(engine)!r} the server now serves {change[1]}, and the answers in "
            f"{out} are of {change[0]}; choose another folder, or if that is the same model in another "
            f"place, delete {out / 'served.json'}"
        )
    if now != was:
        write_json(out / "served.json", known | {engine.fingerprint: {**was, **now}})


def check_source(step: Step, answers: Path, *, adds: bool, warns: bool) -> None:
    """Compare the source of a step's class with those that wrote its answers.

    adds: answers are about to be added, so this source is noted beside them. warns: says where answers are
    of another one. A changed comment is a change; a change in what the class calls is none. Nothing is asked
    again, and what has no source is not compared.
    """
    try:
        now = content_hash(source_of(type(step)))
    except (OSError, TypeError, SyntaxError):  # of a class made at a prompt, or in a file that changed since
        return
    path = answers / "sources.json"
    remedy = "delete it: every answer is kept, and only the source that wrote them is no longer compared"
    known: list[str] = read_json(path, _of_texts, remedy) if path.exists() else []
    if warns and set(known) - {now} and any(answers.glob("*.parquet")):
        logger.warning(
            f"the source of `{step.name}` changed since its answers were stored, and its version is still "
            f"{step.version}; raise `version` to have them worked out again"
        )
    if adds and now not in known:
        write_json(path, [*known, now])


def _of_texts(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(value, str) for value in found)
