"""JSON files of a release, read within bounds."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import JsonValue

from harness.errors import BrokenCheckpoint, UnsafeCheckpoint

_MAX_JSON = 64 << 20


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
