"""CPU time and memory of a process and all its descendants, from /proc. One that ends meanwhile counts as zero."""

from __future__ import annotations

import os
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
BYTES_PER_PAGE = os.sysconf("SC_PAGE_SIZE")


def read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def tree(pid: int) -> list[int]:
    """The process and its descendants. Children hang off the thread that started them, so every thread is asked."""
    found = [pid]
    for parent in found:
        try:
            threads = [task.name for task in Path(f"/proc/{parent}/task").iterdir()]
        except OSError:
            continue
        for thread in threads:
            found.extend(int(child) for child in read(parent, f"task/{thread}/children").split())
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time so far; fields 14 and 15 of `stat`, counted after the name, which may contain anything."""
    ticks = 0
    for member in tree(pid):
        fields = read(member, "stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))
    return ticks / TICKS_PER_SECOND


def rss_mb(pid: int) -> float:
    """Resident memory, summed: pages that several processes share count once in each."""
    pages = sum(int(fields[1]) for member in tree(pid) if (fields := read(member, "statm").split()))
    return pages * BYTES_PER_PAGE / 2**20
