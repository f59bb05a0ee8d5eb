"""How long a megabyte takes, what hedged and odd answers pass, and which golds fail against themselves.

    python benchmarks/hostile.py [--data FOLDER]

- megabytes: every text of a megabyte in `tests/hostile.py`, as a response; for verifiers also boxed, and as
  the gold. Reading the final answer alone, then every verifier of the room, in this process: processor time,
  the least of three calls. The worst text is named.
- texts: the pairs and responses in the tests, and how many of them are what they must be.
- golds: the distinct golds, with their questions, of FOLDER/problems and FOLDER/verify (CURATE_DATA, else
  ../shared/data), each judged as the response to itself by `choice`, `math_equal` and `exact`.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

import hostile
import test_answers_doubt as doubt
import test_maths_pairs as pairs
from peers.machine import facts

import curate
from curate.answers import final_value
from curate.maths import equal
from curate.step import Verifier
from curate.verifiers.choice import Choice
from curate.verifiers.exact import Exact
from curate.verifiers.math_equal import MathEqual

ROOT = Path(__file__).resolve().parent.parent
APART = ("code_tests",)  # it starts a sandbox for each text: benchmarks/code_runners.py


def verifiers() -> list[Verifier]:
    """Every verifier of the room that has a row body, with the fields of its examples."""
    found = []
    for path in sorted((ROOT / "verifiers").glob("*.py")):
        module = importlib.import_module(f"curate.verifiers.{path.stem}")
        for kind in vars(module).values():
            own = inspect.isclass(kind) and issubclass(kind, Verifier) and kind.__module__ == module.__name__
            if own and callable(getattr(kind, "row", None)) and path.stem not in APART:
                found.append(kind(**kind.example_fields))
    return found


def milliseconds(call: Callable[[], Any]) -> float:
    """Processor time of the fastest of three calls."""
    spent = []
    for _ in range(3):
        began = time.process_time()
        call()
        spent.append((time.process_time() - began) * 1000)
    return min(spent)


def spent(step: Any, row: dict[str, Any]) -> float:
    return milliseconds(lambda: step.row(row))


def rows(step: Verifier, text: str) -> list[dict[str, Any]]:
    """The text as the response, as a boxed response, and as the gold."""
    plain = {"question": "Which?\nA. 4\nB. 5", "answer": "4", "response": "4"}
    made = [{"response": text}, {"response": f"\\boxed{{{text}}}"}, {"answer": text}]
    return [{c: (plain | new).get(c) for c in step.columns} for new in made]


def megabytes() -> None:
    texts = {name: text() for name, text in hostile.LARGE.items()}
    took = {name: milliseconds(lambda t=text: final_value(t)) for name, text in texts.items()}
    told(f"final answer of {len(took)} responses", took)
    for step in verifiers():
        told(step.name, {name: max(spent(step, row) for row in rows(step, t)) for name, t in texts.items()})


def told(what: str, took: dict[str, float]) -> None:
    order = sorted(took, key=lambda name: took[name])
    middle, worst = took[order[len(order) // 2]], order[-1]
    print(f"{what:<36} median {middle:7.1f} ms   worst {took[worst]:7.1f} ms ({worst})", flush=True)


def texts() -> None:
    for sign, same in (("  ≡  ", True), ("  ≢  ", False)):
        lines = [line.split(sign) for line in pairs.LINES if sign in line]
        held = [equal(a, b, MathEqual()).same is same for p in lines for a, b in (p, p[::-1])]
        kind = "equal" if same else "different"
        print(f"pairs that are {kind}, from either side: {sum(held):,} of {len(held):,} held")
    for name, same in (("NOT_42", False), ("IS_42", True)):
        responses = getattr(doubt, name).splitlines()
        held = [MathEqual().row({"response": r, "answer": "42"}).passed is same for r in responses]
        kind = "mean" if same else "deny 42, suppose it or leave it open"
        print(f"responses that {kind}: {sum(held)} of {len(held)} held")


def golds(data: Path) -> None:
    for folder, name in (("problems", "answer"), ("verify", "gold")):
        found = set()
        for path in sorted(f for f in (data / folder).iterdir() if ".jsonl" in f.suffixes):
            with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
                told = [json.loads(line) for line in lines]
            found |= {(row.get("question") or "not known", row[name]) for row in told}
        table = pl.DataFrame(sorted(found, key=str), schema=["question", "answer"], orient="row")
        failed = curate.read(table).golds(Choice(), MathEqual(), Exact())
        print(f"{folder}: {len(failed)} of {len(found):,} golds fail against themselves", flush=True)
        for row in failed.head(5).to_dicts():
            print(f"  {row['answer']!r}: {row['why']}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    home = Path(os.environ.get("CURATE_DATA", ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=home)
    args = parser.parse_args()
    print(f"{facts()}\n", flush=True)
    megabytes()
    print()
    texts()
    print()
    if (args.data / "problems").is_dir():
        golds(args.data)
    else:
        print(f"no golds: no problems/ in {args.data}; set CURATE_DATA or --data")


if __name__ == "__main__":
    main()
