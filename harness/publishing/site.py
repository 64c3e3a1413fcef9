"""Put published runs into a folder: pages, archives under their digests, index, manifest; the manifest comes last."""

from __future__ import annotations

from pathlib import Path

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
    if folder.exists() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise UsageError(
            "this folder holds something that was not published by fidelity",
            where=str(folder),
            fix="give -o a new folder",
        )
    writable(folder, "output")
    files: dict[str, bytes] = {}
    archives: dict[str, str] = {}
    for run in runs:
        name = run.folder.name
        files |= {f"runs/{name}/{file}": data for file, data in run.files.items()}
        if observations:
            data = archive_of(run.folder)
            archives[name] = f"observations/{digest_bytes(data)}.tar.zst"
            files[archives[name]] = data
    lines = [line for run in runs for line in run.lines]
    files["index.html"] = render_index(title, lines, archives).encode()
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, data)
    manifest = manifest_of(files)
    write_atomically(folder / MANIFEST, manifest.model_dump_json(indent=1).encode())
    return manifest
