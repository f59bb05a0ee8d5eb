"""A recipe, by name or from a file: a function that returns a Pipeline, its arguments as flags."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields
from functools import wraps
from pathlib import Path
from traceback import StackSummary, extract_tb
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Yaml

import curate
from curate.errors import CurateError, InputError, UserError, near, place
from curate.step import Verifier
from curate.syntax import parse

FLAGS = Parameter(negative=(), consume_multiple=True, accepts_keys=False)


def files(room: str) -> dict[str, Path]:
    """The files of a room, by name; nothing is imported."""
    here = Path(curate.__file__).parent
    folder = here / room if (here / room).is_dir() else here.parent / room
    return {p.stem: p for p in sorted(folder.glob("*.py")) if not p.stem.startswith("_")}


def first_line(path: Path) -> str:
    with _in_one_sentence("file", path):
        doc = ast.get_docstring(parse(path.read_text(encoding="utf-8"), str(path))) or ""
    return doc.split("\n")[0]


def verifier(name: str) -> Verifier:
    """The verifier of that name, with its defaults."""
    known = files("verifiers")
    if name not in known:
        raise UserError(f"there is no verifier {name!r}; {near(name, known)}")
    with _in_one_sentence("verifier", known[name]):
        module = importlib.import_module(f"curate.verifiers.{name}")
    found = next((v for v in vars(module).values() if inspect.isclass(v) and v.__module__ == module.__name__
                 and issubclass(v, Verifier)), None)  # fmt: skip
    if found is None:
        raise InputError(f"{known[name]} defines no Verifier")
    if missing := [f.name for f in fields(found) if f.default is MISSING and f.default_factory is MISSING]:
        raise UserError(f"{name} needs {missing[0]}, so it has no defaults; use it from Python")
    return found()


def pipeline(verb: str, recipe: str, flags: tuple[str, ...], config: Path | None) -> Any:
    """The pipeline that a recipe makes of its flags."""
    sub = App(
        name=f"curate {verb} {recipe}",
        default_parameter=FLAGS,
        result_action="return_value",
        suppress_keyboard_interrupt=False,
        version_flags=(),
        help_epilogue=f"These are the recipe's own flags; `curate {verb} --help` shows the others.",
        config=_values(config) if config else None,
    )
    sub.default(_as_command(_function(recipe)))
    with _in_one_sentence("recipe", files("methods").get(recipe, Path(recipe))):
        made = sub(flags, exit_on_error=False, print_error=False)
    if isinstance(made, curate.Pipeline) or {"--help", "-h"} & set(flags):
        return made
    what = "nothing (is a `return` missing?)" if made is None else f"a {type(made).__name__}"
    raise InputError(f"the recipe {recipe} answers {what}; it has to answer a Pipeline")


@contextmanager
def _in_one_sentence(kind: str, path: Path) -> Iterator[None]:
    """What goes wrong in a user's own file is told with its line; what has no line there is let by.

    Where it is one of our own files that raised it, that one is named too: the bug may be ours.
    """
    own = path.absolute()
    try:
        yield
    except (CurateError, CycloptsError):
        raise
    except Exception as e:  # noqa: BLE001 - a user's own code may raise anything
        frames = extract_tb(e.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename) == own]
        said = e.msg if isinstance(e, SyntaxError) else str(e).strip()
        what = f"{type(e).__name__}: {said}".rstrip(": ")
        if isinstance(e, SyntaxError) and (Path(e.filename) == own if e.filename else not lines):
            lines += [e.lineno or 1]
        elif isinstance(e, SyntaxError):
            what += f" ({e.filename}, line {e.lineno})"
        elif lines:
            what += _deeper(own, frames)
        if not lines:
            raise
        raise InputError(f"the {kind} {path} fails in line {lines[-1]}: {what}") from e


def _deeper(own: Path, frames: StackSummary) -> str:
    """Where below the file `own` it was raised, unless in a library: in another of theirs, or in ours."""
    if (where := place("".join(frames.format()))) and f"({own}," not in where:
        return where
    after = max(i for i, f in enumerate(frames) if Path(f.filename) == own) + 1
    core = Path(curate.__file__).parent
    ours = [f for f in frames[after:] if Path(f.filename).is_relative_to(core)]
    return f" (raised in {ours[-1].filename}, line {ours[-1].lineno})" if ours else ""


def _as_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with only those types in its signature that can be typed: `str | Source` becomes `str`."""
    plain = (str, int, float, bool, Path, type(None))

    def typed(annotation: Any) -> Any:
        if get_origin(annotation) not in (Union, UnionType):
            return annotation
        members = [a for a in get_args(annotation) if a in plain or get_origin(a) in (list, tuple, Literal)]
        return Union[tuple(members)]  # noqa: UP007 - made at run time

    signature = inspect.signature(function, eval_str=True)

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except UserError as e:
            said = signature.bind(*args, **kwargs)
            said.apply_defaults()
            raise type(e)(_as_flags(str(e), said.arguments)) from None

    parameters = [p.replace(annotation=typed(p.annotation)) for p in signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__
    return command


def _as_flags(sentence: str, said: Mapping[str, Any]) -> str:
    """`n=0` as `--n 0`, where that is what the flag says: a step's field of that name may be another."""

    def flag(found: re.Match[str]) -> str:
        name, value = found.groups()
        meant = name in said and (value.isupper() or value.strip("'\"") == str(said[name]))
        return f"--{name.replace('_', '-')} {value}" if meant else found.group()

    return re.sub(r"(?<![\w?&.=-])([a-z]\w*)=('[^']*'|\"[^\"]*\"|[\w.-]*\w)", flag, sentence)


def _values(config: Path) -> Yaml:
    if not config.exists():
        raise InputError(f"no file {config}; --config takes a YAML file with values for the recipe's flags")
    return Yaml(config, use_commands_as_keys=False, search_parents=False)


def _function(recipe: str) -> Callable[..., Any]:
    """A method by name, or the function `recipe` of a Python file."""
    path = Path(recipe)
    if path.suffix == ".py":
        if not path.exists():
            raise InputError(f"no recipe file {path}")
        spec = importlib.util.spec_from_file_location(path.stem, path.absolute())
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module  # so that worker processes can find the steps it defines
        with _in_one_sentence("recipe", path):
            spec.loader.exec_module(module)
        name = "recipe"
    else:
        methods = files("methods")
        if recipe not in methods:
            known = near(recipe, methods)
            raise UserError(f"there is no method {recipe!r} (a .py file is a recipe, too); {known}")
        with _in_one_sentence("method", methods[recipe]):
            module, name = importlib.import_module(f"curate.methods.{recipe}"), recipe
    if not callable(getattr(module, name, None)):
        raise InputError(f"{path} has no function {name!r}; a recipe is a function that returns a Pipeline")
    function: Callable[..., Any] = getattr(module, name)
    return function
