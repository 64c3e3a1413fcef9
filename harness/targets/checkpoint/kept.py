"""Models that stay in memory from one request to the next; runs in the isolated process only."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress

import torch

from harness.processors import threads_for
from harness.targets.checkpoint.loading import Loaded, load
from harness.targets.spec import TargetSpec


class KeptModels:
    """Loaded models, the one in use last. Older ones go first, before another is loaded: two may not fit."""

    def __init__(self) -> None:
        self._models: dict[TargetSpec, Loaded] = {}

    def model(self, spec: TargetSpec, room: int) -> Loaded:
        """The model of a specification, loaded unless it is still here.

        ``room`` is how many bytes other models may take beside it, 0 for one model at a time; on another device than the
        processor's it is always 0.
        """
        found = self._models.pop(spec, None)
        if found is None:
            self._make(room if spec.runtime.device == "cpu" else 0)
            found = load(spec)
        else:
            torch.set_num_threads(threads_for(spec.runtime.threads))
        self._models[spec] = found
        return found

    def clear(self) -> None:
        """Drop every model."""
        self._make(0)

    def _make(self, room: int) -> None:
        while self._models and sum(_bytes(one) for one in self._models.values()) > room:
            del self._models[next(iter(self._models))]
        gc.collect()
        with suppress(OSError, AttributeError):  # give it back to the system; glibc alone can
            ctypes.CDLL(None).malloc_trim(0)


def _bytes(loaded: Loaded) -> int:
    """Memory of a model's tensors, shared ones once."""
    tensors = [*loaded.model.parameters(), *loaded.model.buffers(), *([loaded.head.weight] if loaded.head else [])]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())
