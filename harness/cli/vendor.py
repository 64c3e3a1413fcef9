"""``fidelity vendor``: vendors' own scorecards, with the error bars that they lack."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command("vendor")
@click.argument("files", nargs=-1, required=True, metavar="[LABEL=]FILE...")
@click.option("--json", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write the whole card here.")
def command(files: tuple[str, ...], output: Path | None) -> int:
    """Recompute result FILES of vendors' verifiers: rates with intervals, metrics that cannot fail, what tells models apart.

    Reads summaries and rows of MiniMax-Provider-Verifier and K2-Vendor-Verifier, and Kimi's tool-call-schema-report.json.
    Nothing is asked of anybody. A LABEL stands for the model's own name: official=loop_01.json host=results.jsonl are told
    apart though both name the same model.
    """
    from rich.console import Console  # noqa: PLC0415

    from harness import __version__  # noqa: PLC0415
    from harness.comparisons.vendor_scores import vendor_facts  # noqa: PLC0415
    from harness.observations.vendor_files import read_vendor_files  # noqa: PLC0415
    from harness.reports.vendor_card import VendorCard, print_vendor_card  # noqa: PLC0415

    named = [_labelled(one) for one in files]
    card = VendorCard(
        fidelity_version=__version__, files=tuple(path.name for _, path in named), facts=vendor_facts(read_vendor_files(named))
    )  # fmt: skip
    if output:
        output.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print_vendor_card(card, Console(highlight=False, width=None if os.isatty(1) else 140))
    return 0


def _labelled(text: str) -> tuple[str, Path]:
    """Label and path; a file whose name holds an equals sign is a file."""
    label, found, path = text.partition("=")
    return ("", Path(text)) if not found or Path(text).exists() else (label, Path(path))
