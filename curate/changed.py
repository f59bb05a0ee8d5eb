"""What is another one now than in the run that made a folder's tables: said in one line, before they go."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.columns import is_door, step_name
from curate.errors import InputError
from curate.identity import NOT_IDENTITY
from curate.parts import read_json
from curate.record import is_recipe, recorded, step_of
from curate.step import Step

if TYPE_CHECKING:
    from curate.pipeline import Pipeline

logger = logging.getLogger(__name__)


def warn_of_other_tables(pipeline: Pipeline, out: Path) -> None:
    """Say it where the tables that lie in the folder had a step that is gone, or another setting: both are
    written anew. A recipe that grew goes on."""
    try:
        was = read_json(out / "recipe.json", is_recipe, "")
    except InputError:  # there is none, or it is damaged: it is written anew
        return
    if gone := Counter(map(step_of, was["steps"])) - Counter(map(step_name, pipeline.steps)):
        logger.warning(
            f"the tables in {out} are of a run that also had {', '.join(gone)}: they are written anew, and "
            "every answer is kept; to keep both tables, give each recipe a folder of its own"
        )
    if changed := _changed(was, pipeline):
        pairs = [(step, then) for step, then in _pairs(was["steps"], pipeline.steps) if is_door(step)]
        other = [step for step, then in pairs if then.get("fingerprint") != step.fingerprint]
        new = [s.name for s in other if not (out / "answers" / f"{s.name}-{s.fingerprint}").exists()]
        anew = f" (asked anew: {', '.join(dict.fromkeys(new))})" if new else ""
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        logger.warning(
            f"the tables in {out} are of a run with {', '.join(changed[:3])}{more}: they are written "
            f"anew{anew}, and every answer is kept, and used where the same is asked again"
        )


def _pairs(found: list[Any], steps: Sequence[Any]) -> Iterator[tuple[Step, dict[str, Any]]]:
    """Each step with what is recorded of it: of those of one name the first with the first."""
    left = list(found)
    for step in steps:
        if then := next((s for s in left if step_of(s) == step_name(step)), None):
            left.remove(then)
            if isinstance(step, Step):
                yield step, then


def _changed(was: dict[str, Any], pipeline: Pipeline) -> list[str]:
    """Each setting that is another one now, in words; where a model runs, and its revision, are none."""
    before, after = was["source"].get("problems"), pipeline.problems.problems
    found = [f"{before or 'all'} problems, now {after or 'all'}"] if before != after else []
    for step, then in _pairs(was["steps"], pipeline.steps):
        old, new = _flat(step.name, then), _flat(step.name, recorded(step))
        free = tuple(f"{step.name}.{field}" for field in step.not_identity)
        same = then.get("fingerprint") == step.fingerprint
        other = [k for k in old | new if old.get(k) != new.get(k) and (not same or k.startswith(free))]
        found += [f"{k} {_cut(old.get(k))}, now {_cut(new.get(k))}" for k in other]
    return found


def _flat(name: str, value: Any) -> dict[str, str]:
    """The settings in what is recorded of a step, each under its path."""
    if isinstance(value, dict):
        inner = [(k, v) for k, v in value.items() if k not in ("fingerprint", "revision", *NOT_IDENTITY)]
        return {path: said for k, v in inner for path, said in _flat(f"{name}.{k}", v).items()}
    if isinstance(value, list) and any(isinstance(v, dict) for v in value):
        return {path: said for i, v in enumerate(value) for path, said in _flat(f"{name}[{i}]", v).items()}
    return {name: str(value)}


def _cut(said: str | None) -> str:
    return f"{said[:57]}…" if said and len(said) > 60 else f"{said}"
