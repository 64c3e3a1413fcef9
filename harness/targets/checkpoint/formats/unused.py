"""What of a folder's tensors a model does not use: told in words where it does no harm, refused by name where it may."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import BrokenCheckpoint

if TYPE_CHECKING:
    from harness.targets.checkpoint.formats.dense import DenseCheckpoint

_TABLES = re.compile(
    r"(inv_freq|rotary_emb\.\w+|cos_cached|sin_cached|(attn|attention)\.(masked_)?bias|masked_bias|position_ids)$"
)
_SCALES = re.compile(
    r"([._]weight_scale(_inv|_2)?|_scale_inv|\.scales|\.biases|\.qzeros|\.g_idx|weight_zero_point|weight_global_scale"
    r"|weight_shape|\.SCB|\.absmax|\.quant_map|pre_quant_scale|_qdata|\.weight\._(data|scale))$"
)
_BESIDE = re.compile(
    r"(^|\.)(vision\w*|visual|audio\w*|image\w*|multi_modal_projector|mm_projector|embed_vision|embed_audio|talker|token2wav"
    r"|code2wav|connector|perceiver\w*|resampler|qformer|abstractor|aligner|projector|mm_\w+|vpm|apm|tts|code_predictor"
    r"|depth_decoder|mtp\w*|medusa\w*|eagle\w*|v_head|value_head|score|classifier|nextn\w*|speech\w*)(\.|$)"
)
_LAYER = re.compile(r"(^|\.)(layers|h|blocks|block)\.(\d+)\.")


def judge_unused(names: Sequence[str], dense: DenseCheckpoint, model: Any, where: str) -> tuple[str, ...]:
    """Sort unused tensors into kinds and say what they are; raises BrokenCheckpoint for what would have computed."""
    layers = int(getattr(model.config.get_text_config(), "num_hidden_layers", 0) or 0)
    by_design = [re.compile(pattern) for pattern in getattr(model, "_keys_to_ignore_on_load_unexpected", None) or ()]
    kinds: dict[str, list[str]] = {}
    computing: list[str] = []
    for name in names:
        kind = _kind(name, dense, layers)
        if not kind and not _SCALES.search(name) and any(pattern.search(name) for pattern in by_design):
            kind = "tensors that the library's architecture leaves out by design"
        if kind:
            kinds.setdefault(kind, []).append(name)
        else:
            computing.append(name)
    scales = [name for name in computing if _SCALES.search(name)]
    if scales:
        raise BrokenCheckpoint(
            f"{len(scales)} tensors of a quantization were left over ({', '.join(scales[:3])}, ...); the weights beside them "
            "are no codes",
            where=where,
            fix="if the weights are unpacked already, save them without these tensors; if not, fetch the release again",
        )
    if computing:
        raise BrokenCheckpoint(
            f"{len(computing)} weights inside the layers are unknown to {type(model).__name__} "
            f"({', '.join(computing[:3])}, ...); a model without them is not the one in the file",
            where=where,
            fix="config.json switches off what these weights need, or names another architecture; take it from the release "
            "that the weights are of",
        )
    return tuple(f"{kind}: {len(found)} ({found[0]})" for kind, found in kinds.items())


def _kind(name: str, dense: DenseCheckpoint, layers: int) -> str:
    """Which harmless kind of leftover a tensor is; empty if it may compute something."""
    if _TABLES.search(name):
        return "tables that the library computes itself"
    if _BESIDE.search(name):
        return "parts beside the text model"
    if _SCALES.search(name):
        return ""
    found = _LAYER.search(name)
    if found and layers and int(found.group(3)) >= layers:
        return "layers beyond num_hidden_layers, such as those that predict further tokens"
    if name.endswith(".bias") and not bool(dense[name].any()):
        return "biases that are all zero"
    return "" if found else "tensors outside the layers"
