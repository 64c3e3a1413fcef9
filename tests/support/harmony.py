"""The vocabulary of gpt-oss, ``o200k_base.tiktoken``: nobody publishes it alone on the index, one wheel carries it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

_WHEEL = "litellm==1.109.1"
_MEMBER = "litellm/litellm_core_utils/tokenizers/fb374d419588a4632f3f557e76b4b70aebbca790"


def harmony_vocabulary(cache: Path) -> Path:
    """The file, fetched once into the cache; openai-harmony checks its digest itself."""
    folder = cache / "corpora"
    file = folder / "o200k_base.tiktoken"
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
        subprocess.run([*command, "--only-binary", ":all:", "--dest", str(folder), _WHEEL], check=True)
        (wheel,) = folder.glob("litellm-*.whl")
        with zipfile.ZipFile(wheel) as stored:
            partial = folder / ".o200k_base.tiktoken"
            partial.write_bytes(stored.read(_MEMBER))
        partial.replace(file)
        wheel.unlink()
    return file
