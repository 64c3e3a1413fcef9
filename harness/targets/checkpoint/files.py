"""What the files of a checkpoint say it is, read without loading it and without running anything of it."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from harness.errors import BrokenCheckpoint, TargetNotFound, UnsafeCheckpoint
from harness.identity import digest_bytes, digest_file, digest_json
from harness.targets.base import ModelIdentity, WeightFile
from harness.targets.checkpoint.licence import read_licence
from harness.targets.checkpoint.safetensors_header import TensorEntry, read_header
from harness.targets.gguf_identity import gguf_identity
from harness.targets.spec import TargetSpec

_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_MAX_JSON = 64 << 20
_EXPECTED = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json", "README.md")
#: Configuration that says how the file was made, not what it computes.
_IGNORED_CONFIG = {"transformers_version", "_name_or_path", "_model_name_or_path", "dtype", "torch_dtype", "use_cache",
                   "quantization_config", "architectures", "initializer_range", "pretraining_tp"}  # fmt: skip


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
    refuse_code(config, path)
    files, tensors = _weights(path, digests)
    tokenizer = _tokenizer_facts(path)
    generation = read_json(path / "generation_config.json")
    plain_config = {name: value for name, value in config.items() if name not in _IGNORED_CONFIG}
    quantization = config.get("quantization_config") or read_json(path / "quantize_config.json")
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
        quantization=quantization if isinstance(quantization, dict) else {},
        stop_ids=stop_ids(config, generation),
        generation={k: v for k, v in generation.items() if k not in {"transformers_version", "_from_model_config"}},
        licence=read_licence(path),
        missing=tuple(name for name in _EXPECTED if not (path / name).is_file()),
        digest=digest_json(
            [[file.sha256 for file in files], plain_config, quantization, tokenizer["tokenizer_sha256"]]
        ),
        **tokenizer,
    )


def refuse_code(config: dict[str, JsonValue], path: Path) -> None:
    """Refuse configurations that name code to run or private switches of the loader."""
    text = json.dumps(config)
    private = sorted(name for name in config if name.startswith("_attn") or name.startswith("_experts"))
    if "auto_map" in text or "trust_remote_code" in text or private:
        what = "code of its own (auto_map)" if "auto_map" in text else f"private loader settings ({', '.join(private)})"
        raise UnsafeCheckpoint(
            f"config.json asks the loader to use {what}",
            where=str(path / "config.json"),
            fix="remote code is never run here; use a release that the transformers library supports natively",
        )


def _weights(path: Path, digests: DigestCache) -> tuple[list[WeightFile], list[TensorEntry]]:
    found = sorted(path.glob("*.safetensors"))
    index = path / "model.safetensors.index.json"
    if index.is_file():
        mapping = read_json(index).get("weight_map")
        listed = set(mapping.values()) if isinstance(mapping, dict) else set()
        absent = sorted(str(name) for name in listed if not (path / str(name)).is_file())
        if absent:
            raise BrokenCheckpoint(
                f"{len(absent)} weight files of the index are missing ({absent[0]}, ...)",
                where=str(path),
                fix="finish the download",
            )
    if not found:
        pickles = sorted(file.name for file in path.iterdir() if file.suffix in _PICKLES)
        if pickles:
            raise UnsafeCheckpoint(
                f"the weights are pickles ({pickles[0]}); opening them can run any code",
                where=str(path),
                fix='convert them on a machine that you can lose: python -c "import torch, safetensors.torch as s; '
                "s.save_file(torch.load('pytorch_model.bin', weights_only=True), 'model.safetensors')\"",
            )
        raise BrokenCheckpoint("the folder has no weights", where=str(path), fix="it needs *.safetensors files")
    tensors = [entry for file in found for entry in read_header(file)]
    files = [WeightFile(name=file.name, bytes=file.stat().st_size, sha256=digests.of(file)) for file in found]
    return files, tensors


def _main_dtype(tensors: list[TensorEntry]) -> str:
    sizes: dict[str, int] = {}
    for entry in tensors:
        sizes[entry.dtype] = sizes.get(entry.dtype, 0) + entry.count
    return max(sizes, key=lambda name: sizes[name]) if sizes else ""


def _tokenizer_facts(path: Path) -> dict[str, Any]:
    file = path / "tokenizer.json"
    tokenizer_sha256, vocabulary_sha256 = _tokenizer_digests(file, _stamp(file)) if file.is_file() else ("", "")
    settings = read_json(path / "tokenizer_config.json")
    template_file = path / "chat_template.jinja"
    template = settings.get("chat_template")
    if template_file.is_file():
        template = template_file.read_text(encoding="utf-8", errors="replace")
    special = {name: settings[name] for name in sorted(settings) if name.endswith("_token") and settings[name]}
    return {
        "tokenizer_sha256": tokenizer_sha256,
        "vocabulary_sha256": vocabulary_sha256,
        "template_sha256": digest_bytes(str(template).encode()) if template else "",
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


def read_json(path: Path) -> dict[str, JsonValue]:
    """A JSON object, empty where there is no file; raises UnsafeCheckpoint or BrokenCheckpoint for what is not one."""
    if not path.is_file():
        return {}
    if path.stat().st_size > _MAX_JSON:
        raise UnsafeCheckpoint("this JSON file is larger than 64 MiB", where=str(path))
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=str)  # Infinity stays a word
    except (ValueError, RecursionError) as error:
        raise BrokenCheckpoint("this file is not JSON", where=str(path), fix="fetch it again") from error
    if not isinstance(value, dict):
        raise BrokenCheckpoint("this file should hold a JSON object", where=str(path), fix="fetch it again")
    return value


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
