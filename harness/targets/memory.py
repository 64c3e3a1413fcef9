"""How much of this machine's memory models may take beside the one in use."""

from __future__ import annotations

from pathlib import Path

_SHARE, _MOST = 4, 4 << 30


def room_for_models(meminfo: Path = Path("/proc/meminfo"), container: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that models may take beside the one in use: a quarter of what is free, 4 GiB at most, 0 where it is not known.

    Free is what the system can give without swapping, or what the container's limit leaves, whichever is less.
    """
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line)
        free = int(lines["MemAvailable"].split()[0]) << 10
    except (OSError, ValueError, KeyError, IndexError):
        return 0
    return min(min(free, _left(container, free)) // _SHARE, _MOST)


def _left(container: Path, free: int) -> int:
    """What a limit on the container leaves, ``free`` where there is none."""
    try:
        limit = (container / "memory.max").read_text(encoding="ascii").strip()
        used = int((container / "memory.current").read_text(encoding="ascii"))
        return free if limit == "max" else max(int(limit) - used, 0)
    except (OSError, ValueError):
        return free
