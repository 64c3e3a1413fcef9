"""What a GGUF file says it is, in the words in which other checkpoints are described."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.identity import digest_bytes, digest_json
from harness.targets.base import Licence, ModelIdentity, WeightFile
from harness.targets.checkpoint.licence import describe, read_licence
from harness.targets.gguf_claims import own_claim
from harness.targets.gguf_config import main_kind, translate
from harness.targets.gguf_file import GgufFile, read_model
from harness.targets.spec import TargetSpec

#: Facts of a release for which a GGUF file has no words: that it does not state them is no difference.
_SILENT = ("architecture", "generation", "stop_ids", "missing")
#: Configuration that says how a model is built rather than what a file states, or that the library fills in.
_DERIVED = {
    "architectures", "tie_word_embeddings", "hidden_act", "hidden_activation", "use_sliding_window", "attention_bias",
    "mlp_bias", "bos_token_id", "eos_token_id", "pad_token_id", "n_inner", "decoder_sparse_step", "mlp_only_layers",
}  # fmt: skip


def gguf_identity(spec: TargetSpec, digest_of: Callable[[Path], str]) -> ModelIdentity:
    """Everything a file says; raises TargetRefused with a way out for files that cannot be judged."""
    file = read_model(Path(spec.base))
    translated = translate(file)
    claim = own_claim(file)
    weights = tuple(WeightFile(name=p.name, bytes=p.stat().st_size, sha256=digest_of(p)) for p in file.parts)
    licence = _licence(file)
    template = file.metadata.get("tokenizer.chat_template")
    tensors = [tensor for tensor in file.tensors if tensor.name in translated.names]
    return ModelIdentity(
        spec=spec.shown,
        folder=spec.name,
        weights=weights,
        tensors=len(tensors),
        parameters=sum(tensor.count for tensor in tensors),
        dtype=main_kind(file),
        architecture=translated.family.architecture,
        config=_stated(file, translated.config),
        quantization={"quant_method": "gguf", "claim": claim.claim, "types": dict(claim.types)}
        if claim.quantized
        else {},
        tokenizer_sha256="",
        vocabulary_sha256="",
        template_sha256=digest_bytes(template.encode()) if isinstance(template, str) else "",
        special_tokens={},
        stop_ids=tuple(i for i in [translated.config.get("eos_token_id")] if isinstance(i, int)),
        generation={},
        licence=licence,
        missing=(),
        silent=_SILENT if licence.name else (*_SILENT, "licence"),
        importance=_importance(file),
        contradiction=claim.contradiction,
        digest=digest_json([entry.sha256 for entry in weights]),
    )


def _stated(file: GgufFile, config: dict[str, Any]) -> dict[str, Any]:
    """The configuration that the file itself fixes, for comparing: one family's files may hold models of several."""
    stated = {name: value for name, value in config.items() if name not in _DERIVED and value is not None}
    if file.architecture == "llama":
        stated.pop("model_type")
    if stated.get("head_dim") == stated.get("hidden_size", 0) // (stated.get("num_attention_heads") or 1):
        stated.pop("head_dim", None)
    return stated


def _importance(file: GgufFile) -> str:
    named = {"file": "file", "dataset": "data", "chunks_count": "chunks"}
    stated = {said: file.metadata.get(f"quantize.imatrix.{key}") for key, said in named.items()}
    return ", ".join(f"{said} {str(v).rpartition('/')[2][:60]}" for said, v in stated.items() if v is not None)


def _licence(file: GgufFile) -> Licence:
    found = read_licence(file.parts[0].parent)
    stated = file.metadata.get("general.license")
    if found.name or not isinstance(stated, str):
        return found
    name = stated.lower()[:80]
    return Licence(name=name, file_sha256=found.file_sha256, note=describe(name, has_file=bool(found.file_sha256)))
