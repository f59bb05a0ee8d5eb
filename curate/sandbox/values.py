"""Values cross the wall as plain JSON, with marks for what JSON lacks: tuples, sets, bytes, big integers.

`pack` runs beside the program and may answer anything; `unpack` runs on the other side, builds exact built-in
types out of what it was told, and nothing else. An object of any other type crosses as a Handle, which equals
only itself. A subclass of a built-in type crosses as the plain value: what it says of itself stays behind.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

BIG = 1 << 62
DEEPEST = 200


class Unreadable(Exception):
    """What came over the wall is not a value."""


def pack(value: Any, keep: Callable[[Any], Any], depth: int = DEEPEST) -> Any:
    """A value as JSON; `keep(object)` answers the JSON for what is not plain."""
    kind = type(value)
    if value is None or kind is bool or kind is float or kind is str:
        return value
    if kind is int:
        return value if -BIG < value < BIG else {"i": hex(value)}
    if not depth:
        raise ValueError(f"a value nested more than {DEEPEST} deep")
    if kind is list:
        return [pack(v, keep, depth - 1) for v in value]
    for base, mark in _MARKS:
        if isinstance(value, base):
            return _marked(value, base, mark, keep, depth - 1)
    return keep(value)


_MARKS: tuple[tuple[type, str], ...] = (
    (bool, ""), (int, ""), (float, ""), (str, ""), (list, ""), (collections.deque, "q"),
    (tuple, "t"), (dict, "d"), (set, "s"), (frozenset, "f"), (bytes, "b"), (bytearray, "a"), (complex, "c"),
    (Fraction, "F"), (Decimal, "D"), (range, "r"),
)  # fmt: skip


def _marked(value: Any, base: type, mark: str, keep: Callable[[Any], Any], depth: int) -> Any:
    if mark == "":  # a subclass: an IntEnum, a named string
        plain = list.copy(value) if base is list else base.__pos__(value) if base in (int, float) else None
        return pack(plain if plain is not None else str.__str__(value), keep, depth)
    if mark == "d":
        return {"d": [[pack(k, keep, depth), pack(v, keep, depth)] for k, v in dict.items(value)]}
    if mark in ("b", "a"):
        return {mark: bytes(value).hex()}
    if mark == "c":
        return {"c": [complex(value).real, complex(value).imag]}
    if mark in ("F", "D"):
        return {mark: str(value)}
    if mark == "r":
        return {"r": [hex(value.start), hex(value.stop), hex(value.step)]}
    return {mark: [pack(v, keep, depth) for v in base.__iter__(value)]}  # type: ignore[attr-defined]


def unpack(plain: Any, handle: Callable[[Any], Any], depth: int = DEEPEST) -> Any:
    """The value again, of exact types; raises Unreadable. `handle(json)` makes what stands for an object."""
    try:
        return _unpack(plain, handle, depth)
    except (TypeError, ValueError, ArithmeticError, RecursionError, LookupError) as e:
        raise Unreadable(f"{type(e).__name__}: {e}"[:200]) from None


def _unpack(plain: Any, handle: Callable[[Any], Any], depth: int) -> Any:
    if not isinstance(plain, list | dict):
        return plain
    if not depth:
        raise ValueError("too deep")
    if isinstance(plain, list):
        return [_unpack(v, handle, depth - 1) for v in plain]
    ((mark, body),) = plain.items()
    if mark == "d":
        return {_unpack(k, handle, depth - 1): _unpack(v, handle, depth - 1) for k, v in body}
    if mark == "i":
        return int(body, 16)
    if mark in ("b", "a"):
        return bytes.fromhex(body) if mark == "b" else bytearray.fromhex(body)
    if mark == "c":
        return complex(float(body[0]), float(body[1]))
    if mark in ("F", "D"):
        return Fraction(*map(int, body.split("/"))) if mark == "F" else Decimal(body)
    if mark == "r":
        return range(*(int(n, 16) for n in body))
    if mark == "o":
        return handle(body)
    return _BUILD[mark](_unpack(v, handle, depth - 1) for v in body)


_BUILD: dict[str, Callable[[Any], Any]] = {
    "t": tuple, "s": set, "f": frozenset, "q": collections.deque,
}  # fmt: skip
