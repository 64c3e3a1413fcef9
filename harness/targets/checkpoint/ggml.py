"""llama.cpp's own quantizer, called in the library that the xllamacpp wheel brings; runs in the isolated process only.

A failed assertion of that library ends the process, so it is called nowhere else.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MissingExtra, TargetRefused
from harness.targets.gguf_file import TYPES

#: Types whose quantizer refuses to go on without an importance matrix.
NEEDS_IMPORTANCE = ("IQ1_S", "IQ2_XXS", "IQ2_XS")
#: Types that the gguf package quantizes byte for byte as llama.cpp does.
IN_PYTHON = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")
_FIX = "pip install 'fidelity-harness[kquants]'"


def round_trip(
    rows: NDArray[np.float32], kind: str, importance: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Rows of weights quantized to a tensor type and decoded again.

    Args:
        rows: ``[rows, width]``; the width has to be a multiple of the type's block.
        kind: the tensor type, such as ``Q4_K``.
        importance: ``[width]``, the mean square of what enters each column, or None.

    Raises MissingExtra where no quantizer is installed, TargetRefused for types that need an importance matrix.

    """
    if kind == "F32":
        return rows
    if kind == "F16":
        return rows.astype(np.float16).astype(np.float32)
    if kind == "BF16":
        bits = np.ascontiguousarray(rows).view(np.uint32).astype(np.uint64)
        return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    gguf = _gguf()
    number = gguf.GGMLQuantizationType(TYPES[kind][0])
    if kind in IN_PYTHON and importance is None and importlib.util.find_spec("xllamacpp") is None:
        packed = gguf.quants.quantize(rows, number)
    else:
        packed = quantized(rows, kind, importance)
    return np.ascontiguousarray(gguf.quants.dequantize(packed, number), dtype=np.float32)


def quantized(rows: NDArray[np.float32], kind: str, importance: NDArray[np.float32] | None = None) -> NDArray[np.uint8]:
    """Rows of weights as llama.cpp stores them, ``[rows, bytes]``."""
    number, block, size = TYPES[kind]
    count, width = rows.shape
    if kind in NEEDS_IMPORTANCE and importance is None:
        raise TargetRefused(
            f"{kind} can only be made with an importance matrix",
            fix="give the file that was published with it: --imatrix FILE",
        )
    library = _library()
    rows = np.ascontiguousarray(rows, dtype=np.float32)
    out = np.zeros((count, width // block * size), dtype=np.uint8)
    weights = None if importance is None else np.ascontiguousarray(importance, dtype=np.float32)
    library.ggml_quantize_init(number)
    written = library.ggml_quantize_chunk(
        number,
        rows.ctypes.data,
        out.ctypes.data,
        0,
        count,
        width,
        None if weights is None else weights.ctypes.data,
    )
    if written != out.nbytes:
        raise _unknown(f"it wrote {written} bytes of {kind} in place of {out.nbytes}")
    return out


def _gguf() -> Any:
    try:
        import gguf  # noqa: PLC0415
        import gguf.quants  # noqa: PLC0415
    except ImportError as error:
        raise MissingExtra("GGUF types need the gguf package", fix=_FIX) from error
    return gguf


@lru_cache(maxsize=1)
def _library() -> Any:
    """The library, after it has given a known answer."""
    found = importlib.util.find_spec("xllamacpp")
    folder = Path(found.origin).parent if found and found.origin else None
    file = next(folder.glob("xllamacpp*.so"), None) if folder else None
    if file is None:
        raise MissingExtra("llama.cpp's quantizer (xllamacpp) is not installed", fix=_FIX)
    try:
        library = ctypes.CDLL(str(file))
        library.ggml_quantize_chunk.restype = ctypes.c_size_t
        library.ggml_quantize_chunk.argtypes = [
            ctypes.c_int,
            ctypes.c_void_p,
            ctypes.c_void_p,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_void_p,
        ]
        library.ggml_quantize_init.argtypes = [ctypes.c_int]
    except (OSError, AttributeError) as error:
        raise _unknown(str(error)[:120]) from error
    gguf = _gguf()
    known = np.linspace(-1, 1, 64, dtype=np.float32)[None]
    out = np.zeros((1, 68), dtype=np.uint8)
    number = TYPES["Q8_0"][0]
    library.ggml_quantize_init(number)
    library.ggml_quantize_chunk(number, known.ctypes.data, out.ctypes.data, 0, 1, 64, None)
    if not np.array_equal(out, gguf.quants.quantize(known, gguf.GGMLQuantizationType(number))):
        raise _unknown("its answer to a known question is another")
    return library


def _unknown(what: str) -> MissingExtra:
    try:
        version = importlib.metadata.version("xllamacpp")
    except importlib.metadata.PackageNotFoundError:
        version = "without a version"
    return MissingExtra(
        f"the quantizer of xllamacpp {version} is not the one that is known here: {what}",
        fix="pip install 'xllamacpp==2026.10.11549'",
    )
