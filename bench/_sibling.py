"""Another model that passes for the demo model: the same family, two layers fewer, as GGUF and as a checkpoint."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from gguf import GGUFReader, GGUFValueType, GGUFWriter
from safetensors.numpy import load_file, save_file

DROPPED = (27, 28)
_COUNT = "llama.block_count"


def sibling_gguf(source: Path, folder: Path) -> Path:
    """A copy of a GGUF file without two of its last layers; kept once made."""
    target = folder / f"sibling.{source.name.rsplit('.', 2)[1]}.gguf"
    if target.exists():
        return target
    reader = GGUFReader(source)
    writer = GGUFWriter(target.with_suffix(".partial"), "llama")
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        element = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
        value = field.contents() - len(DROPPED) if name == _COUNT else field.contents()
        writer.add_key_value(name, value, field.types[0], element)
    for tensor in reader.tensors:
        name = _renamed(tensor.name, "blk.")
        if name:
            writer.add_tensor(name, tensor.data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    target.with_suffix(".partial").replace(target)
    return target


def sibling_checkpoint(source: Path, folder: Path) -> Path:
    """The same model as a checkpoint folder; kept once made."""
    target = folder / "sibling"
    if target.exists():
        return target
    partial = folder / ".sibling"
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns("*.safetensors*"))
    kept = {}
    for file in source.glob("*.safetensors"):
        kept |= dict(load_file(file).items())
    renamed = {_renamed(name, "model.layers."): array for name, array in kept.items()}
    save_file({name: array for name, array in renamed.items() if name}, partial / "model.safetensors", {"format": "pt"})
    config = json.loads((partial / "config.json").read_text())
    config["num_hidden_layers"] -= len(DROPPED)
    config.pop("layer_types", None)
    (partial / "config.json").write_text(json.dumps(config))
    partial.rename(target)
    return target


def _renamed(name: str, prefix: str) -> str:
    """The name of a tensor in the smaller model; empty if it has none there."""
    if not name.startswith(prefix):
        return name
    layer, rest = name.removeprefix(prefix).split(".", 1)
    if int(layer) in DROPPED:
        return ""
    return f"{prefix}{int(layer) - sum(int(layer) > one for one in DROPPED)}.{rest}"
