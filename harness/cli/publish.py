"""``fidelity publish``: stored runs as a folder for any static host; nothing is uploaded."""

from __future__ import annotations

from pathlib import Path

import click

from harness.config import Places
from harness.publishing.entries import published
from harness.publishing.site import MANIFEST, publish


@click.command("publish")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, file_okay=False), help="The folder to write."
)
@click.option("--title", default="Fidelity scorecards", show_default=True, help="What stands above the index.")
@click.option("--no-observations", is_flag=True, help="Leave out what was measured: nobody can judge it again.")
@click.option("--results", type=click.Path(path_type=Path), help="Where runs are kept [default: ./results].")
def command(runs: tuple[str, ...], output: Path, title: str, results: Path | None, *, no_observations: bool) -> int:
    """Write stored RUNs (comparisons, audits, tasks) as pages with an index, raw observations and a manifest of digests.

    Every run is judged again first. The folder needs no server of its own, and this command sends nothing anywhere.
    """
    folder = results or Places.default().results
    stored = [published(folder, run) for run in dict.fromkeys(runs)]
    manifest = publish(stored, output, title, observations=not no_observations)
    size = sum(member.bytes for member in manifest.members)
    home = str(Path.home()).encode()
    telling = sum(
        home in data for run in stored for data in [*run.files.values(), *_kept(run.folder, whole=not no_observations)]
    )
    if telling:
        note = f"note: {telling} of the files name folders under {Path.home()}; run with relative paths to keep them to yourself"
        click.echo(note, err=True)
    click.echo(f"{len(manifest.members)} files, {size / 1e6:.1f} MB; {output / 'index.html'}, {output / MANIFEST}")
    return 0


def _kept(folder: Path, *, whole: bool) -> list[bytes]:
    """What an archive would hold, as it is stored: text in a database is text."""
    return [path.read_bytes() for path in folder.iterdir() if path.is_file() and not path.is_symlink()] if whole else []
