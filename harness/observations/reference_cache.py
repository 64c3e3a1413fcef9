"""The reference's final hidden states and head, kept between runs: it runs once for any number of candidates.

An entry is keyed by everything that moves a logit: file digests, number format, attention, device, batch shape,
threads and library versions. Entries are files of plain tensors, written atomically, one per sequence.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from harness.config import writable
from harness.errors import IncompatibleCandidate, NumericsError
from harness.identity import digest_json, short
from harness.observations.journal import storage, write_atomically
from harness.prompts.sequences import Sequence
from harness.targets.base import Capabilities
from harness.targets.batches import Batch
from harness.targets.checkpoint.target import CheckpointTarget


class ReferenceCache:
    """The cached states of one reference in one arithmetic."""

    def __init__(self, cache: Path, target: CheckpointTarget, capabilities: Capabilities) -> None:
        if not capabilities.separable_head:
            raise IncompatibleCandidate(
                "the output head of this reference cannot be replayed from hidden states",
                where=target.spec.text,
                fix="choose a reference whose logits are a linear head on the final hidden state",
            )
        runtime = target.spec.runtime
        key = digest_json(
            [
                target.identity().digest,
                target.spec.kind,
                target.spec.detail,
                capabilities.dtype,
                runtime.attention,
                runtime.device,
                runtime.threads or os.cpu_count() or 1,
                dict(capabilities.versions),
                platform.machine(),
            ]
        )
        self.folder = writable(cache / "reference" / short(key), "cache")
        self._target = target

    def prepare(self) -> None:
        """Store the head if it is not there yet."""
        head = self.folder / "head.safetensors"
        if not head.exists():
            with storage(self.folder):
                partial = self.folder / f".head.{os.getpid()}.safetensors"
                self._target.save_head(partial)
                partial.replace(head)

    def missing(self, batch: list[Sequence]) -> bool:
        """Whether any sequence of a batch has to be run."""
        return any(not self._path(key).exists() for key in self.keys(batch))

    def keys(self, batch: list[Sequence]) -> list[str]:
        """The names of a batch's sequences in the cache: their content, and the shape of the batch they ran in."""
        shape = [len(batch), max(len(sequence.ids) for sequence in batch)] if len(batch) > 1 else []
        return [short(digest_json([list(s.ids), s.first, s.end, list(shape)])) for s in batch]

    def fill(self, batch: list[Sequence]) -> None:
        """Run the reference on a batch and keep its hidden states."""
        states = self._target.hidden(Batch.of(batch))
        if not np.isfinite(states).all():
            raise NumericsError(
                "the reference itself computes NaN or infinite states",
                where=self._target.spec.shown,
                fix="run it in a wider number format, for example --dtype fp32",
            )
        start = 0
        for key, sequence in zip(self.keys(batch), batch, strict=True):
            self._store(key, states[start : start + sequence.scored])
            start += sequence.scored

    def replies(self, prompts: list[tuple[int, ...]], limits: list[int], seed: int) -> list[tuple[int, ...]]:
        """The reference's own sampled replies, from the cache where they were sampled before."""
        name = short(digest_json([[list(p) for p in prompts], list(limits), seed]))
        path = self.folder / f"replies-{name}.json"
        if path.exists():
            return [tuple(reply) for reply in json.loads(path.read_bytes())]
        replies = self._target.generate(prompts, limits, seed)
        write_atomically(path, json.dumps(replies).encode())
        return replies

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.safetensors"

    def _store(self, key: str, hidden: NDArray[np.float32]) -> None:
        partial = self.folder / f".{key}.{os.getpid()}"
        with storage(self.folder):
            save_file({"hidden": np.ascontiguousarray(hidden)}, str(partial))
            partial.replace(self._path(key))
