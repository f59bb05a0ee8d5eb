"""Where a benchmark ran, and what was wanted of what it found."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path


def facts(*packages: str, folder: Path | None = None) -> str:
    """Day, processor, cores, memory, load, versions; of a folder the file system and the disk it lies on."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    said = [f"{datetime.date.today()}: {processor()}", f"{os.cpu_count()} cores", f"{memory:.0f} GiB"]
    said += [f"on {disk(folder)}"] if folder is not None else []
    said += [f"load {os.getloadavg()[0]:.1f}", f"Python {platform.python_version()}"]
    return ", ".join([*said, *(f"{name} {importlib.metadata.version(name)}" for name in packages)])


def processor() -> str:
    """Its model, where the system tells it; else its kind."""
    if (info := Path("/proc/cpuinfo")).exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def disk(folder: Path) -> str:
    """The file system and the device of a folder."""
    import psutil  # not in every environment of a benchmark

    lies = folder.resolve()
    holding = [p for p in psutil.disk_partitions(all=True) if lies.is_relative_to(p.mountpoint)]
    if not holding:
        return "an unknown file system"
    deepest = max(reversed(holding), key=lambda p: len(p.mountpoint))  # of equals the one mounted last
    return f"{deepest.fstype} ({deepest.device})"


def peak_mib() -> float:
    """The most resident memory that this process has had (Linux); `ru_maxrss` would count its parent's."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) / 1024


def wanted(what: str, found: str, reached: bool) -> None:
    """Print one line. No exit code depends on it: it is of times, and those are the machine's too."""
    print(f"wanted: {what}; found: {found}; {'reached' if reached else 'missed'}", flush=True)
