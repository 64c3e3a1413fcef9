"""Any checkpoint folder as dense tensors under their stored names; runs in the isolated process only.

``dense_reference(folder)`` is a lazy mapping from name to tensor, whatever the folder's format: codes are dequantized
when they are asked for, one tensor at a time, and nothing is kept. Names are those of the file, where a packed tensor
stands under the name that it would have unpacked (``LAYER.weight``). Values are fp32 where they come from codes, and as
they lie in the file otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from threading import Lock
from typing import Any

from safetensors import safe_open
from torch import Tensor

from harness.targets.checkpoint.formats.model import Part
from harness.targets.checkpoint.formats.plan import Plan, make_plan, read_declaration
from harness.targets.checkpoint.formats.stored import stored_of
from harness.targets.checkpoint.json_files import read_json
from harness.targets.checkpoint.weight_files import WeightFiles, find_weights


def dense_reference(folder: Path) -> DenseCheckpoint:
    """Open a folder of weights in any format that is read here.

    Raises BrokenCheckpoint or UnsafeCheckpoint as loading the folder would.
    """
    config = read_json(folder / "config.json")
    files = find_weights(folder)
    stored = stored_of(files, str(config.get("model_type", "")), str(folder))
    return DenseCheckpoint(files, make_plan(stored, read_declaration(folder, config)))


class DenseCheckpoint(Mapping[str, Tensor]):
    """The dense tensors of a folder by name, made when asked for."""

    def __init__(self, files: WeightFiles, plan: Plan) -> None:
        self.files = files
        self.plan = plan
        self._parts: dict[str, Part] = {part.name: part for part in plan.parts}
        self._names = (*plan.plain, *self._parts)
        self._known = frozenset(self._names)
        self._open: dict[Path, Any] = {}
        self._stack = ExitStack()
        self._lock = Lock()  # the library's loader reads from several threads

    def __getitem__(self, name: str) -> Tensor:
        part = self._parts.get(name)
        return part.make(self.stored) if part else self.stored(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def stored(self, name: str) -> Tensor:
        """A tensor as it lies in its file; raises KeyError where there is none of this name."""
        path = self.files.places[name]
        with self._lock:
            if path not in self._open:
                self._open[path] = self._stack.enter_context(safe_open(str(path), framework="pt"))
        return self._open[path].get_tensor(name)  # type: ignore[no-any-return]

    def lazily(self) -> dict[str, LazyTensor]:
        """All tensors as the library's loader takes them: nothing is read before ``tensor[...]``."""
        return {name: LazyTensor(name, self.__getitem__) for name in self._names}

    def close(self) -> None:
        """Close the files."""
        self._open.clear()
        self._stack.close()


class LazyTensor:
    """A tensor that is made when it is indexed; ``read`` says whether it was."""

    __slots__ = ("_make", "name", "read")

    def __init__(self, name: str, make: Callable[[str], Tensor]) -> None:
        self.name, self._make, self.read = name, make, False

    def __getitem__(self, key: Any) -> Tensor:
        self.read = True
        return self._make(self.name)[key]
