"""What every target offers, whatever stands behind it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from harness.suites.model import Frozen, Message
from harness.targets.batches import Batch
from harness.targets.rows import Rows
from harness.targets.spec import TargetSpec


class WeightFile(Frozen):
    """One weight file and its SHA-256."""

    name: str
    bytes: int
    sha256: str


class Licence(Frozen):
    """The licence that a release declares, and what it means for whoever serves the model."""

    name: str
    file_sha256: str
    note: str


class ModelIdentity(Frozen):
    """What the files of a model say it is. Empty strings and dicts mean that the release does not say."""

    spec: str
    folder: str
    weights: tuple[WeightFile, ...]
    tensors: int
    parameters: int
    dtype: str
    architecture: str
    config: dict[str, JsonValue]
    quantization: dict[str, JsonValue]
    tokenizer_sha256: str
    vocabulary_sha256: str
    template_sha256: str
    special_tokens: dict[str, JsonValue]
    stop_ids: tuple[int, ...]
    generation: dict[str, JsonValue]
    licence: Licence
    missing: tuple[str, ...]
    weight_format: str = ""  # the format that quantized weights are stored in, by its usual name
    declared_in: str = ""  # the file that declares it
    activations: str = ""  # declared rounding of activations, which is not applied here, in words
    cache: str = ""  # declared rounding of keys and values, which is not applied here
    code: tuple[str, ...] = ()  # classes of its own that config.json names; they are never run
    beside: tuple[
        str, ...
    ] = ()  # weight files that are not part of the model: adapters, files that the index does not list
    silent: tuple[str, ...] = ()  # facts for which the format has no words, so that they are no difference
    importance: str = ""  # what the files say of an importance matrix with which they were quantized
    contradiction: str = ""  # what the files say of their own number formats and their tensors are not
    digest: str  # over weights, config and tokenizer: equal digests are the same model


class Encoded(Frozen):
    """One text or conversation as the target turns it into ids; ``segments`` is empty for plain text."""

    text: str = ""
    ids: tuple[int, ...]
    segments: tuple[int, ...] = ()
    spans: tuple[tuple[int, int], ...] = ()  # characters of the text that each token stands for, where asked for


class Capabilities(Frozen):
    """What a loaded target can do and in which arithmetic it does it."""

    level: str  # L0 weights, L1 logprobs, L2 seeded, L3 sampled text
    vocabulary: int
    separable_head: bool
    dtype: str
    attention: str
    matrices_rounded: int
    versions: dict[str, str]
    isolation: dict[str, str]
    unused: tuple[str, ...] = ()  # what of the files the loaded model does not use, in words


class Target(Protocol):
    """A checkpoint that can be asked. Every method may raise a TargetRefused."""

    spec: TargetSpec

    def identity(self) -> ModelIdentity:
        """What the files say."""
        ...

    def capabilities(self) -> Capabilities:
        """What the loaded model can do."""
        ...

    def vocabulary(self) -> int:
        """Number of ids that the tokenizer knows, added tokens included."""
        ...

    def tokenize(self, texts: list[str], *, spans: bool = False) -> list[Encoded]:
        """Plain texts as ids, with the characters that each token stands for if ``spans``."""
        ...

    def render(self, conversations: list[tuple[Message, ...]], *, open_reply: bool) -> list[Encoded]:
        """Conversations as rendered text and ids."""
        ...

    def generate(self, prompts: list[tuple[int, ...]], limits: list[int], seed: int) -> list[tuple[int, ...]]:
        """Sampled replies at temperature 1 as ids."""
        ...

    def score(self, batch: Batch, reference: Path, keys: list[str], vocabulary: int) -> Rows:
        """Rows of a batch against the reference cached in ``reference``, whose sequences are named by ``keys``."""
        ...

    def hidden(self, batch: Batch) -> NDArray[Any]:
        """Final hidden states of the scored positions, ``[tokens, width]``: float32, float16, or bf16 bits as uint16."""
        ...

    def sketch(self, batch: Batch, vocabulary: int, seed: int) -> NDArray[np.uint8]:
        """Sketches of the scored positions of a batch, ``[tokens, bytes]``."""
        ...

    def losses(self, batch: Batch) -> NDArray[np.float32]:
        """Minus log-probability of the true next token at every scored position of a batch, NaN where there is none."""
        ...

    def pieces(self, ids: list[int]) -> list[str]:
        """The text of single ids."""
        ...
