"""The server's process, a Ray cluster, and what runs below a process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


class Shop:
    """`tests/small_server.py`, which can be killed and comes back at the same port."""

    def __init__(self, **given: Any) -> None:
        self.given: dict[str, Any] = {"port": 0, **given}  # as on its command line
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-S", str(ROOT / "tests" / "small_server.py")]
        command += [f"--{name.replace('_', '-')}={value}" for name, value in self.given.items()]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        assert self.process.stdout
        self.url = self.process.stdout.readline().strip()
        self.given["port"] = int(self.url.rsplit(":", 1)[1].split("/")[0])

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


class Cluster:
    """A Ray cluster of this machine that outlives the runs which use it."""

    def __init__(self) -> None:
        from curate.cluster import attach

        os.environ["PYTHONPATH"] = str(ROOT)  # of its processes too
        self.ray = attach()
        self.address = str(self.ray.get_runtime_context().gcs_address)
        self.raylet = next(p for p in below(os.getpid()) if "raylet/raylet" in command_of(p))

    def replicas(self) -> frozenset[int]:
        return frozenset(p for p in children(self.raylet) if "ray::Replica" in command_of(p))

    def wait_until_empty(self, seconds: float = 30.0) -> None:
        """Until the replicas of a run that was killed have died with it."""
        late = time.monotonic() + seconds
        while self.replicas():
            if time.monotonic() > late:
                sys.exit(f"replicas outlive their run: {sorted(self.replicas())}")
            time.sleep(0.01)

    def close(self) -> None:
        self.ray.shutdown()


def children(pid: int) -> list[int]:
    """The child processes of all threads of a process."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(c) for task in tasks for c in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def below(pid: int) -> list[int]:
    """The child processes, theirs, and so on."""
    return [p for child in children(pid) for p in (child, *below(child))]


def command_of(pid: int) -> str:
    """A process's command line; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""
