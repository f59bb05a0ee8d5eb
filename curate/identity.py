"""What a step or an engine is, as plain JSON: all of it is recorded, and what counts is its fingerprint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from curate.step import Engine, Step

NOT_IDENTITY = {
    "url": "where a model runs does not change what it says",
    "api_key": "a secret, and who pays does not change the answer",
    "concurrency": "seeds come from the row, so the width of the work changes nothing",
    "batch_size": "as concurrency",
    "device": "as url",
    "tensor_parallel_size": "as url, up to rounding",
    "gpu_memory_utilization": "how much is in flight at once: as concurrency",
    "request_timeout_s": "a call that times out has no answer, and is asked again",
    "retries": "as request_timeout_s",
}
"""Fields of an engine that are not its identity, each with its reason. Of a step, see `Step.not_identity`."""


def describe(thing: Any, *, identity_only: bool = False) -> Any:
    """A field's value as plain JSON: what recipe.json records, and what a fingerprint hashes.

    Raises TypeError for what has no stable form (a lambda, an open file): its fingerprint would lie.
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, Path):
        return str(thing)
    if isinstance(thing, (list, tuple)):
        return [describe(v, identity_only=identity_only) for v in thing]
    if isinstance(thing, Mapping):
        return {str(k): describe(v, identity_only=identity_only) for k, v in sorted(thing.items())}
    if isinstance(thing, pl.Expr):
        return {"polars": thing.meta.serialize(format="json")}
    if is_engine(thing):
        return {"engine": thing.fingerprint} if identity_only else thing.describe()
    if is_dataclass(thing) and not isinstance(thing, type):
        skip = uncounted(thing) if identity_only else ("api_key",)
        values = {f.name: getattr(thing, f.name) for f in fields(thing) if f.name not in skip}
        is_step = hasattr(thing, "not_identity")
        head = {"step": thing.name, "version": thing.version} if is_step else {}  # type: ignore[attr-defined]
        return head | {k: describe(v, identity_only=identity_only) for k, v in values.items()}
    raise TypeError(f"a field of type {type(thing).__name__} has no stable fingerprint: {thing!r}")


def uncounted(thing: Any) -> tuple[str, ...]:
    """The fields that a fingerprint leaves out: of a step those it names, of a mapping or a list none."""
    named: tuple[str, ...] = getattr(thing, "not_identity", tuple(NOT_IDENTITY))
    return named if is_dataclass(thing) else ()


def is_engine(thing: Any) -> bool:
    """Whether a field holds an engine (it has a `chat`); asks nothing of the model."""
    return callable(getattr(type(thing), "chat", None))


def model_name(engine: Engine) -> str:
    """The name that rows and the ledger give a model: of a local folder its last part, not its path."""
    return Path(engine.model).name if Path(engine.model).is_dir() else engine.model


def engines(step: Step) -> dict[str, Engine]:
    """The engines in a step's fields, by field name; of a tuple of engines, by name[number]."""
    found: dict[str, Engine] = {}
    for f in fields(step):
        value = getattr(step, f.name)
        if isinstance(value, tuple) and value and all(map(is_engine, value)):
            found |= {f"{f.name}[{i}]": engine for i, engine in enumerate(value)}
        elif is_engine(value):
            found[f.name] = value
    return found


def with_engines(step: Step, opened: Mapping[str, Any]) -> Any:
    """The step with these in place of its engines, by the names that `engines` gives them."""
    given: dict[str, Any] = {}
    for name, engine in opened.items():
        name, several, _ = name.partition("[")
        given[name] = (*given.get(name, ()), engine) if several else engine
    return replace(step, **given)
