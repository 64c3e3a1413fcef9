"""Which files of a folder are the weights of the model, and which lie beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BrokenCheckpoint, UnsafeCheckpoint
from harness.targets.checkpoint.json_files import read_json
from harness.targets.checkpoint.safetensors_header import TensorEntry, read_header, read_metadata

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_INDEX = "model.safetensors.index.json"
_SINGLE = "model.safetensors"
_ADAPTERS = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
_SHARD = re.compile(r"-(\d+)-of-(\d+)\.safetensors$")


@dataclass(frozen=True, slots=True)
class WeightFiles:
    """The files of the model in order, where each tensor lies, and weight files that are not part of the model.

    ``entries`` and ``metadata`` are what the headers say.
    """

    files: tuple[Path, ...]
    places: dict[str, Path]
    entries: dict[str, TensorEntry]
    metadata: dict[str, str]
    beside: tuple[str, ...]


def find_weights(folder: Path) -> WeightFiles:
    """Read the headers of a folder's weights; raises BrokenCheckpoint or UnsafeCheckpoint where there are none."""
    found = sorted(folder.glob("*.safetensors"))
    mapping = _index(folder)
    files = _of_the_model(folder, found, mapping)
    if not files:
        raise _no_weights(folder)
    places: dict[str, Path] = {}
    entries: dict[str, TensorEntry] = {}
    metadata: dict[str, str] = {}
    for file in files:
        metadata |= read_metadata(file)
        for entry in read_header(file):
            if mapping.get(entry.name, file.name) == file.name:
                places[entry.name], entries[entry.name] = file, entry
    absent = sorted(name for name in mapping if name not in entries)
    if absent:
        raise BrokenCheckpoint(
            f"{len(absent)} tensors of the index are in none of its files ({absent[0]}, ...)",
            where=str(folder / _INDEX),
            fix="the index does not belong to these files; fetch both again",
        )
    inside = {file.name for file in files}
    beside = [file.name for file in found if file.name not in inside]
    beside += [name for name in _ADAPTERS if (folder / name).is_file() and name not in beside]
    beside += sorted(file.name for file in folder.glob("pytorch_model*.bin"))
    return WeightFiles(tuple(files), places, entries, metadata, tuple(beside))


def _index(folder: Path) -> dict[str, str]:
    mapping = read_json(folder / _INDEX).get("weight_map")
    listed = {str(name): str(file) for name, file in mapping.items()} if isinstance(mapping, dict) else {}
    absent = sorted({file for file in listed.values() if not (folder / file).is_file()})
    if absent:
        raise BrokenCheckpoint(
            f"{len(absent)} weight files of the index are missing ({absent[0]}, ...)",
            where=str(folder),
            fix="finish the download",
        )
    outside = sorted({file for file in listed.values() if Path(file).name != file})
    if outside:
        raise UnsafeCheckpoint(f"the index names a file of another folder ({outside[0]})", where=str(folder / _INDEX))
    return listed


def _of_the_model(folder: Path, found: list[Path], mapping: dict[str, str]) -> list[Path]:
    if mapping:
        listed = set(mapping.values())
        return [file for file in found if file.name in listed]
    if (folder / _SINGLE).is_file():
        return [folder / _SINGLE]
    files = [file for file in found if file.name not in _ADAPTERS and not file.name.startswith("consolidated")]
    files = files or [file for file in found if file.name not in _ADAPTERS]
    counts = {int(shard.group(2)) for file in files if (shard := _SHARD.search(file.name))}
    if counts and len(files) < max(counts):
        raise BrokenCheckpoint(
            f"{max(counts) - len(files)} of {max(counts)} weight files are missing",
            where=str(folder),
            fix="finish the download",
        )
    return files


def _no_weights(folder: Path) -> BrokenCheckpoint | UnsafeCheckpoint:
    if any((folder / name).is_file() for name in _ADAPTERS):
        return BrokenCheckpoint(
            "this folder holds an adapter (LoRA) and no weights of its own",
            where=str(folder),
            fix="merge the adapter into its base model and give the folder of the merged weights",
        )
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if pickles:
        return UnsafeCheckpoint(
            f"the weights are pickles ({pickles[0]}); opening them can run any code",
            where=str(folder),
            fix='convert them on a machine that you can lose: python -c "import torch, safetensors.torch as s; '
            f"s.save_file(torch.load('{pickles[0]}', weights_only=True), 'model.safetensors')\"",
        )
    return BrokenCheckpoint("the folder has no weights", where=str(folder), fix="it needs *.safetensors files")
