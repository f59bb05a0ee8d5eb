"""What an instruction asks of a response, by a check's fields or by the row; words and blocks of a text."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, Field, fields, replace
from typing import Any, TypeVar

from curate.errors import UserError

Check = TypeVar("Check", bound=Any)


class Unasked(Exception):
    """No constraint is there, or none that can be read; the text is a verdict's `why`."""


def asked(check: Check, gold: str | None) -> Check:
    """The check with its constraint: its own fields, or where none is set, those that the row's gold names.

    A gold is a JSON object with an object for each check: {"length": {"max_words": 50}, "language": ...}.
    Raises Unasked where neither says anything of this check.
    """
    if any(getattr(check, f.name) != f.default for f in fields(check)):
        return check
    try:
        said = json.loads(gold or "null")
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict) or said.get(check.name) is None:
        raise Unasked(f"unsupported: no constraint for {check.name}, neither in its fields nor in the gold")
    wanted = said[check.name]
    known = {f.name: f for f in fields(check)}
    if not isinstance(wanted, dict) or not wanted or not set(wanted) <= set(known):
        raise Unasked(f"gold_invalid: {check.name} knows {', '.join(known)}")
    try:
        return replace(check, **{k: _typed(known[k], v) for k, v in wanted.items() if v is not None})
    except UserError as e:
        raise Unasked(f"gold_invalid: {e}"[:200]) from None


def _typed(field: Field[Any], value: Any) -> Any:
    """A JSON value as the type that the field has."""
    kind = str(field.type)
    if kind.startswith("tuple") and isinstance(value, list) and all(isinstance(v, str) for v in value):
        return tuple(value)
    if kind.startswith("bool") and isinstance(value, bool):
        return value
    if kind.startswith("int") and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind.startswith("float") and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if kind.startswith(("str", "Literal")) and isinstance(value, str):
        return value
    assert field.default is not MISSING
    raise UserError(f"{field.name} is a {kind}, not {value!r}"[:150])


_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
    r"|(?:(?![\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])[^\W_])+"
    r"(?:['’\-.,](?=[^\W_])(?:(?![\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff])[^\W_])+)*"
)
_RULE = re.compile(r"[ \t]*([*\-_])(?:[ \t]*\1){2,}[ \t]*")
_CODE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)


def words(text: str) -> list[str]:
    """Words; "don't", "well-known" and 3.14 are one each, every Chinese or Japanese character is one.

    >>> words("Don't stop: 3.14!"), len(words("你好"))
    (["Don't", 'stop', '3.14'], 2)
    """
    return _WORD.findall(text)


def paragraphs(text: str) -> list[str]:
    """Blocks between blank lines or horizontal rules, those rules not counted."""
    blocks, block = [], list[str]()
    for line in [*text.splitlines(), ""]:
        if line.strip() and not _RULE.fullmatch(line):
            block.append(line)
        elif block:
            blocks.append("\n".join(block))
            block = []
    return blocks


def without_code(text: str) -> str:
    """The text without its fenced code: what looks like a list or a heading there is neither."""
    return _CODE.sub("", text)
