"""The wire between us and the isolated process of a checkpoint: JSON and plain arrays, never pickle.

A frame is an 8-byte big-endian header length, a JSON header and the bytes of the arrays that it lists. Both sides
refuse frames beyond fixed limits, because the other side may be under the control of a hostile checkpoint.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from harness.errors import WorkerDied

Arrays = dict[str, NDArray[Any]]
Body = dict[str, JsonValue]

_MAX_HEADER = 256 << 20
_MAX_ARRAY = 8 << 30
_DTYPES = {"<f2", "<f4", "<f8", "<u2", "<i4", "<i8", "|u1"}


def send(stream: BinaryIO, body: Body, arrays: Arrays | None = None) -> None:
    """Write one frame; arrays must be of a plain little-endian type."""
    listed = []
    for name, array in (arrays or {}).items():
        if array.dtype.str not in _DTYPES:
            raise TypeError(f"array {name} has type {array.dtype.str}, which is not allowed on the wire")
        listed.append({"name": name, "dtype": array.dtype.str, "shape": list(array.shape)})
    header = json.dumps({"body": body, "arrays": listed}).encode()
    stream.write(struct.pack(">Q", len(header)))
    stream.write(header)
    for array in (arrays or {}).values():
        stream.write(np.ascontiguousarray(array).data)
    stream.flush()


def receive(stream: BinaryIO) -> tuple[Body, Arrays]:
    """Read one frame; raises WorkerDied at the end of the stream or on a frame that breaks the rules."""
    (length,) = struct.unpack(">Q", _exactly(stream, 8))
    if length > _MAX_HEADER:
        raise WorkerDied("the isolated process sent an oversized message")
    header = json.loads(_exactly(stream, length))
    arrays: Arrays = {}
    for entry in header["arrays"]:
        shape = tuple(int(n) for n in entry["shape"])
        if entry["dtype"] not in _DTYPES or any(n < 0 for n in shape):
            raise WorkerDied("the isolated process sent a malformed array")
        dtype = np.dtype(entry["dtype"])
        size = math.prod(shape) * dtype.itemsize
        if size > _MAX_ARRAY:
            raise WorkerDied("the isolated process sent an oversized array")
        arrays[str(entry["name"])] = np.frombuffer(_exactly(stream, size), dtype=dtype).reshape(shape)
    return header["body"], arrays


def _exactly(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count) if count else b""
    if len(data) != count:
        raise WorkerDied("the isolated process of the checkpoint ended before it answered")
    return data
