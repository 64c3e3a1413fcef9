"""The manifest: every published file by path, digest and size. Whoever signs something signs this one file."""

from __future__ import annotations

from pathlib import PurePosixPath

from harness import __version__
from harness.comparisons.model import Result
from harness.identity import digest_bytes

MANIFEST_VERSION = 1


class Member(Result):
    """One file of the folder."""

    path: str
    sha256: str
    bytes: int


class Manifest(Result):
    """What a published folder holds, sorted by path; files that are not listed are no part of it."""

    manifest_version: int = MANIFEST_VERSION
    fidelity_version: str = __version__
    members: tuple[Member, ...]


def manifest_of(files: dict[str, bytes]) -> Manifest:
    """The manifest of files by their path inside the folder."""
    members = [
        Member(path=str(PurePosixPath(path)), sha256=digest_bytes(data), bytes=len(data))
        for path, data in sorted(files.items())
    ]
    return Manifest(members=tuple(members))
