"""What the files of a checkpoint say it is, read without loading it and without running anything of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.errors import TargetNotFound, UnsafeCheckpoint
from harness.identity import digest_bytes, digest_file, digest_json
from harness.targets.base import ModelIdentity, WeightFile
from harness.targets.checkpoint.formats.plan import make_plan, read_declaration
from harness.targets.checkpoint.formats.stored import stored_of
from harness.targets.checkpoint.json_files import read_json
from harness.targets.checkpoint.licence import read_licence
from harness.targets.checkpoint.native import is_native
from harness.targets.checkpoint.safetensors_header import TensorEntry
from harness.targets.checkpoint.weight_files import find_weights
from harness.targets.gguf_identity import gguf_identity
from harness.targets.spec import TargetSpec
from harness.targets.template_files import LEGACY, read_template_files

_EXPECTED = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "README.md")
#: Configuration that says how the file was made, not what it computes.
_IGNORED_CONFIG = {"transformers_version", "_name_or_path", "_model_name_or_path", "dtype", "torch_dtype", "use_cache",
                   "quantization_config", "compression_config", "quantization", "auto_map", "architectures", "initializer_range",
                   "pretraining_tp"}  # fmt: skip


def read_identity(spec: TargetSpec, digests: DigestCache) -> ModelIdentity:
    """Everything the files say; raises TargetNotFound, UnsafeCheckpoint or BrokenCheckpoint with a way out."""
    path = Path(spec.base)
    if spec.in_gguf:
        return gguf_identity(spec, digests.of)
    if not path.exists():
        raise TargetNotFound(
            "there is no checkpoint at this path",
            where=spec.base,
            fix="give a folder with config.json and *.safetensors, or the name of a model on the Hub",
        )
    if not (path / "config.json").is_file():
        raise TargetNotFound(
            "this is not a checkpoint: it has no config.json",
            where=spec.base,
            fix="give the folder that holds config.json and *.safetensors (for a GGUF file write gguf:FILE)",
        )
    config = read_json(path / "config.json")
    code = named_code(config, path)
    weights = find_weights(path)
    plan = make_plan(stored_of(weights, str(config.get("model_type", "")), str(path)), read_declaration(path, config))
    tensors = weights.entries.values()
    files = [WeightFile(name=file.name, bytes=file.stat().st_size, sha256=digests.of(file)) for file in weights.files]
    tokenizer = _tokenizer_facts(path)
    generation = read_json(path / "generation_config.json")
    plain_config = {name: value for name, value in config.items() if name not in _IGNORED_CONFIG}
    quantization = plan.declaration.settings
    architectures = config.get("architectures")
    return ModelIdentity(
        spec=spec.shown,
        folder=spec.name,
        weights=tuple(files),
        tensors=len(tensors),
        parameters=sum(entry.count for entry in tensors),
        dtype=_main_dtype(tensors),
        architecture=str(architectures[0]) if isinstance(architectures, list) and architectures else "",
        config=plain_config,
        quantization=quantization,
        stop_ids=stop_ids(config, generation),
        generation={k: v for k, v in generation.items() if k not in {"transformers_version", "_from_model_config"}},
        licence=read_licence(path),
        missing=tuple(name for name in _EXPECTED if not (path / name).is_file()),
        weight_format=plan.format.name if plan.format else "",
        declared_in=plan.declaration.file,
        activations=plan.activations,
        cache=plan.cache,
        code=code,
        beside=weights.beside,
        digest=digest_json(
            [[file.sha256 for file in files], plain_config, quantization, tokenizer["tokenizer_sha256"]]
        ),
        **tokenizer,
    )


def named_code(config: dict[str, JsonValue], path: Path) -> tuple[str, ...]:
    """Classes of a release's own that config.json names, which are never run.

    Raises UnsafeCheckpoint where the library does not know the architecture itself, or where config.json holds private
    switches of the loader.
    """
    private = sorted(name for name in config if name.startswith(("_attn", "_experts")) or name == "trust_remote_code")
    if private:
        raise UnsafeCheckpoint(
            f"config.json holds private settings of the loader ({', '.join(private)})",
            where=str(path / "config.json"),
            fix=f"take {private[0]} out of config.json; the release does not need it",
        )
    found = sorted(_code(config))
    if found and not is_native(str(config.get("model_type", ""))):
        raise UnsafeCheckpoint(
            "config.json asks the loader to use code of its own (auto_map)",
            where=str(path / "config.json"),
            fix="remote code is never run here; use a release that the transformers library supports natively",
        )
    return tuple(found)


def _code(value: JsonValue) -> set[str]:
    """What every ``auto_map`` inside a configuration names."""
    found: set[str] = set()
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "auto_map":
                named = list(inner.values()) if isinstance(inner, dict) else [inner]
                found |= {str(one) for one in named}
            else:
                found |= _code(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= _code(inner)
    return found


def _main_dtype(tensors: Iterable[TensorEntry]) -> str:
    sizes: dict[str, int] = {}
    for entry in tensors:
        sizes[entry.dtype] = sizes.get(entry.dtype, 0) + entry.count
    return max(sizes, key=lambda name: sizes[name]) if sizes else ""


def _tokenizer_facts(path: Path) -> dict[str, Any]:
    file = path / "tokenizer.json"
    tokenizer_sha256, vocabulary_sha256 = _tokenizer_digests(file, _stamp(file)) if file.is_file() else ("", "")
    settings = read_json(path / "tokenizer_config.json")
    templates = read_template_files(path, settings, read_json(path / LEGACY))
    template = templates.default + templates.tools
    special = {name: settings[name] for name in sorted(settings) if name.endswith("_token") and settings[name]}
    return {
        "tokenizer_sha256": tokenizer_sha256,
        "vocabulary_sha256": vocabulary_sha256,
        "template_sha256": digest_bytes(template.encode()) if template else "",
        "special_tokens": special,
    }


@lru_cache(maxsize=16)
def _tokenizer_digests(file: Path, _: str) -> tuple[str, str]:
    """Of a tokenizer and its vocabulary; read once per process, because a run opens a checkpoint many times."""
    tokenizer = read_json(file)
    model = tokenizer.get("model")
    words = model.get("vocab") if isinstance(model, dict) else None
    return digest_json(tokenizer) if tokenizer else "", digest_json(words) if words else ""


def _stamp(file: Path) -> str:
    stat = file.stat()
    return f"{file.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"


def stop_ids(config: dict[str, JsonValue], generation: dict[str, JsonValue]) -> tuple[int, ...]:
    """The ids that end a reply according to both configurations."""
    ids: set[int] = set()
    for source in (config.get("eos_token_id"), generation.get("eos_token_id")):
        for value in source if isinstance(source, list) else [source]:
            if isinstance(value, int):
                ids.add(value)
    return tuple(sorted(ids))


class DigestCache:
    """SHA-256 of large files, remembered by path, size and time of change so that gigabytes are read once."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "digests.json"
        try:
            self._known: dict[str, str] = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def of(self, file: Path) -> str:
        """The digest of a file as it is now."""
        key = _stamp(file)
        if key not in self._known:
            self._known[key] = digest_file(file)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial = self._path.with_suffix(f".{os.getpid()}")
            partial.write_text(json.dumps(self._known), encoding="utf-8")
            partial.replace(self._path)
        return self._known[key]
