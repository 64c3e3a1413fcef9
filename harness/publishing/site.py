"""Put published runs into a folder: pages, archives under their digests, index, manifest; the manifest comes last."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from harness.config import writable
from harness.errors import UsageError
from harness.identity import digest_bytes
from harness.observations.journal import write_atomically
from harness.publishing.archive import archive_of
from harness.publishing.entries import Published
from harness.publishing.manifest import Manifest, manifest_of
from harness.reports.pages.index import render_index

MANIFEST = "manifest.json"


def publish(runs: list[Published], folder: Path, title: str, *, observations: bool = True) -> Manifest:
    """Write a folder that any static host can serve. Raises UsageError for a folder that holds something else."""
    old = _published_before(folder)
    writable(folder, "output")
    single = list({run.folder: run for run in runs}.values())
    files: dict[str, bytes] = {}
    archives: dict[str, str] = {}
    for run in single:
        name = run.folder.name
        files |= {f"runs/{name}/{file}": data for file, data in run.files.items()}
        if observations:
            data = archive_of(run.folder)
            archives[name] = f"observations/{digest_bytes(data)}.tar.zst"
            files[archives[name]] = data
    lines = [line for run in single for line in run.lines]
    files["index.html"] = render_index(title, lines, archives).encode()
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, data)
    for path in old - set(files):
        (folder / path).unlink(missing_ok=True)
    manifest = manifest_of(files)
    write_atomically(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
    return manifest


def _published_before(folder: Path) -> set[str]:
    """The files of an earlier publication in this folder; what is not listed any more goes."""
    if not folder.exists() or not any(folder.iterdir()):
        return set()
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError) as problem:
        raise UsageError(
            "this folder holds something that was not published by fidelity",
            where=str(folder),
            fix="give -o a new folder",
        ) from problem
    paths = {member.path for member in manifest.members}
    return {path for path in paths if _ours(folder, path)}


def _ours(folder: Path, path: str) -> bool:
    """Whether a listed path is a file inside the folder, and no way out of it."""
    return ".." not in path.split("/") and (folder / path).resolve().is_relative_to(folder.resolve())
