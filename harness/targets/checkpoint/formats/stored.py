"""The headers of a folder as the formats read them."""

from __future__ import annotations

from harness.targets.checkpoint.formats.model import Stored
from harness.targets.checkpoint.weight_files import WeightFiles


def stored_of(files: WeightFiles, model_type: str, where: str) -> Stored:
    """What the files of a folder hold, without the values; ``where`` is named in errors."""
    return Stored(files.entries, files.metadata, model_type, where)
