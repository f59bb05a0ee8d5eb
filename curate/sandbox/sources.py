"""What a piece of Python in a question or a test defines, read without running it."""

from __future__ import annotations

import ast
import re

from curate.syntax import parse

_FENCE = re.compile(r"^```\w*[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def only_defines(test: str) -> bool:
    """Whether the text only defines things, none of which is called: neither by it nor as a `test_...`."""
    try:
        statements = parse(test).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    if any(isinstance(s, ast.FunctionDef) and s.name.startswith("test") for s in statements):
        return False
    quiet = (ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Assign)
    docs = [s for s in statements if isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant)]
    return all(isinstance(s, quiet) or s in docs for s in statements)


def method_of(question: str) -> str:
    """The only method that the question's code defines, or nothing."""
    found = re.findall(r"^[ \t]+def ([A-Za-z]\w*)\(self\b", question[:100_000], re.MULTILINE)
    return found[0] if len(set(found)) == 1 else ""


def code_of(question: str, name: str) -> str:
    """The Python in a question that defines `name` (HumanEval's prompt), or nothing."""
    defines = re.compile(rf"^(?:async )?def {re.escape(name)}\b", re.MULTILINE)
    for found in _FENCE.finditer(question):
        if defines.search(found.group(1)):
            return found.group(1)
    starts = re.match(r"\s*(?:from|import|def|class|#|@|[A-Z_]+ =|\"\"\")", question)
    return question if starts and defines.search(question) else ""
