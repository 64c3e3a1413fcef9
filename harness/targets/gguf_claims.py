"""What a GGUF file is sold as, by the types of its own tensors; its header is believed only where they agree."""

from __future__ import annotations

from dataclasses import dataclass

from harness.targets.gguf_file import FLOATS, GgufFile, GgufTensor
from harness.targets.gguf_recipe import FILE_TYPES, stored_as

_DTYPES = {"F32": "fp32", "F16": "fp16", "BF16": "bf16"}


@dataclass(frozen=True, slots=True)
class OwnClaim:
    """The claim (``gguf:Q4_K_M``, ``fp16``), the weights per type, and what the header says otherwise, if it does."""

    claim: str
    types: dict[str, int]
    contradiction: str = ""

    @property
    def quantized(self) -> bool:
        """Whether any matrix is stored in fewer than 16 bits."""
        return self.claim.startswith("gguf:")


def own_claim(file: GgufFile) -> OwnClaim:
    """Read a file's claim off its tensors."""
    matrices = [tensor for tensor in file.tensors if len(tensor.shape) > 1]
    types: dict[str, int] = {}
    for tensor in matrices:
        types[tensor.kind] = types.get(tensor.kind, 0) + tensor.count
    ranked = sorted(types, key=lambda kind: -types[kind])
    number = file.metadata.get("general.file_type")
    said = FILE_TYPES.get(number) if isinstance(number, int) else None
    narrow = [kind for kind in ranked if kind not in FLOATS]
    if not narrow:
        contradiction = _contradiction(said, ranked) if said and said[1] not in FLOATS else ""
        return OwnClaim(_DTYPES.get(ranked[0], "fp32") if ranked else "fp32", types, contradiction)
    consistent = said is not None and _agrees(said[1], matrices)
    contradiction = _contradiction(said, ranked) if said is not None and not consistent else ""
    if said is not None and consistent and (len(narrow) > 1 or said[0] not in narrow):
        return OwnClaim(f"gguf:{said[0]}", types, contradiction)
    return OwnClaim(f"gguf:{'+'.join(narrow)}", types, contradiction)


def _agrees(kind: str, matrices: list[GgufTensor]) -> bool:
    """Whether the type that most tensors get by the header is what most tensors have, embeddings aside."""
    inner = [t for t in matrices if t.name not in {"token_embd.weight", "output.weight"}] or matrices
    fits = sum(t.count for t in inner if t.kind == stored_as(kind, t.shape[-1]))
    return 2 * fits >= sum(t.count for t in inner)


def _contradiction(said: tuple[str, str] | None, ranked: list[str]) -> str:
    assert said is not None
    return f"general.file_type says {said[0]}, the tensors are {', '.join(ranked)}"
