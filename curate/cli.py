"""The command line: each verb is a function of the same name. Results on stdout, all else on stderr."""

from __future__ import annotations

import json as json_library
import logging
import os
import select
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, MissingArgumentError, Parameter

import curate
from curate import after, looking
from curate.errors import CurateError, UserError
from curate.plan import check_speed
from curate.recipes import FLAGS
from curate.recipes import pipeline as pipeline_of

PROBLEMS, REPLICAS = (1_000, 10_000, 100_000, 1_000_000), (1, 8, 64)  # of the sizing table
_rest = Annotated[str, Parameter(show=False, allow_leading_hyphen=True)]

app = App(
    name="curate",
    version=curate.__version__,
    help="From problems and teacher traces to a published dataset and a trained student.",
    default_parameter=FLAGS,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
app.command(
    "curate.train:train",
    name="train",
    help="Train a student on a published folder.",
    default_parameter=Parameter(consume_multiple=True),
)
for verbs, module in (("look sql golds list", looking), ("publish eval demo", after)):
    for verb in verbs.split():
        app.command(getattr(module, f"{verb}_"), name=verb)


@app.command
def plan(
    recipe: str,
    *flags: _rest,
    out: Path | None = None,
    config: Path | None = None,
    probe: int | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    tokens_per_second: float | None = None,
    json: bool = False,
) -> None:
    """Print what a run would ask and cost; spend nothing, unless told to probe.

    Parameters
    ----------
    recipe
        a method's name (`curate list methods`) or a Python file with a function `recipe`; its arguments
        are flags
    out
        the run folder whose answers are known already
    config
        a YAML file with values for the flags
    probe
        take so many problems the whole way first, and estimate from them; `out` keeps their answers
    price_in
        USD per million tokens that a model reads
    price_out
        USD per million tokens that a model writes
    tokens_per_second
        of one replica, in and out: print also the hours of 1, 8 and 64 for up to a million such problems
    json
        the plan as JSON
    """
    if tokens_per_second is not None:
        check_speed(tokens_per_second)
    price = _price(price_in, price_out)
    found = pipeline_of("plan", recipe, flags, config).plan(out, price=price, probe=probe)
    sizes = None if tokens_per_second is None else found.sizes(PROBLEMS, tokens_per_second, REPLICAS)
    if json:
        more = {} if sizes is None else {"sizes": sizes.to_dicts()}
        print(json_library.dumps(found.as_json() | more))
    else:
        print(found, *([] if sizes is None else [looking.sizing(sizes)]), sep="\n\n")


@app.command
def run(
    recipe: str,
    *flags: _rest,
    out: Path,
    config: Path | None = None,
    max_samples: int | None = None,
    dry_run: bool = False,
    budget_tokens: int | None = None,
    budget_usd: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    ray: int | None = None,
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
    budget_tokens
        stop cleanly once the folder has cost so many tokens, in and out, earlier runs included
    budget_usd
        stop cleanly once the folder has cost so much
    price_in
        USD per million tokens that a model reads
    price_out
        USD per million tokens that a model writes
    ray
        so many replicas of each model, and hosts for the rows, on the Ray cluster that RAY_ADDRESS names,
        or on this machine
    publish_to
        publish the live rows into this folder as well
    json
        the funnel as JSON
    """
    pipeline = pipeline_of("run", recipe, flags, config)
    if max_samples is not None:
        pipeline = pipeline.head(max_samples)
    price = _price(price_in, price_out)
    if publish_to is not None:
        after.check_publish_to(pipeline, out, publish_to)
    if dry_run:
        print(pipeline.plan(out, price=price))
        return
    done = pipeline.run(out, price=price, budget_tokens=budget_tokens, budget_usd=budget_usd, ray=ray)
    print(done.funnel().table.write_json() if json else done)
    if publish_to is not None:
        print(done.publish(publish_to), file=sys.stderr)


def _price(price_in: float | None, price_out: float | None) -> tuple[float, float] | None:
    if (price_in is None) != (price_out is None):
        raise UserError("a price is two numbers, --price-in and --price-out; give both, 0 for what is free")
    return None if price_in is None or price_out is None else (price_in, price_out)


def _nobody_reads() -> bool:
    """Whether stdout is a pipe whose other end is closed, as behind `| head -1`."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def main(argv: list[str] | None = None) -> None:
    """The command `curate`. Exit code 0, or as curate.errors has it; 2 for wrong usage."""
    argv = sys.argv[1:] if argv is None else argv
    # Threads of torch that wait may spin for microseconds only: on shared cores more is ten times slower.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    logging.basicConfig(level=logging.WARNING, format="curate: %(message)s", stream=sys.stderr)
    try:
        if len(argv) > 2 and argv[0] in ("run", "plan") and argv[-1] in ("--help", "-h"):
            pipeline_of(argv[0], argv[1], ("--help",), None)
        else:
            result = app(argv, exit_on_error=False, print_error=False)
            if result is not None:
                print(result)
        sys.stdout.flush()  # here, where it can still be said quietly that nobody reads
    except CurateError as e:
        print(f"curate: {e}", file=sys.stderr)
        sys.exit(e.exit_code)
    except MissingArgumentError as e:
        named = str(e).replace("requires an argument", "is missing, or has no value")
        print(f"curate: {named}", file=sys.stderr)
        sys.exit(2)
    except CycloptsError as e:
        print(f"curate: {e}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what Python writes at its end
        sys.exit(141)  # what a shell says of a program that SIGPIPE ended
    except KeyboardInterrupt:
        print("curate: stopped", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
