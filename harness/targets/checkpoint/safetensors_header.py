"""A bounded look at safetensors headers, before any library opens the file."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

from harness.errors import BrokenCheckpoint, UnsafeCheckpoint

_MAX_HEADER = 25 << 20  # the format allows 100 MB; a legal 90 MB header takes the parser 25 seconds
_MAX_TENSORS = 200_000


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """Name, number format and shape of one stored tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of elements."""
        return prod(self.shape)


def read_header(path: Path) -> list[TensorEntry]:
    """List the tensors of one file; raises BrokenCheckpoint if it is cut short, UnsafeCheckpoint if it is a bomb."""
    return _read(path, _stamp(path))[0]


def read_metadata(path: Path) -> dict[str, str]:
    """What the header carries beside the tensors; raises as ``read_header`` does."""
    return _read(path, _stamp(path))[1]


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=256)
def _read(path: Path, _: tuple[int, int]) -> tuple[list[TensorEntry], dict[str, str]]:
    size = path.stat().st_size
    with path.open("rb") as handle:
        raw = handle.read(8)
        if len(raw) < 8:
            raise _cut_short(path, size)
        (length,) = struct.unpack("<Q", raw)
        if length > _MAX_HEADER:
            raise UnsafeCheckpoint(
                f"the header claims {length:,} bytes", where=str(path), fix="this is not a sane safetensors file"
            )
        if 8 + length > size:
            raise _cut_short(path, size)
        text = handle.read(length)
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", None)
        entries = [
            (TensorEntry(name, str(body["dtype"]), tuple(int(n) for n in body["shape"])), int(body["data_offsets"][1]))
            for name, body in header.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise BrokenCheckpoint(
            "the safetensors header cannot be read", where=str(path), fix="download the file again"
        ) from error
    if len(entries) > _MAX_TENSORS:
        raise UnsafeCheckpoint(f"the file lists {len(entries):,} tensors", where=str(path))
    if entries and 8 + length + max(end for _, end in entries) > size:
        raise _cut_short(path, size)
    carried = {str(name): str(value) for name, value in metadata.items()} if isinstance(metadata, dict) else {}
    return [entry for entry, _ in entries], carried


def _cut_short(path: Path, size: int) -> BrokenCheckpoint:
    return BrokenCheckpoint(
        f"the file ends early: {size:,} bytes are there, the header promises more",
        where=str(path),
        fix="the download was interrupted; fetch this file again",
    )
