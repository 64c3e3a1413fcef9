"""How many processors this process may keep busy: what its affinity and its control groups leave of the machine's.

A pool of more threads than that waits for itself, because its threads take turns; a pool that spins while it waits takes the time
that its own threads, or other programs, need. So pools are as large as this says, and they wait passively.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

_PROC = Path("/proc/self")
#: For OpenMP: a thread with nothing to do sleeps. It is read once, when the library is loaded.
PASSIVE = {"OMP_WAIT_POLICY": "passive"}


def threads_for(wanted: int = 0) -> int:
    """The threads of one compute pool: ``wanted``, or where that is 0 ``OMP_NUM_THREADS``, or one per usable processor."""
    if wanted > 0:
        return wanted
    told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(told) if told.isdigit() and int(told) else usable()


def usable(proc: Path = _PROC) -> int:
    """Processors that this process may keep busy: its affinity, or fewer where a control group gives it less time.

    A quota of two and a half processors counts as two; less than one counts as one. ``proc`` is the process's own folder.
    """
    quota = min(_quotas(proc), default=float("inf"))
    return max(int(min(_allowed(), quota)), 1)


def waiting_passively(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment for a process with pools, in which they wait passively unless the user wants it otherwise."""
    return {**PASSIVE, **environment}


def _allowed() -> int:
    """Processors that the scheduler may put this process on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # a platform without affinity


def _quotas(proc: Path) -> Iterator[float]:
    """The quota, in processors, of every control group above this process that has one."""
    for kind, folder, top in _groups(proc):
        inside = folder.relative_to(top).parts
        for depth in range(len(inside) + 1):  # a parent's quota holds for its children
            quota = _quota(kind, top.joinpath(*inside[:depth]))
            if quota:
                yield quota


def _groups(proc: Path) -> Iterator[tuple[str, Path, Path]]:
    """The version ("2" or "1"), the folder and the mount point of the groups that limit this process's time."""
    paths = {}  # by controllers: "" is version 2
    for line in _lines(proc / "cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            paths["1" if controllers else "2"] = PurePosixPath(path)
    for line in _lines(proc / "mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or len(kinds) < 3:
            continue
        kind = {"cgroup2": "2", "cgroup": "1"}.get(kinds[0], "")
        if kind not in paths or (kind == "1" and "cpu" not in kinds[2].split(",")):
            continue
        top, shown = Path(fields[4]), PurePosixPath(fields[3])  # a container sees its own group's folder as the top
        inside = paths[kind].relative_to(shown) if paths[kind].is_relative_to(shown) else PurePosixPath()
        folder = top.joinpath(*(part for part in inside.parts if part not in {"/", ".."}))
        yield kind, folder if folder.is_dir() else top, top


def _quota(kind: str, folder: Path) -> float:
    """Processors that a group may keep busy; 0 where it sets no limit."""
    if kind == "2":
        time, _, period = _word(folder / "cpu.max").partition(" ")
    else:
        time, period = _word(folder / "cpu.cfs_quota_us"), _word(folder / "cpu.cfs_period_us")
    if not time.isdigit() or not period.isdigit() or not int(period):
        return 0.0  # "max", "-1", or no such file
    return int(time) / int(period)


def _word(path: Path) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
