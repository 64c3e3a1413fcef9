"""The reference's answers, kept between runs: it runs once for any number of candidates.

Kept are its final hidden states beside its head, which is exact, or a sketch of 1.6 KB per token, which also works
where the head cannot be replayed apart from the model.

An entry is keyed by everything that moves a logit: file digests, number format, attention, device, batch shape,
threads and library versions. Entries are files of plain tensors, written atomically, one per sequence.
"""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from harness.config import writable
from harness.errors import IncompatibleCandidate, NumericsError
from harness.identity import digest_json, short
from harness.observations.journal import storage, write_atomically
from harness.processors import threads_for
from harness.prompts.sequences import Sequence
from harness.targets.base import Capabilities
from harness.targets.batches import Batch
from harness.targets.checkpoint.target import CheckpointTarget
from harness.targets.tiles import HEAD_FILE, SKETCH_FILE, tile_rows

Kind = Literal["hidden", "sketch"]
CacheChoice = Literal["auto", "hidden", "sketch"]


def choose_kind(wanted: CacheChoice, target: CheckpointTarget, capabilities: Capabilities) -> Kind:
    """Hidden states where they can be replayed, else a sketch; refuses hidden states that cannot be."""
    if wanted == "hidden" and not capabilities.separable_head:
        raise IncompatibleCandidate(
            "the output head of this reference cannot be replayed from hidden states",
            where=target.spec.shown,
            fix="leave --reference-cache at 'auto', or set it to 'sketch'",
        )
    if wanted != "auto":
        return wanted
    return "hidden" if capabilities.separable_head else "sketch"


class ReferenceCache:
    """The cached answers of one reference in one arithmetic."""

    def __init__(
        self, cache: Path, target: CheckpointTarget, capabilities: Capabilities, kind: CacheChoice = "auto"
    ) -> None:
        self.kind = choose_kind(kind, target, capabilities)
        self._tile_rows = tile_rows(capabilities.vocabulary)
        runtime = target.spec.runtime
        key = digest_json(
            [
                target.identity().digest,
                target.spec.kind,
                target.spec.detail,
                capabilities.dtype,
                runtime.attention,
                runtime.device,
                threads_for(runtime.threads),
                dict(capabilities.versions),
                platform.machine(),
                *([] if self.kind == "hidden" else [self.kind]),
            ]
        )
        self.folder = writable(cache / "reference" / short(key), "cache")
        self._target = target

    @property
    def estimator(self) -> str:
        """How divergences against this cache come about."""
        return "exact" if self.kind == "hidden" else "sketch"

    def prepare(self) -> None:
        """Store what all sequences share, if it is not there yet."""
        if self.kind == "sketch":
            with storage(self.folder):
                write_atomically(self.folder / SKETCH_FILE, json.dumps({"tile_rows": self._tile_rows}).encode())
            return
        head = self.folder / HEAD_FILE
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

    def fill(self, batch: list[Sequence], vocabulary: int) -> None:
        """Run the reference on a batch and keep its hidden states or sketches; ``vocabulary`` is the tokenizer's."""
        keys = self.keys(batch)
        if self.kind == "sketch":
            seed = int(keys[0][:8], 16)  # content decides the draws, so that they can be repeated
            states = self._target.sketch(Batch.of(batch), vocabulary, seed)
        else:
            states = self._target.hidden(Batch.of(batch))
            if not _finite(states):
                raise NumericsError(
                    "the reference itself computes NaN or infinite states",
                    where=self._target.spec.shown,
                    fix="run it in a wider number format, for example --dtype fp32",
                )
        start = 0
        for key, sequence in zip(keys, batch, strict=True):
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

    def _store(self, key: str, states: NDArray[Any]) -> None:
        partial = self.folder / f".{key}.{os.getpid()}"
        with storage(self.folder):
            save_file({self.kind: np.ascontiguousarray(states)}, str(partial))
            partial.replace(self._path(key))


def _finite(states: NDArray[Any]) -> bool:
    """Whether hidden states are all finite; as bf16 bits, an exponent of ones is infinity or NaN."""
    if states.dtype == np.uint16:
        return not bool(((states & 0x7F80) == 0x7F80).any())
    return bool(np.isfinite(states).all())
