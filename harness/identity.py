"""Canonical JSON and digests: the only way in which the product decides that two things are the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pydantic import JsonValue

_CHUNK = 4 << 20


def canonical_json(value: JsonValue) -> bytes:
    """Serialise to UTF-8 JSON with sorted keys, no spaces, and no NaN or infinity.

    Raises ValueError for non-finite floats: missing is not zero, and JSON has no word for infinity.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def digest_bytes(data: bytes) -> str:
    """SHA-256 of bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_json(value: JsonValue) -> str:
    """SHA-256 of the canonical JSON form of a value."""
    return digest_bytes(canonical_json(value))


def digest_file(path: Path) -> str:
    """SHA-256 of a file, read in pieces so that memory does not grow with its size."""
    state = hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_CHUNK):
            state.update(piece)
    return state.hexdigest()


def short(digest: str) -> str:
    """The first 12 digits of a digest, for people."""
    return digest[:12]
