"""How much memory a process may still take."""

from pathlib import Path

import psutil

_CGROUP = Path("/sys/fs/cgroup")


def free_bytes(cgroup: Path = _CGROUP) -> int:
    """Return how many bytes are free: of the machine, and of the container that it runs in.

    Args:
        cgroup: where Linux tells the limits of a container (control groups, version 2).
    """
    free = int(psutil.virtual_memory().available)
    try:
        limit = (cgroup / "memory.max").read_text().strip()
        used = int((cgroup / "memory.current").read_text()) - _file_cache(cgroup)
        return free if limit == "max" else max(0, min(free, int(limit) - used))
    except (OSError, ValueError):
        return free


def _file_cache(cgroup: Path) -> int:
    """Return the bytes of files in memory that would be given up for something else."""
    for line in (cgroup / "memory.stat").read_text().splitlines():
        if line.startswith("inactive_file "):
            return int(line.split()[1])
    return 0
