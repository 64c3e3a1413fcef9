"""The observations of a run as one archive that is the same, byte for byte, whenever it is made from the same run."""

from __future__ import annotations

import io
import sqlite3
import tarfile
import tempfile
from pathlib import Path

import zstandard

#: Renderings are published beside the archive, and made again from what is in it.
_RENDERED = {".html", ".md", ".svg"}
_DATABASE_TAILS = ("-wal", "-shm", "-journal")


def archive_of(folder: Path) -> bytes:
    """A tar in zstd: names sorted, no times, no owners, databases rewritten page by page; links are left out."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(folder.rglob("*")):
            if not _kept(path):
                continue
            data = _database(path) if path.suffix == ".sqlite" else path.read_bytes()
            entry = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return zstandard.ZstdCompressor(level=10).compress(out.getvalue())


def _kept(path: Path) -> bool:
    hidden = path.name.startswith(".") or path.name.endswith(_DATABASE_TAILS) or path.suffix == ".lock"
    return path.is_file() and not path.is_symlink() and not hidden and path.suffix not in _RENDERED


def _database(path: Path) -> bytes:
    """What a database holds, without the history of how it came there."""
    with tempfile.TemporaryDirectory() as scratch:
        clean = Path(scratch) / "clean.sqlite"
        source = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            source.execute("VACUUM INTO ?", (str(clean),))
        finally:
            source.close()
        return clean.read_bytes()
