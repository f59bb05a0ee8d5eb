"""Engines: a model behind a door. `engine("hf:PATH")` makes one; nothing is loaded before it is opened."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from dataclasses import fields, is_dataclass
from typing import Any
from urllib.parse import parse_qsl, quote

from curate.errors import UserError, near
from curate.fields import check_engine
from curate.step import Engine

KINDS = {
    "hf": "a checkpoint folder or hub id, run with transformers: hf:PATH_OR_ID",
    "server": "any OpenAI-compatible server: server:http://localhost:8000/v1, with the option model=NAME",
    "vllm": "a checkpoint folder or hub id, run with vLLM in this process: vllm:PATH_OR_ID",
    "scripted": "a function that says what it says: scripted:MODULE:FUNCTION",
    "ray": "replicas of any of these on a Ray cluster: ray:hf:PATH, with the options replicas=2 and gpus=1",
}

TEXTS = frozenset({"model", "revision", "api_key"})
"""Options that are text whatever they look like: a model may be called 7, and a revision 0123456."""


def engine(spec: str, **options: Any) -> Engine:
    """The engine that `spec` names: KIND:WHAT, or an import path MODULE:CLASS of your own.

    Options are the fields of the engine: temperature, max_tokens, and so on. They may also stand in the spec,
    where a command line has no other place for them: `hf:PATH?temperature=0.6&max_tokens=512`. A server may
    be written `http://localhost:8000/v1#MODEL`, too, options behind the model.
    """
    if spec.startswith(("http://", "https://")):
        url, _, model = spec.partition("#")
        model, _, more = model.partition("?")
        spec = f"server:{url}?model={quote(model, safe='/')}&{more}" if model else f"server:{url}"
    spec, _, query = spec.partition("?")
    told = parse_qsl(query, keep_blank_values=True)
    options = {**{k: v if k in TEXTS else _value(v) for k, v in told}, **options}
    kind, colon, what = spec.partition(":")
    if kind in KINDS and not what:
        raise UserError(f"the engine {spec!r} does not say which: {KINDS[kind]}.")
    if kind == "hf":
        from curate.engines.hf import HF

        return _make(HF, {"model": what, **options}, spec)
    if kind == "vllm":
        from curate.engines.vllm import VLLM

        return _make(VLLM, {"model": what, **options}, spec)
    if kind == "server":
        from curate.engines.server import Server

        if "model" not in options:
            raise UserError(f"which model of {what}? Say it with model=NAME, or as {spec}?model=NAME.")
        return _make(Server, {"url": what, **options}, spec)
    if kind == "scripted":
        from curate.engines.scripted import Scripted

        return _make(Scripted, {"script": load(what), "model": what, **options}, spec)
    if kind == "ray":
        from curate.engines.ray import Ray

        own: dict[str, Any] = {k: options.pop(k) for k in ("replicas", "gpus") if k in options}
        return _make(Ray, {"engine": engine(what, **options), **own}, spec)
    return _make(_own(spec), options, spec)


def as_engine(given: str | Engine, **options: Any) -> Engine:
    """What a text names, with these options; an engine stays as it is, its own fields decide."""
    return engine(given, **options) if isinstance(given, str) else given


def load(path: str) -> Any:
    """The thing that MODULE:NAME names."""
    module, _, name = path.partition(":")
    written = "write MODULE:NAME, with the module's folder on PYTHONPATH."
    if not name or not all(part.isidentifier() for part in module.split(".")):
        raise UserError(f"{path!r} cannot be imported: {written}")
    try:
        found = importlib.import_module(module)
    except ImportError as e:
        absent = f"{module}.".startswith(f"{e.name}.")  # itself, and not what it imports
        remedy = written if absent else "install what the module needs, or mend its import."
        raise UserError(f"{path!r} cannot be imported: {' '.join(str(e).split())}; {remedy}") from e
    if not hasattr(found, name):
        raise UserError(f"the module {module!r} has no {name!r}; {near(name, vars(found))}")
    return getattr(found, name)


def _own(spec: str) -> Any:
    """The class that an import path names. What is neither that nor of a kind is a sentence."""
    module, colon, name = spec.partition(":")
    hint = near(module, KINDS)
    if not colon or not name.isidentifier():
        hint = f"did you mean 'hf:{spec}'?" if not colon and "/" in spec else hint
        raise UserError(f"there is no engine {spec!r}; {hint}")
    if not _exists(module.partition(".")[0]):
        raise UserError(
            f"there is no engine {spec!r}: the module {module!r} cannot be imported, as Python finds none of "
            f"that name; put its folder on PYTHONPATH, or name a kind: {hint}"
        )
    return load(spec)


def _make(make: Any, options: dict[str, Any], spec: str) -> Engine:
    if is_dataclass(make):
        known = [f.name for f in fields(make) if f.init]
        for name in options:
            if name not in known:
                raise UserError(f"the engine {spec!r} has no option {name!r}; {near(name, known)}")
    made = make(**options)
    if not callable(getattr(made, "chat", None)):
        raise UserError(f"{spec!r} is not an engine: a {type(made).__name__} has no `chat`.")
    check_engine(made)
    return made


def _exists(module: str) -> bool:
    return module.isidentifier() and importlib.util.find_spec(module) is not None


def _value(text: str) -> Any:
    """A number, None or a word, as it would be in Python."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
