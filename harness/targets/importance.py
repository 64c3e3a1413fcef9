"""Importance matrices as they are published beside GGUF files: how much each column of a matrix is used."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import BrokenCheckpoint, TargetNotFound
from harness.targets.gguf_file import read_gguf

_SUM, _COUNTS = ".in_sum2", ".counts"
_MAX_ENTRIES = 1 << 20

#: By the name of a tensor: ``[experts, width]``, one row for matrices without experts.
Importance = dict[str, NDArray[np.float32]]


def read_importance(path: Path) -> Importance:
    """Read ``imatrix.gguf`` or the older ``imatrix.dat``; raises TargetNotFound or BrokenCheckpoint."""
    if not path.is_file():
        raise TargetNotFound(
            "there is no importance matrix at this path", where=str(path), fix="give imatrix.dat or .gguf"
        )
    with path.open("rb") as handle:
        found = _from_gguf(path) if handle.read(4) == b"GGUF" else _from_dat(path)
    if not found or not all(np.isfinite(values).all() for values in found.values()):
        raise BrokenCheckpoint(
            "this is no importance matrix, or it holds numbers that are not finite",
            where=str(path),
            fix="give the imatrix.dat or imatrix.gguf that was published beside the file",
        )
    return found


def _from_gguf(path: Path) -> Importance:
    sums: dict[str, NDArray[np.float32]] = {}
    counts: dict[str, NDArray[np.float32]] = {}
    for tensor in read_gguf(path).tensors:
        for ending, kept in ((_SUM, sums), (_COUNTS, counts)):
            if tensor.name.endswith(ending) and tensor.kind == "F32":
                with path.open("rb") as handle:
                    handle.seek(tensor.start)
                    values = np.frombuffer(handle.read(tensor.size), dtype="<f4")
                kept[tensor.name.removesuffix(ending)] = values.reshape(-1, tensor.shape[-1])
    found = {}
    for name, values in sums.items():
        seen = counts.get(name, np.ones((1, 1), dtype=np.float32)).reshape(-1, 1)
        # an expert that was never asked counts all columns alike, as llama.cpp does
        found[name] = np.where(seen > 0, values / np.maximum(seen, 1), 1.0).astype(np.float32)
    return found


def _from_dat(path: Path) -> Importance:
    data = path.read_bytes()
    found: Importance = {}
    try:
        (entries,) = struct.unpack_from("<i", data, 0)
        at = 4
        for _ in range(min(entries, _MAX_ENTRIES)):
            (length,) = struct.unpack_from("<i", data, at)
            name = data[at + 4 : at + 4 + length].decode("utf-8")
            at += 4 + length
            calls, count = struct.unpack_from("<ii", data, at)
            if count < 1 or at + 8 + 4 * count > len(data):
                return {}
            values = np.frombuffer(data, dtype="<f4", count=count, offset=at + 8)
            found[name] = (values / max(calls, 1)).reshape(1, -1).astype(np.float32)
            at += 8 + 4 * count
    except (struct.error, UnicodeDecodeError):
        return {}
    return found
