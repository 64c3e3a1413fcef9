"""Hold the loaded candidate's weights against the reference's, tensor by tensor; runs in the isolated process only.

Both sides are read through the library, so that experts which a file holds one by one, and names that it spells in an older
way, meet under one name; what stands in front of the text model's names (a vision-language release wraps it) is cut off.
Quantized releases are compared as what they compute with: dense.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from harness.targets.checkpoint.fake_quant import Rounding, round_pieces, rounding_of, rounds
from harness.targets.checkpoint.grids import distinct_per_block, find_grid, nearest_share
from harness.targets.checkpoint.matrices import Matrix, matrices, of_text
from harness.targets.spec import GGUF_TYPES, TargetSpec
from harness.targets.weight_evidence import TensorEvidence, WeightEvidence

_FLOAT_NOISE = 1e-5  # relative; conversions through fp32 leave less than this
_SAMPLED_ROWS = 16
_CORNER = 256  # rows and columns of a difference whose spectrum is looked at
_SPECTRUM_PART = 16  # the largest sixteenth of the singular values
_NAMED = 12
_PART = 1 << 16  # products that are summed in fp32


def weight_evidence(
    model: Any, reference: Mapping[str, Tensor] | Any, claims: Mapping[str, TargetSpec] | None = None
) -> WeightEvidence:
    """Compare every tensor of a model with the reference's tensor of the same name.

    ``reference`` is another model or a mapping from names, as ``own_names`` makes them, to tensors. ``claims`` are
    specifications that rebuild claimed precisions, by name: each rounded tensor is also held against what they make of the
    reference's. The model must not have run yet: bitsandbytes repacks its weights for the CPU at the first forward pass.
    """
    ours = reference if isinstance(reference, Mapping) else dict(own_names(reference))
    roundings = {
        name: (spec.kind, spec.detail, rounding_of(spec.kind, spec.detail))
        for name, spec in (claims or {}).items()
        if spec.kind in {"rtn", "fp8", "mx", "bnb"} or (spec.kind == "ggufq" and spec.detail in GGUF_TYPES)
    }
    known = {one.name: one for one in matrices(model)}
    left = dict.fromkeys(ours)
    found, unmatched, lost = [], [], 0
    beside, compared = 0, 0
    for name, own, values in _named(model):
        matrix = known.get(name)
        if own == EMBEDDING and HEAD in left and not _has_head(model):  # tied on this side, written out on the other
            del left[HEAD]
            found.append(compare_tensor(HEAD, ours[HEAD], values.cpu(), matrix))
        original = _counterpart(ours, own, values)
        left.pop(own, None)
        if original is None:
            if of_text(model, name):
                unmatched.append(own)
                lost += values.numel()
            else:
                beside += 1
            continue
        compared += values.numel()
        takes = {
            claim: rounding
            for claim, (kind, detail, rounding) in roundings.items()
            if matrix and rounds(matrix, kind, detail)
        }
        found.append(compare_tensor(own, original, values.cpu(), matrix, takes))
    missing = [name for name in left if not _beside(reference, name)]
    lost += sum(ours[name].numel() for name in missing)
    return WeightEvidence(
        tensors=tuple(found),
        unmatched=tuple((unmatched + missing)[:_NAMED]),
        compared_weights=compared,
        unmatched_weights=lost,
        other_modalities=beside + len(left) - len(missing),
    )


def _counterpart(ours: Mapping[str, Tensor], own: str, values: Tensor) -> Tensor | None:
    """The reference's tensor of a name, in the shape of the candidate's, or None."""
    original = ours.get(own)
    if original is None and own == HEAD:  # written out on this side, tied on the other
        original = ours.get(EMBEDDING)
    if original is None or original.shape == values.shape:
        return original
    # bitsandbytes turns GPT-2's layers around
    return original.t() if original.ndim == 2 and original.t().shape == values.shape else None


#: Names under which the output head and the input embedding are known, whatever their model calls them.
HEAD, EMBEDDING = "(output head)", "(input embedding)"


def own_names(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Dense tensors under the names that they have inside the text model, whatever wraps it."""
    return ((own, values) for _, own, values in _named(model))


def _named(model: Any) -> Iterator[tuple[str, str, Tensor]]:
    embedding, head = (
        getattr(m, "weight", None) for m in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    root = _root(model)
    for name, values in dense_tensors(model):
        parameter = _parameter(model, name)
        if parameter is embedding:
            yield name, EMBEDDING, values
        elif parameter is head:
            yield name, HEAD, values
        else:
            yield name, name.removeprefix(root), values


def _has_head(model: Any) -> bool:
    """Whether the output head has weights of its own."""
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    return head is not None and getattr(head, "weight", None) is not getattr(embedding, "weight", None)


def _root(model: Any) -> str:
    """The path of the text model inside a release, with its last dot: where the layers lie beside the embedding."""
    embedding = model.get_input_embeddings()
    path = next((path for path, module in model.named_modules() if module is embedding), "")
    while path:
        path = path.rpartition(".")[0]
        holder = model.get_submodule(path)
        if any(isinstance(child, torch.nn.ModuleList) for child in holder.children()):
            return f"{path}." if path else ""
    return ""


def _parameter(model: Any, name: str) -> Any:
    owner, _, own = name.rpartition(".")
    return getattr(model.get_submodule(owner), own)


def _beside(reference: Any, own: str) -> bool:
    """Whether a tensor of the reference lies outside its text path."""
    return not isinstance(reference, Mapping) and not of_text(reference, own)


def reference_files(folder: Path, model: Any) -> Mapping[str, Tensor] | None:
    """The reference's tensors straight from its files, one at a time; None where names or values are not the library's own.

    Spares loading the reference a second time where the files hold what the model computes with.
    """
    from transformers.conversion_mapping import get_checkpoint_conversion_mapping  # noqa: PLC0415

    kinds = {str(getattr(part, "model_type", "")) for part in (model.config, model.config.get_text_config())}
    if any(get_checkpoint_conversion_mapping(kind) for kind in kinds):
        return None
    stored: dict[str, tuple[Path, tuple[int, ...]]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            stored |= {name: (path, tuple(file.get_slice(name).get_shape())) for name in file.keys()}  # noqa: SIM118
    names = {name: (own, values.shape) for name, own, values in _named(model)}
    if set(stored) != set(names) or any(stored[name][1] != tuple(shape) for name, (_, shape) in names.items()):
        return None
    return _Files({own: (stored[name][0], name) for name, (own, _) in names.items()})


class _Files(Mapping[str, Tensor]):
    """Tensors that are read when they are asked for."""

    def __init__(self, places: dict[str, tuple[Path, str]]) -> None:
        self._places = places

    def __getitem__(self, own: str) -> Tensor:
        path, name = self._places[own]
        with safe_open(str(path), framework="pt") as file:
            return file.get_tensor(name)  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def dense_tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and stored buffer as plain floats, packed ones dequantised, tied ones once.

    Buffers count: the bias that corrects a router's choice of experts is one. Formats that cannot be unpacked here are left out.
    """
    for name, parameter in model.named_parameters():  # tied parameters come once
        dense = _unpacked(parameter)
        if dense is not None:
            yield name, dense
    stored = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if name in stored and buffer.dtype.is_floating_point and buffer.element_size() > 1:
            yield name, buffer


def _unpacked(parameter: Any) -> Tensor | None:
    if getattr(parameter, "quant_state", None) is not None:
        from bitsandbytes.functional import dequantize_4bit  # noqa: PLC0415

        return dequantize_4bit(parameter.data, parameter.quant_state).float()  # type: ignore[no-any-return]
    scales = getattr(parameter, "SCB", None)
    if scales is not None:
        return parameter.data.float() * (scales.float()[:, None] / 127.0)  # type: ignore[no-any-return]
    if parameter.dtype.is_floating_point and parameter.element_size() > 1:
        return parameter.data  # type: ignore[no-any-return]
    return None


def compare_tensor(
    name: str,
    reference: Tensor,
    candidate: Tensor,
    matrix: Matrix | None = None,
    roundings: Mapping[str, Rounding] | None = None,
) -> TensorEvidence:
    """The numbers of one tensor; both sides in fp32, sums of parts in fp64.

    ``matrix`` says along which axis the inputs run, ``roundings`` are what claimed precisions do to such a tensor.
    """
    a, b = reference.float(), candidate.float()
    norm = _norm(a)
    size = max(norm, 1e-30)
    relative = _norm(b - a) / size
    flat = a.ndim >= 2 and min(a.shape[-2:]) > 1 and (matrix is not None or a.ndim == 2)
    equal = relative < _FLOAT_NOISE
    zeroed = norm > 0 and not bool(b.any())
    scale = _dot(a, b) / size**2
    scaled = _norm(b - scale * a) / max(abs(scale) * size, 1e-30)
    evidence = TensorEvidence(
        name=name,
        shape=tuple(a.shape),
        matrix=flat,
        equal=equal,
        zeroed=zeroed,
        relative_error=relative,
        scale=scale,
        scaled_error=min(scaled, 1e6),
        format_cast="" if equal else _cast(a, b),
    )
    if equal or zeroed or not flat or evidence.format_cast:
        return evidence
    beside = {
        claim: _beside_claim(matrix, reference, b, rounding, relative * size)
        for claim, rounding in (roundings or {}).items()
        if matrix is not None
    }
    pieces = matrix.pieces if matrix else _alone
    ours, theirs = (_sampled(list(pieces(side))) for side in (a, b))
    grid = find_grid(ours, theirs)
    if not grid:  # some formats run their groups the other way
        grid = find_grid(*(_sampled([piece.t() for piece in pieces(side)]) for side in (a, b)))
    return evidence.model_copy(
        update={
            "beside_claim": beside,
            "grid": grid,
            "signs": _same_signs(ours, theirs),
            "nearest": nearest_share(ours, theirs),
            "low_rank": _NONE if grid else _low_rank(next(iter(pieces(b - a)))),
            "distinct_reference": distinct_per_block(ours),
            "distinct_candidate": distinct_per_block(theirs),
            "permuted": a.ndim == 2 and _same_rows(a, b),
        }
    )


_NONE = 0.0


def _alone(values: Tensor) -> Iterator[Tensor]:
    yield values


def _sampled(pieces: list[Tensor]) -> Any:
    """A few rows of a matrix, or of some of its experts, in fp32."""
    chosen = [pieces[int(i)] for i in np.linspace(0, len(pieces) - 1, min(4, len(pieces)))]
    each = max(_SAMPLED_ROWS // len(chosen), 1)
    rows = [piece[np.linspace(0, len(piece) - 1, min(each, len(piece))).astype(int)] for piece in chosen]
    return torch.cat(rows).contiguous().numpy()


def _beside_claim(matrix: Matrix, reference: Tensor, candidate: Tensor, rounding: Rounding, moved: float) -> float:
    """||candidate - rebuilt|| / ||rebuilt - reference||: 0 where the candidate is what the claim makes of the reference."""
    rebuilt = round_pieces(matrix, reference.clone(), rounding).float()
    own = _norm(rebuilt - reference.float())
    return _norm(candidate - rebuilt) / max(own, 1e-6 * moved, 1e-30)


def _low_rank(difference: Tensor) -> float:
    """How many times more of a difference its largest singular values hold than those of the same numbers in random order.

    Rounding leaves about 1; what was learned or projected out has few directions.
    """
    corner = difference[:_CORNER, :_CORNER].float()
    count = max(min(corner.shape) // _SPECTRUM_PART, 1)
    order = torch.randperm(corner.numel(), generator=torch.Generator().manual_seed(0))
    parts = []
    for values in (corner, corner.flatten()[order].reshape(corner.shape)):
        energy = torch.linalg.svdvals(values) ** 2
        parts.append(float(energy[:count].sum() / energy.sum().clamp_min(1e-30)))
    return parts[0] / max(parts[1], 1e-30)


def _same_signs(ours: Any, theirs: Any) -> float:
    """The share of weights with the reference's sign among those that neither side has at zero."""
    product = np.sign(ours) * np.sign(theirs)
    return float((product > 0).sum() / max((product != 0).sum(), 1))


def _norm(values: Tensor) -> float:
    return math.sqrt(_dot(values, values))


def _dot(one: Tensor, other: Tensor) -> float:
    """The sum of products: fp32 within a part, fp64 over the parts, a fraction of the time of fp64 throughout."""
    parts = zip(one.float().flatten().split(_PART), other.float().flatten().split(_PART), strict=True)
    total = sum(float(torch.dot(a, b)) for a, b in parts)
    if math.isfinite(total) and total:
        return total
    # zero, or squares too large or too small for fp32
    return float(torch.dot(one.double().flatten(), other.double().flatten()))


def _cast(reference: Tensor, candidate: Tensor) -> str:
    for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.float16)):
        if torch.equal(reference.to(dtype).float(), candidate):
            return name
    return ""


def _same_rows(reference: Tensor, candidate: Tensor) -> bool:
    """Whether one side's rows are the other's in another order: compare sorted row sums and sorted first columns."""
    a, b = reference.double(), candidate.double()
    pairs = ((a.sum(1), b.sum(1)), (a[:, 0], b[:, 0]))
    return all(torch.allclose(x.sort().values, y.sort().values, rtol=1e-6, atol=1e-9) for x, y in pairs)
