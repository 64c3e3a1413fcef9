"""The licence of a release in plain words. Information for the reader, not legal advice."""

from __future__ import annotations

import re
from pathlib import Path

from harness.identity import digest_file
from harness.targets.base import Licence

_OSI = {"apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "mpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0"}
_RESTRICTED = {"cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"}
_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING", "NOTICE", "GEMMA_TERMS.html", "USE_POLICY.md")
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---", re.DOTALL)
_LINE = re.compile(r"^license:\s*['\"]?([\w.\-]+)", re.MULTILINE)


def read_licence(folder: Path) -> Licence:
    """The declared licence name (model card), the digest of the licence file, and a note."""
    name = ""
    card = folder / "README.md"
    if card.is_file():
        front = _FRONT_MATTER.match(card.read_text(encoding="utf-8", errors="replace")[: 64 << 10])
        found = _LINE.search(front.group(1)) if front else None
        name = found.group(1).lower() if found else ""
    file = next((folder / candidate for candidate in _FILES if (folder / candidate).is_file()), None)
    return Licence(name=name, file_sha256=digest_file(file) if file else "", note=describe(name, has_file=bool(file)))


def describe(name: str, *, has_file: bool) -> str:
    """One sentence about a declared licence."""
    if name in _OSI:
        return "approved by the OSI"
    if name in _RESTRICTED:
        return "forbids commercial use, hosting included"
    if name:
        return "custom terms: read them before hosting this model"
    return "a licence file without a declared name" if has_file else "no licence declared"
