"""Verbs for what a run is good for: publish it, evaluate a student; `demo` walks the whole road."""

from __future__ import annotations

import json as json_library
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

if TYPE_CHECKING:
    from curate.pipeline import Pipeline


def publish_(
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


def check_publish_to(pipeline: Pipeline, out: Path, folder: Path) -> None:
    """Refuse before anything is paid for what `publish` would refuse of this folder when all is paid."""
    from curate.inputs import revision_of
    from curate.publish import check_place
    from curate.record import begun_as, recipe

    asked = {}
    if (folder / "recipe.json").exists():
        asked = recipe(pipeline, revision_of(pipeline))
        asked |= {"run": out.resolve().name, "begun_as": begun_as(out, asked)}
    check_place(folder, asked)


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
    ray: int | None = None,
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
    ray
        so many replicas of the model, on the Ray cluster that RAY_ADDRESS names, or on this machine
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
        ray=ray,
    )
    print(json_library.dumps(found.as_json()) if json else found)


def demo_(
    *,
    out: Path | None = None,
    json: bool = False,
    compare: bool = False,
    teacher: str | None = None,
    ray: int | None = None,
) -> None:
    """Walk the whole road on the demo world: sample, verify, trim, publish, train, evaluate.

    Parameters
    ----------
    out
        keep everything in this folder; a temporary one if not given
    json
        before, after and the funnel as JSON
    compare
        train three students: on raw traces, on verified ones, on verified and trimmed ones
    teacher
        another engine than the demo's own: vllm:PATH, server:URL?model=NAME
    ray
        so many replicas of each model, and hosts for the rows, on the Ray cluster that RAY_ADDRESS names,
        or on this machine
    """
    from curate.demo import demo

    result = demo(out, compare=compare, teacher=teacher, ray=ray)
    print(json_library.dumps(result.as_json()) if json else result)
