"""Fields of steps and options of engines hold what their annotations say, where those are plain."""

from __future__ import annotations

import ast
from dataclasses import Field, fields
from functools import cache
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from curate.errors import UserError
from curate.identity import is_engine
from curate.syntax import parse

if TYPE_CHECKING:
    from curate.step import Step

OF_AN_ENGINE = ("model", "fingerprint", "describe")  # what it is recorded by; `chat` tells that it is one
WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "True or False",
    "None": "None",
}


def check_fields(step: Step) -> None:
    """Raise UserError for a value that is not listed, one of another type, and the name of an engine."""
    for f in fields(step):
        value = getattr(step, f.name)
        kind, named = _written(f.type), isinstance(value, str)
        if ("Engine" in kind and named) or (kind == "Engine" and not is_engine(value)):
            made = f"curate.engine({value if named else 'hf:MODEL'!r})"
            raise UserError(
                f"{type(step).__name__} needs an engine, not {repr(value)[:80]}; make one with {made}"
            )
        if kind.startswith("tuple[") and isinstance(value, str | Real):
            one = f"{f.name}=({value!r},)"
            raise UserError(f"{step.name}: {f.name} is a tuple, not {value!r}; for one write {one}")
        if words := wrong_type(f, value):
            raise UserError(f"{step.name}: {f.name} is {words}, not {repr(value)[:80]}")
        if (known := _listed(str(f.type))) and value not in known:
            words = " or ".join(map(repr, known))
            raise UserError(f"{step.name}: {f.name} is {words}, not {value!r}")


def check_engine(engine: Any) -> None:
    """Raise UserError for an engine that lacks what it is recorded by; works none of it out."""
    if lacks := [n for n in OF_AN_ENGINE if not (hasattr(type(engine), n) or hasattr(engine, n))]:
        named = ", ".join(f"`{n}`" for n in lacks)
        raise UserError(
            f"the engine {type(engine).__name__} lacks {named}; what an engine of your own has stands in "
            'docs/engines.md, "An engine of your own"'
        )


def check_options(engine: Any) -> None:
    """Raise UserError for an option of another type, or below what the engine's `least` says it must be."""
    for f in fields(engine):
        said, least = getattr(engine, f.name), engine.least.get(f.name)
        words = wrong_type(f, said)
        if "number" not in words:  # what is a path or a dtype may be one of another library's
            words = "" if None in (said, least) or said >= least else f"{least} or more"
        if words:
            raise UserError(f"{f.name}={said!r} is no option of {engine.model!r}: it must be {words}.")


def wrong_type(f: Field[Any], value: object) -> str:
    """What a field of plain types takes, where the value is neither that nor its default; else nothing."""
    if value is f.default or not (wanted := _plain(_written(f.type))) or _is_one(value, wanted):
        return ""
    return " or ".join(WORDS[kind] for kind in wanted)


def _written(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


@cache
def _plain(annotation: str) -> tuple[str, ...]:
    """The types of an annotation that allows nothing but plain ones; () where any other goes."""
    names = tuple(annotation.replace(" ", "").split("|"))
    return names if set(names) <= set(WORDS) else ()


def _is_one(value: object, wanted: tuple[str, ...]) -> bool:
    """Whether a value is of one of these types; a whole number is a number, True and NaN are none."""
    if value is None or isinstance(value, bool):
        return ("None" if value is None else "bool") in wanted
    if isinstance(value, Real):
        return value == value and ("float" in wanted or ("int" in wanted and isinstance(value, Integral)))
    return "str" in wanted and isinstance(value, str)


@cache
def _listed(annotation: str) -> tuple[Any, ...]:
    """The values an annotation lists: `Literal["a", "b"] | None` lists three; () where any other goes."""
    try:
        todo = [parse(annotation, mode="eval").body]
    except SyntaxError:  # the annotation is a class, not a text
        return ()
    values: list[Any] = []
    while todo:
        node = todo.pop()
        if isinstance(node, ast.BinOp):
            todo += [node.right, node.left]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) in ("Literal", "typing.Literal"):
            found = ast.literal_eval(node.slice)
            values += found if isinstance(found, tuple) else [found]
        elif isinstance(node, ast.Constant) and node.value is None:
            values.append(None)
        else:
            return ()
    return tuple(values)
