"""The fields of a step hold what their annotations list, and no text for a number; no more is looked at."""

from __future__ import annotations

import ast
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING, Any

from curate.errors import UserError
from curate.syntax import parse

if TYPE_CHECKING:
    from curate.step import Step


def check_fields(step: Step) -> None:
    """Raise UserError for a value that is not listed, and for the name of an engine in place of one."""
    for f in fields(step):
        value = getattr(step, f.name)
        if "Engine" in str(f.type) and isinstance(value, str):
            kind = type(step).__name__
            raise UserError(f"{kind} needs an engine, not {value!r}; make one with curate.engine({value!r})")
        if isinstance(value, str) and (kinds := _numbers(str(f.type))):
            raise UserError(f"{step.name}: {f.name} is a number ({kinds}), not the text {value!r}")
        if (known := _listed(str(f.type))) and value not in known:
            words = " or ".join(map(repr, known))
            raise UserError(f"{step.name}: {f.name} is {words}, not {value!r}")


@cache
def _numbers(annotation: str) -> str:
    """The annotation, where it allows nothing but numbers (and None); else nothing."""
    names = set(annotation.replace(" ", "").split("|"))
    return annotation if names <= {"int", "float", "None"} and names != {"None"} else ""


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
