"""What the files of both sides say differently. Facts only; what they mean is the verdict's business."""

from __future__ import annotations

import json
import math

from pydantic import JsonValue

from harness.comparisons.model import Difference
from harness.targets.base import ModelIdentity
from harness.targets.rope import same_turns

#: Configuration fields that change what the model computes, by family; see docs/findings.
OUTPUT_FIELDS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
    "hidden_act", "rms_norm_eps", "layer_norm_eps", "rope_theta", "rope_scaling", "rope_parameters", "sliding_window",
    "layer_types", "max_window_layers", "tie_word_embeddings", "attention_bias", "mlp_bias",
    "final_logit_softcapping", "attn_logit_softcapping", "query_pre_attn_scalar", "logit_scale", "logits_scaling",
    "embedding_multiplier", "residual_multiplier", "attention_multiplier", "num_experts", "num_local_experts",
    "num_experts_per_tok", "norm_topk_prob", "scoring_func", "routed_scaling_factor", "model_type",
)  # fmt: skip


_DEFAULT_THETA = 10000.0


def file_differences(reference: ModelIdentity, candidate: ModelIdentity) -> list[Difference]:
    """List differing facts, most telling first: computation, tokenizer, template, stops, settings, licence."""
    found: list[Difference] = []

    silent = {*reference.silent, *candidate.silent}

    def compare(field: str, ours: JsonValue, theirs: JsonValue) -> None:
        if not same_value(ours, theirs) and field.partition(".")[0] not in silent:
            found.append(Difference(field=field, reference=_words(ours), candidate=_words(theirs)))

    if reference.config and candidate.config:
        ours, theirs = text_part(reference.config), text_part(candidate.config)
        if ours.get("model_type") != theirs.get("model_type") or not _wrapped(reference, candidate):
            compare("architecture", reference.architecture, candidate.architecture)
        for name in OUTPUT_FIELDS:
            if name == "rope_parameters" and same_turns(ours, theirs):  # the same rule in other words
                continue
            if name in ours and name in theirs:  # an absent field stands for a default that only the library knows
                compare(f"config.{name}", ours[name], theirs[name])
        compare("config.vocab_size", ours.get("vocab_size"), theirs.get("vocab_size"))
    if reference.vocabulary_sha256 and candidate.vocabulary_sha256:
        compare("tokenizer.vocabulary", reference.vocabulary_sha256[:12], candidate.vocabulary_sha256[:12])
        compare("tokenizer.rules", reference.tokenizer_sha256[:12], candidate.tokenizer_sha256[:12])
        compare("tokenizer.special_tokens", reference.special_tokens, candidate.special_tokens)
    if reference.config and candidate.config:
        compare("template", reference.template_sha256[:12], candidate.template_sha256[:12])
        compare("stop_ids", list(reference.stop_ids), list(candidate.stop_ids))
        for name in sorted(set(reference.generation) | set(candidate.generation)):
            compare(f"generation.{name}", reference.generation.get(name), candidate.generation.get(name))
    compare("quantization", reference.quantization, candidate.quantization)
    compare("weights.dtype", reference.dtype, candidate.dtype)
    compare("weights.parameters", reference.parameters, candidate.parameters)
    compare("licence.name", reference.licence.name, candidate.licence.name)
    compare("licence.file", reference.licence.file_sha256[:12], candidate.licence.file_sha256[:12])
    compare("contradiction", "", candidate.contradiction)
    compare("importance", "", candidate.importance)
    if reference.quantization.get("quant_method") == "gguf":
        found.append(Difference(field="reference", reference=str(reference.quantization.get("claim")), candidate="-"))
    compare("missing", list(reference.missing), list(candidate.missing))
    return found


def same_value(ours: JsonValue, theirs: JsonValue) -> bool:
    """Whether two settings are the same where they are used: some files keep fractions in fp32, others as text."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same_value(ours[name], theirs[name]) for name in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same_value, ours, theirs))
    if type(ours) is float and type(theirs) is float:
        return math.isclose(ours, theirs, rel_tol=_FP32)
    return ours == theirs


_FP32 = 2.0**-23


def _wrapped(*sides: ModelIdentity) -> bool:
    """Whether one side is the text model alone and the other a release that wraps it: their classes differ for that reason."""
    return len({isinstance(side.config.get("text_config"), dict) for side in sides}) > 1


def text_part(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """The fields that a text runs through, as a text model has them at the top level, in one spelling."""
    inner = config.get("text_config")
    merged = config | inner if isinstance(inner, dict) else dict(config)
    merged.pop("text_config", None)
    window, longest = merged.get("sliding_window"), merged.get("max_position_embeddings")
    unused = merged.get("use_sliding_window") is False
    if isinstance(window, int) and (unused or (isinstance(longest, int) and window >= longest)):
        merged["sliding_window"] = None  # no text that the model takes is cut by it
    return normalise_rope(merged)


def normalise_rope(config: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Bring rope settings of transformers 4 (``rope_theta``, ``rope_scaling``) and 5 (``rope_parameters``) together."""
    merged = dict(config)
    parameters = merged.pop("rope_parameters", None)
    rope: dict[str, JsonValue] = dict(parameters) if isinstance(parameters, dict) else {}
    scaling = merged.pop("rope_scaling", None)
    if isinstance(scaling, dict):
        rope.update(scaling)
    theta = merged.pop("rope_theta", None)
    rope["rope_theta"] = theta if theta is not None else rope.get("rope_theta", _DEFAULT_THETA)
    if rope.get("rope_type") in {None, "default"}:
        rope.pop("rope_type", None)
    merged["rope_parameters"] = rope
    return merged


def _words(value: JsonValue) -> str:
    if value is None or value in ("", [], {}):
        return "(not given)"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
