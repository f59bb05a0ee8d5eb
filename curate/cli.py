"""The command line: each verb is a function of the same name. Results on stdout, all else on stderr."""

from __future__ import annotations

import importlib.util
import inspect
import json as json_library
import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from cyclopts import App, CycloptsError, Parameter
from cyclopts.config import Yaml

import curate
from curate.errors import CurateError, InputError, UserError, near

ROOMS = ("verifiers", "scores", "filters", "rewriters", "methods", "engines")
_flags = Parameter(negative=(), consume_multiple=True, accepts_keys=False)
_rest = Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]

app = App(
    name="curate",
    version=curate.__version__,
    help="From problems and teacher traces to a published dataset and a trained student.",
    default_parameter=_flags,
    result_action="return_value",
)
app.command("curate.train:train", name="train", help="Train a student on a published folder.")


@app.command
def plan(
    recipe: str, *flags: _rest, out: Path | None = None, config: Path | None = None, json: bool = False
) -> None:
    """Print what a run would ask and cost; spend nothing.

    Parameters
    ----------
    recipe
        a method's name (`curate list methods`) or a Python file with a function `recipe`; its arguments
        are flags
    out
        the run folder whose answers are known already
    config
        a YAML file with values for the flags
    json
        the plan as JSON
    """
    found = _pipeline("plan", recipe, flags, config).plan(out)
    print(json_library.dumps(found.as_json()) if json else found)


@app.command
def run(
    recipe: str,
    *flags: _rest,
    out: Path,
    config: Path | None = None,
    max_samples: int | None = None,
    dry_run: bool = False,
    publish_to: Path | None = None,
    json: bool = False,
) -> None:
    """Run a recipe into a folder; the same command again goes on where it stopped.

    Parameters
    ----------
    recipe
        a method's name (`curate list methods`) or a Python file with a function `recipe`; its arguments
        are flags
    out
        the run folder
    config
        a YAML file with values for the flags
    max_samples
        only the first so many problems
    dry_run
        print the plan and stop
    publish_to
        publish the live rows into this folder as well
    json
        the funnel as JSON
    """
    pipeline = _pipeline("run", recipe, flags, config)
    if max_samples is not None:
        pipeline = pipeline.head(max_samples)
    if dry_run:
        print(pipeline.plan(out))
        return
    done = pipeline.run(out)
    if publish_to is not None:
        done.publish(publish_to)
    print(done.funnel().table.write_json() if json else done)


@app.command
def look(run: Path, *, dropped: bool = False, k: Annotated[int, Parameter(alias="-k")] = 3) -> None:
    """Show a few traces of a run.

    Parameters
    ----------
    run
        the run folder
    dropped
        dropped rows instead, a few for each reason
    k
        how many
    """
    from curate.look import look as show
    from curate.run import Run

    print(show(Run(run), dropped=dropped, k=k))


@app.command
def sql(run: Path, query: str, *, json: bool = False) -> None:
    """Ask a run in SQL; its tables are live, dropped, ledger and funnel.

    Parameters
    ----------
    run
        the run folder
    query
        what DuckDB understands
    json
        rows as JSON instead of a table
    """
    import polars as pl

    from curate.run import Run

    table = Run(run).sql(query)
    with pl.Config(tbl_rows=100, tbl_cols=20, fmt_str_lengths=80, tbl_width_chars=160):
        print(table.write_json() if json else table)


@app.command
def publish(
    run: Path,
    folder: Path,
    *,
    form: Literal["messages", "prompt_completion"] = "messages",
    push_to_hub: Annotated[str | None, Parameter(alias="--push-to")] = None,
    private: bool = False,
    dry_run: bool = False,
) -> None:
    """Write a run's live rows as a Hugging Face dataset with its card.

    Parameters
    ----------
    run
        the run folder
    folder
        the dataset's folder
    form
        whole conversations, or prompt and completion apart
    push_to_hub
        also upload it, to this name on the Hub
    private
        make the uploaded dataset private
    dry_run
        print what would be written and uploaded; neither happens
    """
    from curate.run import Run

    print(Run(run).publish(folder, form=form, push_to=push_to_hub, private=private, dry_run=dry_run))


@app.command(name="eval")
def eval_(
    model: str,
    problems: str,
    *,
    out: Path | None = None,
    k: int = 1,
    temperature: float | None = None,
    max_tokens: int | None = None,
    seed: int = 0,
    max_samples: int | None = None,
    json: bool = False,
) -> None:
    """Sample and verify: accuracy with its 95 % interval.

    Parameters
    ----------
    model
        a checkpoint folder, or an engine: hf:PATH, server:URL?model=NAME
    problems
        a file, folder or hub id with questions and answers
    out
        keep the run in this folder: what it knows is not asked again
    k
        samples a problem
    temperature
        1 if not given, or what the engine itself says; 0 takes the most probable token
    max_tokens
        the longest answer; without it, what the model's context allows
    seed
        another seed draws other samples
    max_samples
        only the first so many problems
    json
        the result as JSON
    """
    from curate.evaluate import evaluate

    found = evaluate(
        model,
        problems,
        out=out,
        k=k,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        limit=max_samples,
    )
    print(json_library.dumps(found.as_json()) if json else found)


@app.command(name="list")
def list_(room: str | None = None, *, json: bool = False) -> None:
    """List what there is, a line each: every file of a room.

    Parameters
    ----------
    room
        verifiers, scores, filters, rewriters, methods or engines; all of them if not given
    json
        as JSON
    """
    if room is not None and room not in ROOMS:
        raise UserError(f"there is no room {room!r}; {near(room, ROOMS)}")
    found = {name: _files(name) for name in ([room] if room else ROOMS)}
    if json:
        lines = {name: {f: _first_line(p) for f, p in files.items()} for name, files in found.items()}
        print(json_library.dumps(lines))
        return
    for name, files in found.items():
        print(name)
        for file, path in files.items():
            print(f"  {file:24s} {_first_line(path)}")


@app.command
def demo(*, out: Path | None = None, json: bool = False, compare: bool = False) -> None:
    """Walk the whole road on the demo world: sample, verify, trim, publish, train, evaluate.

    Parameters
    ----------
    out
        keep everything in this folder; a temporary one if not given
    json
        before, after and the funnel as JSON
    compare
        train three students: on raw traces, on verified ones, on verified and trimmed ones
    """
    from curate.demo import demo as walk

    result = walk(out, compare=compare)
    print(json_library.dumps(result.as_json()) if json else result)


def _files(room: str) -> dict[str, Path]:
    """The files of a room, by name; nothing is imported."""
    here = Path(curate.__file__).parent
    folder = here / room if (here / room).is_dir() else here.parent / room
    return {p.stem: p for p in sorted(folder.glob("*.py")) if not p.stem.startswith("_")}


def _first_line(path: Path) -> str:
    import ast

    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return doc.split("\n")[0]


def _pipeline(verb: str, recipe: str, flags: tuple[str, ...], config: Path | None) -> Any:
    """The pipeline that a recipe makes of its flags."""
    sub = App(
        name=f"curate {verb} {recipe}",
        default_parameter=_flags,
        result_action="return_value",
        version_flags=(),
        config=_values(config) if config else None,
    )
    sub.default(_as_command(_function(recipe)))
    return sub(flags, exit_on_error=False, print_error=False)


def _as_command(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with only those types in its signature that can be typed: `str | Source` becomes `str`."""
    plain = (str, int, float, bool, Path, type(None))

    def typed(annotation: Any) -> Any:
        if get_origin(annotation) not in (Union, UnionType):
            return annotation
        members = [a for a in get_args(annotation) if a in plain or get_origin(a) in (list, tuple, Literal)]
        return Union[tuple(members)]  # noqa: UP007 - made at run time

    @wraps(function)
    def command(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    signature = inspect.signature(function, eval_str=True)
    parameters = [p.replace(annotation=typed(p.annotation)) for p in signature.parameters.values()]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    del command.__wrapped__
    return command


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
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module  # so that worker processes can find the steps it defines
        spec.loader.exec_module(module)
        name = "recipe"
    else:
        methods = _files("methods")
        if recipe not in methods:
            raise UserError(
                f"there is no method {recipe!r}; {near(recipe, methods)} A recipe may also be a .py file"
            )
        module, name = importlib.import_module(f"curate.methods.{recipe}"), recipe
    if not callable(getattr(module, name, None)):
        raise InputError(f"{path} has no function {name!r}; a recipe is a function that returns a Pipeline")
    function: Callable[..., Any] = getattr(module, name)
    return function


def main(argv: list[str] | None = None) -> None:
    """The command `curate`. Exit code 0, 1 for a failure, 2 for wrong usage or input, 130 after Ctrl-C."""
    argv = sys.argv[1:] if argv is None else argv
    # Threads of torch that wait must not spin: on shared cores that made sampling ten times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    logging.basicConfig(level=logging.WARNING, format="curate: %(message)s", stream=sys.stderr)
    try:
        if len(argv) > 2 and argv[0] in ("run", "plan") and argv[-1] in ("--help", "-h"):
            _pipeline(argv[0], argv[1], ("--help",), None)
        else:
            result = app(argv, exit_on_error=False, print_error=False)
            if result is not None:
                print(result)
    except CurateError as e:
        print(f"curate: {e}", file=sys.stderr)
        sys.exit(e.exit_code)
    except CycloptsError as e:
        print(f"curate: {e}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("curate: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
