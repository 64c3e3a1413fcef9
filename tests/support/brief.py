"""A GGUF file cut to its first layers: the same tokenizer, template and server, at a fraction of the time per token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.config import alone

_ALWAYS = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture"}  # the writer's own


def cut_layers(source: Path, out: Path, layers: int = 1) -> Path:
    """Copy ``source`` with ``layers`` of its blocks; everything else is as it was, byte for byte; ``out`` is made once."""
    import gguf

    with alone(out):
        if not out.exists():
            _copy(gguf, source, out, layers)
    return out


def _copy(gguf: Any, source: Path, out: Path, layers: int) -> None:
    partial = out.with_suffix(".partial")
    reader = gguf.GGUFReader(str(source))
    architecture = reader.fields["general.architecture"].contents()
    writer = gguf.GGUFWriter(str(partial), architecture)
    for name, field in reader.fields.items():
        if name in _ALWAYS:
            continue
        value = layers if name == f"{architecture}.block_count" else field.contents()
        writer.add_key_value(name, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        block = tensor.name.split(".")[1] if tensor.name.startswith("blk.") else "-1"
        if int(block) < layers:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    partial.rename(out)
