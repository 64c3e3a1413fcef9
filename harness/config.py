"""Where things live on the user's machine, and the few environment variables that move them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import StorageError


@dataclass(frozen=True, slots=True)
class Places:
    """The two folders that a run writes to: ``results`` (kept) and ``cache`` (can be deleted at any time)."""

    results: Path
    cache: Path

    @classmethod
    def default(cls) -> Places:
        """``FIDELITY_RESULTS`` or ``./results``, and ``FIDELITY_CACHE`` or the user's cache folder."""
        cache = os.environ.get("FIDELITY_CACHE")
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return cls(
            results=Path(os.environ.get("FIDELITY_RESULTS", "results")),
            cache=Path(cache) if cache else Path(base) / "fidelity-harness",
        )


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Wait until no other process makes what ``path`` names, and keep others waiting; ends with the process, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def writable(folder: Path, purpose: str) -> Path:
    """Create ``folder`` if needed and prove that it can be written to; raises StorageError with the way out."""
    probe = folder / f".write-probe.{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        variable = {"cache": "FIDELITY_CACHE", "results": "FIDELITY_RESULTS"}.get(purpose, "")
        other = f"set {variable} to a folder" if variable else "name a folder"
        raise StorageError(
            f"the {purpose} folder cannot be written to ({error.strerror})",
            where=str(folder),
            fix=f"free some space there, or {other} that you may write to",
        ) from error
    return folder
