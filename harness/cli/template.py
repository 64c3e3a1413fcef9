"""``fidelity template``: do two sides turn the same conversations into the same prompts?"""

from __future__ import annotations

import os
from pathlib import Path

import click

from harness.config import Places
from harness.prompting import compare_templates
from harness.reports.prompt_card import print_prompt_card


@click.command("template")
@click.argument("reference")
@click.argument("candidate")
@click.option("--json", "output", type=click.Path(path_type=Path, dir_okay=False), help="Write the whole card here.")
def command(reference: str, candidate: str, output: Path | None) -> int:
    """Compare the prompts of REFERENCE and CANDIDATE on 44 cases, and name the fault that tells them apart.

    Each is a checkpoint folder, a GGUF file, a chat template (.jinja) or a tokenizer.json. No model is loaded.
    """
    from rich.console import Console  # noqa: PLC0415

    card = compare_templates(reference, candidate, Places.default().cache)
    if output:
        output.write_text(card.model_dump_json(indent=1) + "\n", encoding="utf-8")
    print_prompt_card(card, Console(highlight=False, width=None if os.isatty(1) else 140))
    return card.exit_code
