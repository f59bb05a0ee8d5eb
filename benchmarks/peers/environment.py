"""An environment for a peer whose requirements are not ours: made once from a lock of exact versions."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def environment(name: str, lock: Path) -> Path | str:
    """The Python of `.venv-peers-NAME`, with what `lock` names in it; or why there is none, in a sentence."""
    folder = ROOT / f".venv-peers-{name}"
    python = folder / "bin" / "python"
    stamp = folder / f".installed-{zlib.crc32(lock.read_bytes()):08x}"
    if stamp.exists():
        return python
    print(f"installing {name} into {folder.name} …", file=sys.stderr, flush=True)
    install = [
        python,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "install",
        "--quiet",
        "--no-deps",
        "-r",
        lock,
    ]
    for command in ([sys.executable, "-m", "venv", folder], install):
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or [
                done.stderr[-200:]
            ]
            return f"{name} did not install: {said[-1]}"
    stamp.touch()
    return python


class Failed(str):
    """Why a peer that is installed gave no figures."""


def with_vllm(script: str, *size: int) -> Any:
    """What `script vllm SIZE…` prints last, as JSON, where vLLM for the CPU is; or why there is none.

    `Failed` where vLLM is there and the script ended with an error.
    """
    made = subprocess.run(["make", "install-vllm"], cwd=ROOT, capture_output=True, text=True)
    if made.returncode:
        return f"vllm was left out: `make install-vllm` failed: {made.stderr.strip().splitlines()[-1:]}"
    command = [ROOT / ".venv-vllm" / "bin" / "python", script, "vllm", *map(str, size)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        return Failed(f"vllm failed: {ended.stderr.strip().splitlines()[-3:]}")
    return json.loads(ended.stdout.splitlines()[-1])
