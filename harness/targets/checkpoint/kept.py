"""Models that stay in memory from one request to the next; runs in the isolated process only."""

from __future__ import annotations

import ctypes
import gc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import torch

from harness.processors import threads_for
from harness.targets.checkpoint.loading import Loaded, load_model, proved
from harness.targets.spec import TargetSpec


class KeptModels:
    """Loaded models, the one in use last. Older ones go first, before another is loaded: two may not fit.

    Runtimes that differ in batch or threads alone share a model.
    """

    def __init__(self) -> None:
        self._models: dict[TargetSpec, Loaded] = {}
        self._unrun: tuple[TargetSpec, Any, int] | None = None  # its weights are as they were loaded

    def model(self, spec: TargetSpec, room: int) -> Loaded:
        """The model of a specification, loaded unless it is still here.

        ``room`` is how many bytes other models may take beside it, 0 for one model at a time; on another device than the
        processor's it is always 0.
        """
        key = _weights_of(spec)
        found = self._models.pop(key, None)
        if found is None:
            _, model, changed = self._fresh(key, room)
            self._unrun = None
            found = proved(spec, model, changed)
        self._models[key] = replace(found, spec=spec)
        torch.set_num_threads(threads_for(spec.runtime.threads))
        return self._models[key]

    def unrun(self, spec: TargetSpec, room: int) -> Any:
        """The model of a specification, freshly loaded, which has computed nothing yet; it is there for ``model`` then."""
        key = _weights_of(spec)
        self._models.pop(key, None)
        _, model, _ = self._unrun = self._fresh(key, room)
        return model

    def _fresh(self, key: TargetSpec, room: int) -> tuple[TargetSpec, Any, int]:
        if self._unrun and self._unrun[0] == key:
            return self._unrun
        self._unrun = None
        self._make(room if key.runtime.device == "cpu" else 0)
        torch.set_num_threads(threads_for(key.runtime.threads))
        return key, *load_model(key)

    def clear(self) -> None:
        """Drop every model."""
        self._unrun = None
        self._make(0)

    def _make(self, room: int) -> None:
        while self._models and sum(_bytes(one) for one in self._models.values()) > room:
            del self._models[next(iter(self._models))]
        gc.collect()
        with suppress(OSError, AttributeError):  # give it back to the system; glibc alone can
            ctypes.CDLL(None).malloc_trim(0)


def _weights_of(spec: TargetSpec) -> TargetSpec:
    """What of a specification decides which numbers are in memory."""
    return spec.with_runtime(batch=1, threads=0)


def _bytes(loaded: Loaded) -> int:
    """Memory of a model's tensors, shared ones once."""
    tensors = [*loaded.model.parameters(), *loaded.model.buffers(), *([loaded.head.weight] if loaded.head else [])]
    return sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())
