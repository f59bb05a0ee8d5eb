"""Python read as Python, by one thread at a time.

Before 3.11.8 CPython counts the depth of all trees it makes in one place: two threads that parse at once, in
whatever library, can end in "SystemError: AST constructor recursion depth mismatch". Runs in threads read the
source of their steps, so whatever this package parses beside other threads is parsed here.
"""

from __future__ import annotations

import ast
import inspect
import threading
from typing import Any

_ONE_AT_A_TIME = threading.Lock()


def parse(text: str, filename: str = "<unknown>", mode: str = "exec") -> Any:
    """`ast.parse`, and what it raises."""
    with _ONE_AT_A_TIME:
        return ast.parse(text, filename, mode)


def source_of(thing: Any) -> str:
    """`inspect.getsource`, and what it raises: for a class it parses the whole file."""
    with _ONE_AT_A_TIME:
        return inspect.getsource(thing)
