"""A GGUF file with its matrices in another type: the same release as an honest host, or a cheap one, would serve it."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader, GGUFWriter, quants

from harness.config import alone


def requantized(source: Path, kind: str, folder: Path) -> Path:
    """Copy ``source`` with every quantized matrix as F16, Q8_0, Q5_0 or Q4_0; kept in ``folder`` once made."""
    target = folder / f"{source.stem.rsplit('.', 1)[0]}.{kind}.gguf"
    with alone(target):
        if not target.exists():
            _write(source, kind, target)
    return target


def _write(source: Path, kind: str, target: Path) -> None:
    reader = GGUFReader(source)
    partial = target.with_suffix(".partial")
    writer = GGUFWriter(partial, str(reader.fields["general.architecture"].contents()))
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in {"general.architecture", "general.file_type"}:
            continue
        element = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), field.types[0], element)
    for tensor in reader.tensors:
        dense = quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        if len(tensor.shape) < 2:  # norms stay as they are
            writer.add_tensor(tensor.name, dense)
        elif kind == "F16":
            writer.add_tensor(tensor.name, dense.astype(np.float16))
        else:
            writer.add_tensor(tensor.name, quants.quantize(dense, Kind[kind]), raw_dtype=Kind[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)
