"""What is another one now than in the run that made a folder's tables: said in one line, before they go."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from os.path import commonprefix
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.columns import is_door, step_name
from curate.errors import InputError
from curate.identity import NOT_IDENTITY, is_engine, uncounted
from curate.parts import read_json
from curate.record import is_recipe, recorded, step_of
from curate.sample import Sample
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
        found += _other(step.name, step, then, recorded(step))
    return found


def _other(path: str, thing: Any, was: Any, now: Any) -> Iterator[str]:
    """Of what is recorded of a step, or of what is in it, each setting that is another one and counts.

    thing: what `now` tells of, which knows what counts.
    """
    if was == now:
        return
    if isinstance(was or {}, dict) and isinstance(now or {}, dict) and (was or now):
        was, now, free = was or {}, now or {}, _free(thing)
        if not is_engine(thing) or was.get("fingerprint", was) != now.get("fingerprint", now):
            for key in [k for k in was | now if k not in free]:
                yield from _other(f"{path}.{key}", _inner(thing, key), was.get(key), now.get(key))
    elif isinstance(was, list) and isinstance(now, list) and any(isinstance(v, dict) for v in was + now):
        for i, (a, b) in enumerate(zip_longest(was, now)):
            yield from _other(f"{path}[{i}]", _inner(thing, i), a, b)
    else:
        yield f"{path} {', now '.join(_cut(str(was), str(now)))}"


def _free(thing: Any) -> set[str]:
    """What is recorded of a thing and does not count; of a sampler, how many rows are born of it does."""
    if thing is None or is_engine(thing):
        return {"fingerprint", "revision", "served", "replicas", *NOT_IDENTITY}
    if isinstance(thing, Step):
        return {"fingerprint", *uncounted(thing)} - ({"n"} if isinstance(thing, Sample) else set())
    return set(uncounted(thing))


def _inner(thing: Any, key: str | int) -> Any:
    """What is recorded under this key, None where it is gone; all that an engine tells is its own."""
    if is_engine(thing):
        return thing
    if isinstance(key, int):
        return None if thing is None or key >= len(thing) else thing[key]
    return thing.get(key) if isinstance(thing, Mapping) else getattr(thing, key, None)


def _cut(*said: str) -> list[str]:
    """Each as one line with room for 60 characters: of long ones those about where they part."""
    lines = [text.replace("\n", "\\n") for text in said]
    part = len(commonprefix(lines))
    begin = part - 20 if part > 40 and len(max(lines, key=len)) > 60 else 0
    shown = [line[begin:] for line in lines]
    return ["…" * (begin > 0) + (f"{text[:57]}…" if len(text) > 60 else text) for text in shown]
