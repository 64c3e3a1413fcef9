"""A bounded look at GGUF files: metadata and tensor table of all parts, read without any library.

Numbers of 32 bits come back as the shortest decimal that stands for them, so that an epsilon of 1e-05 is 1e-05 again.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path

import numpy as np

from harness.errors import BrokenCheckpoint, TargetNotFound, TargetRefused, UnsafeCheckpoint

Value = str | int | float | bool | list["Value"]

#: Of every tensor type: its number in the format, weights per block, bytes per block.
TYPES: dict[str, tuple[int, int, int]] = {
    "F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24), "Q8_0": (8, 32, 34), "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210),
    "IQ2_XXS": (16, 256, 66), "IQ2_XS": (17, 256, 74), "IQ3_XXS": (18, 256, 98), "IQ1_S": (19, 256, 50),
    "IQ4_NL": (20, 32, 18), "IQ3_S": (21, 256, 110), "IQ2_S": (22, 256, 82), "IQ4_XS": (23, 256, 136),
    "I8": (24, 1, 1), "I16": (25, 1, 2), "I32": (26, 1, 4), "I64": (27, 1, 8), "F64": (28, 1, 8),
    "IQ1_M": (29, 256, 56), "BF16": (30, 1, 2), "TQ1_0": (34, 256, 54), "TQ2_0": (35, 256, 66),
    "MXFP4": (39, 32, 17), "NVFP4": (40, 64, 36), "Q1_0": (41, 128, 18),
}  # fmt: skip
FLOATS = ("F32", "F16", "BF16")
_NAMES = {number: name for name, (number, _, _) in TYPES.items()}

_MAX_ENTRIES = 1 << 20  # of metadata or tensors; the largest published files hold a few thousand
_MAX_NESTING = 4
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_FLOAT, _STRING, _ARRAY = 6, 8, 9
_PART = re.compile(r"^(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf$")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor: its rows run along the last axis of ``shape``, its bytes begin at ``start`` of ``file``."""

    name: str
    shape: tuple[int, ...]
    kind: str
    file: Path
    start: int

    @property
    def count(self) -> int:
        """Number of weights."""
        return prod(self.shape)

    @property
    def size(self) -> int:
        """Number of bytes."""
        _, block, width = TYPES[self.kind]
        return self.count // block * width


@dataclass(frozen=True, slots=True)
class GgufFile:
    """Metadata and tensors of a model, gathered from all parts of its file."""

    parts: tuple[Path, ...]
    metadata: dict[str, Value]
    tensors: tuple[GgufTensor, ...]

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the model's family."""
        return str(self.metadata.get("general.architecture", ""))

    def stated(self, key: str) -> Value | None:
        """A field of the model's own family, such as ``rope.freq_base``; None where the file is silent."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def number(self, key: str, otherwise: float = 0) -> float:
        """A field of the model's own family as a number; raises BrokenCheckpoint where it is none."""
        value = self.stated(key)
        if value is None:
            return otherwise
        if not isinstance(value, int | float):
            raise BrokenCheckpoint(
                f"{self.architecture}.{key} should be a number", where=str(self.parts[0]), fix="convert the model again"
            )
        return value

    def tensor(self, name: str) -> GgufTensor | None:
        """The tensor of that name."""
        return next((tensor for tensor in self.tensors if tensor.name == name), None)


def read_gguf(path: Path) -> GgufFile:
    """Read a file, and its other parts if it was split.

    Raises TargetNotFound, BrokenCheckpoint or UnsafeCheckpoint. Kept per process while the file does not change.
    """
    if not path.is_file():
        number = _PART.match(path.name)
        what = "there is no file at this path" if not number else f"part {int(number['number'])} is not there"
        raise TargetNotFound(what, where=str(path), fix="write gguf:PATH/TO/FILE.gguf")
    stat = path.stat()
    return _gathered(path, f"{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}")


def read_model(path: Path) -> GgufFile:
    """Read a file that has to hold a language model; raises TargetRefused for adapters, projectors and bare vocabularies."""
    file = read_gguf(path)
    kind = str(file.metadata.get("general.type", "model"))
    if kind == "adapter" or any(name.startswith("adapter.") for name in file.metadata):
        raise TargetRefused(
            "this GGUF file holds a LoRA adapter, not a model",
            where=str(path),
            fix="give the GGUF file of the model into which the adapter was merged",
        )
    if kind == "mmproj" or file.architecture == "clip":
        raise TargetRefused(
            "this GGUF file holds the projector of images or sound (mmproj), not a language model",
            where=str(path),
            fix="give the GGUF file of the language model that lies beside it",
        )
    if kind == "imatrix" or file.architecture in {"imatrix", "controlvector"}:
        raise TargetRefused(
            f"this GGUF file holds {'a control vector' if file.architecture == 'controlvector' else 'an importance matrix'}"
            ", not a model",
            where=str(path),
            fix="give the GGUF file of the model",
        )
    if not any(tensor.name.startswith("blk.") for tensor in file.tensors):
        raise TargetRefused(
            "this GGUF file holds a vocabulary and no weights",
            where=str(path),
            fix="give the GGUF file that holds the model's tensors",
        )
    return file


def first_part(path: Path) -> Path:
    """The part of a split file that holds the metadata and the vocabulary; the path itself for whole files."""
    found = _PART.match(path.name)
    return path.with_name(f"{found['stem']}-00001-of-{found['count']}.gguf") if found else path


@lru_cache(maxsize=8)
def _gathered(path: Path, _: str) -> GgufFile:
    metadata, tensors = _read_part(path)
    count = metadata.get("split.count", 1)
    if not isinstance(count, int) or count < 2:
        return GgufFile((path,), metadata, tuple(tensors))
    found = _PART.match(path.name)
    if not found or int(found["count"]) != count:
        raise BrokenCheckpoint(
            f"this is one of {count} parts of a split file, and its name does not say what the others are called",
            where=str(path),
            fix=f"call the parts NAME-00001-of-{count:05d}.gguf, NAME-00002-of-{count:05d}.gguf and so on",
        )
    parts = [path.with_name(f"{found['stem']}-{i + 1:05d}-of-{count:05d}.gguf") for i in range(count)]
    absent = [f"{i + 1}" for i, part in enumerate(parts) if not part.is_file()]
    if absent:
        raise BrokenCheckpoint(
            f"part {', '.join(absent)} of {count} of this split file is missing",
            where=str(parts[int(absent[0]) - 1]),
            fix="put all parts into one folder",
        )
    merged: dict[str, Value] = {}
    gathered: list[GgufTensor] = []
    for number, part in enumerate(parts):
        stated, listed = (metadata, tensors) if part == path else _read_part(part)
        if stated.get("split.no") != number:
            raise BrokenCheckpoint(
                f"this file says that it is part {stated.get('split.no')}, counted from 0, and its name says part {number}",
                where=str(part),
                fix="give every part the name under which it was published",
            )
        merged = stated | merged
        gathered.extend(listed)
    expected = merged.get("split.tensors.count", len(gathered))
    if expected != len(gathered) or len({tensor.name for tensor in gathered}) < len(gathered):
        raise BrokenCheckpoint(
            f"the parts hold {len(gathered)} tensors, and {expected} are announced",
            where=str(parts[0]),
            fix="the parts belong to different files; fetch all of them again",
        )
    return GgufFile(tuple(parts), merged, tuple(gathered))


def _read_part(path: Path) -> tuple[dict[str, Value], list[GgufTensor]]:
    size = path.stat().st_size
    with path.open("rb") as handle:
        if handle.read(4) != b"GGUF":
            raise BrokenCheckpoint("this is not a GGUF file", where=str(path), fix="give a file made by llama.cpp")
        with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as blob:
            try:
                return _Parser(blob, path).read()
            except (struct.error, IndexError) as error:
                raise _cut_short(path, size) from error
            except UnicodeDecodeError as error:
                raise BrokenCheckpoint(
                    "a name in this GGUF file is not text", where=str(path), fix="fetch the file again"
                ) from error


class _Parser:
    """Reads one file from front to back; every length is held against what is left before it is believed."""

    def __init__(self, blob: mmap.mmap, path: Path) -> None:
        self._blob, self._path, self._at = blob, path, 4

    def read(self) -> tuple[dict[str, Value], list[GgufTensor]]:
        version = self._number("I")
        if version not in {2, 3}:
            large = "of another byte order" if version in {2 << 24, 3 << 24} else f"of version {version}"
            raise TargetRefused(
                f"this is a GGUF file {large}; versions 2 and 3 in little-endian order are read",
                where=str(self._path),
                fix="convert the model again with a current llama.cpp",
            )
        tensors, entries = self._number("Q"), self._number("Q")
        if max(tensors, entries) > _MAX_ENTRIES:
            raise UnsafeCheckpoint(f"the file lists {max(tensors, entries):,} entries", where=str(self._path))
        metadata: dict[str, Value] = {}
        for _ in range(int(entries)):
            name = self._text()
            metadata[name] = self._value(int(self._number("I")), 0)
        table = [self._entry() for _ in range(int(tensors))]
        aligned = metadata.get("general.alignment", 32)
        step = aligned if isinstance(aligned, int) and aligned > 0 else 32
        begin = (self._at + step - 1) // step * step
        return metadata, [self._tensor(name, shape, kind, begin + offset) for name, shape, kind, offset in table]

    def _entry(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._text()
        axes = int(self._number("I"))
        if axes > 8:
            raise BrokenCheckpoint(f"{name} has {axes} axes", where=str(self._path), fix="fetch the file again")
        shape = tuple(int(self._number("Q")) for _ in range(axes))[::-1]
        return name, shape, int(self._number("I")), int(self._number("Q"))

    def _tensor(self, name: str, shape: tuple[int, ...], number: int, start: int) -> GgufTensor:
        kind = _NAMES.get(number)
        if kind is None:
            raise TargetRefused(
                f"{name} is stored in type {number}, which is not read here",
                where=str(self._path),
                fix="make the file again in a type that is (K-, IQ- and legacy types, MXFP4, NVFP4, TQ1_0, TQ2_0)",
            )
        if shape and shape[-1] % TYPES[kind][1]:
            raise BrokenCheckpoint(
                f"{name} has rows of {shape[-1]} weights, which {kind} cannot store",
                where=str(self._path),
                fix="fetch the file again",
            )
        tensor = GgufTensor(name, shape, kind, self._path, start)
        if start + tensor.size > len(self._blob):
            raise _cut_short(self._path, len(self._blob))
        return tensor

    def _number(self, form: str) -> int | float:
        (value,) = struct.unpack_from(f"<{form}", self._blob, self._at)
        self._at += struct.calcsize(f"<{form}")
        return value  # type: ignore[no-any-return]

    def _text(self) -> str:
        length = int(self._number("Q"))
        if self._at + length > len(self._blob):
            raise IndexError(length)
        text = self._blob[self._at : self._at + length].decode("utf-8")
        self._at += length
        return text

    def _value(self, kind: int, depth: int) -> Value:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY and depth < _MAX_NESTING:
            inner, count = int(self._number("I")), int(self._number("Q"))
            if inner in _NUMBERS:
                return self._numbers(inner, count)
            if count > len(self._blob):
                raise IndexError(count)
            return [self._value(inner, depth + 1) for _ in range(count)]
        if kind not in _NUMBERS:
            raise BrokenCheckpoint(
                f"a value of type {kind} cannot be read", where=str(self._path), fix="fetch it again"
            )
        return self._numbers(kind, 1)[0]

    def _numbers(self, kind: int, count: int) -> list[Value]:
        form = _NUMBERS[kind]
        if self._at + count * struct.calcsize(f"<{form}") > len(self._blob):
            raise IndexError(count)
        values = list(struct.unpack_from(f"<{count}{form}", self._blob, self._at))
        self._at += count * struct.calcsize(f"<{form}")
        return [float(str(np.float32(value))) for value in values] if kind == _FLOAT else values


def _cut_short(path: Path, size: int) -> BrokenCheckpoint:
    return BrokenCheckpoint(
        f"the file ends early: {size:,} bytes are there, its table promises more",
        where=str(path),
        fix="the download was interrupted; fetch this file again",
    )
