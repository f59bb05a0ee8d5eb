"""`curate run curate_traces` over all real traces, beside the same work as a plain script over
`datasets.map`.

    python benchmarks/curate_traces.py            all 22,975 traces; needs the shared data (CURATE_DATA)
    python benchmarks/curate_traces.py --once     all of them, one run instead of the medians of three
    python benchmarks/curate_traces.py --few      two files of them

Both sides run on two processes, in a process of their own; the memory is that of the whole process tree,
sampled ten times a second (proportional set size, so that shared pages count once). The live rows of both are
compared. The plain script uses the same verifiers, called directly under `signal.alarm`; it keeps no answers,
no reasons and no dropped rows, and starts again from nothing when it is killed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from peers.machine import facts

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("CURATE_DATA", ROOT.parent / "shared" / "data"))
BENCHMARKS = [DATA / "problems" / "competition.jsonl.gz"]
REPEATS = 3


def main() -> None:
    print(facts("polars", "datasets") + "\n", flush=True)
    few = "--few" in sys.argv
    names = (
        ["farel", "rgym_multisample"]
        if few
        else [p.name.split(".")[0] for p in sorted((DATA / "traces").iterdir())]
    )
    traces = [DATA / "traces" / f"{name}.jsonl.gz" for name in names]
    ours, theirs, again = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for i in range(1 if few or "--once" in sys.argv else REPEATS):
            out, plain = Path(folder) / f"run{i}", Path(folder) / f"plain{i}.parquet"
            command = [
                sys.executable,
                "-m",
                "curate.cli",
                "run",
                "curate_traces",
                "--out",
                out,
                "--traces",
                *traces,
            ]
            command += ["--benchmarks", *BENCHMARKS]
            ours.append(measured(command, folder))
            again.append(measured(command, folder))
            theirs.append(measured([sys.executable, __file__, "--plain", plain, *traces], folder))
            shutil.rmtree(
                Path(folder) / "hf"
            )  # else the next repeat would find what this one's map has cached
            compare(out, plain)
        rows = _rows(out)
    print(f"{rows:,} traces, medians of {len(ours)}")
    print(f"{'':34s} {'seconds':>8s} {'rows/s':>8s} {'peak MB':>8s}")
    for name, runs in (
        ("curate run", ours),
        ("the same command again", again),
        ("plain loop, datasets.map", theirs),
    ):
        seconds, peak = (statistics.median(r[i] for r in runs) for i in (0, 1))
        print(f"{name:34s} {seconds:8.1f} {rows / seconds:8,.0f} {peak:8,.0f}")
    times = [statistics.median(r[0] for r in runs) for runs in (ours, theirs)]
    print(f"curate takes {times[0] / times[1]:.2f} × the time of the plain loop")


def measured(command: list[Any], folder: str) -> tuple[float, float]:
    """Seconds and peak megabytes of a command and all its children."""
    started, peak = time.monotonic(), 0.0
    env = {**os.environ, "HF_HOME": str(Path(folder) / "hf"), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [str(c) for c in command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    errors: list[bytes] = []
    reader = threading.Thread(target=lambda: errors.append(process.stderr.read()))  # type: ignore[union-attr]
    reader.start()
    while process.poll() is None:
        peak = max(peak, _megabytes(process.pid))
        time.sleep(0.1)
    reader.join()
    if process.returncode:
        sys.exit(f"{command[:5]} failed:\n{errors[0].decode()[-3000:]}")
    return time.monotonic() - started, peak


def _megabytes(pid: int) -> float:
    """Proportional set size of a process and its descendants."""
    total = 0.0
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            total += next(int(line.split()[1]) for line in f if line.startswith("Pss:")) / 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            total += sum(_megabytes(int(child)) for child in (task / "children").read_text().split())
    except (FileNotFoundError, ProcessLookupError):
        pass  # it ended while we looked
    return total


def compare(out: Path, plain: Path) -> None:
    """Both sides must keep the same traces, except those on which a verifier hit its time limit."""
    import polars as pl

    live = set(pl.read_parquet(out / "live.parquet", columns=["source_id"])["source_id"])
    theirs = set(pl.read_parquet(plain, columns=["id"])["id"])
    print(
        f"kept: ours {len(live):,}, plain {len(theirs):,}, "
        f"only ours {len(live - theirs)}, only plain {len(theirs - live)}"
    )


def _rows(out: Path) -> int:
    import polars as pl

    return int(pl.read_parquet(out / "funnel.parquet")["rows_in"][0])


# ── the plain script
# ──────────────────────────────────────────────────────────────────────────────────────────────────


def plain(target: str, files: list[str]) -> None:
    """What a careful person writes in an afternoon."""
    import datasets

    from curate.text import split_thinking

    seen: set[tuple[str, str, str]] = set()

    def first(row: dict[str, Any]) -> bool:
        text = (row["question"], " ".join(row["thinking"].split()), " ".join(row["response"].split()))
        return not (text in seen or seen.add(text))  # type: ignore[func-returns-value]

    def split(row: dict[str, Any]) -> dict[str, Any]:
        parts = split_thinking(row["response"])
        return {"thinks": parts.thought is not None, "thinking": parts.thinking, "response": parts.response}

    def complete(row: dict[str, Any]) -> bool:
        cut = row["finish_reason"] in ("length", "error")
        return not cut and not (row["thinks"] and not row["response"].strip())

    names = ("id", "question", "gold", "response", "finish_reason")
    features = datasets.Features(dict.fromkeys(names, datasets.Value("string")))
    table = datasets.Dataset.from_generator(
        _rows_of, gen_kwargs={"files": files, "names": names}, features=features
    )
    table = table.map(split, num_proc=2).filter(complete, num_proc=2).filter(first)
    grams, whole = _benchmark_grams()
    table = table.filter(lambda row: not _contaminated(row["question"], grams, whole), num_proc=2)
    table = table.map(_judge, num_proc=2).filter(lambda row: row["passed"])
    table.to_parquet(target)


def _rows_of(files: list[str], names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Line by line: load_dataset("json") stops at files whose later rows have a column more."""
    import gzip

    for file in files:
        with gzip.open(file, "rt") as f:
            for line in f:
                row = json.loads(line)
                yield {name: row.get(name) for name in names}


def _judge(row: dict[str, Any]) -> dict[str, Any]:
    from curate.verifiers.choice import Choice
    from curate.verifiers.exact import Exact
    from curate.verifiers.math_equal import MathEqual

    asked = {"question": row["question"], "answer": row["gold"], "response": row["response"]}
    for verifier in (Choice(), MathEqual(), Exact()):
        signal.signal(signal.SIGALRM, _late)
        signal.setitimer(signal.ITIMER_REAL, 5)
        try:
            verdict = verifier.row(asked)
        except TimeoutError:
            return {"passed": False}
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if not verdict.why.startswith("unsupported"):
            break
    return {"passed": verdict.passed is True}


def _late(*_: object) -> None:
    raise TimeoutError


def _words(text: str) -> list[str]:
    text = re.sub(r"(?s)\[asy\].*?\[/asy\]", " ", text)  # the code of a drawing is no word, here as there
    return re.sub(r"[^\w]+", " ", unicodedata.normalize("NFKC", text).lower()).split()


def _benchmark_grams() -> tuple[dict[int, dict[str, int]], set[str]]:
    """n-grams of each size with the length of the longest question that holds them; and whole questions."""
    import gzip

    grams: dict[int, dict[str, int]] = {13: {}, 8: {}}
    whole = set()
    for path in BENCHMARKS:
        with gzip.open(path, "rt") as f:
            for line in f:
                words = _words(json.loads(line)["question"])
                whole.add(" ".join(words))
                for n, known in grams.items():
                    for i in range(len(words) - n + 1):
                        gram = " ".join(words[i : i + n])
                        known[gram] = min(len(words), known.get(gram, len(words)))
    return grams, whole


def _contaminated(question: str, grams: dict[int, dict[str, int]], whole: set[str]) -> bool:
    words = _words(question)
    if " ".join(words) in whole:
        return True
    if any(" ".join(words[i : i + 13]) in grams[13] for i in range(len(words) - 12)):
        return True
    for i in range(len(words) - 7):
        shortest = grams[8].get(" ".join(words[i : i + 8]))
        if shortest is not None and min(shortest, len(words)) < 13:
            return True
    return False


if __name__ == "__main__":
    if "--plain" in sys.argv:
        plain(sys.argv[2], sys.argv[3:])
    else:
        main()
