"""The JSON in the response is the gold JSON, or keeps to a schema, or both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

from curate.errors import UserError, require
from curate.schema import Row
from curate.step import Verdict, Verifier

LARGEST = 1 << 20  # characters


class _Bad(ValueError):
    """The text is no JSON, or JSON that says two things."""


@dataclass(frozen=True)
class JsonEqual(Verifier):
    """Types are exact: true is not 1, "1" is not 1, null is not absent. Keys have no order, items have.

    The JSON of a response is the whole of it, its last fenced block that holds some, or else its last object
    or array. NaN, Infinity, comments, trailing commas and an object that names a key twice are no JSON: false
    in a response, `gold_invalid` in a gold.

    numbers: "value" lets 1 be 1.0, "exact" does not: a whole number and a decimal are then two types.
    relative: how far two numbers may be apart. schema: JSON Schema as a text (draft 2020-12 unless it says
    otherwise; no reference leaves it). With a schema and no gold the schema alone decides: `met` or
    `not_met`.
    """

    numbers: Literal["value", "exact"] = "value"
    relative: float = 0.0
    schema: str | None = None
    timeout_s: float = 5.0
    memory_mb: int = 1024
    reflexive = "%s"
    reads = ("response", "answer")
    examples = (
        (
            dict(
                response='Here:\n```json\n{"b": [1, 2], "a": null}\n```', answer='{"a": null, "b": [1.0, 2]}'
            ),
            True,
        ),
        (dict(response='{"a": 1}', answer='{"a": true}'), False),
        (dict(response="[2, 1]", answer="[1, 2]"), False),
        (dict(response='{"a": 1, "a": 1}', answer='{"a": 1}'), False),
        (dict(response="nothing", answer="[1]"), False),
        (dict(response="[1]", answer="[1,"), None),
        (dict(response="[1]", answer=None), None),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.schema is not None:
            _validator(self.schema)

    @property
    def needs_gold(self) -> bool:
        return self.schema is None

    def row(self, row: Row) -> Verdict:
        gold_text, response = row["answer"], row["response"] or ""
        if gold_text is None and self.schema is None:
            return Verdict(None, "no_gold")
        if max(len(gold_text or ""), len(response)) > LARGEST:
            return Verdict(None, f"limit: a text of over {LARGEST:,} characters")
        try:
            gold = None if gold_text is None else _load(gold_text)
        except _Bad as e:
            return Verdict(None, f"gold_invalid: {e}")
        try:
            said, text = _found(response)
        except _Bad as e:
            return Verdict(False, f"no_answer: {e}")
        if self.schema is not None and (broken := _breaks(self.schema, text)):
            return Verdict(False, f"not_met: {broken}", text)
        if gold_text is None:
            return Verdict(True, "met", text)
        at = self._apart(gold, said)
        return Verdict(not at, f"different: at {at}" if at else "equal", text)

    def _apart(self, gold: Any, said: Any) -> str:
        """The path to the first difference; nothing where there is none."""
        todo: list[tuple[str, Any, Any]] = [("$", gold, said)]
        while todo:
            path, a, b = todo.pop()
            if isinstance(a, dict) and isinstance(b, dict):
                if a.keys() != b.keys():
                    return f"{path}: keys {sorted(a.keys() ^ b.keys())[:3]}"[:200]
                todo += [(f"{path}.{key}"[:150], a[key], b[key]) for key in a]
            elif isinstance(a, list) and isinstance(b, list):
                if len(a) != len(b):
                    return f"{path}: {len(b)} items for {len(a)}"
                todo += [(f"{path}[{i}]"[:150], x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
            elif not self._same(a, b):
                return path
        return ""

    def _same(self, a: Any, b: Any) -> bool:
        if isinstance(a, bool) or not isinstance(a, int | Decimal) or isinstance(b, bool):
            return type(a) is type(b) and bool(a == b)
        if not isinstance(b, int | Decimal) or (self.numbers == "exact" and type(a) is not type(b)):
            return False
        if a == b or not self.relative or any(abs(Decimal(x).adjusted()) > 400 for x in (a, b)):
            return bool(a == b)
        return abs(Fraction(a) - Fraction(b)) <= Fraction(self.relative) * abs(Fraction(a))


def _load(text: str) -> Any:
    """The value of a JSON text, numbers as int or Decimal; raises _Bad."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_float=Decimal, parse_constant=_constant)
    except RecursionError:
        raise _Bad("nested too deeply") from None
    except _Bad:
        raise
    except ValueError as e:
        raise _Bad(f"not JSON ({str(e)[:80]})") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _Bad("an object that names a key twice")
    return found


def _constant(name: str) -> Any:
    raise _Bad(f"{name} is not JSON")


_FENCE = re.compile(r"^[ \t]*(?:```|~~~)[ \t]*(\w*)[^\n]*\n(.*?)^[ \t]*(?:```|~~~)", re.MULTILINE | re.DOTALL)
_OPENS = re.compile(r"[\[{]")
_TRIES = 200


def _found(response: str) -> tuple[Any, str]:
    """The JSON of a response, and its text; raises _Bad with what was wrong with the best candidate."""
    first: _Bad | None = None
    for text in _candidates(response):
        try:
            return _load(text), text
        except _Bad as e:
            first = first if first and "not JSON" not in str(first) else e
    raise first or _Bad("no JSON")


def _candidates(response: str) -> Iterator[str]:
    yield response.strip()
    fences = [
        m[2].strip() for m in _FENCE.finditer(response) if m[1].lower() in ("", "json", "json5", "jsonc")
    ]
    yield from reversed(fences[-20:])
    decoder, at, last, tries = json.JSONDecoder(), 0, "", 0
    while tries < _TRIES and (opened := _OPENS.search(response, at)):
        tries += 1
        try:
            _, end = decoder.raw_decode(response, opened.start())
            last, at = response[opened.start() : end], end
        except (ValueError, RecursionError):
            at = opened.end()
    if last:
        yield last


def _validator(schema: str) -> Any:
    """A validator of a schema; no reference in it is fetched. Raises UserError for what is no schema."""
    jsonschema = require("jsonschema", "pip install 'trace-curate[schema]'")
    from referencing import Registry

    try:
        loaded = json.loads(schema)
        kind = jsonschema.validators.validator_for(loaded, default=jsonschema.Draft202012Validator)
        kind.check_schema(loaded)
    except (ValueError, RecursionError, TypeError, jsonschema.exceptions.SchemaError) as e:
        text = str(e).splitlines()[0][:120]
        raise UserError(f"json_equal was given a schema that is none ({text}): {schema[:80]!r}") from None
    return kind(loaded, registry=Registry())


def _breaks(schema: str, text: str) -> str:
    """What of the schema a JSON text breaks first, as words; nothing where it keeps to all of it."""
    from referencing.exceptions import Unresolvable

    try:
        error = next(_validator(schema).iter_errors(json.loads(text)), None)
    except (Unresolvable, RecursionError) as e:
        return f"the schema cannot be followed ({type(e).__name__})"
    return "" if error is None else f"{error.json_path}: {error.message}"[:200]
